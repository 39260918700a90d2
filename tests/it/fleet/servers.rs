//! Servers that are not there, hang, or hold rubbish; TLS and passwords; changes announced.

use super::{TOTAL, ask, fleet, instance, ready, report, settings, take};
use crate::support::eventually;
use crate::support::redis::{Cluster, Redis, installed};
use crate::support::tls;
use cirque::limits::{Exchange, Outage, Shape};
use cirque::storage::redis::RedisExchange;
use std::time::Duration;

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_is_an_outage_and_so_is_none_at_all() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("redis://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let exchange = RedisExchange::connect(settings(&[url])).unwrap();
    assert!(!exchange.available());
    assert_eq!(take(&*exchange, ask("x", TOTAL, 1, 1, 0)).await, Err(Outage));
    assert_eq!(exchange.report(&[report("x", TOTAL, 1, 1, 0, 0)]).await, Err(Outage));
    assert_eq!(exchange.announce(1).await, Err(Outage));
    assert_eq!(exchange.instances(), 1);
    // It has been tried: somebody connected.
    listener.accept().unwrap();
    assert!(!exchange.available());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_later_is_found_and_told_what_is_known() {
    if !installed() {
        return;
    }
    let mut redis = Redis::start();
    redis.kill();
    let exchange = RedisExchange::connect(settings(&[redis.url()])).unwrap();
    let mut first = ask("later", TOTAL, 100, 1, 0);
    first.known = 40;
    assert_eq!(take(&*exchange, first).await, Err(Outage));
    let reports = [report("later", TOTAL, 100, 0, 0, 9)];
    assert_eq!(exchange.report(&reports).await, Err(Outage));
    redis.restart();
    ready(&*exchange);
    assert_eq!(exchange.report(&reports).await, Ok(vec![49]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rubbish_in_a_count_is_an_outage_of_that_count() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let one = instance(settings(&[redis.url()]));
    let hour = Shape::Sliding(Duration::from_secs(3600));
    for (count, shape) in [("a", TOTAL), ("b", hour), ("c", Shape::Concurrent)] {
        assert_eq!(take(&*one, ask(count, shape, 9, 1, 0)).await, Ok(Some(1)));
    }
    let keys: Vec<String> = redis.command(&["KEYS", "{cirque}:[wsc]:*"]);
    assert_eq!(keys.len(), 3);
    for rubbish in ["text", "number", "fields"] {
        for key in &keys {
            redis.command::<i64>(&["DEL", key]);
            match rubbish {
                "text" => drop(redis.command::<String>(&["SET", key, "rubbish"])),
                "number" => {
                    let fields: Vec<String> = redis.command(&["HKEYS", key]);
                    assert!(fields.is_empty());
                    let slot = "99999999999999";
                    redis.command::<i64>(&["HSET", key, "u", "-5", slot, "1e9"]);
                }
                _ => drop(redis.command::<i64>(&[
                    "HSET",
                    key,
                    "u",
                    "123456789012345678901",
                    "99999999999999",
                    "\u{fffd}",
                ])),
            }
        }
        for (count, shape) in [("a", TOTAL), ("b", hour), ("c", Shape::Concurrent)] {
            assert_eq!(
                take(&*one, ask(count, shape, 9, 1, 0)).await,
                Err(Outage),
                "{rubbish} {count}"
            );
            // Arrived, and worth nothing: repeating it would not help.
            let arrived = one.report(&[report(count, shape, 9, 0, 0, 1)]).await;
            assert!(arrived.is_ok(), "{rubbish} {count}");
            assert!(one.available(), "{rubbish} {count}");
        }
    }
    assert_eq!(take(&*one, ask("d", TOTAL, 9, 1, 0)).await, Ok(Some(1)));
    // Under our own names it is an outage of everything, and it ends.
    redis.command::<i64>(&["DEL", "{cirque}:epoch"]);
    redis.command::<String>(&["SET", "{cirque}:epoch", "rubbish"]);
    assert_eq!(take(&*one, ask("d", TOTAL, 9, 1, 0)).await, Err(Outage));
    assert!(!one.available());
    redis.command::<i64>(&["DEL", "{cirque}:epoch"]);
    ready(&*one);
    assert_eq!(take(&*one, ask("d", TOTAL, 9, 1, 0)).await, Ok(Some(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_heard_by_all_and_again_after_a_restart() {
    if !installed() {
        return;
    }
    let mut redis = Redis::start();
    let both = fleet(&redis, 2);
    for revision in [7, 9] {
        for exchange in &both {
            ready(&**exchange);
        }
        let heard = [both[0].changes(), both[1].changes()];
        eventually("both have heard", || {
            let handle = tokio::runtime::Handle::current();
            let _ = tokio::task::block_in_place(|| handle.block_on(both[0].announce(revision)));
            heard.iter().all(|heard| *heard.borrow() == revision).then_some(())
        });
        redis.restart();
        eventually("it is noticed", || {
            both.iter().all(|one| !one.available()).then_some(())
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_heard_throughout_a_cluster() {
    if !installed() {
        return;
    }
    let cluster = Cluster::start();
    let all: Vec<_> = cluster
        .urls()
        .into_iter()
        .map(|url| {
            let mut settings = settings(&[url]);
            settings.cluster = true;
            instance(settings)
        })
        .collect();
    let heard: Vec<_> = all.iter().map(|one| one.changes()).collect();
    eventually("all have heard", || {
        let handle = tokio::runtime::Handle::current();
        let _ = tokio::task::block_in_place(|| handle.block_on(all[0].announce(5)));
        heard.iter().all(|heard| *heard.borrow() == 5).then_some(())
    });
    eventually("all know of all", || {
        all.iter().all(|one| one.instances() == 3).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_and_passwords_are_used_and_never_shown() {
    if !installed() {
        return;
    }
    let users = std::env::temp_dir().join(format!("cirque-users-{}.acl", std::process::id()));
    let text = "user default off\nuser cirque on >hunter2 ~{cirque}:* &{cirque}:* +@all -@dangerous +info\n";
    std::fs::write(&users, text).unwrap();
    let redis = Redis::with(&["--aclfile", users.to_str().unwrap()]);
    let url = |password: &str| format!("redis://cirque:{password}@127.0.0.1:{}", redis.port);
    let one = instance(settings(&[url("hunter2")]));
    assert_eq!(take(&*one, ask("x", TOTAL, 9, 1, 0)).await, Ok(Some(1)));
    let shown = format!("{one:?} {:?}", settings(&[url("hunter2")]));
    assert!(!shown.contains("hunter2"), "{shown}");
    let wrong = RedisExchange::connect(settings(&[url("wrong")])).unwrap();
    assert_eq!(take(&*wrong, ask("x", TOTAL, 9, 1, 0)).await, Err(Outage));
    std::fs::remove_file(&users).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_the_certificate_is_verified() {
    if !installed() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("cirque-redis-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let certificate = tls::certificate();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (cert, key) = (file("cert.pem", &certificate.cert), file("key.pem", &certificate.key));
    let ca = file("ca.pem", &certificate.authority);
    let redis = Redis::with(&[
        "--tls-port",
        "{free}",
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://localhost:{}", redis.free);
    let mut trusting = settings(std::slice::from_ref(&url));
    trusting.ca = Some(certificate.authority.clone().into_bytes());
    let one = instance(trusting.clone());
    assert_eq!(take(&*one, ask("x", TOTAL, 9, 1, 0)).await, Ok(Some(1)));
    // Neither another authority nor another name will do.
    let mut other = settings(std::slice::from_ref(&url));
    other.ca = Some(tls::certificate().authority.into_bytes());
    trusting.urls = settings(&[url.replace("localhost", "127.0.0.1")]).urls;
    for wrong in [other, settings(&[url]), trusting] {
        let refused = RedisExchange::connect(wrong).unwrap();
        let heard = refused.changes();
        eventually("it was tried", || {
            let tried: String = redis.command(&["INFO", "stats"]);
            let errors = tried
                .lines()
                .find_map(|line| line.strip_prefix("total_connections_received:"));
            errors.and_then(|n| n.trim().parse::<u64>().ok()).filter(|n| *n > 4)
        });
        assert!(!refused.available() && *heard.borrow() == 0);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
