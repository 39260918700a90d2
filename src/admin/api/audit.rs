//! The audit log: noted before anything is changed, completed after it, read, exported, verified.
//!
//! Not kept here: the store appends and chains. The one idea: what cannot be noted is not done.

use super::super::tenancy::Identity;
use super::operators::role_name;
use super::table::{AUDIT, Parameter, Route, Serve, Takes, Who};
use super::{Answer, Api, Asked, Failure, rfc3339};
use crate::storage::{AuditEntry, AuditNote};
use axum::body::Body;
use axum::http::{Method, StatusCode};
use bytes::Bytes;
use futures::stream::try_unfold;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Entries read at one time.
const PAGE: u32 = 500;

const AFTER: Parameter = Parameter::new("after", Takes::Number(0, u32::MAX), "Only entries after this number");

/// The rows of these routes.
pub(super) fn routes() -> Vec<Route> {
    const LIST: &[Parameter] = &[
        AFTER,
        Parameter::new("limit", Takes::Number(1, PAGE), "At most so many; default 100"),
        Parameter::new(
            "newest",
            Takes::Number(1, PAGE),
            "The last so many, instead of `after` and `limit`",
        ),
    ];
    let who = Who::Only(AUDIT);
    let get = |path, serve, about| Route::new::<AuditPage>(Method::GET, path, who, serve, about);
    let verify = Serve::Api(|asked| Box::pin(verify(asked)));
    vec![
        get(
            "/admin/v1/audit",
            Serve::Api(|asked| Box::pin(list(asked))),
            "Who changed what, oldest first",
        )
        .query(LIST),
        get(
            "/admin/v1/audit/export",
            Serve::Api(|asked| Box::pin(export(asked))),
            "All of it after a number, one JSON object a line",
        )
        .query(&[AFTER])
        .file(&["application/x-ndjson"]),
        Route::new::<Verdict>(
            Method::GET,
            "/admin/v1/audit/verify",
            who,
            verify,
            "Whether all entries are there and as they were written",
        ),
    ]
}

/// Part of the audit log.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct AuditPage {
    /// Entries.
    pub items: Vec<AuditShown>,
    /// `after` of the next part; none: there was no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_after: Option<i64>,
}

/// One entry of the audit log.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct AuditShown {
    /// Counts from 1, without gaps.
    pub number: i64,
    /// When.
    pub at: String,
    /// Who.
    pub actor: String,
    /// In which role.
    pub role: String,
    /// From which address.
    pub from: String,
    /// What: `key.create`.
    pub action: String,
    /// On what: `key/ci`.
    pub subject: String,
    /// Before and after, or the number of the entry that this one completes.
    pub detail: Value,
    /// `begun`, `done`, `failed: …`.
    pub outcome: String,
    /// SHA-256 that chains it to the entry before.
    pub hash: String,
}

/// What verifying found.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Nothing is missing or altered.
    pub intact: bool,
    /// Entries that are as they were written.
    pub checked: u64,
    /// Hash of the last entry: kept elsewhere, it tells of a log that was written anew as a whole.
    pub head: String,
    /// The first entry that was altered, taken out or put in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<i64>,
}

impl From<AuditEntry> for AuditShown {
    fn from(entry: AuditEntry) -> Self {
        Self {
            number: entry.number,
            at: rfc3339(entry.at_ms),
            actor: entry.actor,
            role: entry.role,
            from: entry.from,
            action: entry.action,
            subject: entry.subject,
            detail: entry.detail,
            outcome: entry.outcome,
            hash: entry.hash,
        }
    }
}

/// What has been begun and is to be completed.
#[derive(Clone)]
pub(super) struct Begun {
    number: i64,
    note: AuditNote,
}

impl Api {
    /// Note what is about to be done. An error: it must not be.
    pub(super) async fn begin(
        &self,
        who: &Identity,
        from: Option<IpAddr>,
        (action, subject): (&str, &str),
        detail: Value,
    ) -> Result<Begun, Failure> {
        let note = AuditNote {
            at_ms: (self.clock)(),
            // An identity provider may call somebody by the name of a declared operator.
            actor: if who.via == "oidc" {
                format!("oidc:{}", who.name)
            } else {
                who.name.clone()
            },
            role: role_name(who.role).to_owned(),
            from: from.map(|from| from.to_canonical().to_string()).unwrap_or_default(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            detail,
            outcome: "begun".to_owned(),
        };
        let number = self.kept(self.store()?.audit(&note)).await.map_err(|_| {
            let message =
                "the audit log cannot be written, so nothing was changed; keys go on working, try again later";
            Failure {
                retry_after: Some(5),
                ..Failure::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", message)
            }
        })?;
        Ok(Begun { number, note })
    }

    /// Note what came of it. When that fails the entry stays begun, which is true: nobody knows from the log alone.
    pub(super) async fn complete(&self, begun: Begun, outcome: &str, more: Value) {
        let mut detail = json!({"completes": begun.number});
        if let (Value::Object(detail), Value::Object(more)) = (&mut detail, more) {
            detail.extend(more);
        }
        let note = AuditNote {
            at_ms: (self.clock)(),
            detail,
            outcome: outcome.to_owned(),
            ..begun.note
        };
        let Ok(store) = self.store() else { return };
        if self.kept(store.audit(&note)).await.is_err() {
            tracing::error!(
                number = begun.number,
                outcome,
                "an entry of the audit log could not be completed"
            );
        }
    }
}

impl Asked {
    /// Do something that is noted before and after.
    pub(super) async fn audited<T>(
        &self,
        action: &str,
        subject: &str,
        detail: Value,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let begun = self.api.begin(&self.who, self.from, (action, subject), detail).await?;
        let done = work.await;
        let outcome = match &done {
            Ok(_) => "done".to_owned(),
            Err(failure) => format!("failed: {}", failure.code),
        };
        self.api.complete(begun, &outcome, Value::Null).await;
        done
    }

    fn after(&self) -> i64 {
        self.query.number("after", 0).into()
    }
}

async fn list(asked: Asked) -> Result<Answer, Failure> {
    let store = Arc::clone(asked.api.store()?);
    let mut limit = asked.query.number("limit", 100);
    let mut after = asked.after();
    if asked.query.text("newest").is_some() {
        limit = asked.query.number("newest", 100);
        after = newest(&asked.api).await?.saturating_sub(limit.into());
    }
    let entries = asked.api.kept(store.audit_log(after, limit)).await?;
    let full = entries.len() >= limit as usize;
    let next_after = entries.last().filter(|_| full).map(|entry| entry.number);
    let items = entries.into_iter().map(AuditShown::from).collect();
    Answer::json(&AuditPage { items, next_after })
}

/// The last entry's number, by asking whether there is one after this and that.
async fn newest(api: &Api) -> Result<i64, Failure> {
    let store = api.store()?;
    let first = async |after: i64| {
        let entries = api.kept(store.audit_log(after, 1)).await?;
        Ok::<_, Failure>(entries.first().map(|entry| entry.number))
    };
    let mut known = 0_i64;
    let mut step = 1_i64;
    // Doubling until nothing follows, then halving back.
    while let Some(found) = first(known.saturating_add(step - 1).max(known)).await? {
        known = found;
        step = step.saturating_mul(2);
        if known == i64::MAX {
            return Ok(known);
        }
    }
    while step > 1 {
        step /= 2;
        if let Some(found) = first(known.saturating_add(step - 1)).await? {
            known = found;
        }
    }
    Ok(known)
}

async fn verify(asked: Asked) -> Result<Answer, Failure> {
    let store = asked.api.store()?;
    let verified = asked.api.summed(store.verify_audit()).await?;
    Answer::json(&Verdict {
        intact: verified.broken.is_none(),
        checked: verified.entries,
        head: verified.head,
        broken_at: verified.broken,
    })
}

async fn export(asked: Asked) -> Result<Answer, Failure> {
    let store = Arc::clone(asked.api.store()?);
    let place = Arc::clone(&asked.api.exports).try_acquire_owned();
    let place = place.map_err(|_| Failure::too_many("other exports are under way", 30))?;
    let after = asked.after();
    let subject = ("audit.export", "audit");
    let begun = asked
        .api
        .begin(&asked.who, asked.from, subject, json!({"after": after}))
        .await?;
    if let Some(connection) = &asked.connection {
        connection.long.store(true, Ordering::Relaxed);
    }
    let api = Arc::clone(&asked.api);
    let state = (after, 0_u64, Some(begun), place);
    let pieces = try_unfold(state, move |(after, count, begun, place)| {
        let (api, store) = (Arc::clone(&api), Arc::clone(&store));
        async move {
            let broken = |_| std::io::Error::other("the store failed");
            let entries = api.kept(store.audit_log(after, PAGE)).await.map_err(broken)?;
            let Some(last) = entries.last().map(|entry| entry.number) else {
                if let Some(begun) = begun {
                    api.complete(begun, "done", json!({"entries": count})).await;
                }
                return Ok::<_, std::io::Error>(None);
            };
            let count = count + entries.len() as u64;
            let mut lines = Vec::new();
            for entry in entries {
                serde_json::to_writer(&mut lines, &AuditShown::from(entry))?;
                lines.push(b'\n');
            }
            Ok(Some((Bytes::from(lines), (last, count, begun, place))))
        }
    });
    Ok(Answer::File {
        kind: "application/x-ndjson",
        name: "audit.ndjson".to_owned(),
        body: Body::from_stream(pieces),
    })
}
