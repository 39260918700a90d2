//! Small streams of every dialect, with the names and numbers of a provider of its own.

use crate::gateway::live::{Framing, StreamDecoder};
use crate::providers::anthropic::{AnthropicCodec, Variant};
use crate::providers::chat::{ChatCodec, TextDecoder, for_vendor};
use crate::providers::codec::{Codec, Expect};
use crate::providers::gemini::GeminiCodec;
use crate::providers::responses::ResponsesCodec;
use bytes::Bytes;

/// Somebody's stream.
#[derive(Clone)]
pub struct Stream {
    pub framing: Framing,
    pub decoder: fn() -> Box<dyn StreamDecoder>,
    pub bytes: Bytes,
}

pub fn chat_decoder() -> Box<dyn StreamDecoder> {
    let quirks = for_vendor("openai");
    ChatCodec { quirks }.decoder(Expect::default())
}
pub fn text_decoder() -> Box<dyn StreamDecoder> {
    Box::new(TextDecoder::default())
}
pub fn messages_decoder() -> Box<dyn StreamDecoder> {
    let variant = Variant::Direct;
    AnthropicCodec { variant }.decoder(Expect::default())
}
pub fn gemini_decoder() -> Box<dyn StreamDecoder> {
    GeminiCodec { vertex: false }.decoder(Expect::default())
}
pub fn responses_decoder() -> Box<dyn StreamDecoder> {
    ResponsesCodec.decoder(Expect::default())
}

pub fn sse(decoder: fn() -> Box<dyn StreamDecoder>, text: &str) -> Stream {
    Stream {
        framing: Framing::Sse,
        decoder,
        bytes: Bytes::copy_from_slice(text.as_bytes()),
    }
}

pub fn chat(id: &str, pieces: &[&str]) -> Stream {
    let chunk = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"{id}\",\"object\":\"chat.completion.chunk\",\"created\":77,\"model\":\"m-{id}\",\
             \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let mut text = chunk("{\"role\":\"assistant\",\"content\":\"\"}", "null");
    for piece in pieces {
        text += &chunk(&serde_json::json!({ "content": piece }).to_string(), "null");
    }
    text += &chunk("{}", "\"stop\"");
    text += &format!(
        "data: {{\"id\":\"{id}\",\"object\":\"chat.completion.chunk\",\"created\":77,\"model\":\"m-{id}\",\"choices\":[],\
         \"usage\":{{\"prompt_tokens\":30,\"completion_tokens\":5,\"total_tokens\":35}}}}\n\n"
    );
    text += "data: [DONE]\n\n";
    sse(chat_decoder, &text)
}

pub fn completions(pieces: &[&str]) -> Stream {
    let mut text = String::new();
    for (at, piece) in pieces.iter().chain(&[""]).enumerate() {
        let finish = if at == pieces.len() { "\"stop\"" } else { "null" };
        let piece = serde_json::json!(piece);
        text += &format!(
            "data: {{\"id\":\"odd-1\",\"object\":\"text_completion\",\"created\":77,\"model\":\"m\",\"choices\":[{{\"text\":{piece},\
             \"index\":0,\"logprobs\":null,\"finish_reason\":{finish}}}]}}\n\n"
        );
    }
    sse(text_decoder, &(text + "data: [DONE]\n\n"))
}

pub fn event(kind: &str, members: &str) -> String {
    format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{members}}}\n\n")
}

pub fn messages(thought: bool, pieces: &[&str]) -> Stream {
    let usage = "\"usage\":{\"input_tokens\":20,\"output_tokens\":1}";
    let mut text = event(
        "message_start",
        &format!(
            ",\"message\":{{\"id\":\"msg_x\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude\",\"content\":[],{usage}}}"
        ),
    );
    let at = u8::from(thought);
    if thought {
        text += &event(
            "content_block_start",
            ",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}",
        );
        text += &event(
            "content_block_delta",
            ",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}",
        );
        text += &event(
            "content_block_delta",
            ",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"c2ln\"}",
        );
        text += &event("content_block_stop", ",\"index\":0");
    }
    text += &event(
        "content_block_start",
        &format!(",\"index\":{at},\"content_block\":{{\"type\":\"text\",\"text\":\"\"}}"),
    );
    text += &event("ping", "");
    for piece in pieces {
        let piece = serde_json::json!(piece);
        text += &event(
            "content_block_delta",
            &format!(",\"index\":{at},\"delta\":{{\"type\":\"text_delta\",\"text\":{piece}}}"),
        );
    }
    text += &event("content_block_stop", &format!(",\"index\":{at}"));
    text += &event(
        "message_delta",
        ",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}",
    );
    sse(messages_decoder, &(text + &event("message_stop", "")))
}

pub fn gemini(pieces: &[&str]) -> Stream {
    let mut text = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        let finish = if at + 1 == pieces.len() {
            ",\"finishReason\":\"STOP\""
        } else {
            ""
        };
        let piece = serde_json::json!(piece);
        text += &format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":{piece}}}],\"role\":\"model\"}},\"index\":0{finish}}}],\
             \"usageMetadata\":{{\"promptTokenCount\":8,\"candidatesTokenCount\":{at},\"totalTokenCount\":9}},\
             \"modelVersion\":\"g\",\"responseId\":\"r1\"}}\r\n\r\n"
        );
    }
    sse(gemini_decoder, &text)
}

pub fn responses(reasoned: bool, pieces: &[&str]) -> Stream {
    let mut number = 0;
    let mut put = |kind: &str, members: &str| {
        number += 1;
        event(kind, &format!(",\"sequence_number\":{}{members}", number + 9))
    };
    let response = |status: &str, output: &str, usage: &str| {
        format!(
            ",\"response\":{{\"id\":\"resp_x\",\"object\":\"response\",\"created_at\":77,\"status\":\"{status}\",\"model\":\"gpt\",\
             \"output\":[{output}],\"usage\":{usage}}}"
        )
    };
    let mut text = put("response.created", &response("in_progress", "", "null"));
    let at = u8::from(reasoned);
    let thought = "{\"id\":\"rs_x\",\"type\":\"reasoning\",\"summary\":[]}";
    if reasoned {
        text += &put(
            "response.output_item.added",
            &format!(",\"output_index\":0,\"item\":{thought}"),
        );
        text += &put(
            "response.output_item.done",
            &format!(",\"output_index\":0,\"item\":{thought}"),
        );
    }
    let whole = serde_json::json!(pieces.concat());
    let item = |status: &str, content: &str| {
        format!(
            "{{\"id\":\"msg_x\",\"type\":\"message\",\"status\":\"{status}\",\"role\":\"assistant\",\"content\":[{content}]}}"
        )
    };
    let content = |text: &serde_json::Value| format!("{{\"type\":\"output_text\",\"annotations\":[],\"text\":{text}}}");
    let place = format!(",\"item_id\":\"msg_x\",\"output_index\":{at},\"content_index\":0");
    let begun = item("in_progress", "");
    text += &put(
        "response.output_item.added",
        &format!(",\"output_index\":{at},\"item\":{begun}"),
    );
    let empty = content(&serde_json::json!(""));
    text += &put("response.content_part.added", &format!("{place},\"part\":{empty}"));
    for piece in pieces {
        let piece = serde_json::json!(piece);
        text += &put(
            "response.output_text.delta",
            &format!("{place},\"delta\":{piece},\"logprobs\":[]"),
        );
    }
    text += &put(
        "response.output_text.done",
        &format!("{place},\"text\":{whole},\"logprobs\":[]"),
    );
    let said = content(&whole);
    text += &put("response.content_part.done", &format!("{place},\"part\":{said}"));
    let done = item("completed", &said);
    text += &put(
        "response.output_item.done",
        &format!(",\"output_index\":{at},\"item\":{done}"),
    );
    let usage = "{\"input_tokens\":4,\"output_tokens\":6,\"total_tokens\":10}";
    let output = if reasoned { format!("{thought},{done}") } else { done };
    text += &put("response.completed", &response("completed", &output, usage));
    sse(responses_decoder, &text)
}
