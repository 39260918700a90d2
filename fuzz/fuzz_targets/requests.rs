//! Hostile client bytes through every client dialect, and what was read through every codec: no panic, JSON out.
#![no_main]

use cirque::providers::Codec;
use cirque::providers::anthropic::{AnthropicCodec, Variant};
use cirque::providers::bedrock::ConverseCodec;
use cirque::providers::chat::ChatCodec;
use cirque::providers::codec::Aim;
use cirque::providers::cohere::CohereCodec;
use cirque::providers::gemini::GeminiCodec;
use cirque::providers::mistral::MistralCodec;
use cirque::providers::responses::ResponsesCodec;
use cirque::wire::client::ClientDialect;
use cirque::wire::json::Node;
use cirque::wire::{chat, gemini, messages, responses};
use libfuzzer_sys::fuzz_target;

const MODELS: [&str; 6] = ["gpt-5", "claude-sonnet-4-5", "gemini-3-pro", "anthropic.claude-x-v1:0", "command-a", "m"];

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (which, model, bytes) = input;
    let client: &dyn ClientDialect = match which % 5 {
        0 => &chat::Chat,
        1 => &chat::Completions,
        2 => &messages::Messages,
        3 => &gemini::Gemini,
        _ => &responses::Responses,
    };
    let Ok(node) = Node::parse(bytes, 32) else { return };
    let Ok(request) = client.read(&node, which & 8 != 0) else { return };
    let chat = ChatCodec {
        quirks: cirque::providers::chat::for_vendor("openrouter"),
    };
    let anthropic = AnthropicCodec {
        variant: Variant::Direct,
    };
    let gemini = GeminiCodec { vertex: true };
    let codecs: [&dyn Codec; 7] = [&chat, &anthropic, &gemini, &ResponsesCodec, &ConverseCodec, &CohereCodec, &MistralCodec];
    let aim = Aim {
        model: MODELS[usize::from(model) % MODELS.len()],
        stream_usage: true,
    };
    for codec in codecs {
        if let Ok(encoding) = codec.encode(&request, aim) {
            assert!(serde_json::from_slice::<&serde_json::value::RawValue>(&encoding.body).is_ok());
            assert!(http::HeaderValue::from_str(&encoding.dropped.header()).is_ok());
        }
    }
});
