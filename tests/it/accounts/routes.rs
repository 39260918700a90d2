//! Every route there is passes authentication, limits and the ledger, and says so in its client's words.
//!
//! The table of routes is read from the sources, so that a route that is added there and not here fails.

use super::*;
use crate::support::upstream::json_answer;
use std::collections::BTreeSet;

const ENDPOINTS: &str = include_str!("../../../src/wire/endpoint.rs");
const RECEIVE: &str = include_str!("../../../src/gateway/stages/receive.rs");

/// Shape of an error: which of the vendors'.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Words {
    OpenAi,
    Anthropic,
    Gemini,
    Cohere,
}
use Words::*;

struct Case {
    method: &'static str,
    path: &'static str,
    body: &'static str,
    /// As the ledger names it.
    operation: &'static str,
    words: Words,
    /// What of the table it stands for.
    entry: &'static str,
}

const fn case(
    method: &'static str,
    path: &'static str,
    body: &'static str,
    operation: &'static str,
    words: Words,
    entry: &'static str,
) -> Case {
    Case {
        method,
        path,
        body,
        operation,
        words,
        entry,
    }
}

const CHAT: &str = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hello"}]}"#;
const STREAM: &str = r#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;
const TEXT: &str = r#"{"model":"m","input":"Hello"}"#;
const RERANK: &str = r#"{"model":"m","query":"x","documents":["y"]}"#;
const GEMINI: &str = r#"{"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}"#;
const EMBED: &str = r#"{"content":{"parts":[{"text":"Hello"}]}}"#;
const BATCH: &str = r#"{"requests":[{"model":"models/m","content":{"parts":[{"text":"Hello"}]}}]}"#;

/// All of them, with other spellings of the path where a different branch finds it.
const CASES: &[Case] = &[
    case(
        "POST",
        "/v1/chat/completions",
        CHAT,
        "chat",
        OpenAi,
        "/v1/chat/completions",
    ),
    case(
        "POST",
        "/v1/chat/completions",
        STREAM,
        "chat",
        OpenAi,
        "/v1/chat/completions",
    ),
    case("POST", "/openai/v1/chat/completions", CHAT, "chat", OpenAi, "/openai"),
    case(
        "POST",
        "/openai/deployments/m/chat/completions",
        CHAT,
        "chat",
        OpenAi,
        "/deployments/",
    ),
    case("POST", "/v1/messages", CHAT, "chat", Anthropic, "/v1/messages"),
    case("POST", "/v1/messages", STREAM, "chat", Anthropic, "/v1/messages"),
    case("POST", "/anthropic/v1/messages", CHAT, "chat", Anthropic, "/anthropic"),
    case("POST", "/v1/responses", TEXT, "chat", OpenAi, "/v1/responses"),
    case(
        "POST",
        "/v1/completions",
        r#"{"model":"m","prompt":"x"}"#,
        "text_completion",
        OpenAi,
        "/v1/completions",
    ),
    case("POST", "/v1/embeddings", TEXT, "embeddings", OpenAi, "/v1/embeddings"),
    case("POST", "/v1/moderations", TEXT, "moderation", OpenAi, "/v1/moderations"),
    case(
        "POST",
        "/v1/messages/count_tokens",
        CHAT,
        "count_tokens",
        Anthropic,
        "/v1/messages/count_tokens",
    ),
    case("POST", "/v1/rerank", RERANK, "rerank", Cohere, "/v1/rerank"),
    case("POST", "/v2/rerank", RERANK, "rerank", Cohere, "/v2/rerank"),
    case("POST", "/rerank", RERANK, "rerank", Cohere, "/rerank"),
    case(
        "POST",
        "/v1beta/models/m:generateContent",
        GEMINI,
        "chat",
        Gemini,
        "generateContent",
    ),
    case("POST", "/v1/models/m:generateContent", GEMINI, "chat", Gemini, "/v1/"),
    case(
        "POST",
        "/v1alpha/models/m:generateContent",
        GEMINI,
        "chat",
        Gemini,
        "/v1alpha/",
    ),
    case(
        "POST",
        "/v1beta1/publishers/google/models/m:generateContent",
        GEMINI,
        "chat",
        Gemini,
        "/v1beta1/",
    ),
    case(
        "POST",
        "/v1/projects/p/locations/l/publishers/google/models/m:generateContent",
        GEMINI,
        "chat",
        Gemini,
        "/publishers/google/models/",
    ),
    case(
        "POST",
        "/v1beta/models/m:streamGenerateContent?alt=sse",
        GEMINI,
        "chat",
        Gemini,
        "streamGenerateContent",
    ),
    case(
        "POST",
        "/v1beta/models/m:streamGenerateContent",
        GEMINI,
        "chat",
        Gemini,
        "/v1beta/",
    ),
    case(
        "POST",
        "/v1beta/models/m:countTokens",
        GEMINI,
        "count_tokens",
        Gemini,
        "countTokens",
    ),
    case(
        "POST",
        "/v1beta/models/m:embedContent",
        EMBED,
        "embeddings",
        Gemini,
        "embedContent",
    ),
    case(
        "POST",
        "/v1beta/models/m:batchEmbedContents",
        BATCH,
        "embeddings",
        Gemini,
        "batchEmbedContents",
    ),
    case("GET", "/v1/models", "", "models", OpenAi, "/v1/models"),
    case("GET", "/v1/models/m", "", "models", OpenAi, "Model"),
    case("GET", "/v1beta/models", "", "models", Gemini, "/v1beta/models"),
    case("GET", "/v1beta/models/m", "", "models", Gemini, "Model"),
    case("GET", "/v1alpha/models", "", "models", Gemini, "/v1alpha/models"),
    case("GET", "/openai/v1/models", "", "models", OpenAi, "/openai/v1/models"),
    case(
        "GET",
        "/anthropic/v1/models",
        "",
        "models",
        Anthropic,
        "/anthropic/v1/models",
    ),
    case("POST", "/v1/files", "{}", "passthrough", OpenAi, "Passthrough"),
    case("GET", "/v1/files/file-1", "", "passthrough", OpenAi, "Passthrough"),
    case("DELETE", "/v1/files/file-1", "", "passthrough", OpenAi, "Passthrough"),
    case(
        "POST",
        "/cirque/v1/cache/feedback",
        r#"{"id":"00000000000000000000000000000000"}"#,
        "cache_feedback",
        OpenAi,
        "CacheFeedback",
    ),
];

/// The texts in quotes of a piece of source.
fn quoted(source: &str) -> impl Iterator<Item = &str> {
    source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split('"').skip(1).step_by(2))
}

/// The piece of a source between two texts.
fn between<'a>(source: &'a str, from: &str, to: &str) -> &'a str {
    let from = source.find(from).unwrap_or_else(|| panic!("no {from} any more")) + from.len();
    let end = source[from..].find(to).unwrap_or_else(|| panic!("no {to} any more"));
    &source[from..from + end]
}

#[test]
fn all_routes_are_listed_here() {
    let mut wanted: BTreeSet<&str> =
        quoted(between(ENDPOINTS, "impl Endpoint {", "/// The dialect whose errors")).collect();
    for part in ["models/", "/v1/{operation}", ":", "starts_with"] {
        // Parts of paths that are found by others.
        wanted.remove(part);
    }
    wanted.extend(quoted(between(RECEIVE, "const MODEL_LISTS", "];")));
    let variants = between(RECEIVE, "pub enum Route {", "\n}");
    let variants = variants
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//") && !line.is_empty());
    for variant in variants.map(|line| line.split(['(', ',']).next().unwrap()) {
        match variant {
            // By what is above.
            "Api" | "Models" => {}
            other => _ = wanted.insert(other),
        }
    }
    let listed: BTreeSet<&str> = CASES.iter().map(|case| case.entry).collect();
    assert_eq!(wanted, listed);
    for operation in cirque::wire::Operation::ALL {
        assert!(
            CASES.iter().any(|case| case.operation == operation.as_str()),
            "{}",
            operation.as_str()
        );
    }
}

fn ask(gateway: &Gateway, case: &Case, key: &str) -> Response {
    let mut client = gateway.client();
    client.send(format!(
        "{} {} HTTP/1.1\r\nhost: gateway\r\n{key}content-type: application/json\r\ncontent-length: {}\r\nx-request-id: {}\r\n\r\n{}",
        case.method,
        case.path,
        case.body.len(),
        id(case),
        case.body
    ));
    client.response()
}

fn id(case: &Case) -> String {
    let at = CASES.iter().position(|one| std::ptr::eq(one, case)).unwrap();
    format!("case-{at}")
}

/// Check the words of an error.
#[track_caller]
fn speaks(answer: &Response, case: &Case, status: u16) {
    let what = format!("{} {}: {}", case.method, case.path, answer.text());
    assert_eq!(answer.status, status, "{what}");
    let error = answer.json();
    let text = match case.words {
        OpenAi => {
            let members: Vec<_> = error["error"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(members.len(), 4, "{what}");
            &error["error"]["message"]
        }
        Anthropic => {
            assert_eq!(error["type"], "error", "{what}");
            assert!(
                error["request_id"].is_string() && error["error"]["type"].is_string(),
                "{what}"
            );
            &error["error"]["message"]
        }
        Gemini => {
            assert_eq!(error["error"]["code"], status, "{what}");
            assert!(error["error"]["status"].is_string(), "{what}");
            &error["error"]["message"]
        }
        Cohere => {
            assert!(error.get("error").is_none(), "{what}");
            &error["message"]
        }
    };
    assert!(text.as_str().is_some_and(|text| text.len() > 10), "{what}");
    assert_eq!(answer.header("x-request-id"), Some(&*id(case)), "{what}");
}

#[test]
fn every_route_passes_authentication_limits_and_the_ledger() {
    let upstream = Upstream::always(json_answer(200, crate::support::upstream::CHAT));
    let gateway = gateway(
        &upstream,
        "passthrough: [ { path: /v1/files, pool: m } ]\nkeys: { k: { secret: env:KEY, tags: [ live ] } }",
    );
    let none = make_key(&gateway, "none", json!({"limits": [{"requests": 0, "per": "1h"}]}));
    let broke = make_key(&gateway, "broke", json!({"budgets": [{"usd": "0", "period": "total"}]}));
    for case in CASES {
        speaks(&ask(&gateway, case, ""), case, 401);
        speaks(
            &ask(&gateway, case, &bearer("nobodys-0123456789-0123456789")),
            case,
            401,
        );
        speaks(&ask(&gateway, case, &bearer(&none)), case, 429);
        let free = matches!(case.operation, "models" | "count_tokens" | "cache_feedback");
        let answer = ask(&gateway, case, &bearer(&broke));
        if !free {
            speaks(&answer, case, 429);
        }
    }
    assert_eq!(
        upstream.count(),
        CASES
            .iter()
            .filter(|case| case.operation == "count_tokens" && upstream_counts(case, &upstream))
            .count()
    );
    for case in CASES {
        let answer = ask(&gateway, case, &bearer(KEY));
        // There is no such answer.
        let unknown = case.operation == "cache_feedback" && answer.status == 404;
        assert!(
            unknown || !matches!(answer.status, 401 | 403 | 404 | 405 | 429),
            "{} {} {}",
            case.path,
            answer.status,
            answer.text()
        );
    }
    let rows = records(&gateway, CASES.len(), "&key=k");
    for case in CASES {
        let of: Vec<_> = rows.iter().filter(|row| row["request_id"] == *id(case)).collect();
        assert_eq!(of.len(), 1, "{} {}: {of:#?}", case.method, case.path);
        assert_eq!(of[0]["operation"], case.operation, "{}", case.path);
        assert_eq!(of[0]["tags"], json!(["live"]));
    }
    // Whom a limit refused is on record too; who was nobody is not.
    records(&gateway, CASES.len(), "&key=none");
    records(&gateway, CASES.len(), "&key=broke");
    records(&gateway, 3 * CASES.len(), "");
}

/// Whether the provider is asked to count.
fn upstream_counts(case: &Case, upstream: &Upstream) -> bool {
    let method = case.path.rsplit([':', '/']).next().unwrap();
    upstream.requests().iter().any(|request| request.line.contains(method))
}
