//! Embeddings and rerank.

use super::*;

#[test]
fn embeddings_go_and_come() {
    let text = r#"{"model":"m","input":["a","b"],"encoding_format":"base64","dimensions":8,"user":"u"}"#;
    let node = Node::parse(text.as_bytes(), 8).unwrap();
    let request = Chat.read_embed(&node).unwrap();
    let aim = Aim {
        model: "e",
        stream_usage: false,
    };
    let made = ChatCodec::for_vendor("openai").encode_embed(&request, aim).unwrap();
    let value: Value = serde_json::from_slice(&made.body).unwrap();
    assert_eq!(
        value,
        json!({"model":"e","input":["a","b"],"encoding_format":"base64","dimensions":8,"user":"u"})
    );
    let made = ChatCodec::for_vendor("mistral").encode_embed(&request, aim).unwrap();
    let value: Value = serde_json::from_slice(&made.body).unwrap();
    assert_eq!(value, json!({"model":"e","input":["a","b"],"output_dimension":8}));
    assert_eq!(made.dropped.names(), ["user"]);
    for one in recordings(&["openai-embeddings", "mistral"]) {
        let Some(body) = one
            .body
            .filter(|_| one.status == 200 && one.path.ends_with("/embeddings"))
        else {
            continue;
        };
        let node = Node::parse(body.as_bytes(), 8).unwrap();
        let response = PLAIN_CODEC.decode_embed(&node).unwrap();
        let request = one.request.unwrap().to_string();
        let asked = Node::parse(request.as_bytes(), 8).unwrap();
        let asked = Chat.read_embed(&asked).unwrap();
        let mut out = Vec::new();
        Chat.write_embed(&asked, &response, &reply(), &mut out);
        let wrote: Value = serde_json::from_slice(&out).unwrap();
        let was: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(wrote["data"], was["data"], "{}", one.name);
        assert_eq!(wrote["usage"]["prompt_tokens"], was["usage"]["prompt_tokens"]);
    }
}

#[test]
fn rerank_where_there_is_one() {
    let request = crate::wire::canonical::aux::RerankRequest {
        query: "q".into(),
        documents: vec![("a".into(), None), ("b".into(), None)],
        top_n: Some(1),
        ..Default::default()
    };
    let aim = Aim {
        model: "r",
        stream_usage: false,
    };
    assert_eq!(
        ChatCodec::for_vendor("openai").encode_rerank(&request, aim),
        Err(Unfit::Operation)
    );
    let made = ChatCodec::for_vendor("vllm").encode_rerank(&request, aim).unwrap();
    let value: Value = serde_json::from_slice(&made.body).unwrap();
    assert_eq!(
        value,
        json!({"model":"r","query":"q","documents":["a","b"],"top_n":1,"return_documents":false})
    );
    let body = br#"{"id":"i","results":[{"index":1,"relevance_score":0.5},{"index":0,"score":0.25}],"usage":{"total_tokens":3}}"#;
    let node = Node::parse(body, 8).unwrap();
    let response = PLAIN_CODEC.decode_rerank(&node).unwrap();
    assert_eq!(
        (response.results, response.usage.unwrap().input),
        (vec![(1, 0.5), (0, 0.25)], 3)
    );
    for bad in [
        r#"{}"#,
        r#"{"results":[{}]}"#,
        r#"{"results":[{"index":0,"score":"x"}]}"#,
    ] {
        assert!(
            PLAIN_CODEC
                .decode_rerank(&Node::parse(bad.as_bytes(), 8).unwrap())
                .is_err()
        );
    }
}
