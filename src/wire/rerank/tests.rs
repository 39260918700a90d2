//! Tests of the rerank operation.

use super::*;
use crate::units::Usage;
use proptest::prelude::*;
use serde_json::json;

fn read(body: &str, check: impl FnOnce(Result<RerankRequest<'_>, Invalid>)) {
    let node = Node::parse(body.as_bytes(), 64).unwrap();
    check(Rerank.read_rerank(&node));
}

#[test]
fn both_shapes_are_read() {
    let body = json!({"model": "m", "query": "q", "documents": ["a", {"text": "b", "x": 1}, {"title": "T", "n": 2}],
        "top_n": 2, "return_documents": true, "max_tokens_per_doc": 10, "priority": 3, "truncation": null});
    read(&body.to_string(), |request| {
        let request = request.unwrap();
        let texts: Vec<&str> = request.documents.iter().map(|(text, _)| text.as_ref()).collect();
        assert_eq!(texts, ["a", "b", "n: 2\ntitle: T"]);
        assert_eq!(request.top_n, Some(2));
        let keys: Vec<&str> = request.extras.iter().map(|extra| extra.key.as_ref()).collect();
        assert_eq!(keys, ["priority"]);
    });
    let fields = r#"{"query":"q","documents":[{"title":"T","text":"x"}],"rank_fields":["title"],"top_k":1}"#;
    read(fields, |request| {
        let request = request.unwrap();
        assert_eq!((request.documents[0].0.as_ref(), request.top_n), ("title: T", Some(1)));
    });
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    for (body, path) in [
        ("[]", ""),
        (r#"{"documents":["a"]}"#, "query"),
        (r#"{"query":"q"}"#, "documents"),
        (r#"{"query":"q","documents":[]}"#, "documents"),
        (r#"{"query":"q","documents":["a",3]}"#, "documents[1]"),
        (r#"{"query":"q","documents":["a",{}]}"#, "documents[1]"),
        (r#"{"query":"q","documents":[{"text":3}]}"#, "documents[0].text"),
        (r#"{"query":"q","documents":["a"],"top_n":"3"}"#, "top_n"),
        (
            r#"{"query":"q","documents":["a"],"return_documents":1}"#,
            "return_documents",
        ),
    ] {
        read(body, |request| assert_eq!(request.unwrap_err().path, path, "{body}"));
    }
}

#[test]
fn the_answer_has_the_members_of_both() {
    let body = r#"{"query":"q","documents":["a",{"id":7,"text":"b"}],"top_n":2,"return_documents":true}"#;
    read(body, |request| {
        let response = RerankResponse {
            results: vec![(1, 0.9), (0, 0.25), (0, 0.1)],
            usage: Some(Usage {
                input: 9,
                ..Usage::default()
            }),
            search_units: Some(1),
            ..RerankResponse::default()
        };
        let reply = Reply {
            id: "x".to_owned(),
            model: "m".to_owned(),
            ..Reply::default()
        };
        let mut out = Vec::new();
        Rerank.write_rerank(&request.unwrap(), &response, &reply, &mut out);
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&out).unwrap(),
            json!({"id": "rerank-x", "model": "m",
                "results": [{"index": 1, "relevance_score": 0.9, "document": {"id": 7, "text": "b"}},
                    {"index": 0, "relevance_score": 0.25, "document": {"text": "a"}}],
                "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
                "usage": {"total_tokens": 9, "prompt_tokens": 9}})
        );
    });
}

#[test]
fn other_operations_are_refused() {
    let node = Node::parse(b"{}", 8).unwrap();
    assert!(Rerank.read(&node, false).is_err());
    assert!(Rerank.read_embed(&node).is_err());
    assert!(Rerank.read_count(&node).is_err());
}

proptest! {
    #[test]
    fn an_index_out_of_range_is_not_followed(index: u64, top_n: Option<u64>) {
        let request = RerankRequest {
            documents: vec![("a".into(), None)],
            top_n,
            return_documents: Some(true),
            ..RerankRequest::default()
        };
        let response = RerankResponse { results: vec![(index, 0.5)], ..RerankResponse::default() };
        let mut out = Vec::new();
        Rerank.write_rerank(&request, &response, &Reply::default(), &mut out);
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
    }

    #[test]
    fn any_bytes_are_read_or_refused(text in "[\\[\\]{}\":,a-z0-9]{0,60}") {
        let body = format!(r#"{{"query":"q","documents":{text}}}"#);
        if let Ok(node) = Node::parse(body.as_bytes(), 16) {
            let _ = Rerank.read_rerank(&node);
        }
    }
}
