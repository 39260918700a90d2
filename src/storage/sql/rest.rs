//! What of a row is neither searched nor summed, as bytes in one column.
//!
//! ```text
//! 1 · ttft_ms? · cost (n, class…) · beside (n, number…) · charges (n, (count, window, nano)…) · request_id · metadata? · guardrails? · what later versions add
//! ```
//! Numbers are LEB128 (`ledger::varint`). Not for the spool, which names what this numbers. The one idea: a database writes and
//! reads a column of bytes as fast as one number, and this is some twenty of them.

use super::session::CAP;
use crate::ledger::varint::{Reader, Unreadable, maybe_number, maybe_text, number, numbers, text, unzigzag, zigzag};
use crate::storage::StoreError;
use crate::units::{Cost, Usage};

const VERSION: u8 = 1;

/// A charge with its count as a word's number: count, window, nano-dollars.
pub(super) type Charged = (i64, i64, u64);

/// It.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rest {
    pub ttft_ms: Option<u32>,
    /// Classes of the cost; whether there is one, the row's column says.
    pub cost: Cost,
    /// Tokens that are told and not summed up, searches, and the number of the tier.
    pub beside: [u64; 4],
    pub charges: Vec<Charged>,
    pub request_id: Box<str>,
    pub metadata: Option<Box<str>>,
    pub guardrails: Option<Box<str>>,
}

fn classes(cost: &Cost) -> [u64; 7] {
    let Cost {
        input,
        cached,
        cache_write,
        output,
        reasoning,
        audio,
        request,
    } = *cost;
    [input, cached, cache_write, output, reasoning, audio, request].map(most)
}

/// A figure stops where those in columns do.
fn most(figure: u64) -> u64 {
    figure.min(CAP.unsigned_abs())
}

fn cost_of(classes: &[u64]) -> Cost {
    let class = |place: usize| classes.get(place).copied().unwrap_or(0);
    Cost {
        input: class(0),
        cached: class(1),
        cache_write: class(2),
        output: class(3),
        reasoning: class(4),
        audio: class(5),
        request: class(6),
    }
}

/// A cost as it is read again.
pub(super) fn kept_cost(cost: &Cost) -> Cost {
    cost_of(&classes(cost))
}

/// [`Rest::beside`] of usage.
pub(super) fn beside(usage: &Usage) -> [u64; 4] {
    [
        usage.unbilled_input,
        usage.unbilled_output,
        usage.web_searches,
        usage.tier as u64,
    ]
    .map(most)
}

/// The numbers up to the last that is not 0.
fn spare(values: &[u64]) -> &[u64] {
    let end = values.iter().rposition(|value| *value != 0).map_or(0, |last| last + 1);
    values.get(..end).unwrap_or_default()
}

/// What is written, without a copy of its texts.
pub(super) struct Parts<'a> {
    pub ttft_ms: Option<u32>,
    pub cost: Cost,
    pub beside: [u64; 4],
    pub charges: &'a [Charged],
    pub request_id: &'a str,
    pub metadata: Option<&'a str>,
    pub guardrails: Option<&'a str>,
}

impl Parts<'_> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let texts = self.request_id.len() + self.metadata.map_or(0, str::len) + self.guardrails.map_or(0, str::len);
        let mut out = Vec::with_capacity(48 + texts + 20 * self.charges.len());
        out.push(VERSION);
        maybe_number(&mut out, self.ttft_ms.map(u64::from));
        numbers(&mut out, spare(&classes(&self.cost)));
        numbers(&mut out, spare(&self.beside));
        number(&mut out, self.charges.len() as u64);
        for (count, window, nano) in self.charges {
            number(&mut out, zigzag(*count));
            number(&mut out, zigzag(*window));
            number(&mut out, *nano);
        }
        text(&mut out, self.request_id);
        maybe_text(&mut out, self.metadata);
        maybe_text(&mut out, self.guardrails);
        out
    }
}

impl Rest {
    pub(super) fn encode(&self) -> Vec<u8> {
        Parts {
            ttft_ms: self.ttft_ms,
            cost: self.cost,
            beside: self.beside,
            charges: &self.charges,
            request_id: &self.request_id,
            metadata: self.metadata.as_deref(),
            guardrails: self.guardrails.as_deref(),
        }
        .encode()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        read(bytes).map_err(|_| StoreError::Corrupt("a usage row that this version cannot read".to_owned()))
    }
}

fn read(bytes: &[u8]) -> Result<Rest, Unreadable> {
    let mut from = Reader(bytes);
    if from.take(1)? != [VERSION] {
        return Err(Unreadable);
    }
    let ttft_ms = from.maybe_number()?.map(u32::try_from).transpose();
    let cost = cost_of(&from.numbers()?.unwrap_or_default());
    let told = from.numbers()?.unwrap_or_default();
    let mut beside = [0; 4];
    for (place, value) in beside.iter_mut().zip(told) {
        *place = value;
    }
    let count = from.count()?;
    let mut charges = Vec::with_capacity(count);
    for _ in 0..count {
        charges.push((unzigzag(from.number()?), unzigzag(from.number()?), from.number()?));
    }
    Ok(Rest {
        ttft_ms: ttft_ms.map_err(|_| Unreadable)?,
        cost,
        beside,
        charges,
        request_id: from.text()?.into(),
        metadata: from.maybe_text()?.map(Box::from),
        guardrails: from.added_text()?.map(Box::from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest() -> Rest {
        Rest {
            ttft_ms: Some(300),
            cost: Cost {
                input: 800_000,
                output: CAP.unsigned_abs(),
                ..Cost::default()
            },
            beside: [0, 7, 0, 2],
            charges: vec![(12, 1_785_542_400, 4_400_000), (i64::MAX, i64::MIN, 0)],
            request_id: "req-1".into(),
            metadata: Some("{\"a\":1}".into()),
            guardrails: Some("pii:input:redact:EMAIL=2".into()),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for rest in [rest(), Rest::default()] {
            assert_eq!(Rest::decode(&rest.encode()).unwrap(), rest);
        }
    }

    #[test]
    fn a_later_version_may_append_and_what_is_cut_is_an_error() {
        let bytes = rest().encode();
        let longer = [&bytes[..], &[1, 2, 3]].concat();
        assert_eq!(Rest::decode(&longer).unwrap(), rest());
        // A row of before there were guardrails is one without.
        let before = Rest {
            guardrails: None,
            ..rest()
        };
        let shorter = before.encode().len() - 1;
        assert_eq!(Rest::decode(&bytes[..shorter]).unwrap(), before);
        for length in (0..bytes.len()).filter(|length| *length != shorter) {
            assert!(Rest::decode(&bytes[..length]).is_err(), "{length}");
        }
        assert!(Rest::decode(&[2]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes: Vec<u8>) {
            drop(Rest::decode(&bytes));
            drop(Rest::decode(&[&[VERSION], &bytes[..]].concat()));
        }
    }
}
