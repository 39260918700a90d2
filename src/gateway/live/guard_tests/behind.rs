//! What a hostile provider says where nobody looks for a text: behind a part that came whole, in a signature that is none.

use super::*;
use crate::wire::canonical::{Delta, Event, PartStart, Signature};

#[test]
fn nothing_is_said_behind_a_part_that_came_whole_or_as_a_signature() {
    let begins = |part, start| Event::PartStart {
        candidate: 0,
        part,
        start,
    };
    let more = |part, delta| Event::Delta {
        candidate: 0,
        part,
        delta,
    };
    let whole = Part::Opaque {
        dialect: Dialect::Anthropic,
        kind: "x".into(),
        raw: "{}".into(),
    };
    let mut guard = Guard::new(&policy(&[("SECRET", Action::Redact)]), Dialect::Anthropic).unwrap();
    let mut passed = String::new();
    for event in [
        begins(0, PartStart::Whole(Box::new(whole))),
        more(0, Delta::Text("SECRET".into())),
        more(0, Delta::Arguments("SECRET".into())),
        begins(1, PartStart::Thinking { id: None }),
        more(1, Delta::Thinking("good ".into())),
        more(1, Delta::Signature(Signature::new(Dialect::Anthropic, "the SECRET is"))),
        more(1, Delta::Signature(Signature::new(Dialect::Anthropic, "c2ln"))),
        Event::End,
    ] {
        guard.event(&event, &mut |event| passed.push_str(&format!("{event:?}\n")));
    }
    assert!(passed.contains("good") && passed.contains("c2ln"), "{passed}");
    assert!(!passed.contains("SECRET"), "{passed}");
}
