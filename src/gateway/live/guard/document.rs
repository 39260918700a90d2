//! Calls and opaque blocks: documents whose texts are judged as what they say ([`prose`] knows which of their members are texts).

use crate::guardrails::Judge;
use crate::wire::json::DEPTH_CAP;
use crate::wire::prose::{self, Document};
use crate::wire::{Dialect, Operation};
use bytes::Bytes;

/// What stands around a block in an answer, for who looks for texts there.
const BEFORE: &str = "{\"content\":[";
const BEHIND: &str = "]}";

/// What a tool is called with, as it may pass, if it must change.
pub(super) fn arguments(judge: &mut Judge, text: &str) -> Option<String> {
    prose::arguments(text, DEPTH_CAP, &mut |_, text| judge.text(text))
}

/// A block as its own API writes it, as it may pass, if it must change.
pub(super) fn block(judge: &mut Judge, dialect: Dialect, raw: &str) -> Option<String> {
    let whole = Bytes::from([BEFORE, raw, BEHIND].concat());
    let document = Document::Answer(Operation::Chat, dialect);
    let Ok(judged) = prose::rewrite(&whole, document, DEPTH_CAP, &mut |_, text| judge.text(text)) else {
        // Nested too deep to be looked into: nothing of it passes if something is found.
        return judge.text(raw).map(|_| "null".to_owned());
    };
    if judged == whole {
        return None;
    }
    let judged = judged.get(BEFORE.len()..judged.len().saturating_sub(BEHIND.len()))?;
    String::from_utf8(judged.to_vec()).ok()
}
