//! What becomes of requests and whole answers, in every dialect, with a detector that knows three words.

use super::look::{Looked, error, request};
use super::{Judged, whole};
use crate::error::{ErrorKind, GatewayError};
use crate::guardrails::{Action, Check, Detector, Finding, Guardrail, Policy, Verdict};
use crate::units::Usage;
use crate::wire::call::Given;
use crate::wire::{Call, Dialect, Operation, Reading};
use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::Arc;

/// Finds `a@b`.
#[derive(Debug)]
struct Mail(&'static str);

impl Detector for Mail {
    fn scan(&self, text: &str, from: usize, found: &mut Vec<Finding>) {
        found.extend(text[from..].match_indices(self.0).map(|(at, word)| Finding {
            span: from + at..from + at + word.len(),
            label: "EMAIL",
        }));
    }

    fn open(&self, text: &str, _: usize) -> usize {
        text.len()
    }
}

fn rail(name: &str, action: Action, check: Check) -> Arc<Guardrail> {
    Arc::new(Guardrail {
        name: name.into(),
        kind: "pii",
        input: true,
        output: true,
        action,
        replacement: None,
        check,
        passthrough: false,
        digest: [0; 32],
    })
}

fn policy(action: Action) -> Policy {
    Policy::new(vec![rail("mail", action, Check::Finds(Box::new(Mail("a@b"))))])
}

fn call(operation: Operation, dialect: Dialect, body: impl Into<Bytes>) -> Call {
    if dialect == Dialect::Gemini {
        let given = Given {
            model: "m".to_owned(),
            stream: false,
            json_array: false,
        };
        return Reading::given(operation, dialect, given, 64)
            .finish(body.into())
            .unwrap();
    }
    Call::read_as(operation, dialect, body.into(), 64).unwrap()
}

const CHAT: (Operation, Dialect) = (Operation::Chat, Dialect::OpenAi);

/// A request of each API, with `a@b` hidden in it, and how it is spelled there.
fn asked() -> Vec<(Call, &'static str)> {
    let chat = r#"{"model":"m", "messages":[{"role":"user","content":"hi"},{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"to\":\"a\\u0040b\"}"}}]},{"role":"user","content":"ok"}]}"#;
    let text = r#"{"model":"m","prompt":["x","to a@b"]}"#;
    let responses = r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"a\u0040b"}]},{"role":"user","content":"last"}]}"#;
    let anthropic = r#"{"model":"m","max_tokens":9,"system":"a@b","messages":[{"role":"user","content":"x"}]}"#;
    let gemini = r#"{"contents":[{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"x":["a@b"]}}}]},{"role":"user","parts":[{"text":"x"}]}]}"#;
    let (o, c) = CHAT;
    vec![
        (call(o, c, chat), r"a\\u0040b"),
        (call(Operation::Completions, c, text), "a@b"),
        (call(o, Dialect::Responses, responses), r"a\u0040b"),
        (call(o, Dialect::Anthropic, anthropic), "a@b"),
        (call(o, Dialect::Gemini, gemini), "a@b"),
    ]
}

fn counted(verdicts: &[Verdict]) -> Vec<(&str, Action, u32)> {
    let count = |verdict: &Verdict| verdict.found.values().sum();
    verdicts
        .iter()
        .map(|one| (&*one.guardrail, one.action, count(one)))
        .collect()
}

fn refusal(error: &GatewayError) -> &str {
    assert_eq!(
        (error.kind, error.code),
        (ErrorKind::InvalidRequest, Some("content_filter"))
    );
    assert!(!error.message.contains("a@b"), "{}", error.message);
    &error.message
}

#[test]
fn a_request_is_redacted_where_it_must_be_and_nowhere_else() {
    for (call, spelled) in asked() {
        let Looked { verdicts, outcome } = request(&policy(Action::Redact), &call, 64);
        let edited = outcome.unwrap().unwrap();
        let before = String::from_utf8(call.body.to_vec()).unwrap();
        assert_eq!(edited.body, before.replace(spelled, "[EMAIL]"), "{:?}", call.dialect);
        assert_eq!(edited.envelope.model, "m");
        assert_eq!(counted(&verdicts), [("mail", Action::Redact, 1)]);
        // Nothing is left to find.
        let again = request(&policy(Action::Redact), &edited, 64);
        assert!(again.outcome.unwrap().is_none() && again.verdicts.is_empty());
    }
}

#[test]
fn a_request_is_refused_by_name_and_kind() {
    for (call, _) in asked() {
        let Looked { verdicts, outcome } = request(&policy(Action::Block), &call, 64);
        let said = refusal(&outcome.unwrap_err()).to_owned();
        assert!(said.contains("`mail`") && said.contains("EMAIL"), "{said}");
        assert_eq!(counted(&verdicts), [("mail", Action::Block, 1)]);
    }
    let long = Policy::new(vec![rail("short", Action::Block, Check::Length(20))]);
    let body =
        r#"{"model":"m","messages":[{"role":"user","content":"twelve chars"},{"role":"user","content":"and nine."}]}"#;
    let looked = request(&long, &call(CHAT.0, CHAT.1, body), 64);
    assert!(refusal(&looked.outcome.unwrap_err()).contains("TOO_LONG"));
}

#[test]
fn a_flag_changes_nothing() {
    for (call, _) in asked() {
        let Looked { verdicts, outcome } = request(&policy(Action::Flag), &call, 64);
        assert!(outcome.unwrap().is_none());
        assert_eq!(counted(&verdicts), [("mail", Action::Flag, 1)]);
    }
}

#[test]
fn what_a_provider_signed_stays_and_is_flagged() {
    let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"a@b","signature":"QUJD"},{"type":"text","text":"a@b"}]}]}"#;
    let call = call(CHAT.0, Dialect::Anthropic, body);
    let Looked { verdicts, outcome } = request(&policy(Action::Redact), &call, 64);
    let edited = outcome.unwrap().unwrap();
    assert_eq!(edited.body, body.replace(r#""text":"a@b""#, r#""text":"[EMAIL]""#));
    assert_eq!(
        counted(&verdicts),
        [("mail", Action::Redact, 1), ("mail", Action::Flag, 1)]
    );
    let flagged = request(&policy(Action::Flag), &call, 64);
    assert_eq!(counted(&flagged.verdicts), [("mail", Action::Flag, 2)]);
    let signed = body.replace(r#""text":"a@b""#, r#""text":"x""#);
    let blocked = request(
        &policy(Action::Block),
        &self::call(CHAT.0, Dialect::Anthropic, signed),
        64,
    );
    refusal(&blocked.outcome.unwrap_err());
}

#[test]
fn tokens_cannot_be_read_and_are_refused_by_what_must_act() {
    let call = call(
        Operation::Embeddings,
        Dialect::OpenAi,
        r#"{"model":"m","input":[[1,2]]}"#,
    );
    let error = request(&policy(Action::Redact), &call, 64).outcome.unwrap_err();
    assert_eq!(
        (error.kind, error.code),
        (ErrorKind::Forbidden, Some("guardrail_unread"))
    );
    assert!(request(&policy(Action::Flag), &call, 64).outcome.unwrap().is_none());
}

/// An answer to each request of [`asked`], with `a@b` in it.
fn answers() -> Vec<Value> {
    vec![
        json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "up", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"},
            {"index": 1, "message": {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function",
                "function": {"name": "f", "arguments": "{\"to\":\"a\\u0040b\"}"}}]}, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}),
        json!({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "up",
            "choices": [{"text": "to a@b", "index": 0, "logprobs": null, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}),
        json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "up", "output": [
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "to a@b", "annotations": []}]}],
            "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}}),
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "up", "content": [
            {"type": "thinking", "thinking": "to a@b", "signature": "QUJD"}, {"type": "text", "text": "fine"}],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 4}}),
        json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "to a@b"}]}, "finishReason": "STOP"}],
            "modelVersion": "up", "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}}),
    ]
}

fn judged(action: Action, call: &Call, answer: &Value) -> (Judged, Vec<Verdict>) {
    let body = Bytes::from(serde_json::to_vec(answer).unwrap());
    let Looked { verdicts, outcome } = whole(&policy(action), call, body, None, 64);
    (outcome.unwrap(), verdicts)
}

#[test]
fn an_answer_is_redacted_or_passes_as_it_is() {
    for ((call, _), answer) in asked().into_iter().zip(answers()) {
        let plain = serde_json::to_string(&answer).unwrap();
        let (Judged::Pass(same), verdicts) = judged(Action::Flag, &call, &answer) else {
            panic!()
        };
        assert_eq!(same, plain);
        assert_eq!(counted(&verdicts), [("mail", Action::Flag, 1)]);
        let (Judged::Pass(edited), verdicts) = judged(Action::Redact, &call, &answer) else {
            panic!()
        };
        assert_eq!(counted(&verdicts), [("mail", Action::Redact, 1)]);
        let expected = plain
            .replace("a@b", "[EMAIL]")
            .replace(r"a\\u0040b", "[EMAIL]")
            .replace("QUJD", "");
        assert_eq!(edited, expected);
    }
}

#[test]
fn a_blocked_answer_is_a_refusal_of_its_dialect() {
    let said: Vec<Value> = asked()
        .into_iter()
        .zip(answers())
        .map(|((call, _), answer)| {
            let (Judged::Blocked(body), verdicts) = judged(Action::Block, &call, &answer) else {
                panic!("{call:?}")
            };
            assert_eq!(counted(&verdicts), [("mail", Action::Block, 1)]);
            let text = String::from_utf8(body.to_vec()).unwrap();
            assert!(
                !["a@b", "0040", "fine", "QUJD"].iter().any(|word| text.contains(word)),
                "{text}"
            );
            serde_json::from_str(&text).unwrap()
        })
        .collect();
    let [chat, text, responses, anthropic, gemini] = said.try_into().unwrap();
    for index in [0, 1] {
        assert_eq!(chat["choices"][index]["finish_reason"], "content_filter");
        assert_eq!(chat["choices"][index]["index"], index);
        assert_eq!(chat["choices"][index]["message"]["role"], "assistant");
    }
    assert_eq!(
        (&chat["object"], &chat["usage"]["completion_tokens"]),
        (&"chat.completion".into(), &4.into())
    );
    assert_eq!(text["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(
        (&text["choices"][0]["text"], &text["usage"]["total_tokens"]),
        (&"".into(), &7.into())
    );
    assert_eq!(responses["status"], "incomplete");
    assert_eq!(responses["incomplete_details"]["reason"], "content_filter");
    assert_eq!(responses["usage"]["output_tokens"], 4);
    assert_eq!(
        (&anthropic["type"], &anthropic["stop_reason"]),
        (&"message".into(), &"refusal".into())
    );
    assert_eq!(
        (&anthropic["content"], &anthropic["usage"]["output_tokens"]),
        (&json!([]), &4.into())
    );
    assert_eq!(gemini["candidates"][0]["finishReason"], "SAFETY");
    assert_eq!(gemini["usageMetadata"]["candidatesTokenCount"], 4);
}

#[test]
fn what_no_codec_reads_is_refused_all_the_same() {
    let (call, _) = asked().remove(0);
    let strange = json!({"choices": "a@b"});
    let usage = Usage {
        input: 3,
        output: 4,
        ..Usage::default()
    };
    let body = Bytes::from(serde_json::to_vec(&strange).unwrap());
    let Ok(Judged::Blocked(body)) = whole(&policy(Action::Block), &call, body, Some(usage), 64).outcome else {
        panic!()
    };
    let said: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(said["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(said["usage"]["total_tokens"], 7);
}

#[test]
fn what_cannot_be_read_is_not_sent_where_something_could_be_held_back() {
    let (call, _) = asked().remove(0);
    for broken in ["not JSON", "", "{\"choices\":"] {
        for action in [Action::Redact, Action::Block] {
            let error = whole(&policy(action), &call, Bytes::from(broken), None, 64)
                .outcome
                .unwrap_err();
            assert_eq!(error.kind, ErrorKind::ProviderBadResponse);
        }
        let passed = whole(&policy(Action::Flag), &call, Bytes::from(broken), None, 64)
            .outcome
            .unwrap();
        assert_eq!(passed, Judged::Pass(Bytes::from(broken)));
    }
}

#[test]
fn documents_in_order_are_emptied_and_numbers_pass() {
    let rerank = call(
        Operation::Rerank,
        Dialect::Cohere,
        r#"{"model":"m","query":"x","documents":["y"]}"#,
    );
    let order = json!({"id": "1", "results": [{"index": 0, "relevance_score": 0.5, "document": {"text": "a@b"}}]});
    let (Judged::Blocked(body), _) = judged(Action::Block, &rerank, &order) else {
        panic!()
    };
    let said: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        said,
        json!({"id": "1", "results": [{"index": 0, "relevance_score": 0.5, "document": {"text": ""}}]})
    );
    let embed = call(Operation::Embeddings, Dialect::OpenAi, r#"{"model":"m","input":"x"}"#);
    let (judged, verdicts) = judged(Action::Block, &embed, &json!({"data": [{"embedding": "a@b"}]}));
    assert!(matches!(judged, Judged::Pass(_)) && verdicts.is_empty());
}

#[test]
fn an_error_says_nothing_that_an_answer_may_not() {
    let body = Bytes::from_static(br#"{"error":{"message":"no a@b here","type":"invalid_request_error"}}"#);
    for operation in [Operation::Chat, Operation::Embeddings] {
        let asked = match operation {
            Operation::Chat => call(operation, Dialect::OpenAi, r#"{"model":"m","messages":[]}"#),
            _ => call(operation, Dialect::OpenAi, r#"{"model":"m","input":"x"}"#),
        };
        let said = |action| error(&policy(action), &asked, body.clone(), 64).outcome.unwrap();
        assert_eq!(said(Action::Flag).as_ref(), Some(&body));
        assert!(said(Action::Redact).unwrap().windows(7).any(|text| text == b"[EMAIL]"));
        assert_eq!(said(Action::Block), None);
    }
}
