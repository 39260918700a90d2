//! Redis hangs, dies, comes back empty or with a snapshot, or forgets part of the log.

use super::{Instance, by_id, by_tag, entry, fleet, key, now_ms, settings, tagged};
use crate::support::Gate;
use crate::support::eventually;
use crate::support::redis::{Redis, installed};
use cirque::cache::{News, Shared};
use cirque::storage::redis::cache::SharedCache;
use std::time::Duration;
use tokio::sync::mpsc::unbounded_channel;

async fn nothing_answers(one: &Instance) {
    assert!(one.get(key(1)).await.is_err());
    assert!(one.put(&entry(1)).await.is_err());
    assert!(one.delete(&by_tag("gone")).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn none_there_is_an_outage_and_one_that_comes_later_is_found() {
    if !installed() {
        return;
    }
    let mut redis = Redis::start();
    redis.kill();
    let unconnected = SharedCache::open(settings(&[redis.url()])).unwrap();
    assert!(unconnected.get(key(1)).await.is_err(), "nobody follows");
    let one = Instance::begin(settings(&[redis.url()]));
    nothing_answers(&one).await;
    redis.restart();
    one.ready();
    one.put(&entry(1)).await.unwrap();
    assert!(one.has(key(1)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_hangs_is_waited_for_once_and_then_nothing_was_missed() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let mut settings = settings(&[redis.url()]);
    settings.redis.timeout = Duration::from_millis(200);
    let mut all: Vec<_> = (0..2).map(|_| Instance::start(settings.clone())).collect();
    all[0].put(&tagged(1, "gone")).await.unwrap();
    all[0].put(&entry(2)).await.unwrap();
    all[1].told().await;
    all[1].told().await;
    redis.stop();
    nothing_answers(&all[0]).await;
    // The outage is known: nobody waits.
    assert!(!all[0].available());
    let before = all[0].figures().outages;
    for _ in 0..1000 {
        nothing_answers(&all[0]).await;
    }
    assert_eq!(all[0].figures().outages, before + 3000);
    assert!(!all[0].available());
    redis.go_on();
    for one in &all {
        one.ready();
    }
    // What was deleted meanwhile is made up for, and others hear of it; nothing was missed.
    assert_eq!(all[1].told_otherwise().await, News::Deleted(by_tag("gone")));
    assert!(!all[1].has(key(1)).await && all[1].has(key(2)).await);
    assert_eq!((all[0].figures().gaps, all[1].figures().gaps), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_comes_back_empty_is_a_gap() {
    if !installed() {
        return;
    }
    let mut redis = Redis::start();
    let mut all = fleet(&redis, 3);
    for round in 1..=2 {
        all[0].put(&entry(round)).await.unwrap();
        all[1].told().await;
        redis.restart();
        eventually("it is noticed", || {
            all.iter()
                .all(|one| one.figures().gaps == u64::from(round))
                .then_some(())
        });
        for one in &mut all {
            one.ready();
            assert!(one.all_told().contains(&News::Gap));
            assert!(!one.has(key(round)).await);
            one.caught_up(&redis);
        }
        all[2].put(&entry(7)).await.unwrap();
        assert!(matches!(all[0].told().await, News::Stored(entry) if entry.key == key(7)));
        assert!(all[1].has(key(7)).await);
        let _ = all[1].all_told();
    }
}

/// A snapshot knows nothing of what was deleted after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_comes_back_with_a_snapshot_shows_nothing_of_before() {
    if !installed() {
        return;
    }
    let mut redis = Redis::with(&["--dbfilename", "dump.rdb"]);
    let mut all = fleet(&redis, 2);
    all[0].put(&entry(1)).await.unwrap();
    all[0].put(&entry(2)).await.unwrap();
    redis.command::<String>(&["SAVE"]);
    all[0].delete(&by_id(&[key(1)])).await.unwrap();
    redis.restart();
    let back: i64 = redis.command(&["EXISTS", &format!("{{cirque}}:cache:e:{}", key(1))]);
    assert_eq!(back, 1, "it is there again");
    for one in &mut all {
        eventually("it is noticed", || (one.figures().gaps == 1).then_some(()));
        one.ready();
        assert!(!one.has(key(1)).await && !one.has(key(2)).await);
        one.caught_up(&redis);
    }
    all[0].put(&entry(2)).await.unwrap();
    assert!(all[1].has(key(2)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_cut_beyond_what_was_read_is_a_gap() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let mut small = settings(&[redis.url()]);
    small.log = 10;
    let (one, gate) = (Instance::start(small.clone()), Gate::default());
    let (tell, mut told) = unbounded_channel();
    let slow = SharedCache::open(small).unwrap();
    let shut = gate.clone();
    slow.follow(move |news| {
        let _ = tell.send(news);
        shut.wait();
    })
    .unwrap();
    eventually("Redis can be asked", || slow.available().then_some(()));
    for number in 0..1000 {
        one.put(&entry(number)).await.unwrap();
    }
    let length: i64 = redis.command(&["XLEN", "{cirque}:cache:log"]);
    assert!(length < 500, "{length}");
    gate.open();
    let mut gap = false;
    loop {
        match tokio::time::timeout(crate::support::PATIENCE, told.recv())
            .await
            .unwrap()
            .unwrap()
        {
            News::Gap => gap = true,
            News::Stored(entry) if entry.key == key(999) => break,
            _ => {}
        }
    }
    assert!(gap && slow.figures().gaps == 1);
    assert!(now_ms() > 0);
}
