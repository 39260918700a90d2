//! How full limits and budgets are, as this instance knows them.

use super::super::tenancy::{Measure, Standing};
use super::catalogue::View;
use super::query::cursor;
use super::table::{Parameter, READ_TEAM, Route, Serve, Takes, Who};
use super::views::Listed;
use super::{Answer, Asked, Failure, rfc3339};
use crate::storage::Kind;
use crate::units::usd;
use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const SCOPES: &[&str] = &[
    "organisation",
    "team",
    "project",
    "user",
    "key",
    "tag",
    "model",
    "provider",
];

/// The rows of these routes.
pub(super) fn routes() -> Vec<Route> {
    const FILTERS: &[Parameter] = &[
        Parameter::new("scope", Takes::Word(SCOPES), "Only those written there"),
        Parameter::new(
            "name",
            Takes::Text,
            "Only those of the tenant, key, tag, model or provider of this name",
        ),
        Parameter::new(
            "team",
            Takes::Text,
            "Only those of this team and of its projects, users and keys",
        ),
        Parameter::new("limit", Takes::Number(1, 500), "At most so many; default 100"),
        Parameter::new("cursor", Takes::Text, "`next_cursor` of the answer before"),
    ];
    let who = Who::Only(READ_TEAM);
    vec![
        Route::new::<Listed<LimitStanding>>(
            Method::GET,
            "/admin/v1/limits",
            who,
            Serve::Api(|asked| Box::pin(limits(asked))),
            "Limits of requests, tokens and concurrency, and how full they are",
        )
        .query(FILTERS),
        Route::new::<Listed<BudgetStanding>>(
            Method::GET,
            "/admin/v1/budgets",
            who,
            Serve::Api(|asked| Box::pin(budgets(asked))),
            "Budgets, and how much of them is spent",
        )
        .query(FILTERS),
    ]
}

/// Where a limit or budget is written.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Scope {
    /// `organisation`, `team`, `project`, `user`, `key`, `tag`, `model`, `provider`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// What one of several counts of the same limit is for.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Each {
    /// `model`, `user`, `key`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// How full a limit is.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct LimitStanding {
    /// Id of the count: the same on all instances.
    pub id: String,
    /// Where it is written.
    pub scope: Scope,
    /// Its own name.
    pub name: String,
    /// What is counted.
    pub measure: Measure,
    /// Counted apart for this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each: Option<Each>,
    /// The most, in what `measure` counts.
    pub limit: u64,
    /// Used in the stretch that ends now; under way, of `concurrent`.
    pub used: u64,
    /// Taken by requests under way whose use is not known yet.
    pub reserved: u64,
    /// What is left.
    pub remaining: u64,
    /// In which stretch of time, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_ms: Option<u64>,
}

/// How much of a budget is spent. Amounts are US dollars as text, exact to the nano-dollar.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct BudgetStanding {
    /// Id of the count: the same on all instances.
    pub id: String,
    /// Where it is written.
    pub scope: Scope,
    /// Its own name.
    pub name: String,
    /// Counted apart for this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each: Option<Each>,
    /// It refuses nothing, it only alerts.
    pub soft: bool,
    /// The budget.
    pub limit_usd: String,
    /// Spent in this window.
    pub used_usd: String,
    /// Taken by requests under way, at the most they can cost.
    pub reserved_usd: String,
    /// What is left.
    pub remaining_usd: String,
    /// Spent of it, in percent, rounded down.
    pub used_percent: u64,
    /// When its window began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_start: Option<String>,
    /// When it begins anew; none: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_end: Option<String>,
    /// What will have been spent by then at the present rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forecast_usd: Option<String>,
}

async fn limits(asked: Asked) -> Result<Answer, Failure> {
    let page = chosen(&asked, |measure| measure != Measure::Usd).await?;
    let items = page.items.into_iter().map(|standing| LimitStanding {
        remaining: left(&standing),
        scope: scope(&standing),
        each: each(&standing),
        id: standing.id,
        name: standing.name,
        measure: standing.measure,
        limit: standing.limit,
        used: standing.used,
        reserved: standing.reserved,
        per_ms: standing.per_ms,
    });
    Answer::json(&Listed {
        items: items.collect(),
        next_cursor: page.next_cursor,
    })
}

async fn budgets(asked: Asked) -> Result<Answer, Failure> {
    let page = chosen(&asked, |measure| measure == Measure::Usd).await?;
    let at = |seconds: i64| rfc3339(seconds.saturating_mul(1000));
    let items = page.items.into_iter().map(|standing| BudgetStanding {
        remaining_usd: usd(left(&standing)),
        scope: scope(&standing),
        each: each(&standing),
        used_percent: percent(standing.used, standing.limit),
        limit_usd: usd(standing.limit),
        used_usd: usd(standing.used),
        reserved_usd: usd(standing.reserved),
        window_start: standing.window.map(|(start, _)| at(start)),
        window_end: standing.window.and_then(|(_, end)| end).map(at),
        forecast_usd: standing.forecast.map(usd),
        id: standing.id,
        name: standing.name,
        soft: standing.soft,
    });
    Answer::json(&Listed {
        items: items.collect(),
        next_cursor: page.next_cursor,
    })
}

fn left(standing: &Standing) -> u64 {
    standing
        .limit
        .saturating_sub(standing.used.saturating_add(standing.reserved))
}

fn percent(used: u64, limit: u64) -> u64 {
    let percent = u128::from(used) * 100 / u128::from(limit.max(1));
    u64::try_from(percent).unwrap_or(u64::MAX)
}

fn scope(standing: &Standing) -> Scope {
    Scope {
        kind: standing.scope.clone(),
        name: standing.scope_name.clone(),
    }
}

fn each(standing: &Standing) -> Option<Each> {
    let (kind, name) = standing.each.clone()?;
    Some(Each { kind, name })
}

/// Those asked for that this operator sees.
async fn chosen(asked: &Asked, measure: impl Fn(Measure) -> bool) -> Result<Listed<Standing>, Failure> {
    let view = asked.api.view().await?;
    let tenancy = std::sync::Arc::clone(&asked.api.tenancy);
    let now_s = asked.now_s();
    // Every count there is: not on a thread that serves others meanwhile.
    let all = tokio::task::spawn_blocking(move || tenancy.standings(now_s)).await;
    let all = all.map_err(|_| Failure::internal())?;
    let limit = asked.query.number("limit", 100) as usize;
    let after = asked.query.after()?;
    let is = |name: &str, value: &str| asked.query.text(name).is_none_or(|wanted| wanted == value);
    let mut all: Vec<Standing> = all
        .into_iter()
        .filter(|standing| measure(standing.measure))
        .filter(|standing| is("scope", &standing.scope) && is("name", &standing.scope_name))
        .filter(|standing| {
            let team = team_of(&view, standing);
            let has = |wanted: Option<&str>| wanted.is_none_or(|wanted| team.as_deref() == Some(wanted));
            has(asked.only_team()) && has(asked.query.text("team"))
        })
        .filter(|standing| after.as_ref().is_none_or(|after| standing.id > *after))
        .collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    let more = all.len() > limit;
    all.truncate(limit);
    let next_cursor = all.last().filter(|_| more).map(|last| cursor(&last.id));
    Ok(Listed {
        items: all,
        next_cursor,
    })
}

/// The team whose business a standing is.
fn team_of(view: &View, standing: &Standing) -> Option<String> {
    let kind = match standing.scope.as_str() {
        "team" => return Some(standing.scope_name.clone()),
        "project" => Kind::Project,
        "user" => Kind::User,
        "key" => Kind::Key,
        _ => return None,
    };
    let item = view.get(kind, &standing.scope_name)?;
    view.team_of(kind, &item.name, &item.settings)
}
