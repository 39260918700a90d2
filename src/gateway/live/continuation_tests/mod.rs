//! Streams cut everywhere and gone on with by another target: what the client gets is one whole answer of its dialect.
//!
//! `clients` says what a client insists on, `recorded` runs the recordings; here are the small streams and the rules.

mod clients;
mod recorded;

use self::clients::Side;
use super::translated::Translation;
use super::*;
use crate::providers::anthropic::{AnthropicCodec, Variant};
use crate::providers::chat::{ChatCodec, TextDecoder, for_vendor};
use crate::providers::codec::{Codec, Expect};
use crate::providers::gemini::GeminiCodec;
use crate::providers::responses::ResponsesCodec;
use crate::wire::canonical::{Fold, Part, Request};
use crate::wire::client::Reply;

const CAPS: Caps = Caps {
    event: 8 << 20,
    depth: 64,
};

/// Somebody's stream.
#[derive(Clone)]
struct Stream {
    framing: Framing,
    decoder: fn() -> Box<dyn StreamDecoder>,
    bytes: Bytes,
}

fn chat_decoder() -> Box<dyn StreamDecoder> {
    let quirks = for_vendor("openai");
    ChatCodec { quirks }.decoder(Expect::default())
}
fn text_decoder() -> Box<dyn StreamDecoder> {
    Box::new(TextDecoder::default())
}
fn messages_decoder() -> Box<dyn StreamDecoder> {
    let variant = Variant::Direct;
    AnthropicCodec { variant }.decoder(Expect::default())
}
fn gemini_decoder() -> Box<dyn StreamDecoder> {
    GeminiCodec { vertex: false }.decoder(Expect::default())
}
fn responses_decoder() -> Box<dyn StreamDecoder> {
    ResponsesCodec.decoder(Expect::default())
}

fn sse(decoder: fn() -> Box<dyn StreamDecoder>, text: &str) -> Stream {
    Stream {
        framing: Framing::Sse,
        decoder,
        bytes: Bytes::copy_from_slice(text.as_bytes()),
    }
}

fn chat(id: &str, pieces: &[&str]) -> Stream {
    let chunk = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"{id}\",\"object\":\"chat.completion.chunk\",\"created\":77,\"model\":\"m-{id}\",\
             \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let mut text = chunk("{\"role\":\"assistant\",\"content\":\"\"}", "null");
    for piece in pieces {
        text += &chunk(&serde_json::json!({ "content": piece }).to_string(), "null");
    }
    text += &chunk("{}", "\"stop\"");
    text += &format!(
        "data: {{\"id\":\"{id}\",\"object\":\"chat.completion.chunk\",\"created\":77,\"model\":\"m-{id}\",\"choices\":[],\
         \"usage\":{{\"prompt_tokens\":30,\"completion_tokens\":5,\"total_tokens\":35}}}}\n\n"
    );
    text += "data: [DONE]\n\n";
    sse(chat_decoder, &text)
}

fn completions(pieces: &[&str]) -> Stream {
    let mut text = String::new();
    for (at, piece) in pieces.iter().chain(&[""]).enumerate() {
        let finish = if at == pieces.len() { "\"stop\"" } else { "null" };
        let piece = serde_json::json!(piece);
        text += &format!(
            "data: {{\"id\":\"odd-1\",\"object\":\"text_completion\",\"created\":77,\"model\":\"m\",\"choices\":[{{\"text\":{piece},\
             \"index\":0,\"logprobs\":null,\"finish_reason\":{finish}}}]}}\n\n"
        );
    }
    sse(text_decoder, &(text + "data: [DONE]\n\n"))
}

fn event(kind: &str, members: &str) -> String {
    format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{members}}}\n\n")
}

fn messages(thought: bool, pieces: &[&str]) -> Stream {
    let usage = "\"usage\":{\"input_tokens\":20,\"output_tokens\":1}";
    let mut text = event(
        "message_start",
        &format!(
            ",\"message\":{{\"id\":\"msg_x\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude\",\"content\":[],{usage}}}"
        ),
    );
    let at = u8::from(thought);
    if thought {
        text += &event(
            "content_block_start",
            ",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}",
        );
        text += &event(
            "content_block_delta",
            ",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}",
        );
        text += &event(
            "content_block_delta",
            ",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"c2ln\"}",
        );
        text += &event("content_block_stop", ",\"index\":0");
    }
    text += &event(
        "content_block_start",
        &format!(",\"index\":{at},\"content_block\":{{\"type\":\"text\",\"text\":\"\"}}"),
    );
    text += &event("ping", "");
    for piece in pieces {
        let piece = serde_json::json!(piece);
        text += &event(
            "content_block_delta",
            &format!(",\"index\":{at},\"delta\":{{\"type\":\"text_delta\",\"text\":{piece}}}"),
        );
    }
    text += &event("content_block_stop", &format!(",\"index\":{at}"));
    text += &event(
        "message_delta",
        ",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}",
    );
    sse(messages_decoder, &(text + &event("message_stop", "")))
}

fn gemini(pieces: &[&str]) -> Stream {
    let mut text = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        let finish = if at + 1 == pieces.len() { ",\"finishReason\":\"STOP\"" } else { "" };
        let piece = serde_json::json!(piece);
        text += &format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":{piece}}}],\"role\":\"model\"}},\"index\":0{finish}}}],\
             \"usageMetadata\":{{\"promptTokenCount\":8,\"candidatesTokenCount\":{at},\"totalTokenCount\":9}},\
             \"modelVersion\":\"g\",\"responseId\":\"r1\"}}\r\n\r\n"
        );
    }
    sse(gemini_decoder, &text)
}

fn responses(reasoned: bool, pieces: &[&str]) -> Stream {
    let mut number = 0;
    let mut put = |kind: &str, members: &str| {
        number += 1;
        event(kind, &format!(",\"sequence_number\":{}{members}", number + 9))
    };
    let response = |status: &str, output: &str, usage: &str| {
        format!(
            ",\"response\":{{\"id\":\"resp_x\",\"object\":\"response\",\"created_at\":77,\"status\":\"{status}\",\"model\":\"gpt\",\
             \"output\":[{output}],\"usage\":{usage}}}"
        )
    };
    let mut text = put("response.created", &response("in_progress", "", "null"));
    let at = u8::from(reasoned);
    let thought = "{\"id\":\"rs_x\",\"type\":\"reasoning\",\"summary\":[]}";
    if reasoned {
        text += &put("response.output_item.added", &format!(",\"output_index\":0,\"item\":{thought}"));
        text += &put("response.output_item.done", &format!(",\"output_index\":0,\"item\":{thought}"));
    }
    let whole = serde_json::json!(pieces.concat());
    let item = |status: &str, content: &str| {
        format!(
            "{{\"id\":\"msg_x\",\"type\":\"message\",\"status\":\"{status}\",\"role\":\"assistant\",\"content\":[{content}]}}"
        )
    };
    let content = |text: &serde_json::Value| format!("{{\"type\":\"output_text\",\"annotations\":[],\"text\":{text}}}");
    let place = format!(",\"item_id\":\"msg_x\",\"output_index\":{at},\"content_index\":0");
    let begun = item("in_progress", "");
    text += &put("response.output_item.added", &format!(",\"output_index\":{at},\"item\":{begun}"));
    let empty = content(&serde_json::json!(""));
    text += &put("response.content_part.added", &format!("{place},\"part\":{empty}"));
    for piece in pieces {
        let piece = serde_json::json!(piece);
        text += &put("response.output_text.delta", &format!("{place},\"delta\":{piece},\"logprobs\":[]"));
    }
    text += &put("response.output_text.done", &format!("{place},\"text\":{whole},\"logprobs\":[]"));
    let said = content(&whole);
    text += &put("response.content_part.done", &format!("{place},\"part\":{said}"));
    let done = item("completed", &said);
    text += &put("response.output_item.done", &format!(",\"output_index\":{at},\"item\":{done}"));
    let usage = "{\"input_tokens\":4,\"output_tokens\":6,\"total_tokens\":10}";
    let output = if reasoned { format!("{thought},{done}") } else { done };
    text += &put("response.completed", &response("completed", &output, usage));
    sse(responses_decoder, &text)
}

fn paced(bytes: Bytes) -> Source {
    Source::Paced {
        events: [bytes].into(),
        pace: Duration::ZERO,
    }
}

fn drive(live: &mut LiveStream) -> Vec<u8> {
    let mut out = Vec::new();
    while !live.ended && live.broken.is_none() && !live.is_done() {
        futures::FutureExt::now_or_never(live.fill()).unwrap();
        out.extend_from_slice(&live.take());
    }
    out
}

fn asked() -> Request<'static> {
    Request {
        stream: true,
        stream_usage: true,
        ..Request::default()
    }
}

/// A stream on its way to a client, `bytes` of it.
fn begin(side: &Side, native: bool, first: &Stream, bytes: Bytes) -> LiveStream {
    let reply = Reply {
        id: "abc123".to_owned(),
        created: 1_700_000_000,
        model: "asked-for".to_owned(),
        json_array: false,
    };
    let writer = side.speak.writer(&asked(), reply);
    let decoder = (first.decoder)();
    if native {
        let mut live = LiveStream::native(paced(bytes), CAPS, side.dialect, false, false);
        live.follow(Trail::new(Some(Shadow { decoder, writer }), 1));
        return live;
    }
    let translation = Translation::new(decoder, writer);
    let mut live = LiveStream::translated(paced(bytes), CAPS, first.framing, translation);
    live.follow(Trail::new(None, 1));
    live
}

/// What came of a cut stream.
enum Outcome {
    Whole,
    Refused(&'static str),
    Spliced { said: String, out: Vec<u8> },
}

fn cut(side: &Side, native: bool, first: &Stream, at: usize, second: &Stream, how: How) -> Outcome {
    let mut live = begin(side, native, first, first.bytes.slice(..at));
    let mut out = drive(&mut live);
    if live.broken.is_none() {
        return Outcome::Whole;
    }
    let said = match live.resumable() {
        Resumable::Text(said) => said.to_owned(),
        Resumable::No(why) => return Outcome::Refused(why),
    };
    assert!(live.splice(paced(second.bytes.clone()), second.framing, (second.decoder)(), how));
    out.extend(drive(&mut live));
    assert_eq!(live.broken, None, "{}: {}", side.name, String::from_utf8_lossy(&out));
    assert_eq!((live.seams(), live.is_done() || live.ended), (1, true));
    Outcome::Spliced { said, out }
}

fn folded(decoder: fn() -> Box<dyn StreamDecoder>, bytes: &[u8]) -> Fold {
    let mut fold = Fold::new();
    let mut decoder = decoder();
    for event in sse::events(bytes) {
        let Some(data) = &event.data else { continue };
        let raw = crate::providers::codec::RawEvent {
            name: "",
            exception: false,
            data,
            max_depth: 64,
        };
        decoder.event(raw, &mut |event| fold.event(&event)).unwrap();
    }
    let _ = decoder.finish(&mut |event| fold.event(&event));
    fold
}

fn text_of(fold: &Fold) -> String {
    let parts = fold.response().candidates.first().map_or(&[][..], |candidate| &candidate.parts);
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text { text, .. } => Some(text.as_ref()),
        _ => None,
    });
    texts.collect()
}

/// Cut a stream of text at each of these bytes; how often it was gone on with.
fn cut_everywhere(side: &Side, native: bool, first: &Stream, cuts: impl Iterator<Item = usize>) -> usize {
    let rests = [
        chat("second", &[" and", " the rest…"]),
        messages(true, &[" and", " the rest…"]),
        gemini(&[" and", " the rest…"]),
        responses(false, &[" and", " the rest…"]),
    ];
    let mut spliced = 0;
    for (number, at) in cuts.enumerate() {
        let second = &rests[number % rests.len()];
        if let Outcome::Spliced { said, out } = cut(side, native, first, at, second, How::Prefilled) {
            spliced += 1;
            let told = folded(side.decoder, &out);
            let rest = if said.ends_with(' ') { "and the rest…" } else { " and the rest…" };
            let shown = String::from_utf8_lossy(&out);
            assert_eq!(text_of(&told), format!("{said}{rest}"), "{} {at}: {shown}", side.name);
            assert!(told.ended() && told.disorder.is_none() && told.error.is_none(), "{} {at}: {shown}", side.name);
            (side.insists)(&out);
            let seams = shown.matches(": cirque seam 1\n\n").count();
            assert_eq!(seams, usize::from(side.comments), "{} {at}: {shown}", side.name);
        }
    }
    spliced
}

const PIECES: &[&str] = &["One", " tw\"o ", "thr\u{e9}e\n"];

#[test]
fn native_streams_of_every_dialect_cut_at_every_byte() {
    for (side, first) in [
        (clients::CHAT, chat("odd", PIECES)),
        (clients::COMPLETIONS, completions(PIECES)),
        (clients::MESSAGES, messages(false, PIECES)),
        (clients::MESSAGES, messages(true, PIECES)),
        (clients::GEMINI, gemini(PIECES)),
        (clients::RESPONSES, responses(false, PIECES)),
        (clients::RESPONSES, responses(true, PIECES)),
    ] {
        let spliced = cut_everywhere(&side, true, &first, 1..first.bytes.len());
        assert!(spliced > 100, "{} {spliced}", side.name);
    }
}

#[test]
fn translated_streams_of_every_dialect_cut_at_every_byte() {
    for side in clients::ALL {
        for first in [chat("odd", PIECES), messages(true, PIECES), gemini(PIECES), responses(true, PIECES)] {
            let spliced = cut_everywhere(&side, false, &first, 1..first.bytes.len());
            assert!(spliced > 100, "{} {spliced}", side.name);
        }
    }
}

#[test]
fn reasoning_under_way_and_an_answer_that_ended_are_not_gone_on_with() {
    let first = messages(true, PIECES);
    let text = std::str::from_utf8(&first.bytes).unwrap();
    let second = chat("second", &["x"]);
    for (until, native, why) in [
        ("\"hm\"}}\n\n", true, "reasoning under way"),
        ("\"hm\"}}\n\n", false, "reasoning under way"),
        ("\"output_tokens\":9}}\n\n", true, "an answer that had ended"),
        ("\"output_tokens\":9}}\n\n", false, "an answer that had ended"),
    ] {
        let at = text.find(until).unwrap() + until.len();
        match cut(&clients::MESSAGES, native, &first, at, &second, How::Prefilled) {
            Outcome::Refused(said) => assert_eq!(said, why),
            _ => panic!("{until}"),
        }
    }
}

#[test]
fn what_is_no_continuation_ends_as_a_break() {
    let call = "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\
                \"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n";
    let refusal = "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"refusal\":\"no\"}}]}\n\n";
    let two = "data: {\"id\":\"x\",\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"}}]}\n\n";
    let only_thought = "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"no\"},\"finish_reason\":\"stop\"}]}\n\n";
    let first = chat("odd", PIECES);
    for bad in [call, refusal, two, only_thought] {
        let mut live = begin(&clients::CHAT, true, &first, first.bytes.slice(..400));
        drive(&mut live);
        let second = sse(chat_decoder, &format!("{bad}data: [DONE]\n\n"));
        assert!(live.splice(paced(second.bytes), Framing::Sse, chat_decoder(), How::Prefilled));
        let out = drive(&mut live);
        assert!(matches!(live.broken, Some(Broken::Garbage(_))), "{bad}");
        assert!(!live.is_done() && !String::from_utf8_lossy(&out).contains("[DONE]"));
        assert!(matches!(live.resumable(), Resumable::No(_)));
        assert!(!live.splice(paced(Bytes::new()), Framing::Sse, chat_decoder(), How::Prefilled));
    }
}

#[test]
fn an_answer_of_which_nothing_was_said_may_become_anything() {
    let whole = "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\
                 \"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n\
                 data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n";
    let second = sse(chat_decoder, whole);
    for (side, first, until) in [
        (clients::CHAT, chat("odd", PIECES), "\"content\":\"\"},\"finish_reason\":null}]}\n\n"),
        (clients::MESSAGES, messages(false, PIECES), "event: ping"),
        (clients::RESPONSES, responses(true, PIECES), "event: response.output_text.delta"),
    ] {
        let text = std::str::from_utf8(&first.bytes).unwrap();
        let at = text.find(until).unwrap() + if until.ends_with('\n') { until.len() } else { 0 };
        let Outcome::Spliced { said, out } = cut(&side, true, &first, at, &second, How::Anew) else {
            panic!("{}", side.name);
        };
        assert_eq!(said, "");
        let told = folded(side.decoder, &out);
        let parts = &told.response().candidates[0].parts;
        assert!(matches!(parts.last(), Some(Part::ToolCall(_))), "{}: {parts:?}", side.name);
        assert!(told.ended() && told.disorder.is_none());
        (side.insists)(&out);
    }
}

#[test]
fn figures_are_of_both_calls() {
    let figures = |side: &Side, first: &Stream, second: &Stream| {
        let text = std::str::from_utf8(&first.bytes).unwrap();
        let at = text.find("tw\\\"o").unwrap() + text[text.find("tw\\\"o").unwrap()..].find("\n\n").unwrap() + 2;
        let Outcome::Spliced { out, .. } = cut(side, true, first, at, second, How::Prefilled) else {
            panic!("{}", side.name);
        };
        let usage = folded(side.decoder, &out).response().usage.unwrap();
        (usage.input, usage.output)
    };
    // "One tw\"o " is three tokens by the estimate. The first call never told its input.
    let second = chat("second", &["x"]);
    assert_eq!(figures(&clients::CHAT, &chat("odd", PIECES), &second), (27, 8));
    // It told its input.
    assert_eq!(figures(&clients::MESSAGES, &messages(false, PIECES), &second), (20, 8));
    assert_eq!(figures(&clients::RESPONSES, &responses(false, PIECES), &messages(true, &["x"])), (17, 12));
}

#[test]
fn a_seam_that_gave_nothing_leaves_room_for_another() {
    let first = messages(false, PIECES);
    let at = std::str::from_utf8(&first.bytes).unwrap().find("event: content_block_stop").unwrap();
    let mut live = begin(&clients::MESSAGES, true, &first, first.bytes.slice(..at));
    let mut out = drive(&mut live);
    let second = chat("second", &[" rest"]);
    for bytes in [Bytes::new(), second.bytes.slice(..60), Bytes::from_static(b": ping\n\n")] {
        assert!(live.splice(paced(bytes), Framing::Sse, chat_decoder(), How::Prefilled));
        out.extend(drive(&mut live));
        assert_eq!((live.broken.clone(), live.seams()), (Some(Broken::Unfinished), 0));
    }
    assert!(live.splice(paced(second.bytes), Framing::Sse, chat_decoder(), How::Prefilled));
    out.extend(drive(&mut live));
    assert_eq!((live.broken.clone(), live.seams()), (None, 1));
    assert_eq!(text_of(&folded(messages_decoder, &out)), PIECES.concat() + " rest");
    (clients::MESSAGES.insists)(&out);
}

#[test]
fn a_second_seam_goes_on_from_both_texts() {
    let first = chat("odd", PIECES);
    let mut live = begin(&clients::CHAT, true, &first, first.bytes.slice(..600));
    let reply = Reply::default();
    let writer = clients::CHAT.speak.writer(&asked(), reply);
    let decoder = chat_decoder();
    live.follow(Trail::new(Some(Shadow { decoder, writer }), 2));
    let mut out = drive(&mut live);
    for (piece, cut) in [("A", true), ("B", false)] {
        let second = messages(false, &[piece]);
        let text = std::str::from_utf8(&second.bytes).unwrap();
        let end = if cut { text.find("event: content_block_stop").unwrap() } else { text.len() };
        assert!(live.splice(paced(second.bytes.slice(..end)), Framing::Sse, messages_decoder(), How::Instructed));
        out.extend(drive(&mut live));
    }
    assert_eq!((live.broken.clone(), live.seams()), (None, 2));
    let text = text_of(&folded(chat_decoder, &out));
    assert!(text.ends_with("AB") && text.starts_with("One"), "{text}");
    (clients::CHAT.insists)(&out);
}
