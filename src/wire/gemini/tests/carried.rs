//! Another vendor's reasoning comes back from applications that leave thoughts out, and from those that do not.

use super::written::{foreign, streamed};
use super::*;

fn thinking(text: &'static str, data: &'static str) -> Part<'static> {
    Part::Thinking(Thinking {
        text: text.into(),
        signature: Some(Signature::new(Dialect::Anthropic, data)),
        redacted: text.is_empty(),
        id: None,
    })
}

fn call(id: &'static str, signature: Option<Signature<'static>>) -> Part<'static> {
    Part::ToolCall(ToolCall {
        id: id.into(),
        name: "f".into(),
        arguments: r#"{"a":[1,2]}"#.into(),
        kind: ToolCallKind::Function,
        signature,
        cache: None,
    })
}

/// The parts a client is sent, whole.
fn whole(parts: Vec<Part<'static>>) -> Vec<Json> {
    let response = Response {
        candidates: vec![Candidate {
            parts,
            ..Candidate::default()
        }],
        ..Response::default()
    };
    let mut out = Vec::new();
    writer(false).whole(&response, &mut out);
    let sent: Json = serde_json::from_slice(&out).unwrap();
    sent["candidates"][0]["content"]["parts"].as_array().unwrap().clone()
}

/// The same of a stream.
fn chunks(parts: Vec<Part<'static>>) -> Vec<Json> {
    let all: Vec<Json> = serde_json::from_str(&streamed(parts, true)).unwrap();
    all.iter()
        .flat_map(|chunk| chunk["candidates"][0]["content"]["parts"].as_array().unwrap().clone())
        .collect()
}

/// What is read of a model turn.
fn read(parts: &[Json]) -> Vec<Part<'static>> {
    let text = json!({"contents":[{"parts":[{"text":"hi"}]},{"role":"model","parts":parts}]}).to_string();
    let body = node(&text);
    let request = Gemini.read(&body, false).unwrap();
    request.messages[1].parts.iter().map(Part::to_static).collect()
}

/// What Gemini CLI sends back: no thoughts, texts joined, nothing empty.
fn joined(sent: Vec<Json>) -> Vec<Json> {
    let mut kept: Vec<Json> = Vec::new();
    for part in sent {
        let signed = part.get("thoughtSignature").is_some();
        if part.get("thought").is_some() || (part["text"] == "" && !signed) {
            continue;
        }
        match kept.last_mut() {
            Some(last) if last["text"].is_string() && part["text"].is_string() => {
                last["text"] = json!(format!(
                    "{}{}",
                    last["text"].as_str().unwrap(),
                    part["text"].as_str().unwrap()
                ));
                if signed {
                    last["thoughtSignature"] = part["thoughtSignature"].clone();
                }
            }
            _ => kept.push(part),
        }
    }
    kept
}

/// What the AI SDK sends back of a stream: thoughts joined and bare, the rest as above.
fn bare(sent: Vec<Json>) -> Vec<Json> {
    let thoughts: String = sent
        .iter()
        .filter(|part| part["thought"] == true)
        .map(|part| part["text"].as_str().unwrap())
        .collect();
    let mut kept = vec![json!({"text":thoughts,"thought":true})];
    kept.extend(joined(sent));
    kept
}

#[test]
fn whatever_the_application_keeps_it_comes_back_once() {
    let interleaved = vec![
        thinking("one ü", "s1"),
        Part::text("I look é"),
        thinking("", "hidden"),
        Part::text("and again"),
        call("c1", None),
        call("c2", None),
        thinking("two", "s2"),
        call("c3", None),
    ];
    let answered = vec![thinking("one", "s1"), Part::text("it is so")];
    let unsigned = Part::Thinking(Thinking {
        text: "plain".into(),
        ..Thinking::default()
    });
    let plain = vec![unsigned.clone(), Part::text("it is so"), call("c1", None)];
    let both = vec![unsigned, thinking("one", "s1"), Part::text("it is so")];
    let called = vec![thinking("", "hidden"), thinking("one", "s1"), call("c1", None)];
    for parts in [foreign(), interleaved, answered, plain, both, called] {
        for sent in [whole(parts.clone()), chunks(parts.clone())] {
            assert!(
                sent.iter()
                    .all(|part| part.get("thought").is_none() || part.get("thoughtSignature").is_none())
            );
            assert_eq!(read(&sent), parts);
            assert_eq!(read(&joined(sent.clone())), parts);
        }
    }
    // One block of thoughts in front, where there were several.
    let sent = chunks(foreign());
    assert_eq!(read(&bare(sent)), foreign());
}

#[test]
fn only_the_first_call_takes_it_along() {
    let mut sent = whole(vec![thinking("one", "s1"), call("c1", None), call("c2", None)]);
    assert!(sent[1]["thoughtSignature"].is_string() && sent[2].get("thoughtSignature").is_none());
    // An application that gives all calls of an answer the same signature.
    sent[2]["thoughtSignature"] = sent[1]["thoughtSignature"].clone();
    assert_eq!(read(&sent), [thinking("one", "s1"), call("c1", None), call("c2", None)]);
}

#[test]
fn googles_own_stays_on_its_part() {
    let own = Some(Signature::new(Dialect::Gemini, "CloB"));
    let native = vec![
        Part::Thinking(Thinking {
            text: "shown".into(),
            ..Thinking::default()
        }),
        call("c1", own.clone()),
    ];
    for sent in [whole(native.clone()), chunks(native.clone())] {
        let signed = sent.iter().filter(|part| part["thoughtSignature"] == "CloB");
        assert_eq!(signed.count(), 1);
        assert_eq!(read(&sent), native);
    }
    // An answer without calls is not marked for reasoning that nobody signed.
    let answered = vec![native[0].clone(), Part::text("it is so")];
    for sent in [whole(answered.clone()), chunks(answered)] {
        assert!(sent.iter().all(|part| part.get("thoughtSignature").is_none()));
    }
    let mixed = vec![thinking("one", "s1"), call("c1", own)];
    let sent = whole(mixed.clone());
    assert_ne!(sent[1]["thoughtSignature"], "CloB");
    assert_eq!(read(&sent), mixed);
}

#[test]
fn a_broken_carrier_is_nobodys_signature() {
    for inside in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"thoughts":7,"own":[]}"#,
        r#"{"thoughts":[1,{},{"origin":"nobody","data":"x"},{"origin":"anthropic","data":7}]}"#,
        &format!(r#"{{"thoughts":{}"#, "[".repeat(5000)),
    ] {
        let text = format!("cirque:thoughts:{inside}");
        for signature in [media::encode_base64(text.as_bytes()), text] {
            let sent = json!({"functionCall":{"id":"c1","name":"f","args":{"a":[1,2]}},"thoughtSignature":signature});
            assert_eq!(read(&[sent]), [call("c1", None)]);
            assert_eq!(
                read(&[json!({"text":"a","thoughtSignature":signature})]),
                [Part::text("a")]
            );
            assert_eq!(
                read(&[json!({"text":"a"}), json!({"thoughtSignature":signature})]),
                [Part::text("a")]
            );
        }
    }
}

#[test]
fn a_forged_place_splits_no_letter_and_is_bounded() {
    let carrier = |back: u64, pieces: usize| {
        let piece = json!({"origin":"anthropic","data":"s1","text":"one","back":back});
        let inside = json!({"thoughts": vec![piece; pieces]});
        media::encode_base64(format!("cirque:thoughts:{inside}").as_bytes())
    };
    for (back, expected) in [
        (0, vec![Part::text("aéz"), thinking("one", "s1")]),
        (1, vec![Part::text("aé"), thinking("one", "s1"), Part::text("z")]),
        (2, vec![Part::text("a"), thinking("one", "s1"), Part::text("éz")]),
        (9, vec![thinking("one", "s1"), Part::text("aéz")]),
        (u64::MAX, vec![thinking("one", "s1"), Part::text("aéz")]),
    ] {
        let sent = [
            json!({"text":"aéz"}),
            json!({"functionCall":{"id":"c1","name":"f","args":{"a":[1,2]}},"thoughtSignature":carrier(back, 1)}),
        ];
        let mut expected = expected;
        expected.push(call("c1", None));
        assert_eq!(read(&sent), expected);
    }
    let many = read(&[json!({"text":"a","thoughtSignature":carrier(0, 2000)})]);
    assert_eq!(many.len(), 513);
}

#[test]
fn too_much_reasoning_is_shown_and_not_carried() {
    let much: &'static str = "thinking ".repeat(500_000).leak();
    let parts = vec![
        thinking(much, "s1"),
        call("c1", None),
        thinking("two", "s2"),
        call("c2", None),
    ];
    let sent = whole(parts.clone());
    assert!(sent[1].get("thoughtSignature").is_none() && sent[3]["thoughtSignature"].is_string());
    assert!(sent[0]["text"] == much);
    let sent = chunks(parts);
    let signed = sent.iter().filter(|part| part.get("thoughtSignature").is_some());
    assert_eq!(signed.count(), 1);
}
