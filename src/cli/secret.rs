//! `cirque secret …`: credentials of providers that the store keeps sealed, over a running gateway's admin API, or straight into
//! the store before the first start.
//!
//! A value comes from standard input and goes to the gateway; it stands on no command line and is printed nowhere.

use super::client::{AdminArgs, Client, Trouble, cell, print, print_json, run as running, segment, table, with_query};
use super::migrate::place_of;
use crate::clock;
use crate::config::{Config, Located, is_stored_name};
use crate::secret::Secret;
use crate::snapshot::keyring;
use crate::storage::sealed::{Sealed, unfit};
use crate::storage::{self, AuditNote, PROVIDER_SECRET, Store};
use anyhow::{Context, anyhow, bail};
use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};
use std::io::{BufRead, IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

/// Most that is read of standard input: more than any value may have.
const LARGEST: u64 = 128 * 1024;

const COLUMNS: &[(&str, &str)] = &[
    ("NAME", "/name"),
    ("CHANGED", "/changed_at"),
    ("SEALED WITH", "/sealing_key"),
    ("OUTDATED", "/outdated"),
    ("USED BY", "/used_by"),
];

/// What can be done to secrets.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum SecretCommand {
    /// Keep a secret for providers that name it as `store:NAME`, in place of the one before. Its value is read from standard
    /// input, never from the command line.
    Set {
        /// Its name.
        name: String,
        /// Write it into the store that this configuration names, without a gateway: before the first start.
        #[arg(short, long, value_name = "FILE", conflicts_with_all = ["admin", "token"])]
        config: Option<PathBuf>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// List them; never their values.
    List {
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Forget one.
    Delete {
        /// Its name.
        name: String,
        /// Also if a provider uses it.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Seal all of them with the first of `secrets.keys`: after a new key was put there, before the old one is taken out.
    Reseal {
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// `cirque secret …`
pub fn run(command: &SecretCommand) -> anyhow::Result<ExitCode> {
    match command {
        SecretCommand::Set {
            name,
            config: Some(file),
            ..
        } => {
            let config = Located::load(file).map_err(|problems| anyhow!("{problems}"))?.config;
            keep(&config, name, &value()?)?;
            Ok(ExitCode::SUCCESS)
        }
        SecretCommand::Set { name, admin, .. } => {
            let value = value()?;
            running(admin, async |client| set(&client, name, &value).await)
        }
        SecretCommand::List { admin } => running(admin, async |client| list(&client).await),
        SecretCommand::Delete { name, force, admin } => {
            let force = force.then(|| "true".to_owned());
            let path = with_query(&path_of(name), [("force", force)]);
            running(admin, async |client| {
                client.ask(Method::DELETE, &path, Some(&json!({}))).await?;
                Ok(ExitCode::SUCCESS)
            })
        }
        SecretCommand::Reseal { admin } => running(admin, async |client| reseal(&client).await),
    }
}

fn path_of(name: &str) -> String {
    format!("/admin/v1/secrets/{}", segment(name))
}

async fn set(client: &Client, name: &str, value: &Secret) -> Result<ExitCode, Trouble> {
    let body = json!({ "value": value.expose() });
    let answer = client.ask(Method::PUT, &path_of(name), Some(&body)).await?;
    if client.json {
        print_json(&answer)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &Client) -> Result<ExitCode, Trouble> {
    let answer = client.get("/admin/v1/secrets").await?;
    let items = answer
        .get("items")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if client.json {
        print_json(&Value::Array(items))?;
    } else {
        let head: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
        let row = |item: &Value| COLUMNS.iter().map(|(_, path)| cell(item, path)).collect();
        let rows: Vec<Vec<String>> = items.iter().map(row).collect();
        print(&table(&head, &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn reseal(client: &Client) -> Result<ExitCode, Trouble> {
    let answer = client.ask(Method::POST, "/admin/v1/reseal", Some(&json!({}))).await?;
    let failed = answer
        .get("failed")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    if client.json {
        print_json(&answer)?;
    } else {
        print(&format!(
            "sealed again with key {}: {}\n",
            cell(&answer, "/sealing_key"),
            cell(&answer, "/resealed")
        ))?;
    }
    for (name, why) in &failed {
        let why = why.as_str().unwrap_or_default();
        eprintln!("cirque: {name}: {why}; set it again: `cirque secret set {name}`");
    }
    Ok(ExitCode::from(u8::from(!failed.is_empty())))
}

/// What standard input says.
fn value() -> anyhow::Result<Secret> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprintln!("type or paste the secret, then Enter:");
        let mut line = String::new();
        stdin.lock().take(LARGEST).read_line(&mut line)?;
        return fit(line);
    }
    let mut text = String::new();
    let read = stdin.lock().take(LARGEST).read_to_string(&mut text);
    // Of what is no UTF-8 the error tells nothing.
    read.context("standard input")?;
    fit(text)
}

fn fit(text: String) -> anyhow::Result<Secret> {
    let secret = Secret::new(text);
    match unfit(&secret) {
        Some(unfit) => bail!("{unfit}"),
        None => Ok(secret),
    }
}

/// Straight into the store of a configuration; a gateway that runs on it finds it within seconds.
fn keep(config: &Config, name: &str, value: &Secret) -> anyhow::Result<()> {
    if !is_stored_name(name) {
        bail!("not a name: 1 to 128 ASCII letters, digits and `.`, `_`, `-`, beginning with a letter or digit");
    }
    let ring = keyring(config).map_err(anyhow::Error::msg)?;
    let ring =
        ring.context("the configuration names no key to seal with: add `secrets: { keys: [env:CIRQUE_SECRETS_KEY] }`")?;
    let sealed = ring.seal(PROVIDER_SECRET, name, value)?;
    let place = place_of(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("starting a runtime")?.block_on(async {
        let store = storage::open(&place).await?;
        noted(&*store, name, &sealed).await
    })
}

/// Noted as the admin API does: before, and after.
async fn noted(store: &dyn Store, name: &str, sealed: &Sealed) -> anyhow::Result<()> {
    let mut note = AuditNote {
        at_ms: i64::try_from(clock::now_ms()).unwrap_or(i64::MAX),
        actor: "cli".to_owned(),
        role: "owner".to_owned(),
        from: "this machine".to_owned(),
        action: "secret.set".to_owned(),
        subject: format!("secret/{name}"),
        detail: json!({"after": {"sealing_key": sealed.key()}}),
        outcome: "begun".to_owned(),
    };
    let number = store.audit(&note).await?;
    let kept = store.put_secret(PROVIDER_SECRET, name, sealed).await;
    note.detail = json!({ "completes": number });
    note.outcome = if kept.is_ok() { "done" } else { "failed: the store" }.to_owned();
    store.audit(&note).await?;
    Ok(kept?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("cirque-secret-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn configured(folder: &Path, keys: &str) -> Config {
        let text = format!(
            "listen: 127.0.0.1:0\ninsecure: {{ open_access: true }}\nserver: {{ state_dir: {} }}\n\
             providers: {{ d: {{ kind: demo }} }}\nmodels: {{ m: {{ targets: [ {{ provider: d }} ] }} }}\nsecrets: {{ keys: {keys} }}\n",
            folder.display()
        );
        crate::config::parse(&text, "test").unwrap()
    }

    #[test]
    fn a_secret_goes_straight_into_the_store_sealed_and_noted() {
        let folder = folder();
        let key = folder.join("key");
        std::fs::write(&key, "ab".repeat(32)).unwrap();
        let config = configured(&folder, &format!("[ \"file:{}\" ]", key.display()));
        let value = Secret::new("sk-CANARY".to_owned());
        keep(&config, "openai", &value).unwrap();
        for (name, keys, part) in [("openai", "[]", "secrets: { keys"), ("a/b", "[]", "not a name")] {
            let problem = keep(&configured(&folder, keys), name, &value).unwrap_err().to_string();
            assert!(problem.contains(part), "{problem}");
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (secrets, notes) = runtime.block_on(async {
            let store = storage::open(&place_of(&config).unwrap()).await.unwrap();
            (
                store.secrets(PROVIDER_SECRET).await.unwrap(),
                store.audit_log(0, 9).await.unwrap(),
            )
        });
        let ring = keyring(&config).unwrap().unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        assert_eq!(ring.open(PROVIDER_SECRET, "openai", &secrets["openai"]).unwrap(), value);
        assert_eq!(notes.len(), 2);
        assert!(!format!("{notes:?}").contains("CANARY"));
    }

    #[test]
    fn what_no_provider_could_use_is_refused_without_repeating_it() {
        for text in ["", " \n", "CANARY\nCANARY", &"CANARY".repeat(20_000)] {
            assert!(!format!("{:#}", fit(text.to_owned()).unwrap_err()).contains("CANARY"));
        }
        assert!(fit("{\n}".to_owned()).is_ok());
    }
}
