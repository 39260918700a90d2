//! Past usage at corrected prices: one job at a time, with its progress.
//!
//! Sums follow; counts of budgets do not, since what was refused cannot be undone. A process that ends ends the job; done again
//! it finds less to change.

use super::super::tenancy::Problem;
use super::audit::Begun;
use super::change::body;
use super::query::read_time;
use super::table::{READ, Route, Serve, WRITE, Who};
use super::{Answer, Api, Asked, Failure, rfc3339};
use crate::ledger::{Row, RowId};
use crate::storage::{Filter, Records};
use crate::units::usd;
use axum::http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Rows read at one time.
const PAGE: u32 = 1000;
/// No request lasts longer.
const LONGEST_REQUEST_MS: i64 = 2 * 60 * 60 * 1000;
/// Requests of which only calls have been read yet.
const MOST_OPEN: usize = 100_000;

/// Where the job's progress is looked up.
#[derive(Default)]
pub(super) struct Desk(Mutex<Option<Job>>);

/// The rows of these routes.
pub(super) fn routes() -> Vec<Route> {
    const PATH: &str = "/admin/v1/usage/recompute";
    vec![
        Route::new::<Job>(
            Method::POST,
            PATH,
            Who::Only(WRITE),
            Serve::Api(|asked| Box::pin(start(asked))),
            "Give past usage what it costs by the prices in force now; goes on in the background",
        )
        .body::<Recompute>()
        .status(202),
        Route::new::<Job>(
            Method::GET,
            PATH,
            Who::Only(READ),
            Serve::Api(|asked| Box::pin(progress(asked))),
            "How far the last job of this process is",
        ),
    ]
}

/// What is to be recomputed.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recompute {
    /// From then on: a time such as `2026-01-31T22:00:00Z`, or a day.
    pub from: String,
    /// Until then, exclusive.
    pub to: String,
    /// Only say what would change. Default false.
    #[serde(default)]
    pub dry_run: bool,
}

/// A job.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// From then on.
    pub from: String,
    /// Until then, exclusive.
    pub to: String,
    /// Nothing is changed.
    pub dry_run: bool,
    /// How it stands.
    pub state: JobState,
    /// Rows looked at.
    pub rows: u64,
    /// Rows that cost something else now.
    pub changed: u64,
    /// What all requests looked at cost before.
    pub cost_before_usd: String,
    /// And now.
    pub cost_after_usd: String,
    /// How much of the time is done, in percent; from the newest to the oldest.
    pub percent: u8,
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Under way.
    Running,
    /// Done.
    Done,
    /// The store failed on the way: what was changed until then stays so. Start it again.
    Failed,
}

async fn progress(asked: Asked) -> Result<Answer, Failure> {
    let job = asked
        .api
        .recompute
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    match job {
        Some(job) => Answer::json(&job),
        None => Err(Failure::not_found("job: none was started since this process began")),
    }
}

async fn start(asked: Asked) -> Result<Answer, Failure> {
    asked.api.store()?;
    let wanted: Recompute = body(&asked)?;
    let wrong = |path: &str, message: &str| {
        let (path, message) = (path.to_owned(), message.to_owned());
        Failure::invalid_parts(vec![Problem { path, message }])
    };
    let time = |path: &str, text: &str| {
        read_time(text).ok_or_else(|| {
            wrong(
                path,
                "not a time such as 2026-01-31T22:00:00Z, or a day such as 2026-01-31",
            )
        })
    };
    let (from_ms, to_ms) = (time("from", &wanted.from)?, time("to", &wanted.to)?);
    if from_ms >= to_ms {
        return Err(wrong("from", "not before `to`"));
    }
    let job = Job {
        from: rfc3339(from_ms),
        to: rfc3339(to_ms),
        dry_run: wanted.dry_run,
        state: JobState::Running,
        rows: 0,
        changed: 0,
        cost_before_usd: usd(0),
        cost_after_usd: usd(0),
        percent: 0,
    };
    {
        let mut desk = asked.api.recompute.0.lock().unwrap_or_else(PoisonError::into_inner);
        if desk.as_ref().is_some_and(|job| job.state == JobState::Running) {
            return Err(Failure::conflict(
                "job_running",
                "another one is under way: GET this path says how far it is",
            ));
        }
        *desk = Some(job.clone());
    }
    let detail = json!({"from": job.from, "to": job.to, "dry_run": job.dry_run});
    let begun = asked
        .api
        .begin(&asked.who, asked.from, ("usage.recompute", "usage"), detail)
        .await;
    let begun = match begun {
        Ok(begun) => begun,
        Err(failure) => {
            *asked.api.recompute.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return Err(failure);
        }
    };
    let filter = Filter {
        from_ms,
        to_ms,
        only: Vec::new(),
    };
    let work = Work {
        api: Arc::clone(&asked.api),
        job: job.clone(),
        filter,
        before: 0,
        after: 0,
    };
    tokio::spawn(work.run(begun));
    Answer::with(StatusCode::ACCEPTED, &job)
}

struct Work {
    api: Arc<Api>,
    job: Job,
    filter: Filter,
    before: u64,
    after: u64,
}

impl Work {
    async fn run(mut self, begun: Begun) {
        let result = self.all().await;
        self.job.state = if result.is_ok() {
            JobState::Done
        } else {
            JobState::Failed
        };
        if result.is_ok() {
            self.job.percent = 100;
        }
        self.tell();
        let outcome = match result {
            Ok(()) => "done".to_owned(),
            Err(failure) => format!("failed: {}", failure.code),
        };
        let figures = json!({"rows": self.job.rows, "changed": self.job.changed,
            "cost_before_usd": self.job.cost_before_usd, "cost_after_usd": self.job.cost_after_usd});
        self.api.complete(begun, &outcome, figures).await;
    }

    fn tell(&mut self) {
        self.job.cost_before_usd = usd(self.before);
        self.job.cost_after_usd = usd(self.after);
        *self.api.recompute.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.job.clone());
    }

    async fn all(&mut self) -> Result<(), Failure> {
        let store = Arc::clone(self.api.store()?);
        let mut query = Records {
            filter: self.filter.clone(),
            attempts: true,
            limit: PAGE,
            cursor: None,
        };
        // Calls begin after their request: they are read before it, and may have begun after the time that is asked for.
        query.filter.to_ms = query.filter.to_ms.saturating_add(LONGEST_REQUEST_MS);
        let (from, to) = (self.filter.from_ms, self.filter.to_ms);
        let asked_for = |row: &Row| (from..to).contains(&i64::try_from(row.at_ms).unwrap_or(i64::MAX));
        let mut open: HashMap<RowId, Vec<Row>> = HashMap::new();
        loop {
            let page = self.api.summed(store.records(&query)).await?;
            let mut ready = Vec::new();
            for row in page.items {
                let (id, is_request, wanted) = (row.id, row.attempt == 0, asked_for(&row));
                open.entry(id).or_default().push(row);
                let whole = if is_request { open.remove(&id) } else { None };
                ready.extend(whole.filter(|_| wanted).into_iter().flatten());
            }
            if open.len() > MOST_OPEN {
                // Calls whose requests do not come: they were made before, or are lost.
                open.clear();
            }
            self.page(ready).await?;
            match page.next.filter(|next| query.cursor.as_ref() != Some(next)) {
                Some(next) => query.cursor = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Whole requests.
    async fn page(&mut self, rows: Vec<Row>) -> Result<(), Failure> {
        let tenancy = Arc::clone(&self.api.tenancy);
        let priced = tokio::task::spawn_blocking(move || {
            let mut priced = rows.clone();
            for request in priced.chunk_by_mut(|a, b| a.id == b.id) {
                tenancy.reprice(request);
            }
            (rows, priced)
        });
        let (rows, priced) = priced.await.map_err(|_| Failure::internal())?;
        let mut differing = Vec::new();
        for (old, new) in rows.iter().zip(priced) {
            if old.attempt == 0 {
                let total = |row: &Row| row.cost.map_or(0, |cost| cost.total());
                self.before = self.before.saturating_add(total(old));
                self.after = self.after.saturating_add(total(&new));
            }
            if (old.cost, old.billed) != (new.cost, new.billed) {
                differing.push(new);
            }
        }
        self.job.rows += rows.len() as u64;
        self.job.changed += differing.len() as u64;
        if !self.job.dry_run && !differing.is_empty() {
            let store = Arc::clone(self.api.store()?);
            self.api.summed(store.reprice(&differing)).await?;
        }
        if let Some(last) = rows.last() {
            let at = i64::try_from(last.at_ms).unwrap_or(i64::MAX);
            let (done, all) = (
                self.filter.to_ms.saturating_sub(at),
                self.filter.to_ms.saturating_sub(self.filter.from_ms),
            );
            let percent = done.saturating_mul(100).checked_div(all).unwrap_or(0).clamp(0, 99);
            self.job.percent = u8::try_from(percent).unwrap_or(99);
        }
        self.tell();
        Ok(())
    }
}
