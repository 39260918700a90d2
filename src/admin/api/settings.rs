//! Is a block that was sent one? Its shape by the same structs that read the configuration file, bounds on everything a
//! stranger could make large, tenants that exist and that this operator may name.
//!
//! What is meant beyond that (patterns, networks, hours, models) is asked of the process ([`Tenancy::problems`]).
//!
//! [`Tenancy::problems`]: crate::admin::Tenancy::problems

use super::super::tenancy::Problem;
use super::catalogue::View;
use super::{Asked, Failure};
use crate::config;
use crate::storage::Kind;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest single text of a block.
const LONGEST_TEXT: usize = 4096;
/// Entries of one list or map.
const MOST_ENTRIES: usize = 256;
/// Bytes of a whole block, as JSON.
const LARGEST: usize = 64 * 1024;
/// What names a tenant.
const TENANTS: [&str; 4] = ["organisation", "team", "project", "user"];
/// Problems told at once.
const MOST_PROBLEMS: usize = 50;

fn problem(path: impl Into<String>, message: impl Into<String>) -> Problem {
    Problem {
        path: path.into(),
        message: message.into(),
    }
}

/// Whether something may be called so.
pub(super) fn check_name(kind: Kind, name: &str) -> Result<(), Failure> {
    let more = if kind == Kind::Price { "._-@+:~/*," } else { "._-@+:~" };
    let good = |character: char| character.is_ascii_alphanumeric() || more.contains(character);
    let begins = name.starts_with(|first: char| first.is_ascii_alphanumeric() || (kind == Kind::Price && first == '*'));
    if begins && name.len() <= 128 && name.chars().all(good) {
        return Ok(());
    }
    let message = format!("not a name: 1 to 128 ASCII letters, digits and {more}, beginning with a letter or digit");
    Err(Failure::invalid_parts(vec![problem("name", message)]))
}

/// Read a block, in the form that is kept: what is left out or has its default is not in it.
pub(super) fn check(asked: &Asked, view: &View, kind: Kind, name: &str, settings: &Value) -> Result<Value, Failure> {
    let mut problems = Vec::new();
    // Structs could be read from lists too.
    if !settings.is_object() {
        return Err(Failure::invalid_parts(vec![problem("settings", "not an object")]));
    }
    if settings.to_string().len() > LARGEST {
        return Err(Failure::invalid_parts(vec![problem(
            "settings",
            format!("larger than {LARGEST} bytes"),
        )]));
    }
    bounded("settings", settings, &mut problems);
    if kind == Kind::Key {
        for field in ["secret", "hash"] {
            if settings.get(field).is_some_and(|value| !value.is_null()) {
                let message =
                    "keys made here get theirs in the answer; declare a key of your own in the configuration file";
                problems.push(problem(format!("settings.{field}"), message));
            }
        }
    }
    if !problems.is_empty() {
        problems.truncate(MOST_PROBLEMS);
        return Err(Failure::invalid_parts(problems));
    }
    let settings = match kind {
        Kind::Organisation => shaped::<config::Organisation>(settings),
        Kind::Team => shaped::<config::Team>(settings),
        Kind::Project => shaped::<config::Project>(settings),
        Kind::User => shaped::<config::User>(settings),
        Kind::Key => shaped::<config::Key>(settings),
        // Its shape is the business of who reads prices.
        Kind::Price => Ok(settings.clone()),
    };
    let settings = settings.map_err(Failure::invalid_parts)?;
    references(asked, view, kind, &settings, &mut problems);
    let meant = asked.api.tenancy.problems(kind, name, &settings);
    // To an operator of one team nothing is said of tenants beyond the above: neither which there are nor what they are called.
    let may_be_told = |problem: &Problem| {
        let place = problem.path.strip_prefix("settings.").unwrap_or(&problem.path);
        asked.only_team().is_none() || !TENANTS.contains(&place)
    };
    problems.extend(meant.into_iter().filter(may_be_told));
    if problems.is_empty() {
        return Ok(settings);
    }
    problems.truncate(MOST_PROBLEMS);
    Err(Failure::invalid_parts(problems))
}

/// By the structs of the configuration. What serde refuses with one message, the schema of the same structs explains in full.
fn shaped<T: DeserializeOwned + serde::Serialize + schemars::JsonSchema>(
    settings: &Value,
) -> Result<Value, Vec<Problem>> {
    let error = match serde_json::from_value::<T>(settings.clone()) {
        Ok(read) => return serde_json::to_value(read).map_err(|_| vec![problem("settings", "it cannot be kept")]),
        Err(error) => error.to_string(),
    };
    let schema = schemars::generate::SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>();
    let found: Vec<Problem> = match jsonschema::validator_for(&schema.to_value()) {
        Err(_) => Vec::new(),
        Ok(validator) => validator
            .iter_errors(settings)
            .take(MOST_PROBLEMS)
            .map(|fault| {
                let path = fault.instance_path().as_str().replace('/', ".");
                problem(format!("settings{path}"), short(&fault.to_string()))
            })
            .collect(),
    };
    Err(if found.is_empty() {
        vec![problem("settings", short(&error))]
    } else {
        found
    })
}

fn short(message: &str) -> String {
    message.chars().take(300).collect()
}

/// Nothing long, nothing that a terminal or a log would act on.
fn bounded(path: &str, value: &Value, problems: &mut Vec<Problem>) {
    if problems.len() >= MOST_PROBLEMS {
        return;
    }
    let text = |text: &str| {
        let odd = |c: char| {
            c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        if text.len() > LONGEST_TEXT {
            Some(format!("longer than {LONGEST_TEXT} bytes"))
        } else {
            text.chars().any(odd).then(|| "has control characters".to_owned())
        }
    };
    let many = || format!("more than {MOST_ENTRIES} entries");
    match value {
        Value::String(value) => problems.extend(text(value).map(|message| problem(path, message))),
        Value::Array(items) if items.len() > MOST_ENTRIES => problems.push(problem(path, many())),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                bounded(&format!("{path}[{index}]"), item, problems);
            }
        }
        Value::Object(map) if map.len() > MOST_ENTRIES => problems.push(problem(path, many())),
        Value::Object(map) => {
            for (key, value) in map {
                match text(key) {
                    Some(message) => problems.push(problem(path, format!("a key {message}"))),
                    None => bounded(&format!("{path}.{key}"), value, problems),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Tenants that the block names must be there; for an operator of one team, in that team.
fn references(asked: &Asked, view: &View, kind: Kind, settings: &Value, problems: &mut Vec<Problem>) {
    let fields: &[(&str, Kind)] = match kind {
        Kind::Organisation | Kind::Price => &[],
        Kind::Team => &[("organisation", Kind::Organisation)],
        Kind::Project | Kind::User => &[("team", Kind::Team)],
        Kind::Key => &[
            ("organisation", Kind::Organisation),
            ("team", Kind::Team),
            ("project", Kind::Project),
            ("user", Kind::User),
        ],
    };
    let only = asked.only_team();
    for (field, of) in fields {
        let Some(name) = settings.get(field).and_then(Value::as_str) else {
            continue;
        };
        let found = view
            .get(*of, name)
            .filter(|found| only.is_none_or(|team| view.team_of(*of, name, &found.settings).as_deref() == Some(team)));
        if found.is_none() {
            problems.push(problem(
                format!("settings.{field}"),
                format!("there is no such {field}"),
            ));
        }
    }
    if let (Some(team), Kind::Project | Kind::User | Kind::Key) = (only, kind)
        && problems.is_empty()
        && view.team_of(kind, "", settings).as_deref() != Some(team)
    {
        problems.push(problem("settings.team", "name your team, or a project or user of it"));
    }
}
