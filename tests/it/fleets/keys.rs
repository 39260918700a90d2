//! Keys of a fleet: what one instance makes and revokes, the others know within seconds; and a database that is not up to date.

use super::instance::{Instance, command, written};
use super::provider::Provider;
use super::{Chat, chat, rows, within};
use crate::support::postgres;
use crate::support::redis::{self, Redis};
use std::time::{Duration, Instant};

/// Blocks for a store in PostgreSQL.
pub fn store(url: &str) -> String {
    format!("store: {{ kind: postgres, url: \"file:STATE.url\" }}\n# {url}\n")
}

/// Write a configuration whose store is this database; the address is in a file, as it may hold a password.
pub fn place(body: &str, url: &str) -> (std::path::PathBuf, std::net::SocketAddr, std::net::SocketAddr) {
    let (directory, address, admin) = written(&format!("{}{body}", store("")));
    std::fs::write(directory.join("state.url"), url).unwrap();
    (directory, address, admin)
}

/// Bring a database up to date as an operator does, then start so many on it.
pub fn fleet_on(size: usize, url: &str, body: &str) -> Vec<Instance> {
    let mut places: Vec<_> = (0..size).map(|_| place(body, url)).collect();
    let told = command(&places[0].0.join("cirque.yaml"), &["migrate"])
        .output()
        .unwrap();
    assert!(told.status.success(), "{told:?}");
    let start = |(directory, address, admin)| Instance::at(directory, address, admin);
    let fleet: Vec<Instance> = places.drain(..).map(start).collect();
    for instance in &fleet {
        instance.ready();
    }
    fleet
}

fn opens(instance: &Instance, key: &str) -> bool {
    let status = chat(instance.address, key, Chat::new(1)).status;
    assert!(matches!(status, 200 | 401), "{status}");
    status == 200
}

#[test]
fn a_database_that_is_not_up_to_date_is_refused_and_migrated() {
    let Some(server) = postgres::shared() else { return };
    let (url, provider) = (rows::fresh(server), Provider::start());
    let (directory, address, admin) = place(&provider.config(), &url);
    let config = directory.join("cirque.yaml");
    let refused = command(&config, &["serve"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("cirque migrate"), "{said}");
    let pending = command(&config, &["migrate", "--status"]).output().unwrap();
    assert_eq!(pending.status.code(), Some(1), "{pending:?}");
    let migrated = command(&config, &["migrate"]).output().unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    let again = command(&config, &["migrate"]).output().unwrap();
    assert!(
        String::from_utf8_lossy(&again.stdout).contains("up to date"),
        "{again:?}"
    );
    let instance = Instance::at(directory, address, admin);
    instance.ready();
    let key = instance.make_key("first");
    assert!(opens(&instance, &key));
}

/// Make on one, use on the other, revoke on one: how long each took on the other.
fn lives_and_dies(fleet: &[Instance]) -> (Duration, Duration) {
    let key = fleet[0].make_key("k");
    assert!(opens(&fleet[0], &key), "at once where it was made");
    let made = Instant::now();
    within(Duration::from_secs(10), "the key works on the other", || {
        opens(&fleet[1], &key).then_some(())
    });
    let made = made.elapsed();
    let (status, told) = fleet[0].admin("POST", "/admin/v1/keys/k/revoke", "");
    assert_eq!(status, 200, "{told}");
    let revoked = Instant::now();
    assert!(!opens(&fleet[0], &key), "at once where it was revoked");
    within(Duration::from_secs(10), "the key is dead on the other", || {
        (!opens(&fleet[1], &key)).then_some(())
    });
    (made, revoked.elapsed())
}

#[test]
fn a_key_made_here_works_there_and_a_revoked_one_is_dead() {
    let Some(server) = postgres::shared() else { return };
    let (url, provider) = (rows::fresh(server), Provider::start());
    let fleet = fleet_on(2, &url, &provider.config());
    let (made, revoked) = lives_and_dies(&fleet);
    println!("keys by asking the store: known after {made:?}, dead after {revoked:?}");
    assert!(
        made < Duration::from_secs(5) && revoked < Duration::from_secs(5),
        "{made:?} {revoked:?}"
    );
}

#[test]
fn with_redis_it_is_told() {
    let Some(server) = postgres::shared() else { return };
    if !redis::installed() {
        return;
    }
    let (url, provider, redis) = (rows::fresh(server), Provider::start(), Redis::start());
    let body = format!("{}redis: {{ urls: [ \"{}\" ] }}\n", provider.config(), redis.url());
    let fleet = fleet_on(2, &url, &body);
    fleet[1].wait_metric("cirque_redis_up", 1.0);
    within(Duration::from_secs(10), "both listen", || {
        let listeners: Vec<String> = redis.command(&["PUBSUB", "CHANNELS"]);
        let count: (String, i64) = redis.command(&["PUBSUB", "NUMSUB", listeners.first()?]);
        (count.1 == 2).then_some(())
    });
    let (made, revoked) = lives_and_dies(&fleet);
    println!("keys told by Redis: known after {made:?}, dead after {revoked:?}");
    assert!(
        made < Duration::from_secs(2) && revoked < Duration::from_secs(2),
        "{made:?} {revoked:?}"
    );
}
