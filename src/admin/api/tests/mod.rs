//! The tenancy API over a store in memory and a process that only notes. Every answer of every test is held against the
//! OpenAPI document.

mod access_tests;
mod cache_tests;
mod document_tests;
mod memory;
mod objects_tests;
mod secrets_tests;
mod usage_tests;

use super::*;
use crate::admin::tenancy::*;
use crate::admin::{AdminState, Control, Unknown, router};
use crate::ledger::{Row, RowId, Tenant};
use crate::secret::Secret;
use crate::storage::Kind;
use crate::storage::sealed::Keyring;
use crate::telemetry::Meters;
use crate::units::{Cost, Usage};
use async_trait::async_trait;
use axum::http::Request;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use memory::Memory;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

const NOW_MS: i64 = 1_769_900_000_000;
const ROLES: [(&str, Role); 5] = [
    ("owner", Role::Owner),
    ("admin", Role::Admin),
    ("team-admin", Role::TeamAdmin),
    ("auditor", Role::Auditor),
    ("read-only", Role::ReadOnly),
];

/// The token of an operator of this name.
fn token(name: &str) -> String {
    format!("TOKEN-{name}-0123456789abcdef0123456789")
}

#[derive(Default)]
struct Process {
    keys: AtomicU64,
    changed: AtomicU64,
    /// Rows of requests that were priced, where there were several.
    together: Mutex<Vec<Vec<u16>>>,
    /// First bytes of the keys that seal.
    sealing: Mutex<Vec<u8>>,
}

#[async_trait]
impl Tenancy for Process {
    async fn changed(&self) {
        self.changed.fetch_add(1, Ordering::Relaxed);
    }

    fn declared(&self) -> Vec<Declared> {
        let block = |kind, name: &str, settings| Declared {
            kind,
            name: name.to_owned(),
            settings,
        };
        vec![
            block(Kind::Team, "written", json!({"description": "from the file"})),
            block(Kind::Key, "written-key", json!({"team": "written"})),
        ]
    }

    fn standings(&self, _: i64) -> Vec<Standing> {
        let standing = |scope: &str, name: &str, measure| Standing {
            id: format!("{scope}/{name}/{measure:?}"),
            scope: scope.to_owned(),
            scope_name: name.to_owned(),
            name: "month".to_owned(),
            measure,
            each: None,
            limit: 10_000_000_000,
            used: 2_500_000_001,
            reserved: 500_000_000,
            soft: false,
            window: Some((1_769_904_000, None)),
            per_ms: Some(60_000),
            forecast: Some(9_000_000_000),
        };
        let scopes = [
            ("team", "search"),
            ("team", "zebra"),
            ("key", "zebra-key"),
            ("key", "ci"),
            ("model", "gpt"),
        ];
        let both = [Measure::Usd, Measure::Requests];
        scopes
            .iter()
            .flat_map(|(scope, name)| both.map(|measure| standing(scope, name, measure)))
            .collect()
    }

    async fn new_key(&self) -> Result<NewKey, String> {
        let number = self.keys.fetch_add(1, Ordering::Relaxed);
        Ok(NewKey {
            secret: Secret::new(format!("cq-PLAINTEXT-{number}")),
            hash: format!("HASH-{number}"),
            shown: format!("cq-{number}…"),
        })
    }

    fn problems(&self, _: Kind, _: &str, settings: &Value) -> Vec<Problem> {
        let bad = settings["models"][0] == json!("[");
        let problem = Problem {
            path: "settings.models[0]".to_owned(),
            message: "not a pattern".to_owned(),
        };
        let near = Problem {
            path: "team".to_owned(),
            message: "no team \"zebr\"; did you mean \"zebra\"?".to_owned(),
        };
        let nearly = settings["team"] == json!("zebr");
        bad.then_some(problem)
            .into_iter()
            .chain(nearly.then_some(near))
            .collect()
    }

    fn prices(&self, _: i64) -> Vec<PriceEntry> {
        let price = |name: &str, origin: &str| PriceEntry {
            name: name.to_owned(),
            origin: origin.to_owned(),
            valid_from: None,
            usd_per_million: [("input".to_owned(), "2.5".to_owned())].into(),
            source: None,
        };
        vec![
            price("openai/gpt-4o", "builtin"),
            price("openai/o3", "builtin"),
            price("x/y", "store"),
        ]
    }

    fn reprice(&self, request: &mut [Row]) {
        if request.len() > 1 {
            self.together
                .lock()
                .unwrap()
                .push(request.iter().map(|row| row.attempt).collect());
        }
        for row in request {
            row.cost = Some(Cost {
                input: 2_000,
                ..Cost::default()
            });
        }
    }

    fn config(&self) -> Value {
        json!({"listen": "127.0.0.1:0"})
    }

    fn keyring(&self) -> Result<Option<Keyring>, String> {
        let keys = self.sealing.lock().unwrap();
        let keys: Vec<Secret> = keys
            .iter()
            .map(|byte| Secret::new(format!("{byte:02x}").repeat(32)))
            .collect();
        Ok((!keys.is_empty()).then(|| Keyring::new(&keys).unwrap()))
    }

    fn secret_uses(&self) -> BTreeMap<String, Vec<String>> {
        BTreeMap::from([("used".to_owned(), vec!["openai".to_owned(), "azure".to_owned()])])
    }

    async fn operator(&self, bearer: &str, _: i64) -> Option<Identity> {
        (bearer == "a.json.web-token").then(|| Identity {
            name: "ann@example.com".to_owned(),
            role: Role::TeamAdmin,
            team: Some("search".to_owned()),
            via: "oidc",
        })
    }

    fn export(&self, format: Format) -> Option<Box<dyn RowWriter>> {
        struct Lines;
        impl RowWriter for Lines {
            fn write(&mut self, rows: &[Row], out: &mut Vec<u8>) -> Result<(), String> {
                for row in rows {
                    let team = row.tenant.team.as_deref().unwrap_or("-");
                    out.extend_from_slice(format!("{},{team}\n", row.id).as_bytes());
                }
                Ok(())
            }

            fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
                out.extend_from_slice(b"end\n");
                Ok(())
            }
        }
        (format == Format::Csv).then(|| Box::new(Lines) as Box<dyn RowWriter>)
    }
}

impl Control for Process {
    fn targets(&self) -> Value {
        json!([{"id": "openai/gpt-4o"}])
    }

    fn act(&self, id: &str, _: crate::admin::Action) -> Result<Value, Unknown> {
        Ok(json!({"id": id}))
    }

    fn explain(&self, _: Value) -> Result<Value, crate::admin::Refused> {
        Ok(serde_json::to_value(crate::admin::Explanation::default()).unwrap())
    }
}

/// An API to ask.
struct World {
    store: Arc<Memory>,
    process: Arc<Process>,
    now: Arc<AtomicI64>,
    service: TowerToHyperService<axum::Router>,
    api: Arc<Api>,
    state: AdminState,
    drawer: Arc<cache_tests::Drawer>,
}

/// An API with two teams that listens until the process ends, for tests of what speaks to it, and an owner's token.
pub(crate) fn serving() -> (std::net::SocketAddr, String) {
    let listener = crate::admin::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let state = World::peopled().state;
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            crate::admin::serve(listener, state, std::future::pending()).await;
        });
    });
    (address, token("owner"))
}

impl World {
    /// With an operator of each role, of the team `search` where there is one, and another team's admin.
    fn new() -> Self {
        let mut operators: Vec<(String, Identity)> = ROLES
            .iter()
            .map(|(name, role)| (token(name), identity(name, *role, "search")))
            .collect();
        operators.push((token("other"), identity("other", Role::TeamAdmin, "zebra")));
        Self::with(Access::of(operators, true))
    }

    fn with(access: Access) -> Self {
        let (store, process) = (Arc::new(Memory::default()), Arc::new(Process::default()));
        let now = Arc::new(AtomicI64::new(NOW_MS));
        let clock = Arc::clone(&now);
        let clock: Clock = Arc::new(move || clock.load(Ordering::Relaxed));
        let drawer = cache_tests::filled();
        let api = Api::with_clock(access, Some(Arc::clone(&store) as _), Arc::clone(&process) as _, clock);
        let api = Arc::new(api.with_cache(Arc::clone(&drawer) as _));
        let state = AdminState {
            meters: Meters::new().unwrap(),
            readiness: Arc::default(),
            facts: Arc::new(|| json!({})),
            control: Arc::clone(&process) as _,
            api: Arc::clone(&api),
            started: Instant::now(),
        };
        let service = TowerToHyperService::new(router(state.clone()));
        Self {
            store,
            process,
            now,
            service,
            api,
            state,
            drawer,
        }
    }

    /// The same where nothing is cached.
    fn without_cache(&mut self) {
        let access = Access::of([(token("owner"), identity("owner", Role::Owner, ""))], false);
        let api = Api::new(
            access,
            Some(Arc::clone(&self.store) as _),
            Arc::clone(&self.process) as _,
        );
        self.api = Arc::new(api);
        self.state.api = Arc::clone(&self.api);
        self.service = TowerToHyperService::new(router(self.state.clone()));
    }

    /// Two teams with everything.
    fn peopled() -> Self {
        let world = Self::new();
        for team in ["search", "zebra"] {
            let [app, user, key] = ["app", "user", "key"].map(|part| format!("{team}-{part}"));
            world.store.put(Kind::Organisation, &format!("{team}-org"), json!({}));
            world
                .store
                .put(Kind::Team, team, json!({"organisation": format!("{team}-org")}));
            world.store.put(Kind::Project, &app, json!({"team": team}));
            world.store.put(Kind::User, &user, json!({"team": team}));
            world
                .store
                .put(Kind::Key, &key, json!({"project": app, "user": user, "tags": [team]}));
            for index in 0..3 {
                world.store.held.lock().unwrap().rows.push(row(team, index));
            }
        }
        world.store.put(Kind::Key, "ci", json!({"team": "search"}));
        world
    }

    async fn raw(&self, request: Request<Body>) -> (StatusCode, axum::http::HeaderMap, Vec<u8>) {
        let response = self.service.call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        (parts.status, parts.headers, body.to_vec())
    }

    /// As an operator of this name; none: without a token. The answer fits the document.
    async fn ask(&self, who: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "127.0.0.1:8081");
        if !who.is_empty() {
            request = request.header("authorization", format!("Bearer {}", token(who)));
        }
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = request
            .header("content-type", "application/json")
            .header("content-length", text.len());
        let mut request = request.body(Body::from(text)).unwrap();
        request.extensions_mut().insert(Connection {
            address: "192.0.2.7".parse().unwrap(),
            long: Arc::default(),
        });
        let (status, headers, body) = self.raw(request).await;
        let json = headers
            .get("content-type")
            .is_some_and(|kind| kind == "application/json");
        let text = String::from_utf8(body).unwrap();
        let answer = if json {
            serde_json::from_str(&text).unwrap()
        } else {
            Value::String(text)
        };
        if json {
            document_tests::fits(method, path, status.as_u16(), &answer);
        }
        (status.as_u16(), answer)
    }

    async fn get(&self, who: &str, path: &str) -> (u16, Value) {
        self.ask(who, "GET", path, Value::Null).await
    }

    #[track_caller]
    fn audit(&self) -> Vec<(String, String, String)> {
        let held = self.store.held.lock().unwrap();
        held.audit
            .iter()
            .map(|entry| (entry.action.clone(), entry.subject.clone(), entry.outcome.clone()))
            .collect()
    }
}

fn identity(name: &str, role: Role, team: &str) -> Identity {
    Identity {
        name: name.to_owned(),
        role,
        team: (role == Role::TeamAdmin).then(|| team.to_owned()),
        via: "token",
    }
}

fn row(team: &str, index: u64) -> Row {
    let at_ms = NOW_MS as u64 - 1000 * (index + 1);
    let named = |part: &str| Some(format!("{team}-{part}").into());
    Row {
        id: RowId::new(at_ms),
        attempt: 0,
        at_ms,
        tenant: Arc::new(Tenant {
            organisation: named("org"),
            team: Some(team.into()),
            project: named("app"),
            user: named("user"),
            key: named("key"),
        }),
        tags: Arc::new([team.into()]),
        metadata: Some(r#"{"a":"b"}"#.into()),
        request_id: format!("{team}-{index}").into(),
        operation: "chat",
        model: Some("gpt".into()),
        target: Some("openai/gpt-4o".into()),
        provider: Some("openai".into()),
        purpose: "first",
        status: 200,
        outcome: "ok",
        cache: "off",
        stream: false,
        latency_ms: 10,
        ttft_ms: None,
        usage: Usage {
            input: 5,
            ..Usage::default()
        },
        estimated: false,
        cost: Some(Cost {
            input: 1_000,
            ..Cost::default()
        }),
        billed: None,
        guardrails: None,
        saved: 0,
        charges: Vec::new(),
    }
}
