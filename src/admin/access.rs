//! Who may use the admin API: operators by their tokens, the networks they come from, how often they may ask.
//!
//! A token is looked up by its SHA-256, so how long that takes says nothing about how much of a guess was right; nothing keeps
//! the token itself. Read once at start, as `admin` is. Not what each role may do: each route says that (`api/table.rs`).

use super::tenancy::Identity;
use crate::config::{Admin, Role};
use ipnet::IpNet;
use ring::digest::{SHA256, digest};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Shortest token of an operator.
const SHORTEST_TOKEN: usize = 32;
/// Longest bearer token that is looked at: JSON web tokens are long, but not that long.
pub(super) const LONGEST_TOKEN: usize = 8 * 1024;
/// Failed authentications of one address in a minute, after which it is not listened to.
const FAILURES: u32 = 20;
/// Requests of one operator in a minute.
const REQUESTS: u32 = 1200;
/// Addresses or operators counted apart; what comes after shares one count.
const MOST_COUNTED: usize = 4096;

/// Who may use the admin API.
pub struct Access {
    operators: HashMap<[u8; 32], Identity>,
    /// None: from anywhere.
    networks: Option<Vec<IpNet>>,
    /// Operators are configured, whether or not their tokens could be read.
    guarded: bool,
    /// Tokens of identity providers may be operators'.
    oidc: bool,
    pub(super) failures: Throttle,
    pub(super) requests: Throttle,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("operators", &self.operators.len())
            .finish_non_exhaustive()
    }
}

impl Default for Access {
    fn default() -> Self {
        Self {
            operators: HashMap::new(),
            networks: None,
            guarded: false,
            oidc: false,
            failures: Throttle::new(FAILURES),
            requests: Throttle::new(REQUESTS),
        }
    }
}

impl Access {
    /// As configured; reads the tokens. `oidc`: some identity provider's tokens carry operator roles. With it comes every
    /// problem, none with a secret in it: what has one lets nobody in, and opens nothing to those who need no token otherwise.
    pub fn new(admin: &Admin, oidc: bool) -> (Self, Vec<String>) {
        let mut access = Self {
            oidc,
            guarded: !admin.operators.is_empty(),
            networks: (!admin.allowed_ips.is_empty()).then(Vec::new),
            ..Self::default()
        };
        let mut problems = Vec::new();
        let mut shared = Vec::new();
        for (name, operator) in &admin.operators {
            let place = format!("admin.operators.{name}");
            if (operator.role == Role::TeamAdmin) != operator.team.is_some() {
                problems.push(format!("{place}: a team-admin has a `team`, and nobody else has"));
                continue;
            }
            let token = match operator.token.read() {
                Ok(token) => token,
                Err(problem) => {
                    problems.push(format!("{place}.token: {problem}"));
                    continue;
                }
            };
            if token.expose().len() < SHORTEST_TOKEN || token.expose().len() > LONGEST_TOKEN {
                problems.push(format!(
                    "{place}.token: shorter than {SHORTEST_TOKEN} characters, or far too long"
                ));
                continue;
            }
            let identity = Identity {
                name: name.clone(),
                role: operator.role,
                team: operator.team.clone(),
                via: "token",
            };
            let hash = hash(token.expose());
            if let Some(other) = access.operators.insert(hash, identity) {
                problems.push(format!("{place}.token: the same as that of `{}`", other.name));
                shared.push(hash);
            }
        }
        // Nobody can say whose it is.
        for hash in shared {
            access.operators.remove(&hash);
        }
        for network in &admin.allowed_ips {
            match network
                .parse::<IpNet>()
                .or_else(|_| network.parse::<IpAddr>().map(IpNet::from))
            {
                Ok(network) => access.networks.get_or_insert_default().push(network),
                Err(_) => problems.push(format!(
                    "admin.allowed_ips: {network:?} is not a network such as 10.0.0.0/8"
                )),
            }
        }
        (access, problems)
    }

    /// These operators, by their tokens.
    #[cfg(test)]
    pub(super) fn of(operators: impl IntoIterator<Item = (String, Identity)>, oidc: bool) -> Self {
        let operators = operators.into_iter().map(|(token, identity)| (hash(&token), identity));
        Self {
            operators: operators.collect(),
            oidc,
            ..Self::default()
        }
    }

    /// Whether anybody is an operator. If not, what needs none can be done by whoever reaches the listener.
    pub fn has_operators(&self) -> bool {
        self.oidc || self.guarded || !self.operators.is_empty()
    }

    /// Whether tokens of identity providers are worth a look.
    pub(super) fn oidc(&self) -> bool {
        self.oidc
    }

    /// Whether an address may connect.
    pub fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let within = |networks: &Vec<IpNet>| networks.iter().any(|network| network.contains(&address));
        self.networks.as_ref().is_none_or(within)
    }

    /// The operator whose token this is.
    pub(super) fn by_token(&self, token: &str) -> Option<&Identity> {
        self.operators.get(&hash(token))
    }

    /// All of them, by name.
    pub(super) fn operators(&self) -> Vec<&Identity> {
        let mut all: Vec<&Identity> = self.operators.values().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

fn hash(token: &str) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest(&SHA256, token.as_bytes()).as_ref()) {
        *to = *from;
    }
    out
}

/// What an address counts under: a whole /64 of IPv6, which one customer has.
pub(super) fn counted_as(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        None => "unknown".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Counts by name, in minutes of the clock. A bound against floods, not an exact rate.
pub(super) struct Throttle {
    per_minute: u32,
    counts: Mutex<HashMap<String, (i64, u32)>>,
}

impl Throttle {
    fn new(per_minute: u32) -> Self {
        Self {
            per_minute,
            counts: Mutex::default(),
        }
    }

    /// Seconds until there is room again, if there is none.
    pub fn full(&self, name: &str, now_ms: i64) -> Option<u64> {
        let minute = now_ms.div_euclid(60_000);
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let key = if counts.contains_key(name) || counts.len() < MOST_COUNTED {
            name
        } else {
            ""
        };
        let full = matches!(counts.get(key), Some((at, count)) if *at == minute && *count >= self.per_minute);
        let left = 60 - now_ms.rem_euclid(60_000) / 1000;
        full.then(|| u64::try_from(left).unwrap_or(60).max(1))
    }

    /// Count one.
    pub fn count(&self, name: &str, now_ms: i64) {
        let minute = now_ms.div_euclid(60_000);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST_COUNTED && !counts.contains_key(name) {
            counts.retain(|_, (at, _)| *at == minute);
        }
        let key = if counts.len() < MOST_COUNTED || counts.contains_key(name) {
            name
        } else {
            ""
        };
        let entry = counts.entry(key.to_owned()).or_insert((minute, 0));
        if entry.0 != minute {
            *entry = (minute, 0);
        }
        entry.1 = entry.1.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttle_counts_by_the_minute_and_is_bounded() {
        let throttle = Throttle::new(2);
        for (now, full) in [(0, None), (1, None), (30_000, Some(30)), (60_000, None)] {
            assert_eq!(throttle.full("a", now), full, "{now}");
            throttle.count("a", now);
        }
        assert_eq!(throttle.full("b", 60_000), None);
        for index in 0..MOST_COUNTED * 2 {
            throttle.count(&index.to_string(), 120_000);
        }
        assert!(throttle.counts.lock().unwrap().len() <= MOST_COUNTED + 1);
        // The newcomers share a count that is full by now.
        assert_eq!(throttle.full("newcomer", 120_000), Some(60));
    }

    #[test]
    fn networks_admit_and_mapped_addresses_are_seen_through() {
        let admin = Admin {
            allowed_ips: vec!["10.0.0.0/8".to_owned(), "::1".to_owned()],
            ..Admin::default()
        };
        let (access, problems) = Access::new(&admin, false);
        assert!(problems.is_empty() && !access.has_operators());
        for (address, admitted) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("::1", true),
            ("192.0.2.1", false),
        ] {
            assert_eq!(access.admits(address.parse().unwrap()), admitted, "{address}");
        }
        let wrong = Admin {
            allowed_ips: vec!["ten".to_owned()],
            ..Admin::default()
        };
        let (access, problems) = Access::new(&wrong, false);
        assert_eq!(problems.len(), 1);
        assert!(!access.admits("127.0.0.1".parse().unwrap()), "nobody, not everybody");
    }

    #[test]
    fn operators_are_found_by_the_whole_token_and_problems_hide_it() {
        let path = std::env::temp_dir().join(format!("cirque-operator-{}", std::process::id()));
        let token = "0123456789abcdef0123456789abcdef";
        let operators = |role: &str| {
            let reference = format!("file:{}", path.display());
            serde_json::from_value(serde_json::json!({"operators": {"ann": {"token": reference, "role": role}}}))
                .unwrap()
        };
        std::fs::write(&path, token).unwrap();
        let admin: Admin = operators("owner");
        let (access, _) = Access::new(&admin, false);
        assert_eq!(access.by_token(token).unwrap().name, "ann");
        assert!(access.by_token(&token[..31]).is_none());
        assert!(!format!("{access:?}").contains(token));
        let (access, problems) = Access::new(&operators("team-admin"), false);
        assert!(access.by_token(token).is_none() && problems.len() == 1);
        std::fs::write(&path, "short").unwrap();
        let (access, problems) = Access::new(&admin, false);
        assert!(access.by_token("short").is_none());
        assert!(
            access.has_operators(),
            "an operator who is not let in opens nothing to others"
        );
        let problems = problems.join("\n");
        assert!(
            problems.contains("admin.operators.ann.token") && !problems.contains("short\""),
            "{problems}"
        );
        std::fs::remove_file(&path).unwrap();
        assert!(Access::new(&admin, false).0.has_operators());
    }

    #[test]
    fn a_token_that_two_operators_share_is_nobodys() {
        let path = std::env::temp_dir().join(format!("cirque-operators-{}", std::process::id()));
        let token = "0123456789abcdef0123456789abcdef";
        std::fs::write(&path, token).unwrap();
        let reference = format!("file:{}", path.display());
        let operator = |role: &str| serde_json::json!({"token": reference, "role": role});
        let operators =
            serde_json::json!({"ann": operator("owner"), "bob": operator("auditor"), "eve": operator("admin")});
        let admin: Admin = serde_json::from_value(serde_json::json!({ "operators": operators })).unwrap();
        let (access, problems) = Access::new(&admin, false);
        assert!(access.by_token(token).is_none() && access.has_operators());
        assert_eq!(problems.len(), 2);
        std::fs::remove_file(&path).unwrap();
    }
}
