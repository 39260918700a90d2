//! What the semantic tier stands on may be missing, spoilt, elsewhere, or away.

use super::alike::{models, until_alike};
use super::{ask, cached, content, counting, until_hit};
use crate::accounts::{OWNER, read};
use crate::support::gateway::{Builder, free_port};
use crate::support::upstream::json_answer;
use crate::support::{Gateway, Upstream, eventually};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const CHAT: &str = "/v1/chat/completions";
const SEMANTIC: &str = "{ mode: semantic, time_limit: 1s }";
const NO_STORE: &str = "x-cirque-cache: no-store\r\n";

fn operated(body: String) -> Builder {
    Builder::new(body)
        .admin("operators: { root: { role: owner, token: env:OWNER } }")
        .env("OWNER", OWNER)
}

fn with_models(upstream: &Upstream, folder: &Path) -> String {
    format!(
        "{}cache: {{ semantic: {{ models: \"{}\" }} }}\n",
        cached(upstream, SEMANTIC),
        folder.display()
    )
}

#[test]
fn model_files_that_were_never_made_are_an_error_that_names_the_way() {
    let upstream = counting();
    let folder = std::env::temp_dir().join(format!("cirque-no-models-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let config = folder.join("cirque.yaml");
    let text = format!(
        "listen: 127.0.0.1:{}\nadmin: {{ listen: \"127.0.0.1:{}\" }}\ninsecure: {{ open_access: true }}\nserver: {{ upgrade_socket: {}, state_dir: {} }}\n{}",
        free_port(),
        free_port(),
        folder.join("upgrade.sock").display(),
        folder.join("state").display(),
        with_models(&upstream, &folder.join("models"))
    );
    std::fs::write(&config, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_cirque"))
        .args(["serve", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{told}");
    assert!(
        told.contains("make models") && told.contains("cache.semantic"),
        "{told}"
    );
}

/// Spoil a copy of a file.
type Spoil = fn(&Path);

#[test]
fn spoilt_model_files_turn_the_tier_off_and_nothing_else() {
    let Some(models) = models() else { return };
    let flip = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    let cases: [(&str, Spoil); 5] = [
        ("encoder.bin", flip),
        ("static.bin", |path| {
            let bytes = std::fs::read(path).unwrap();
            std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("vocabulary.txt", |path| std::fs::write(path, "").unwrap()),
        ("encoder.bin", |path| std::fs::remove_file(path).unwrap()),
        ("manifest.json", |path| {
            std::fs::write(path, "{\"format\": 1, \"files\": [").unwrap()
        }),
    ];
    for (number, (name, spoil)) in cases.into_iter().enumerate() {
        let folder = std::env::temp_dir().join(format!("cirque-spoilt-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for file in std::fs::read_dir(&models).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
        }
        spoil(&folder.join(name));
        let upstream = counting();
        let gateway = operated(with_models(&upstream, &folder)).start();
        let totals = read(&gateway, "/admin/v1/cache");
        let told = totals["semantic"].as_str().unwrap_or_default();
        assert!(told.starts_with("off: "), "{number} {name}: {totals}");
        assert!(gateway.log_has("the semantic cache is off"), "{number} {name}");
        let first = until_hit(&gateway, CHAT, &ask("What is the capital of France?"));
        assert!(content(&first).starts_with("answer "));
        let other = gateway
            .post(CHAT, ask("Tell me the capital of France").to_string())
            .ok();
        assert_eq!(other.header("x-cirque-cache"), Some("miss"));
        drop(gateway);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

/// What the scripted embedder does.
const GOOD: u8 = 0;
const SAME: u8 = 1;
const FAILS: u8 = 2;
const SHORT: u8 = 3;
const NONSENSE: u8 = 4;
const HANGS: u8 = 5;

/// A vector by what a text is about, a little apart for each text.
fn vector(text: &str, mode: u8) -> Vec<f32> {
    let mut vector = vec![0.0; 8];
    let at = match text {
        _ if mode == SAME => 0,
        _ if text.contains("France") => 1,
        _ if text.contains("Germany") => 2,
        _ if text.contains("Graz") => 3,
        _ => 4 + text.len() % 3,
    };
    vector[at] = 1.0;
    if mode == GOOD {
        vector[7] = (text.len() % 5) as f32 / 500.0;
    }
    vector
}

fn embedder(mode: &Arc<AtomicU8>) -> Upstream {
    let mode = Arc::clone(mode);
    Upstream::script(move |conn| {
        while let Some(request) = conn.request() {
            assert!(request.line.contains("/embeddings"), "{}", request.line);
            let body: Value = serde_json::from_str(request.text()).unwrap();
            let texts: Vec<&str> = match &body["input"] {
                Value::String(text) => vec![text],
                texts => texts
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|text| text.as_str().unwrap())
                    .collect(),
            };
            let mode = mode.load(Ordering::SeqCst);
            let data: Vec<Value> = texts
                .iter()
                .enumerate()
                .map(|(index, text)| json!({"object": "embedding", "index": index, "embedding": vector(text, mode)}))
                .collect();
            let good =
                json!({"object": "list", "model": "e", "data": data, "usage": {"prompt_tokens": 1, "total_tokens": 1}});
            match mode {
                FAILS => conn.send(json_answer(500, "{}")),
                SHORT => conn.send(json_answer(
                    200,
                    r#"{"object":"list","data":[],"model":"e","usage":{"prompt_tokens":1,"total_tokens":1}}"#,
                )),
                NONSENSE => conn.send(json_answer(200, "{\"data\": 3}")),
                HANGS => {
                    conn.wait_closed();
                    return;
                }
                _ => conn.send(json_answer(200, &good.to_string())),
            };
        }
    })
}

/// With vectors of the model `emb`.
fn remote(upstream: &Upstream, embedder: &Upstream) -> Gateway {
    let text = cached(upstream, SEMANTIC)
        .replace(
            "providers: {",
            &format!(
                "providers: {{ e: {{ kind: openai, base_url: \"{}\" }}, ",
                embedder.url()
            ),
        )
        .replace(
            "models: {",
            "models: { emb: { targets: [ { provider: e, model: e } ] }, ",
        );
    operated(text + "cache: { semantic: { embedder: emb } }\n").start()
}

fn result(gateway: &Gateway, text: &str) -> String {
    let response = gateway.post_with(CHAT, NO_STORE, ask(text).to_string()).ok();
    response.header("x-cirque-cache").unwrap_or("none").to_owned()
}

#[test]
fn another_encoder_may_be_asked_and_its_outage_is_a_miss() {
    let mode = Arc::new(AtomicU8::new(GOOD));
    let (upstream, vectors) = (counting(), embedder(&mode));
    let gateway = remote(&upstream, &vectors);
    assert_eq!(read(&gateway, "/admin/v1/cache")["semantic"], "vectors of emb");
    let first = until_hit(&gateway, CHAT, &ask("What is the capital of France?"));
    let alike = until_alike(&gateway, "Tell me the capital of France");
    assert!(alike.header("x-cirque-cache-score").is_some());
    assert!(content(&alike) == content(&first) || content(&alike).starts_with("answer "));
    for other in [
        "What is the capital of Germany?",
        "What is not the capital of France?",
        "How old is Graz?",
    ] {
        assert_eq!(result(&gateway, other), "miss", "{other}");
    }
    // Each time in words that were not embedded before.
    for (number, trouble) in [FAILS, SHORT, NONSENSE].into_iter().enumerate() {
        mode.store(trouble, Ordering::SeqCst);
        let text = format!("Please tell me the capital of France{}", "!".repeat(number + 1));
        assert_eq!(result(&gateway, &text), "miss", "{trouble}");
        assert_eq!(
            result(&gateway, "What is the capital of France?"),
            "hit",
            "exact answers are served"
        );
    }
    mode.store(HANGS, Ordering::SeqCst);
    let began = std::time::Instant::now();
    assert_eq!(result(&gateway, "Do tell me the capital of France"), "miss");
    println!(
        "the embedder hangs: answered after {:?} (time limit 1s)",
        began.elapsed()
    );
    let failed = gateway.metric("cirque_cache_semantic_total", &["failed"])
        + gateway.metric("cirque_cache_semantic_total", &["slow"]);
    assert!(failed >= 2.0, "{failed}");
    mode.store(GOOD, Ordering::SeqCst);
    eventually("it is found again", || {
        (result(&gateway, "Tell me, please: the capital of France") == "semantic"
            || result(&gateway, "Tell me the capital of France, please") == "semantic")
            .then_some(())
    });
}

#[test]
fn an_encoder_to_which_everything_is_alike_makes_no_hits() {
    let mode = Arc::new(AtomicU8::new(SAME));
    let (upstream, vectors) = (counting(), embedder(&mode));
    let gateway = remote(&upstream, &vectors);
    until_hit(&gateway, CHAT, &ask("What is the capital of France?"));
    eventually("its vector is asked for", || (vectors.count() > 0).then_some(()));
    for other in [
        "What is the capital of Germany?",
        "How do I bake bread?",
        "What is the population of France?",
        "What is not the capital of France?",
        "Explain recursion",
        "?",
        "1",
        "Which river flows through the largest city of Austria?",
    ] {
        assert_eq!(result(&gateway, other), "miss", "{other}");
    }
}
