//! Tests of the event stream reader and writer.

use super::*;
use proptest::prelude::*;

const MOST: usize = 1 << 20;

fn fed(pieces: &[&[u8]]) -> (Vec<Message>, Result<(), FrameError>) {
    let mut reader = FrameReader::new(MOST);
    let mut all = Vec::new();
    for piece in pieces {
        reader.space().extend_from_slice(piece);
        loop {
            match reader.take() {
                Ok(Some(message)) => all.push(message),
                Ok(None) => break,
                Err(error) => return (all, Err(error)),
            }
        }
    }
    (all, reader.finish())
}

fn two() -> Vec<u8> {
    let mut out = Vec::new();
    event("messageStart", br#"{"role":"assistant"}"#, &mut out).unwrap();
    exception("throttlingException", br#"{"message":"slow down"}"#, &mut out).unwrap();
    out
}

#[test]
fn messages_are_told_apart_by_their_headers() {
    let all = messages(&two(), MOST).unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(
        (all[0].name(), all[0].is_exception(), all[0].content_type()),
        ("messageStart", false, Some("application/json"))
    );
    assert_eq!(&all[0].payload[..], br#"{"role":"assistant"}"#);
    assert_eq!(
        (all[1].name(), all[1].is_exception(), all[1].exception_type()),
        ("throttlingException", true, Some("throttlingException"))
    );
    let mut out = Vec::new();
    let headers = [
        (":message-type", HeaderValue::Text("error")),
        (":error-code", HeaderValue::Text("InternalFailure")),
        (":error-message", HeaderValue::Text("oh")),
    ];
    write(&headers, b"", &mut out).unwrap();
    let error = messages(&out, MOST).unwrap().remove(0);
    assert_eq!(
        (error.name(), error.is_exception(), error.error_message()),
        ("InternalFailure", true, Some("oh"))
    );
}

#[test]
fn every_type_of_header_survives() {
    let headers = [
        ("t", HeaderValue::Bool(true)),
        ("f", HeaderValue::Bool(false)),
        ("b", HeaderValue::Byte(-1)),
        ("s", HeaderValue::Short(-2)),
        ("i", HeaderValue::Int(-3)),
        ("l", HeaderValue::Long(i64::MIN)),
        ("x", HeaderValue::Bytes(&[0, 255])),
        ("w", HeaderValue::Text("wörter")),
        ("z", HeaderValue::Timestamp(1_700_000_000_123)),
        ("u", HeaderValue::Uuid([7; 16])),
    ];
    let mut out = Vec::new();
    write(&headers, b"p", &mut out).unwrap();
    let message = messages(&out, MOST).unwrap().remove(0);
    assert_eq!(message.headers().collect::<Vec<_>>(), headers);
    assert_eq!(message.text("b"), None, "a number is no text");
}

/// A message whose checksums are right whatever its lengths and headers say.
fn sealed(total: u32, header_bytes: u32, rest: &[u8]) -> Vec<u8> {
    let mut out = [total.to_be_bytes(), header_bytes.to_be_bytes()].concat();
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out.extend_from_slice(rest);
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out
}

#[test]
fn lies_are_refused_with_a_reason() {
    let lengths = |total, headers| FrameError::Lengths { total, headers };
    assert_eq!(messages(&sealed(15, 0, b""), MOST), Err(lengths(15, 0)));
    assert_eq!(messages(&sealed(16, 1, b""), MOST), Err(lengths(16, 1)));
    assert_eq!(
        messages(&sealed(u32::MAX, u32::MAX, b""), MOST),
        Err(lengths(u32::MAX, u32::MAX))
    );
    assert_eq!(
        messages(&sealed(u32::MAX, 0, b""), MOST),
        Err(FrameError::TooLarge {
            size: u32::MAX as usize,
            most: MOST
        }),
        "before anything is waited for or allocated"
    );
    assert_eq!(
        messages(&sealed(17, 0, b"x")[..16], MOST),
        Err(FrameError::Truncated(16))
    );
    for (header, reason) in [
        (&b"\0"[..], "it has no name"),
        (b"\x05ab", "it ends too early"),
        (b"\x01a", "it ends too early"),
        (b"\x01a\x07\0\x09x", "it ends too early"),
        (b"\x01a\x0a", "its value is of an unknown type"),
        (b"\x01\xff\x00", "its name is not UTF-8"),
        (b"\x01a\x07\0\x01\xff", "its text is not UTF-8"),
        (b"\x01a\x00\x01a\x01", "a name comes twice"),
    ] {
        let size = header.len() as u32;
        assert_eq!(
            messages(&sealed(16 + size, size, header), MOST),
            Err(FrameError::Header(reason))
        );
    }
    let many: Vec<u8> = (0..65u8).flat_map(|n| [2, b'a' + n / 26, b'a' + n % 26, 0]).collect();
    let size = many.len() as u32;
    let error = FrameError::Header("there are too many");
    assert_eq!(messages(&sealed(16 + size, size, &many), MOST), Err(error));
}

#[test]
fn an_error_is_final_and_what_came_before_is_given() {
    let mut stream = two();
    let at = stream.len() - 1;
    stream[at] ^= 1;
    let (given, end) = fed(&[&stream, &two()]);
    assert_eq!((given.len(), end), (1, Err(FrameError::MessageChecksum)));
    let mut reader = FrameReader::new(MOST);
    reader.space().extend_from_slice(b"data: {\"this\":\"is SSE\"}\n\n");
    assert_eq!(reader.take(), Err(FrameError::PreludeChecksum));
    reader.space().extend_from_slice(&two());
    assert_eq!(reader.take(), Err(FrameError::PreludeChecksum));
    assert_eq!(reader.finish(), Err(FrameError::PreludeChecksum));
}

proptest! {
    #[test]
    fn any_split_gives_the_same(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
                                cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let mut stream = Vec::new();
        for payload in &payloads {
            event("e", payload, &mut stream).unwrap();
        }
        let mut at: Vec<usize> = cuts.iter().map(|c| c.index(stream.len() + 1)).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|w| &stream[w[0]..w[1]]).collect();
        let (split, end) = fed(&pieces);
        prop_assert_eq!(end, Ok(()));
        prop_assert_eq!(&split, &messages(&stream, MOST).unwrap());
        let back: Vec<Vec<u8>> = split.iter().map(|m| m.payload.to_vec()).collect();
        prop_assert_eq!(back, payloads);
    }

    #[test]
    fn a_flipped_bit_is_noticed(at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let stream = two();
        let mut broken = stream.clone();
        broken[at.index(stream.len())] ^= 1 << bit;
        prop_assert!(messages(&broken, MOST).is_err());
    }

    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), headers in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = messages(&bytes, MOST);
        let size = headers.len() as u32;
        if let Ok(all) = messages(&sealed(16 + size, size, &headers), MOST) {
            let _ = all.iter().map(|m| (m.name().len(), m.headers().count())).collect::<Vec<_>>();
        }
    }
}
