//! Streams cut everywhere and gone on with by another target: what the client gets is one whole answer of its dialect.
//!
//! `clients` says what a client insists on, `recorded` runs the recordings; here are the small streams and the rules.

pub(super) mod clients;
pub(super) mod recorded;
pub(super) mod streams;

use self::clients::Side;
use self::streams::*;
use super::translated::Translation;
use super::*;
use crate::wire::canonical::{Fold, Part, Request};
use crate::wire::client::Reply;

const CAPS: Caps = Caps {
    event: 8 << 20,
    depth: 64,
};

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
    let parts = fold
        .response()
        .candidates
        .first()
        .map_or(&[][..], |candidate| &candidate.parts);
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
            let rest = if said.ends_with(' ') {
                "and the rest…"
            } else {
                " and the rest…"
            };
            let shown = String::from_utf8_lossy(&out);
            assert_eq!(text_of(&told), format!("{said}{rest}"), "{} {at}: {shown}", side.name);
            assert!(
                told.ended() && told.disorder.is_none() && told.error.is_none(),
                "{} {at}: {shown}",
                side.name
            );
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
        for first in [
            chat("odd", PIECES),
            messages(true, PIECES),
            gemini(PIECES),
            responses(true, PIECES),
        ] {
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
fn reasoning_is_not_kept_without_end() {
    let delta = |name: &str, text: &str| {
        let delta = serde_json::json!({ name: text });
        format!("data: {{\"id\":\"x\",\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n")
    };
    for (times, long) in [(3, false), (5, true)] {
        let thoughts = delta("reasoning_content", &"x".repeat(256 * 1024)).repeat(times);
        let first = sse(chat_decoder, &format!("{thoughts}{}", delta("content", "said")));
        let mut live = begin(&clients::CHAT, true, &first, first.bytes.clone());
        drive(&mut live);
        let too_long = Resumable::No("reasoning that is too long");
        assert_eq!(live.resumable() == too_long, long, "{times}");
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
        assert!(matches!(live.broken, Some(Broken::NoContinuation(_))), "{bad}");
        assert!(!live.is_done() && !String::from_utf8_lossy(&out).contains("[DONE]"));
        // Nothing of it has reached the client: another may go on, unless it says something first.
        assert!(matches!(live.resumable(), Resumable::Text(_)) && live.seams() == 0);
        let says = "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
        let third = sse(chat_decoder, &format!("{says}{bad}"));
        assert!(live.splice(paced(third.bytes), Framing::Sse, chat_decoder(), How::Prefilled));
        drive(&mut live);
        assert!(
            bad == only_thought || matches!(live.resumable(), Resumable::No(why) if why != "seams enough"),
            "{bad}"
        );
    }
}

#[test]
fn an_answer_of_which_nothing_was_said_may_become_anything() {
    let whole = "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\
                 \"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n\
                 data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n";
    let second = sse(chat_decoder, whole);
    for (side, first, until) in [
        (
            clients::CHAT,
            chat("odd", PIECES),
            "\"content\":\"\"},\"finish_reason\":null}]}\n\n",
        ),
        (clients::MESSAGES, messages(false, PIECES), "event: ping"),
        (
            clients::RESPONSES,
            responses(true, PIECES),
            "event: response.output_text.delta",
        ),
    ] {
        let text = std::str::from_utf8(&first.bytes).unwrap();
        let at = text.find(until).unwrap() + if until.ends_with('\n') { until.len() } else { 0 };
        let Outcome::Spliced { said, out } = cut(&side, true, &first, at, &second, How::Anew) else {
            panic!("{}", side.name);
        };
        assert_eq!(said, "");
        let told = folded(side.decoder, &out);
        let parts = &told.response().candidates[0].parts;
        assert!(
            matches!(parts.last(), Some(Part::ToolCall(_))),
            "{}: {parts:?}",
            side.name
        );
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
    assert_eq!(
        figures(&clients::RESPONSES, &responses(false, PIECES), &messages(true, &["x"])),
        (17, 12)
    );
}

#[test]
fn a_seam_that_gave_nothing_leaves_room_for_another() {
    let first = messages(false, PIECES);
    let at = std::str::from_utf8(&first.bytes)
        .unwrap()
        .find("event: content_block_stop")
        .unwrap();
    let mut live = begin(&clients::MESSAGES, true, &first, first.bytes.slice(..at));
    let mut out = drive(&mut live);
    let second = chat("second", &[" rest"]);
    for bytes in [
        Bytes::new(),
        second.bytes.slice(..60),
        Bytes::from_static(b": ping\n\n"),
    ] {
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
        let end = if cut {
            text.find("event: content_block_stop").unwrap()
        } else {
            text.len()
        };
        assert!(live.splice(
            paced(second.bytes.slice(..end)),
            Framing::Sse,
            messages_decoder(),
            How::Instructed
        ));
        out.extend(drive(&mut live));
    }
    assert_eq!((live.broken.clone(), live.seams()), (None, 2));
    let text = text_of(&folded(chat_decoder, &out));
    assert!(text.ends_with("AB") && text.starts_with("One"), "{text}");
    (clients::CHAT.insists)(&out);
}

#[test]
fn an_error_in_the_stream_and_garbage_are_breaks_like_any_other() {
    for (side, first, until, bad) in [
        (
            clients::CHAT,
            chat("odd", PIECES),
            "thr",
            "data: {\"error\":{\"message\":\"overloaded\"}}\n\n",
        ),
        (clients::CHAT, chat("odd", PIECES), "thr", "data: <html>\n\n"),
        (
            clients::MESSAGES,
            messages(false, PIECES),
            "thr",
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n",
        ),
    ] {
        let text = std::str::from_utf8(&first.bytes).unwrap();
        let at = text.find(until).unwrap() + text[text.find(until).unwrap()..].find("\n\n").unwrap() + 2;
        for native in [true, false] {
            let broken = sse(first.decoder, &format!("{}{bad}", &text[..at]));
            let second = chat("second", &["x"]);
            let Outcome::Spliced { said, out } =
                cut(&side, native, &broken, broken.bytes.len(), &second, How::Prefilled)
            else {
                panic!("{bad}");
            };
            assert_eq!(said, PIECES.concat());
            assert_eq!(text_of(&folded(side.decoder, &out)), said + "x");
            (side.insists)(&out);
        }
    }
}

#[test]
fn an_array_stays_an_array() {
    let first = gemini(PIECES);
    let at = std::str::from_utf8(&first.bytes).unwrap().find("thr").unwrap();
    for native in [true, false] {
        let reply = Reply {
            json_array: true,
            ..Reply::default()
        };
        let (decoder, writer) = (gemini_decoder(), clients::GEMINI.speak.writer(&asked(), reply));
        let source = paced(first.bytes.slice(..at));
        let mut live = if native {
            let mut live = LiveStream::native(source, CAPS, Dialect::Gemini, false, true);
            live.follow(Trail::new(Some(Shadow { decoder, writer }), 1));
            live
        } else {
            let translation = Translation::new(decoder, writer);
            let mut live = LiveStream::translated(source, CAPS, Framing::Sse, translation);
            live.follow(Trail::new(None, 1));
            live
        };
        let mut out = drive(&mut live);
        let second = chat("second", &["x"]);
        assert!(live.splice(paced(second.bytes), Framing::Sse, chat_decoder(), How::Prefilled));
        out.extend(drive(&mut live));
        let all: Vec<serde_json::Value> = serde_json::from_slice(&out).unwrap();
        let text = |chunk: &serde_json::Value| chunk["candidates"][0]["content"]["parts"][0]["text"].clone();
        let said: String = all
            .iter()
            .map(|chunk| text(chunk).as_str().unwrap().to_owned())
            .collect();
        assert_eq!(said, "One tw\"o x");
    }
}

proptest::proptest! {
    /// Whatever the next target sends: no panic, one seam at most, an end only if all went well, and no word lost.
    #[test]
    fn any_rest_is_survived(
        parts in proptest::collection::vec(proptest::sample::select(vec![
            "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"One \"}}]}\n\n",
            "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"tw\\\"o \"}}]}\n\n",
            "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"r\"}}]}\n\n",
            "data: {\"id\":\"x\",\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}}]}\n\n",
            "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"f\"}}]}}]}\n\n",
            "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":18446744073709551615,\"completion_tokens\":18446744073709551615}}\n\n",
            "data: [DONE]\n\n", ": c\n\n", "data: {", "\n\n",
        ]), 0..8),
        side in 0..5usize,
        how in proptest::sample::select(vec![How::Anew, How::Prefilled, How::Instructed]),
        until in 0..3usize,
    ) {
        let side = clients::ALL[side];
        let first = chat("odd", PIECES);
        let at = [180, 400, 560][until];
        let mut live = begin(&side, false, &first, first.bytes.slice(..at));
        let mut out = drive(&mut live);
        let before = text_of(&folded(side.decoder, &out));
        proptest::prop_assert!(live.splice(paced(parts.concat().into()), Framing::Sse, chat_decoder(), how));
        out.extend(drive(&mut live));
        let told = folded(side.decoder, &out);
        proptest::prop_assert!(text_of(&told).starts_with(&before));
        let ends = ["[DONE]", "message_stop", "response.completed"];
        let shown = String::from_utf8_lossy(&out);
        proptest::prop_assert!(live.broken.is_none() || !ends.iter().any(|end| shown.contains(end)), "{}", shown);
        proptest::prop_assert!(live.seams() <= 1 && told.disorder.is_none());
    }
}
