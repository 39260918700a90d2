//! Written answers: any pieces of the texts, any cut of the bytes, every provider's dialect to every client's.

use super::*;
use crate::providers::codec::Framing;
use crate::wire::canonical::{Delta, Event, PartStart, Signature, ToolCallKind};
use proptest::prelude::*;

const WORD: &str = "SECRET";

/// One of the answers.
#[derive(Debug, Clone)]
struct Written {
    thought: Option<String>,
    texts: Vec<String>,
    calls: Vec<String>,
}

fn text() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        "é",
        " ",
        "🦀",
        "\n",
        "\"",
        "\\",
        "SEC",
        "RET",
        "SECRET",
        "S",
        "SE",
        "CRET",
        "words of it ",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..10).prop_map(|pieces| pieces.concat())
}

/// What a tool is called with; some letters as escapes.
fn call() -> impl Strategy<Value = String> {
    (text(), text(), any::<bool>()).prop_map(|(one, other, escaped)| {
        let json = serde_json::json!({"one": one, "more": [other, 1, true]}).to_string();
        if escaped { json.replace('S', "\\u0053") } else { json }
    })
}

fn written() -> impl Strategy<Value = Written> {
    let calls = proptest::collection::vec(call(), 0..3);
    let texts = proptest::collection::vec(text(), 1..3);
    (proptest::option::of(text()), texts, calls).prop_map(|(thought, texts, calls)| Written { thought, texts, calls })
}

/// The events that spell an answer, in pieces of so many letters.
fn events(candidate: u32, written: &Written, letters: usize, origin: Dialect) -> Vec<Event<'static>> {
    let mut all = Vec::new();
    let mut part = 0;
    let mut push =
        |start: PartStart<'static>, text: &str, delta: fn(String) -> Delta<'static>, behind: Option<Delta<'static>>| {
            all.push(Event::PartStart { candidate, part, start });
            let text: Vec<char> = text.chars().collect();
            for piece in text.chunks(letters) {
                let delta = delta(piece.iter().collect());
                all.push(Event::Delta { candidate, part, delta });
            }
            if let Some(delta) = behind {
                all.push(Event::Delta { candidate, part, delta });
            }
            all.push(Event::PartEnd { candidate, part });
            part += 1;
        };
    if let Some(thought) = &written.thought {
        let signature = Delta::Signature(Signature::new(origin, "c2lnbmVk"));
        let start = PartStart::Thinking { id: None };
        push(start, thought, |text| Delta::Thinking(text.into()), Some(signature));
    }
    for text in &written.texts {
        push(PartStart::Text, text, |text| Delta::Text(text.into()), None);
    }
    for (number, call) in written.calls.iter().enumerate() {
        let start = PartStart::ToolCall {
            id: format!("call_{candidate}_{number}").into(),
            name: "look".into(),
            kind: ToolCallKind::Function,
            signature: None,
        };
        push(start, call, |text| Delta::Arguments(text.into()), None);
    }
    all.push(Event::Finish {
        candidate,
        finish: if written.calls.is_empty() {
            Finish::Stop
        } else {
            Finish::ToolCalls
        },
        stop_sequence: None,
    });
    all
}

/// A provider's stream of these answers, side by side.
fn stream(from: &Side, all: &[Written], letters: usize, order: &[bool]) -> Stream {
    let mut writer = from.speak.writer(&asked(), reply());
    let mut out = Vec::new();
    let mut put = |event: &Event<'_>| writer.event(event, &mut out);
    put(&Event::Start {
        id: "x1".into(),
        model: "m".into(),
        created: Some(77),
        usage: None,
        service_tier: None,
        fingerprint: None,
    });
    let mut queues: Vec<_> = (0..)
        .zip(all)
        .map(|(index, written)| events(index, written, letters, from.dialect).into_iter().peekable())
        .collect();
    let mut turns = order.iter().cycle();
    while queues.iter_mut().any(|queue| queue.peek().is_some()) {
        let at = usize::from(queues.len() > 1 && *turns.next().unwrap());
        if let Some(event) = queues[at].next() {
            put(&event);
        } else if let Some(event) = queues.iter_mut().find_map(Iterator::next) {
            put(&event);
        }
    }
    put(&Event::Usage(Usage {
        input: 9,
        output: 21,
        ..Usage::default()
    }));
    put(&Event::End);
    Stream {
        framing: Framing::Sse,
        decoder: from.decoder,
        bytes: out.into(),
    }
}

/// Providers that can give so many answers, and clients that can take them.
fn sides(answers: usize) -> (Vec<Side>, Vec<Side>) {
    use clients::{ALL, CHAT, COMPLETIONS, GEMINI, MESSAGES, RESPONSES};
    match answers {
        1 => (vec![CHAT, MESSAGES, GEMINI, RESPONSES], ALL.to_vec()),
        _ => (vec![CHAT, GEMINI], vec![CHAT, COMPLETIONS, GEMINI]),
    }
}

fn each_pair(answers: usize) -> Vec<(Side, Side, bool)> {
    let (from, to) = sides(answers);
    let pairs = from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to)));
    pairs.map(|(from, to)| (from, to, from.name == to.name)).collect()
}

fn found(verdicts: &[Verdict]) -> u32 {
    verdicts.iter().flat_map(|verdict| verdict.found.values()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_is_redacted_as_its_whole(
        all in proptest::collection::vec(written(), 1..3),
        letters in 1..9usize,
        step in 1..300usize,
        order in proptest::collection::vec(any::<bool>(), 1..20),
    ) {
        for (from, to, native) in each_pair(all.len()) {
            let stream = stream(&from, &all, letters, &order);
            let plain = told(&to, &send(&to, native, &stream, 1 << 20, None).out);
            let policy = policy(&[(WORD, Action::Redact), ("🦀", Action::Flag)]);
            let mut judge = Judge::new(&policy, Direction::Output);
            let wanted = gist(&plain, Some(&mut judge));
            let sent = send(&to, native, &stream, step, Some(&policy));
            let shown = || format!("{} to {}: {}", from.name, to.name, String::from_utf8_lossy(&sent.out));
            let after = told(&to, &sent.out);
            prop_assert_eq!(gist(&after, None), wanted, "{}", shown());
            prop_assert_eq!(after.usage, plain.usage);
            if to.name != clients::COMPLETIONS.name {
                // Which see neither calls nor thoughts, though both are judged.
                prop_assert_eq!(&sent.verdicts, &judge.verdicts(), "{}", shown());
            }
            prop_assert!(memchr::memmem::find(&sent.out, WORD.as_bytes()).is_none(), "{}", shown());
            let whole = send(&to, native, &stream, 1 << 20, Some(&policy)).out;
            prop_assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&sent.out));
            if all.len() == 1 {
                (to.insists)(&sent.out);
            }
        }
    }

    #[test]
    fn what_is_only_flagged_passes_as_it_is(
        all in proptest::collection::vec(written(), 1..3),
        letters in 1..9usize,
        step in 1..300usize,
        order in proptest::collection::vec(any::<bool>(), 1..20),
    ) {
        for (from, to, native) in each_pair(all.len()) {
            let stream = stream(&from, &all, letters, &order);
            let plain = send(&to, native, &stream, 1 << 20, None).out;
            let policy = policy(&[(WORD, Action::Flag)]);
            let mut judge = Judge::new(&policy, Direction::Output);
            gist(&told(&to, &plain), Some(&mut judge));
            let sent = send(&to, native, &stream, step, Some(&policy));
            prop_assert_eq!(String::from_utf8_lossy(&sent.out), String::from_utf8_lossy(&plain));
            prop_assert!(!native || plain == stream.bytes);
            if to.name != clients::COMPLETIONS.name {
                prop_assert_eq!(found(&sent.verdicts), found(&judge.verdicts()), "{} to {}", from.name, to.name);
            }
        }
    }

    #[test]
    fn what_is_blocked_ends_as_a_refusal(
        all in proptest::collection::vec(written(), 1..3),
        letters in 1..9usize,
        step in 1..300usize,
        order in proptest::collection::vec(any::<bool>(), 1..20),
    ) {
        for (from, to, native) in each_pair(all.len()) {
            let stream = stream(&from, &all, letters, &order);
            let plain = told(&to, &send(&to, native, &stream, 1 << 20, None).out);
            let policy = policy(&[("é", Action::Redact), (WORD, Action::Block)]);
            let mut judge = Judge::new(&policy, Direction::Output);
            let wanted = gist(&plain, Some(&mut judge));
            let sent = send(&to, native, &stream, step, Some(&policy));
            let shown = || format!("{} to {}: {}", from.name, to.name, String::from_utf8_lossy(&sent.out));
            if to.name != clients::COMPLETIONS.name {
                prop_assert_eq!(sent.refused, judge.blocked().is_some(), "{}", shown());
            }
            let after = gist(&told(&to, &sent.out), None);
            prop_assert!(memchr::memmem::find(&sent.out, WORD.as_bytes()).is_none(), "{}", shown());
            if !sent.refused {
                prop_assert_eq!(after, wanted, "{}", shown());
                continue;
            }
            prop_assert!(after.iter().any(|one| matches!(one.finish, Some(Finish::ContentFilter | Finish::Refusal))));
            if all.len() == 1 {
                let (after, wanted) = (&after[0], &wanted[0]);
                prop_assert!(wanted.texts.starts_with(&after.texts), "{}", shown());
                prop_assert!(wanted.thoughts.starts_with(&after.thoughts), "{}", shown());
                // Of a text only what could have become a finding is missing.
                let missing = wanted.texts.len() + wanted.thoughts.len() - after.texts.len() - after.thoughts.len();
                prop_assert!(missing < WORD.len() * 2 || to.name == clients::COMPLETIONS.name, "{}", shown());
                prop_assert!(wanted.calls.starts_with(&after.calls), "{}", shown());
                (to.insists)(&sent.out);
            }
        }
    }
}
