//! What the guardrails make of a whole request, and of a whole answer. Pure.
//!
//! What a model thought and its provider signed (Anthropic) is sent back as it is: with another text the provider refuses it, and it is
//! the provider's own text, so nothing is disclosed by it. What a guardrail would redact there is flagged; what it blocks is refused.

use super::refusal;
use crate::error::{ErrorKind, GatewayError};
use crate::guardrails::{Action, Direction, Judge, Policy, Verdict};
use crate::units::Usage;
use crate::wire::json::JsonError;
use crate::wire::prose::{self, Channel, Document};
use crate::wire::{Call, Operation};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What came of it.
pub struct Looked<T> {
    /// What was found, whatever came of it.
    pub verdicts: Vec<Verdict>,
    /// That.
    pub outcome: Result<T, GatewayError>,
}

/// An answer as it may be sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Judged {
    /// As it came, or with what had to be replaced replaced.
    Pass(Bytes),
    /// A refusal in the client's dialect in its place.
    Blocked(Bytes),
}

/// Why texts were not judged.
enum Unjudged {
    /// They cannot be read.
    Json(JsonError),
    /// Time was up.
    Late,
}

/// Longest that the texts of a request, or of an answer, are judged: a thousand times what ordinary ones take.
const LONGEST: Duration = Duration::from_secs(2);
/// To who sends what takes longer.
const TOO_LONG: &str = "the guardrails of this request could not judge all of it in 2 s; send less of it, or what is less like what they look for";

/// Texts that were judged.
struct Texts {
    body: Bytes,
    verdicts: Vec<Verdict>,
    /// The guardrail that refuses.
    blocked: Option<Arc<str>>,
}

/// Judge a request: the call as it is now, if it had to change.
pub fn request(policy: &Policy, call: &Call, max_depth: usize) -> Looked<Option<Call>> {
    if let Some(error) = unreadable(policy, call, max_depth) {
        return Looked {
            verdicts: Vec::new(),
            outcome: Err(error),
        };
    }
    let document = Document::Request(call.operation, call.dialect);
    let texts = match judge(policy, Direction::Input, document, &call.body, max_depth) {
        Ok(texts) => texts,
        Err(Unjudged::Late) if !acts(policy, Direction::Input) => {
            return Looked {
                verdicts: Vec::new(),
                outcome: Ok(None),
            };
        }
        Err(unjudged) => {
            let error = match unjudged {
                Unjudged::Json(error) => {
                    GatewayError::invalid("invalid_json", format!("the body cannot be read: {error}"))
                }
                Unjudged::Late => GatewayError::invalid("guardrail_unread", TOO_LONG),
            };
            return Looked {
                verdicts: Vec::new(),
                outcome: Err(error),
            };
        }
    };
    let outcome = match &texts.blocked {
        Some(name) => Err(refused(name, &texts.verdicts)),
        None if texts.body == call.body => Ok(None),
        None => call.edited(texts.body, max_depth).map(Some),
    };
    Looked {
        verdicts: texts.verdicts,
        outcome,
    }
}

/// Judge a whole answer in the client's dialect. `usage`: where the answer does not say. Fails closed: what cannot be read is not sent
/// where something could be held back.
pub fn whole(policy: &Policy, call: &Call, body: Bytes, usage: Option<Usage>, max_depth: usize) -> Looked<Judged> {
    let document = Document::Answer(call.operation, call.dialect);
    let judged = match call.operation {
        // No words of a model.
        Operation::Embeddings | Operation::Moderations | Operation::CountTokens => None,
        Operation::Chat | Operation::Completions | Operation::Rerank => {
            Some(judge(policy, Direction::Output, document, &body, max_depth))
        }
    };
    let (verdicts, outcome) = match judged {
        None => (Vec::new(), Ok(Judged::Pass(body))),
        Some(Err(_)) if !acts(policy, Direction::Output) => (Vec::new(), Ok(Judged::Pass(body))),
        Some(Err(error)) => (Vec::new(), Err(unjudged(error))),
        Some(Ok(texts)) if texts.blocked.is_some() => {
            let refusal = refusal::of(call, &body, usage, max_depth);
            (texts.verdicts, Ok(Judged::Blocked(refusal)))
        }
        Some(Ok(texts)) => (texts.verdicts, Ok(Judged::Pass(texts.body))),
    };
    Looked { verdicts, outcome }
}

/// Judge a provider's error, which goes to the client: what may be shown of it; nothing if it may not be.
pub fn error(policy: &Policy, call: &Call, body: Bytes, max_depth: usize) -> Looked<Option<Bytes>> {
    // Of every operation an error is read as a chat's: that what it answers holds no words says nothing of its errors.
    let document = Document::Answer(Operation::Chat, call.dialect);
    let (verdicts, outcome) = match judge(policy, Direction::Output, document, &body, max_depth) {
        Ok(texts) => (texts.verdicts, texts.blocked.is_none().then_some(texts.body)),
        Err(_) => (Vec::new(), (!acts(policy, Direction::Output)).then_some(body)),
    };
    Looked {
        verdicts,
        outcome: Ok(outcome),
    }
}

fn judge(
    policy: &Policy,
    direction: Direction,
    document: Document,
    body: &Bytes,
    max_depth: usize,
) -> Result<Texts, Unjudged> {
    let until = Instant::now() + LONGEST;
    let mut judge = Judge::new(policy, direction).until(until);
    let mut signed: Option<Judge> = None;
    let body = prose::rewrite(body, document, max_depth, &mut |channel, text| {
        let judge = match channel {
            Channel::Signed => signed.get_or_insert_with(|| Judge::new(policy, direction).until(until)),
            Channel::Text | Channel::Thinking | Channel::Arguments => &mut judge,
        };
        // Once one refuses, the rest is not looked at.
        judge.blocked().is_none().then(|| judge.text(text)).flatten()
    })
    .map_err(Unjudged::Json)?;
    let blocks = judge.blocked().is_some();
    if !blocks && (judge.is_late() || signed.as_ref().is_some_and(Judge::is_late)) {
        return Err(Unjudged::Late);
    }
    let name = |judge: &Judge| judge.blocked().map(|guardrail| Arc::clone(&guardrail.name));
    let blocked = name(&judge).or_else(|| signed.as_ref().and_then(name));
    let mut verdicts = judge.verdicts();
    for verdict in signed.map(Judge::verdicts).unwrap_or_default() {
        add(&mut verdicts, verdict);
    }
    Ok(Texts {
        body,
        verdicts,
        blocked,
    })
}

/// Add what was found in what cannot be changed.
fn add(verdicts: &mut Vec<Verdict>, mut verdict: Verdict) {
    if verdict.action == Action::Redact {
        verdict.action = Action::Flag;
    }
    let same = |other: &&mut Verdict| other.guardrail == verdict.guardrail && other.action == verdict.action;
    match verdicts.iter_mut().find(same) {
        Some(other) => {
            for (label, count) in verdict.found {
                let total = other.found.entry(label).or_default();
                *total = total.saturating_add(count);
            }
        }
        None => verdicts.push(verdict),
    }
}

/// Whether something would be refused or changed.
fn acts(policy: &Policy, direction: Direction) -> bool {
    let mut held = policy.guardrails().iter().filter(|one| one.holds(direction));
    held.any(|one| one.action > Action::Flag)
}

/// What a guardrail that would act must read and cannot.
fn unreadable(policy: &Policy, call: &Call, max_depth: usize) -> Option<GatewayError> {
    let mut held = policy.guardrails().iter().filter(|one| one.holds(Direction::Input));
    let guardrail = held.find(|one| one.action > Action::Flag && !one.passthrough)?;
    prose::holds_tokens(&call.body, call.operation, max_depth).then(|| {
        let text = format!(
            "the guardrail `{}` must read what is sent, and this request gives numbers of tokens; send text instead",
            guardrail.name
        );
        GatewayError::new(ErrorKind::Forbidden, text).code("guardrail_unread")
    })
}

/// To the client: which guardrail, and what sort of thing, never the thing.
fn refused(name: &str, verdicts: &[Verdict]) -> GatewayError {
    let found = verdicts
        .iter()
        .filter(|verdict| &*verdict.guardrail == name)
        .flat_map(|verdict| verdict.found.keys().copied());
    let found: Vec<&str> = found.collect();
    let text = format!(
        "the guardrail `{name}` refuses this request for what is in it: {}; take that out and send it again",
        found.join(", ")
    );
    GatewayError::invalid("content_filter", text)
}

fn unjudged(error: Unjudged) -> GatewayError {
    let why = match error {
        Unjudged::Json(error) => error.to_string(),
        Unjudged::Late => "it takes too long".to_owned(),
    };
    GatewayError::new(
        ErrorKind::ProviderBadResponse,
        "the provider sent an answer that the guardrails of this request cannot read",
    )
    .because(format!("not judged: {why}"))
}
