//! The encoder against its references: Hugging Face's tokeniser, a numpy forward pass in f32 (tests/fixtures/encoder), and damage.

use super::files::{self, ENCODER, Folder, Reader, STATIC, Source, VOCABULARY, Writer};
use super::*;
use base64::Engine;
use proptest::prelude::*;
use std::path::PathBuf;

/// Bytes of `encoder.bin` and `static.bin`, as their shapes have them.
const ENCODER_BYTES: usize = 19_996_200;
const STATIC_BYTES: usize = 4_028_904;

/// The model files, where this machine has them.
fn models() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::var_os("CIRQUE_TEST_MODELS").map_or_else(|| root.join("models"), PathBuf::from);
    if !folder.join(MANIFEST).exists() {
        eprintln!(
            "skipped: no model files in {} (`make models`, or CIRQUE_TEST_MODELS)",
            folder.display()
        );
        return None;
    }
    Some(folder)
}

fn encoder() -> Option<Encoder> {
    models().map(|folder| Encoder::open(&folder).unwrap())
}

fn fixture(name: &str) -> Vec<serde_json::Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/encoder")
        .join(name);
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A folder of its own, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cirque-encoder-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn source() -> Source {
    Source {
        wheel: "none".to_owned(),
        sha256: String::new(),
    }
}

/// As many pieces as the model has, the marks in their places.
fn invented_vocabulary() -> String {
    (0..vocabulary::PIECES)
        .map(|id| match id {
            100 => "[UNK]\n".to_owned(),
            101 => "[CLS]\n".to_owned(),
            102 => "[SEP]\n".to_owned(),
            _ => format!("piece{id}\n"),
        })
        .collect()
}

/// Files of the right lengths that say nothing.
fn write_empty(folder: &Path) {
    let files = [
        (ENCODER, vec![0; ENCODER_BYTES]),
        (STATIC, vec![0; STATIC_BYTES]),
        (VOCABULARY, invented_vocabulary().into_bytes()),
    ];
    files::write(folder, source(), &files).unwrap();
}

#[test]
fn texts_are_cut_as_the_reference_cuts_them() {
    let Some(encoder) = encoder() else { return };
    let cases = fixture("tokens.jsonl");
    assert!(cases.len() > 500);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let wanted: Vec<u16> = serde_json::from_value(case["ids"].clone()).unwrap();
        let found = encoder.tokens(text);
        assert_eq!(found.ids(), wanted, "{text:?}");
        assert_eq!(found.cut(), case["cut"].as_bool().unwrap(), "{text:?}");
        assert_eq!(
            found.unknown(),
            wanted.iter().filter(|id| **id == 100).count(),
            "{text:?}"
        );
    }
}

#[test]
fn embeddings_agree_with_the_reference() {
    let Some(mut encoder) = encoder() else { return };
    let (mean, least) = agreement(&encoder);
    assert!(mean >= 0.997 && least >= 0.98, "mean {mean}, least {least}");
    // As on a processor without VNNI.
    encoder.network.largest_input = 127;
    let (mean, least) = agreement(&encoder);
    assert!(mean >= 0.995 && least >= 0.96, "7 bits: mean {mean}, least {least}");
}

/// Mean and least cosine with the reference.
fn agreement(encoder: &Encoder) -> (f32, f32) {
    let mut cosines = Vec::new();
    for case in fixture("vectors.jsonl") {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(case["vector"].as_str().unwrap())
            .unwrap();
        let direction: Vec<f32> = bytes
            .chunks_exact(2)
            .map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])))
            .collect();
        let wanted = Embedding::from_direction(&direction.try_into().unwrap());
        cosines.push(
            encoder
                .embed(&encoder.tokens(case["text"].as_str().unwrap()))
                .cosine(&wanted),
        );
    }
    let mean = cosines.iter().sum::<f32>() / cosines.len() as f32;
    let least = cosines.iter().copied().fold(1.0, f32::min);
    println!("mean {mean}, least {least}");
    assert!(cosines.len() >= 50);
    (mean, least)
}

#[test]
fn places_put_like_questions_together() {
    let Some(encoder) = encoder() else { return };
    let place = |text: &str| encoder.place(&encoder.tokens(text));
    let likeness = |a: &str, b: &str| place(a).cosine(&place(b));
    let same = likeness(
        "How do I reset my password?",
        "I forgot my password, how can I reset it?",
    );
    let other = likeness("How do I reset my password?", "Can dogs eat chocolate?");
    assert!(same > 0.7 && other < 0.4, "{same} {other}");
    // Order is not seen: that is the verifier's.
    assert!(likeness("flights from Berlin to Lisbon", "flights from Lisbon to Berlin") > 0.999);
    // Nothing known, nothing near: not even itself.
    for text in ["", "   ", "ไทยไม่มีช่องว่าง", "\u{fffd}\u{0}"] {
        assert!(place(text).is_empty(), "{text:?}");
        assert_eq!(likeness(text, text), 0.0, "{text:?}");
    }
}

#[test]
fn no_text_fails_and_none_is_read_to_its_end() {
    let Some(encoder) = encoder() else { return };
    for text in [
        "x".repeat(1 << 20),
        "word ".repeat(1 << 20),
        "é".repeat(1 << 20),
        "\u{10ffff}".repeat(1 << 16),
    ] {
        let tokens = encoder.tokens(&text);
        assert!(tokens.ids().len() <= MOST_TOKENS);
        assert!(encoder.embed(&tokens).cosine(&encoder.embed(&tokens)) > 0.999);
    }
    assert!(encoder.tokens(&"word ".repeat(127)).cut());
    assert!(!encoder.tokens(&"word ".repeat(126)).cut());
    assert_eq!(
        format!("{:?}", encoder.tokens("my secret")),
        "Tokens { len: 4, cut: false, unknown: 0 }"
    );
}

#[test]
fn every_character_is_cut_as_the_reference_cuts_it() {
    let Some(encoder) = encoder() else { return };
    let mut every = ring::digest::Context::new(&ring::digest::SHA256);
    for character in '\0'..=char::MAX {
        for id in encoder.tokens(&format!("a{character}b")).ids() {
            every.update(&id.to_le_bytes());
        }
    }
    let found: String = every
        .finish()
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        found,
        include_str!("../../../../tests/fixtures/encoder/characters.sha256").trim()
    );
}

#[test]
fn a_missing_folder_or_file_is_named_with_the_command() {
    let folder = Scratch::new("missing");
    let error = Encoder::open(&folder.0.join("nowhere")).unwrap_err();
    assert!(matches!(error, ModelError::Missing(_)), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("nowhere/manifest.json: model file not found; run `make models`"),
        "{error}"
    );
    write_empty(&folder.0);
    for name in [ENCODER, STATIC, VOCABULARY] {
        let aside = folder.0.join("aside");
        std::fs::rename(folder.0.join(name), &aside).unwrap();
        let error = Encoder::open(&folder.0).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("make models"), "{error}");
        std::fs::rename(&aside, folder.0.join(name)).unwrap();
    }
}

#[test]
fn files_that_say_nothing_open_and_are_near_nothing() {
    let folder = Scratch::new("empty");
    write_empty(&folder.0);
    let encoder = Encoder::open(&folder.0).unwrap();
    let tokens = encoder.tokens("piece5 piece7 what");
    assert!(encoder.place(&tokens).is_empty());
    assert!(encoder.embed(&tokens).is_empty());
}

#[test]
fn damage_is_told_by_its_kind_and_file() {
    let folder = Scratch::new("damage");
    write_empty(&folder.0);
    let opened = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let path = folder.0.join(name);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        change(&mut bad);
        std::fs::write(&path, bad).unwrap();
        let error = Encoder::open(&folder.0).unwrap_err();
        std::fs::write(&path, good).unwrap();
        assert!(
            error.to_string().contains(name) && error.to_string().contains("make models"),
            "{error}"
        );
        error
    };
    for name in [ENCODER, STATIC, VOCABULARY] {
        for at in [0, 1_000, 200_000] {
            assert!(
                matches!(opened(name, &|bytes| bytes[at] ^= 4), ModelError::Hash(_)),
                "{name} {at}"
            );
        }
        assert!(
            matches!(opened(name, &|bytes| bytes.truncate(100)), ModelError::Length { .. }),
            "{name}"
        );
        assert!(
            matches!(opened(name, &|bytes| bytes.push(0)), ModelError::Length { .. }),
            "{name}"
        );
        assert!(matches!(opened(name, &Vec::clear), ModelError::Length { .. }), "{name}");
    }
    let version = opened(MANIFEST, &|bytes| {
        *bytes = String::from_utf8_lossy(bytes)
            .replace("\"format\": 1", "\"format\": 7")
            .into_bytes();
    });
    assert!(
        matches!(
            version,
            ModelError::Version {
                found: 7,
                wanted: 1,
                ..
            }
        ),
        "{version:?}"
    );
    for text in [
        "",
        "{}",
        "[]",
        "null",
        "{\"format\":1}",
        "{\"format\":1,\"model\":\"\",\"source\":{},\"files\":[]}",
    ] {
        let error = opened(MANIFEST, &|bytes| *bytes = text.as_bytes().to_vec());
        assert!(matches!(error, ModelError::Damaged { .. }), "{text}: {error:?}");
    }
}

#[test]
fn files_whose_hash_is_right_and_content_wrong_are_refused() {
    let folder = Scratch::new("content");
    let mut infinite = vec![0; ENCODER_BYTES];
    infinite[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let cases: [(&str, Vec<u8>); 7] = [
        (ENCODER, vec![0; ENCODER_BYTES - 1]),
        (ENCODER, vec![0; ENCODER_BYTES + 1]),
        (ENCODER, infinite),
        (STATIC, vec![0xff; STATIC_BYTES]),
        (STATIC, vec![0; 3]),
        (VOCABULARY, b"one\ntwo\n".to_vec()),
        (VOCABULARY, vec![0xff; 40]),
    ];
    for (name, bytes) in cases {
        let mut files = vec![
            (ENCODER, vec![0; ENCODER_BYTES]),
            (STATIC, vec![0; STATIC_BYTES]),
            (VOCABULARY, invented_vocabulary().into_bytes()),
        ];
        files
            .iter_mut()
            .filter(|(of, _)| *of == name)
            .for_each(|(_, content)| content.clone_from(&bytes));
        files::write(&folder.0, source(), &files).unwrap();
        let error = Encoder::open(&folder.0).unwrap_err();
        assert!(
            matches!(&error, ModelError::Damaged { file, .. } if file.ends_with(name)),
            "{error:?}"
        );
    }
}

#[test]
fn the_encoder_is_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Encoder>();
    let Some(encoder) = encoder() else { return };
    let tokens = encoder.tokens("Is it shared by threads?");
    let alone = encoder.embed(&tokens);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(encoder.embed(&tokens), alone));
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn packed_values_are_read_as_written(groups in prop::collection::vec(prop::array::uniform8(-8i8..8), 0..40)) {
        let values: Vec<i8> = groups.into_iter().flatten().collect();
        let mut out = Writer::default();
        out.packed::<4>(&values);
        out.packed::<6>(&values);
        let mut from = Reader::new(&out.0, String::new());
        prop_assert_eq!(from.packed::<4>(values.len()).unwrap(), values.clone());
        prop_assert_eq!(from.packed::<6>(values.len()).unwrap(), values);
        from.end().unwrap();
    }

    #[test]
    fn a_cosine_is_that_of_the_direction(a in prop::array::uniform32(-1f32..1.0), b in prop::array::uniform32(-1f32..1.0), by in 1e-3f32..1e3) {
        let dot = |a: &[f32; 32], b: &[f32; 32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        prop_assume!(dot(&a, &a) > 0.01 && dot(&b, &b) > 0.01);
        let true_one = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
        let (left, right) = (Vector::from_direction(&a.map(|value| value * by)), Vector::from_direction(&b));
        prop_assert!((left.cosine(&right) - true_one).abs() < 0.02);
        prop_assert_eq!(Vector::<32>::from_bytes(&left.to_bytes()), Some(left.clone()));
        prop_assert!(left.cosine(&left) > 0.999);
    }

    #[test]
    fn no_direction_fails(values in prop::array::uniform4(prop::num::f32::ANY)) {
        let vector = Vector::from_direction(&values);
        prop_assert!(vector.cosine(&vector).is_finite());
    }

    #[test]
    fn no_manifest_fails(text in ".{0,200}") {
        let folder = Scratch::new("manifest");
        std::fs::write(folder.0.join(MANIFEST), text).unwrap();
        prop_assert!(Folder::open(&folder.0).is_err());
    }
}
