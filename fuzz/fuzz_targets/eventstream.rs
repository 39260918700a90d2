//! AWS event streams: hostile bytes are refused, never panic, and are read the same however they arrive.
#![no_main]

use bytes::Bytes;
use cirque::wire::eventstream::FrameReader;
use libfuzzer_sys::fuzz_target;

fn run<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<(String, Bytes)>, bool) {
    let mut reader = FrameReader::new(4096);
    let mut seen = Vec::new();
    for piece in pieces {
        reader.space().extend_from_slice(piece);
        loop {
            match reader.take() {
                Ok(Some(message)) => seen.push((message.name().to_owned(), message.payload.clone())),
                Ok(None) => break,
                Err(_) => return (seen, false),
            }
        }
    }
    (seen, true)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    assert_eq!(run(std::iter::once(bytes)), run(bytes.chunks(usize::from(step).max(1))));
});
