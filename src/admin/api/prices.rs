//! Prices in force, and those that override the built-in ones; and the configuration that runs.

use super::super::tenancy::PriceEntry;
use super::change::{body, changed};
use super::query::cursor;
use super::table::{Parameter, READ, Route, Serve, Takes, WRITE, Who};
use super::views::{Deleted, Listed, show};
use super::{Answer, Asked, Failure, settings};
use crate::storage::{Change, Kind};
use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The rows of these routes.
pub(super) fn routes() -> Vec<Route> {
    const FILTERS: &[Parameter] = &[
        Parameter::new("prefix", Takes::Text, "Only those whose names begin so: `openai/`"),
        Parameter::new("name", Takes::Text, "Only this one"),
        Parameter::new(
            "origin",
            Takes::Word(&["builtin", "file", "store"]),
            "Only those from there",
        ),
        Parameter::new("limit", Takes::Number(1, 500), "At most so many; default 100"),
        Parameter::new("cursor", Takes::Text, "`next_cursor` of the answer before"),
    ];
    const ONE: &str = "/admin/v1/prices/{name}";
    const MOUNTED: &str = "/admin/v1/prices/{*name}";
    vec![
        Route::new::<Listed<PriceEntry>>(
            Method::GET,
            "/admin/v1/prices",
            Who::Only(READ),
            Serve::Api(|asked| Box::pin(list(asked))),
            "Prices in force, in order of names",
        )
        .query(FILTERS),
        Route::new::<Override>(
            Method::GET,
            ONE,
            Who::Only(READ),
            Serve::Api(|asked| Box::pin(get(asked))),
            "One that overrides the built-in ones",
        )
        .mounted(MOUNTED),
        Route::new::<Override>(
            Method::PUT,
            ONE,
            Who::Only(WRITE),
            Serve::Api(|asked| Box::pin(put(asked))),
            "Make or replace one that overrides the built-in ones; for past usage, recompute it",
        )
        .mounted(MOUNTED)
        .body::<PutPrice>(),
        Route::new::<Deleted>(
            Method::DELETE,
            ONE,
            Who::Only(WRITE),
            Serve::Api(|asked| Box::pin(delete(asked))),
            "Back to the built-in one",
        )
        .mounted(MOUNTED),
        Route::new::<Value>(
            Method::GET,
            "/admin/v1/config",
            Who::Only(READ),
            Serve::Api(|asked| Box::pin(config(asked))),
            "The configuration that runs, as written: secrets as references, never their values",
        ),
    ]
}

/// A price that overrides the built-in ones.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Override {
    /// Model id or pattern, with its provider kind: `openai/gpt-4o`.
    pub name: String,
    /// Always `store`.
    pub origin: String,
    /// Grows with every change.
    pub revision: i64,
    /// When it was made.
    pub created_at: String,
    /// When it was changed last.
    pub updated_at: String,
    /// As an entry of `conf/prices.yaml`.
    #[schemars(with = "std::collections::BTreeMap<String, Value>")]
    pub settings: Value,
}

/// A price to be kept.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutPrice {
    /// The revision it was read at, to replace one; none: there must be none of this name.
    #[serde(default)]
    pub revision: Option<i64>,
    /// As an entry of `conf/prices.yaml`.
    #[schemars(with = "std::collections::BTreeMap<String, Value>")]
    pub settings: Value,
}

async fn list(asked: Asked) -> Result<Answer, Failure> {
    let tenancy = std::sync::Arc::clone(&asked.api.tenancy);
    let now_s = asked.now_s();
    let all = tokio::task::spawn_blocking(move || tenancy.prices(now_s)).await;
    let all = all.map_err(|_| Failure::internal())?;
    let after = asked.query.after()?;
    let limit = asked.query.number("limit", 100) as usize;
    let is = |name: &str, value: &str| asked.query.text(name).is_none_or(|wanted| wanted == value);
    let prefix = asked.query.text("prefix").unwrap_or_default();
    let mut items: Vec<PriceEntry> = all
        .into_iter()
        .filter(|price| price.name.starts_with(prefix) && is("name", &price.name) && is("origin", &price.origin))
        .collect();
    // One model may have several, from different days on: a cursor is a place among all of them.
    let place = |price: &PriceEntry| format!("{}\n{}", price.name, price.valid_from.as_deref().unwrap_or_default());
    items.sort_by_cached_key(place);
    items.retain(|price| after.as_ref().is_none_or(|after| place(price) > *after));
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more).map(|last| cursor(&place(last)));
    Answer::json(&Listed { items, next_cursor })
}

async fn get(asked: Asked) -> Result<Answer, Failure> {
    let view = asked.api.view().await?;
    let item = asked.find(&view, Kind::Price)?;
    Answer::json(&show(&view, &item, asked.now_s()))
}

async fn put(asked: Asked) -> Result<Answer, Failure> {
    let sent: PutPrice = body(&asked)?;
    settings::check_name(Kind::Price, &asked.name)?;
    asked.api.store()?;
    let _one_at_a_time = asked.api.changing.lock().await;
    let view = asked.api.view().await?;
    let document = settings::check(&asked, &view, Kind::Price, &asked.name, &sent.settings)?;
    let (action, change, before) = if sent.revision.is_some() {
        let (_, object) = asked.find_own(&view, Kind::Price, sent.revision)?;
        (
            "replace",
            changed(&object, document, Vec::new()),
            Asked::before(&object),
        )
    } else if view.get(Kind::Price, &asked.name).is_some() {
        let message = "there is one of this name: read it, and send the new one with its `revision`";
        return Err(Failure::conflict("exists", message));
    } else {
        let change = Change {
            kind: Kind::Price,
            name: asked.name.clone(),
            document: Some(document),
            hashes: Vec::new(),
            expected: None,
        };
        ("create", change, Value::Null)
    };
    let item = asked.change(action, change, before).await?;
    Answer::json(&show(&view, &item, asked.now_s()))
}

async fn delete(asked: Asked) -> Result<Answer, Failure> {
    asked.api.store()?;
    let _one_at_a_time = asked.api.changing.lock().await;
    let view = asked.api.view().await?;
    let (_, object) = asked.find_own(&view, Kind::Price, None)?;
    let change = Change {
        document: None,
        ..changed(&object, Value::Null, Vec::new())
    };
    asked.change("delete", change, Asked::before(&object)).await?;
    Answer::json(&Deleted {
        deleted: true,
        disabled: false,
        used_by: Vec::new(),
    })
}

async fn config(asked: Asked) -> Result<Answer, Failure> {
    let tenancy = std::sync::Arc::clone(&asked.api.tenancy);
    let config = tokio::task::spawn_blocking(move || tenancy.config()).await;
    Answer::json(&config.map_err(|_| Failure::internal())?)
}
