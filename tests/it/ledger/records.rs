//! Any row survives the spool; any damage to a spool file costs rows, never sense.

use cirque::ledger::spool::{frame, rows_in};
use cirque::ledger::{Charge, Row, RowId, Tenant, encoding, word};
use cirque::units::{Cost, ServiceTier, Usage};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::sync::Arc;

fn name() -> impl Strategy<Value = Option<Arc<str>>> {
    option::of(".{0,20}".prop_map(Arc::from))
}

fn words() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec!["", "chat", "first", "ok", "miss", "a word this version lacks"])
}

prop_compose! {
    fn tenant()(names in [name(), name(), name(), name(), name()]) -> Tenant {
        let [organisation, team, project, user, key] = names;
        Tenant { organisation, team, project, user, key }
    }
}

prop_compose! {
    fn used()(n: [u64; 8]) -> Usage {
        Usage {
            input: n[0], output: n[1], cached: n[2], cache_write: n[3], cache_write_1h: n[4], reasoning: n[5], audio_input: n[6],
            audio_output: n[7],
            unbilled_input: n[8 % n.len()],
            unbilled_output: n[9 % n.len()],
            web_searches: n[10 % n.len()],
            tier: ServiceTier::ALL[(n[0] % 4) as usize],
        }
    }
}

prop_compose! {
    fn paid()(n: [u64; 7]) -> Cost {
        Cost { input: n[0], cached: n[1], cache_write: n[2], output: n[3], reasoning: n[4], audio: n[5], request: n[6] }
    }
}

prop_compose! {
    fn charge()(count in ".{0,20}", window: i64, nano: u64) -> Charge {
        Charge { count: count.into(), window, nano }
    }
}

prop_compose! {
    fn rows_like()(
        (id, attempt, at_ms) in any::<(u128, u16, u64)>(), tenant in tenant(), tags in vec(".{0,8}".prop_map(Arc::from), 0..4),
        (metadata, request_id) in (option::of(".{0,300}"), ".{0,40}"), words in [words(), words(), words(), words()],
        names in [name(), name(), name()], (status, stream, latency_ms, ttft_ms, estimated) in any::<(u16, bool, u32, Option<u32>, bool)>(),
        usage in used(), cost in option::of(paid()), billed: Option<u64>, charges in vec(charge(), 0..4),
    ) -> Row {
        let ([operation, purpose, outcome, cache], [model, target, provider]) = (words, names);
        Row {
            id: RowId(id), attempt, at_ms, tenant: Arc::new(tenant), tags: tags.into(), metadata: metadata.map(Into::into),
            request_id: request_id.into(), operation, model, target, provider, purpose, status, outcome, cache, stream, latency_ms,
            ttft_ms, usage, estimated, cost, billed, charges, saved: u64::from(latency_ms),
            guardrails: (latency_ms % 3 == 0).then(|| "pii:input:flag:EMAIL=1".into()),
        }
    }
}

fn file(rows: &[Row]) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for row in rows {
        assert!(frame::append(&mut bytes, |out| encoding::encode(row, out)));
        ends.push(bytes.len());
    }
    (bytes, ends)
}

proptest! {
    #[test]
    fn any_rows_survive(rows in vec(rows_like(), 0..8)) {
        let (bytes, _) = file(&rows);
        prop_assert_eq!(rows_in(&bytes), (rows, 0));
    }

    #[test]
    fn what_later_versions_append_is_skipped(row in rows_like(), more in vec(any::<u8>(), 0..40)) {
        let mut bytes = Vec::new();
        encoding::encode(&row, &mut bytes);
        bytes.extend_from_slice(&more);
        prop_assert_eq!(encoding::decode(&bytes).unwrap(), row);
    }

    #[test]
    fn a_payload_that_ends_early_is_no_row(row in rows_like(), at: proptest::sample::Index) {
        let mut bytes = Vec::new();
        encoding::encode(&row, &mut bytes);
        // What guardrails found is told last, and by older versions not at all.
        let without = Row { guardrails: None, ..row.clone() };
        let mut older = Vec::new();
        encoding::encode(&without, &mut older);
        let cut = at.index(bytes.len());
        match encoding::decode(&bytes[..cut]) {
            Ok(read) => prop_assert!(cut == older.len() - 1 && read == without),
            Err(_) => prop_assert!(cut != older.len() - 1),
        }
    }

    #[test]
    fn a_file_that_ends_early_has_the_rows_before(rows in vec(rows_like(), 1..8), at: proptest::sample::Index) {
        let (bytes, ends) = file(&rows);
        let length = at.index(bytes.len());
        let whole = ends.iter().filter(|end| **end <= length).count();
        let (read, damaged) = rows_in(&bytes[..length]);
        prop_assert_eq!(&read[..], &rows[..whole]);
        let boundary = length == 0 || ends.contains(&length);
        prop_assert_eq!(damaged, u64::from(!boundary));
    }

    /// A record takes no other with it, whatever bit of it changes.
    #[test]
    fn a_flipped_bit_costs_one_row(rows in vec(rows_like(), 1..8), at: proptest::sample::Index, bit in 0..8u32) {
        let (mut bytes, ends) = file(&rows);
        let place = at.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let hit = ends.iter().position(|end| *end > place).unwrap();
        let (read, damaged) = rows_in(&bytes);
        let mut left = rows.clone();
        left.remove(hit);
        prop_assert_eq!(read, left);
        prop_assert!(damaged >= 1);
    }

    /// Bytes taken out, put in or overwritten: what is read was written, in its order, and what comes well after is there.
    #[test]
    fn any_damage_leaves_a_subset(
        rows in vec(rows_like(), 1..12), at: proptest::sample::Index, out in 0..200usize, noise in vec(any::<u8>(), 0..200),
    ) {
        let (mut bytes, ends) = file(&rows);
        let place = at.index(bytes.len());
        let until = (place + out).min(bytes.len());
        bytes.splice(place..until, noise);
        let (read, _) = rows_in(&bytes);
        let before = ends.iter().filter(|end| **end <= place).count();
        prop_assert!(read.len() >= before && read[..before] == rows[..before]);
        let mut from = rows.iter();
        for row in &read {
            prop_assert!(from.any(|written| written == row), "a row that was never written, or out of order");
        }
        // The first record that begins behind the damage may be taken for a payload; the one after it never.
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let behind = starts.take(rows.len()).filter(|start| *start >= until).count();
        prop_assert!(read.len() - before + 1 >= behind || read.len() == rows.len());
    }

    /// What `fuzz/fuzz_targets/spool.rs` asks of any bytes.
    #[test]
    fn no_bytes_are_too_much(bytes in vec(any::<u8>(), 0..2000), place in 0..2000usize) {
        let (rows, _) = rows_in(&bytes);
        let mut file = bytes.get(..place).unwrap_or_default().to_vec();
        let before = rows_in(&file).0.len();
        prop_assert!(frame::append(&mut file, |out| out.extend_from_slice(&bytes)));
        prop_assert!(rows_in(&file).0.len() <= before + 1 + rows.len());
        prop_assert!(encoding::decode(&bytes).is_err() || bytes[0] == 1);
    }
}

#[test]
fn noise_takes_time_in_its_length_only() {
    // Every place looks like the beginning of a record: nothing may be scanned twice for each.
    let (one, _) = file(&[super::row(1, 1)]);
    let mut bytes: Vec<u8> = one[..4].repeat(1_000_000);
    bytes.extend_from_slice(&one);
    let (rows, damaged) = rows_in(&bytes);
    assert_eq!((rows.len(), damaged), (1, 1_000_000));
}

#[test]
fn a_record_has_a_limit() {
    let mut bytes = b"before".to_vec();
    assert!(!frame::append(&mut bytes, |out| out.resize(out.len() + frame::LONGEST + 1, 0)));
    assert_eq!(bytes, b"before");
    assert!(frame::append(&mut bytes, |out| out.resize(out.len() + frame::LONGEST, 0)));
    assert_eq!(word("chat"), "chat");
}
