//! What is found, what is not, and that pieces come to what the whole does. No value here was ever anybody's: all are drawn from a
//! seed when the tests run, so that no scanner of a site that holds this file finds one in it.

mod made;
mod ordinary;

use self::made::{Case, cases};
use super::{Kind, Scanner, Secrets};
use crate::guardrails::{Action, Check, Detector, Direction, Finding, Guardrail, Judge, Policy, Window};
use proptest::prelude::*;
use std::path::Path;
use std::sync::{Arc, LazyLock};

static ALL: LazyLock<Secrets> = LazyLock::new(|| Secrets::new(Kind::ALL, &[]).unwrap());
static DEFAULT: LazyLock<Secrets> = LazyLock::new(|| Secrets::new(&defaults(), &[]).unwrap());

fn defaults() -> Vec<Kind> {
    Kind::ALL.iter().copied().filter(|kind| kind.is_default()).collect()
}

fn find(secrets: &Secrets, text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    secrets.scan(text, 0, &mut found);
    found
}

/// Label and text of each.
fn named<'t>(secrets: &Secrets, text: &'t str) -> Vec<(&'static str, &'t str)> {
    let found = find(secrets, text).into_iter();
    found.map(|found| (found.label, &text[found.span])).collect()
}

#[test]
fn every_kind_has_a_case() {
    let cases = cases();
    for kind in Kind::ALL {
        assert!(cases.iter().any(|case| case.kind == *kind), "{kind:?}");
    }
    let forms: usize = super::rules::FORMS.iter().map(|forms| forms.len()).sum();
    assert!(cases.len() >= forms, "{} cases of {forms} forms", cases.len());
}

#[test]
fn what_prefilters_say_is_true() {
    let cases = cases();
    for form in super::rules::FORMS.iter().flat_map(|forms| forms.iter()) {
        let alone = Scanner::new(vec![form.rule.clone()]).unwrap();
        let mut hit = false;
        for case in cases.iter().filter(|case| case.kind == form.kind) {
            let text = case.text();
            alone.scan(&text, 0, &|_| true, &mut |_, _| {
                hit = true;
                let lower = text.to_ascii_lowercase();
                let words = form.rule.prefilter.unwrap();
                assert!(
                    words.iter().any(|word| lower.contains(&word.to_ascii_lowercase())),
                    "{text}"
                );
            });
        }
        assert!(hit, "no case of {}", form.rule.pattern);
    }
}

#[test]
fn names() {
    for (index, kind) in Kind::ALL.iter().enumerate() {
        let name = kind.as_str();
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        let label = kind.label();
        assert!(label.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{label}");
        assert!(
            !Kind::ALL[..index]
                .iter()
                .any(|other| other.as_str() == name || other.label() == label)
        );
    }
}

#[test]
fn finds_each_alone_and_among_others() {
    for case in cases() {
        let text = case.text();
        let only = Secrets::new(&[case.kind], &[]).unwrap();
        assert_eq!(
            named(&only, &text),
            [(case.kind.label(), case.secret.as_str())],
            "{text}"
        );
        assert_eq!(
            named(&ALL, &text),
            [(case.kind.label(), case.secret.as_str())],
            "{text}"
        );
        if case.kind.is_default() {
            assert_eq!(
                named(&DEFAULT, &text),
                [(case.kind.label(), case.secret.as_str())],
                "{text}"
            );
        }
        // What is around it changes nothing: the ends of the text, other letters, marks, lines.
        for (before, after) in [
            ("", ""),
            ("Schlüssel é ", " ü"),
            ("日本", "語"),
            ("(", ")."),
            ("\n", "\n"),
            ("\t", ","),
        ] {
            let text = format!("{before}{text}{after}");
            assert_eq!(
                named(&only, &text),
                [(case.kind.label(), case.secret.as_str())],
                "{text}"
            );
        }
    }
}

#[test]
fn finds_none_too_short() {
    for case in cases() {
        let Some(least) = case.least else { continue };
        let short = &case.secret[..least - 1];
        let text = format!("{}{short}{}", case.before, case.after);
        assert!(none_of(&case, &text), "{text}");
    }
}

#[test]
fn finds_none_too_long() {
    for case in cases()
        .into_iter()
        .filter(|case| case.least == Some(case.secret.len()) && case.fixed)
    {
        let text = format!("{}{}Z9a{}", case.before, case.secret, case.after);
        assert!(none_of(&case, &text), "{text}");
    }
}

#[test]
fn finds_none_of_another_alphabet() {
    for case in cases().into_iter().filter(|case| case.least.is_some()) {
        for wrong in ["!", " ", "é", "\u{0}"] {
            let mut secret = case.secret[..case.least.unwrap()].to_owned();
            secret.replace_range(case.body + 1..case.body + 2, wrong);
            let text = format!("{}{secret}{}", case.before, case.after);
            assert!(none_of(&case, &text), "{text}");
        }
    }
}

#[test]
fn finds_no_placeholder() {
    for case in cases() {
        let (head, body) = case.secret.split_at(case.body);
        for one in ['x', 'X', '0', '*'] {
            // Separators stay where they are.
            let body = body.chars().map(|c| if c.is_ascii_alphanumeric() { one } else { c });
            let text = format!("{}{head}{}{}", case.before, body.collect::<String>(), case.after);
            assert_eq!(named(&ALL, &text), [], "{text}");
        }
    }
}

#[test]
fn finds_none_within_a_word() {
    for case in cases().into_iter().filter(|case| case.word) {
        for before in ["x", "7", "_", "disk", "Ta"] {
            let text = format!("{before}{}", case.secret);
            assert!(none_of(&case, &text), "{text}");
        }
    }
}

fn none_of(case: &Case, text: &str) -> bool {
    !named(&ALL, text).iter().any(|(label, _)| *label == case.kind.label())
}

#[test]
fn placeholders_people_write() {
    let texts = [
        "export OPENAI_API_KEY=sk-your-key-here",
        "OPENAI_API_KEY=sk-proj-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "api_key = \"<your api key>\"",
        "api_key: ${OPENAI_API_KEY}",
        "password = \"changeme\"",
        "password: \"${DB_PASSWORD}\"",
        "password = 'password'",
        "PASSWORD=********",
        "Authorization: Bearer $TOKEN",
        "Authorization: Bearer <token>",
        "Authorization: Bearer YOUR_API_KEY",
        "-H 'Authorization: Bearer {{ token }}'",
        "postgres://user:password@localhost/db",
        "postgres://postgres:postgres@localhost:5432/postgres",
        "amqp://guest:guest@localhost",
        "mysql://root:${MYSQL_PASSWORD}@db",
        "mysql://root:<password>@db",
        "redis://:****@cache:6379",
        "mongodb+srv://me:your_password@cluster0.example.net",
        "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
        "hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "ghp_REPLACE_ME_WITH_YOUR_TOKEN_1234567890",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "A line with -----BEGIN RSA PRIVATE KEY----- begins it, and -----END RSA PRIVATE KEY----- ends it.",
        "self.password = password",
        "token = request.headers.get('x-token')",
        "const token = await getAccessTokenSilently();",
        "secret = os.environ[\"APP_SECRET\"]",
        "key=value&token=next_page",
        "token: str | None = None",
    ];
    for text in texts {
        assert_eq!(named(&ALL, text), [], "{text}");
    }
}

#[test]
fn the_secret_and_no_more() {
    let password = made::letters(14, 3);
    let text = format!("DATABASE_URL=postgres://app:{password}@db.internal:5432/app?sslmode=require");
    assert_eq!(named(&DEFAULT, &text), [("URL_PASSWORD", password.as_str())]);
    let key = format!("{}{}", concat!("sk", "-"), made::letters(48, 4));
    let text = format!("curl -H 'Authorization: Bearer {key}' https://api.openai.com/v1/models.");
    assert_eq!(named(&DEFAULT, &text), [("OPENAI_KEY", key.as_str())]);
    let pat = format!("{}{}", concat!("gl", "pat-"), made::letters(20, 5));
    assert_eq!(
        named(&DEFAULT, &format!("My token is {pat}.")),
        [("GITLAB_TOKEN", pat.as_str())]
    );
    assert_eq!(named(&DEFAULT, &format!("Two: {pat}, {key}; {pat}\n")).len(), 3);
}

#[test]
fn private_keys() {
    let line = |seed| made::letters(64, seed);
    let whole = |name: &str, end: &str| {
        let (begin, last) = (concat!("-----BE", "GIN "), concat!("-----E", "ND "));
        let body: String = (0..20).map(|seed| format!("{}{end}", line(seed))).collect();
        format!(
            "{begin}{name}-----{end}{body}{}=={end}{last}{name}-----",
            made::letters(22, 99)
        )
    };
    for name in [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
    ] {
        for end in ["\n", "\r\n", "\\n", "\n    "] {
            let key = whole(name, end);
            let text = format!("Here it is:\n{key}\nkeep it.");
            assert_eq!(named(&DEFAULT, &text), [("PRIVATE_KEY", key.as_str())], "{text}");
        }
        // Cut off: as far as there are lines of base 64.
        let key = whole(name, "\n");
        let cut = &key[..key.len() - 60 - name.len()];
        let found = named(&DEFAULT, cut);
        assert_eq!(found.len(), 1);
        assert!(found[0].1.len() > 1_200, "{found:?}");
        let text = format!("{}\nAnd then we went home.", &key[..600]);
        let found = named(&DEFAULT, &text);
        assert!(found[0].1.len() > 500 && !found[0].1.contains("went"), "{found:?}");
    }
    let public = whole("PUBLIC KEY", "\n");
    assert_eq!(named(&ALL, &public), []);
    let certificate = whole("CERTIFICATE", "\n");
    assert_eq!(named(&ALL, &certificate), []);
    let encrypted = whole("RSA PRIVATE KEY", "\n").replacen(
        "KEY-----\n",
        "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123456789ABCDEF0123456789ABCDEF\n\n",
        1,
    );
    assert_eq!(named(&DEFAULT, &encrypted), [("PRIVATE_KEY", encrypted.as_str())]);
    // Two in a row are two.
    let (a, b) = (whole("PRIVATE KEY", "\n"), whole("EC PRIVATE KEY", "\n"));
    assert_eq!(
        named(&DEFAULT, &format!("{a}\n{b}")),
        [("PRIVATE_KEY", a.as_str()), ("PRIVATE_KEY", b.as_str())]
    );
}

/// A JSON text, as the arguments of tools are: ends of lines are escaped.
#[test]
fn tokens_behind_escaped_ends_of_lines() {
    let jwt = cases().into_iter().find(|case| case.kind == Kind::Jwt).unwrap().secret;
    for before in ["\\n", "\\t", "\"", "a.b\\r"] {
        assert_eq!(
            named(&DEFAULT, &format!("{{\"text\":\"{before}{jwt}\"}}")),
            [("JWT", jwt.as_str())]
        );
    }
    for before in ["n", "x.", "\\x", "-", "_"] {
        assert_eq!(named(&DEFAULT, &format!("{before}{jwt}")), [], "{before}");
    }
}

#[test]
fn what_is_allowed_is_none() {
    let key = format!("{}{}", concat!("sk", "-"), made::letters(48, 7));
    let other = format!("{}{}", concat!("sk", "-"), made::letters(48, 8));
    let text = format!("{key} {other}");
    let with = |allow: &[&str]| {
        let allow: Vec<String> = allow.iter().map(|&pattern| pattern.to_owned()).collect();
        Secrets::new(&[Kind::OpenaiKey], &allow)
    };
    assert_eq!(named(&with(&[&key]).unwrap(), &text), [("OPENAI_KEY", other.as_str())]);
    assert_eq!(named(&with(&["sk-.*"]).unwrap(), &text), []);
    assert_eq!(named(&with(&["nothing", &key, "AKIA.*"]).unwrap(), &text).len(), 1);
    // As a whole: a part that is allowed allows nothing.
    assert_eq!(named(&with(&["sk-", &key[..20], &key[20..]]).unwrap(), &text).len(), 2);
    for wrong in ["(", "a)|(?:b", "a{999999999}", "\\p{Nothing}", "(?:a{1000}){1000}"] {
        let error = with(&[wrong]).unwrap_err();
        assert!(!error.contains("\\A"), "{error}");
    }
    assert!(with(&["(?x) sk-.* # all"]).is_err() || named(&with(&["(?x) sk-.* # all"]).unwrap(), &text).is_empty());
}

#[test]
fn nothing_in_ordinary_texts() {
    for (name, text) in ordinary::pages() {
        assert_eq!(named(&DEFAULT, &text), [], "{name}");
    }
    for (name, text) in ordinary::plain() {
        assert_eq!(named(&ALL, text), [], "{name}");
    }
}

#[test]
fn nothing_in_recorded_exchanges() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/transcripts");
    let Ok(providers) = root.read_dir() else {
        eprintln!("skipped: no recorded exchanges at {}", root.display());
        return;
    };
    let mut texts = 0;
    let files = providers
        .flatten()
        .filter_map(|provider| provider.path().read_dir().ok());
    for file in files.flat_map(|files| files.flatten()) {
        let Ok(raw) = std::fs::read_to_string(file.path()) else {
            continue;
        };
        let Ok(exchange) = serde_json::from_str::<serde_json::Value>(&raw) else {
            continue;
        };
        assert_eq!(named(&DEFAULT, &raw), [], "{}", file.path().display());
        let mut open = vec![&exchange];
        while let Some(value) = open.pop() {
            match value {
                serde_json::Value::String(text) => {
                    texts += 1;
                    assert_eq!(named(&DEFAULT, text), [], "{}", file.path().display());
                }
                serde_json::Value::Array(values) => open.extend(values),
                serde_json::Value::Object(members) => open.extend(members.values()),
                _ => {}
            }
        }
    }
    assert!(texts > 1_000, "{texts}");
}

#[test]
fn debug_shows_no_allowed_value() {
    let secrets = Secrets::new(&[Kind::OpenaiKey], &["sk-kept-to-ourselves".to_owned()]).unwrap();
    assert!(!format!("{secrets:?}").contains("kept"));
}

/// Pieces of texts: whole secrets, parts of them, what is around them, other letters.
fn pieces() -> impl Strategy<Value = String> {
    static CASES: LazyLock<Vec<Case>> = LazyLock::new(cases);
    let whole = (0..CASES.len()).prop_map(|index| CASES[index].text());
    let cut = (0..CASES.len(), 0.0..1.0, 0.0..1.0).prop_map(|(index, a, b): (usize, f64, f64)| {
        let text = CASES[index].text();
        let (a, b) = ((text.len() as f64 * a) as usize, (text.len() as f64 * b) as usize);
        text[a.min(b)..a.max(b)].to_owned()
    });
    let fill = prop_oneof![
        Just(" ".to_owned()),
        Just("\n".to_owned()),
        Just("é".to_owned()),
        Just("日本語".to_owned()),
        Just("password = \"".to_owned()),
        Just(concat!("-----BE", "GIN RSA PRIVATE KEY-----\n").to_owned()),
        Just(concat!("-----E", "ND RSA PRIVATE KEY-----").to_owned()),
        Just("https://u:".to_owned()),
        Just("Authorization: Bearer ".to_owned()),
        "[ -~]{0,12}",
        "[0-9A-Za-z+/]{0,80}",
        "\\PC{0,4}",
    ];
    prop_oneof![2 => whole, 2 => cut, 3 => fill]
}

fn texts() -> impl Strategy<Value = String> {
    proptest::collection::vec(pieces(), 0..7).prop_map(|pieces| pieces.concat())
}

fn policy(action: Action) -> Policy {
    let guardrail = Guardrail {
        name: Arc::from("secrets"),
        kind: "secrets",
        input: true,
        output: true,
        action,
        replacement: None,
        check: Check::Finds(Box::new(Secrets::new(Kind::ALL, &[]).unwrap())),
        passthrough: false,
        digest: [0; 32],
    };
    Policy::new(vec![Arc::new(guardrail)])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Findings are in order, apart, not empty, and at characters.
    #[test]
    fn findings_are_sound(text in texts()) {
        let mut at = 0;
        for found in find(&ALL, &text) {
            prop_assert!(found.span.start >= at && found.span.end > found.span.start);
            prop_assert!(text.get(found.span.clone()).is_some());
            at = found.span.end;
        }
        let open = ALL.open(&text, 0);
        prop_assert!(text.is_char_boundary(open));
    }

    /// Any bytes at all.
    #[test]
    fn survives(text in "\\PC{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let text = format!("{text}{}", String::from_utf8_lossy(&bytes));
        find(&ALL, &text);
        prop_assert!(ALL.open(&text, 0) <= text.len());
    }

    /// The law of `Detector`.
    #[test]
    fn open_is_lawful(s in texts(), t in texts()) {
        let whole = format!("{s}{t}");
        let p = ALL.open(&s, 0);
        let mut parts = find(&ALL, &s[..p]);
        ALL.scan(&whole, p, &mut parts);
        prop_assert_eq!(find(&ALL, &whole), parts, "open at {} of {:?}", p, &s);
    }

    /// Any chunking comes to what the whole does.
    #[test]
    fn pieces_come_to_the_whole(text in texts(), sizes in proptest::collection::vec(1..40_usize, 1..8)) {
        let redact = policy(Action::Redact);
        let mut judge = Judge::new(&redact, Direction::Output);
        let whole = judge.text(&text).unwrap_or_else(|| text.clone());
        let verdicts = judge.verdicts();
        let (mut judge, mut window, mut out) = (Judge::new(&redact, Direction::Output), Window::default(), String::new());
        let (mut at, mut turn) = (0, 0);
        while at < text.len() {
            let mut end = (at + sizes[turn % sizes.len()]).min(text.len());
            while !text.is_char_boundary(end) {
                end += 1;
            }
            window.push(&mut judge, &text[at..end], &mut out);
            (at, turn) = (end, turn + 1);
        }
        window.end(&mut judge, &mut out);
        prop_assert_eq!(out, whole);
        prop_assert_eq!(judge.verdicts(), verdicts);
    }
}
