//! Caps and deadlines that contradict each other.

use super::super::model::{Config, Timeouts};
use super::super::problem::{Finding, Place};
use super::super::scalars::{ByteSize, Interval};
use super::provider_place;

pub(super) fn check(config: &Config, out: &mut Vec<Finding>) {
    sizes(config, out);
    let root = Place::root();
    order(&config.timeouts, &[], &root.key("timeouts"), out);
    for (name, provider) in &config.providers {
        order(
            &provider.timeouts,
            &[&config.timeouts],
            &provider_place(name).key("timeouts"),
            out,
        );
    }
    for (name, model) in &config.models {
        let at = root.key("models").key(name).key("timeouts");
        let before = out.len();
        for target in &model.targets {
            let provider = config
                .providers
                .get(&target.provider)
                .map(|provider| &provider.timeouts);
            let wider: Vec<&Timeouts> = provider.into_iter().chain([&config.timeouts]).collect();
            // Several targets would say the same thing.
            if out.len() == before {
                order(&model.timeouts, &wider, &at, out);
            }
        }
    }
}

/// One body must fit into what all bodies together may take, or it can never be served.
fn sizes(config: &Config, out: &mut Vec<Finding>) {
    let limits = &config.limits;
    let at = Place::root().key("limits");
    let or = |size: Option<ByteSize>, default: usize| size.map_or(default, ByteSize::as_bytes);
    let all = or(limits.buffered_bytes, 1 << 30);
    for (key, one) in [
        ("request_body", or(limits.request_body, 32 << 20)),
        ("response_body", or(limits.response_body, 64 << 20)),
    ] {
        if one > all {
            let message =
                format!("{key} ({one} bytes) is larger than buffered_bytes ({all} bytes), all bodies together");
            out.push(Finding::new(
                at.key(key),
                message,
                format!("raise `buffered_bytes`, or lower `{key}`"),
            ));
        }
    }
}

type Field = fn(&Timeouts) -> Option<Interval>;

/// Pairs in which the first cannot take longer than the second, because it is a part of it.
const PARTS: [(&str, Field, &str, Field); 4] = [
    ("connect", |t| t.connect, "total", |t| t.total),
    ("first_byte", |t| t.first_byte, "total", |t| t.total),
    ("first_event", |t| t.first_event, "stream_total", |t| t.stream_total),
    ("idle", |t| t.idle, "stream_total", |t| t.stream_total),
];

/// Check a block against itself and the wider blocks it inherits from. Only what somebody wrote is compared: a `total` below
/// the default `first_byte` is a fine way to say how long everything may take.
fn order(block: &Timeouts, wider: &[&Timeouts], place: &Place, out: &mut Vec<Finding>) {
    for (part, get_part, whole, get_whole) in PARTS {
        let written = |get: Field| get(block).or_else(|| wider.iter().find_map(|wider| get(wider)));
        let here = get_part(block).is_some() || get_whole(block).is_some();
        let (true, Some(shorter), Some(longer)) = (here, written(get_part), written(get_whole)) else {
            continue;
        };
        if shorter > longer {
            let key = if get_part(block).is_some() { part } else { whole };
            let message = format!("{part} ({shorter}) is longer than {whole} ({longer}), of which it is a part");
            out.push(Finding::new(
                place.key(key),
                message,
                format!("lower `{part}`, or raise `{whole}`"),
            ));
        }
    }
}
