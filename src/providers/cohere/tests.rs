//! Tests of requests and of the smaller operations; answers are in `answers`.

use super::*;
use crate::units::Usage;
use crate::wire::canonical::{
    Effort, Extra, Format, Function, Media, MediaKind, Message, Part, Reasoning, Role, Source, Tool, ToolCall,
    ToolCallKind, ToolChoice, ToolResult,
};
use serde_json::{Value, json};

mod answers;

fn message(role: Role, parts: Vec<Part<'static>>) -> Message<'static> {
    Message {
        role,
        name: None,
        parts,
    }
}

fn call(id: &'static str, name: &'static str, arguments: &'static str) -> Part<'static> {
    Part::ToolCall(ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
        kind: ToolCallKind::Function,
        signature: None,
        cache: None,
    })
}

fn result(id: &'static str, parts: Vec<Part<'static>>, is_error: bool) -> Part<'static> {
    Part::ToolResult(ToolResult {
        call_id: id.into(),
        name: None,
        parts,
        is_error,
        kind: ToolCallKind::Function,
        cache: None,
    })
}

fn function(name: &'static str) -> Tool<'static> {
    Tool::Function(Function {
        name: name.into(),
        description: Some("d".into()),
        parameters: Some(r#"{"type":"object","properties":{"x":{"type":"integer","minimum":1}}}"#.into()),
        ..Function::default()
    })
}

fn sent(request: &Request<'_>) -> (Value, Encoding) {
    let aim = Aim {
        model: "command-a",
        stream_usage: true,
    };
    let made = CohereCodec.encode(request, aim).unwrap();
    (serde_json::from_slice(&made.body).unwrap(), made)
}

#[test]
fn a_conversation_with_tools_goes_out_in_cohere_s_form() {
    let request = Request {
        messages: vec![
            message(Role::Developer, vec![Part::text("be brief")]),
            message(
                Role::User,
                vec![Part::text("hi"), {
                    let source = Source::Base64("aGk=".into());
                    Part::Media(Media::new(MediaKind::Image, source, Some("image/png".into())))
                }],
            ),
            message(
                Role::Assistant,
                vec![
                    Part::Thinking(crate::wire::canonical::Thinking {
                        text: "hm".into(),
                        ..Default::default()
                    }),
                    Part::text("I will look."),
                    call("c1", "get-it", r#"{"x":1}"#),
                ],
            ),
            message(
                Role::User,
                vec![
                    result("c1", vec![Part::text("5")], false),
                    result("c1", vec![Part::text("boom")], true),
                    Part::text("and?"),
                ],
            ),
        ],
        tools: vec![function("get-it"), function("get_it")],
        tool_choice: Some(ToolChoice::Function("get-it".into())),
        ..Request::default()
    };
    let (body, made) = sent(&request);
    assert_eq!(
        body,
        json!({"model": "command-a", "stream": false, "tool_choice": "REQUIRED",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "hi"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}], "tool_plan": "I will look.",
             "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "get_it_2", "arguments": "{\"x\":1}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "5"}]},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "document", "document": {"data": {"error": "boom"}}}]},
            {"role": "user", "content": "and?"}],
        "tools": [{"type": "function", "function": {"name": "get_it_2", "description": "d",
            "parameters": {"type": "object", "properties": {"x": {"type": "integer", "minimum": 1}}}}}]})
    );
    assert!(made.dropped.is_empty(), "{:?}", made.dropped);
    assert_eq!(made.expect.tool_name("get_it_2"), "get-it");
}

#[test]
fn figures_and_formats() {
    let mut request = Request {
        messages: vec![message(Role::User, vec![Part::text("hi")])],
        reasoning: Some(Reasoning {
            effort: Some(Effort::Medium),
            ..Reasoning::default()
        }),
        format: Format::Schema {
            name: None,
            description: None,
            schema:
                r#"{"type":"object","additionalProperties":false,"properties":{"a":{"type":"string","maxLength":3}}}"#
                    .into(),
            strict: Some(true),
        },
        ..Request::default()
    };
    request.sampling.top_p = Some(1.0);
    request.sampling.top_k = Some(7);
    request.sampling.stop = ["a", "b", "c", "d", "e", "f"].map(Into::into).into();
    request.sampling.presence_penalty = Some(-1.0);
    request.sampling.n = Some(2);
    let (body, made) = sent(&request);
    assert_eq!(body["p"], 0.99);
    assert_eq!(body["k"], 7);
    assert_eq!(body["stop_sequences"].as_array().unwrap().len(), 5);
    assert_eq!(body["thinking"], json!({"type": "enabled", "token_budget": 8192}));
    assert_eq!(
        body["response_format"],
        json!({"type": "json_object", "json_schema": {"type": "object", "properties": {"a": {"type": "string"}}}})
    );
    assert_eq!(
        made.dropped.names(),
        [
            "response_format (maxLength)",
            "stop (more than 5)",
            "presence_penalty (outside 0 to 1)",
            "n"
        ]
    );
    request.reasoning = Some(Reasoning {
        effort: Some(Effort::None),
        ..Reasoning::default()
    });
    assert_eq!(sent(&request).0["thinking"], json!({"type": "disabled"}));
    request.previous_response_id = Some("resp_1".into());
    let aim = Aim {
        model: "m",
        stream_usage: false,
    };
    assert!(matches!(CohereCodec.encode(&request, aim), Err(Unfit::Request { .. })));
}

#[test]
fn cited_text_documents_become_documents_and_others_text() {
    let document = |citations| {
        let mut media = Media::new(MediaKind::Document, Source::Text("The sky is green.".into()), None);
        media.title = Some("Sky".into());
        media.citations = citations;
        Part::Media(media)
    };
    let pdf = Part::Media(Media::new(
        MediaKind::Document,
        Source::Base64("aGk=".into()),
        Some("application/pdf".into()),
    ));
    let request = Request {
        messages: vec![message(Role::User, vec![document(Some(true)), document(None), pdf])],
        ..Request::default()
    };
    let (body, made) = sent(&request);
    assert_eq!(
        body["documents"],
        json!([{"id": "doc-0", "data": {"title": "Sky", "text": "The sky is green."}}])
    );
    assert_eq!(body["messages"][0]["content"], "Sky\nThe sky is green.");
    assert_eq!(made.dropped.names(), ["messages[0].content[2] (document)"]);
}

#[test]
fn strict_tools_are_all_or_none_and_extras_travel() {
    let mut tools = vec![function("a"), function("b")];
    for tool in &mut tools {
        if let Tool::Function(function) = tool {
            function.strict = Some(true);
        }
    }
    let mut request = Request {
        messages: vec![message(Role::User, vec![Part::text("hi")])],
        tools,
        extras: vec![
            Extra {
                dialect: Dialect::Cohere,
                key: "safety_mode".into(),
                raw: "\"STRICT\"".into(),
            },
            Extra {
                dialect: Dialect::OpenAi,
                key: "web_search_options".into(),
                raw: "{}".into(),
            },
        ],
        ..Request::default()
    };
    let (body, made) = sent(&request);
    assert_eq!(body["strict_tools"], true);
    assert_eq!(body["safety_mode"], "STRICT");
    assert_eq!(
        made.dropped.names(),
        [
            "tools[0].parameters (minimum)",
            "tools[1].parameters (minimum)",
            "web_search_options"
        ]
    );
    if let Some(Tool::Function(function)) = request.tools.first_mut() {
        function.strict = None;
    }
    let (body, made) = sent(&request);
    assert!(body.get("strict_tools").is_none());
    assert!(made.dropped.names()[0].starts_with("tools[].strict"));
    request.tool_choice = Some(ToolChoice::Function("zz".into()));
    let aim = Aim {
        model: "m",
        stream_usage: false,
    };
    assert!(CohereCodec.encode(&request, aim).is_err());
}

// The other operations

#[test]
fn vectors() {
    use crate::wire::canonical::aux::{EmbedInput, Vector};
    let aim = Aim {
        model: "embed-v4",
        stream_usage: false,
    };
    let mut request = EmbedRequest {
        inputs: vec![EmbedInput::Text("a".into()), EmbedInput::Text("b".into())],
        dimensions: Some(256),
        task: Some("RETRIEVAL_QUERY".into()),
        user: Some("u".into()),
        ..EmbedRequest::default()
    };
    let made = CohereCodec.encode_embed(&request, aim).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&made.body).unwrap(),
        json!({"model": "embed-v4", "texts": ["a", "b"], "input_type": "search_query", "embedding_types": ["float"], "output_dimension": 256})
    );
    assert_eq!(made.dropped.names(), ["user"]);
    request.inputs.push(EmbedInput::Tokens("[1]".into()));
    assert!(CohereCodec.encode_embed(&request, aim).is_err());
    for (body, wanted) in [
        (
            r#"{"embeddings":{"float":[[0.5]]},"meta":{"billed_units":{"input_tokens":3}}}"#,
            Vector::Numbers("[0.5]".into()),
        ),
        (r#"{"embeddings":[[1]]}"#, Vector::Numbers("[1]".into())),
        (r#"{"embeddings":{"base64":["AAAA"]}}"#, Vector::Base64("AAAA".into())),
    ] {
        let node = Node::parse(body.as_bytes(), 64).unwrap();
        assert_eq!(CohereCodec.decode_embed(&node).unwrap().vectors, [wanted]);
    }
    let node = Node::parse(br#"{"embeddings":{}}"#, 64).unwrap();
    assert!(CohereCodec.decode_embed(&node).is_err());
}

#[test]
fn orders_of_every_shape() {
    let aim = Aim {
        model: "m",
        stream_usage: false,
    };
    let request = RerankRequest {
        query: "q".into(),
        documents: vec![
            ("a".into(), None),
            ("b".into(), Some(r#"{"text":"b"}"#.into())),
            ("image: x".into(), Some(r#"{"image":"x"}"#.into())),
        ],
        top_n: Some(1),
        max_tokens_per_doc: Some(9),
        ..RerankRequest::default()
    };
    for (shape, wanted) in [
        (
            rerank::Shape::Cohere,
            json!({"model": "m", "query": "q", "documents": ["a", "b", "image: x"], "top_n": 1, "max_tokens_per_doc": 9}),
        ),
        (
            rerank::Shape::Jina,
            json!({"model": "m", "query": "q", "documents": ["a", "b", {"image": "x"}], "top_n": 1, "return_documents": false}),
        ),
        (
            rerank::Shape::Voyage,
            json!({"model": "m", "query": "q", "documents": ["a", "b", "image: x"], "top_k": 1}),
        ),
        (
            rerank::Shape::Tei,
            json!({"model": "m", "query": "q", "texts": ["a", "b", "image: x"]}),
        ),
        (
            rerank::Shape::DeepInfra,
            json!({"model": "m", "queries": ["q"], "documents": ["a", "b", "image: x"]}),
        ),
    ] {
        let made = rerank::encode_rerank(&request, aim, shape).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&made.body).unwrap(), wanted);
        assert_eq!(made.dropped.is_empty(), shape == rerank::Shape::Cohere);
    }
    for (body, tokens, units) in [
        (
            r#"{"id":"x","results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":0.1}],"meta":{"billed_units":{"search_units":1}}}"#,
            None,
            Some(1),
        ),
        (
            r#"{"results":[{"index":0,"relevance_score":0.1},{"index":1,"relevance_score":0.9}],"usage":{"total_tokens":7}}"#,
            Some(7),
            None,
        ),
        (
            r#"{"data":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":0.1}],"usage":{"total_tokens":7}}"#,
            Some(7),
            None,
        ),
        (r#"[{"index":1,"score":0.9},{"index":0,"score":0.1}]"#, None, None),
        (r#"{"scores":[0.1,0.9],"input_tokens":5}"#, Some(5), None),
    ] {
        let node = Node::parse(body.as_bytes(), 64).unwrap();
        let response = rerank::decode_rerank(&node).unwrap();
        assert_eq!(response.results, [(1, 0.9), (0, 0.1)], "{body}");
        let usage = tokens.map(|input| Usage {
            input,
            ..Usage::default()
        });
        assert_eq!((response.usage, response.search_units), (usage, units), "{body}");
    }
    for body in ["{}", r#"{"results":[{}]}"#, r#"{"scores":["a"]}"#, "3"] {
        let node = Node::parse(body.as_bytes(), 64).unwrap();
        assert!(rerank::decode_rerank(&node).is_err(), "{body}");
    }
}
