//! `guardrails:` as the room of guardrails takes them: one place, so that what the loader checks is what runs.

use super::model::{Guardrail, GuardrailAction};
use crate::guardrails::{Action, Check};

/// Why a guardrail cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardrailFault {
    /// The member it is said in.
    pub key: &'static str,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub remedy: String,
}

/// What a guardrail looks at, ready to look.
pub fn compile_guardrail(written: &Guardrail) -> Result<Check, GuardrailFault> {
    match written {
        Guardrail::Pii { .. } | Guardrail::Secrets { .. } | Guardrail::Keywords { .. } | Guardrail::Patterns { .. } => {
            Err(fault("kind", "not built yet".to_owned(), "wait"))
        }
        Guardrail::Length {
            max_characters, action, ..
        } => {
            if *action == GuardrailAction::Redact {
                let message = "a length is not something that can be replaced";
                return Err(fault("action", message.to_owned(), "write `flag` or `block`"));
            }
            Ok(Check::Length(usize::try_from(*max_characters).unwrap_or(usize::MAX)))
        }
    }
}

/// What follows, as run.
pub fn guardrail_action(written: GuardrailAction) -> Action {
    match written {
        GuardrailAction::Flag => Action::Flag,
        GuardrailAction::Redact => Action::Redact,
        GuardrailAction::Block => Action::Block,
    }
}

fn fault(key: &'static str, message: String, remedy: &str) -> GuardrailFault {
    GuardrailFault {
        key,
        message,
        remedy: remedy.to_owned(),
    }
}
