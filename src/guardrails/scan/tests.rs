//! Whole texts against a plain reading of what [`Rule`] says, and pieces against whole texts.

use super::*;
use proptest::prelude::*;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};
use std::sync::OnceLock;

fn rule(label: &'static str, pattern: &'static str) -> Rule {
    Rule {
        label,
        pattern,
        group: false,
        word: true,
        valid: None,
        prefilter: None,
    }
}

fn even(text: &str) -> bool {
    text.bytes()
        .filter(u8::is_ascii_digit)
        .map(|b| u32::from(b - b'0'))
        .sum::<u32>()
        % 2
        == 0
}

/// Of every sort: counted, alternatives, context, looks, prefixes of one another, with and without words and validators.
fn rules() -> Vec<Rule> {
    vec![
        rule(
            "EMAIL",
            r"[a-z0-9](?:[a-z0-9.]{0,30}[a-z0-9])?@[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?(?:\.[a-z]{2,8}){1,3}",
        ),
        Rule {
            valid: Some(even),
            ..rule("CARD", r"[0-9](?:[ -]?[0-9]){7,11}")
        },
        rule("SSN", r"[0-9]{3}-[0-9]{2}-[0-9]{4}"),
        Rule {
            word: false,
            ..rule("KEY", r"ak-[a-z0-9]{4,20}")
        },
        Rule {
            word: false,
            group: true,
            ..rule("SECRET", r#"(?i:pass|token)[ :=]{1,3}"?([^" \n]{3,12})"#)
        },
        Rule {
            valid: Some(even),
            ..rule("PHONE", r"\+?[0-9](?:[ .()-]?[0-9]){5,9}")
        },
        Rule {
            word: false,
            ..rule("LINE", r"(?m:^)no [0-9]\b")
        },
        rule("AT", r"a@[^@]{1,4}b"),
    ]
}

fn scanner() -> &'static Scanner {
    static SCANNER: OnceLock<Scanner> = OnceLock::new();
    SCANNER.get_or_init(|| Scanner::new(rules()).unwrap())
}

fn scan_from(scanner: &Scanner, text: &str, from: usize) -> Vec<(usize, Range<usize>)> {
    let mut found = Vec::new();
    scanner.scan(text, from, &|_| true, &mut |rule, span| found.push((rule, span)));
    found
}

/// What [`Rule`] and [`Scanner`] say, read plainly: no segments.
fn plainly(rules: &[Rule], text: &str) -> Vec<(usize, Range<usize>)> {
    let mut found = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let pattern = match rule.word {
            true => format!(r"\b{{start-half}}(?:{})\b{{end-half}}", rule.pattern),
            false => rule.pattern.to_owned(),
        };
        let syntax = syntax::Config::new().unicode(false).utf8(false);
        let config = Regex::config().auto_prefilter(false);
        let regex = Regex::builder()
            .configure(config)
            .syntax(syntax)
            .build(&pattern)
            .unwrap();
        let mut at = 0;
        'starts: while at < text.len() {
            let mut end = text.len();
            let mut tried = 0;
            while tried < 9 {
                let mut captures = regex.create_captures();
                regex.search_captures(&Input::new(text).span(at..end).anchored(Anchored::Yes), &mut captures);
                let Some(whole) = captures.get_match() else { break };
                let span = captures.get_group(usize::from(rule.group)).unwrap().range();
                // Cut to ASCII by hand: a match over more is tried shorter.
                let ascii = text.as_bytes()[whole.range()].is_ascii();
                tried += usize::from(ascii);
                if ascii && rule.valid.is_none_or(|valid| valid(&text[span.clone()])) {
                    found.push((span.start, index, span.end));
                    at = span.end;
                    continue 'starts;
                }
                end = whole.end() - 1;
            }
            at += 1;
        }
    }
    found.sort_unstable();
    let mut at = 0;
    found.retain(|(start, _, end)| {
        let free = *start >= at;
        at = if free { *end } else { at };
        free
    });
    found.into_iter().map(|(start, rule, end)| (rule, start..end)).collect()
}

/// The law, for the prefix `text[..split]` from `from`; and what is cut off is a character.
fn law(scanner: &Scanner, text: &str, from: usize, split: usize) -> usize {
    let open = scanner.open(&text[..split], from);
    assert!(
        text.is_char_boundary(open) && (from..=split).contains(&open),
        "{from} {open} {split}"
    );
    let mut pieces = scan_from(scanner, &text[..open], from);
    pieces.extend(scan_from(scanner, text, open));
    assert_eq!(
        pieces,
        scan_from(scanner, text, from),
        "{text:?} from {from} to {split}: {open}"
    );
    open
}

/// Feeds a text in pieces, checking the law at each; the most that was held.
fn stream(scanner: &Scanner, text: &str, mut sizes: impl Iterator<Item = usize>) -> usize {
    let (mut from, mut at, mut most) = (0, 0, 0);
    while at < text.len() {
        at = (at + sizes.next().unwrap()).min(text.len());
        while !text.is_char_boundary(at) {
            at += 1;
        }
        from = law(scanner, text, from, at);
        most = most.max(at - from);
    }
    most
}

/// Texts of pieces that patterns are made of, so that they nearly match.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("a@b.co"),
        Just("a"),
        Just("@"),
        Just("."),
        Just("b"),
        Just("123-45-6789"),
        Just("12"),
        Just("4"),
        Just(" "),
        Just("-"),
        Just("ak-"),
        Just("ak-abcd"),
        Just("pass: "),
        Just("Token=\""),
        Just("\""),
        Just("é"),
        Just("中"),
        Just("_"),
        Just("\n"),
        Just("no 1"),
        Just("+1 (555) 12"),
        Just("x"),
        Just("😀"),
        Just("com"),
        Just("0 0 0 0 "),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_text_holds_what_a_plain_reading_finds(text in text()) {
        let scanner = scanner();
        // Longer ones may be cut.
        let text: String = text.chars().take(60).collect();
        prop_assert_eq!(scan_from(scanner, &text, 0), plainly(&rules(), &text), "{:?}", text);
    }

    #[test]
    fn pieces_come_to_what_the_whole_does(text in text(), size in 1_usize..9) {
        let scanner = scanner();
        let most = stream(scanner, &text, std::iter::repeat(size));
        prop_assert!(most <= 5 * scanner.engine.longest + size);
        for (split, _) in text.char_indices() {
            law(scanner, &text, 0, split);
        }
    }

    #[test]
    fn so_they_do_where_nothing_is_free(text in "([0-9]{1,3}[ -]){200,300}", split in 0.0..1.0_f64, size in 1_usize..200) {
        let scanner = scanner();
        let most = stream(scanner, &text, std::iter::repeat(size));
        prop_assert!(most <= 5 * scanner.engine.longest + size, "{}", most);
        law(scanner, &text, 0, (split * text.len() as f64) as usize);
    }

    #[test]
    fn so_they_do_where_texts_are_cut(one in "[0-9 -]{1,9}|a\\.|ak-a|[a0 @.-]{2}", many in 100_usize..400, size in 1_usize..40) {
        let scanner = scanner();
        let text = one.repeat(many);
        let most = stream(scanner, &text, std::iter::repeat(size));
        prop_assert!(most <= 5 * scanner.engine.longest + size, "{}", most);
    }
}

fn found(scanner: &Scanner, text: &str) -> Vec<(&'static str, String)> {
    let found = scan_from(scanner, text, 0).into_iter();
    found
        .map(|(rule, span)| (scanner.rules()[rule].label, text[span].to_owned()))
        .collect()
}

#[test]
fn order_context_words_and_validators() {
    let scanner = scanner();
    let of = |text: &str| {
        found(scanner, text)
            .into_iter()
            .map(|(label, value)| format!("{label}={value}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(of("mail bob.x@ex-am.co.uk, or ring"), "EMAIL=bob.x@ex-am.co.uk");
    // The first in order of those of one start; the card's validator refuses this one.
    assert_eq!(of("123-45-6788"), "CARD=123-45-6788");
    assert_eq!(of("123-45-6789"), "SSN=123-45-6789");
    // A validator that refuses: shorter, then further on.
    assert_eq!(of("1111 1111 1"), "CARD=1111 1111");
    assert_eq!(of("x123-45-6789, y_123-45-6789, 123-45-67891"), "CARD=123-45-67891");
    assert_eq!(of("é123-45-6789中"), "SSN=123-45-6789");
    assert_eq!(of("zak-abcdé"), "KEY=ak-abcd");
    // Context is not part of what is found, and hides nothing.
    assert_eq!(of("PASS: \"hunter\" token=ak-abcdef"), "SECRET=hunter KEY=ak-abcdef");
    assert_eq!(of("no 1\nno 2 no 3\nno 4x"), "LINE=no 1 LINE=no 2");
    assert_eq!(of("a@éb a@é"), "");
}

#[test]
fn only_what_is_wanted() {
    let scanner = scanner();
    let mut found = Vec::new();
    scanner.scan("123-45-6788 a@b.co", 0, &|rule| rule == 2, &mut |rule, span| {
        found.push((rule, span))
    });
    assert_eq!(found, [(2, 0..11)]);
}

#[test]
fn what_rules_may_not_be() {
    let refused = |pattern: &'static str, group: bool| {
        Scanner::new(vec![Rule {
            group,
            ..rule("X", pattern)
        }])
        .unwrap_err()
    };
    assert!(refused("a+", false).starts_with("X: what it matches must have a greatest length"));
    assert!(refused("a{3,600}", false).contains("512"));
    assert!(refused("a{0,3}", false).contains("empty"));
    assert!(refused("^a", false).contains("(?m:^)"));
    assert!(refused("a", true).contains("group 1"));
    assert!(refused("é", false).contains("ASCII"));
    assert!(refused("a(", false).starts_with("X: "));
}

/// Nothing is in progress at the ends of words of prose, and hardly anything within.
#[test]
fn prose_is_hardly_held() {
    let scanner = scanner();
    let prose =
        "The quick brown fox, aged 12, jumps over 3 lazy dogs; \u{201c}passé\u{201d}, they said in 1999 (or so). "
            .repeat(20);
    let most = stream(scanner, &prose, std::iter::repeat(4));
    assert!(most <= 16, "{most}");
    assert_eq!(scanner.open("all is decided. ", 0), 16);
    assert_eq!(scanner.open("mail to bob", 0), 8);
}

/// Texts that keep patterns in progress are cut, so that what is held, and read again, is bounded.
#[test]
fn hostile_texts_are_bounded() {
    let scanner = scanner();
    for one in [
        "-",
        "a@",
        "1",
        "1 ",
        "é",
        "a.",
        "ak-",
        "pass: ",
        "a@a@b.",
        "_",
        "1-1.1(",
        "\u{10FFFF}",
    ] {
        let text = one.repeat(100_000 / one.len());
        let (mut from, mut at, mut pieces) = (0, 0, Vec::new());
        // As a window does: with only a little before what is new.
        let scan = |from: usize, to: usize| {
            let before = (0..=from.saturating_sub(8))
                .rev()
                .find(|at| text.is_char_boundary(*at))
                .unwrap();
            let found = scan_from(scanner, &text[before..to], from - before).into_iter();
            found
                .map(move |(rule, span)| (rule, span.start + before..span.end + before))
                .collect::<Vec<_>>()
        };
        while at < text.len() {
            at = (at + 64).min(text.len());
            while !text.is_char_boundary(at) {
                at += 1;
            }
            let open = scanner.open(&text[..at], from);
            assert!(at - open <= 5 * scanner.engine.longest + 64, "{one}");
            pieces.extend(scan(from, open));
            from = open;
        }
        pieces.extend(scan(from, text.len()));
        assert_eq!(pieces, scan_from(scanner, &text, 0), "{one}");
    }
}
