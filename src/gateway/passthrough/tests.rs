//! What of a request and of an error goes no further.

use super::*;

#[test]
fn credentials_among_websocket_protocols_are_removed() {
    for (offered, sent) in [
        (
            "realtime, openai-insecure-api-key.sk-1, openai-beta.realtime-v1",
            Some("realtime, openai-beta.realtime-v1"),
        ),
        ("openai-insecure-api-key.sk-1", None),
    ] {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.insert_header(PROTOCOLS, offered).unwrap();
        strip_protocol_credentials(&mut request).unwrap();
        assert_eq!(
            request.headers.get(PROTOCOLS).map(|value| value.to_str().unwrap()),
            sent
        );
    }
}

#[test]
fn what_is_said_to_the_gateway_stays_here() {
    let mut request = RequestHeader::build("GET", b"/", None).unwrap();
    for name in [
        "x-cirque-metadata",
        "x-cirque-timeout-ms",
        "x-forwarded-client-cert",
        "cf-connecting-ip",
    ] {
        request.insert_header(name, "secret").unwrap();
    }
    request.insert_header("x-mine", "kept").unwrap();
    strip(&mut request);
    let left: Vec<&str> = request.headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(left, ["x-mine"]);
}

#[test]
fn a_key_in_the_query_is_removed() {
    assert_eq!(without_key("a=1&key=SECRET&b=2&keys=3"), "a=1&b=2&keys=3");
    assert_eq!(without_key("key=SECRET"), "");
}
