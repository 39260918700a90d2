//! Event streams: however the bytes arrive, the same events and no byte lost or made up.
#![no_main]

use cirque::wire::sse::{EventTooLarge, SseReader, events};
use libfuzzer_sys::fuzz_target;

const MAX_EVENT: usize = 256;

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Vec<u8>, Result<(), EventTooLarge>) {
    let mut reader = SseReader::new(MAX_EVENT);
    let (mut datas, mut raw) = (Vec::new(), Vec::new());
    for piece in pieces {
        reader.space().extend_from_slice(piece);
        match reader.take() {
            Err(too_large) => return (datas, raw, Err(too_large)),
            Ok(batch) => {
                datas.extend(events(&batch).filter_map(|event| event.data.map(|data| data.into_owned())));
                raw.extend_from_slice(&batch);
            }
        }
        if let Some(too_large) = reader.too_large() {
            return (datas, raw, Err(too_large));
        }
    }
    (datas, raw, Ok(()))
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    let whole = read(std::iter::once(bytes));
    assert!(bytes.starts_with(&whole.1));
    let pieces = read(bytes.chunks(usize::from(step).max(1)));
    assert!(bytes.starts_with(&pieces.1));
    // Whether a `\r` is half a line end may make one byte's difference, which shows at the cap only.
    if !bytes.contains(&b'\r') {
        assert_eq!(whole, pieces);
    } else if whole.2.is_ok() && pieces.2.is_ok() {
        assert_eq!(whole.0, pieces.0);
    }
});
