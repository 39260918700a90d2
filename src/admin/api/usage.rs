//! What was used and what it cost: sums by any dimensions and time, single records.

use super::super::tenancy::Problem;
use super::table::{Parameter, READ_TEAM, Route, Serve, Takes, Who};
use super::{Answer, Asked, Failure, export, rfc3339};
use crate::ledger::Row;
use crate::storage::{Bucket, Dimension, Filter, Grouped, Records, UsageQuery};
use crate::units::{Cost, Usage, usd};
use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Length of time that is looked at when nothing is said: 30 days.
const USUAL_MS: i64 = 30 * 24 * 60 * 60 * 1000;

const DIMENSIONS: [(&str, Dimension); 12] = [
    ("organisation", Dimension::Organisation),
    ("team", Dimension::Team),
    ("project", Dimension::Project),
    ("user", Dimension::User),
    ("key", Dimension::Key),
    ("model", Dimension::Model),
    ("provider", Dimension::Provider),
    ("target", Dimension::Target),
    ("operation", Dimension::Operation),
    ("outcome", Dimension::Outcome),
    ("cache", Dimension::Cache),
    ("tag", Dimension::Tag),
];
const WORDS: &[&str] = &[
    "organisation",
    "team",
    "project",
    "user",
    "key",
    "model",
    "provider",
    "target",
    "operation",
    "outcome",
    "cache",
    "tag",
];

const FROM: Parameter = Parameter::new("from", Takes::Time, "From then on; default 30 days before `to`");
const TO: Parameter = Parameter::new("to", Takes::Time, "Until then, exclusive; default now");
const CURSOR: Parameter = Parameter::new("cursor", Takes::Text, "`next_cursor` of the answer before");
const ATTEMPTS: Parameter = Parameter::new(
    "attempts",
    Takes::Flag,
    "The calls made for each request too; default false",
);

const fn only(name: &'static str) -> Parameter {
    Parameter::new(name, Takes::Names, "Only what has one of these values")
}

/// The parameters of a time and of values, and some more.
macro_rules! with_filters {
    ($($more:expr),*) => {
        &[FROM, TO, only("organisation"), only("team"), only("project"), only("user"), only("key"), only("model"),
          only("provider"), only("target"), only("operation"), only("outcome"), only("cache"), only("tag"), $($more),*]
    };
}

/// The rows of these routes.
pub(super) fn routes() -> Vec<Route> {
    const SUMS: &[Parameter] = with_filters!(
        Parameter::new(
            "group_by",
            Takes::Words(WORDS, 4),
            "Told apart by these; default nothing"
        ),
        Parameter::new(
            "bucket",
            Takes::Word(&["all", "hour", "day", "month"]),
            "And by time, UTC; default all"
        ),
        Parameter::new("limit", Takes::Number(1, 1000), "At most so many groups; default 100"),
        CURSOR
    );
    const RECORDS: &[Parameter] = with_filters!(
        ATTEMPTS,
        Parameter::new("limit", Takes::Number(1, 500), "At most so many; default 100"),
        CURSOR
    );
    const EXPORT: &[Parameter] = with_filters!(
        ATTEMPTS,
        Parameter::new("format", Takes::Word(&["csv", "parquet"]), "Default csv")
    );
    let who = Who::Only(READ_TEAM);
    vec![
        Route::new::<UsageAnswer>(
            Method::GET,
            "/admin/v1/usage",
            who,
            Serve::Api(|asked| Box::pin(sums(asked))),
            "Requests, tokens and money, summed",
        )
        .query(SUMS),
        Route::new::<RecordPage>(
            Method::GET,
            "/admin/v1/usage/records",
            who,
            Serve::Api(|asked| Box::pin(records(asked))),
            "Single records, newest first",
        )
        .query(RECORDS),
        Route::new::<RecordPage>(
            Method::GET,
            "/admin/v1/usage/export",
            who,
            Serve::Api(|asked| Box::pin(export::export(asked))),
            "All records of a time as one file, newest first. Noted in the audit log",
        )
        .query(EXPORT)
        .file(&["text/csv", "application/vnd.apache.parquet"]),
    ]
}

/// Sums.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct UsageAnswer {
    /// From then on.
    pub from: String,
    /// Until then, exclusive.
    pub to: String,
    /// Told apart by these.
    pub group_by: Vec<String>,
    /// And by time: `all`, `hour`, `day`, `month`.
    pub bucket: String,
    /// The sums.
    pub items: Vec<UsageSum>,
    /// Where the next part begins, for `cursor`; none: this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// One sum. Amounts are US dollars as text, exact to the nano-dollar.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct UsageSum {
    /// When its time began.
    pub at: String,
    /// Of what: dimension and value; `null`: what had none.
    pub group: BTreeMap<String, Option<String>>,
    /// Requests.
    pub requests: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests whose tokens were counted or estimated here.
    pub estimated: u64,
    /// Requests whose cost is not known: in no sum of money.
    pub unpriced: u64,
    /// Tokens.
    pub tokens: Tokens,
    /// What providers charge.
    pub cost_usd: String,
    /// What is billed to tenants: the cost and the margin.
    pub billed_usd: String,
    /// What answers from the cache would have been billed at; in no other sum of money.
    pub saved_usd: String,
    /// Mean time from a request's header to the end of its answer.
    pub mean_latency_ms: u64,
}

/// Tokens by class.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Tokens {
    /// Of prompts, cached ones among them.
    pub input: u64,
    /// Of answers, reasoning among them.
    pub output: u64,
    /// Of prompts, read from the provider's cache.
    pub cached: u64,
    /// Of prompts, written to it.
    pub cache_write: u64,
    /// Of answers, spent on reasoning.
    pub reasoning: u64,
    /// Audio in both directions.
    pub audio: u64,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        Self {
            input: usage.input,
            output: usage.output,
            cached: usage.cached,
            cache_write: usage.cache_write,
            reasoning: usage.reasoning,
            audio: usage.audio_input.saturating_add(usage.audio_output),
        }
    }
}

/// Part of the records.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RecordPage {
    /// The part, newest first.
    pub items: Vec<Record>,
    /// Where the next part begins, for `cursor`; none: this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A request, or one call made for it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Id of the request here.
    pub id: String,
    /// Which call it was; 0: the request itself, with the sums of its calls.
    pub attempt: u16,
    /// When it began.
    pub at: String,
    /// The client's `x-request-id`, or ours.
    pub request_id: String,
    /// Who paid: dimension and name.
    pub tenant: BTreeMap<String, String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// What the client put into `x-cirque-metadata`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// `chat`, `embeddings`, …
    pub operation: String,
    /// Public model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `provider/model` that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Provider that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Why the call was made.
    pub purpose: String,
    /// HTTP status.
    pub status: u16,
    /// `ok`, or what went wrong.
    pub outcome: String,
    /// Cache verdict.
    pub cache: String,
    /// What guardrails found, as `name:direction:action:KIND=count`; several with `;` between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardrails: Option<String>,
    /// The answer was a stream.
    pub stream: bool,
    /// Milliseconds to the end of the answer.
    pub latency_ms: u32,
    /// Milliseconds to its first event or byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<u32>,
    /// Tokens.
    pub tokens: Tokens,
    /// They were counted or estimated here.
    pub estimated: bool,
    /// What it cost, by class in US dollars as text, with the `total`; none: no price is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<BTreeMap<String, String>>,
    /// What is billed for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billed_usd: Option<String>,
    /// What would have been billed, had its answer not come from the cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_usd: Option<String>,
}

impl From<Row> for Record {
    fn from(row: Row) -> Self {
        let tenant = &row.tenant;
        let names = [
            ("organisation", &tenant.organisation),
            ("team", &tenant.team),
            ("project", &tenant.project),
            ("user", &tenant.user),
            ("key", &tenant.key),
        ];
        let named =
            |(kind, name): (&str, &Option<std::sync::Arc<str>>)| Some((kind.to_owned(), name.as_ref()?.to_string()));
        Self {
            id: row.id.to_string(),
            attempt: row.attempt,
            at: rfc3339(i64::try_from(row.at_ms).unwrap_or(i64::MAX)),
            request_id: row.request_id.into_string(),
            tenant: names.into_iter().filter_map(named).collect(),
            tags: row.tags.iter().map(ToString::to_string).collect(),
            metadata: row.metadata.and_then(|text| serde_json::from_str(&text).ok()),
            operation: row.operation.to_owned(),
            model: row.model.map(|model| model.to_string()),
            target: row.target.map(|target| target.to_string()),
            provider: row.provider.map(|provider| provider.to_string()),
            purpose: row.purpose.to_owned(),
            status: row.status,
            outcome: row.outcome.to_owned(),
            cache: row.cache.to_owned(),
            guardrails: row.guardrails.map(String::from),
            stream: row.stream,
            latency_ms: row.latency_ms,
            ttft_ms: row.ttft_ms,
            tokens: row.usage.into(),
            estimated: row.estimated,
            cost_usd: row.cost.as_ref().map(by_class),
            billed_usd: row.billed.map(usd),
            saved_usd: Some(row.saved).filter(|saved| *saved > 0).map(usd),
        }
    }
}

fn by_class(cost: &Cost) -> BTreeMap<String, String> {
    let classes = [
        ("input", cost.input),
        ("cached", cost.cached),
        ("cache_write", cost.cache_write),
        ("output", cost.output),
        ("reasoning", cost.reasoning),
        ("audio", cost.audio),
        ("request", cost.request),
    ];
    let spent = classes.into_iter().filter(|(_, nano)| *nano > 0);
    let all = spent.chain([("total", cost.total())]);
    all.map(|(class, nano)| (class.to_owned(), usd(nano))).collect()
}

/// Which rows are asked for, of those that this operator sees. None: of what is asked for, nothing may be seen.
pub(super) fn filter(asked: &Asked) -> Result<Option<Filter>, Failure> {
    let to_ms = asked.query.time_ms("to").unwrap_or(asked.now_ms);
    let from_ms = asked.query.time_ms("from").unwrap_or(to_ms.saturating_sub(USUAL_MS));
    if from_ms >= to_ms {
        return Err(Failure::invalid_parts(vec![Problem {
            path: "from".to_owned(),
            message: "not before `to`".to_owned(),
        }]));
    }
    let mut only = Vec::new();
    for (name, dimension) in DIMENSIONS {
        let mut values = asked.query.list(name);
        if let (Dimension::Team, Some(team)) = (dimension, asked.only_team()) {
            if !values.is_empty() && !values.iter().any(|value| value == team) {
                return Ok(None);
            }
            values = vec![team.to_owned()];
        }
        if !values.is_empty() {
            only.push((dimension, values));
        }
    }
    Ok(Some(Filter { from_ms, to_ms, only }))
}

async fn sums(asked: Asked) -> Result<Answer, Failure> {
    let store = asked.api.store()?;
    let group_by = asked.query.list("group_by");
    let by: Vec<Dimension> = group_by
        .iter()
        .filter_map(|word| {
            DIMENSIONS
                .iter()
                .find(|(name, _)| name == word)
                .map(|(_, dimension)| *dimension)
        })
        .collect();
    let word = asked.query.text("bucket").unwrap_or("all");
    let bucket = match word {
        "hour" => Bucket::Hour,
        "day" => Bucket::Day,
        "month" => Bucket::Month,
        _ => Bucket::All,
    };
    let filter = filter(&asked)?;
    let (from_ms, to_ms) = filter
        .as_ref()
        .map_or((asked.now_ms, asked.now_ms), |filter| (filter.from_ms, filter.to_ms));
    let mut answer = UsageAnswer {
        from: rfc3339(from_ms),
        to: rfc3339(to_ms),
        group_by,
        bucket: word.to_owned(),
        items: Vec::new(),
        next_cursor: None,
    };
    if let Some(filter) = filter {
        let query = UsageQuery {
            filter,
            by,
            bucket,
            limit: asked.query.number("limit", 100),
            cursor: asked.query.text("cursor").map(str::to_owned),
        };
        let page = asked.api.summed(store.usage(&query)).await.map_err(stale)?;
        answer.items = page.items.into_iter().map(|sum| shown(sum, &answer.group_by)).collect();
        answer.next_cursor = page.next;
    }
    Answer::json(&answer)
}

fn shown(sum: Grouped, group_by: &[String]) -> UsageSum {
    UsageSum {
        at: rfc3339(sum.at_ms),
        group: group_by.iter().cloned().zip(sum.values).collect(),
        requests: sum.requests,
        failed: sum.failed,
        estimated: sum.estimated,
        unpriced: sum.unpriced,
        tokens: sum.usage.into(),
        cost_usd: usd(sum.cost),
        billed_usd: usd(sum.billed),
        saved_usd: usd(sum.saved),
        mean_latency_ms: sum.latency_ms.checked_div(sum.requests).unwrap_or_default(),
    }
}

/// To a question nothing conflicts but its cursor.
pub(super) fn stale(failure: Failure) -> Failure {
    if failure.code == "conflict" {
        return Failure::invalid(
            "`cursor` is not one that an earlier answer to the same question gave as `next_cursor`",
        );
    }
    failure
}

async fn records(asked: Asked) -> Result<Answer, Failure> {
    let store = asked.api.store()?;
    let mut answer = RecordPage {
        items: Vec::new(),
        next_cursor: None,
    };
    if let Some(filter) = filter(&asked)? {
        let query = Records {
            filter,
            attempts: asked.query.flag("attempts"),
            limit: asked.query.number("limit", 100),
            cursor: asked.query.text("cursor").map(str::to_owned),
        };
        let page = asked.api.summed(store.records(&query)).await.map_err(stale)?;
        answer.items = page.items.into_iter().map(Record::from).collect();
        answer.next_cursor = page.next;
    }
    Answer::json(&answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dimension_has_its_word_and_its_filter() {
        assert_eq!(DIMENSIONS.map(|(name, _)| name).as_slice(), WORDS);
        for route in routes() {
            for word in WORDS {
                assert!(
                    route.query.iter().any(|parameter| parameter.name == *word),
                    "{} {word}",
                    route.path
                );
            }
        }
    }
}
