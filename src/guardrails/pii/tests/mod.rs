//! What is found in texts, and what is not: by kind, in ordinary pages, on given tables, in pieces.

mod given;
mod pages;

use super::*;
use crate::guardrails::{Action, Check, Direction, Guardrail, Judge, Policy, Window};
use proptest::prelude::*;
use std::sync::{Arc, OnceLock};

/// What a detector finds, as `LABEL=value`.
fn found(pii: &Pii, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    pii.scan(text, 0, &mut found);
    found
        .into_iter()
        .map(|one| format!("{}={}", one.label, &text[one.span]))
        .collect()
}

fn of(kind: Kind) -> Pii {
    Pii::new(&[kind], &[]).unwrap()
}

/// What is on by default.
fn default() -> &'static Pii {
    static DEFAULT: OnceLock<Pii> = OnceLock::new();
    DEFAULT.get_or_init(|| Pii::new(Kind::DEFAULT, &[]).unwrap())
}

/// All there is.
fn all() -> &'static Pii {
    static ALL: OnceLock<Pii> = OnceLock::new();
    ALL.get_or_init(|| Pii::new(Kind::ALL, &[]).unwrap())
}

#[test]
fn names_are_one_each() {
    let names: std::collections::BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(names.len(), Kind::ALL.len());
    for kind in Kind::ALL {
        assert!(
            kind.as_str()
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{kind:?}"
        );
        assert!(
            kind.label()
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'_'),
            "{kind:?}"
        );
        assert!(!rules::of(*kind).is_empty(), "{kind:?}");
    }
}

/// One of every kind in a sentence; and with one character of it changed, none where a check digit says so.
#[test]
fn one_of_every_kind() {
    let cases: &[(Kind, &str, &[&str])] = &[
        (
            Kind::Email,
            "maria.lopez+shop@mail.firma-24.example",
            &["maria@firma", "maria@@firma.es", "pkg@4.17.21"],
        ),
        (
            Kind::Card,
            "4532-0151-1283-0366",
            &["4532-0151-1283-0367", "1234567890123456"],
        ),
        (
            Kind::Iban,
            "DE75 5121 0800 1245 1261 99",
            &["DE75 5121 0800 1245 1261 98", "ZZ75512108001245126199"],
        ),
        (Kind::Ssn, "531-02-4417", &["531-00-4417", "531-02-441", "531024417"]),
        (Kind::Ip, "203.0.113.77", &["203.0.113.300", "10.2.3", "2.4.1.3"]),
        (Kind::Ip, "2a02:8071:22c1::7d", &["12:34:56", "cafe::babe", "std::dec"]),
        (
            Kind::Mac,
            "3c:22:fb:01:9a:7e",
            &["3c:22:fb:01:9a", "3c:22:fb:01:9a:7e:10", "ff:ff:ff:ff:ff:ff"],
        ),
        (
            Kind::Crypto,
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            &["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb"],
        ),
        (
            Kind::Crypto,
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            &["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5"],
        ),
        (
            Kind::Crypto,
            "0x52908400098527886E0F7030069857D2E4169EE7",
            &["0x52908400098527886E0F7030069857D2E4169EE"],
        ),
        (Kind::ItFiscalCode, "RSSMRA80A01H501U", &["RSSMRA80A01H501V"]),
        (Kind::KrRrn, "900101-1234567", &["901301-1234567", "900101-9234567"]),
        (Kind::CnId, "11010519491231002X", &["110105194912310021"]),
        (Kind::InGstin, "27AAPFU0939F1ZV", &["27AAPFU0939F1ZW"]),
        (Kind::HkId, "A123456(3)", &["A123456(4)", "A1234567"]),
        (Kind::UsMbi, "1EG4-TE5-MK73", &["1SG4-TE5-MK73", "0EG4-TE5-MK73"]),
        (Kind::UsItin, "912-71-3456", &["912-66-3456"]),
        (Kind::UsRouting, "021000021", &["021000022"]),
        (Kind::UsNpi, "1234567893", &["1234567894"]),
        (Kind::UsDea, "AB1234563", &["AB1234564"]),
        (Kind::CaSin, "130-692-544", &["130-692-545"]),
        (Kind::BrCpf, "529.982.247-25", &["529.982.247-26"]),
        (Kind::BrCnpj, "11.222.333/0001-81", &["11.222.333/0001-82"]),
        (Kind::ClRut, "12.345.678-5", &["12.345.678-6"]),
        (Kind::UkNhs, "943 476 5919", &["943 476 5918"]),
        (Kind::UkNino, "JG 10 37 59 A", &["GB 10 37 59 A", "JG 10 37 59 E"]),
        (Kind::EsNif, "12345678Z", &["12345678A"]),
        (Kind::DeTaxId, "86 095 742 719", &["86 095 742 718"]),
        (Kind::FiHetu, "131052-308T", &["131052-308U"]),
        (Kind::SePersonnummer, "811218-9876", &["811218-9875"]),
        (Kind::PlPesel, "44051401359", &["44051401358"]),
        (Kind::TrKimlik, "10000000146", &["10000000147"]),
        (Kind::InPan, "ABCPE1234F", &["ABCDE1234F"]),
        (Kind::AuAbn, "51 824 753 556", &["51 824 753 557"]),
        (Kind::AuAcn, "004 085 616", &["004 085 617"]),
        (Kind::AuTfn, "123 456 782", &["123 456 783"]),
        (Kind::SgNric, "S1234567D", &["S1234567E"]),
        (Kind::Phone, "+49 89 1234567", &["+1 212 555 014", "12345678"]),
        (Kind::Phone, "(212) 555-0147", &["(212) 55-0147"]),
        (Kind::Phone, "212-555-0147 ext. 12", &["2121-555-01"]),
        (Kind::Phone, "0961 123 45 67", &["01 02 03 04 05", "01.02.2024 11"]),
        (Kind::Phone, "0041 44 123 45 67", &["0010 01 01"]),
        (Kind::Phone, "+1-212-555-0147x12", &["+1-212-55-0147"]),
        (Kind::SsnBare, "531024417", &["000024417"]),
    ];
    for (kind, good, bad) in cases {
        let pii = of(*kind);
        let text = format!("It is {good}, says «{good}».");
        let expected = format!("{}={good}", kind.label());
        assert_eq!(found(&pii, &text), [expected.clone(), expected.clone()], "{text}");
        for bad in *bad {
            let text = format!("It is {bad}, says «{bad}».");
            assert_eq!(found(&pii, &text), [""; 0], "{kind:?}");
        }
    }
}

/// Numbers that are like any other but for the word before them.
#[test]
fn words_before() {
    for (text, expected) in [
        ("SSN: 531024417", "SSN=531024417"),
        ("My social security number is 531024417.", "SSN=531024417"),
        ("passport no. 533380006", "US_PASSPORT=533380006"),
        ("the card ending: 501800000009", "CARD=501800000009"),
        ("{\"phone_number\": \"467 3395\"}", "PHONE=467 3395"),
        ("Phone:\n60-56-85-91\n", "PHONE=60-56-85-91"),
        ("please call me back on 9472 7916", "PHONE=9472 7916"),
        ("416 60 039 office", "PHONE=416 60 039"),
        ("{\"client_ip\": \"1.2.3.4\"}", "IP=1.2.3.4"),
        ("Phone: (99) 645-791", "PHONE=(99) 645-791"),
        ("Their number is 13812345678", "PHONE=13812345678"),
        ("ipv6 :: is unspecified", "IP=::"),
    ] {
        let kinds = [Kind::Ssn, Kind::UsPassport, Kind::Card, Kind::Phone, Kind::Ip];
        assert_eq!(found(&Pii::new(&kinds, &[]).unwrap(), text), [expected], "{text}");
    }
    for text in [
        "531024417",
        "533380006",
        "501800000009",
        "467 3395",
        "60-56-85-91",
        "call 60568591 times",
        "std::fmt, a::b",
        "phone since 2024-05-01",
        "reach 10 000 000 users",
        "17179869184 bytes",
        "30 09 02 03 01 00 01, 6.2288186904958804, 15.0039131409",
        "OID 1.3.6.1.5.5.7.3.1, 2.5.29.35, 1.2.112.0.2.0.34.101",
        "+9999-12-31 23:59, +2147483647",
    ] {
        assert_eq!(found(default(), text), [""; 0], "{text}");
    }
}

#[test]
fn addresses_in_code() {
    for text in [
        "x[::2] + y[1::200] + z[:, 2::3000]",
        "version 10.1.2.3, Version: 4.18.2.9, {\"version\": \"10.0.19041.1\", \"v\": \"v10.2.3.4\"}",
        "Mozilla/5.0 (X11) Chrome/120.0.0.0 Safari/537.36",
        "see section 4.12.1.2 and chapter 12.1.1.3",
        "SHA1 3c:22:fb:01:9a:7e:3c:22:fb:01:9a:7e:3c:22:fb:01:9a:7e:11:22",
        "2001::25de::cade and 12345:db8::1",
    ] {
        assert_eq!(found(default(), text), [""; 0], "{text}");
    }
    assert_eq!(
        found(
            default(),
            "get http://10.1.2.3/x or [2001:db8::17]:443, not 2001:db8::1."
        ),
        ["IP=10.1.2.3", "IP=2001:db8::17", "IP=2001:db8::1"]
    );
}

#[test]
fn allowed_values_are_no_findings() {
    let allow = ["*@Example.com", "203.0.113.*", "+49 89 1234567"].map(str::to_owned);
    let pii = Pii::new(Kind::DEFAULT, &allow).unwrap();
    let text = "a@example.com B@EXAMPLE.COM a@example.org 203.0.113.7 203.0.114.7 +49 89 1234567";
    assert_eq!(found(&pii, text), ["EMAIL=a@example.org", "IP=203.0.114.7"]);
    assert!(Pii::new(&[], &[]).is_err());
    assert!(Pii::new(Kind::DEFAULT, &["**".to_owned()]).is_err());
    assert!(Pii::new(Kind::DEFAULT, &[String::new()]).is_err());
    assert!(Pii::new(Kind::DEFAULT, &["a".repeat(1025)]).is_err());
}

/// A sentence per kind, cut anywhere, comes to what the whole does.
fn redacted(pieces: &[&str]) -> String {
    let rail = Guardrail {
        name: "pii".into(),
        kind: "pii",
        input: false,
        output: true,
        action: Action::Redact,
        replacement: None,
        check: Check::Finds(Box::new(Pii::new(Kind::ALL, &[]).unwrap())),
        passthrough: false,
        digest: [0; 32],
    };
    let policy = Policy::new(vec![Arc::new(rail)]);
    let mut judge = Judge::new(&policy, Direction::Output);
    let mut window = Window::default();
    let mut out = String::new();
    for piece in pieces {
        window.push(&mut judge, piece, &mut out);
    }
    window.end(&mut judge, &mut out);
    out
}

const SENTENCE: &str = "Ünal: 531-02-4417, tel. +49 89 1234567 — or a.b@c.example; card 4532 0151 1283 0366, \
    DE75512108001245126199; 10.1.2.3/24 2001:db8::17. Call me at 467 3395 x[::2] v1.2.3.4 é 2001::db8::1 3c:22:fb:01:9a:7e";

#[test]
fn characters_one_by_one() {
    let whole = redacted(&[SENTENCE]);
    assert!(
        whole.starts_with("Ünal: [SSN], tel. [PHONE] — or [EMAIL]; card [CARD], [IBAN]; [IP] [IP]. Call me at [PHONE]"),
        "{whole}"
    );
    let pieces: Vec<_> = SENTENCE
        .char_indices()
        .map(|(at, one)| &SENTENCE[at..at + one.len_utf8()])
        .collect();
    assert_eq!(redacted(&pieces), whole);
}

fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[0-9]{1,5}",
        "[-. :/()+@]{1,2}",
        "[a-fé ]{1,3}",
        (0..SENTENCE.len(), 0..40_usize).prop_map(|(at, len)| SENTENCE.chars().skip(at).take(len).collect()),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|all| all.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_law_of_detectors(text in texts(), cut in 0.0..1.0_f64) {
        let pii = all();
        let mut cut = (text.len() as f64 * cut) as usize;
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let open = pii.open(&text[..cut], 0);
        prop_assert!(open <= cut && text.is_char_boundary(open));
        let mut whole = Vec::new();
        pii.scan(&text, 0, &mut whole);
        let mut parts = Vec::new();
        pii.scan(&text[..open], 0, &mut parts);
        pii.scan(&text, open, &mut parts);
        prop_assert_eq!(parts, whole);
    }

    #[test]
    fn nothing_breaks_it(text in "\\PC{0,200}") {
        let mut found = Vec::new();
        all().scan(&text, 0, &mut found);
        let mut at = 0;
        for one in found {
            prop_assert!(one.span.start >= at && one.span.start < one.span.end);
            prop_assert!(text.get(one.span.clone()).is_some());
            at = one.span.end;
        }
    }
}
