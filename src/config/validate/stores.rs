//! The store, Redis, the ledger, prices, and operators of the admin API.

use super::super::model::{Config, Redis, Role, Store};
use super::super::problem::{Finding, Place, nearest, quoted};
use super::super::scalars::{SecretRef, is_reference};
use super::resilience::{LABEL_REMEDY, bad_label};
use super::tenancy;
use std::path::Path;
use std::time::Duration;

/// Most servers of one cluster that are written.
const MOST_URLS: usize = 64;

pub(super) fn check(config: &Config, out: &mut Vec<Finding>) {
    let root = Place::root();
    if let Some(Store::Sqlite { path: Some(path) }) = &config.store {
        plain_path(path, root.key("store").key("path"), out);
    }
    if let Some(redis) = &config.redis {
        check_redis(redis, &root.key("redis"), out);
    }
    if let Some(path) = &config.ledger.spool_dir {
        plain_path(path, root.key("ledger").key("spool_dir"), out);
    }
    if let Some(size) = config.ledger.spool_size
        && size.as_bytes() < 1 << 20
    {
        let at = root.key("ledger").key("spool_size");
        out.push(Finding::new(
            at,
            "too small to keep records in",
            "write at least `1MiB`",
        ));
    }
    operators(config, &root.key("admin"), out);
}

pub(super) fn plain_path(path: &Path, at: Place, out: &mut Vec<Finding>) {
    let text = path.to_string_lossy();
    if text.is_empty() || text.contains(char::is_control) {
        out.push(Finding::new(at, "not a path", "write a path, or remove the key"));
    }
}

fn check_redis(redis: &Redis, place: &Place, out: &mut Vec<Finding>) {
    let at = place.key("urls");
    match redis.urls.len() {
        0 => out.push(Finding::new(at.clone(), "the list is empty", "add `redis://HOST:6379`")),
        count if (2..=MOST_URLS).contains(&count) && !redis.cluster => {
            let message = "several servers that are not a cluster";
            out.push(Finding::new(at.clone(), message, "set `cluster: true`, or keep one"));
        }
        1..=MOST_URLS => {}
        count => {
            let message = format!("{count} servers, at most {MOST_URLS} are needed to find a cluster");
            return out.push(Finding::new(at, message, "keep some of them"));
        }
    }
    for (index, text) in redis.urls.iter().enumerate() {
        let bad = if is_reference(text) {
            let wrong = SecretRef::parse(text).err();
            wrong.map(|message| (message, "write `env:NAME` or `file:PATH`"))
        } else {
            bad_redis_url(text, false)
        };
        if let Some((message, remedy)) = bad {
            out.push(Finding::new(at.index(index), message, remedy));
        }
    }
    if let Some(prefix) = &redis.prefix
        && let Some(message) = bad_label(prefix, "a prefix")
    {
        out.push(Finding::new(place.key("prefix"), message, LABEL_REMEDY));
    }
    let time = |interval: Option<super::super::scalars::Interval>, default: u64| {
        interval.map_or(Duration::from_millis(default), |interval| interval.as_duration())
    };
    let (timeout, expiry) = (time(redis.timeout, 100), time(redis.instance_expiry, 15_000));
    if timeout > Duration::from_secs(10) {
        let message = "longer than 10s, for which every request would wait";
        out.push(Finding::new(
            place.key("timeout"),
            message,
            "write some hundred milliseconds",
        ));
    }
    if expiry < Duration::from_secs(2) || expiry <= timeout * 3 {
        let message = "an instance that is only slow would be taken for dead";
        let remedy = "write at least `2s`, and more than three times `timeout`";
        out.push(Finding::new(place.key("instance_expiry"), message, remedy));
    }
}

/// What is wrong with the URL of a Redis server. `secret`: it is not written in the file, and may hold a password.
pub(super) fn bad_redis_url(text: &str, secret: bool) -> Option<(String, &'static str)> {
    let remedy = "write `redis://HOST:6379`, or `rediss://` for TLS";
    let wrong = |message: &str| Some((message.to_owned(), remedy));
    let rest = text.strip_prefix("redis://").or_else(|| text.strip_prefix("rediss://"));
    let Some(rest) = rest else {
        return wrong("not the URL of a Redis server");
    };
    if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("contains a space or a character that a URL must not have");
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, host) = authority
        .rsplit_once('@')
        .map_or(("", authority), |(user, host)| (user, host));
    if !secret && user.contains(':') {
        let message = "a password must not be written into this file (its text is not repeated here)";
        return Some((
            message.to_owned(),
            "put the whole URL into the environment or a file: `env:NAME`, `file:PATH`",
        ));
    }
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (host, "6379"),
    };
    if name.is_empty() || !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return wrong("without a host, or with a port that is none");
    }
    let database = path.trim_start_matches('/').split('?').next().unwrap_or_default();
    if !database.is_empty() && database.parse::<u16>().is_err() {
        return wrong("the number of the database is none");
    }
    None
}

fn operators(config: &Config, admin: &Place, out: &mut Vec<Finding>) {
    tenancy::network_list(&config.admin.allowed_ips, &admin.key("allowed_ips"), out);
    for (name, operator) in &config.admin.operators {
        let at = admin.key("operators").key(name);
        if let Some(message) = tenancy::bad_name(name) {
            out.push(Finding {
                at_key: true,
                ..Finding::new(at.clone(), message, "write 1 to 128 visible characters without `/`")
            });
        }
        match (operator.role, &operator.team) {
            (Role::TeamAdmin, None) => {
                let message = "a team-admin of no team";
                out.push(Finding::new(at, message, "add `team: NAME-OF-THE-TEAM`"));
            }
            (Role::TeamAdmin, Some(_)) | (_, None) => {}
            (_, Some(_)) => {
                let message = "only a team-admin is bound to a team";
                out.push(Finding::new(
                    at.key("team"),
                    message,
                    "set `role: team-admin`, or remove it",
                ));
            }
        }
    }
}

pub(super) fn warn(config: &Config, out: &mut Vec<Finding>) {
    let root = Place::root();
    if config.redis.is_some() && !matches!(config.store, Some(Store::Postgres { .. })) {
        let message = "instances share counts, and each has keys and usage of its own";
        let remedy = "add `store: { kind: postgres, url: env:NAME }` when several instances run";
        out.push(Finding::new(root.key("redis"), message, remedy));
    }
    for (name, operator) in &config.admin.operators {
        let at = root.key("admin").key("operators").key(name).key("team");
        unknown_team(config, operator.team.as_deref(), at, out);
    }
}

/// A team that is not in the file may be in the store: worth a look, no more.
pub(super) fn unknown_team(config: &Config, team: Option<&str>, at: Place, out: &mut Vec<Finding>) {
    let Some(team) = team.filter(|team| !config.teams.contains_key(*team)) else {
        return;
    };
    let remedy = match nearest(team, config.teams.keys().map(String::as_str)) {
        Some(near) => format!("did you mean {}?", quoted(near)),
        None => "see that it is made by the admin API, or add it under `teams:`".to_owned(),
    };
    out.push(Finding::new(
        at,
        format!("no team {} in this file", quoted(team)),
        remedy,
    ));
}
