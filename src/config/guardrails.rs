//! `guardrails:` as the room of guardrails takes them: one place, so that what the loader checks is what runs.

use super::model::{Guardrail, GuardrailAction};
use crate::guardrails::{Action, Check, Keywords, Pattern, Pii, Secrets, pii, secrets};

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
    let streams = written.terms().output;
    match written {
        Guardrail::Pii { detect, allow, .. } => {
            let kinds = kinds(detect.as_deref(), pii::Kind::ALL, pii::Kind::as_str, |kind| {
                pii::Kind::DEFAULT.contains(&kind)
            })?;
            let pii = Pii::new(&kinds, allow).map_err(|message| fault("allow", message, "mend the pattern"))?;
            Ok(Check::Finds(Box::new(pii)))
        }
        Guardrail::Secrets { detect, allow, .. } => {
            let kinds = kinds(
                detect.as_deref(),
                secrets::Kind::ALL,
                secrets::Kind::as_str,
                secrets::Kind::is_default,
            )?;
            let secrets = Secrets::new(&kinds, allow).map_err(|message| fault("allow", message, "mend the pattern"))?;
            Ok(Check::Finds(Box::new(secrets)))
        }
        Guardrail::Keywords {
            words,
            case_sensitive,
            parts_of_words,
            ..
        } => {
            let words = Keywords::new(words, *case_sensitive, !parts_of_words);
            let words = words.map_err(|message| fault("words", message, "write words that are not empty"))?;
            Ok(Check::Finds(Box::new(words)))
        }
        Guardrail::Patterns { patterns, .. } => {
            let remedy = "mend it; where answers are concerned write `{0,100}` instead of `*`, or `on: [input]`";
            let patterns = Pattern::new(patterns, streams).map_err(|message| fault("patterns", message, remedy))?;
            Ok(Check::Finds(Box::new(patterns)))
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

/// The kinds that are looked for: those that are named, else those that are by default.
fn kinds<K: Copy>(
    named: Option<&[String]>,
    all: &[K],
    as_str: fn(K) -> &'static str,
    is_default: fn(K) -> bool,
) -> Result<Vec<K>, GuardrailFault> {
    let Some(named) = named else {
        return Ok(all.iter().copied().filter(|kind| is_default(*kind)).collect());
    };
    if named.is_empty() {
        return Err(fault(
            "detect",
            "nothing to look for".to_owned(),
            "name some kinds, or remove the key",
        ));
    }
    let mut found = Vec::with_capacity(named.len());
    for name in named {
        let Some(kind) = all.iter().copied().find(|kind| as_str(*kind) == name) else {
            let names = all.iter().map(|kind| as_str(*kind));
            let remedy = match super::problem::nearest(name, names.clone()) {
                Some(near) => format!("did you mean {}?", super::problem::quoted(near)),
                None => format!("write some of {}", names.collect::<Vec<_>>().join(", ")),
            };
            let message = format!("nothing that is looked for is called {}", super::problem::quoted(name));
            return Err(fault("detect", message, &remedy));
        };
        found.push(kind);
    }
    Ok(found)
}
