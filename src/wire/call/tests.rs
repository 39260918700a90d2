//! Envelopes, good and bad, in every dialect.

use super::*;
use crate::units::ServiceTier;

fn read(body: &str) -> Result<Call, GatewayError> {
    Call::read(Operation::Chat, Bytes::from(body.to_owned()), 64)
}

#[test]
fn the_envelope_knows_values_and_places() {
    let body = r#" {"stream":true,"model":"a\u0062","stream_options":{"x":1,"include_usage":false}}"#;
    let envelope = read(body).unwrap().envelope;
    assert_eq!(envelope.model, "ab");
    assert_eq!(&body[envelope.model_at.clone()], r#""a\u0062""#);
    assert!(envelope.stream && !envelope.include_usage && envelope.stream_options_filled);
    assert_eq!(&body[envelope.include_usage_at.unwrap()], "false");
    assert_eq!(envelope.brace_at, 1);
}

#[test]
fn every_prompt_has_answers_of_its_own() {
    for (prompt, answers) in [
        (r#""a, [b]""#, 2),
        (r#"["a"]"#, 2),
        (r#"["a,\"","b",["c"]]"#, 6),
        ("[1, 2, 3]", 2),
        ("[[1,2],[3]]", 4),
        ("[]", 2),
        ("null", 2),
    ] {
        let body = format!(r#"{{"model":"a","n":2,"prompt":{prompt}}}"#);
        let completion = Call::read(Operation::Completions, body.clone().into(), 32).unwrap();
        assert_eq!(completion.choices(), answers, "{prompt}");
        assert_eq!(Call::read(Operation::Chat, body.into(), 32).unwrap().choices(), 2);
    }
}

#[test]
fn the_tier_that_is_asked_for_is_read() {
    for (body, tier) in [
        (r#"{"model":"a"}"#, ServiceTier::Standard),
        (
            r#"{"model":"a","service\u005ftier":"prior\u0069ty"}"#,
            ServiceTier::Priority,
        ),
        (
            r#"{"model":"a","service_tier":"auto","speed":"fast"}"#,
            ServiceTier::Priority,
        ),
        (r#"{"model":"a","service_tier":7}"#, ServiceTier::Standard),
    ] {
        assert_eq!(read(body).unwrap().tier(), tier, "{body}");
    }
}

#[test]
fn bad_envelopes_say_which_field_and_why() {
    for (body, code, param) in [
        ("", "invalid_json", None),
        ("[1]", "invalid_json", None),
        (r#"{"model":"#, "invalid_json", None),
        (r#"{"messages":[]}"#, "missing_required_parameter", Some("model")),
        (r#"{"model":7}"#, "invalid_type", Some("model")),
        (r#"{"model":""}"#, "invalid_value", Some("model")),
        (r#"{"model":"a","model":"b"}"#, "duplicate_field", Some("model")),
        (r#"{"model":"a","mod\u0065l":"b"}"#, "duplicate_field", Some("model")),
        (r#"{"model":"a","stream":"yes"}"#, "invalid_type", Some("stream")),
        (
            r#"{"model":"a","stream_options":3}"#,
            "invalid_type",
            Some("stream_options"),
        ),
        (
            r#"{"model":"a","stream_options":{"include_usage":1}}"#,
            "invalid_type",
            Some("stream_options.include_usage"),
        ),
    ] {
        let error = read(body).unwrap_err();
        assert_eq!(
            (error.error_code(), error.param.as_deref()),
            (Some(code), param),
            "{body}"
        );
    }
}

#[test]
fn bad_utf8_is_named_with_its_offset() {
    let error = Call::read(Operation::Embeddings, Bytes::from_static(b"{\"model\":\"\xff\"}"), 64).unwrap_err();
    assert_eq!(error.error_code(), Some("invalid_utf8"));
    assert!(error.message.contains("offset 10"), "{}", error.message);
}

#[test]
fn what_may_be_written_is_read_in_every_dialect() {
    for (dialect, body, cap, choices) in [
        (Dialect::OpenAi, r#"{"model":"m"}"#, None, 1),
        (
            Dialect::OpenAi,
            r#"{"model":"m","max_tokens":5,"max_completion_tokens":7,"n":3}"#,
            Some(7),
            3,
        ),
        (
            Dialect::OpenAi,
            r#"{"model":"m","max_tokens":1e2,"n":2.0,"best_of":4}"#,
            Some(100),
            4,
        ),
        (Dialect::OpenAi, r#"{"model":"m","max_tokens":null,"n":-3}"#, None, 1),
        (Dialect::OpenAi, r#"{"model":"m","max_tokens":"99"}"#, Some(99), 1),
        (
            Dialect::OpenAi,
            r#"{"model":"m","max_tokens":1e300}"#,
            Some(u64::MAX),
            1,
        ),
        (Dialect::Anthropic, r#"{"model":"m","max_tokens":64}"#, Some(64), 1),
        (Dialect::Responses, r#"{"model":"m","max_output_tokens":9}"#, Some(9), 1),
    ] {
        let call = Call::read_as(Operation::Chat, dialect, Bytes::from(body.to_owned()), 64).unwrap();
        assert_eq!((call.output_cap(), call.choices()), (cap, choices), "{body}");
    }
    let given = || Given {
        model: "m".to_owned(),
        stream: false,
        json_array: false,
    };
    let gemini = |body: &str| {
        let reading = Reading::given(Operation::Chat, Dialect::Gemini, given(), 64);
        reading.finish(Bytes::from(body.to_owned()))
    };
    let call = gemini(r#"{"generationConfig":{"maxOutputTokens":12,"candidate_count":2}}"#).unwrap();
    assert_eq!((call.output_cap(), call.choices()), (Some(12), 2));
    let edited = call
        .edited(
            Bytes::from_static(br#" {"generationConfig":{"maxOutputTokens":8}}"#),
            64,
        )
        .unwrap();
    assert_eq!((edited.output_cap(), edited.choices()), (Some(8), 1));
    let both = gemini(r#"{"generationConfig":{"maxOutputTokens":3},"generation_config":{"max_output_tokens":7}}"#);
    assert_eq!(both.unwrap().output_cap(), Some(7));
    for twice in [
        r#"{"generationConfig":{},"generationConfig":{}}"#,
        r#"{"max_tokens":1,"max_tokens":2}"#,
    ] {
        assert_eq!(
            gemini(twice).unwrap_err().error_code(),
            Some("duplicate_field"),
            "{twice}"
        );
    }
}

#[test]
fn stream_means_nothing_where_nothing_streams() {
    let call = Call::read(
        Operation::Embeddings,
        Bytes::from_static(br#"{"model":"e","stream":true}"#),
        64,
    )
    .unwrap();
    assert!(!call.streamed());
}
