//! Arguments, reading, rendering.

use super::*;
use crate::cli::{Cli, Command, RouteCommand};
use clap::Parser;
use serde_json::json;

fn example() -> Explanation {
    Explanation {
        model_asked: Some("gpt-4o".to_owned()),
        rules: vec![
            RuleTried {
                name: "night".to_owned(),
                held: false,
                why: "hour(now) is 14, not < 6".to_owned(),
            },
            RuleTried {
                name: "eu".to_owned(),
                held: true,
                why: "metadata.region == \"eu\": true\n  metadata.region: \"eu\"".to_owned(),
            },
        ],
        model: Some("gpt-4o-eu".to_owned()),
        refused: None,
        priority: 5,
        input_tokens: Some(812),
        edits: vec![
            Edit {
                rule: "eu".to_owned(),
                action: "set".to_owned(),
                parameter: "store".to_owned(),
                value: Some(json!(false)),
            },
            Edit {
                rule: "eu".to_owned(),
                action: "remove".to_owned(),
                parameter: "user".to_owned(),
                value: None,
            },
        ],
        targets: vec![
            Candidate {
                id: "azure/gpt-4o".to_owned(),
                tier: 0,
                weight: 10,
                lacks: vec![],
                fits: Some(true),
            },
            Candidate {
                id: "local/qwen".to_owned(),
                tier: 1,
                weight: 1,
                lacks: vec!["vision".to_owned(), "tools".to_owned()],
                fits: Some(false),
            },
        ],
    }
}

#[test]
fn arguments_are_read() {
    let parse = |args: &[&str]| Cli::try_parse_from([&["cirque", "route", "explain"], args].concat());
    let Command::Route {
        command: RouteCommand::Explain(args),
    } = parse(&["--config", "c.yaml", "--request", "-", "--json"])
        .unwrap()
        .command
    else {
        panic!("another command")
    };
    let expected = ExplainArgs {
        config: "c.yaml".into(),
        request: "-".into(),
        json: true,
    };
    assert_eq!(args, expected);
    for missing in [&["--config", "c"][..], &["--request", "r"], &[]] {
        assert_eq!(parse(missing).unwrap_err().exit_code(), i32::from(BAD_INPUT));
    }
}

#[test]
fn tables_show_all_there_is() {
    let expected = "\
asked     gpt-4o
model     gpt-4o-eu
priority  5
input     about 812 tokens

RULE   HELD  WHY
night  no    hour(now) is 14, not < 6
eu     yes   metadata.region == \"eu\": true
               metadata.region: \"eu\"

EDIT    PARAMETER  VALUE  BY RULE
set     store      false  eu
remove  user              eu

TARGET           TIER  WEIGHT  LACKS          CONTEXT
1. azure/gpt-4o  0     10      -              fits
2. local/qwen    1     1       vision, tools  too long
";
    assert_eq!(render(&example()), expected);
}

#[test]
fn a_refusal_has_no_tables_and_no_control_characters() {
    let refused = Explanation {
        model_asked: Some("x\u{1b}[31m\u{202e}".to_owned()),
        refused: Some(format!("no such model\n{}", "a".repeat(300))),
        priority: 5,
        ..Explanation::default()
    };
    let text = render(&refused);
    assert!(
        text.starts_with("asked     x\\u{1b}[31m\\u{202e}\nrefused   no such model\\u{a}aaa"),
        "{text}"
    );
    assert!(text.ends_with("aaa…\npriority  5\n"), "{text}");
}

#[test]
fn json_survives_being_written_and_read() {
    let text = serde_json::to_string(&example()).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&text).unwrap(), example());
    assert!(!text.contains("\"value\":null"));
}

/// A file of this process's own, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("cirque-route-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn what_cannot_be_read_is_said_with_its_file() {
    let good = "listen: 127.0.0.1:0\ninsecure: { open_access: true }\nproviders: { d: { kind: demo } }\n\
                models: { demo: { targets: [ { provider: d } ] } }\n";
    let config = Scratch::new("good.yaml", good.as_bytes());
    let asked = |name: &str, request: &[u8]| {
        let request = Scratch::new(name, request);
        let args = ExplainArgs {
            config: config.0.clone(),
            request: request.0.clone(),
            json: false,
        };
        let message = decide(&args).unwrap_err();
        message
            .strip_prefix(&format!("{}: ", request.0.display()))
            .unwrap()
            .to_owned()
    };
    assert!(asked("no-json", b"{").starts_with("not JSON: "));
    assert_eq!(asked("large", &vec![b' '; LARGEST_QUESTION + 1]), "larger than 1MiB");
    assert_eq!(
        asked("no-body", b"{}"),
        "body: the request's body, a JSON object, is missing"
    );
    assert_eq!(
        asked("path", br#"{"path": "v1", "body": {}}"#),
        "path: not a path such as /v1/chat/completions"
    );

    let broken = Scratch::new("broken.yaml", b"listen: 1\n");
    let args = ExplainArgs {
        config: broken.0.clone(),
        request: "/nonexistent".into(),
        json: false,
    };
    let message = decide(&args).unwrap_err();
    assert!(message.contains("broken.yaml:1:9  listen: "), "{message}");
    let args = ExplainArgs {
        config: config.0.clone(),
        ..args
    };
    assert!(decide(&args).unwrap_err().starts_with("/nonexistent: "));
}
