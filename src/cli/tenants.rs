//! `cirque key|team|project|user|organisation …`: tenants and keys of a running gateway, over its admin API.
//!
//! A key that was just made goes to standard output and nothing else does, so that it can be sent on; what people read about it
//! goes to standard error.

use super::client::{AdminArgs, Client, Trouble, cell, pages, print, print_json, run, segment, table, with_query};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};
use std::io::Read;
use std::process::ExitCode;

/// Largest file of settings.
const LARGEST_SETTINGS: u64 = 256 * 1024;

/// What can be done to tenants of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum TenantCommand {
    /// List them.
    List {
        #[command(flatten)]
        filters: Filters,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show one.
    Show {
        /// Its name.
        name: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Make one.
    Create {
        /// Its name.
        name: String,
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Change some settings; the others stay.
    Update {
        /// Its name.
        name: String,
        #[command(flatten)]
        settings: Settings,
        /// Take a setting out, such as `expires`. May be repeated.
        #[arg(long, value_name = "SETTING")]
        unset: Vec<String>,
        /// Refuse if it is not at this revision any more.
        #[arg(long, value_name = "NUMBER")]
        revision: Option<i64>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Refuse everything that it allows, until it is enabled.
    Disable {
        /// Its name.
        name: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Allow again what it allowed.
    Enable {
        /// Its name.
        name: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Delete it.
    Delete {
        /// Its name.
        name: String,
        /// If something names it, disable it instead.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// What can be done to virtual keys beyond that.
#[expect(clippy::large_enum_variant, reason = "there is one, for the life of the process")]
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum KeyCommand {
    #[command(flatten)]
    Tenant(TenantCommand),
    /// Give it another secret, printed once; the one before works on for the overlap.
    Rotate {
        /// Its name.
        name: String,
        /// How long the secret before works on; `0s`: it stops at once.
        #[arg(long, default_value = "24h", value_name = "DURATION")]
        overlap: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Its secrets open nothing ever again.
    Revoke {
        /// Its name.
        name: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Which ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Filters {
    /// Only those of this organisation.
    #[arg(long)]
    organisation: Option<String>,
    /// Only those of this team.
    #[arg(long)]
    team: Option<String>,
    /// Only keys of this project.
    #[arg(long)]
    project: Option<String>,
    /// Only keys of this user.
    #[arg(long)]
    user: Option<String>,
    /// Only keys in this state: live, disabled, expired, revoked.
    #[arg(long)]
    state: Option<String>,
    /// Only those with this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Only those kept there: file, store.
    #[arg(long)]
    origin: Option<String>,
    /// Only those whose names begin so.
    #[arg(long)]
    prefix: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 1000)]
    limit: usize,
}

/// What it says. Everything that has no option of its own goes through `--settings`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Settings {
    /// JSON file with settings, as in the configuration; `-` for standard input. Options add to it.
    #[arg(long, value_name = "FILE")]
    settings: Option<String>,
    /// The organisation it belongs to.
    #[arg(long)]
    organisation: Option<String>,
    /// The team it belongs to.
    #[arg(long)]
    team: Option<String>,
    /// The project a key is used for.
    #[arg(long)]
    project: Option<String>,
    /// Who uses a key.
    #[arg(long)]
    user: Option<String>,
    /// What it is for.
    #[arg(long)]
    description: Option<String>,
    /// From when on it allows nothing, as 2027-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// A public model, or a pattern, that may be asked for. May be repeated.
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<String>,
    /// A network that requests may come from. May be repeated.
    #[arg(long = "allow-ip", value_name = "NETWORK")]
    allowed_ips: Vec<String>,
    /// A word to group usage by. May be repeated.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// A name and value of your own. May be repeated.
    #[arg(long = "metadata", value_name = "NAME=VALUE")]
    metadata: Vec<String>,
    /// A budget, as 250/month. May be repeated.
    #[arg(long = "budget", value_name = "USD/PERIOD")]
    budgets: Vec<String>,
    /// A limit, as requests=100/1m, tokens=50000/1h, concurrent=8. May be repeated.
    #[arg(long = "limit", value_name = "WHAT=NUMBER/TIME")]
    limits: Vec<String>,
}

impl Settings {
    /// As JSON.
    fn read(&self) -> Result<Map<String, Value>, Trouble> {
        let mut read = match &self.settings {
            None => Map::new(),
            Some(path) => file(path)?,
        };
        let texts = [
            ("organisation", &self.organisation),
            ("team", &self.team),
            ("project", &self.project),
            ("user", &self.user),
            ("description", &self.description),
            ("expires", &self.expires),
        ];
        let texts = texts
            .into_iter()
            .filter_map(|(name, value)| Some((name, json!(value.as_ref()?))));
        let lists = [
            ("models", &self.models),
            ("allowed_ips", &self.allowed_ips),
            ("tags", &self.tags),
        ];
        let lists = lists
            .into_iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(name, list)| (name, json!(list)));
        for (name, value) in texts.chain(lists) {
            read.insert(name.to_owned(), value);
        }
        let mut metadata = Map::new();
        for pair in &self.metadata {
            let wrong = || Trouble::input(format!("--metadata {pair}: write NAME=VALUE"));
            let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
            metadata.insert(name.to_owned(), value.into());
        }
        if !metadata.is_empty() {
            read.insert("metadata".to_owned(), metadata.into());
        }
        let budgets: Vec<Value> = self.budgets.iter().map(|text| budget(text)).collect::<Result<_, _>>()?;
        let limits: Vec<Value> = self.limits.iter().map(|text| limit(text)).collect::<Result<_, _>>()?;
        for (name, list) in [("budgets", budgets), ("limits", limits)] {
            if !list.is_empty() {
                read.insert(name.to_owned(), list.into());
            }
        }
        Ok(read)
    }
}

fn file(path: &str) -> Result<Map<String, Value>, Trouble> {
    let failed = |error: &dyn std::fmt::Display| Trouble::input(format!("{path}: {error}"));
    let source: Box<dyn Read> = if path == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(|error| failed(&error))?)
    };
    let mut text = String::new();
    source
        .take(LARGEST_SETTINGS)
        .read_to_string(&mut text)
        .map_err(|error| failed(&error))?;
    serde_json::from_str(&text).map_err(|error| failed(&format_args!("not a JSON object: {error}")))
}

/// `250/month`
fn budget(text: &str) -> Result<Value, Trouble> {
    let (usd, period) = text.split_once('/').unwrap_or((text, "month"));
    if usd.is_empty() || period.is_empty() {
        return Err(Trouble::input(format!("--budget {text}: write it as 250/month")));
    }
    Ok(json!({"usd": usd, "period": period}))
}

/// `requests=100/1m`
fn limit(text: &str) -> Result<Value, Trouble> {
    let wrong = || Trouble::input(format!("--limit {text}: write it as requests=100/1m"));
    let (what, rest) = text.split_once('=').ok_or_else(wrong)?;
    let (number, per) = rest
        .split_once('/')
        .map_or((rest, None), |(number, per)| (number, Some(per)));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    if !["requests", "tokens", "input_tokens", "output_tokens", "concurrent"].contains(&what) {
        return Err(wrong());
    }
    let mut limit = Map::new();
    limit.insert(what.to_owned(), number.into());
    if let Some(per) = per {
        limit.insert("per".to_owned(), per.into());
    }
    Ok(limit.into())
}

/// `cirque key …`
pub fn key(command: &KeyCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeyCommand::Tenant(command) => tenant("keys", command),
        KeyCommand::Rotate { name, overlap, admin } => run(admin, async |client| {
            let path = format!("/admin/v1/keys/{}/rotate", segment(name));
            let made = client
                .ask(Method::POST, &path, Some(&json!({"overlap": overlap})))
                .await?;
            made_key(&client, name, &made)
        }),
        KeyCommand::Revoke { name, admin } => run(admin, async |client| act(&client, "keys", name, "revoke").await),
    }
}

/// `cirque team …` and the others, by the last part of their path.
pub fn tenant(plural: &str, command: &TenantCommand) -> anyhow::Result<ExitCode> {
    let one = |name: &str| format!("/admin/v1/{plural}/{}", segment(name));
    match command {
        TenantCommand::List { filters, admin } => run(admin, async |client| list(&client, plural, filters).await),
        TenantCommand::Show { name, admin } => run(admin, async |client| {
            let shown = client.get(&one(name)).await?;
            print_json(&shown)?;
            Ok(ExitCode::SUCCESS)
        }),
        TenantCommand::Create { name, settings, admin } => run(admin, async |client| {
            let body = json!({"name": name, "settings": settings.read()?});
            let made = client
                .ask(Method::POST, &format!("/admin/v1/{plural}"), Some(&body))
                .await?;
            if plural == "keys" {
                return made_key(&client, name, &made);
            }
            done(&client, &made, &format!("{name} made"))
        }),
        TenantCommand::Update {
            name,
            settings,
            unset,
            revision,
            admin,
        } => run(admin, async |client| {
            let mut settings = settings.read()?;
            settings.extend(unset.iter().map(|name| (name.clone(), Value::Null)));
            if settings.is_empty() {
                return Err(Trouble::input("nothing to change: name a setting"));
            }
            let body = json!({"settings": settings, "revision": revision});
            let changed = client.ask(Method::PATCH, &one(name), Some(&body)).await?;
            done(&client, &changed, &format!("{name} changed"))
        }),
        TenantCommand::Disable { name, admin } => run(admin, async |client| switch(&client, plural, name, true).await),
        TenantCommand::Enable { name, admin } => run(admin, async |client| switch(&client, plural, name, false).await),
        TenantCommand::Delete { name, force, admin } => run(admin, async |client| {
            let path = with_query(&one(name), [("force", force.then(|| "true".to_owned()))]);
            let deleted = client.ask(Method::DELETE, &path, None).await?;
            let text = match deleted.get("deleted") {
                Some(Value::Bool(true)) => format!("{name} deleted"),
                _ => format!("{name} disabled; still named by {}", cell(&deleted, "/used_by")),
            };
            done(&client, &deleted, &text)
        }),
    }
}

async fn switch(client: &Client, plural: &str, name: &str, off: bool) -> Result<ExitCode, Trouble> {
    if plural == "keys" {
        return act(client, plural, name, if off { "disable" } else { "enable" }).await;
    }
    let path = format!("/admin/v1/{plural}/{}", segment(name));
    let disabled = if off { json!(true) } else { Value::Null };
    let body = json!({"settings": {"disabled": disabled}});
    let changed = client.ask(Method::PATCH, &path, Some(&body)).await?;
    done(
        client,
        &changed,
        &format!("{name} {}", if off { "disabled" } else { "enabled" }),
    )
}

async fn act(client: &Client, plural: &str, name: &str, action: &str) -> Result<ExitCode, Trouble> {
    let path = format!("/admin/v1/{plural}/{}/{action}", segment(name));
    let key = client.ask(Method::POST, &path, Some(&json!({}))).await?;
    done(client, &key, &format!("{name} is {}", cell(&key, "/state")))
}

fn done(client: &Client, answer: &Value, text: &str) -> Result<ExitCode, Trouble> {
    if client.json {
        print_json(answer)?;
    } else {
        print(&format!("{text}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The key to standard output, the rest to standard error.
fn made_key(client: &Client, name: &str, made: &Value) -> Result<ExitCode, Trouble> {
    if client.json {
        print_json(made)?;
        return Ok(ExitCode::SUCCESS);
    }
    let secret = made.get("secret").and_then(Value::as_str).unwrap_or_default();
    eprintln!("{name}: this is its secret, shown this once and kept nowhere:");
    print(&format!("{secret}\n"))?;
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &Client, plural: &str, filters: &Filters) -> Result<ExitCode, Trouble> {
    let own = |value: &Option<String>| value.clone();
    let path = with_query(
        &format!("/admin/v1/{plural}"),
        [
            ("organisation", own(&filters.organisation)),
            ("team", own(&filters.team)),
            ("project", own(&filters.project)),
            ("user", own(&filters.user)),
            ("state", own(&filters.state)),
            ("tag", own(&filters.tag)),
            ("origin", own(&filters.origin)),
            ("prefix", own(&filters.prefix)),
            ("limit", Some(filters.limit.clamp(1, 500).to_string())),
        ],
    );
    let (items, more) = pages(client, &path, filters.limit).await?;
    if client.json {
        print_json(&Value::Array(items))?;
    } else {
        print(&rendered(plural, &items))?;
    }
    if more {
        eprintln!("cirque: there are more: --limit says how many are shown");
    }
    Ok(ExitCode::SUCCESS)
}

fn rendered(plural: &str, items: &[Value]) -> String {
    let columns: &[(&str, &str)] = match plural {
        "keys" => &[
            ("NAME", "/name"),
            ("STATE", "/state"),
            ("TEAM", "/team"),
            ("PROJECT", "/settings/project"),
            ("USER", "/settings/user"),
            ("SECRET", "/credentials/0/shown"),
            ("EXPIRES", "/settings/expires"),
            ("ORIGIN", "/origin"),
        ],
        "organisations" | "teams" => &[
            ("NAME", "/name"),
            ("ORGANISATION", "/settings/organisation"),
            ("DISABLED", "/settings/disabled"),
            ("ORIGIN", "/origin"),
            ("DESCRIPTION", "/settings/description"),
        ],
        _ => &[
            ("NAME", "/name"),
            ("TEAM", "/settings/team"),
            ("DISABLED", "/settings/disabled"),
            ("ORIGIN", "/origin"),
            ("DESCRIPTION", "/settings/description"),
        ],
    };
    let head: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| columns.iter().map(|(_, path)| cell(item, path)).collect())
        .collect();
    table(&head, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_settings() {
        let settings = Settings {
            team: Some("search".to_owned()),
            tags: vec!["a".to_owned()],
            metadata: vec!["cost-centre=42=x".to_owned()],
            budgets: vec!["250/day".to_owned(), "9".to_owned()],
            limits: vec!["requests=100/1m".to_owned(), "concurrent=8".to_owned()],
            ..Settings::default()
        };
        let expected = json!({"team": "search", "tags": ["a"], "metadata": {"cost-centre": "42=x"},
            "budgets": [{"usd": "250", "period": "day"}, {"usd": "9", "period": "month"}],
            "limits": [{"requests": 100, "per": "1m"}, {"concurrent": 8}]});
        assert_eq!(Value::Object(settings.read().unwrap()), expected);
        for (limits, budgets) in [
            ("requests", "1"),
            ("requests=-1", "1"),
            ("wishes=3", "1"),
            ("requests=1", "/day"),
        ] {
            let settings = Settings {
                budgets: vec![budgets.to_owned()],
                limits: vec![limits.to_owned()],
                ..Settings::default()
            };
            assert_eq!(settings.read().unwrap_err().status, 2, "{limits} {budgets}");
        }
    }

    #[test]
    fn keys_are_shown_as_a_table() {
        let items = [
            json!({"name": "ci", "state": "live", "team": "search", "origin": "store", "settings": {},
            "credentials": [{"shown": "cq-3fA…"}]}),
        ];
        let expected = "NAME  STATE  TEAM    PROJECT  USER  SECRET   EXPIRES  ORIGIN\n\
                        ci    live   search  -        -     cq-3fA…  -        store\n";
        assert_eq!(rendered("keys", &items), expected);
    }
}
