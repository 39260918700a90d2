//! What the admin API asks of the process about tenants, limits, prices and exports. Not the routes, which are [`crate::admin`]'s.

pub(super) mod prices;

use super::lasting::Lasting;
use super::reload::Running;
use crate::admin::{
    self, Declared, Format, Identity, Measure, NewKey, PriceEntry, Problem, RowWriter, Standing, Tenancy,
};
use crate::auth::token;
use crate::config::{self, Names, Role};
use crate::directory::tenant_kind;
use crate::gateway::App;
use crate::ledger::Row;
use crate::ledger::export::{Csv, Formulas, Parquet};
use crate::limits::{self, Bound, CountStanding, Window};
use crate::snapshot;
use crate::storage::sealed::Keyring;
use crate::storage::{Kind, Object};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

/// The process's own.
pub(super) struct Tenants {
    pub app: Arc<App>,
    /// The configuration that runs, as written.
    pub config: Running,
    pub lasting: Arc<Lasting>,
    /// The file that runs, as a document.
    pub written: Arc<ArcSwap<Value>>,
}

impl Tenants {
    /// Names of file and store together.
    fn names(&self, objects: &[Object]) -> Names {
        let mut names = Names::of(&self.config.load());
        for object in objects {
            if let Some(kind) = tenant_kind(object.kind) {
                names.add(kind, &object.name);
            }
        }
        names
    }
}

#[async_trait]
impl Tenancy for Tenants {
    async fn changed(&self) {
        match self.lasting.refresh(&self.app).await {
            Ok(_) => self.lasting.announce().await,
            Err(error) => tracing::error!(%error, "a change in the store is not known here yet"),
        }
    }

    fn declared(&self) -> Vec<Declared> {
        admin::declared(&self.config.load())
    }

    fn standings(&self, now_s: i64) -> Vec<Standing> {
        let now_ms = u64::try_from(now_s).unwrap_or_default().saturating_mul(1000);
        let accounts = self.app.accounts.load_full();
        let snapshot = self.app.snapshot.load_full();
        let of_tenants = accounts.iter().flat_map(|accounts| &accounts.bounds).flatten();
        let of_models = snapshot.models.iter().flat_map(|model| &model.bounds);
        let mut idle: Vec<&Arc<Bound>> = of_tenants.chain(of_models).collect();
        // What was used before this process began, of what nobody used since.
        for bound in &idle {
            self.app.state.bank.recall(bound, now_ms);
        }
        let used = self.app.state.bank.standings(now_ms);
        let known: HashSet<Arc<str>> = used.iter().map(|standing| Arc::clone(&standing.id)).collect();
        let mut all: Vec<Standing> = used.iter().map(standing).collect();
        // A provider's stand with every model that it may answer for.
        idle.sort_by(|a, b| a.rule().id.cmp(&b.rule().id));
        idle.dedup_by(|a, b| a.rule().id == b.rule().id);
        let idle = idle
            .into_iter()
            .filter(|bound| bound.rule().each.is_none() && !known.contains(&bound.rule().id));
        all.extend(idle.map(|bound| standing(&unused(bound))));
        all.sort_by(|a, b| (&a.scope, &a.scope_name, &a.id).cmp(&(&b.scope, &b.scope_name, &b.id)));
        all
    }

    async fn new_key(&self) -> Result<NewKey, String> {
        let secret = token::generate().map_err(|error| error.to_string())?;
        Ok(NewKey {
            hash: self.lasting.hasher().digest(secret.expose()).to_hex(),
            shown: token::shown(secret.expose()),
            secret,
        })
    }

    fn problems(&self, kind: Kind, name: &str, settings: &Value) -> Vec<Problem> {
        let Some(tenant) = tenant_kind(kind) else {
            return prices::problems(name, settings);
        };
        let names = self.names(&self.lasting.objects());
        let found = config::tenant(tenant, name, settings, &names).err().unwrap_or_default();
        let told = found.into_iter().map(|problem| Problem {
            message: format!("{}; {}", problem.message, problem.remedy),
            path: problem.path,
        });
        told.collect()
    }

    fn prices(&self, now_s: i64) -> Vec<PriceEntry> {
        prices::list(&self.config.load(), &self.lasting.objects(), now_s)
    }

    fn reprice(&self, request: &mut [Row]) {
        let snapshot = self.app.snapshot.load_full();
        prices::reprice(
            &self.config.load(),
            &self.lasting.price_table(&self.config.load()),
            &snapshot.tariff,
            request,
        );
    }

    fn config(&self) -> Value {
        self.written.load().as_ref().clone()
    }

    fn keyring(&self) -> Result<Option<Keyring>, String> {
        snapshot::keyring(&self.config.load())
    }

    fn secret_uses(&self) -> BTreeMap<String, Vec<String>> {
        config::stored_secrets(&self.config.load())
    }

    async fn operator(&self, bearer: &str, _: i64) -> Option<Identity> {
        let accounts = self.app.accounts.load_full()?;
        let issuers = accounts.issuers.as_ref()?;
        let identity = issuers.verify(bearer, SystemTime::now()).await.ok()?;
        // The roles stand in the order of what they may.
        let role = match *identity.roles.first()? {
            "owner" => Role::Owner,
            "admin" => Role::Admin,
            "team-admin" => Role::TeamAdmin,
            "auditor" => Role::Auditor,
            "read-only" => Role::ReadOnly,
            _ => return None,
        };
        Some(Identity {
            // Users are unique within their issuer only; no declared operator has a `/` in its name.
            name: format!("{}/{}", identity.issuer, identity.subject),
            role,
            team: identity.team.clone(),
            via: "oidc",
        })
    }

    fn claimed(&self, kind: Kind) -> Vec<String> {
        let config = self.config.load();
        let all = config.auth.jwt.values();
        match kind {
            Kind::User => all.map(|jwt| jwt.user_prefix().to_owned()).collect(),
            Kind::Project => {
                let read = all.filter(|jwt| jwt.claims.project.is_some());
                read.map(|jwt| jwt.tenants_prefix().to_owned()).collect()
            }
            _ => Vec::new(),
        }
    }

    fn export(&self, format: Format) -> Option<Box<dyn RowWriter>> {
        Some(match format {
            Format::Csv => Box::new(CsvRows(Csv::new(Vec::new(), Formulas::Quoted).ok())),
            Format::Parquet => Box::new(ParquetRows(Parquet::new(Vec::new()).ok())),
        })
    }
}

/// How a rule stands that nothing was counted of yet.
fn unused(bound: &Bound) -> CountStanding {
    let rule = bound.rule();
    CountStanding {
        id: Arc::clone(&rule.id),
        limit: rule.amount,
        rule: Arc::clone(rule),
        value: None,
        used: 0,
        reserved: 0,
        start: None,
        end: None,
        forecast: None,
    }
}

fn standing(of: &CountStanding) -> Standing {
    let rule = &of.rule;
    let each = rule.each.map(|each| match each {
        limits::Each::Model => "model",
        limits::Each::User => "user",
        limits::Each::Key => "key",
    });
    Standing {
        id: of.id.to_string(),
        scope: rule.scope.kind.as_str().to_owned(),
        scope_name: rule.scope.name.to_string(),
        name: rule.name.to_string(),
        measure: match rule.measure {
            limits::Measure::Requests => Measure::Requests,
            limits::Measure::Tokens => Measure::Tokens,
            limits::Measure::InputTokens => Measure::InputTokens,
            limits::Measure::OutputTokens => Measure::OutputTokens,
            limits::Measure::Concurrent => Measure::Concurrent,
            limits::Measure::NanoUsd => Measure::Usd,
        },
        each: each
            .zip(of.value.as_deref())
            .map(|(each, value)| (each.to_owned(), value.to_owned())),
        limit: of.limit,
        used: of.used,
        reserved: of.reserved,
        soft: rule.soft,
        window: of.start.map(|start| (start, of.end)),
        per_ms: match rule.window {
            Window::Sliding(per) => Some(u64::try_from(per.as_millis()).unwrap_or(u64::MAX)),
            _ => None,
        },
        forecast: of.forecast,
    }
}

/// Nothing: it could not be begun, or is finished.
struct CsvRows(Option<Csv<Vec<u8>>>);

impl RowWriter for CsvRows {
    fn write(&mut self, rows: &[Row], out: &mut Vec<u8>) -> Result<(), String> {
        let csv = self.0.as_mut().ok_or("nothing can be written")?;
        csv.rows(rows).map_err(|error| error.to_string())?;
        out.append(csv.out());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let csv = self.0.take().ok_or("nothing can be written")?;
        out.append(&mut csv.finish().map_err(|error| error.to_string())?);
        Ok(())
    }
}

/// The same for Parquet.
struct ParquetRows(Option<Parquet<Vec<u8>>>);

impl RowWriter for ParquetRows {
    fn write(&mut self, rows: &[Row], out: &mut Vec<u8>) -> Result<(), String> {
        let parquet = self.0.as_mut().ok_or("nothing can be written")?;
        parquet.rows(rows).map_err(|error| error.to_string())?;
        out.append(parquet.out());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let parquet = self.0.take().ok_or("nothing can be written")?;
        out.append(&mut parquet.finish().map_err(|error| error.to_string())?);
        Ok(())
    }
}
