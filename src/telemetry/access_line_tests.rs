//! Lines of the access log.

use super::*;

pub fn record() -> AccessRecord {
    AccessRecord {
        time: UNIX_EPOCH + Duration::from_millis(1_769_860_800_007),
        request_id: "01J".into(),
        operation: "chat",
        method: "POST".into(),
        path: "/v1/chat/completions".into(),
        model: Some("gpt-4o".into()),
        target: Some("openai/gpt-4o".into()),
        attempts: 1,
        status: 200,
        duration: Duration::from_micros(812_345),
        ttft: Some(Duration::from_micros(210_004)),
        own: Duration::from_nanos(41_900),
        input_tokens: Some(12),
        output_tokens: Some(34),
        estimated: false,
        bytes_in: 1024,
        bytes_out: 2048,
        stream: true,
        error: None,
        upstream_request_id: Some("req_1".into()),
        client_left: false,
        detours: None,
    }
}

fn line(format: LineFormat, record: &AccessRecord) -> String {
    let mut out = Vec::new();
    LineWriter::default().write(&mut out, format, record);
    String::from_utf8(out).unwrap()
}

#[test]
fn text_line() {
    assert_eq!(
        line(LineFormat::Text, &record()),
        "time=2026-01-31T12:00:00.007Z request_id=01J operation=chat method=POST path=/v1/chat/completions \
         model=gpt-4o target=openai/gpt-4o attempts=1 status=200 duration_ms=812.345 ttft_ms=210.004 own_ms=0.041 \
         input_tokens=12 output_tokens=34 bytes_in=1024 bytes_out=2048 stream=true upstream_request_id=req_1\n"
    );
}

#[test]
fn json_line_parses_and_leaves_out_what_is_not_known() {
    let record = AccessRecord {
        model: None,
        target: None,
        ttft: None,
        input_tokens: None,
        output_tokens: None,
        upstream_request_id: None,
        status: 499,
        client_left: true,
        error: Some("client_left"),
        ..record()
    };
    let value: serde_json::Value = serde_json::from_str(&line(LineFormat::Json, &record)).unwrap();
    assert_eq!(
        value,
        serde_json::json!({"time": "2026-01-31T12:00:00.007Z", "request_id": "01J", "operation": "chat",
            "method": "POST", "path": "/v1/chat/completions", "attempts": 1, "status": 499, "duration_ms": 812.345,
            "own_ms": 0.041, "bytes_in": 1024, "bytes_out": 2048, "stream": true, "error": "client_left",
            "client_left": true})
    );
}

#[test]
fn nothing_a_client_sends_can_forge_a_line_or_a_key() {
    let nasty = "a\nstatus=200 \"x\\\r\u{1b}[31m\u{202e}\u{2028}\u{0}\u{e0041}é=";
    let record = AccessRecord {
        path: nasty.into(),
        request_id: "".into(),
        upstream_request_id: Some("x y".into()),
        ..record()
    };
    for format in [LineFormat::Text, LineFormat::Json] {
        let line = line(format, &record);
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(!line.trim_end().chars().any(hidden), "{line:?}");
    }
    let value: serde_json::Value = serde_json::from_str(&line(LineFormat::Json, &record)).unwrap();
    assert_eq!(value["path"], nasty);
    let text = line(LineFormat::Text, &record);
    assert!(
        text.contains(r#"path="a\nstatus=200 \"x\\\r\u001b[31m\u202e\u2028\u0000\udb40\udc41é=""#),
        "{text}"
    );
    assert!(text.contains(r#"request_id="" "#) && text.contains(r#"id="x y""#));
}

#[test]
fn long_values_are_cut_at_a_character() {
    let long = "é".repeat(1000);
    assert_eq!(clip_path(&long).chars().count(), 128);
    assert_eq!(&*clip_path("/v1/files?key=sk-1"), "/v1/files");
    let record = AccessRecord {
        request_id: long.into(),
        ..record()
    };
    assert_eq!(line(LineFormat::Text, &record).matches('é').count(), 256);
}

#[test]
fn the_cached_second_follows_the_clock() {
    let mut writer = LineWriter::default();
    let mut out = Vec::new();
    for millis in [999, 1000, 1001, 500] {
        let record = AccessRecord {
            time: UNIX_EPOCH + Duration::from_millis(millis),
            ..record()
        };
        writer.write(&mut out, LineFormat::Text, &record);
    }
    let text = String::from_utf8(out).unwrap();
    let stamps: Vec<&str> = text.lines().map(|line| &line[5..29]).collect();
    assert_eq!(
        stamps,
        [
            "1970-01-01T00:00:00.999Z",
            "1970-01-01T00:00:01.000Z",
            "1970-01-01T00:00:01.001Z",
            "1970-01-01T00:00:00.500Z"
        ]
    );
}

#[test]
fn what_happened_on_the_way_is_told_with_every_call() {
    let tried = |target: &str, outcome| TriedCall {
        target: target.into(),
        purpose: "first",
        outcome,
        took: Duration::from_micros(31_500),
        tokens: Some((12, 0)),
        cost: Some(30_000),
    };
    let record = AccessRecord {
        detours: Some(Box::new(Detours {
            rule: Some("long \"context\"".into()),
            purpose: Some("fallback"),
            queued: Some(Duration::from_millis(12)),
            seams: 1,
            cost: Some(2_100_000),
            tries: vec![tried("azure/gpt-4o", "server_error"), tried("b/c", "overtaken")],
            ..Detours::default()
        })),
        ..record()
    };
    let told: serde_json::Value = serde_json::from_str(&line(LineFormat::Json, &record)).unwrap();
    assert_eq!(told["rule"], "long \"context\"");
    assert_eq!(told["cost_usd"].to_string(), "0.0021");
    assert_eq!(told["tries"][1]["outcome"], "overtaken");
    assert_eq!(told["tries"][0]["input_tokens"], 12);
    let text = line(LineFormat::Text, &record);
    assert!(
        text.contains(r#"tries="azure/gpt-4o first server_error 31ms, b/c first overtaken 31ms""#),
        "{text}"
    );
}
