//! Signatures against botocore's (`tests/fixtures/sigv4/make.py`) and the parts no SDK shows.

use super::*;
use bytes::Bytes;
use serde_json::Value;
use std::time::Duration;

const VECTORS: &str = include_str!("../../../../tests/fixtures/sigv4/vectors.json");

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn keys(token: Option<&str>, region: &str) -> AwsKeys {
    let key = secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    AwsKeys::new(&secret("AKIDEXAMPLE"), &key, token.map(secret).as_ref(), region)
}

/// A body in uneven pieces, as splicing makes them.
fn body(text: &str, times: usize) -> Body {
    let whole = Bytes::from(text.repeat(times));
    let mut body = Body::default();
    body.push(whole.slice(..whole.len() / 3));
    body.push(whole.slice(whole.len() / 3..));
    body
}

fn head(method: &str, path: &str, host: &str) -> RequestHeader {
    let mut head = RequestHeader::build(method, path.as_bytes(), None).unwrap();
    head.insert_header("host", host).unwrap();
    head.insert_header("content-type", "application/json").unwrap();
    head
}

fn header<'a>(head: &'a RequestHeader, name: &str) -> Option<&'a str> {
    head.headers.get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn signatures_are_those_of_botocore() {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    assert!(vectors.len() >= 8);
    for vector in &vectors {
        let text = |key: &str| vector[key].as_str().unwrap();
        let mut head = head(text("method"), text("path"), text("host"));
        for (name, value) in vector["headers"].as_object().unwrap() {
            head.insert_header(name.clone(), value.as_str().unwrap()).unwrap();
        }
        // What is not signed, and what a signature replaces.
        head.insert_header("user-agent", "cirque").unwrap();
        head.insert_header("traceparent", "00-1-2-01").unwrap();
        head.insert_header("authorization", "Bearer old").unwrap();
        head.insert_header("x-amz-date", "20200101T000000Z").unwrap();
        let body = body(text("body"), vector["times"].as_u64().unwrap() as usize);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(vector["time"].as_u64().unwrap());
        let keys = keys(vector["session_token"].as_str(), text("region"));
        keys.sign(&mut head, &body, text("host"), now).await.unwrap();
        for (name, expected) in vector["expected"].as_object().unwrap() {
            assert_eq!(header(&head, name), expected.as_str(), "{}: {name}", vector["name"]);
        }
        let token = vector["session_token"].as_str();
        assert_eq!(header(&head, "x-amz-security-token"), token, "{}", vector["name"]);
        assert_eq!(head.headers.get_all("authorization").iter().count(), 1);
        assert_eq!(
            head.raw_path(),
            text("path").as_bytes(),
            "signing must not change the path"
        );
    }
}

#[tokio::test]
async fn every_part_that_counts_changes_the_signature() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_761_998_400);
    let sign = async |path: &str, text: &str, host: &str, region: &str, later: u64| {
        let mut head = head("POST", path, host);
        let keys = keys(None, region);
        let result = keys
            .sign(&mut head, &body(text, 1), host, now + Duration::from_secs(later))
            .await;
        result.unwrap();
        header(&head, "authorization").unwrap().to_owned()
    };
    let all = [
        sign("/a", "{}", "h", "r", 0).await,
        sign("/b", "{}", "h", "r", 0).await,
        sign("/a", "{ }", "h", "r", 0).await,
        sign("/a", "{}", "g", "r", 0).await,
        sign("/a", "{}", "h", "s", 0).await,
        sign("/a", "{}", "h", "r", 1).await,
    ];
    let different: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
}

#[tokio::test]
async fn what_cannot_be_signed_is_an_error_that_shows_no_key() {
    let mut head = head("POST", "/a", "h");
    let keys = keys(Some("line\u{1}break"), "us-east-1");
    let fault = keys
        .sign(&mut head, &Body::default(), "h", SystemTime::now())
        .await
        .unwrap_err();
    assert!(matches!(fault, CredentialFault::Signing(_)) && !fault.to_string().contains("break"));
    let mut head = super::tests::head("POST", "/a", "h");
    let fault = keys
        .sign(&mut head, &Body::default(), "a host", SystemTime::now())
        .await
        .unwrap_err();
    assert!(matches!(fault, CredentialFault::Signing(_)));
    let shown = format!("{keys:?}");
    assert!(
        !shown.contains("wJalr") && !shown.contains("AKID") && !shown.contains("line"),
        "{shown}"
    );
}

#[test]
fn the_hash_does_not_depend_on_the_pieces() {
    assert_eq!(
        hash(&Body::default()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert_eq!(
        hash(&body("abcdef", 1)),
        hash(&Body::whole(Bytes::from_static(b"abcdef")))
    );
}
