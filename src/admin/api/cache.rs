//! The cache: what it holds, single answers, deleting, reports of wrong answers, warming.
//!
//! Not the cache ([`CacheDesk`]). Questions and answers are what clients and models wrote: the role `read-only` sees neither, a
//! team-admin those its team paid for, and whoever reads an answer stands in the audit log. The one idea: a selection is narrowed to the
//! operator's team before anybody acts on it, and what is outside of it does not exist. Deleting works while the store is away: a
//! wrong answer must be got rid of at any time.

mod shown;

use super::change::body;
use super::query::cursor;
use super::table::{Parameter, READ, READ_TEAM, Route, Serve, Takes, WRITE, WRITE_TEAM, Who};
use super::views::Listed;
use super::{Answer, Asked, Failure};
use crate::admin::cache::{CacheDesk, CacheTotals, Cleared, Look};
use crate::cache::{HitId, Key, Owner, Selection, Wrong};
use crate::config::Role;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use shown::{CacheCleared, CacheFeedback, CacheReported, CacheWarmed, CacheWarming, CachedAnswer, shown};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

/// Longest text that likeness is asked of, in bytes.
const LONGEST_LIKE: usize = 1000;
/// Answers warmed by one request.
const MOST_WARMED: usize = 500;

/// The parameters that select answers, and some more.
macro_rules! with_selection {
    ($($more:expr),*) => {
        &[only("partition"), only("organisation"), only("team"), only("project"), only("user"), only("key"), only("model"),
          only("tag"), $($more),*]
    };
}

const fn only(name: &'static str) -> Parameter {
    Parameter::new(name, Takes::Text, "Only answers of this one")
}

/// The rows of these routes.
pub(super) fn routes() -> Vec<Route> {
    const LIST: &[Parameter] = with_selection!(
        Parameter::new(
            "like",
            Takes::Text,
            "Those whose questions are like this text, the likest first"
        ),
        Parameter::new("limit", Takes::Number(1, 200), "At most so many; default 50"),
        Parameter::new("cursor", Takes::Text, "`next_cursor` of the answer before")
    );
    const SELECT: &[Parameter] = with_selection!();
    const ENTRIES: &str = "/admin/v1/cache/entries";
    const ONE: &str = "/admin/v1/cache/entries/{id}";
    let row =
        |method, path, roles, serve, about| Route::new::<CacheCleared>(method, path, Who::Only(roles), serve, about);
    let clear = row(
        Method::DELETE,
        ENTRIES,
        WRITE_TEAM,
        Serve::Api(|asked| Box::pin(clear(asked))),
        "Delete answers: those for which everything that is given holds. On all instances",
    );
    let delete = row(
        Method::DELETE,
        ONE,
        WRITE_TEAM,
        Serve::Api(|asked| Box::pin(delete(asked))),
        "Delete one answer, on all instances",
    );
    let purge = row(
        Method::POST,
        "/admin/v1/cache/purge",
        WRITE,
        Serve::Api(|asked| Box::pin(purge(asked))),
        "Delete every answer there is, on all instances",
    );
    vec![
        Route::new::<CacheTotals>(
            Method::GET,
            "/admin/v1/cache",
            Who::Only(READ),
            Serve::Api(|asked| Box::pin(totals(asked))),
            "What the cache of this instance holds",
        ),
        Route::new::<Listed<CachedAnswer>>(
            Method::GET,
            ENTRIES,
            Who::Only(READ_TEAM),
            Serve::Api(|asked| Box::pin(list(asked))),
            "Answers that are kept here, by id, or by likeness",
        )
        .query(LIST),
        Route::new::<CachedAnswer>(
            Method::GET,
            ONE,
            Who::Only(READ_TEAM),
            Serve::Api(|asked| Box::pin(get(asked))),
            "One of them, with its question and answer. Noted in the audit log",
        ),
        clear.query(SELECT),
        delete,
        purge,
        Route::new::<CacheReported>(
            Method::POST,
            "/admin/v1/cache/feedback",
            Who::Only(WRITE_TEAM),
            Serve::Api(|asked| Box::pin(feedback(asked))),
            "Report that an answer was served to a question that it does not answer",
        )
        .body::<CacheFeedback>(),
        Route::new::<CacheWarmed>(
            Method::POST,
            "/admin/v1/cache/warm",
            Who::Only(WRITE),
            Serve::Api(|asked| Box::pin(warm(asked))),
            "Keep answers beforehand",
        )
        .body::<CacheWarming>(),
    ]
}

impl Asked {
    fn desk(&self) -> Result<&Arc<dyn CacheDesk>, Failure> {
        self.api.cache.as_ref().ok_or_else(|| {
            let message = "this gateway keeps no answers: give a model, tenant or key a `cache` (docs/cache.md)";
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "no_cache", message)
        })
    }

    fn unix_ms(&self) -> u64 {
        u64::try_from(self.now_ms).unwrap_or_default()
    }

    /// Whether this operator may know of an answer.
    fn sees_answer(&self, owner: &Owner) -> bool {
        self.only_team().is_none_or(|team| owner.team.as_deref() == Some(team))
    }

    /// Whether this operator may read what clients and models wrote.
    fn reads_texts(&self) -> bool {
        self.who.role != Role::ReadOnly
    }

    /// The id in the path.
    fn key(&self) -> Result<Key, Failure> {
        self.name.parse().map_err(|_| no_such_answer())
    }

    /// The answers that the query selects, of those that this operator sees. None: it sees none of them.
    fn selection(&self) -> Result<Option<Selection>, Failure> {
        let text = |name| self.query.text(name).map(str::to_owned);
        let partition = self.query.text("partition").map(str::parse).transpose();
        let mut selection = Selection {
            partition: partition.map_err(|error| Failure::invalid(format!("`partition`: {error}")))?,
            organisation: text("organisation"),
            team: text("team"),
            project: text("project"),
            user: text("user"),
            key: text("key"),
            tag: text("tag"),
            model: text("model"),
            ..Selection::default()
        };
        if let Some(own) = self.only_team() {
            if selection.team.as_deref().is_some_and(|asked| asked != own) {
                return Ok(None);
            }
            if !selection.is_empty() {
                selection.team = Some(own.to_owned());
            }
        }
        Ok(Some(selection))
    }

    /// Do something that is noted before and after, also while the audit log cannot be written: then the process's own log tells.
    async fn noted<T>(
        &self,
        action: &str,
        subject: &str,
        detail: Value,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let begun = match self.api.store() {
            Ok(_) => self
                .api
                .begin(&self.who, self.from, (action, subject), detail)
                .await
                .ok(),
            Err(_) => None,
        };
        if begun.is_none() {
            tracing::warn!(operator = self.who.name, role = ?self.who.role, action, subject, "the cache is changed or read");
        }
        let done = work.await;
        if let Some(begun) = begun {
            let outcome = match &done {
                Ok(_) => "done".to_owned(),
                Err(failure) => format!("failed: {}", failure.code),
            };
            self.api.complete(begun, &outcome, Value::Null).await;
        }
        done
    }
}

fn no_such_answer() -> Failure {
    Failure::not_found("answer in the cache")
}

async fn totals(asked: Asked) -> Result<Answer, Failure> {
    Answer::json(&asked.desk()?.totals(asked.unix_ms()).await)
}

async fn list(asked: Asked) -> Result<Answer, Failure> {
    let desk = asked.desk()?;
    let like = asked.query.text("like").map(str::to_owned);
    if like.is_some() && !asked.reads_texts() {
        let message = "this role does not see questions, so nothing can be looked for by them";
        return Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", message));
    }
    if like.as_ref().is_some_and(|like| like.len() > LONGEST_LIKE) {
        return Err(Failure::invalid("`like` is longer than 1000 bytes"));
    }
    let nothing = Listed::<CachedAnswer> {
        items: Vec::new(),
        next_cursor: None,
    };
    let Some(mut selection) = asked.selection()? else {
        return Answer::json(&nothing);
    };
    selection.all = true;
    selection.team = asked.only_team().map(str::to_owned).or(selection.team);
    let after = asked.query.after()?.map(|text| text.parse()).transpose();
    let look = Look {
        selection,
        like,
        limit: asked.query.number("limit", 50) as usize,
        after: after
            .map_err(|_| Failure::invalid("`cursor` is not one that an earlier answer gave as `next_cursor`"))?,
    };
    let found = desk.list(&look, asked.unix_ms()).await;
    let mut found = found.map_err(|problem| Failure::conflict("not_to_be_had", problem))?;
    // Whatever the desk does, nothing of another team is shown.
    found.items.retain(|kept| asked.sees_answer(&kept.entry.owner));
    let last = found.items.last().map(|kept| kept.entry.key.to_string());
    Answer::json(&Listed {
        items: found.items.iter().map(|kept| shown(&asked, kept, None)).collect(),
        next_cursor: last.filter(|_| found.more).map(|last| cursor(&last)),
    })
}

async fn get(asked: Asked) -> Result<Answer, Failure> {
    let desk = Arc::clone(asked.desk()?);
    let id = asked.key()?;
    let found = desk.get(id, asked.unix_ms()).await;
    let found = found.filter(|(kept, _)| asked.sees_answer(&kept.entry.owner));
    let (kept, answer) = found.ok_or_else(no_such_answer)?;
    if !asked.reads_texts() {
        return Answer::json(&shown(&asked, &kept, None));
    }
    let subject = format!("cache/{id}");
    let shown = async { Ok(shown(&asked, &kept, Some(answer))) };
    Answer::json(&asked.noted("cache.read", &subject, Value::Null, shown).await?)
}

async fn clear(asked: Asked) -> Result<Answer, Failure> {
    let nothing = "say which answers: by `partition`, `organisation`, `team`, `project`, `user`, `key`, `model` or `tag`; every one \
                   there is: POST /admin/v1/cache/purge";
    match asked.selection()? {
        None => Answer::json(&CacheCleared {
            deleted: 0,
            shared: None,
        }),
        Some(selection) if selection.is_empty() => Err(Failure::invalid(nothing)),
        Some(selection) => cleared(&asked, "cache.delete", &selection).await,
    }
}

async fn delete(asked: Asked) -> Result<Answer, Failure> {
    let selection = Selection {
        ids: vec![asked.key()?],
        team: asked.only_team().map(str::to_owned),
        ..Selection::default()
    };
    cleared(&asked, "cache.delete", &selection).await
}

async fn purge(asked: Asked) -> Result<Answer, Failure> {
    let selection = Selection {
        all: true,
        ..Selection::default()
    };
    cleared(&asked, "cache.purge", &selection).await
}

/// Delete, and say what is gone. An outage of what is shared is a failure: what was to be deleted is still served by others.
async fn cleared(asked: &Asked, action: &str, selection: &Selection) -> Result<Answer, Failure> {
    let desk = asked.desk()?;
    let work = async {
        match desk.delete(selection).await {
            Cleared {
                shared: Some(Err(_)),
                here,
            } => Err(shared_away(&format!("{here} answers are gone from this instance"))),
            Cleared { here, shared } => Ok(CacheCleared {
                deleted: here,
                shared: shared.and_then(Result::ok),
            }),
        }
    };
    let detail = selected(selection);
    Answer::json(&asked.noted(action, "cache", detail, work).await?)
}

fn shared_away(done: &str) -> Failure {
    let message = format!("{done}, and what instances share cannot be reached: others may still serve them; try again");
    Failure {
        retry_after: Some(5),
        ..Failure::new(StatusCode::SERVICE_UNAVAILABLE, "shared_unavailable", message)
    }
}

async fn feedback(asked: Asked) -> Result<Answer, Failure> {
    let sent: CacheFeedback = body(&asked)?;
    let desk = asked.desk()?;
    let id: HitId = sent
        .id
        .parse()
        .map_err(|error| Failure::invalid(format!("`id`: {error}")))?;
    let question = sent.question.as_deref().map(str::parse).transpose();
    let question = question.map_err(|error| Failure::invalid(format!("`question`: {error}")))?;
    let wrong = Wrong {
        question: question.or(id.question),
        id: id.answer,
    };
    if asked.only_team().is_some() {
        let found = desk.get(wrong.id, asked.unix_ms()).await;
        found
            .filter(|(kept, _)| asked.sees_answer(&kept.entry.owner))
            .ok_or_else(no_such_answer)?;
    }
    let detail = json!({"question": wrong.question.map(|question| question.to_string())});
    let work = async {
        let done = desk.disown(&wrong).await;
        match (done.known, done.shared_away) {
            (_, true) => Err(shared_away("this instance has taken it up")),
            (false, false) => Err(no_such_answer()),
            (true, false) => Ok(CacheReported { deleted: done.deleted }),
        }
    };
    let subject = format!("cache/{}", wrong.id);
    Answer::json(&asked.noted("cache.wrong", &subject, detail, work).await?)
}

async fn warm(asked: Asked) -> Result<Answer, Failure> {
    let sent: CacheWarming = body(&asked)?;
    let desk = asked.desk()?;
    if sent.answers.is_empty() || sent.answers.len() > MOST_WARMED {
        return Err(Failure::invalid(format!("send 1 to {MOST_WARMED} answers")));
    }
    let detail = json!({"answers": sent.answers.len()});
    let now_ms = asked.unix_ms();
    let work = async { Ok(desk.warm(sent.answers, now_ms).await) };
    let done = asked.noted("cache.warm", "cache", detail, work).await?;
    let mut answer = CacheWarmed {
        ids: Vec::new(),
        failed: BTreeMap::new(),
    };
    for (index, one) in done.into_iter().enumerate() {
        match one {
            Ok(id) => answer.ids.push(id.to_string()),
            Err(why) => drop(answer.failed.insert(index, why)),
        }
    }
    Answer::json(&answer)
}

/// A selection for the audit log.
fn selected(selection: &Selection) -> Value {
    let mut detail = json!({});
    let parts = [
        ("organisation", &selection.organisation),
        ("team", &selection.team),
        ("project", &selection.project),
        ("user", &selection.user),
        ("key", &selection.key),
        ("tag", &selection.tag),
        ("model", &selection.model),
    ];
    if let Some(detail) = detail.as_object_mut() {
        for (name, value) in parts {
            detail.extend(value.iter().map(|value| (name.to_owned(), json!(value))));
        }
        let partition = selection.partition.map(|partition| partition.to_string());
        detail.extend(partition.map(|partition| ("partition".to_owned(), json!(partition))));
        let ids: Vec<String> = selection.ids.iter().map(ToString::to_string).collect();
        if !ids.is_empty() {
            detail.insert("ids".to_owned(), json!(ids));
        }
        if selection.all {
            detail.insert("all".to_owned(), json!(true));
        }
    }
    detail
}
