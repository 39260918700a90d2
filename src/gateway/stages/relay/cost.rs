//! What a stream cost, told in the stream: for a client that asks with `x-cirque-cost: usage`.
//!
//! ```text
//! "usage":{"gateway_cost_usd":"0.033","prompt_tokens":9,…}     where the client's dialect has its last usage
//! : cirque cost 0.033                                         a comment before the end, where the client wanted no usage
//! ```
//! Not the bill, which also has calls that answered nobody. The one idea: bytes are found, not parsed: inside a JSON text the quotes
//! of `"usage":{` are escaped, so what matches is a member. SDKs ignore members they do not know, and comments of an event stream,
//! but for Google's, which get no comment.

use super::super::super::context::RequestContext;
use super::super::super::live::LiveStream;
use crate::clock;
use crate::snapshot::Snapshot;
use crate::units::{NanoUsd, Usage, usd};
use crate::upstream::Target;
use crate::wire::{Call, Dialect};
use bytes::Bytes;
use http::HeaderMap;
use http::header::HeaderName;

const ASKED: HeaderName = HeaderName::from_static("x-cirque-cost");
const MEMBER: &str = "gateway_cost_usd";
/// What a chat stream ends with.
const DONE: &[u8] = b"data: [DONE]";

/// Whether the cost is still to be told.
pub(super) struct Telling {
    wanted: bool,
    dialect: Dialect,
    /// Events are elements of an array: no comments.
    array: bool,
    /// What targets cost that spoke before.
    before: NanoUsd,
}

impl Telling {
    pub(super) fn new(headers: &HeaderMap, call: &Call) -> Self {
        Self {
            wanted: headers.get(ASKED).is_some_and(|value| value == "usage"),
            dialect: call.dialect,
            array: call.json_array,
            before: 0,
        }
    }

    /// A target broke off; what it had read and made is paid for as well.
    pub(super) fn broke(&mut self, usage: Option<&Usage>, target: &Target, ctx: &RequestContext, snapshot: &Snapshot) {
        if let Some(usage) = usage.filter(|_| self.wanted) {
            let cost = cost(usage, target, ctx, snapshot).unwrap_or_default();
            self.before = self.before.saturating_add(cost);
        }
    }

    /// The batch with the cost in it, once that is known. `last`: nothing comes after it.
    pub(super) fn put(
        &mut self,
        batch: Bytes,
        (live, last): (&LiveStream, bool),
        target: &Target,
        ctx: &RequestContext,
        snapshot: &Snapshot,
    ) -> Bytes {
        let known = live.usage.filter(|_| self.wanted && live.usage_is_whole);
        let Some(cost) = known.and_then(|usage| cost(&usage, target, ctx, snapshot)) else {
            return batch;
        };
        let cost = usd(cost.saturating_add(self.before));
        // Gemini has a usage in every chunk: that of the last.
        let is_final = self.dialect != Dialect::Gemini || find(&batch, b"\"finishReason\"").is_some();
        if let Some(at) = member(&batch, self.dialect).filter(|_| is_final) {
            self.wanted = false;
            let (head, tail) = batch.split_at(at);
            let comma = if tail.trim_ascii_start().starts_with(b"}") {
                ""
            } else {
                ","
            };
            return [head, format!("\"{MEMBER}\":\"{cost}\"{comma}").as_bytes(), tail]
                .concat()
                .into();
        }
        if !last || self.array || self.dialect == Dialect::Gemini || live.broken.is_some() {
            return batch;
        }
        self.wanted = false;
        let at = memchr::memmem::rfind(&batch, DONE).unwrap_or(batch.len());
        let (head, tail) = batch.split_at(at);
        [head, format!(": cirque cost {cost}\n\n").as_bytes(), tail]
            .concat()
            .into()
    }
}

fn cost(usage: &Usage, target: &Target, ctx: &RequestContext, snapshot: &Snapshot) -> Option<NanoUsd> {
    let price = snapshot.tariff.price(target, &ctx.record.named(), clock::now())?;
    Some(snapshot.tariff.billed(price.of(usage).total()))
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, part)
}

/// Where the last usage object of a batch begins to have members.
fn member(batch: &[u8], dialect: Dialect) -> Option<usize> {
    let name: &[u8] = if dialect == Dialect::Gemini {
        b"\"usageMetadata\""
    } else {
        b"\"usage\""
    };
    let opens = |at: usize| {
        let mut rest = batch
            .iter()
            .enumerate()
            .skip(at + name.len())
            .filter(|(_, byte)| !byte.is_ascii_whitespace());
        match (rest.next()?, rest.next()?) {
            ((_, b':'), (brace, b'{')) => Some(brace + 1),
            _ => None,
        }
    };
    memchr::memmem::rfind_iter(batch, name).find_map(opens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_usage_object_is_found_and_none_in_a_text() {
        let at = |batch: &str, dialect| member(batch.as_bytes(), dialect).map(|at| batch[at..].to_owned());
        let two = r#"{"usage":null}{"usage" : { "a":1}}{"usage":null}"#;
        assert_eq!(at(two, Dialect::OpenAi).as_deref(), Some(r#" "a":1}}{"usage":null}"#));
        assert_eq!(at(r#"{"content":"\"usage\":{"}"#, Dialect::OpenAi), None);
        assert_eq!(at(r#"{"usage":{}}"#, Dialect::Gemini), None);
        assert_eq!(at(r#"{"usageMetadata":{}}"#, Dialect::Gemini).as_deref(), Some("}}"));
        assert_eq!(at("\"usage\"", Dialect::OpenAi), None);
    }
}
