//! Figures, thinking, what surrounds the conversation, and the smaller operations.

use super::*;
use crate::providers::codec::Unfit;
use crate::wire::Dialect;
use crate::wire::canonical::aux::{EmbedInput, EmbedRequest, RerankRequest, Vector};
use crate::wire::canonical::{Effort, Extra, Function, Reasoning, Tool, ToolChoice};
use serde_json::json;

fn extra<'a>(dialect: Dialect, key: &'a str, raw: &'a str) -> Extra<'a> {
    Extra {
        dialect,
        key: key.into(),
        raw: raw.into(),
    }
}

fn thinking(reasoning: Reasoning<'_>) -> Request<'_> {
    Request {
        reasoning: Some(reasoning),
        ..asking()
    }
}

fn effort(effort: Effort) -> Request<'static> {
    thinking(Reasoning {
        effort: Some(effort),
        ..Reasoning::default()
    })
}

#[test]
fn figures_and_top_k() {
    let mut request = asking();
    request.sampling.max_tokens = Some(10);
    request.sampling.temperature = Some(1.5);
    request.sampling.top_k = Some(5);
    request.sampling.stop = vec!["END".into(), " ".into(), "".into()];
    let (claude, encoding) = encoded(&request, CLAUDE);
    assert_eq!(
        claude["inferenceConfig"],
        json!({"maxTokens":10,"temperature":1.0,"stopSequences":["END"]})
    );
    assert_eq!(claude["additionalModelRequestFields"], json!({"top_k":5}));
    assert_eq!(
        claude["additionalModelResponseFieldPaths"],
        json!(["/stop_sequence", "/delta/stop_sequence"])
    );
    assert_eq!(encoding.dropped.names(), ["stop (blank)", "temperature (above 1: 1.5)"]);
    request.sampling.temperature = Some(0.5);
    request.sampling.top_p = Some(0.9);
    request.sampling.stop.clear();
    assert_eq!(dropped(&request, CLAUDE), ["top_p"], "one of the two");
    assert_eq!(
        dropped(&request, "us.anthropic.claude-opus-4-8"),
        ["temperature", "top_p", "top_k"]
    );
    assert_eq!(dropped(&request, LLAMA), ["top_k"]);
    let nova = body(&request, NOVA);
    assert_eq!(
        nova["additionalModelRequestFields"],
        json!({"inferenceConfig":{"topK":5}})
    );
    assert_eq!(
        nova["inferenceConfig"],
        json!({"maxTokens":10,"temperature":0.5,"topP":0.9})
    );
    request.sampling.seed = Some(7);
    request.sampling.frequency_penalty = Some(0.5);
    let cohere = body(&request, "cohere.command-r-plus-v1:0");
    assert_eq!(
        cohere["additionalModelRequestFields"],
        json!({"k":5,"frequency_penalty":0.5,"seed":7})
    );
    assert_eq!(dropped(&request, NOVA), ["frequency_penalty", "seed"]);
}

#[test]
fn thinking_by_model() {
    let fields = |request: &Request<'_>, model| encoded(request, model).0["additionalModelRequestFields"].clone();
    let high = effort(Effort::High);
    for (model, expected) in [
        (CLAUDE, json!({"thinking":{"type":"enabled","budget_tokens":24576}})),
        (
            "anthropic.claude-opus-4-6-v1",
            json!({"thinking":{"type":"adaptive"},"output_config":{"effort":"high"}}),
        ),
        (
            "us.amazon.nova-2-lite-v1:0",
            json!({"reasoningConfig":{"type":"enabled","maxReasoningEffort":"high"}}),
        ),
        ("openai.gpt-oss-120b-1:0", json!({"reasoning_effort":"high"})),
        ("global.openai.gpt-5.6-sol", json!({"reasoning":{"effort":"high"}})),
        (NOVA, Value::Null),
    ] {
        assert_eq!(fields(&high, model), expected, "{model}");
    }
    assert_eq!(
        body(&high, CLAUDE)["additionalModelResponseFieldPaths"],
        json!(["/usage"])
    );
    assert_eq!(dropped(&high, NOVA), ["reasoning"]);
    let xhigh = effort(Effort::XHigh);
    assert_eq!(
        fields(&xhigh, "anthropic.claude-opus-4-6-v1")["output_config"],
        json!({"effort":"high"})
    );
    assert_eq!(
        fields(&xhigh, "anthropic.claude-opus-4-7")["output_config"],
        json!({"effort":"xhigh"})
    );
    let off = effort(Effort::None);
    assert_eq!((fields(&off, CLAUDE), dropped(&off, CLAUDE).len()), (Value::Null, 0));
    assert_eq!(dropped(&off, "openai.gpt-oss-20b-1:0"), ["reasoning"]);
    let disabled = json!({"thinking":{"type":"disabled"}});
    assert_eq!(
        fields(&off, "us.anthropic.claude-sonnet-5"),
        disabled,
        "it thinks by itself"
    );
    assert_eq!(dropped(&off, "us.anthropic.claude-opus-5-5"), ["reasoning"]);
    let shown = thinking(Reasoning {
        dynamic: true,
        show: Some(true),
        ..Reasoning::default()
    });
    assert_eq!(
        fields(&shown, "us.anthropic.claude-sonnet-5"),
        json!({"thinking":{"type":"adaptive","display":"summarized"}})
    );
}

#[test]
fn thinking_and_what_excludes_it() {
    let mut request = thinking(Reasoning {
        budget: Some(5000),
        ..Reasoning::default()
    });
    request.sampling.max_tokens = Some(2000);
    request.sampling.temperature = Some(0.2);
    request.sampling.top_k = Some(3);
    let (body, encoding) = encoded(&request, CLAUDE);
    assert_eq!(body["additionalModelRequestFields"]["thinking"]["budget_tokens"], 1999);
    assert_eq!(encoding.dropped.names(), ["temperature", "top_k"]);
    request.sampling.max_tokens = Some(1024);
    assert_eq!(dropped(&request, CLAUDE), ["reasoning (max_tokens leaves no room)"]);
    request.sampling.max_tokens = None;
    request.tools = vec![Tool::Function(Function {
        name: "f".into(),
        ..Function::default()
    })];
    request.tool_choice = Some(ToolChoice::Required);
    assert_eq!(dropped(&request, CLAUDE), ["reasoning (with a forced tool)"]);
    let nova = "us.amazon.nova-2-lite-v1:0";
    let mut hard = effort(Effort::High);
    hard.sampling.max_tokens = Some(100);
    let (body, encoding) = encoded(&hard, nova);
    assert_eq!(
        body["additionalModelRequestFields"]["reasoningConfig"]["maxReasoningEffort"],
        "medium"
    );
    assert_eq!(
        encoding.dropped.names(),
        ["reasoning (high effort excludes max_tokens and sampling)"]
    );
}

#[test]
fn what_surrounds_the_conversation() {
    let request = Request {
        service_tier: Some("flex".into()),
        user: Some("user-1".into()),
        metadata: vec![
            ("team".into(), "a b".into()),
            ("bad".into(), "{}".into()),
            ("user".into(), "x".into()),
        ],
        store: Some(true),
        parallel_tool_calls: Some(false),
        extras: vec![
            extra(Dialect::Bedrock, "performanceConfig", r#"{"latency":"optimized"}"#),
            extra(
                Dialect::Bedrock,
                "additionalModelRequestFields",
                r#"{"top_k":9,"x":[1]}"#,
            ),
            extra(Dialect::Gemini, "safetySettings", "[]"),
            extra(
                Dialect::Anthropic,
                "anthropic_beta",
                r#"["context-1m-2025-08-07","claude-code-20250219"]"#,
            ),
        ],
        ..asking()
    };
    let mut request = request;
    request.sampling.top_k = Some(1);
    let (body, encoding) = encoded(&request, CLAUDE);
    assert_eq!(body["serviceTier"], json!({"type":"flex"}));
    assert_eq!(body["requestMetadata"], json!({"user":"user-1","team":"a b"}));
    assert_eq!(body["performanceConfig"], json!({"latency":"optimized"}));
    assert_eq!(
        body["additionalModelRequestFields"],
        json!({"anthropic_beta":["context-1m-2025-08-07"],"top_k":9,"x":[1]})
    );
    assert_eq!(
        encoding.dropped.names(),
        [
            "anthropic-beta (claude-code-20250219)",
            "metadata.bad",
            "metadata.user",
            "store",
            "safetySettings"
        ]
    );
    let kept = Request {
        previous_response_id: Some("r".into()),
        ..asking()
    };
    assert!(matches!(
        ConverseCodec.encode(&kept, aim(CLAUDE)),
        Err(Unfit::Request { .. })
    ));
}

#[test]
fn tokens_are_counted() {
    let mut request = asking();
    request.messages.insert(0, system("s"));
    request.sampling.max_tokens = Some(5);
    let made = ConverseCodec.encode_count(&request, aim(CLAUDE)).unwrap();
    let body: Value = serde_json::from_slice(&made.body).unwrap();
    assert_eq!(
        body,
        json!({"input":{"converse":{"system":[{"text":"s"}],"messages":[{"role":"user","content":[{"text":"Hi"}]}]}}})
    );
    let node = Node::parse(br#"{"inputTokens":12}"#, 8).unwrap();
    assert_eq!(ConverseCodec.decode_count(&node).unwrap().input, 12);
    let node = Node::parse(br#"{"inputTokens":"12"}"#, 8).unwrap();
    let error = ConverseCodec.decode_count(&node).unwrap_err();
    assert_eq!(error.0, "`inputTokens` must be a whole number, 0 or greater");
}

#[test]
fn vectors() {
    let request = |texts: &[&'static str]| EmbedRequest {
        inputs: texts.iter().map(|text| EmbedInput::Text((*text).into())).collect(),
        dimensions: Some(256),
        task: Some("RETRIEVAL_QUERY".into()),
        ..EmbedRequest::default()
    };
    let made = |texts: &[&'static str], model| {
        let made = ConverseCodec.encode_embed(&request(texts), aim(model))?;
        let body: Value = serde_json::from_slice(&made.body).unwrap();
        Ok::<_, Unfit>((body, made.dropped.names().join("|")))
    };
    assert_eq!(
        made(&["a"], "amazon.titan-embed-text-v2:0").unwrap(),
        (
            json!({"inputText":"a","dimensions":256,"normalize":true}),
            "task".to_owned()
        )
    );
    assert!(
        made(&["a", "b"], "amazon.titan-embed-text-v2:0")
            .unwrap_err()
            .to_string()
            .contains("one text per call")
    );
    assert_eq!(
        made(&["a", "b"], "cohere.embed-multilingual-v3").unwrap(),
        (
            json!({"texts":["a","b"],"input_type":"search_query"}),
            "dimensions".to_owned()
        )
    );
    assert_eq!(
        made(&["a"], "us.cohere.embed-v4:0").unwrap().0,
        json!({"texts":["a"],"input_type":"search_query","output_dimension":256,"embedding_types":["float"]})
    );
    assert_eq!(made(&["a"], CLAUDE).unwrap_err(), Unfit::Operation);
    assert!(made(&[], "cohere.embed-english-v3").is_err() && made(&["x"; 97], "cohere.embed-english-v3").is_err());
    for (body, count, input) in [
        (r#"{"embedding":[0.1,-2e-3],"inputTextTokenCount":3}"#, 1, Some(3)),
        (
            r#"{"id":"x","embeddings":[[0.1],[0.2]],"response_type":"embeddings_floats"}"#,
            2,
            None,
        ),
        (
            r#"{"embeddings":{"float":[[0.1],[0.2]]},"response_type":"embeddings_by_type"}"#,
            2,
            None,
        ),
    ] {
        let node = Node::parse(body.as_bytes(), 8).unwrap();
        let response = ConverseCodec.decode_embed(&node).unwrap();
        assert_eq!(
            (response.vectors.len(), response.usage.map(|usage| usage.input)),
            (count, input)
        );
        assert!(matches!(&response.vectors[0], Vector::Numbers(raw) if raw.starts_with("[0.1")));
    }
    let node = Node::parse(br#"{"embeddings":[[1],"x"]}"#, 8).unwrap();
    assert_eq!(
        ConverseCodec.decode_embed(&node).unwrap_err().0,
        "`embeddings[1]` must be an array"
    );
}

#[test]
fn orders() {
    let request = RerankRequest {
        query: "q".into(),
        documents: vec![("a".into(), None), ("b".into(), Some(r#"{"text":"b"}"#.into()))],
        top_n: Some(1),
        max_tokens_per_doc: Some(9),
        ..RerankRequest::default()
    };
    let made = |model| {
        let made = ConverseCodec.encode_rerank(&request, aim(model)).unwrap();
        let body: Value = serde_json::from_slice(&made.body).unwrap();
        (body, made.dropped.names().join("|"))
    };
    assert_eq!(
        made("cohere.rerank-v3-5:0"),
        (
            json!({"query":"q","documents":["a","b"],"top_n":1,"api_version":2,"max_tokens_per_doc":9}),
            String::new()
        )
    );
    assert_eq!(
        made("amazon.rerank-v1:0"),
        (
            json!({"query":"q","documents":["a","b"],"top_n":1}),
            "max_tokens_per_doc".to_owned()
        )
    );
    let node = Node::parse(
        br#"{"results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":0.1}]}"#,
        8,
    )
    .unwrap();
    assert_eq!(
        ConverseCodec.decode_rerank(&node).unwrap().results,
        [(1, 0.9), (0, 0.1)]
    );
    let node = Node::parse(br#"{"results":[{"index":1}]}"#, 8).unwrap();
    assert_eq!(
        ConverseCodec.decode_rerank(&node).unwrap_err().0,
        "`results[0].relevanceScore` is required"
    );
}
