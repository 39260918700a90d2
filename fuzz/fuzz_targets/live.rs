//! A stream is judged the same however its bytes arrive, and nothing is forwarded that did not come.
#![no_main]

use bytes::Bytes;
use cirque::gateway::live::{Broken, LiveStream, Source};
use cirque::units::Usage;
use futures::FutureExt;
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

fn run<'a>(pieces: impl Iterator<Item = &'a [u8]>, withhold: bool) -> (Vec<u8>, Option<Usage>, bool, Option<Broken>) {
    let events = pieces.map(Bytes::copy_from_slice).collect();
    let source = Source::Paced {
        events,
        pace: Duration::ZERO,
    };
    let mut live = LiveStream::new(source, 512, 16, withhold);
    let mut out = Vec::new();
    while !live.ended && live.broken.is_none() && !live.is_done() {
        live.fill().now_or_never().expect("nothing to wait for");
        out.extend_from_slice(&live.take());
    }
    (out, live.usage, live.is_done(), live.broken)
}

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (step, withhold, bytes) = input;
    let whole = run(std::iter::once(bytes), withhold);
    let pieces = run(bytes.chunks(usize::from(step).max(1)), withhold);
    assert!(whole.0.len() <= bytes.len() + 2);
    if !withhold {
        let sent = whole.0.strip_suffix(b"\n\n").unwrap_or(&whole.0);
        assert!(bytes.starts_with(sent));
    }
    if !bytes.contains(&b'\r') {
        assert_eq!(whole, pieces);
    }
});
