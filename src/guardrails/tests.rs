//! Judges and windows over every sort of detector: what pieces come to, and what the sternest does to the others.

mod late;
use super::scan::{Rule, Scanner};
use super::*;
use proptest::prelude::*;
use std::sync::OnceLock;

/// Rules as the rooms of personal data and secrets have them.
#[derive(Debug)]
struct Rules(Scanner);

impl Detector for Rules {
    fn scan(&self, text: &str, from: usize, found: &mut Vec<Finding>) {
        self.0.scan(text, from, &|_| true, &mut |rule, span| {
            let label = self.0.rules()[rule].label;
            found.push(Finding { span, label });
        });
    }

    fn open(&self, text: &str, from: usize) -> usize {
        self.0.open(text, from)
    }
}

fn rules() -> Rules {
    let rule = |label, pattern, word| Rule {
        label,
        pattern,
        group: false,
        word,
        valid: None,
        prefilter: None,
    };
    Rules(
        Scanner::new(vec![
            rule(
                "EMAIL",
                r"[a-z0-9](?:[a-z0-9.]{0,20}[a-z0-9])?@[a-z0-9]{1,20}\.[a-z]{2,5}",
                true,
            ),
            rule("PHONE", r"[0-9](?:[ -]?[0-9]){6,10}", true),
            rule("KEY", r"ak-[a-z]{4}", false),
        ])
        .unwrap(),
    )
}

fn keywords(words: &[&str], case_sensitive: bool, whole_words: bool) -> Keywords {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    Keywords::new(&words, case_sensitive, whole_words).unwrap()
}

fn patterns(patterns: &[&str], streams: bool) -> Result<Pattern, String> {
    let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    Pattern::new(&patterns, streams)
}

fn finds(detector: impl Detector + 'static) -> Check {
    Check::Finds(Box::new(detector))
}

fn rail(name: &str, action: Action, check: Check) -> Arc<Guardrail> {
    Arc::new(Guardrail {
        name: name.into(),
        kind: "test",
        input: true,
        output: name != "input-only",
        action,
        replacement: name.strip_prefix("with ").map(Box::from),
        check,
        passthrough: false,
        digest: [0; 32],
    })
}

/// What passes of texts, who blocks, and what was found.
type Outcome = (Vec<String>, Option<String>, Vec<(String, Vec<(&'static str, u32)>)>);

fn outcome(judge: Judge, texts: Vec<String>) -> Outcome {
    let blocked = judge.blocked().map(|rail| rail.name.to_string());
    let verdict = |one: Verdict| (one.guardrail.to_string(), one.found.into_iter().collect());
    (texts, blocked, judge.verdicts().into_iter().map(verdict).collect())
}

fn whole(policy: &Policy, texts: &[&str]) -> Outcome {
    let mut judge = Judge::new(policy, Direction::Output);
    let out = texts
        .iter()
        .map(|text| judge.text(text).unwrap_or_else(|| (*text).to_owned()))
        .collect();
    outcome(judge, out)
}

/// As texts longer than a part are judged.
fn parts(policy: &Policy, texts: &[&str], part: usize) -> Outcome {
    let mut judge = Judge::new(policy, Direction::Output);
    let mut out = Vec::new();
    for text in texts {
        let blocked = judge.blocked().is_some();
        let changed = if blocked {
            Some(String::new())
        } else {
            judge.text_in_parts(text, part)
        };
        out.push(changed.unwrap_or_else(|| (*text).to_owned()));
    }
    outcome(judge, out)
}

/// Texts one after the other, each in pieces of so many characters.
fn pieces(policy: &Policy, texts: &[&str], sizes: &[usize]) -> Outcome {
    let mut judge = Judge::new(policy, Direction::Output);
    let mut sizes = sizes.iter().cycle();
    let mut out = Vec::new();
    for text in texts {
        let (mut window, mut passed) = (Window::default(), String::new());
        let mut rest = *text;
        while !rest.is_empty() {
            let size = *sizes.next().unwrap();
            let end = rest.char_indices().nth(size).map_or(rest.len(), |(at, _)| at);
            window.push(&mut judge, &rest[..end], &mut passed);
            rest = &rest[end..];
        }
        window.end(&mut judge, &mut passed);
        assert_eq!(window.held(), 0);
        out.push(passed);
    }
    outcome(judge, out)
}

/// The law, at every character.
fn law(detector: &dyn Detector, text: &str) {
    let scan = |text: &str, from: usize| {
        let mut found = Vec::new();
        detector.scan(text, from, &mut found);
        found
    };
    let all = scan(text, 0);
    let ends = all.windows(2).all(|two| two[0].span.end <= two[1].span.start);
    assert!(
        ends && all
            .iter()
            .all(|one| !one.span.is_empty() && text.get(one.span.clone()).is_some())
    );
    for (split, _) in text.char_indices() {
        let open = detector.open(&text[..split], 0);
        let mut parts = scan(&text[..open], 0);
        parts.extend(scan(text, open));
        assert_eq!(parts, all, "{detector:?} {text:?} {split} {open}");
    }
}

fn found(detector: &dyn Detector, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    detector.scan(text, 0, &mut found);
    found.into_iter().map(|one| text[one.span].to_owned()).collect()
}

fn text() -> impl Strategy<Value = String> {
    const PIECES: &str = "a@b.co a b ab @ . 12 4-5 - ak- abcd é É ß ẞ c++ c+ K 中文 中 _ 😀 aaa #x ſ ı e\u{301}";
    let pieces: Vec<&str> = PIECES.split(' ').chain([" ", " ", "\n"]).collect();
    proptest::collection::vec(proptest::sample::select(pieces), 0..30).prop_map(|pieces| pieces.concat())
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Flag),
        Just(Action::Redact),
        Just(Action::Redact),
        Just(Action::Block)
    ]
}

const WORDS: &str = "ab,abcd,bcda,aaab,c+,c++,é,ßa,k,中文,#x,aé,b a,s";

/// Built once: patterns take their time unoptimised.
fn detectors() -> &'static [Arc<dyn Detector>] {
    static DETECTORS: OnceLock<Vec<Arc<dyn Detector>>> = OnceLock::new();
    let words: Vec<&str> = WORDS.split(',').collect();
    DETECTORS.get_or_init(|| {
        vec![
            Arc::new(rules()),
            Arc::new(keywords(&words, false, false)),
            Arc::new(keywords(&words, false, true)),
            Arc::new(keywords(&words, true, true)),
            Arc::new(
                patterns(
                    &[
                        r"\ba{1,4}\b",
                        r"(?i)é\w{0,2}b",
                        r"中.",
                        r"[^a]{2,3}a",
                        r"(?m:^)b.{0,3}(?m:$)",
                    ],
                    true,
                )
                .unwrap(),
            ),
            Arc::new(patterns(&[r"a+b", r"^a", r"\Bb\b"], false).unwrap()),
        ]
    })
}

impl Detector for Arc<dyn Detector> {
    fn scan(&self, text: &str, from: usize, found: &mut Vec<Finding>) {
        (**self).scan(text, from, found);
    }

    fn open(&self, text: &str, from: usize) -> usize {
        (**self).open(text, from)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn detectors_keep_the_law(text in text()) {
        for detector in detectors() {
            law(&**detector, &text);
        }
    }

    #[test]
    fn pieces_come_to_what_the_whole_does(
        texts in proptest::collection::vec(text(), 1..4),
        rails in proptest::collection::vec((0..7_usize, action()), 0..5),
        most in 0..60_usize,
        sizes in proptest::collection::vec(1..9_usize, 1..5),
    ) {
        let check = |one: usize| match detectors().get(one) {
            Some(detector) => finds(Arc::clone(detector)),
            None => Check::Length(most),
        };
        let rails = rails.into_iter().enumerate();
        let policy = Policy::new(rails.map(|(index, (one, action))| rail(&format!("{index}"), action, check(one))).collect());
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        prop_assert_eq!(pieces(&policy, &texts, &sizes), whole(&policy, &texts), "{:?}", policy);
        prop_assert_eq!(parts(&policy, &texts, 4 * sizes[0]), whole(&policy, &texts), "{:?}", policy);
    }
}

#[test]
fn what_two_redact_is_replaced_once() {
    let detectors = || {
        vec![
            rail("mail", Action::Redact, finds(rules())),
            rail(
                "with ***",
                Action::Redact,
                finds(keywords(&["b.co and", "x.y", "ring"], false, false)),
            ),
        ]
    };
    let policy = Policy::new(detectors());
    // The second reaches beyond the first, and goes with it; what starts first names it.
    let text = "To a@b.co and on, or ring 555 123-4567.";
    let expected = (vec!["To [EMAIL] on, or *** [PHONE].".to_owned()], None);
    let outcome = whole(&policy, &[text]);
    assert_eq!((outcome.0.clone(), outcome.1.clone()), expected);
    let counted = [
        ("mail", vec![("EMAIL", 1), ("PHONE", 1)]),
        ("with ***", vec![("KEYWORD", 2)]),
    ];
    assert_eq!(outcome.2, counted.map(|(name, found)| (name.to_owned(), found)));
    for size in 1..12 {
        assert_eq!(pieces(&policy, &[text], &[size]), outcome);
    }
}

#[test]
fn what_blocks_ends_the_text() {
    let rails = |first: Action| {
        Policy::new(vec![
            rail("mail", first, finds(rules())),
            rail("words", Action::Block, finds(keywords(&["acme"], false, true))),
        ])
    };
    let text = "From a@b.co at Acme: 555 123-4567 or c@d.co";
    for size in 1..9 {
        // What stands before is still redacted; what comes after is not counted.
        let (texts, blocked, found) = pieces(&rails(Action::Redact), &[text, "more"], &[size]);
        assert_eq!(texts, ["From [EMAIL] at ", ""]);
        assert_eq!(blocked.as_deref(), Some("words"));
        assert_eq!(
            found,
            [
                ("mail".to_owned(), vec![("EMAIL", 1)]),
                ("words".to_owned(), vec![("KEYWORD", 1)])
            ]
        );
        assert_eq!((texts, blocked, found), whole(&rails(Action::Redact), &[text, "more"]));
    }
    // The first that blocks in the text, not in the order of the file.
    let (texts, blocked, _) = whole(&rails(Action::Block), &[text]);
    assert_eq!((texts, blocked.as_deref()), (vec!["From ".to_owned()], Some("mail")));
    // Of those of one start the sternest.
    let both = Policy::new(vec![
        rail("redacts", Action::Redact, finds(keywords(&["acme corp"], false, true))),
        rail("blocks", Action::Block, finds(keywords(&["acme"], false, true))),
    ]);
    let (texts, blocked, found) = whole(&both, &["So Acme Corp does."]);
    assert_eq!(
        (texts, blocked.as_deref(), found.len()),
        (vec!["So ".to_owned()], Some("blocks"), 1)
    );
    // Within what is redacted.
    let within = Policy::new(vec![
        rail("redacts", Action::Redact, finds(keywords(&["acme corp"], false, true))),
        rail("blocks", Action::Block, finds(keywords(&["corp"], false, true))),
    ]);
    assert_eq!(whole(&within, &["So Acme Corp does."]).0, ["So [KEYWORD]"]);
}

#[test]
fn what_flags_changes_nothing() {
    let policy = Policy::new(vec![
        rail("mail", Action::Flag, finds(rules())),
        rail("input-only", Action::Block, finds(rules())),
    ]);
    let mut judge = Judge::new(&policy, Direction::Output);
    assert!(!judge.acts());
    assert_eq!(judge.text("a@b.co, c@d.co"), None);
    assert_eq!(judge.text(""), None);
    let [verdict] = &judge.verdicts()[..] else {
        unreachable!()
    };
    assert_eq!(
        (&*verdict.guardrail, verdict.action, verdict.direction),
        ("mail", Action::Flag, Direction::Output)
    );
    assert_eq!(verdict.found.get("EMAIL"), Some(&2));
    let mut judge = Judge::new(&policy, Direction::Input);
    assert!(judge.acts());
    assert_eq!(judge.text("x a@b.co").as_deref(), Some("x "));
    assert!(judge.blocked().is_some());
}

#[test]
fn lengths_are_of_all_texts_together() {
    let of = |action| Policy::new(vec![rail("length", action, Check::Length(5))]);
    for size in 1..5 {
        let both = |action, texts: &[&str]| {
            let outcome = pieces(&of(action), texts, &[size]);
            assert_eq!(outcome, whole(&of(action), texts));
            outcome
        };
        assert_eq!(both(Action::Block, &["éé", "", "ééé"]).1, None);
        let (texts, blocked, _) = both(Action::Block, &["éé", "éééé", "é"]);
        assert_eq!(
            (texts, blocked.as_deref()),
            (vec!["éé".to_owned(), "ééé".to_owned(), String::new()], Some("length"))
        );
        // All that is beyond goes, once replaced in each text.
        let (texts, _, found) = both(Action::Redact, &["12", "345678", "", "9"]);
        assert_eq!(texts, ["12", "345[TOO_LONG]", "", "[TOO_LONG]"]);
        assert_eq!(found, [("length".to_owned(), vec![("TOO_LONG", 2)])]);
        let (texts, blocked, found) = both(Action::Flag, &["12", "345678"]);
        assert_eq!((texts.concat(), blocked, found.len()), ("12345678".to_owned(), None, 1));
    }
}

/// Guardrails that never have a place between findings in common still pass what all have judged.
#[test]
fn a_window_is_bounded_where_guardrails_overlap() {
    let policy = Policy::new(vec![
        rail("one", Action::Redact, finds(keywords(&["aabb"], false, false))),
        rail("two", Action::Redact, finds(keywords(&["bbaa"], false, false))),
        rail("three", Action::Flag, finds(rules())),
    ]);
    let mut judge = Judge::new(&policy, Direction::Output);
    let (mut window, mut out) = (Window::default(), String::new());
    for _ in 0..20_000 {
        window.push(&mut judge, "aab", &mut out);
        window.push(&mut judge, "b", &mut out);
        assert!(window.held() < 200, "{}", window.held());
    }
    window.end(&mut judge, &mut out);
    assert_eq!(out, "[KEYWORD]");
    assert_eq!(
        judge
            .verdicts()
            .iter()
            .map(|one| one.found.values().sum::<u32>())
            .collect::<Vec<_>>(),
        [20_000, 19_999]
    );
}

#[test]
fn windows_of_one_judge_stop_together() {
    let policy = Policy::new(vec![rail(
        "words",
        Action::Block,
        finds(keywords(&["stop"], false, true)),
    )]);
    let mut judge = Judge::new(&policy, Direction::Output);
    let (mut one, mut two, mut out) = (Window::default(), Window::default(), String::new());
    one.push(&mut judge, "a sto", &mut out);
    assert_eq!((out.as_str(), one.held()), ("a ", 3));
    two.push(&mut judge, "stop it", &mut out);
    one.push(&mut judge, "ne", &mut out);
    one.end(&mut judge, &mut out);
    assert_eq!((out.as_str(), one.held(), two.held()), ("a ", 0, 0));
    // Nothing is asked of: all passes.
    let none = Policy::default();
    let mut judge = Judge::new(&none, Direction::Output);
    two = Window::default();
    two.push(&mut judge, "stop", &mut out);
    assert_eq!((out.as_str(), two.held()), ("a stop", 0));
}

#[test]
fn keywords_fold_case_and_know_words() {
    let any = keywords(&["Straße", "ÉTÉ", "C++", "class", "foo", "foo bar", "k"], false, true);
    assert_eq!(
        found(&any, "STRAẞE straße STRASSE été Été étés"),
        ["STRAẞE", "straße", "été", "Été"]
    );
    assert_eq!(
        found(&any, "C++11 c++ classic class class_ (CLASS) Ｋ K"),
        ["C++", "c++", "class", "CLASS", "K"]
    );
    // The longest, unless it is not a whole word.
    assert_eq!(found(&any, "foo bar, foo barn, 中foo"), ["foo bar", "foo"]);
    let exact = keywords(&["Foo", "oo"], true, false);
    assert_eq!(found(&exact, "FooFOOfooı"), ["Foo", "oo"]);
    assert_eq!(any.open("a foo ba", 0), 2);
    assert_eq!(any.open("a food ", 0), 7);
    assert!(Keywords::new(&[String::new()], false, false).is_err());
    assert!(Keywords::new(&["é".repeat(257)], false, false).is_err());
    assert!(found(&Keywords::new(&[], false, false).unwrap(), "abc").is_empty());
}

/// The shortcuts of folding are what the tables say.
#[test]
fn keywords_are_found_in_any_script() {
    for c in ('\u{80}'..=char::MAX)
        .filter(|c| c.is_alphabetic() && *c != 'ı')
        .step_by(7)
    {
        let word = keywords(&[&format!("{c}x")], false, true);
        for other in [c.to_lowercase().to_string(), c.to_uppercase().to_string()] {
            let one = other.chars().count() == 1 && c.to_lowercase().count() == 1 && c.to_uppercase().count() == 1;
            assert!(
                !one || found(&word, &format!("中é {other}X 中")).len() == 1,
                "{c} {other}"
            );
        }
    }
}

#[test]
fn patterns_are_bounded_for_streams() {
    let refused = |pattern: &str, streams: bool| patterns(&["a", pattern], streams).unwrap_err();
    assert!(refused("a+", true).contains("{0,100}"));
    assert!(refused("a$", true).contains("(?m:$)"));
    assert!(refused("a{513}", true).contains("512"));
    for streams in [false, true] {
        assert!(refused("a*", streams).starts_with("pattern 2: it matches the empty text"));
        assert!(refused(r"\b", streams).contains("empty"));
        assert!(refused("a(", streams).starts_with("pattern 2: "));
        assert!(refused(&"a".repeat(1025), streams).contains("1024"));
        assert!(refused(r"(?:\w{100}){40}", streams).contains("2097152"));
    }
    assert!(found(&patterns(&[], true).unwrap(), "abc").is_empty());
    let all = patterns(&["a+b", "[0-9]{2}"], false).unwrap();
    assert_eq!(found(&all, "caaab 12345"), ["aaab", "12", "34"]);
    assert_eq!(all.open("caaab", 0), 0);
    let bounded = patterns(&[r"(?i)\bÜber\w{0,9}\b", "x.z"], true).unwrap();
    assert_eq!(found(&bounded, "übermut Über xüber x中z"), ["übermut", "Über", "x中z"]);
    assert_eq!(bounded.open("das über", 0), 4);
    assert_eq!(bounded.open("das ", 0), 4);
}

/// What is asked again and again at the end of a text that gives nothing free is bounded.
#[test]
fn hostile_texts_are_judged_in_pieces() {
    let policy = Policy::new(
        detectors()[..5]
            .iter()
            .map(|one| rail("all", Action::Redact, finds(Arc::clone(one))))
            .collect(),
    );
    for one in ["-", "a@", "1", "é", "a", "中", "ab ", "aaab", "c+", "1 "] {
        let text = one.repeat(20_000 / one.len());
        let mut judge = Judge::new(&policy, Direction::Output);
        let (mut window, mut out, mut rest) = (Window::default(), String::new(), text.as_str());
        while !rest.is_empty() {
            let end = rest.char_indices().nth(16).map_or(rest.len(), |(at, _)| at);
            window.push(&mut judge, &rest[..end], &mut out);
            rest = &rest[end..];
            assert!(window.held() <= 700, "{one}: {}", window.held());
        }
        window.end(&mut judge, &mut out);
        let mut judge = Judge::new(&policy, Direction::Output);
        assert_eq!(out, judge.text(&text).unwrap_or(text), "{one}");
    }
}
