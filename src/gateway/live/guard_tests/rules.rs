//! What is dropped, what is held back, how refusals end.

use super::super::continuation_tests::streams::{chat, messages, sse};
use super::*;
use crate::wire::canonical::{
    Citation, Delta, Event, Logprob, Media, MediaKind, PartStart, Signature, Source as Where, ToolCallKind,
};

fn shown(part: u32) -> String {
    let known = (part != u32::MAX).then(|| part.to_string());
    known.unwrap_or_else(|| "-".to_owned())
}

fn line(event: &Event<'_>) -> String {
    match event {
        Event::PartStart { candidate, part, start } => {
            let start = match start {
                PartStart::Text => "text".to_owned(),
                PartStart::Refusal => "refusal".to_owned(),
                PartStart::Thinking { .. } => "thinking".to_owned(),
                PartStart::ToolCall { name, .. } => format!("call {name}"),
                PartStart::Whole(part) => match part.as_ref() {
                    Part::Media(media) => format!("sound {:?}", media.transcript.as_deref().unwrap_or_default()),
                    Part::Opaque { raw, .. } => format!("opaque {raw}"),
                    Part::Text { text, .. } => format!("whole {text}"),
                    other => format!("{other:?}"),
                },
            };
            let part = shown(*part);
            format!("{candidate}.{part} {start}")
        }
        Event::Delta { candidate, part, delta } => {
            let delta = match delta {
                Delta::Text(text) | Delta::Thinking(text) | Delta::Arguments(text) => format!("{text:?}"),
                Delta::Signature(_) => "signature".to_owned(),
                Delta::Citation(citation) => format!("citation {:?}", citation.span),
                Delta::Logprobs(all) => format!(
                    "tokens {:?}",
                    all.iter().map(|one| one.token.as_ref()).collect::<String>()
                ),
            };
            format!("{candidate}.{part} + {delta}")
        }
        Event::PartEnd { candidate, part } => {
            let part = shown(*part);
            format!("{candidate}.{part} end")
        }
        Event::Finish { candidate, finish, .. } => format!("{candidate} {finish:?}"),
        Event::Usage(usage) => format!("usage {}", usage.output),
        Event::End => "end".to_owned(),
        other => format!("{other:?}"),
    }
}

fn begins(part: u32, start: PartStart<'static>) -> Event<'static> {
    Event::PartStart {
        candidate: 0,
        part,
        start,
    }
}

fn more(part: u32, delta: Delta<'static>) -> Event<'static> {
    Event::Delta {
        candidate: 0,
        part,
        delta,
    }
}

fn says(part: u32, text: &'static str) -> Event<'static> {
    more(part, Delta::Text(text.into()))
}

fn thinks(part: u32, text: &'static str) -> Event<'static> {
    more(part, Delta::Thinking(text.into()))
}

fn gives(part: u32, text: impl Into<std::borrow::Cow<'static, str>>) -> Event<'static> {
    more(part, Delta::Arguments(text.into()))
}

fn ends(part: u32) -> Event<'static> {
    Event::PartEnd { candidate: 0, part }
}

fn tokens(part: u32, token: &'static str) -> Event<'static> {
    let one = Logprob {
        token: token.into(),
        logprob: -0.5,
        top: Vec::new(),
    };
    more(part, Delta::Logprobs(vec![one]))
}

fn signs(part: u32) -> Event<'static> {
    more(part, Delta::Signature(Signature::new(Dialect::Anthropic, "c2ln")))
}

fn cites(part: u32, quoted: &'static str, span: (u64, u64)) -> Event<'static> {
    let citation = Citation {
        cited_text: Some(quoted.into()),
        span: Some(span),
        ..Citation::default()
    };
    more(part, Delta::Citation(Box::new(citation)))
}

fn call(part: u32) -> Event<'static> {
    begins(
        part,
        PartStart::ToolCall {
            id: "c1".into(),
            name: "look".into(),
            kind: ToolCallKind::Function,
            signature: None,
        },
    )
}

fn finish() -> Event<'static> {
    Event::Finish {
        candidate: 0,
        finish: Finish::Stop,
        stop_sequence: None,
    }
}

/// What passes of these, in few words.
fn passes(client: Dialect, words: &[(&str, Action)], events: &[Event<'static>]) -> Vec<String> {
    let mut guard = Guard::new(&policy(words), client).unwrap();
    let mut out = Vec::new();
    for event in events {
        guard.event(event, &mut |event| out.push(line(event)));
    }
    if guard.is_refused() {
        out.push("refused".to_owned());
        guard.close(Usage::default(), &mut |event| out.push(line(event)));
    }
    out
}

const REDACTS: &[(&str, Action)] = &[("SECRET", Action::Redact)];
const BLOCKS: &[(&str, Action)] = &[("SECRET", Action::Block)];
const FLAGS: &[(&str, Action)] = &[("SECRET", Action::Flag)];

#[test]
fn without_a_guardrail_for_answers_nothing_is_judged() {
    assert!(Guard::new(&Policy::default(), Dialect::OpenAi).is_none());
    assert!(!Guard::new(&policy(FLAGS), Dialect::OpenAi).unwrap().acts());
}

#[test]
fn only_what_may_become_a_finding_is_held_back_and_nothing_overtakes_it() {
    let events = [
        begins(0, PartStart::Text),
        says(0, "one "),
        tokens(0, "one "),
        says(0, ""),
        says(0, "SEC"),
        tokens(0, "SEC"),
        cites(0, "a book", (0, 3)),
        says(0, "ON"),
        tokens(0, "ON"),
        says(0, "D SE"),
        signs(0),
        ends(0),
        finish(),
    ];
    let wanted = [
        "0.0 text",
        "0.0 + \"one \"",
        "0.0 + tokens \"one \"",
        "0.0 + \"SEC\"",
        "0.0 + tokens \"SEC\"",
        "0.0 + citation Some((0, 3))",
        "0.0 + \"ON\"",
        "0.0 + tokens \"ON\"",
        "0.0 + \"D \"",
        "0.0 + \"SE\"",
        "0.0 + signature",
        "0.0 end",
        "0 Stop",
    ];
    assert_eq!(passes(Dialect::Anthropic, REDACTS, &events), wanted);
    let flagged = passes(Dialect::Anthropic, FLAGS, &events);
    assert_eq!(flagged, events.iter().map(line).collect::<Vec<_>>());
}

#[test]
fn what_spells_or_proves_a_text_goes_when_something_in_it_is_replaced() {
    let events = [
        begins(0, PartStart::Thinking { id: None }),
        thinks(0, "a SECRE"),
        thinks(0, "T"),
        signs(0),
        ends(0),
        begins(1, PartStart::Text),
        says(1, "b"),
        // Of the same choice: who knows which text they are of.
        tokens(1, "b"),
        cites(1, "fine", (0, 1)),
        says(1, "SECRET"),
        cites(1, "the SECRET", (0, 1)),
        cites(1, "fine", (1, 7)),
        ends(1),
    ];
    let wanted = [
        "0.0 thinking",
        "0.0 + \"a \"",
        "0.0 + \"[WORD]\"",
        "0.0 end",
        "0.1 text",
        "0.1 + \"b\"",
        "0.1 + citation Some((0, 1))",
        "0.1 + \"[WORD]\"",
        "0.1 + citation None",
        "0.1 end",
    ];
    assert_eq!(passes(Dialect::Anthropic, REDACTS, &events), wanted);
}

#[test]
fn a_call_passes_when_it_is_complete_and_judged() {
    let events = [
        call(0),
        gives(0, "{\"a\":\"\\u0053EC"),
        tokens(0, "SEC"),
        gives(0, "RET\","),
        gives(0, "\"n\":1}"),
        ends(0),
        call(1),
        gives(1, "{\"cut\":\"SECRE"),
        ends(1),
    ];
    let wanted = [
        "0.0 call look",
        "0.0 + \"{\\\"a\\\":\\\"[WORD]\\\",\\\"n\\\":1}\"",
        "0.0 end",
        "0.1 call look",
        "0.1 + \"{\\\"cut\\\":\\\"SECRE\"",
        "0.1 end",
    ];
    assert_eq!(passes(Dialect::OpenAi, REDACTS, &events), wanted);
    // One that is refused was never begun.
    let wanted = ["refused", "0 ContentFilter", "usage 0", "end"];
    assert_eq!(passes(Dialect::OpenAi, BLOCKS, &events), wanted);
    let flagged = passes(Dialect::OpenAi, FLAGS, &events);
    assert_eq!(flagged, events.iter().map(line).collect::<Vec<_>>());
}

#[test]
fn a_call_that_is_too_long_to_be_judged_is_refused() {
    let long = "é".repeat(300_000);
    let events = [
        begins(0, PartStart::Text),
        says(0, "hm"),
        ends(0),
        call(1),
        gives(1, long.clone()),
        gives(1, long),
        ends(1),
        finish(),
    ];
    let refused = [
        "0.0 text",
        "0.0 + \"hm\"",
        "0.0 end",
        "refused",
        "0 ContentFilter",
        "usage 0",
        "end",
    ];
    assert_eq!(passes(Dialect::Anthropic, REDACTS, &events), refused);
    assert_eq!(passes(Dialect::Anthropic, FLAGS, &events).len(), events.len());
}

#[test]
fn texts_that_are_one_to_a_client_are_judged_as_one() {
    let split = |between: &[Event<'static>]| {
        let mut events = vec![begins(0, PartStart::Text), says(0, "a SEC"), ends(0)];
        events.extend_from_slice(between);
        events.extend([
            begins(2, PartStart::Text),
            says(2, "RET"),
            cites(2, "fine", (0, 3)),
            ends(2),
            finish(),
        ]);
        events
    };
    let said = |client, words, between: &[Event<'static>]| {
        let lines = passes(client, words, &split(between));
        let said = lines.iter().filter_map(|line| line.split_once("+ \""));
        said.map(|(_, text)| text.trim_end_matches('"')).collect::<String>()
    };
    let between = [call(1), gives(1, "{}"), ends(1)];
    assert_eq!(said(Dialect::OpenAi, REDACTS, &[]), "a [WORD]");
    assert_eq!(said(Dialect::OpenAi, REDACTS, &between), "a {}[WORD]");
    assert_eq!(said(Dialect::Gemini, REDACTS, &[]), "a [WORD]");
    assert_eq!(said(Dialect::Gemini, REDACTS, &between), "a SEC{}RET");
    assert_eq!(said(Dialect::Anthropic, REDACTS, &[]), "a SECRET");
    // Places of citations count from the beginning of what was joined.
    let lines = passes(Dialect::OpenAi, &[("nothing", Action::Redact)], &split(&[]));
    assert_eq!(
        lines.last_chunk::<3>().unwrap(),
        &["0.0 + citation Some((5, 8))", "0.0 end", "0 Stop"]
    );
}

#[test]
fn parts_that_come_whole_are_judged_and_words_in_sounds_are_one_text() {
    let sound = |part: u32, words: &'static str| {
        let mut media = Media::new(MediaKind::Audio, Where::Base64("AAAA".into()), None);
        media.transcript = Some(words.into());
        [begins(part, PartStart::Whole(Box::new(Part::Media(media)))), ends(part)]
    };
    let opaque = Part::Opaque {
        dialect: Dialect::Anthropic,
        kind: "web_search_tool_result".into(),
        raw: r#"{"type":"web_search_tool_result","tool_use_id":"SECRET","content":[{"title":"the \u0053ECRET"}]}"#
            .into(),
    };
    let mut events = Vec::new();
    events.extend(sound(0, "my SEC"));
    events.extend(sound(1, "RET, S"));
    events.extend([begins(2, PartStart::Whole(Box::new(opaque))), ends(2)]);
    events.extend([
        begins(3, PartStart::Whole(Box::new(Part::text("SECRET")))),
        ends(3),
        finish(),
    ]);
    let wanted = [
        "0.0 sound \"my \"",
        "0.0 end",
        "0.1 sound \"[WORD], \"",
        "0.1 end",
        "0.2 opaque {\"type\":\"web_search_tool_result\",\"tool_use_id\":\"SECRET\",\"content\":[{\"title\":\"the [WORD]\"}]}",
        "0.2 end",
        "0.3 whole [WORD]",
        "0.3 end",
        "0.- sound \"S\"",
        "0.- end",
        "0 Stop",
    ];
    assert_eq!(passes(Dialect::Anthropic, REDACTS, &events), wanted);
    let blocked = passes(Dialect::Anthropic, BLOCKS, &events);
    assert_eq!(blocked[..3], ["0.0 sound \"my \"", "0.0 end", "refused"]);
}

#[test]
fn a_refusal_ends_every_choice_that_had_not() {
    let of = |event: Event<'static>| match event {
        Event::PartStart { part, start, .. } => Event::PartStart {
            candidate: 1,
            part,
            start,
        },
        Event::Delta { part, delta, .. } => Event::Delta {
            candidate: 1,
            part,
            delta,
        },
        event => event,
    };
    let events = [
        begins(0, PartStart::Text),
        of(begins(0, PartStart::Text)),
        says(0, "done"),
        ends(0),
        finish(),
        of(says(0, "so SECRET it is")),
        of(says(0, "more")),
    ];
    let wanted = [
        "0.0 text",
        "1.0 text",
        "0.0 + \"done\"",
        "0.0 end",
        "0 Stop",
        "1.0 + \"so \"",
        "1.0 end",
        "refused",
        "1 ContentFilter",
        "usage 0",
        "end",
    ];
    assert_eq!(passes(Dialect::Anthropic, BLOCKS, &events), wanted);
}

#[test]
fn what_is_held_of_a_broken_stream_passes_before_the_error() {
    let whole = chat("first", &["one SECRE"]);
    let cut = whole.bytes.len() - 300;
    let cut = whole
        .bytes
        .slice(..memchr::memmem::rfind(&whole.bytes[..cut.max(400)], b"data:").unwrap_or(cut));
    let stream = Stream { bytes: cut, ..whole };
    let sent = send(&clients::CHAT, true, &stream, 50, Some(&policy(REDACTS)));
    assert_eq!(sent.broken, Some(Broken::Unfinished));
    let said = gist(fold(&clients::CHAT, &sent.out).response(), None);
    assert_eq!(said[0].texts, "one SECRE", "{}", String::from_utf8_lossy(&sent.out));
}

#[test]
fn comments_of_a_stream_that_may_be_held_back_pass_as_pings() {
    let whole = chat("first", &["one ", "two"]);
    let text = String::from_utf8(whole.bytes.to_vec()).unwrap();
    let at = text.find("data: {\"id\":\"first\",\"object\":\"chat.completion.chunk\",\"created\":77,\"model\":\"m-first\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"two\"").unwrap();
    let (head, tail) = text.split_at(at);
    let stream = sse(whole.decoder, &format!("{head}: alive\n\n{tail}"));
    let sent = send(&clients::CHAT, true, &stream, 1 << 20, Some(&policy(REDACTS)));
    assert!(String::from_utf8_lossy(&sent.out).contains(": ping\n\n"));
    assert_eq!(gist(&told(&clients::CHAT, &sent.out), None)[0].texts, "one two");
}

/// The answer breaks off in the middle of the word, and another target goes on with it.
fn sewn(words: &[(&str, Action)], native: bool) -> Sent {
    let first = chat("first", &["one SEC", "RET two"]);
    let text = String::from_utf8(first.bytes.to_vec()).unwrap();
    let at = text.find("RET two").unwrap();
    let cut = Stream {
        bytes: first.bytes.slice(..text[..at].rfind("data:").unwrap()),
        ..first.clone()
    };
    let policy = policy(words);
    let mut live = begin(&clients::CHAT, native, &cut, 40, None);
    let shadow = (native && words == FLAGS).then(|| Shadow {
        decoder: (first.decoder)(),
        writer: clients::CHAT.speak.writer(&asked(), reply()),
    });
    if native && words != FLAGS {
        let translation = Translation::new((first.decoder)(), clients::CHAT.speak.writer(&asked(), reply()));
        live = LiveStream::translated(paced(&cut.bytes, 40), CAPS, cut.framing, translation);
    }
    live.follow(Trail::new(shadow, 1));
    live.guard(Guard::new(&policy, Dialect::OpenAi).unwrap(), Some((first.decoder)()));
    let mut out = Vec::new();
    while live.broken.is_none() {
        futures::FutureExt::now_or_never(live.fill()).unwrap();
        out.extend_from_slice(&live.take());
    }
    let second = messages(false, &["RET", " two"]);
    assert_eq!(live.resumable(), Resumable::Text("one SEC"));
    assert!(live.splice(
        paced(&second.bytes, 40),
        second.framing,
        (second.decoder)(),
        How::Prefilled
    ));
    let sent = drive(live);
    out.extend(sent.out);
    Sent { out, ..sent }
}

#[test]
fn across_a_seam_a_text_is_one_text() {
    for native in [true, false] {
        let sent = sewn(REDACTS, native);
        assert_eq!(gist(&told(&clients::CHAT, &sent.out), None)[0].texts, "one [WORD] two");
        let sent = sewn(FLAGS, native);
        assert_eq!(gist(&told(&clients::CHAT, &sent.out), None)[0].texts, "one SECRET two");
        assert_eq!(sent.verdicts.len(), 1, "{native}");
        let sent = sewn(BLOCKS, native);
        let end = told(&clients::CHAT, &sent.out);
        assert!(sent.refused);
        assert_eq!(gist(&end, None)[0].texts, "one ");
        assert_eq!(gist(&end, None)[0].finish, Some(Finish::ContentFilter));
    }
}

#[test]
fn who_asks_for_usage_gets_it_with_a_refusal() {
    let stream = chat("first", &["one SECRET ", "two"]);
    let sent = send(&clients::CHAT, true, &stream, 1 << 20, Some(&policy(BLOCKS)));
    let end = told(&clients::CHAT, &sent.out);
    assert_eq!(end.usage.unwrap().input, 3);
    assert_eq!(sent.verdicts[0].action, Action::Block);
    let text = String::from_utf8(sent.out).unwrap();
    assert!(
        text.ends_with("data: [DONE]\n\n") && text.contains("\"finish_reason\":\"content_filter\""),
        "{text}"
    );
    assert!(!text.contains("two"));
}

#[test]
fn what_is_held_back_is_bounded_whatever_comes() {
    let mut guard = Guard::new(&policy(REDACTS), Dialect::Anthropic).unwrap();
    let mut passed = 0;
    let mut out = |_: &Event<'_>| passed += 1;
    guard.event(&begins(0, PartStart::Text), &mut out);
    guard.event(&says(0, "SEC"), &mut out);
    for _ in 0..100_000 {
        guard.event(&tokens(0, "SEC"), &mut out);
    }
    guard.event(&says(0, "URE"), &mut out);
    guard.event(&ends(0), &mut out);
    assert!((1000..20_000).contains(&passed), "{passed}");
}
