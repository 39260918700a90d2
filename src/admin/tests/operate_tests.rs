//! Targets, their reset and isolation, explained routing, and what keeps web pages out, over a control that only notes.

use super::*;
use std::sync::Mutex;

/// Two targets; notes what is asked of it.
#[derive(Default)]
pub(super) struct Fake {
    done: Mutex<Vec<(String, Action)>>,
    asked: Mutex<Vec<Value>>,
}

const IDS: [&str; 3] = ["openai/gpt-4o", "local/Qwen/Qwen3 8B", "odd/reset"];

impl Control for Fake {
    fn targets(&self) -> Value {
        IDS.iter().map(|id| json!({"id": id, "breaker": "closed"})).collect()
    }

    fn act(&self, id: &str, action: Action) -> Result<Value, Unknown> {
        if id == "panics/always" {
            panic!("test");
        }
        if !IDS.contains(&id) {
            return Err(Unknown::among(id, IDS));
        }
        self.done.lock().unwrap().push((id.to_owned(), action));
        Ok(json!({"id": id, "breaker": "isolated"}))
    }

    fn explain(&self, request: Value) -> Result<Value, Refused> {
        Question::read(request.clone())?;
        self.asked.lock().unwrap().push(request);
        Ok(serde_json::to_value(Explanation::default()).unwrap())
    }
}

async fn serving(control: Arc<Fake>) -> SocketAddr {
    let state = AdminState {
        meters: Meters::new().unwrap(),
        readiness: Arc::default(),
        facts: Arc::new(|| json!({})),
        control,
        api: Arc::new(Api::closed()),
        started: Instant::now(),
    };
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(serve(listener, state, std::future::pending()));
    address
}

/// A POST with these header lines beside those that frame it.
async fn post(address: SocketAddr, path: &str, headers: &str, body: &str) -> (u16, Value) {
    let length = body.len();
    let request =
        format!("POST {path} HTTP/1.1\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
    let (status, head, body) = exchange(address, &request).await;
    assert!(head.contains("cache-control: no-store"), "{head}");
    (status, serde_json::from_str(&body).unwrap())
}

const TOOL: &str = "host: 127.0.0.1:8081\r\ncontent-type: application/json\r\n";

#[tokio::test]
async fn targets_are_listed_and_found_by_id_with_slashes_and_spaces() {
    let address = serving(Arc::default()).await;
    let get = async |path: &str| {
        let (status, _, body) = call(address, "GET", path).await;
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let (status, all) = get("/admin/v1/targets").await;
    assert_eq!((status, all["targets"].as_array().unwrap().len()), (200, 3));
    for (path, id) in [
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("openai%2Fgpt-4o", "openai/gpt-4o"),
        ("local/Qwen/Qwen3%208B", "local/Qwen/Qwen3 8B"),
        ("odd/reset", "odd/reset"),
    ] {
        let (status, one) = get(&format!("/admin/v1/targets/{path}")).await;
        assert_eq!((status, &one["id"]), (200, &json!(id)), "{path}");
    }
    let (status, body) = get("/admin/v1/targets/openai/gtp-4o").await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("unknown_target")));
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("did you mean openai/gpt-4o?")
    );
    for path in ["/admin/v1/targets/", "/admin/v1/targets/%ff"] {
        assert!((400..500).contains(&call(address, "GET", path).await.0), "{path}");
    }
}

#[tokio::test]
async fn targets_are_reset_and_isolated() {
    let control = Arc::new(Fake::default());
    let address = serving(Arc::clone(&control)).await;
    for (path, body) in [
        ("openai/gpt-4o/isolate", ""),
        ("openai%2fgpt-4o/reset", "{}"),
        ("odd/reset/reset", " { } "),
    ] {
        let (status, target) = post(address, &format!("/admin/v1/targets/{path}"), TOOL, body).await;
        assert_eq!((status, &target["breaker"]), (200, &json!("isolated")), "{path}");
    }
    let expected = [
        ("openai/gpt-4o", Action::Isolate),
        ("openai/gpt-4o", Action::Reset),
        ("odd/reset", Action::Reset),
    ];
    assert_eq!(
        *control.done.lock().unwrap(),
        expected.map(|(id, action)| (id.to_owned(), action))
    );

    for (path, body, code, name) in [
        ("openai/gpt-4/reset", "", 404, "unknown_target"),
        ("openai/gpt-4o/explode", "", 404, "not_found"),
        ("reset", "", 404, "not_found"),
        ("openai/gpt-4o/reset", "{\"for\": \"1h\"}", 400, "invalid_request"),
        ("openai/gpt-4o/reset", "nonsense", 400, "invalid_request"),
        ("panics/always/reset", "", 500, "internal_error"),
    ] {
        let (status, answer) = post(address, &format!("/admin/v1/targets/{path}"), TOOL, body).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (code, &json!(name)),
            "{path} {body}"
        );
    }
    assert_eq!(control.done.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_web_page_can_change_nothing() {
    let control = Arc::new(Fake::default());
    let address = serving(Arc::clone(&control)).await;
    let json = "content-type: application/json\r\n";
    let local = "host: localhost:8081\r\n";
    for (headers, code) in [
        // What a form or a fetch without preflight can send.
        (format!("{local}content-type: text/plain\r\n"), 415),
        (
            format!("{local}content-type: application/x-www-form-urlencoded\r\n"),
            415,
        ),
        (format!("{local}content-type: text/plain; x=application/json\r\n"), 415),
        (format!("{local}{json}content-type: text/plain\r\n"), 415),
        (local.to_owned(), 415),
        // What it adds by itself.
        (format!("{local}{json}origin: http://localhost:8081\r\n"), 403),
        (format!("{local}{json}origin: null\r\n"), 403),
        // Names that were made to point here.
        (format!("host: rebound.example\r\n{json}"), 403),
        (format!("host: localhost.rebound.example\r\n{json}"), 403),
        (format!("host: 127.0.0.1.rebound.example:8081\r\n{json}"), 403),
        (format!("host: 127.0.0.1@rebound.example\r\n{json}"), 403),
        (format!("host: rebound.example@127.0.0.1\r\n{json}"), 403),
        (format!("host: \r\n{json}"), 403),
        (format!("{local}host: rebound.example\r\n{json}"), 403),
    ] {
        let (status, body) = post(address, "/admin/v1/targets/openai/gpt-4o/isolate", &headers, "").await;
        assert_eq!(status, code, "{headers}{body}");
    }
    let (status, _) = post(
        address,
        "http://rebound.example/admin/v1/targets/openai/gpt-4o/isolate",
        TOOL,
        "",
    )
    .await;
    assert_eq!(status, 403);
    let preflight = format!(
        "OPTIONS /admin/v1/route/explain HTTP/1.1\r\n{local}origin: http://x.example\r\nconnection: close\r\n\r\n"
    );
    let (status, head, _) = exchange(address, &preflight).await;
    assert_eq!(status, 405);
    assert!(!head.contains("access-control"), "{head}");
    assert!(control.done.lock().unwrap().is_empty());

    for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "10.1.2.3:8081", "[::1]:8081"] {
        let headers = format!("host: {host}\r\ncontent-type: application/JSON ; charset=utf-8\r\n");
        let (status, body) = post(address, "/admin/v1/targets/openai/gpt-4o/reset", &headers, "").await;
        assert_eq!(status, 200, "{host} {body}");
    }
}

#[tokio::test]
async fn routing_is_explained() {
    let control = Arc::new(Fake::default());
    let address = serving(Arc::clone(&control)).await;
    let path = "/admin/v1/route/explain";
    let question =
        json!({"path": "/v1/messages", "headers": {"x": "y"}, "body": {"model": "m"}, "now": "2026-01-31T22:00:00Z"});
    let (status, answer) = post(address, path, TOOL, &question.to_string()).await;
    assert_eq!(status, 200);
    assert_eq!(
        serde_json::from_value::<Explanation>(answer).unwrap(),
        Explanation::default()
    );
    assert_eq!(*control.asked.lock().unwrap(), [question]);

    let deep = format!("{{\"body\": {{\"a\": {}1{} }} }}", "[".repeat(200), "]".repeat(200));
    for (body, param) in [
        ("", Value::Null),
        ("[]", Value::Null),
        ("{\"body\": {}, \"boddy\": {}}", Value::Null),
        ("{}", json!("body")),
        ("{\"body\": []}", json!("body")),
        ("{\"body\": {}, \"path\": \"v1\"}", json!("path")),
        ("{\"body\": {}, \"headers\": {\"a\": 1}}", json!("headers")),
        ("{\"body\": {}, \"now\": 5}", json!("now")),
        (&deep, Value::Null),
    ] {
        let (status, answer) = post(address, path, TOOL, body).await;
        let error = &answer["error"];
        assert_eq!(
            (status, &error["code"], &error["param"]),
            (400, &json!("invalid_request"), &param),
            "{body}"
        );
    }
    let (status, answer) = post(address, path, TOOL, &" ".repeat(LARGEST_QUESTION + 1)).await;
    assert_eq!((status, &answer["error"]["code"]), (413, &json!("payload_too_large")));
    let (status, _, body) = call(address, "GET", path).await;
    assert_eq!(status, 405);
    assert!(body.contains("method_not_allowed"), "{body}");
}

#[test]
fn a_question_has_defaults() {
    let question = Question::read(json!({"body": {"model": "m"}})).unwrap();
    assert_eq!(question.path, "/v1/chat/completions");
    assert!(question.headers.is_empty() && question.now.is_none());
}

#[test]
fn near_ids_are_few_and_the_nearest_first() {
    let near = |id: &str| Unknown::among(id, IDS).near;
    assert_eq!(near("openai/GPT-4o"), ["openai/gpt-4o"]);
    assert!(near("something/else-altogether").is_empty());
    assert!(near(&"x".repeat(5000)).is_empty());
    let many: Vec<String> = (0..9).map(|index| format!("p/m{index}")).collect();
    let near = Unknown::among("p/m", many.iter().map(String::as_str)).near;
    assert_eq!(near, ["p/m0", "p/m1", "p/m2"]);
}
