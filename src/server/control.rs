//! What the admin API may look at and change, over the running gateway. Not the routes, which are [`crate::admin`]'s.

use super::reload::Running;
use crate::admin::{Action, Control, Question, Refused, Unknown, decide};
use crate::gateway::App;
use serde_json::{Value, json};
use std::sync::Arc;

/// The gateway's own.
pub(super) struct Controls {
    pub app: Arc<App>,
    /// The configuration that runs, as written.
    pub config: Running,
}

impl Control for Controls {
    fn targets(&self) -> Value {
        let facts = self.app.snapshot.load().facts();
        let models = facts.get("models").and_then(Value::as_array).into_iter().flatten();
        let mut targets: Vec<Value> = Vec::new();
        for target in models.filter_map(|model| model.get("targets")?.as_array()).flatten() {
            if !targets.iter().any(|known| known.get("id") == target.get("id")) {
                targets.push(target.clone());
            }
        }
        targets.into()
    }

    fn act(&self, id: &str, action: Action) -> Result<Value, Unknown> {
        let snapshot = self.app.snapshot.load();
        let all = || snapshot.models.iter().flat_map(|model| &model.targets);
        let Some(target) = all().find(|target| target.id.as_str() == id) else {
            return Err(Unknown::among(id, all().map(|target| target.id.as_str())));
        };
        match action {
            Action::Reset => {
                target.breaker.reset();
                if let Some(quarantine) = target.site().and_then(|site| site.quarantine.as_ref()) {
                    quarantine.reset();
                }
                // Whoever waits for it need not wait for its next call to end.
                for line in snapshot.models.iter().filter_map(|model| model.line.as_ref()) {
                    line.queue.open();
                }
            }
            Action::Isolate => target.breaker.hold_open(),
        }
        let known = self.targets();
        let mut known = known.as_array().into_iter().flatten();
        let shown = known.find(|target| target.get("id").and_then(Value::as_str) == Some(id));
        Ok(shown.cloned().unwrap_or_else(|| json!({"id": id})))
    }

    fn explain(&self, request: Value) -> Result<Value, Refused> {
        let question = Question::read(request)?;
        let config = self.config.load_full();
        let explanation = decide::explain(&config, &question)?;
        serde_json::to_value(explanation).map_err(|_| Refused::new("the explanation cannot be written"))
    }
}
