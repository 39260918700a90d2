//! What does not compile: each fault is said with its place and remedy, and nothing makes the compiler panic.

use super::{compiled, holds, rule};
use crate::rules::Facts;

#[test]
fn what_is_wrong_is_said_with_its_place_and_remedy() {
    for (when, message, remedy, at) in [
        (r#"modle == "a""#, "`modle` is not known", "`model`", "modle"),
        (
            r#"stream && tokens > "a""#,
            "`>` does not go with an int and a string",
            "same type",
            "tokens",
        ),
        ("tokens", "is an int, not a bool", "compare", "tokens"),
        (
            r#"model && stream"#,
            "`model` is a string, not a bool",
            "compare",
            "model",
        ),
        (r#"model = "a""#, "a single `=`", "==", "= "),
        (
            r#"model == "é" && tokns > 1"#,
            "`tokns` is not known",
            "`tokens`",
            "tokns",
        ),
        (
            r#"headers.x-tier == "a""#,
            "`tier` is not known",
            "headers[\"x-name\"]",
            "tier",
        ),
        (
            "has(max_tokens)",
            "has() takes a member",
            "request.max_tokens",
            "max_tokens",
        ),
        (
            r#"model.startWith("a")"#,
            "no function `startWith`",
            "`startsWith`",
            "model",
        ),
        (
            r#"model.startsWith()"#,
            "does not give `startsWith`",
            "x.startsWith",
            "model",
        ),
        (r#"model.startsWith(3)"#, "`3` is an int, not a string", "string", "3"),
        (
            r#"model.lowerAscii() == "a""#,
            "CEL has `lowerAscii`",
            "known are",
            "model",
        ),
        (
            r#"model.matches("a(")"#,
            "not a regular expression: unclosed group",
            "RE2",
            "\"a(",
        ),
        ("model.matches(team)", "must be a string literal", "quotes", "team"),
        (r#"needs.tool"#, "`needs.tool` is not known", "`needs.tools`", "needs"),
        (
            r#"claims.realm.role == "a""#,
            "has no members",
            "only headers",
            "claims",
        ),
        (
            r#"model + "x" == "ax""#,
            "`+` does not go with a string and a string",
            "not concatenated",
            "model",
        ),
        ("tokens > 5u", "CEL has unsigned numbers", "write 5", "5u"),
        (r#"model == b"a""#, "CEL has bytes", "string", "b\""),
        (r#"{"a": 1}["a"] == 1"#, "CEL has a map literal", "switch", "{"),
        ("tags.map(t, t) == tags", "CEL has map(), filter()", "exists()", "tags"),
        (r#"model in [team, "b"]"#, "lists of computed elements", "||", "team"),
        (
            r#"model in [1, 2]"#,
            "`in` does not go with a string and a list",
            "same type",
            "model",
        ),
        (
            r#"tokens in ["a", true]"#,
            "`in` does not go with an int and a list",
            "same type",
            "tokens",
        ),
        (
            r#"now.getHours("Europe/Berln") < 6"#,
            "no time zone `Europe/Berln`",
            "Europe/Berlin",
            "\"Europe",
        ),
        (
            r#"within("22-6", "UTC")"#,
            "not two times of day",
            "22:00-06:00",
            "\"22-6",
        ),
        (r#"within("08:00-08:00")"#, "is empty", "22:00", "\"08"),
        (
            r#"within("mon-fry 08:00-09:00")"#,
            "`fry` is not a day",
            "22:00",
            "\"mon",
        ),
        (r#"within("25:00-26:00")"#, "not two times of day", "22:00", "\"25"),
        (
            r#"timestamp("tomorrow") > now"#,
            "`tomorrow` is not a time",
            "2026",
            "\"tomorrow",
        ),
        (
            "stream || 1 / 0 == 1",
            "always fails: a division by zero",
            "remove",
            "1 /",
        ),
        (r#"stream ? model : 1"#, "differ in type", "same type", "1"),
        (
            "tokens > 1.0 + 1",
            "`+` does not go with a double and an int",
            "double()",
            "1.0",
        ),
        (
            "metadata.a + metadata.b > 1",
            "`+` does not go with",
            "int()",
            "metadata",
        ),
        ("", "ends too early", "complete", ""),
        ("stream &&", "ends too early", "complete", ""),
        ("stream & true", "single `&`", "&&", "& "),
        ("99999999999999999999 > tokens", "invalid int literal", "", "9"),
        ("model < null", "does not go with", "", "model"),
    ] {
        let faults = compiled(&[rule("r", when)]).expect_err(when);
        let [fault] = faults.as_slice() else {
            panic!("{when}: {faults:?}")
        };
        assert!(
            fault.message.starts_with("rule `r`") && fault.message.contains(message),
            "{when}: {fault:?}"
        );
        assert!(fault.remedy.contains(remedy), "{when}: {fault:?}");
        assert!(when[fault.offset..].starts_with(at), "{when}: {fault:?}");
    }
}

#[test]
fn deep_and_long_expressions_are_refused_not_endured() {
    let many = |part: &str, n: usize| part.repeat(n);
    for when in [
        format!("{}stream{}", many("(", 2000), many(")", 2000)),
        format!("{}stream", many("!", 4000)),
        format!("{}1 > 0", many("1+", 2000)),
        format!("{}true", many("stream?", 500)),
        format!("tags{}", many("[0]", 1300)),
        many("stream || ", 1000) + "stream",
        many("[", 3000),
        many("\"", 3001),
        "é".repeat(1000),
    ] {
        assert!(compiled(&[rule("r", &when)]).is_err(), "{}", &when[..20]);
    }
    // The deepest that are let through fit on the stack.
    for when in [
        format!("{}stream{}", many("(", 39), many(")", 39)),
        format!("{}stream{}", many("!(", 19), many(")", 19)),
        format!("{}stream{}", many("(stream ? ", 19), many(" : stream)", 19)),
        format!("{}tokens > 0", many("1+", 38)),
        format!("{}stream{}", many("tags.exists(t, ", 4), many(")", 4)),
    ] {
        let rules = compiled(&[rule("r", &when)]).unwrap_or_else(|faults| panic!("{when}: {faults:?}"));
        let facts = Facts::default();
        assert_eq!(rules.explain(&facts).len(), 1);
        rules.decide(&facts, |_| ());
        assert!(compiled(&[rule("r", &when), rule("s", &when)]).is_err());
    }
    let flat = many("stream || ", 300) + "stream";
    assert!(holds(
        &flat,
        &Facts {
            stream: true,
            ..Facts::default()
        }
    ));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(500))]

    #[test]
    fn no_text_makes_the_compiler_panic(
        parts in proptest::collection::vec(proptest::sample::select(vec![
            "model", "headers", "tags", "now", "tokens", "needs", "request", "metadata", ".", "x", "(", ")", "[", "]", "{",
            "}", "\"a\"", "'", "\"", "1", "-", "+", "!", "?", ":", "&&", "||", "==", "<", " in ", ",", "has(", "within(",
            "timestamp(", "size(", ".exists(t,", ".all(", ".getHours(", ".matches(", "true", "null", "1u", "b'x'", "r\"\\",
            "\\u12", "é", "`", "//", "\n", "9e999", "0x", "@", "$", "\u{0}", "\"Europe/Berlin\"", "return", "package",
        ]), 0..14),
        other in ".{0,30}",
    ) {
        for when in [parts.concat(), parts.join(" "), other] {
            if let Err(faults) = compiled(&[rule("r", &when)]) {
                for fault in faults {
                    assert!(when.is_char_boundary(fault.offset), "{when:?}: {fault:?}");
                }
            }
        }
    }
}

#[test]
fn choices_in_choices_are_refused_and_not_recursed_into() {
    for one in [
        "stream ? stream && stream : ",
        "stream&&stream?stream:",
        "stream?stream||stream:",
    ] {
        let when = one.repeat(super::super::LONGEST / one.len() - 1) + "stream";
        assert!(compiled(&[rule("r", &when)]).is_err(), "{one}");
    }
}

#[test]
fn a_quote_in_a_comment_hides_no_depth() {
    for comment in ["// \"\n", "// '\n"] {
        let when = format!("{comment}{}stream{}", "(".repeat(2000), ")".repeat(2000));
        assert!(compiled(&[rule("r", &when)]).is_err());
    }
    assert!(compiled(&[rule("r", "// it's \"fine\nstream")]).is_ok());
}
