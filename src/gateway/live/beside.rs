//! A native stream read beside its passing: its bytes go on as they are, its events are looked at by whoever must know what they
//! say (the trail, guardrails that only flag).
//!
//! One decoder for both. What it cannot read passes all the same: a native stream is not judged by what we understand of it.

use super::guard::Guard;
use super::trail::Trail;
use crate::providers::codec::{RawEvent, StreamDecoder};

/// Reads events that pass as bytes.
pub(super) struct Beside(pub(super) Box<dyn StreamDecoder>);

impl Beside {
    /// An event's data, which passes to the client as it is.
    pub(super) fn feed(
        &mut self,
        data: &[u8],
        max_depth: usize,
        mut trail: Option<&mut Trail>,
        mut guard: Option<&mut Guard>,
    ) {
        let raw = RawEvent {
            name: "",
            exception: false,
            data,
            max_depth,
        };
        let read = self.0.event(raw, &mut |event| {
            if let Some(trail) = &mut trail {
                trail.shadow(&event);
            }
            if let Some(guard) = &mut guard {
                guard.event(&event, &mut |_| ());
            }
        });
        if let Some(trail) = trail {
            trail.passed(read.is_ok(), data, max_depth);
        }
    }
}
