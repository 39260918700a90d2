//! The client side by itself: what is read, what is refused and where, what is written.

mod carried;
mod written;

use super::*;
use crate::error::{ErrorKind, GatewayError};
use crate::wire::Dialect;
use crate::wire::canonical::aux::{EmbedInput, Vector};
use crate::wire::canonical::{
    Builtin, Candidate, Citation, Delta, Event, Finish, Format, Media, MediaKind, Message, Part, PartStart, Response,
    Role, Signature, Source, Thinking, Tool, ToolCall, ToolCallKind, ToolChoice,
};
use crate::wire::json::Invalid;
use crate::wire::media;
use serde_json::{Value as Json, json};

fn node(text: &str) -> Node<'_> {
    Node::parse(text.as_bytes(), 64).unwrap()
}

fn refused(body: &Json) -> Invalid {
    let text = body.to_string();
    Gemini.read(&node(&text), false).unwrap_err()
}

fn writer(json_array: bool) -> Box<dyn ReplyWriter> {
    let reply = Reply {
        id: "r1".into(),
        created: 1,
        model: "m".into(),
        json_array,
    };
    Gemini.writer(&Request::default(), reply)
}

#[test]
fn errors_name_the_field_as_the_client_wrote_it() {
    let with = |part: Json| json!({"contents":[{"parts":[{"text":"a"}]},{"role":"model","parts":[part]}]});
    let user = |part: Json| json!({"contents":[{"parts":[part]}]});
    let config = |config: Json| json!({"contents":[{"parts":[{"text":"a"}]}],"generation_config":config});
    for (body, path) in [
        (json!([]), ""),
        (json!({}), "contents"),
        (json!({"contents":[]}), "contents"),
        (json!({"contents":7}), "contents"),
        (json!({"contents":[{"role":"user"}]}), "contents[0].parts"),
        (
            json!({"contents":[{"role":"assistant","parts":[]}]}),
            "contents[0].role",
        ),
        (
            json!({"contents":[{"role":"system","parts":[{"text":"x"}]}]}),
            "contents[0].role",
        ),
        (user(json!({"text":7})), "contents[0].parts[0].text"),
        (user(json!({})), "contents[0].parts[0]"),
        (user(json!({"telepathy":{}})), "contents[0].parts[0]"),
        (
            user(json!({"inline_data":{"mime_type":"image/png","data":"é"}})),
            "contents[0].parts[0].inline_data.data",
        ),
        (
            user(json!({"inlineData":{"data":"aGk="}})),
            "contents[0].parts[0].inlineData.mimeType",
        ),
        (
            user(json!({"fileData":{"fileUri":""}})),
            "contents[0].parts[0].fileData.fileUri",
        ),
        (
            user(json!({"functionCall":{"name":"f"}})),
            "contents[0].parts[0].functionCall",
        ),
        (
            user(json!({"functionResponse":{"name":"f","response":{}}})),
            "contents[0].parts[0].functionResponse.name",
        ),
        (
            user(json!({"functionResponse":{"id":"1","response":{}}})),
            "contents[0].parts[0].functionResponse.id",
        ),
        (
            with(json!({"functionCall":{"args":{}}})),
            "contents[1].parts[0].functionCall.name",
        ),
        (
            with(json!({"function_call":{"name":"f","args":[]}})),
            "contents[1].parts[0].function_call.args",
        ),
        (
            with(json!({"functionResponse":{"name":"f"}})),
            "contents[1].parts[0].functionResponse",
        ),
        (
            with(json!({"text":"a","thought":"yes"})),
            "contents[1].parts[0].thought",
        ),
        (
            with(json!({"text":"a","thoughtSignature":1})),
            "contents[1].parts[0].thoughtSignature",
        ),
        (config(json!({"top_k":"x"})), "generation_config.top_k"),
        (
            config(json!({"stopSequences":[1]})),
            "generation_config.stopSequences[0]",
        ),
        (
            config(json!({"thinkingConfig":{"thinkingLevel":"fast"}})),
            "generation_config.thinkingConfig.thinkingLevel",
        ),
        (
            config(json!({"thinkingConfig":{"thinkingBudget":-2}})),
            "generation_config.thinkingConfig.thinkingBudget",
        ),
        (config(json!({"responseSchema":[]})), "generation_config.responseSchema"),
        (
            json!({"contents":[{"parts":[{"text":"a"}]}],"tools":[{"function_declarations":[{"name":""}]}]}),
            "tools[0].function_declarations[0].name",
        ),
        (
            json!({"contents":[{"parts":[{"text":"a"}]}],"toolConfig":{"functionCallingConfig":{"mode":"SOON"}}}),
            "toolConfig.functionCallingConfig.mode",
        ),
        (
            json!({"contents":[{"parts":[{"text":"a"}]}],"systemInstruction":"be"}),
            "systemInstruction",
        ),
    ] {
        assert_eq!(refused(&body).path, path, "{body}");
    }
}

#[test]
fn both_spellings_say_the_same() {
    let camel = r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"aGk="}},{"fileData":{"fileUri":"gs://a/b.pdf"}},
          {"fileData":{"fileUri":"https://x/y.MP3?z"}},{"fileData":{"fileUri":"https://youtu.be/x"}}]}],
        "systemInstruction":{"parts":[{"text":"s"}]},
        "generationConfig":{"maxOutputTokens":5,"topK":3.0,"stopSequences":["a"],"responseMimeType":"application/json",
          "responseSchema":{"type":"OBJECT"},"thinkingConfig":{"thinkingLevel":"LOW","includeThoughts":true},"responseModalities":["TEXT","IMAGE"]},
        "tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":{}}],"googleSearch":{}},{"codeExecution":{}},{"urlContext":{}},{"googleMaps":{}}],
        "toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f","g"]}}}"#;
    let mut snake = String::new();
    for c in camel.chars() {
        // Only keys have capitals inside words here, but for these values.
        if c.is_ascii_uppercase() {
            snake.extend(['_', c.to_ascii_lowercase()])
        } else {
            snake.push(c)
        }
    }
    for (made, meant) in [
        ("_o_b_j_e_c_t", "OBJECT"),
        ("_l_o_w", "LOW"),
        ("_t_e_x_t", "TEXT"),
        ("_i_m_a_g_e", "IMAGE"),
        ("_a_n_y", "ANY"),
        ("a_gk", "aGk"),
        ("_m_p3", "MP3"),
    ] {
        snake = snake.replace(made, meant);
    }
    let (first, second) = (node(camel), node(&snake));
    let (first, second) = (Gemini.read(&first, true).unwrap(), Gemini.read(&second, true).unwrap());
    let mut same = second.clone();
    same.tools.clone_from(&first.tools);
    assert_eq!(first, same);
    let kinds = |request: &Request<'_>| -> Vec<Option<Builtin>> {
        let kind = |tool: &Tool<'_>| match tool {
            Tool::Builtin { kind, .. } => Some(*kind),
            _ => None,
        };
        request.tools.iter().map(kind).collect()
    };
    let expected = [
        None,
        Some(Builtin::WebSearch),
        Some(Builtin::CodeExecution),
        Some(Builtin::WebFetch),
        Some(Builtin::Other),
    ];
    assert_eq!((kinds(&first), kinds(&second)), (expected.to_vec(), expected.to_vec()));
    assert!(matches!(&first.tools[1], Tool::Builtin { raw, .. } if raw == r#"{"googleSearch":{}}"#));
    assert!(matches!(&first.tool_choice, Some(ToolChoice::Allowed { names, required: true }) if names.len() == 2));
    assert!(matches!(&first.format, Format::Schema { schema, .. } if schema == r#"{"type":"object"}"#));
    let media = first.messages[1].parts.iter().map(|part| match part {
        Part::Media(Media { kind, source, .. }) => (*kind, matches!(source, Source::File { .. })),
        _ => panic!(),
    });
    let media = media.collect::<Vec<_>>();
    let expected = [
        (MediaKind::Image, false),
        (MediaKind::Document, true),
        (MediaKind::Audio, false),
        (MediaKind::Video, false),
    ];
    assert_eq!(media, expected);
    assert_eq!(first.modalities, ["image"]);
}

#[test]
fn responses_find_their_calls() {
    let body = node(
        r#"{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f"}},{"functionCall":{"name":"f","id":"x"}},{"functionCall":{"name":"g"}}]},
            {"role":"function","parts":[{"functionResponse":{"name":"g","response":{"a":1}}},{"functionResponse":{"name":"f","response":{"error":{"code":1}}}},
              {"functionResponse":{"name":"f","response":{"output":"o"}}}]},
            {"role":"model","parts":[{"functionCall":{"name":"f"}}]},{"parts":[{"functionResponse":{"name":"f","response":{}}}]}]}"#,
    );
    let request = Gemini.read(&body, false).unwrap();
    let results: Vec<(String, bool, String)> = request
        .messages
        .iter()
        .flat_map(|message| &message.parts)
        .filter_map(|part| match part {
            Part::ToolResult(result) => {
                let Part::Text { text, .. } = &result.parts[0] else {
                    panic!()
                };
                Some((result.call_id.to_string(), result.is_error, text.to_string()))
            }
            _ => None,
        })
        .collect();
    let own = |id: &str, error, text: &str| (id.to_owned(), error, text.to_owned());
    assert_eq!(
        results,
        [
            own("call_2", false, r#"{"a":1}"#),
            own("call_1", true, r#"{"code":1}"#),
            own("x", false, r#"{"output":"o"}"#),
            own("call_3", false, "{}"),
        ]
    );
    // A second response to the same call, without an id.
    let twice = json!({"contents":[{"role":"model","parts":[{"functionCall":{"name":"f"}}]},
        {"parts":[{"functionResponse":{"name":"f","response":{}}},{"functionResponse":{"name":"f","response":{}}}]}]});
    assert_eq!(refused(&twice).path, "contents[1].parts[1].functionResponse.name");
}

#[test]
fn counting_and_vectors() {
    let body = node(r#"{"generateContentRequest":{"model":"models/m","contents":[{"parts":[{"text":1}]}]}}"#);
    let error = Gemini.read_count(&body).unwrap_err();
    assert_eq!(error.path, "generateContentRequest.contents[0].parts[0].text");
    let mut out = Vec::new();
    let count = TokenCount {
        input: 11,
        cached: None,
    };
    Gemini.write_count(&count, &mut out);
    assert_eq!(out, br#"{"totalTokens":11}"#);

    let body =
        node(r#"{"content":{"parts":[{"text":"a"},{"text":"b"}]},"task_type":"CLUSTERING","output_dimensionality":3}"#);
    let request = Gemini.read_embed(&body).unwrap();
    assert_eq!(request.inputs, [EmbedInput::Text("a\nb".into())]);
    assert_eq!(
        (request.task.as_deref(), request.dimensions, request.batch),
        (Some("clustering"), Some(3), false)
    );
    let packed: Vec<u8> = [0.1f32, -2.0].iter().flat_map(|number| number.to_le_bytes()).collect();
    let response = EmbedResponse {
        vectors: vec![Vector::Base64(media::encode_base64(&packed).into())],
        ..EmbedResponse::default()
    };
    let mut out = Vec::new();
    Gemini.write_embed(&request, &response, &Reply::default(), &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"embedding":{"values":[0.1,-2.0]}}"#
    );

    for (body, path) in [
        (json!({"requests":[]}), "requests"),
        (json!({"content":"x"}), "content"),
        (
            json!({"requests":[{"content":{"parts":[{"text":"a"}]}},{"content":{"parts":[{"text":"a"}]},"title":"t"}]}),
            "requests[1]",
        ),
        (
            json!({"requests":[{"content":{"parts":[{"inlineData":{}}]}}]}),
            "requests[0].content.parts[0].text",
        ),
    ] {
        let text = body.to_string();
        assert_eq!(Gemini.read_embed(&node(&text)).unwrap_err().path, path);
    }
}

#[test]
fn deep_nesting_is_no_danger() {
    let deep = format!("{}1{}", r#"{"items":"#.repeat(400), "}".repeat(400));
    let text = format!(
        r#"{{"contents":[{{"parts":[{{"text":"a"}}]}}],"tools":[{{"functionDeclarations":[{{"name":"f","parameters":{deep}}}]}}]}}"#
    );
    let body = Node::parse(text.as_bytes(), 512).unwrap();
    let request = Gemini.read(&body, false).unwrap();
    assert!(matches!(&request.tools[0], Tool::Function(function) if function.parameters.as_deref() == Some(&deep)));
}
