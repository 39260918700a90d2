//! Damaged answers: nothing may panic, events keep their order, and what is written is whole JSON.

use super::answers::expect;
use super::exchange::Exchange;
use super::speakers::{Client, Spoken};
use super::stream::{Cut, DEPTH, asked, cut, decode, reply, write, writer};
use cirque::providers::codec::Framing;
use cirque::wire::json::Node;
use serde_json::Value;

fn dented(bytes: &[u8], dice: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..dice.usize(1..6) {
        let at = dice.usize(..bytes.len());
        bytes[at] ^= 1 << dice.u8(..8);
    }
    if dice.bool() {
        bytes.truncate(dice.usize(1..=bytes.len()));
    }
    bytes
}

/// Copies of each that are damaged.
const DENTED: usize = 60;

pub fn whole(exchange: &Exchange, spoken: &Spoken, clients: &[Client], text: &str) {
    let mut dice = fastrand::Rng::with_seed(exchange.seed());
    let expect = expect(exchange);
    for _ in 0..DENTED {
        let bytes = dented(text.as_bytes(), &mut dice);
        let Ok(node) = Node::parse(&bytes, DEPTH) else { continue };
        let Ok(response) = spoken.codec.decode(&node, &expect) else {
            continue;
        };
        for client in clients {
            let mut out = Vec::new();
            client.speak.writer(&asked(), reply(false)).whole(&response, &mut out);
            assert!(
                serde_json::from_slice::<Value>(&out).is_ok(),
                "{} damaged, for {}: {}",
                exchange.name,
                client.name,
                String::from_utf8_lossy(&out)
            );
        }
    }
}

/// Bytes are damaged before they are cut into events, the data of events after (past the checksums of frames), and whole
/// events are lost, doubled and swapped.
pub fn stream(exchange: &Exchange, spoken: &Spoken, clients: &[Client], bytes: &[u8], framing: Framing) {
    let mut dice = fastrand::Rng::with_seed(exchange.seed());
    let Ok(sound) = cut(framing, spoken.framed, &[bytes]) else {
        return;
    };
    for round in 0..DENTED {
        let cuts = match round % 3 {
            0 => match cut(framing, spoken.framed, &[&dented(bytes, &mut dice)]) {
                Ok(cuts) => cuts,
                Err(_) => continue,
            },
            1 => {
                let mut cuts = sound.clone();
                let at = dice.usize(..cuts.len());
                if !cuts[at].data.is_empty() {
                    cuts[at].data = dented(&cuts[at].data, &mut dice);
                }
                cuts
            }
            _ => {
                let mut cuts = sound.clone();
                for _ in 0..dice.usize(1..4) {
                    let (from, to) = (dice.usize(..cuts.len()), dice.usize(..cuts.len()));
                    match dice.u8(..3) {
                        0 if cuts.len() > 1 => drop(cuts.remove(from)),
                        1 => cuts.insert(to, cuts[from].clone()),
                        _ => cuts.swap(from, to),
                    }
                }
                cuts
            }
        };
        one(exchange, spoken, clients, &cuts);
    }
}

fn one(exchange: &Exchange, spoken: &Spoken, clients: &[Client], cuts: &[Cut]) {
    let decoded = decode(spoken.codec.as_ref(), expect(exchange), cuts);
    assert_eq!(decoded.fold.disorder, None, "{} damaged", exchange.name);
    assert!(
        !decoded.overlap,
        "{} damaged: a part begins while prose is open",
        exchange.name
    );
    for client in clients {
        let mut made = writer(client, false);
        let out = write(made.as_mut(), &decoded.steps).concat();
        for cut in cut(Framing::Sse, false, &[&out]).unwrap() {
            let fine = cut.data == b"[DONE]" || serde_json::from_slice::<Value>(&cut.data).is_ok();
            assert!(
                fine,
                "{} damaged, for {}: {}",
                exchange.name,
                client.name,
                String::from_utf8_lossy(&cut.data)
            );
        }
    }
}
