//! What targets are sent to go on with an answer, and which answers are followed at all.

use super::*;
use crate::providers::openai::{OpenAi, Preferred};
use crate::providers::{Provider, anthropic, bedrock, cohere, compatible, gemini, mistral};
use crate::upstream::address::{AddressBook, AddressKey};
use crate::upstream::site::SiteParts;
use crate::upstream::{BaseUrl, Credential};
use crate::wire::Dialect;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn site(provider: impl Provider + 'static) -> Site {
    let base = BaseUrl {
        tls: false,
        host: "127.0.0.1".to_owned(),
        port: 9,
        path: String::new(),
    };
    let key = AddressKey {
        base: base.clone(),
        connect_timeout: Duration::from_secs(1),
        http2: false,
        authorities: Vec::new(),
        probe: None,
        allow_link_local: false,
    };
    Site::new(SiteParts {
        quarantine: None,
        name: "s".into(),
        stream_usage: true,
        provider: Arc::new(provider),
        base,
        addresses: Arc::new(AddressBook::new(key)),
        http2: false,
        headers: http::HeaderMap::new(),
        credential: Credential::Fixed,
    })
    .unwrap()
}

fn vendor(name: &str) -> Site {
    site(compatible::Compatible::new(
        compatible::find(name).unwrap(),
        Preferred::Same,
    ))
}

fn terms(model: &str) -> Terms<'_> {
    Terms {
        model,
        max_depth: 64,
        mixed: false,
        strict: false,
    }
}

fn call(operation: Operation, dialect: Dialect, body: &Value) -> Call {
    Call::read_as(operation, dialect, body.to_string().into(), 64).unwrap()
}

fn chat(more: Value) -> Call {
    let mut body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    call(Operation::Chat, Dialect::OpenAi, &body)
}

fn made(call: &Call, site: &Site, model: &str, said: &str, instruct: bool) -> Option<(How, Value)> {
    let continued = continued(call, site, terms(model), said, instruct).ok()?;
    let body = serde_json::from_slice(&continued.plan.body.concat()).unwrap();
    Some((continued.how, body))
}

#[test]
fn targets_that_go_on_get_the_beginning_of_the_answer() {
    let call = chat(json!({"max_tokens": 100, "stop": ["END"]}));
    let messages = |site: &Site, model: &str| made(&call, site, model, "One two ", false);
    let (how, body) = messages(&site(anthropic::vendor::Anthropic), "claude-haiku-4-5").unwrap();
    assert_eq!(how, How::Prefilled);
    assert_eq!(
        body["messages"][1],
        json!({"role": "assistant", "content": [{"type": "text", "text": "One two"}]})
    );
    assert_eq!(
        (&body["max_tokens"], &body["stop_sequences"]),
        (&json!(98), &json!(["END"]))
    );
    let (_, body) = messages(&site(mistral::vendor::Mistral), "mistral-large-latest").unwrap();
    assert_eq!(
        body["messages"][1],
        json!({"role": "assistant", "content": "One two", "prefix": true})
    );
    let (_, body) = messages(&vendor("vllm"), "qwen").unwrap();
    assert_eq!(body["messages"][1], json!({"role": "assistant", "content": "One two"}));
    assert_eq!(
        (&body["continue_final_message"], &body["add_generation_prompt"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(body["chat_template_kwargs"]["enable_thinking"], json!(false));
    let (_, body) = messages(&site(gemini::vendor::Gemini), "gemini-2.5-flash").unwrap();
    assert_eq!(
        body["contents"][1],
        json!({"role": "model", "parts": [{"text": "One two"}]})
    );
    let (_, body) = messages(
        &site(bedrock::vendor::Bedrock),
        "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    )
    .unwrap();
    assert_eq!(
        body["messages"][1],
        json!({"role": "assistant", "content": [{"text": "One two"}]})
    );
    for (site, model) in [
        (site(OpenAi::default()), "gpt-4o"),
        (site(anthropic::vendor::Anthropic), "claude-opus-4-6"),
        (site(gemini::vendor::Gemini), "gemini-3.6-flash"),
        (site(bedrock::vendor::Bedrock), "meta.llama3-1-8b-instruct-v1:0"),
        (site(cohere::vendor::Cohere), "command-a"),
        (vendor("deepseek"), "deepseek-chat"),
    ] {
        assert!(messages(&site, model).is_none(), "{model}");
        let (how, body) = made(&call, &site, model, "One two ", true).unwrap();
        assert_eq!(how, How::Instructed, "{model}");
        let all = body.to_string();
        assert!(all.contains("\"One two\"") && all.contains(GO_ON), "{all}");
    }
}

#[test]
fn nothing_said_is_the_same_request_for_anybody() {
    let call = chat(json!({"max_tokens": 5}));
    let (how, body) = made(&call, &site(OpenAi::default()), "gpt-4o", "\n", false).unwrap();
    assert_eq!((how, body["messages"].as_array().unwrap().len()), (How::Anew, 1));
    assert_eq!(body["max_completion_tokens"], 5);
}

#[test]
fn an_answer_that_the_client_began_is_gone_on_with() {
    let turns = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "So:"}]);
    let call = chat(json!({"messages": turns, "max_tokens": 1}));
    let (_, body) = made(&call, &vendor("llama-cpp"), "m", " one two three", false).unwrap();
    assert_eq!(body["messages"][1]["content"], "So: one two three");
    assert_eq!(
        (body["messages"].as_array().unwrap().len(), &body["max_tokens"]),
        (2, &json!(1))
    );
}

#[test]
fn a_legacy_completion_goes_on_by_its_prompt() {
    let body =
        json!({"model": "m", "prompt": ["Once"], "stream": true, "max_tokens": 9, "odd": [1], "stream_options": {}});
    let call = call(Operation::Completions, Dialect::OpenAi, &body);
    let (how, body) = made(&call, &vendor("vllm"), "base", " upon a ", false).unwrap();
    assert_eq!(how, How::Prefilled);
    assert_eq!(
        body,
        json!({"model": "base", "prompt": "Once upon a", "stream": true, "max_tokens": 7, "odd": [1],
               "stream_options": {"include_usage": true}})
    );
    let (_, body) = made(
        &call,
        &site(anthropic::vendor::Anthropic),
        "claude-haiku-4-5",
        " upon",
        false,
    )
    .unwrap();
    assert_eq!(body["messages"][1]["role"], "assistant");
}

#[test]
fn only_answers_of_plain_text_are_followed() {
    let site = site(OpenAi::default());
    let followed = |call: &Call| trail(call, &site, terms("m"), true, 1).is_some();
    let tool = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    for (more, expected) in [
        (json!({}), true),
        (json!({"tools": tool, "tool_choice": "auto", "n": 1}), true),
        (json!({"tools": tool, "tool_choice": "required"}), false),
        (json!({"n": 2}), false),
        (json!({"logprobs": true}), false),
        (json!({"response_format": {"type": "json_object"}}), false),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}}),
            false,
        ),
        (
            json!({"modalities": ["text", "audio"], "audio": {"voice": "v", "format": "wav"}}),
            false,
        ),
        (json!({"stream": false}), false),
        (json!({"messages": 1}), false),
    ] {
        assert_eq!(followed(&chat(more.clone())), expected, "{more}");
    }
    let body = json!({"model": "m", "stream": true, "input": "Hi", "previous_response_id": "resp_1"});
    assert!(!followed(&call(Operation::Chat, Dialect::Responses, &body)));
}
