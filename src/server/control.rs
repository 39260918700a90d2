//! What the admin API may look at and change, over the running gateway.
//!
//! Not the routes, which are [`crate::admin`]'s. A first version: targets are shown; changing them and explaining come with
//! the breaker's isolation and the room of rules.

use crate::admin::{Action, Control, Question, Refused, Unknown};
use crate::gateway::App;
use serde_json::Value;
use std::sync::Arc;

/// The gateway's own.
pub(super) struct Controls(pub(super) Arc<App>);

impl Control for Controls {
    fn targets(&self) -> Value {
        let facts = self.0.snapshot.load().facts();
        let models = facts.get("models").and_then(Value::as_array).into_iter().flatten();
        let mut targets: Vec<Value> = Vec::new();
        for target in models.filter_map(|model| model.get("targets")?.as_array()).flatten() {
            if !targets.iter().any(|known| known.get("id") == target.get("id")) {
                targets.push(target.clone());
            }
        }
        targets.into()
    }

    fn act(&self, _id: &str, _action: Action) -> Result<Value, Unknown> {
        Err(Unknown::default()) // not available yet
    }

    fn explain(&self, request: Value) -> Result<Value, Refused> {
        Question::read(request)?;
        Err(Refused::new("not available yet"))
    }
}
