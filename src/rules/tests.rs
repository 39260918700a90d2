//! Rules: what compiles, what does not and what is said of it, what is decided and how that is explained.

mod faults;
mod oracle;
mod overlaps;

use super::*;

/// A map of a test.
#[derive(Debug, Default, Clone)]
pub(super) struct Pairs(pub(super) Vec<(&'static str, Held)>);

#[derive(Debug, Clone)]
pub(super) enum Held {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Str(&'static str),
    List(Vec<&'static str>),
}

impl Lookup for Pairs {
    fn value(&self, name: &str) -> Option<Value<'_>> {
        let (_, held) = self.0.iter().find(|(known, _)| *known == name)?;
        Some(match held {
            Held::Null => Value::Null,
            Held::Bool(value) => Value::Bool(*value),
            Held::Int(value) => Value::Int(*value),
            Held::Double(value) => Value::Double(*value),
            Held::Str(value) => Value::Str(value),
            Held::List(list) => Value::List(list),
        })
    }
}

pub(super) fn rule<'a>(name: &'a str, when: &'a str) -> Source<'a> {
    Source {
        name,
        when: Some(when),
        ends: true,
        switch: None,
    }
}

pub(super) fn compiled(sources: &[Source<'_>]) -> Result<Rules, Vec<Fault>> {
    let known = Known {
        operations: &["chat", "embeddings"],
        dialects: &["openai", "anthropic"],
    };
    Rules::compile(sources, &known)
}

fn steps(rules: &Rules, facts: &Facts<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    rules.decide(facts, |step| steps.push(step));
    steps
}

pub(super) fn holds(when: &str, facts: &Facts<'_>) -> bool {
    let rules = compiled(&[rule("r", when)]).unwrap_or_else(|faults| panic!("{when}: {faults:?}"));
    !steps(&rules, facts).is_empty()
}

const HOLD: &[&str] = &[
    r#"model == "gpt-4o" && headers["x-tier"] == "gold""#,
    r#"headers["X-Tier"] == "gold" && "X-TIER" in headers"#,
    r#"has(headers.missing) || metadata.n > 4.5"#,
    r#"headers.missing == "a" || team == "shop""#,
    r#"!(headers.missing == "a" && team == "other")"#,
    r#"metadata.n == 5.0 && metadata.half < 1 && metadata.on && metadata.nil == null"#,
    r#"metadata.n + 1 == 6 && int(headers["x-count"]) % 5 == 2"#,
    r#"size(metadata.s) == 4 && metadata.s.size() == 4 && metadata.s.contains("ä")"#,
    r#""admin" in claims.groups && claims.groups.exists(g, g.startsWith("de"))"#,
    r#"tags.all(t, t.size() > 3) && tags[1] == "beta" && "beta" in tags"#,
    r#"["gpt-", "o3"].exists(p, model.startsWith(p) && tags.exists(t, t != p))"#,
    r#"model.matches("^gpt-[0-9]o$") && !matches(model, "^4")"#,
    r#"needs.vision && !needs.tools && !has(request.max_tokens) && request.model == model"#,
    r#"(stream ? "a" : team) == "shop""#,
    r#"tokens * 2 - 500 >= 1500 && -tokens < 0 && double(tokens) / 3.0 > 333.3"#,
    r#"now.getHours() == 0 && now.getHours("Europe/Berlin") == 1 && now.getMinutes() == 59"#,
    r#"now.getDayOfWeek("Europe/Berlin") == 0 && now.getDate() == 29 && now.getMonth() == 2"#,
    r#"now < timestamp("2026-03-29T01:00:00Z") && now.getDayOfYear() == 87 && now.getFullYear() == 2026"#,
    r#"within("sat 22:00-06:00", "Europe/Berlin") && !within("sun 22:00-06:00", "Europe/Berlin")"#,
    r#"metadata.n in [4, 5] && metadata.s in ["a", "täxt"] && !(metadata.nil in ["a"])"#,
];

const FAIL: &[&str] = &[
    r#"headers.missing == "a""#,
    r#"headers.missing != "a""#,
    r#"!(headers.missing == "a")"#,
    r#"max_tokens < 10"#,
    r#"max_tokens >= 10"#,
    r#"metadata.s > 3"#,
    r#"metadata.s"#,
    r#"tokens / (tokens - 1000) == 1"#,
    r#"tags[7] == "a""#,
    r#"int(headers["x-tier"]) == 1"#,
];

#[test]
fn conditions_hold_where_they_should() {
    let headers = Pairs(vec![("x-tier", Held::Str("gold")), ("x-count", Held::Str("12"))]);
    let metadata = Pairs(vec![
        ("n", Held::Int(5)),
        ("half", Held::Double(0.5)),
        ("on", Held::Bool(true)),
        ("s", Held::Str("täxt")),
        ("nil", Held::Null),
    ]);
    let claims = Pairs(vec![("groups", Held::List(vec!["admin", "dev"]))]);
    let tags = vec!["eu-west", "beta"];
    let facts = Facts {
        model: "gpt-4o",
        operation: "chat",
        dialect: "openai",
        headers: &headers,
        metadata: &metadata,
        claims: &claims,
        tags: &tags,
        team: "shop",
        tokens: 1000,
        needs: Needs {
            vision: true,
            ..Needs::default()
        },
        // 2026-03-29 00:59:59Z, the second before Berlin's clocks go forward.
        now: 1_774_745_999,
        ip: "10.1.2.3",
        ..Facts::default()
    };
    for &when in HOLD {
        assert!(holds(when, &facts), "{when}");
    }
    for &when in FAIL {
        assert!(!holds(when, &facts), "{when}");
        let rules = compiled(&[rule("r", when)]).unwrap();
        let told = rules.explain(&facts);
        assert_eq!(told[0].outcome, Outcome::Error, "{when}");
    }
}

const WINDOWS: &[(&str, &str, bool)] = &[
    // Berlin is UTC+1 in winter and UTC+2 in summer.
    (
        r#"within("22:00-06:00", "Europe/Berlin")"#,
        "2026-01-15T20:59:59Z",
        false,
    ),
    (
        r#"within("22:00-06:00", "Europe/Berlin")"#,
        "2026-01-15T21:00:00Z",
        true,
    ),
    (
        r#"within("22:00-06:00", "Europe/Berlin")"#,
        "2026-07-15T20:00:00Z",
        true,
    ),
    (
        r#"within("22:00-06:00", "Europe/Berlin")"#,
        "2026-07-15T03:59:59Z",
        true,
    ),
    (
        r#"within("22:00-06:00", "Europe/Berlin")"#,
        "2026-07-15T04:00:00Z",
        false,
    ),
    // Summer time begins at 02:00 on 29 March: 02:30 does not exist, 03:00 comes at once.
    (
        r#"within("02:00-03:00", "Europe/Berlin")"#,
        "2026-03-29T00:59:59Z",
        false,
    ),
    (
        r#"within("02:00-03:00", "Europe/Berlin")"#,
        "2026-03-29T01:00:00Z",
        false,
    ),
    (
        r#"within("03:00-04:00", "Europe/Berlin")"#,
        "2026-03-29T01:00:00Z",
        true,
    ),
    // It ends at 03:00 on 25 October: 02:30 comes twice.
    (
        r#"within("02:00-03:00", "Europe/Berlin")"#,
        "2026-10-25T00:30:00Z",
        true,
    ),
    (
        r#"within("02:00-03:00", "Europe/Berlin")"#,
        "2026-10-25T01:30:00Z",
        true,
    ),
    // A window past midnight belongs to the day it begins on: Friday's reaches into Saturday.
    (r#"within("mon-fri 20:00-08:00")"#, "2026-11-21T07:59:00Z", true),
    (r#"within("mon-fri 20:00-08:00")"#, "2026-11-21T21:00:00Z", false),
    (r#"within("mon-fri 20:00-08:00")"#, "2026-11-23T07:00:00Z", false),
    (r#"within("fri-mon")"#, "2026-11-22T12:00:00Z", true),
    (r#"within("fri-mon")"#, "2026-11-24T00:00:00Z", false),
    (
        r#"within("Sat,wed 08:00-24:00", "+02:00")"#,
        "2026-11-21T21:59:59Z",
        true,
    ),
    (
        r#"within("Sat,wed 08:00-24:00", "+02:00")"#,
        "2026-11-21T22:00:00Z",
        false,
    ),
];

#[test]
fn windows_follow_the_clock_on_the_wall() {
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
    for &(when, now, expected) in WINDOWS {
        let facts = Facts {
            now: at(now),
            ..Facts::default()
        };
        assert_eq!(holds(when, &facts), expected, "{when} at {now}");
    }
    for extreme in [i64::MIN, i64::MAX] {
        let facts = Facts {
            now: extreme,
            ..Facts::default()
        };
        holds(r#"within("fri-mon") || now.getFullYear("Europe/Berlin") > 0"#, &facts);
    }
}

#[test]
fn the_first_that_ends_decides_and_others_go_on() {
    let switch = |on, cases: &[&'static str], otherwise| Source {
        name: "by region",
        when: None,
        ends: true,
        switch: Some(Switch {
            on,
            cases: cases.to_vec(),
            otherwise,
        }),
    };
    let changes = Source {
        ends: false,
        ..rule("changes", "tokens > 5")
    };
    let rules = compiled(&[
        changes.clone(),
        switch(r#"headers["x-region"]"#, &["us", "eu"], false),
        rule("last", "stream"),
    ])
    .unwrap();
    let headers = Pairs(vec![("x-region", Held::Str("eu"))]);
    let facts = Facts {
        tokens: 6,
        stream: true,
        headers: &headers,
        ..Facts::default()
    };
    let step = |rule, case, ends| Step { rule, case, ends };
    assert_eq!(
        steps(&rules, &facts),
        [step(0, Case::None, false), step(1, Case::At(1), true)]
    );
    let elsewhere = Facts {
        headers: &Nothing,
        ..facts
    };
    assert_eq!(
        steps(&rules, &elsewhere),
        [step(0, Case::None, false), step(2, Case::None, true)]
    );
    assert_eq!(steps(&rules, &Facts::default()), []);
    let rules = compiled(&[switch("team", &["a"], true)]).unwrap();
    assert_eq!(steps(&rules, &facts), [step(0, Case::Otherwise, true)]);
    for (on, message) in [
        ("tokens", "gives an int"),
        (r#""eu""#, "the same for every"),
        ("tem", "`tem` is not known"),
    ] {
        let faults = compiled(&[switch(on, &["a"], true)]).unwrap_err();
        assert_eq!(faults[0].part, Part::On);
        assert!(faults[0].message.contains(message), "{faults:?}");
    }
}

#[test]
fn only_what_rules_read_is_used() {
    let uses = |when| compiled(&[rule("r", when)]).unwrap().uses();
    assert_eq!(uses(r#"model == "a" && stream"#), Uses::default());
    assert_eq!(
        uses("tokens > 1"),
        Uses {
            tokens: true,
            ..Uses::default()
        }
    );
    assert_eq!(
        uses(r#"within("sat")"#),
        Uses {
            now: true,
            ..Uses::default()
        }
    );
    assert_eq!(
        uses(r#"headers[team] == "a" || needs.tools && has(metadata.x) || "b" in tags"#),
        Uses {
            headers: true,
            needs: true,
            metadata: true,
            tags: true,
            ..Uses::default()
        }
    );
    assert_eq!(
        uses(r#"has(request.max_tokens) || claims.a == ip"#),
        Uses {
            max_tokens: true,
            claims: true,
            ip: true,
            ..Uses::default()
        }
    );
}

#[test]
fn an_explanation_says_why_and_keeps_secrets() {
    let headers = Pairs(vec![("x-tier", Held::Str("gold")), ("x-api-key", Held::Str("sk-1"))]);
    let facts = Facts {
        model: "a",
        headers: &headers,
        tokens: 7,
        ..Facts::default()
    };
    let rules = compiled(&[
        rule("error", r#"metadata.x == "a""#),
        rule("no", r#"model=="a"&&(headers["x-tier"] == "silver" || !(tokens > 5))"#),
        Source {
            switch: Some(Switch {
                on: r#"headers["x-api-key"]"#,
                cases: vec!["a"],
                otherwise: true,
            }),
            ..rule("yes", r#"headers["x-api-key"] != "other""#)
        },
        rule("never asked", "stream"),
    ])
    .unwrap();
    let told = rules.explain(&facts);
    let outcomes: Vec<_> = told.iter().map(|it| (it.outcome, it.decided)).collect();
    assert_eq!(
        outcomes,
        [
            (Outcome::Error, false),
            (Outcome::DidNotHold, false),
            (Outcome::Held, true),
            (Outcome::NotReached, false),
        ]
    );
    let why = |at: usize| -> Vec<String> {
        let line = |why: &Why| format!("{} {} = {}", why.depth, why.source, why.value);
        told[at].why.iter().map(line).collect()
    };
    assert_eq!(why(0), [r#"0 metadata.x == "a" = error: no such key"#]);
    assert_eq!(
        why(1),
        [
            r#"0 model == "a" && (headers["x-tier"] == "silver" || !(tokens > 5)) = false"#,
            r#"1 model == "a" = true"#,
            r#"1 headers["x-tier"] == "silver" || !(tokens > 5) = false"#,
            r#"2 headers["x-tier"] == "silver" = false"#,
            r#"2 !(tokens > 5) = false"#,
            r#"3 tokens > 5 = true"#,
        ]
    );
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        told[1].facts,
        [
            pair("model", "\"a\""),
            pair("headers[\"x-tier\"]", "\"gold\""),
            pair("tokens", "7")
        ]
    );
    assert_eq!(told[0].facts, [pair("metadata[\"x\"]", "absent")]);
    assert_eq!(told[2].facts, [pair("headers[\"x-api-key\"]", "(hidden)")]);
    assert_eq!(told[2].case, Some(Case::Otherwise));
    let all = serde_json::to_string(&told).unwrap();
    assert!(!all.contains("sk-1"), "{all}");
    assert!(all.contains("not_reached"));
}
