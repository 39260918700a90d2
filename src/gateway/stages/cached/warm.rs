//! Answers kept beforehand, as if this key had asked and been answered.

use super::super::super::App;
use super::super::super::cached::{self, Replay, Sent};
use super::super::authenticate::Principal;
use super::super::guard::{self, Judged};
use super::{ask, scope};
use crate::cache::{Answer, Entry, Form, Key, Mode, form};
use crate::clock;
use crate::directory;
use crate::guardrails::{self, Direction, Judge};
use crate::snapshot::{PublicModel, Snapshot};
use crate::wire::canonical::{Candidate, Finish, Part, Request, Response};
use crate::wire::client::{self, Reply};
use crate::wire::{Call, Dialect, Endpoint, Envelope, Operation};
use bytes::Bytes;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// Where chats are asked, for requests that say no path.
const CHAT: &str = "/v1/chat/completions";
/// Why an answer is not kept.
const REFUSED: &str = "a guardrail of this model or key refuses the answer";
/// Deepest nesting of what is kept; it was checked when it came.
const DEPTH: usize = 512;

/// Keep an answer to a request of a virtual key; its id, or why it is not kept.
pub async fn warm(app: &App, key: &str, path: Option<&str>, request: &Value, answer: &Value) -> Result<Key, String> {
    let (entry, caching) = {
        let snapshot = app.snapshot.load_full();
        let caching = app.cache.load_full().ok_or("there is no cache")?;
        (
            made(app, &snapshot, key, path, request, answer, caching.compress_above)?,
            caching,
        )
    };
    let id = entry.key;
    if caching.keep(entry, clock::now_ms()).await {
        Ok(id)
    } else {
        Err("it was deleted at this very moment".to_owned())
    }
}

fn made(
    app: &App,
    snapshot: &Snapshot,
    key: &str,
    path: Option<&str>,
    request: &Value,
    answer: &Value,
    compress_above: usize,
) -> Result<Entry, String> {
    let depth = snapshot.limits.json_depth;
    let principal = caller(app, key)?;
    let endpoint = Endpoint::find(path.unwrap_or(CHAT)).filter(|endpoint| endpoint.in_path.is_none());
    let endpoint = endpoint.ok_or("`path` is no path of an API whose model stands in the body")?;
    let call = Call::read_as(endpoint.operation, endpoint.dialect, request.to_string().into(), depth)
        .map_err(|error| error.message.to_string())?;
    let asked_model = call.envelope.model.clone();
    let found = snapshot
        .find(&asked_model)
        .ok_or_else(|| format!("the model `{asked_model}` does not exist here"))?;
    let known = principal.known.as_deref();
    if known.is_some_and(|known| known.access.model(&found.model.name).is_err()) {
        return Err("the key may not ask for this model".to_owned());
    }
    let guardrails = guardrails(snapshot, found.model, known)?;
    let call = asked_as(call, guardrails.as_ref(), depth)?;
    let tenant = known.and_then(|known| known.cache.as_deref());
    let policy = snapshot
        .cache_policy(found.model, tenant, None)
        .ok_or("no policy of this model and key keeps answers")?;
    let targets = policy.by_target.then(|| scope::targets(found, &[]));
    let place = (
        scope::owner(policy.scope, &principal),
        scope::model(found),
        targets,
        guardrails.as_ref().and_then(guard::digest_of),
        depth,
    );
    let asked =
        ask(&call, &policy, &place).map_err(|skip| format!("requests like this are not kept: {}", skip.as_str()))?;
    let answer = match (answer, call.operation) {
        (Value::String(text), Operation::Chat) => said(&passed(text, guardrails.as_ref())?, compress_above),
        (answer, _) => {
            let body = Bytes::from(answer.to_string());
            let whole = Call {
                envelope: Envelope {
                    stream: false,
                    ..call.envelope.clone()
                },
                ..call.clone()
            };
            let body = match &guardrails {
                None => body,
                Some(policy) => match guard::whole(policy, &whole, body, None, depth).outcome {
                    Ok(Judged::Pass(body)) => body,
                    Ok(Judged::Blocked(_)) => return Err(REFUSED.to_owned()),
                    Err(error) => return Err(error.message.to_string()),
                },
            };
            cached::keep(
                &whole,
                Sent::Whole(&body),
                asked.candidates,
                None,
                &policy,
                compress_above,
                depth,
            )
            .map_err(|skip| format!("answers like this are not kept: {}", skip.as_str()))?
        }
    };
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Ok(Entry {
        key: asked.key,
        partition: asked.partition,
        made_ms: clock::now_ms(),
        fresh_ms: ms(policy.ttl),
        stale_ms: ms(policy.stale_while_revalidate),
        spare_ms: ms(policy.stale_if_error),
        owner: scope::owner_of(known),
        model: scope::public_name(found.model, &call, found.matched),
        // Nobody's: whoever may use only some providers is not served what none of them gave.
        target: Arc::from("warmed"),
        tags: scope::tags(known),
        semantic: policy.mode >= Mode::Shadow && asked.question.is_some(),
        question: asked.question,
        usage: None,
        cost: None,
        answer,
    })
}

/// The guardrails that hold for such a request; rules, which see more than there is of it here, are not asked.
fn guardrails(
    snapshot: &Snapshot,
    model: &PublicModel,
    known: Option<&directory::Principal>,
) -> Result<Option<guardrails::Policy>, String> {
    let named = known.map(|known| &*known.guardrails).unwrap_or_default();
    snapshot
        .guardrail_policy(model, named.iter())
        .map_err(|name| format!("the guardrail `{name}` of this key is not configured"))
}

/// The request as guardrails leave it: so it will be asked.
fn asked_as(call: Call, guardrails: Option<&guardrails::Policy>, depth: usize) -> Result<Call, String> {
    let Some(policy) = guardrails.filter(|policy| policy.holds(Direction::Input)) else {
        return Ok(call);
    };
    let judged = guard::judge_request(policy, &call, depth).outcome;
    let edited = judged.map_err(|error| error.message.to_string())?;
    Ok(edited.unwrap_or(call))
}

/// A text as guardrails let it pass.
fn passed<'t>(text: &'t str, guardrails: Option<&guardrails::Policy>) -> Result<Cow<'t, str>, String> {
    let Some(policy) = guardrails else {
        return Ok(Cow::Borrowed(text));
    };
    let mut judge = Judge::new(policy, Direction::Output);
    let changed = judge.text(text);
    if judge.blocked().is_some() {
        return Err(REFUSED.to_owned());
    }
    Ok(changed.map_or(Cow::Borrowed(text), Cow::Owned))
}

/// Whoever has a key of this name.
fn caller(app: &App, key: &str) -> Result<Principal, String> {
    let accounts = app.accounts.load_full();
    let known = accounts.as_ref().and_then(|accounts| accounts.directory.key(key));
    match (&accounts, known) {
        (None, _) if key.is_empty() => Ok(Principal::default()),
        (_, Some(known)) => Ok(Principal {
            accounts,
            known: Some(known),
            identity: None,
        }),
        _ => Err(format!("there is no key `{key}`")),
    }
}

/// An answer of a model that says this.
fn said(text: &str, compress_above: usize) -> Answer {
    let response = Response {
        candidates: vec![Candidate {
            parts: vec![Part::text(text)],
            finish: Some(Finish::Stop),
            ..Candidate::default()
        }],
        ..Response::default()
    };
    form::pack(&response, compress_above)
}

/// What a kept answer says, as a client of the chat API would read it (of other operations: as it was sent); null if it cannot be
/// read.
pub fn written(entry: &Entry) -> Value {
    let call = match entry.answer.form {
        Form::Canonical => Call {
            operation: Operation::Chat,
            dialect: Dialect::OpenAi,
            json_array: false,
            body: Bytes::new(),
            envelope: Envelope {
                model: entry.model.to_string(),
                ..Envelope::default()
            },
        },
        Form::Verbatim(dialect, operation) => Call {
            operation,
            dialect,
            json_array: false,
            body: Bytes::new(),
            envelope: Envelope::default(),
        },
    };
    let reply = Reply::to(&call, entry.made_ms);
    let writer = client::of(&call).writer(&Request::default(), reply);
    match cached::replay(&call, Some(writer), &entry.answer, entry.made_ms, DEPTH) {
        Ok(Replay::Whole(body)) => serde_json::from_slice(&body).unwrap_or_default(),
        _ => Value::Null,
    }
}
