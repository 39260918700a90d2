//! What the operator can look at and change: targets and their breakers, and why a request would go where.
//!
//! Not how: the process implements [`Control`], the routes of [`super`] only translate. Calls come from threads that may
//! block, several at a time.

use super::explain::Refused;
use serde_json::Value;

/// Most near names told with an unknown id.
const MOST_NEAR: usize = 3;

/// What the admin routes ask of the process.
pub trait Control: Send + Sync {
    /// Every target once, however many pools name it: a list of objects, each with its `id` (`openai/gpt-4o`). No secrets.
    fn targets(&self) -> Value;

    /// Do something to a target; its state afterwards, as in [`Self::targets`].
    fn act(&self, id: &str, action: Action) -> Result<Value, Unknown>;

    /// Which rules would hold for a request and where it would go: an [`super::Explanation`]. What is asked is read with
    /// [`super::Question::read`].
    fn explain(&self, request: Value) -> Result<Value, Refused>;
}

/// What can be done to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Forget failures, cool-down and isolation: closed, as if it had just been configured.
    Reset,
    /// Ask it no more until it is reset.
    Isolate,
}

impl Action {
    /// By the last segment of its path.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "reset" => Some(Self::Reset),
            "isolate" => Some(Self::Isolate),
            _ => None,
        }
    }
}

/// No target has this id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unknown {
    /// Ids much like it, the nearest first.
    pub near: Vec<String>,
}

impl Unknown {
    /// Of all the ids there are, those that may have been meant.
    pub fn among<'a>(id: &str, ids: impl IntoIterator<Item = &'a str>) -> Self {
        const LONGEST: usize = 512;
        if id.len() > LONGEST {
            return Self::default();
        }
        let lower = id.to_lowercase();
        let mut scored: Vec<(usize, &str)> = ids
            .into_iter()
            .filter(|known| known.len() <= LONGEST)
            .map(|known| (strsim::osa_distance(&lower, &known.to_lowercase()), known))
            .filter(|(distance, known)| *distance <= (known.len().max(id.len()) / 3).max(2))
            .collect();
        scored.sort_unstable();
        scored.dedup();
        let near = scored.into_iter().take(MOST_NEAR).map(|(_, known)| known.to_owned());
        Self { near: near.collect() }
    }
}
