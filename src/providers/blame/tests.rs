//! The rows are walked, the vendors' own bodies judged, the recorded ones too; nothing a client writes decides.

mod samples;

use self::samples::SAMPLES;
use super::row::{Row, Statuses};
use super::*;
use crate::providers::compatible;
use http::header::{HeaderName, HeaderValue};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

fn judged(vendor: &str, status: u16, body: &str) -> Verdict {
    let status = StatusCode::from_u16(status).unwrap();
    judge(vendor, status, &HeaderMap::new(), body.as_bytes(), UNIX_EPOCH)
}

fn said(vendor: &str, status: u16, message: &str) -> (Blame, Option<Reason>) {
    let body = serde_json::json!({"error": {"message": message, "type": "invalid_request_error", "code": null}});
    let verdict = judged(vendor, status, &body.to_string());
    (verdict.blame, verdict.reason)
}

/// An error that looks like a row.
fn example(row: &Row, code: Option<&str>, says: Option<&str>) -> (u16, String) {
    let status = match row.statuses {
        Statuses::Any => 400,
        Statuses::Of(list) => list[0],
        Statuses::Range(from, _) => from,
    };
    if code == Some(facts::NOT_JSON) {
        return (status, "<html>blocked</html>".to_owned());
    }
    let mut error = serde_json::json!({"message": says.unwrap_or("x").replace('#', "12,345").replace('*', "m-1")});
    match code {
        Some(facts::PER_DAY) => {
            error["details"] = serde_json::json!([{"violations": [{"quotaId": "RequestsPerDayPerProject"}]}]);
        }
        Some(facts::MODERATED) => error["metadata"] = serde_json::json!({"reasons": ["violence"]}),
        Some(code) => error["code"] = code.into(),
        None => (),
    }
    (status, serde_json::json!({ "error": error }).to_string())
}

/// Every way in which an error can be of a row.
fn examples(row: &Row) -> Vec<(u16, String)> {
    let or_none = |texts: &'static [&'static str]| -> Vec<Option<&str>> {
        if texts.is_empty() {
            vec![None]
        } else {
            texts.iter().copied().map(Some).collect()
        }
    };
    let with = |code| or_none(row.says).into_iter().map(move |says| example(row, code, says));
    or_none(row.codes).into_iter().flat_map(with).collect()
}

#[test]
fn every_row_decides_where_it_is_the_vendors_own_and_somewhere_at_all() {
    let names = vendors::ALL.iter().flat_map(|(names, _)| names.iter().copied());
    let mut walked = 0;
    let mut idle: Vec<&Row> = page::all().iter().flat_map(|section| section.rows).collect();
    for vendor in names.chain(["a server of somebody's own"]) {
        for (place, section) in sections(vendor).iter().enumerate() {
            for row in section.rows {
                for (status, body) in examples(row) {
                    let facts = Facts::read(&HeaderMap::new(), body.as_bytes(), UNIX_EPOCH);
                    let decided = find(vendor, status, &facts).unwrap();
                    let same = (decided.blame, decided.reason, decided.cool) == (row.blame, row.reason, row.cool);
                    if same {
                        idle.retain(|idle| !std::ptr::eq(*idle, row));
                    }
                    // What several share, a vendor's own row may overrule.
                    let status_alone = row.codes.is_empty() && row.says.is_empty();
                    assert!(
                        same || place > 0 || status_alone,
                        "{vendor} {status} {body}\n{row:?}\n{decided:?}"
                    );
                    assert!(judged(vendor, status, &body).retry_after >= decided.cool);
                    walked += 1;
                }
            }
        }
    }
    // The last row of all has the statuses no other row has; its example is a 400.
    assert!(idle.is_empty(), "never decide: {idle:#?}");
    assert!(walked > 1000, "{walked}");
}

#[test]
fn every_compatible_vendor_named_has_rows_of_a_name_that_exists() {
    let first_party = [
        "openai",
        "azure.ai.openai",
        "anthropic",
        "gcp.gemini",
        "gcp.vertex_ai",
        "aws.bedrock",
        "cohere",
        "mistral_ai",
    ];
    for (names, sections) in vendors::ALL {
        for name in *names {
            let known = compatible::find(name).is_some() || first_party.contains(name);
            assert!(known && !sections.is_empty(), "{name}");
        }
    }
    for vendor in compatible::VENDORS {
        assert!(
            vendors::ALL.iter().any(|(names, _)| names.contains(&vendor.name)),
            "{}",
            vendor.name
        );
    }
}

#[test]
fn bodies_as_vendors_write_them() {
    for (vendor, status, body, blame, reason) in SAMPLES {
        let verdict = judged(vendor, *status, body);
        assert_eq!(
            (verdict.blame, verdict.reason),
            (*blame, *reason),
            "{vendor} {status} {body}"
        );
    }
}

#[test]
fn statuses_without_a_body_have_the_right_owner() {
    for (statuses, owner) in [
        (&[400, 404, 405, 409, 413, 415, 422][..], Blame::Client),
        (&[401, 402, 403], Blame::Credential),
        (&[429], Blame::RateLimit),
        (&[204, 301, 408, 425, 500, 502, 503, 504, 520, 529], Blame::Server),
    ] {
        for &status in statuses {
            for vendor in [
                "openai",
                "gcp.gemini",
                "anthropic",
                "cohere",
                "aws.bedrock",
                "mistral_ai",
                "vllm",
                "?",
            ] {
                for body in ["", " \n", "{}", r#"{"error":{}}"#] {
                    let verdict = judged(vendor, status, body);
                    // Nothing at all says nothing of the key.
                    let owner = match (status, body.trim()) {
                        (403, "") => Blame::Server,
                        _ => owner,
                    };
                    assert_eq!(verdict.blame, owner, "{vendor} {status} {body:?}");
                    assert_eq!(verdict.retry_after, None);
                }
            }
        }
    }
}

#[test]
fn what_a_client_wrote_decides_nothing() {
    let planted = "prompt is too long: 9 tokens > 8 maximum Your credit balance is too low to access the Anthropic API \
                   insufficient_quota API_KEY_INVALID context_length_exceeded This model's maximum context length is 5 tokens";
    let names = vendors::ALL.iter().flat_map(|(names, _)| names.iter().copied());
    for vendor in names {
        for message in [
            format!("Invalid value: '{planted}'"),
            format!("Unknown parameter: '{planted}'."),
            format!("messages.0.content: {planted}"),
        ] {
            assert_eq!(said(vendor, 400, &message), (Blame::Client, None), "{vendor} {message}");
        }
        let beside = serde_json::json!({"error": {"message": "bad", "param": planted, "echo": {"code": "insufficient_quota"}},
            "input": {"error": {"message": "prompt is too long", "code": "context_length_exceeded"}}, "messages": [planted]});
        let verdict = judged(vendor, 400, &beside.to_string());
        assert_eq!((verdict.blame, verdict.reason), (Blame::Client, None), "{vendor}");
        let verdict = judged(
            vendor,
            400,
            &format!("<pre>{{\"error\":{{\"code\":\"insufficient_quota\"}}}} {planted}</pre>"),
        );
        assert_eq!((verdict.blame, verdict.reason), (Blame::Client, None), "{vendor}");
    }
}

#[test]
fn delays_come_from_headers_and_bodies() {
    let after =
        |vendor: &str, status, body: &str| judged(vendor, status, body).retry_after.map(|wait| wait.as_millis());
    let google = |id: &str| {
        format!(
            r#"[{{"error":{{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{{"@type":"t/google.rpc.QuotaFailure","violations":[{{"quotaId":"{id}"}}]}},{{"@type":"t/google.rpc.RetryInfo","retryDelay":"34.074s"}}]}}}}]"#
        )
    };
    assert_eq!(
        after("gcp.gemini", 429, &google("RequestsPerMinutePerProject")),
        Some(34_074)
    );
    assert_eq!(
        after("gcp.vertex_ai", 429, &google("RequestsPerDayPerProject")),
        Some(3_600_000)
    );
    let text = r#"{"error":{"message":"Rate limit reached. Please try again in 7m12s.","code":"rate_limit_exceeded"}}"#;
    assert_eq!(after("groq", 429, text), Some(432_000));
    assert_eq!(after("groq", 503, text), Some(432_000));
    assert_eq!(after("groq", 400, text), None, "a client's own error closes nothing");
    let mut headers = HeaderMap::new();
    headers.insert("x-ratelimit-remaining-tokens", HeaderValue::from_static("0"));
    headers.insert("x-ratelimit-reset-tokens", HeaderValue::from_static("5m"));
    let judged = |status| {
        judge(
            "openai",
            StatusCode::from_u16(status).unwrap(),
            &headers,
            b"",
            UNIX_EPOCH,
        )
        .retry_after
    };
    assert_eq!(judged(429), Some(Duration::from_secs(300)));
    assert_eq!(judged(500), None, "limits say nothing about faults");
}

#[test]
fn bedrock_is_judged_by_the_name_of_its_exception() {
    let judged = |status: u16, name: &'static str, body: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("x-amzn-errortype", HeaderValue::from_static(name));
        let status = StatusCode::from_u16(status).unwrap();
        let verdict = judge("aws.bedrock", status, &headers, body.as_bytes(), UNIX_EPOCH);
        (verdict.blame, verdict.reason)
    };
    assert_eq!(judged(429, "ThrottlingException:http://x/", "").0, Blame::RateLimit);
    assert_eq!(judged(400, "ServiceQuotaExceededException", "").0, Blame::RateLimit);
    assert_eq!(
        judged(429, "ModelNotReadyException", ""),
        (Blame::RateLimit, Some(Reason::Overloaded))
    );
    assert_eq!(
        judged(403, "ExpiredTokenException", ""),
        (Blame::Credential, Some(Reason::Key))
    );
    assert_eq!(
        judged(403, "AccessDeniedException", ""),
        (Blame::Target, Some(Reason::Permission))
    );
    let key = r#"{"Message":"Authentication failed: Please make sure your API Key is valid."}"#;
    assert_eq!(
        judged(403, "AccessDeniedException", key),
        (Blame::Credential, Some(Reason::Key))
    );
    assert_eq!(
        judged(404, "ResourceNotFoundException", ""),
        (Blame::Target, Some(Reason::ModelMissing))
    );
    assert_eq!(judged(400, "ValidationException", ""), (Blame::Client, None));
    assert_eq!(judged(424, "ModelErrorException", "").0, Blame::Server);
}

#[test]
fn errors_inside_streams_are_judged_as_their_status_would_be() {
    let event =
        |vendor, name, data: &str| judge_event(vendor, name, data.as_bytes(), UNIX_EPOCH).map(|v| (v.blame, v.reason));
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    assert_eq!(
        event("anthropic", "error", overloaded),
        Some((Blame::Server, Some(Reason::Overloaded)))
    );
    let limited = r#"{"error":{"message":"Rate limit exceeded","code":429}}"#;
    assert_eq!(event("openrouter", "", limited), Some((Blame::RateLimit, None)));
    let failed = r#"{"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"x"}}}"#;
    assert_eq!(
        event("openai", "response.failed", failed),
        Some((Blame::RateLimit, None))
    );
    let flat = r#"{"type":"error","code":"context_length_exceeded","message":"Your input exceeds the context window"}"#;
    assert_eq!(
        event("openai", "error", flat),
        Some((Blame::Client, Some(Reason::ContextLength)))
    );
    let gemini = r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#;
    assert_eq!(
        event("gcp.gemini", "", gemini),
        Some((Blame::Server, Some(Reason::Overloaded)))
    );
    let throttled = event("aws.bedrock", "throttlingException", r#"{"message":"slow down"}"#);
    assert_eq!(throttled, Some((Blame::RateLimit, None)));
    let broke = r#"{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}"#;
    assert_eq!(
        event("minimax", "", broke),
        Some((Blame::Credential, Some(Reason::Quota)))
    );
    assert_eq!(
        event("openai", "", r#"{"error":"it broke"}"#),
        Some((Blame::Server, None))
    );
    for fine in [
        r#"{"id":"1","object":"chat.completion.chunk","choices":[]}"#,
        r#"{"type":"response.completed","response":{"error":null}}"#,
        r#"{"base_resp":{"status_code":0},"error":null}"#,
        r#"{"type":"message_start","message":{}}"#,
        "[DONE]",
        "",
    ] {
        assert_eq!(event("openai", "", fine), None, "{fine}");
    }
}

/// Recorded exchanges, where they are at hand.
fn recorded() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let roots = ["../shared/transcripts", "../../shared/transcripts"];
    let Some(root) = roots.iter().map(|root| here.join(root)).find(|root| root.is_dir()) else {
        eprintln!("skipped: no recordings beside the repository");
        return Vec::new();
    };
    let within = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    within(&root).iter().flat_map(|folder| within(folder)).collect()
}

#[test]
fn recorded_errors_are_judged() {
    let missing = Some(Reason::ModelMissing);
    let wanted = [
        ("anthropic/error-400", "anthropic", (Blame::Client, None), None),
        (
            "azure-openai/error-401",
            "azure.ai.openai",
            (Blame::Credential, Some(Reason::Key)),
            None,
        ),
        (
            "bedrock/converse-stream-error-400",
            "aws.bedrock",
            (Blame::Target, missing),
            None,
        ),
        ("cohere/error-404", "cohere", (Blame::Target, missing), None),
        ("gemini/error-404-model", "gcp.gemini", (Blame::Target, missing), None),
        (
            "openai-chat/error-400-bad-request",
            "openai",
            (Blame::Client, None),
            None,
        ),
        (
            "openai-chat/error-401-key",
            "openai",
            (Blame::Credential, Some(Reason::Key)),
            None,
        ),
        ("openai-embeddings/error-400", "openai", (Blame::Client, None), None),
        (
            "openai-responses/error-400-model",
            "openai",
            (Blame::Target, missing),
            None,
        ),
        // `x-ratelimit-reset: 1754667660000`, 20 s from then.
        (
            "openrouter/stream-then-429-2",
            "openrouter",
            (Blame::RateLimit, None),
            Some(20),
        ),
        ("vertex/error-404", "gcp.vertex_ai", (Blame::Target, missing), None),
    ];
    let now = UNIX_EPOCH + Duration::from_secs(1_754_667_640);
    let mut found = 0;
    for path in recorded() {
        let exchange: serde_json::Value = match std::fs::read(&path).map(|text| serde_json::from_slice(&text)) {
            Ok(Ok(exchange)) => exchange,
            _ => continue,
        };
        let response = &exchange["response"];
        let status = response["status"].as_u64().unwrap_or(200);
        if status == 200 {
            continue;
        }
        let name = path.with_extension("");
        let Some((_, vendor, verdict, wait)) = wanted.iter().find(|(end, ..)| name.ends_with(end)) else {
            panic!("a recorded error nobody has judged: {}", name.display());
        };
        let mut headers = HeaderMap::new();
        for (key, value) in response["headers"].as_object().into_iter().flatten() {
            let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
            headers.insert(HeaderName::from_bytes(key.as_bytes()).unwrap(), value);
        }
        let status = StatusCode::from_u16(u16::try_from(status).unwrap()).unwrap();
        let judged = judge(vendor, status, &headers, response["body"].to_string().as_bytes(), now);
        assert_eq!((judged.blame, judged.reason), *verdict, "{}", name.display());
        assert_eq!(
            judged.retry_after.map(|wait| wait.as_secs()),
            *wait,
            "{}",
            name.display()
        );
        found += 1;
    }
    assert!(found == 0 || found == wanted.len(), "{found}");
}

#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/blame.md");
    let text = page::page();
    if std::env::var_os("CIRQUE_UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/blame.md is out of date; CIRQUE_UPDATE=1 cargo test --lib blame writes it"
    );
    for blame in Blame::ALL {
        assert!(text.contains(&format!("| `{}`", blame.as_str())), "{blame:?}");
    }
    for reason in Reason::ALL {
        assert!(text.contains(&format!("| `{}` |", reason.as_str())), "{reason:?}");
    }
}

proptest! {
    #[test]
    fn nothing_panics(
        vendor in 0..vendors::ALL.len(),
        status in 100_u16..1000,
        header in "[ -~]{0,30}",
        name in 0..4_usize,
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200).prop_map(|bytes| bytes),
            "[\\[{]\"(error|base_resp|response)\":[\\[{]\"(code|message|details|metadata|type)\":(1e99|null|\"[a-z# ]{0,9}\"|\\[\\{\\}\\])[\\]}]{0,3}"
                .prop_map(String::into_bytes),
        ],
    ) {
        let mut headers = HeaderMap::new();
        let key = ["retry-after", "x-amzn-errortype", "x-ratelimit-reset", "retry-after-ms"][name];
        headers.insert(key, HeaderValue::from_str(&header).unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        let vendor = vendors::ALL[vendor].0[0];
        let verdict = judge(vendor, status, &headers, &body, UNIX_EPOCH);
        prop_assert!(verdict.retry_after.is_none_or(|wait| wait <= Duration::from_secs(86_400)));
        if matches!(verdict.reason, Some(Reason::ContextLength | Reason::ContentFilter)) {
            prop_assert_eq!(verdict.blame, Blame::Client);
        }
        let _ = judge_event(vendor, &header, &body, UNIX_EPOCH);
    }
}
