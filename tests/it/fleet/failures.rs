//! Redis loses its memory or hangs, an instance dies or is cut off, answers are lost: no limit is exceeded and nothing leaks.

use super::proxy::{CUT, PASS, Proxy, SILENT};
use super::{TOTAL, ask, becomes, fleet, instance, ready, report, settings, take, used};
use crate::support::eventually;
use crate::support::redis::{Redis, installed};
use cirque::limits::{Exchange, Outage, Shape};
use cirque::storage::redis::RedisExchange;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Take what one can get and spend or return it, until told to stop or refused; what was spent.
async fn spend(exchange: Arc<RedisExchange>, limit: u64, spent: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::SeqCst) {
        match take(&*exchange, ask("run", TOTAL, limit, 10, 40)).await {
            Ok(Some(amount)) => {
                spent.fetch_add(amount - 3, Ordering::SeqCst);
                // Until it arrives, or there is nobody left who would know what it is about.
                let epoch = exchange.epoch();
                let reports = [report("run", TOTAL, limit, amount - 3, 3, 0)];
                while exchange.report(&reports).await.is_err() && exchange.epoch() == epoch {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            Ok(None) => return,
            Err(Outage) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_empty_again_in_mid_run_the_fleet_stays_within_the_limit() {
    if !installed() {
        return;
    }
    let mut redis = Redis::start();
    let exchanges: Vec<_> = (0..4)
        .map(|_| {
            let mut settings = settings(&[redis.url()]);
            settings.seeding = Duration::from_secs(2);
            instance(settings)
        })
        .collect();
    let limit = 60_000;
    let (spent, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let tasks: Vec<_> = exchanges
        .iter()
        .map(|exchange| {
            tokio::spawn(spend(
                Arc::clone(exchange),
                limit,
                Arc::clone(&spent),
                Arc::clone(&stop),
            ))
        })
        .collect();
    let epoch = exchanges[0].epoch();
    for share in [4, 2] {
        tokio::task::block_in_place(|| {
            eventually("some is spent", || {
                (spent.load(Ordering::SeqCst) > limit / share).then_some(())
            });
            redis.restart();
            for exchange in &exchanges {
                ready(&**exchange);
            }
        });
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_ne!(exchanges[0].epoch(), epoch);
    let spent = spent.load(Ordering::SeqCst);
    assert!(spent <= limit, "{spent} of {limit}");
    // Forgone at most: what was on its way back, and what was granted in answers that were lost.
    assert!(spent > limit - 1_000, "{spent} of {limit}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sliding_count_is_full_after_a_loss_of_memory() {
    if !installed() {
        return;
    }
    let mut redis = Redis::start();
    let both = fleet(&redis, 2);
    let minute = Shape::Sliding(Duration::from_secs(600));
    assert_eq!(take(&*both[0], ask("s", minute, 100, 70, 0)).await, Ok(Some(70)));
    assert_eq!(take(&*both[1], ask("s", minute, 100, 30, 0)).await, Ok(Some(30)));
    both[0].report(&[report("s", minute, 100, 70, 0, 0)]).await.unwrap();
    redis.restart();
    eventually("it is noticed", || (!both[0].available()).then_some(()));
    becomes(&*both[0], "s", minute, 100).await;
    ready(&*both[1]);
    assert_eq!(take(&*both[1], ask("s", minute, 100, 1, 0)).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_snapshot_is_not_believed() {
    if !installed() {
        return;
    }
    let mut redis = Redis::with(&["--dbfilename", "dump.rdb"]);
    let both = fleet(&redis, 2);
    assert_eq!(take(&*both[0], ask("w", TOTAL, 100, 20, 0)).await, Ok(Some(20)));
    redis.command::<String>(&["SAVE"]);
    assert_eq!(take(&*both[1], ask("w", TOTAL, 100, 50, 0)).await, Ok(Some(50)));
    both[1].report(&[report("w", TOTAL, 100, 50, 0, 0)]).await.unwrap();
    redis.restart();
    eventually("it is noticed", || (!both[0].available()).then_some(()));
    becomes(&*both[0], "w", TOTAL, 70).await;
    // What was out is used for good: nobody knows whether it came back before.
    ready(&*both[1]);
    assert_eq!(both[0].report(&[report("w", TOTAL, 100, 0, 20, 1)]).await, Ok(vec![71]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_redis_is_an_outage_and_what_was_stuck_in_it_does_nothing() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let both = fleet(&redis, 2);
    assert_eq!(take(&*both[0], ask("h", TOTAL, 100, 5, 0)).await, Ok(Some(5)));
    redis.stop();
    let asks = [ask("h", TOTAL, 100, 7, 0)];
    let (a, b, c) = tokio::join!(both[0].take(&asks), both[0].take(&asks), both[1].take(&asks));
    assert_eq!((a, b, c), (Err(Outage), Err(Outage), Err(Outage)));
    assert!(!both[0].available() && !both[1].available());
    let reported = both[0].report(&[report("h", TOTAL, 100, 2, 3, 10)]).await;
    assert_eq!(reported, Err(Outage));
    redis.go_on();
    ready(&*both[0]);
    ready(&*both[1]);
    // Repeated, it counts once, and the three questions that were stuck do not count at all.
    assert_eq!(both[0].report(&[report("h", TOTAL, 100, 2, 3, 10)]).await, Ok(vec![12]));
    becomes(&*both[1], "h", TOTAL, 12).await;
    let epoch = both[0].epoch();
    assert_eq!(both[1].epoch(), epoch, "nothing was lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_out_with_a_dead_instance_returns() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let brief = || {
        let mut settings = settings(&[redis.url()]);
        settings.instance_expiry = Duration::from_millis(400);
        instance(settings)
    };
    let (one, two) = (brief(), brief());
    let hour = Shape::Sliding(Duration::from_secs(3600));
    for shape in [TOTAL, hour, Shape::Concurrent] {
        assert_eq!(take(&*one, ask("d", shape, 100, 60, 0)).await, Ok(Some(60)));
        assert_eq!(take(&*two, ask("d", shape, 100, 41, 0)).await, Ok(None));
    }
    // Spent is final.
    one.report(&[report("d", TOTAL, 100, 25, 0, 0)]).await.unwrap();
    eventually("two are alive", || (two.instances() == 2).then_some(()));
    drop(one);
    eventually("one is alive", || (two.instances() == 1).then_some(()));
    becomes(&*two, "d", TOTAL, 25).await;
    becomes(&*two, "d", hour, 0).await;
    becomes(&*two, "d", Shape::Concurrent, 0).await;
    let left: Vec<String> = redis.command(&["KEYS", "*:o:*"]);
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_gives_back_at_once() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let both = fleet(&redis, 2);
    assert_eq!(take(&*both[0], ask("l", TOTAL, 100, 60, 0)).await, Ok(Some(60)));
    both[0].leave().await;
    // An instance expires after 15 s; this waits for less.
    becomes(&*both[1], "l", TOTAL, 0).await;
    assert_eq!(take(&*both[0], ask("l", TOTAL, 100, 1, 0)).await, Err(Outage));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn room_given_in_an_answer_that_never_arrived_returns() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let proxy = Proxy::before(redis.port).await;
    let (one, other) = (instance(settings(&[proxy.url()])), instance(settings(&[redis.url()])));
    assert_eq!(take(&*one, ask("a", TOTAL, 100, 10, 0)).await, Ok(Some(10)));
    let mut lost = 0;
    while lost < 3 {
        ready(&*one);
        let before = used(&*other, "a", TOTAL).await;
        proxy.set(CUT);
        // The answer that is swallowed may be a heartbeat's; then this one is only cut.
        assert_eq!(take(&*one, ask("a", TOTAL, 100, 20, 0)).await, Err(Outage));
        lost += 1;
        assert!(before == 10);
        becomes(&*other, "a", TOTAL, 10).await;
    }
    // Of a count that was never heard of, too.
    ready(&*one);
    proxy.set(CUT);
    assert_eq!(take(&*one, ask("b", Shape::Concurrent, 100, 20, 0)).await, Err(Outage));
    becomes(&*other, "b", Shape::Concurrent, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_whose_answer_was_lost_counts_once() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let proxy = Proxy::before(redis.port).await;
    let (one, other) = (instance(settings(&[proxy.url()])), instance(settings(&[redis.url()])));
    for (shape, after) in [(TOTAL, 55), (Shape::Sliding(Duration::from_secs(3600)), 55)] {
        ready(&*one);
        assert_eq!(take(&*one, ask("r", shape, 100, 60, 0)).await, Ok(Some(60)));
        proxy.set(CUT);
        let reports = [report("r", shape, 100, 20, 10, 5)];
        assert_eq!(one.report(&reports).await, Err(Outage));
        ready(&*one);
        assert!(one.report(&reports).await.is_ok());
        becomes(&*other, "r", shape, after).await;
        // What is out is what it should be: 30 of 60.
        assert_eq!(
            one.report(&[report("r", shape, 100, 0, 40, 0)]).await,
            Ok(vec![after - 30])
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_only_cut_off_is_counted_again_when_it_returns() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let proxy = Proxy::before(redis.port).await;
    let brief = |url: String| {
        let mut settings = settings(&[url]);
        settings.instance_expiry = Duration::from_millis(400);
        instance(settings)
    };
    let (one, other) = (brief(proxy.url()), brief(redis.url()));
    assert_eq!(take(&*one, ask("c", TOTAL, 100, 60, 0)).await, Ok(Some(60)));
    proxy.set(SILENT);
    becomes(&*other, "c", TOTAL, 0).await;
    // It goes on with what it has, and says so later.
    let reports = [report("c", TOTAL, 100, 50, 0, 7)];
    assert_eq!(one.report(&reports).await, Err(Outage));
    proxy.set(PASS);
    becomes(&*other, "c", TOTAL, 60).await;
    ready(&*one);
    assert_eq!(one.report(&reports).await, Ok(vec![67]));
    assert_eq!(one.report(&[report("c", TOTAL, 100, 0, 10, 0)]).await, Ok(vec![57]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_no_stretch_is_more_granted_than_the_limit() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let both = fleet(&redis, 2);
    let per = Duration::from_millis(500);
    let origin = std::time::Instant::now();
    let tasks: Vec<_> = both
        .into_iter()
        .map(|exchange| {
            tokio::spawn(async move {
                let mut grants = Vec::new();
                while origin.elapsed() < per * 6 {
                    let from = origin.elapsed();
                    if take(&*exchange, ask("any", Shape::Sliding(per), 50, 1, 0)).await == Ok(Some(1)) {
                        grants.push((from, origin.elapsed()));
                        exchange
                            .report(&[report("any", Shape::Sliding(per), 50, 1, 0, 0)])
                            .await
                            .unwrap();
                    }
                }
                grants
            })
        })
        .collect();
    let mut grants = Vec::new();
    for task in tasks {
        grants.extend(task.await.unwrap());
    }
    assert!(grants.len() > 150, "{}", grants.len());
    for (from, _) in &grants {
        // Those that happened within the stretch for certain.
        let within = grants.iter().filter(|(a, b)| a >= from && *b < *from + per).count();
        assert!(within <= 50, "{within} within {per:?}");
    }
}
