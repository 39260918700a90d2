//! Rules that never hold or are never reached: the certain ones are told, and none that is told ever decides.

use super::{Held, Pairs, compiled, rule};
use crate::rules::{Facts, Known, Lookup, Needs, Nothing, Rules, Source, Switch};
use proptest::prelude::*;

#[test]
fn conditions_that_cannot_be_met_are_told() {
    for (when, why) in [
        (r#"model == "a" && model == "b""#, "`model`"),
        (r#"tokens > 5 && tokens < 3"#, "`tokens`"),
        (r#"tokens > 5 && !(tokens >= 6)"#, "`tokens`"),
        (r#"tokens < 0"#, "`tokens`"),
        ("false", "always false"),
        ("stream && 1 > 2", "always false"),
        (r#"stream && !stream"#, "its opposite"),
        (r#"model in ["a", "b"] && model != "a" && !(model == "b")"#, "`model`"),
        (r#"model == "a" && model.startsWith("b")"#, "`model`"),
        (r#"operation == "chatt""#, "`operation`"),
        (r#"headers["x"] == "a" && !("a" == headers.x)"#, "headers"),
        (r#"metadata.x == "a" && metadata.x in ["b", "c"]"#, "metadata"),
        (r#"(model == "a" || model == "b") && model in ["c"]"#, "`model`"),
        ("now.getHours() > 23", "a number"),
        (r#"!(model == "a" || stream) && stream"#, "its opposite"),
        (r#"stream ? false : model == "a" && model == "b""#, "`model`"),
    ] {
        let faults = compiled(&[rule("r", when)]).expect_err(when);
        assert!(
            faults[0].message.contains("never holds") && faults[0].message.contains(why),
            "{when}: {faults:?}"
        );
        assert!(!faults[0].remedy.is_empty());
    }
    for when in [
        r#"model == "a" || model == "b""#,
        r#"tokens > 5 && tokens < 7"#,
        r#"headers["x"] == "a" && headers["y"] == "b""#,
        r#"model != "a" && model != "b""#,
        r#"metadata.x != "a" && metadata.x != "b""#,
        r#"tokens != 5 && tokens >= 5 && tokens <= 6"#,
        r#"operation == "chat" && operation != "embeddings""#,
        "true",
    ] {
        assert!(compiled(&[rule("r", when)]).is_ok(), "{when}");
    }
}

#[test]
fn rules_that_are_never_reached_are_told_with_the_rule_before_them() {
    let always = Source {
        name: "first",
        when: None,
        ends: true,
        switch: None,
    };
    for (earlier, later) in [
        ("true", "stream"),
        (r#"model == "a""#, r#"stream && model == "a""#),
        (r#"model in ["a", "b"]"#, r#"model == "a""#),
        (r#"model.startsWith("gpt-")"#, r#"model in ["gpt-4o", "gpt-5"]"#),
        ("tokens > 100", "tokens > 1000"),
        ("tokens > 100", "tokens == 101 && stream"),
        (r#"stream || model == "a""#, "stream"),
        (r#"stream || model == "a""#, r#"stream || model == "a""#),
        (
            r#"stream || model in ["a", "b"]"#,
            r#"stream && tokens > 3 || model == "b""#,
        ),
        (r#"model != "a""#, r#"model == "b""#),
        (r#""x" in headers"#, r#"headers["x"] == "gold""#),
        (r#"has(metadata.x) && tokens >= 0"#, r#"metadata.x == "a""#),
        (r#"operation in ["chat", "embeddings"]"#, "stream"),
        (r#"within("22:00-06:00")"#, r#"within("22:00-06:00") && stream"#),
        ("request.max_tokens > 5", "max_tokens > 6"),
        ("!(stream && needs.tools)", "!stream"),
    ] {
        let faults = compiled(&[rule("first", earlier), rule("second", later)]).expect_err(later);
        let [fault] = faults.as_slice() else {
            panic!("{faults:?}")
        };
        assert_eq!(fault.rule, 1);
        assert!(
            fault.message.contains("`second` is never reached") && fault.message.contains("`first`"),
            "{earlier}, {later}: {fault:?}"
        );
        // Where the first does not end the search, the second is reached.
        let open = Source {
            ends: false,
            ..rule("first", earlier)
        };
        assert!(compiled(&[open, rule("second", later)]).is_ok());
    }
    assert!(compiled(&[always, rule("second", "stream")]).is_err());
    for (earlier, later) in [
        ("stream", r#"model == "a""#),
        (r#"model == "a""#, r#"model in ["a", "b"]"#),
        (r#"stream && model == "a""#, "stream"),
        ("tokens > 1000", "tokens > 100"),
        (r#"headers["x"] != "a""#, "stream"),
        (r#"headers["x"] != "a" || stream"#, r#"headers["y"] == "b""#),
        ("max_tokens >= 0", "stream"),
        (r#"!(headers["x"] in [])"#, "stream"),
        (r#"metadata.x == "a""#, r#"metadata.y == "a""#),
    ] {
        let both = compiled(&[rule("first", earlier), rule("second", later)]);
        assert!(both.is_ok(), "{earlier}, {later}: {both:?}");
    }
    let switch = |on, otherwise| Source {
        switch: Some(Switch {
            on,
            cases: vec!["a"],
            otherwise,
        }),
        ..rule("first", "stream")
    };
    let second = || rule("second", "stream && tokens > 5");
    assert!(compiled(&[switch("team", true), second()]).is_err());
    assert!(compiled(&[switch("team", false), second()]).is_ok());
    // The header may not be there.
    assert!(compiled(&[switch(r#"headers["x"]"#, true), second()]).is_ok());
}

#[test]
fn choices_within_choices_are_not_taken_apart_for_ever() {
    let nested = (0..16).fold("stream".to_owned(), |inner, n| {
        format!("({inner} ? tokens > {n} : needs.tools)")
    });
    assert!(compiled(&[rule("first", &nested), rule("second", &nested)]).is_err());
}

#[test]
fn faults_of_all_rules_come_at_once_and_in_order() {
    let faults = compiled(&[
        rule("a", "stream"),
        rule("b", "modl == 1"),
        rule("c", "stream && tokens > 2"),
        rule("d", "false"),
    ])
    .unwrap_err();
    let places: Vec<_> = faults.iter().map(|fault| fault.rule).collect();
    assert_eq!(places, [1, 2, 3]);
}

fn condition() -> BoxedStrategy<String> {
    let word = || prop::sample::select(vec!["a", "ab", "b"]);
    let subject = || prop::sample::select(vec!["model", "headers.x", "metadata.x", "team"]);
    let leaf = prop_oneof![
        4 => (subject(), prop::sample::select(vec!["==", "!="]), word()).prop_map(|(s, op, w)| format!("{s} {op} {w:?}")),
        3 => (subject(), prop::collection::vec(word(), 0..3)).prop_map(|(s, list)| format!("{s} in {list:?}")),
        2 => (subject(), word()).prop_map(|(s, w)| format!("{s}.startsWith({w:?})")),
        1 => (subject(), word()).prop_map(|(s, w)| format!("{s}.endsWith({w:?})")),
        3 => (prop::sample::select(vec!["tokens", "max_tokens"]),
              prop::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]), 0..4)
            .prop_map(|(s, op, n)| format!("{s} {op} {n}")),
        1 => (0..4).prop_map(|n| format!("{n} < tokens")),
        2 => prop::sample::select(vec![
            "stream", "needs.tools", "true", "false", "has(headers.x)", "\"x\" in metadata", "has(request.max_tokens)",
        ]).prop_map(str::to_owned),
        1 => (prop::sample::select(vec!["operation", "dialect"]),
              prop::sample::select(vec!["chat", "embeddings", "openai", "anthropic"]))
            .prop_map(|(s, w)| format!("{s} == {w:?}")),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            2 => inner.clone().prop_map(|a| format!("!({a})")),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
    .boxed()
}

/// Every world the conditions above can tell apart, more or less.
fn worlds(mut see: impl FnMut(&Facts<'_>)) {
    let held = [
        None,
        Some(Held::Str("a")),
        Some(Held::Str("ab")),
        Some(Held::Str("c")),
        Some(Held::Int(3)),
    ];
    let mut seed = 1u64;
    let mut pick = |n: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % n
    };
    let words = ["a", "ab", "b", "c"];
    for _ in 0..400 {
        let map = |at: usize| Pairs(held[at].iter().map(|value| ("x", value.clone())).collect());
        let (headers, metadata) = (map(pick(4)), map(pick(5)));
        let facts = Facts {
            model: words[pick(4)],
            team: words[pick(4)],
            operation: ["chat", "embeddings"][pick(2)],
            dialect: ["openai", "anthropic"][pick(2)],
            stream: pick(2) == 0,
            tokens: pick(5) as u64,
            max_tokens: [None, Some(0), Some(1), Some(2), Some(3), Some(4)][pick(6)],
            needs: Needs {
                tools: pick(2) == 0,
                ..Needs::default()
            },
            headers: if pick(5) == 0 {
                &Nothing as &dyn Lookup
            } else {
                &headers
            },
            metadata: &metadata,
            ..Facts::default()
        };
        see(&facts);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_told_never_happens(conditions in prop::collection::vec((condition(), any::<bool>()), 1..5)) {
        let names = ["r0", "r1", "r2", "r3", "r4"];
        let sources: Vec<_> = conditions
            .iter()
            .zip(names)
            .map(|((when, ends), name)| Source { ends: *ends, ..rule(name, when) })
            .collect();
        let known = Known { operations: &["chat", "embeddings"], dialects: &["openai", "anthropic"] };
        let Err(faults) = Rules::compile(&sources, &known) else { return Ok(()) };
        let told: Vec<_> = faults.iter().map(|fault| fault.rule).collect();
        // The same rules without the analysis.
        let rules: Vec<_> = sources.iter().enumerate().map(|(at, source)| super::super::compile(at, source)).collect();
        prop_assume!(rules.iter().all(Result::is_ok));
        let rules = Rules { rules: rules.into_iter().map(Result::unwrap).collect(), ..Rules::default() };
        let mut broken = None;
        worlds(|facts| rules.decide(facts, |step| {
            if told.contains(&step.rule) {
                broken = Some(format!("{faults:?} but {step:?} with {facts:?} of {sources:?}"));
            }
        }));
        prop_assert!(broken.is_none(), "{}", broken.unwrap_or_default());
    }
}
