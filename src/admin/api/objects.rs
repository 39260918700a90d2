//! Tenants and keys as resources: listed, shown, made, changed, deleted.
//!
//! What is declared in the configuration file is shown and cannot be changed here, and nothing of its name can be made: neither
//! side silently overrides the other. An operator of one team sees and changes that team's and is told of nothing else. One
//! change at a time in this process, so that what was looked at is what is changed; between instances the revision decides.

use super::super::tenancy::Problem;
use super::catalogue::{Item, View};
use super::change::{body, changed, declared, merge, new_key, since, taken};
use super::query::cursor;
use super::table::{Parameter, READ, READ_TEAM, Route, Serve, Takes, WRITE, WRITE_TEAM, Who};
use super::views::{Create, Deleted, KeyObject, Listed, MadeKey, Origin, Patch, Replace, Shown, show, state};
use super::{Answer, Asked, Failure, settings};
use crate::config;
use crate::storage::{Change, Kind, Revision};
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

/// Names told of what is in the way of a deletion.
const MOST_TOLD: usize = 10;

const LIMIT: Parameter = Parameter::new("limit", Takes::Number(1, 500), "At most so many; default 100");
const CURSOR: Parameter = Parameter::new("cursor", Takes::Text, "`next_cursor` of the answer before");
const ORIGIN: Parameter = Parameter::new("origin", Takes::Word(&["file", "store"]), "Only those kept there");
const PREFIX: Parameter = Parameter::new("prefix", Takes::Text, "Only those whose names begin so");
const TAG: Parameter = Parameter::new("tag", Takes::Text, "Only those with this tag");
const ORGANISATION: Parameter = Parameter::new("organisation", Takes::Text, "Only those of this organisation");
const TEAM: Parameter = Parameter::new("team", Takes::Text, "Only those of this team");
const PROJECT: Parameter = Parameter::new("project", Takes::Text, "Only those of this project");
const USER: Parameter = Parameter::new("user", Takes::Text, "Only those of this user");
const STATE: Parameter = Parameter::new(
    "state",
    Takes::Word(&["live", "disabled", "expired", "revoked"]),
    "Only keys in this state",
);
const FORCE: Parameter = Parameter::new(
    "force",
    Takes::Flag,
    "Disable it instead, if something names it: it refuses everything at once and nothing is left dangling",
);

/// Handlers of one kind: list, get, create, replace, patch, delete.
macro_rules! handlers {
    ($kind:expr) => {
        [
            Serve::Api(|asked| Box::pin(list(asked, $kind))),
            Serve::Api(|asked| Box::pin(get(asked, $kind))),
            Serve::Api(|asked| Box::pin(create(asked, $kind))),
            Serve::Api(|asked| Box::pin(replace(asked, $kind))),
            Serve::Api(|asked| Box::pin(patch(asked, $kind))),
            Serve::Api(|asked| Box::pin(delete(asked, $kind))),
        ]
    };
}
/// The rows of these routes.
pub(super) fn routes() -> Vec<Route> {
    let mut all = Vec::new();
    all.extend(of_kind::<Shown<config::Organisation>, config::Organisation>(
        ["/admin/v1/organisations", "/admin/v1/organisations/{name}"],
        (READ, WRITE),
        &[LIMIT, CURSOR, ORIGIN, PREFIX, TAG],
        handlers!(Kind::Organisation),
    ));
    all.extend(of_kind::<Shown<config::Team>, config::Team>(
        ["/admin/v1/teams", "/admin/v1/teams/{name}"],
        (READ_TEAM, WRITE),
        &[LIMIT, CURSOR, ORIGIN, PREFIX, TAG, ORGANISATION],
        handlers!(Kind::Team),
    ));
    all.extend(of_kind::<Shown<config::Project>, config::Project>(
        ["/admin/v1/projects", "/admin/v1/projects/{name}"],
        (READ_TEAM, WRITE_TEAM),
        &[LIMIT, CURSOR, ORIGIN, PREFIX, TAG, ORGANISATION, TEAM],
        handlers!(Kind::Project),
    ));
    all.extend(of_kind::<Shown<config::User>, config::User>(
        ["/admin/v1/users", "/admin/v1/users/{name}"],
        (READ_TEAM, WRITE_TEAM),
        &[LIMIT, CURSOR, ORIGIN, PREFIX, TAG, ORGANISATION, TEAM],
        handlers!(Kind::User),
    ));
    let keys = of_kind::<KeyObject, config::Key>(
        ["/admin/v1/keys", "/admin/v1/keys/{name}"],
        (READ_TEAM, WRITE_TEAM),
        &[
            LIMIT,
            CURSOR,
            ORIGIN,
            PREFIX,
            TAG,
            ORGANISATION,
            TEAM,
            PROJECT,
            USER,
            STATE,
        ],
        handlers!(Kind::Key),
    );
    all.extend(keys.into_iter().map(|route| {
        let makes = route.method == Method::POST;
        let made = Route::new::<MadeKey>(route.method.clone(), route.path, route.who, route.serve, route.about);
        if makes {
            made.status(201).body::<Create<config::Key>>()
        } else {
            route
        }
    }));
    all
}

fn of_kind<T: schemars::JsonSchema, S: schemars::JsonSchema>(
    [many, one]: [&'static str; 2],
    (read, write): (&'static [config::Role], &'static [config::Role]),
    filters: &'static [Parameter],
    [list, get, create, replace, patch, delete]: [Serve; 6],
) -> [Route; 6] {
    let (read, write) = (Who::Only(read), Who::Only(write));
    [
        Route::new::<Listed<T>>(Method::GET, many, read, list, "All of them, in order of names").query(filters),
        Route::new::<T>(Method::GET, one, read, get, "One of them"),
        Route::new::<T>(Method::POST, many, write, create, "Make one")
            .body::<Create<S>>()
            .status(201),
        Route::new::<T>(Method::PUT, one, write, replace, "Replace its settings").body::<Replace<S>>(),
        Route::new::<T>(Method::PATCH, one, write, patch, "Change some of its settings").body::<Patch>(),
        Route::new::<Deleted>(Method::DELETE, one, write, delete, "Delete it, if nothing names it").query(&[FORCE]),
    ]
}

async fn list(asked: Asked, kind: Kind) -> Result<Answer, Failure> {
    let view = asked.api.view().await?;
    let limit = asked.query.number("limit", 100) as usize;
    let after = asked.query.after()?.unwrap_or_default();
    let prefix = asked.query.text("prefix").unwrap_or_default();
    let mut items = Vec::new();
    let mut next_cursor = None;
    let mut last = String::new();
    let from = if after.as_str() >= prefix { after.as_str() } else { "" };
    for name in view.names_after(kind, from).filter(|name| name.starts_with(prefix)) {
        let Some(item) = view.get(kind, name).filter(|item| wanted(&asked, &view, item)) else {
            continue;
        };
        if items.len() == limit {
            next_cursor = Some(cursor(&last));
            break;
        }
        last.clear();
        last.push_str(name);
        items.push(show(&view, &item, asked.now_s()));
    }
    Answer::json(&Listed { items, next_cursor })
}

/// Whether it passes the filters, and may be seen at all.
fn wanted(asked: &Asked, view: &View, item: &Item) -> bool {
    let query = &asked.query;
    let is = |name: &str, value: &dyn Fn() -> Option<String>| {
        query.text(name).is_none_or(|wanted| value().as_deref() == Some(wanted))
    };
    let word_of = |value: Value| value.as_str().map(str::to_owned);
    asked.sees(view, item)
        && is("origin", &|| word_of(serde_json::to_value(item.origin).ok()?))
        && is("team", &|| view.team_of(item.kind, &item.name, &item.settings))
        && is("organisation", &|| {
            view.organisation_of(item.kind, &item.name, &item.settings)
        })
        && is("project", &|| item.field("project").map(str::to_owned))
        && is("user", &|| item.field("user").map(str::to_owned))
        && is("state", &|| {
            word_of(serde_json::to_value(state(item, asked.now_s())).ok()?)
        })
        && query.text("tag").is_none_or(|wanted| {
            let tags = item.settings.get("tags").and_then(Value::as_array);
            tags.is_some_and(|tags| tags.iter().any(|tag| tag.as_str() == Some(wanted)))
        })
}

async fn get(asked: Asked, kind: Kind) -> Result<Answer, Failure> {
    let view = asked.api.view().await?;
    let item = asked.find(&view, kind)?;
    Answer::json(&show(&view, &item, asked.now_s()))
}

async fn create(asked: Asked, kind: Kind) -> Result<Answer, Failure> {
    let Create { name, settings } = body::<Create<Value>>(&asked)?;
    settings::check_name(kind, &name)?;
    if asked.only_team().is_some()
        && asked
            .api
            .tenancy
            .claimed(kind)
            .iter()
            .any(|begins| name.starts_with(&**begins))
    {
        // Whoever has the name, the tokens of that name would be of: of this team, with its limits.
        let message = format!(
            "names of {}s come from an identity provider here: an owner or admin has to make it, or the file",
            kind.as_str()
        );
        return Err(Failure::new(StatusCode::FORBIDDEN, "claimed_name", message));
    }
    asked.api.store()?;
    let _one_at_a_time = asked.api.changing.lock().await;
    let view = asked.api.view().await?;
    let mut settings = settings.unwrap_or_else(|| json!({}));
    // What an operator of one team makes is that team's, unless it says through what.
    if let (Some(team), Some(map)) = (asked.only_team(), settings.as_object_mut())
        && !["team", "project", "user"].iter().any(|field| map.contains_key(*field))
    {
        map.insert("team".to_owned(), team.into());
    }
    let settings = settings::check(&asked, &view, kind, &name, &settings)?;
    if let Some(there) = view.get(kind, &name) {
        let file = there.origin == Origin::File && asked.sees(&view, &there);
        return Err(if file { declared(kind) } else { taken(kind) });
    }
    let made = if kind == Kind::Key {
        Some(new_key(&asked).await?)
    } else {
        None
    };
    let change = Change {
        kind,
        name,
        document: Some(settings),
        hashes: made.iter().map(|(_, hash)| hash.clone()).collect(),
        expected: None,
    };
    let item = asked.change("create", change, Value::Null).await;
    let item = item.map_err(|failure| {
        if failure.code == "conflict" {
            taken(kind)
        } else {
            failure
        }
    })?;
    let shown = show(&view, &item, asked.now_s());
    match made {
        Some((secret, _)) => Answer::with(StatusCode::CREATED, &json!({"secret": secret.expose(), "key": shown})),
        None => Answer::with(StatusCode::CREATED, &shown),
    }
}

async fn replace(asked: Asked, kind: Kind) -> Result<Answer, Failure> {
    let Replace { revision, settings } = body::<Replace<Value>>(&asked)?;
    update(&asked, kind, Some(revision), "replace", |_| settings).await
}

async fn patch(asked: Asked, kind: Kind) -> Result<Answer, Failure> {
    let Patch { revision, settings } = body(&asked)?;
    if !settings.is_object() {
        return Err(Failure::invalid_parts(vec![Problem {
            path: "settings".to_owned(),
            message: "not an object".to_owned(),
        }]));
    }
    update(&asked, kind, revision, "update", |now| {
        let mut merged = now.clone();
        merge(&mut merged, settings);
        merged
    })
    .await
}

async fn update(
    asked: &Asked,
    kind: Kind,
    revision: Option<Revision>,
    action: &str,
    settings: impl FnOnce(&Value) -> Value,
) -> Result<Answer, Failure> {
    asked.api.store()?;
    let _one_at_a_time = asked.api.changing.lock().await;
    let view = asked.api.view().await?;
    let (_, object) = asked.find_own(&view, kind, revision)?;
    let settings = settings::check(asked, &view, kind, &object.name, &settings(&object.document.value()))?;
    let item = asked
        .change(
            action,
            changed(&object, settings, object.hashes.clone()),
            Asked::before(&object),
        )
        .await?;
    Answer::json(&show(&view, &since(item, &object), asked.now_s()))
}

async fn delete(asked: Asked, kind: Kind) -> Result<Answer, Failure> {
    asked.api.store()?;
    let _one_at_a_time = asked.api.changing.lock().await;
    let view = asked.api.view().await?;
    let (_, object) = asked.find_own(&view, kind, None)?;
    let used_by = if kind == Kind::Key {
        Vec::new()
    } else {
        view.users_of(kind, &object.name)
    };
    let uses = used_by.len();
    // That there are others may be told, not who they are.
    let seen = used_by.iter().filter(|item| asked.sees(&view, item)).take(MOST_TOLD);
    let used_by: Vec<String> = seen
        .map(|item| format!("{}/{}", item.kind.as_str(), item.name))
        .collect();
    if uses == 0 {
        let change = Change {
            document: None,
            ..changed(&object, Value::Null, Vec::new())
        };
        asked.change("delete", change, Asked::before(&object)).await?;
    } else if asked.query.flag("force") {
        let mut settings = object.document.value();
        merge(&mut settings, json!({"disabled": true}));
        asked
            .change(
                "disable",
                changed(&object, settings, object.hashes.clone()),
                Asked::before(&object),
            )
            .await?;
    } else {
        let mut failure = Failure::conflict(
            "in_use",
            format!(
                "{uses} name this {kind}: delete or move them first, or send `?force=true` to disable it instead, which \
                 stops all of them at once",
                kind = kind.as_str()
            ),
        );
        failure.problems = used_by
            .into_iter()
            .map(|path| Problem {
                path,
                message: format!("names this {}", kind.as_str()),
            })
            .collect();
        return Err(failure);
    }
    Answer::json(&Deleted {
        deleted: uses == 0,
        disabled: uses > 0,
        used_by,
    })
}
