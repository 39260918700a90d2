//! Hostile provider bytes through every codec's stream decoder and whole decoder, and on through every client's writer:
//! no panic, events in the promised order, JSON out.
#![no_main]

use cirque::providers::Codec;
use cirque::providers::anthropic::{AnthropicCodec, Variant};
use cirque::providers::bedrock::ConverseCodec;
use cirque::providers::chat::ChatCodec;
use cirque::providers::codec::{Expect, RawEvent};
use cirque::providers::cohere::CohereCodec;
use cirque::providers::gemini::GeminiCodec;
use cirque::providers::mistral::MistralCodec;
use cirque::providers::responses::ResponsesCodec;
use cirque::wire::canonical::{Event, Fold, Request};
use cirque::wire::client::{ClientDialect, Reply, ReplyWriter};
use cirque::wire::json::Node;
use cirque::wire::{chat, gemini, messages, responses};
use libfuzzer_sys::fuzz_target;

fn codec(which: u8) -> Box<dyn Codec> {
    match which % 8 {
        0 => Box::new(ChatCodec {
            quirks: cirque::providers::chat::for_vendor("openai"),
        }),
        1 => Box::new(ChatCodec {
            quirks: cirque::providers::chat::for_vendor("openrouter"),
        }),
        2 => Box::new(AnthropicCodec {
            variant: Variant::Direct,
        }),
        3 => Box::new(GeminiCodec { vertex: false }),
        4 => Box::new(ResponsesCodec),
        5 => Box::new(ConverseCodec),
        6 => Box::new(CohereCodec),
        _ => Box::new(MistralCodec),
    }
}

fn writers() -> Vec<Box<dyn ReplyWriter>> {
    let clients: [&dyn ClientDialect; 5] = [
        &chat::Chat,
        &chat::Completions,
        &messages::Messages,
        &gemini::Gemini,
        &responses::Responses,
    ];
    clients
        .iter()
        .map(|client| client.writer(&Request::default(), Reply::default()))
        .collect()
}

fuzz_target!(|input: (u8, &[u8])| {
    let (which, bytes) = input;
    let codec = codec(which);
    let expect = Expect::default();
    if let Ok(node) = Node::parse(bytes, 32)
        && let Ok(response) = codec.decode(&node, &expect)
    {
        for mut writer in writers() {
            let mut out = Vec::new();
            writer.whole(&response, &mut out);
            assert!(serde_json::from_slice::<&serde_json::value::RawValue>(&out).is_ok());
        }
    }
    // Lines are events; a name may stand before a tab.
    let mut decoder = codec.decoder(expect);
    let mut fold = Fold::new();
    let mut writers = writers();
    let mut out = Vec::new();
    let mut failed = false;
    let mut take = |event: Event<'_>| {
        fold.event(&event);
        if !matches!(event, Event::Error { .. }) {
            writers.iter_mut().for_each(|writer| writer.event(&event, &mut out));
        }
    };
    for line in bytes.split(|byte| *byte == b'\n') {
        let (name, data) = match line.iter().position(|byte| *byte == b'\t') {
            Some(at) => (std::str::from_utf8(&line[..at]).unwrap_or_default(), &line[at + 1..]),
            None => ("", line),
        };
        let raw = RawEvent {
            name,
            exception: name.ends_with("Exception"),
            data,
            max_depth: 32,
        };
        if decoder.event(raw, &mut take).is_err() {
            failed = true;
            break;
        }
    }
    if !failed {
        let _ = decoder.finish(&mut take);
    }
    assert!(fold.disorder.is_none(), "{:?}", fold.disorder);
});
