//! A body that is accepted is still accepted, and says the same but for the model, after it was spliced for a target.
#![no_main]

use bytes::Bytes;
use cirque::providers::native::{self, EncodeOptions, Native};
use cirque::wire::{Call, Operation};
use libfuzzer_sys::fuzz_target;

const MODEL: &str = "up/\"stream\"\u{7}";

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (operation, stream_usage, body) = input;
    let operation = Operation::ALL[usize::from(operation) % Operation::ALL.len()];
    let Ok(call) = Call::read(operation, Bytes::copy_from_slice(body), 64) else {
        return;
    };
    let same = EncodeOptions {
        model: &call.envelope.model,
        stream_usage: false,
    };
    assert_eq!(native::encode(Native::OpenAi, &call, same).body.concat(), body);
    let encoded = native::encode(
        Native::OpenAi,
        &call,
        EncodeOptions {
            model: MODEL,
            stream_usage,
        },
    );
    let again = Call::read(operation, encoded.body.concat(), 64).expect("a spliced body is still a body");
    assert_eq!(again.envelope.model, MODEL);
    assert_eq!(again.envelope.stream, call.envelope.stream);
    let asked = call.envelope.include_usage || (stream_usage && call.envelope.stream);
    assert_eq!(again.envelope.include_usage, asked);
    assert_eq!(encoded.withhold_usage, asked && !call.envelope.include_usage);
});
