//! Deletions: how soon they are everywhere, what is under way, many, and by whom they are finished.

use super::{Instance, by_id, by_tag, entry, everything, fleet, key, now_ms, settings, tagged};
use crate::support::Gate;
use crate::support::redis::{Redis, installed};
use cirque::cache::{News, Selection, Shared};
use cirque::storage::redis::cache::SharedCache;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc::unbounded_channel;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletions_are_told_to_others_soon() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let mut all = fleet(&redis, 3);
    let mut took = Vec::new();
    for number in 0..200 {
        all[0].put(&tagged(number, "t")).await.unwrap();
        let begun = Instant::now();
        let selection = if number % 2 == 0 {
            by_id(&[key(number)])
        } else {
            by_tag("t")
        };
        all[0].delete(&selection).await.unwrap();
        for other in [1, 2] {
            assert_eq!(all[other].told_otherwise().await, News::Deleted(selection.clone()));
        }
        took.push(begun.elapsed());
        assert!(!all[1].has(key(number)).await);
    }
    took.sort();
    println!(
        "a deletion is told to two others after: median {:?}, 99 % {:?}, longest {:?}",
        took[100], took[197], took[199]
    );
}

/// An instance that has not read the deletion cannot keep what it covers, whenever it asks; having read it, it can keep what was
/// begun after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_under_way_does_not_come_back() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let (mut one, gate) = (Instance::start(settings(&[redis.url()])), Gate::default());
    let (tell, mut reached) = unbounded_channel();
    let slow = SharedCache::open(settings(&[redis.url()])).unwrap();
    let shut = gate.clone();
    slow.follow(move |news| {
        let _ = tell.send(news);
        shut.wait();
    })
    .unwrap();
    let slow = Instance {
        cache: slow,
        news: unbounded_channel().1,
    };
    slow.ready();
    slow.put(&tagged(1, "t")).await.unwrap();
    one.told().await;
    // From here on the slow one reads nothing.
    one.put(&entry(99)).await.unwrap();
    reached.recv().await.unwrap();
    assert_eq!(one.delete(&by_tag("t")).await.unwrap(), 1);
    assert_eq!(one.delete(&by_id(&[key(7)])).await.unwrap(), 0);
    for late in [tagged(1, "t"), tagged(2, "t"), entry(7)] {
        slow.put(&late).await.unwrap();
        assert!(!one.has(late.key).await && !slow.has(late.key).await);
    }
    assert_eq!(slow.figures().refused, 3);
    slow.put(&tagged(3, "other")).await.unwrap();
    assert!(one.has(key(3)).await, "what is not covered is kept");

    gate.open();
    slow.caught_up(&redis);
    // Begun before it was read, ended after.
    let begun = now_ms() - 60_000;
    slow.put_since(&tagged(4, "t"), begun).await.unwrap();
    assert!(!one.has(key(4)).await);
    slow.put(&tagged(4, "t")).await.unwrap();
    assert!(one.has(key(4)).await);
}

/// Many keep and one deletes, all at once: nothing that was begun before the deletion was is there after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_keep_while_one_deletes_nothing_older_is_left() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let all: Vec<Arc<SharedCache>> = fleet(&redis, 3).into_iter().map(|one| one.cache).collect();
    for round in 0..10_u32 {
        let keepers: Vec<_> = (0..4_u32)
            .map(|number| {
                let cache = Arc::clone(&all[(number % 2) as usize]);
                tokio::spawn(async move {
                    let mut kept = Vec::new();
                    for step in 0..50 {
                        let one = tagged(round * 1000 + number * 100 + step, "t");
                        cache.put(&one).await.unwrap();
                        kept.push(one);
                    }
                    kept
                })
            })
            .collect();
        tokio::task::yield_now().await;
        let begun = now_ms();
        let selection = if round % 2 == 0 { by_tag("t") } else { everything() };
        all[2].delete(&selection).await.unwrap();
        let mut left = 0;
        for keeper in keepers {
            for one in keeper.await.unwrap() {
                if all[2].get(one.key).await.unwrap().is_some() {
                    left += 1;
                    assert!(
                        one.made_ms >= begun,
                        "begun {} ms before the deletion",
                        begun - one.made_ms
                    );
                }
            }
        }
        println!("round {round}: {left} of 200 are younger than the deletion");
        all[2].delete(&everything()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_of_thousands_goes_in_steps_and_leaves_nothing() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let one = Instance::start(settings(&[redis.url()]));
    for number in 0..3000 {
        one.put(&tagged(number, if number % 3 == 0 { "t" } else { "u" }))
            .await
            .unwrap();
    }
    let begun = Instant::now();
    assert_eq!(one.delete(&by_tag("t")).await.unwrap(), 1000);
    assert_eq!(one.delete(&everything()).await.unwrap(), 2000);
    println!("3 000 answers were deleted in {:?}", begun.elapsed());
    let left: Vec<String> = redis.command(&["KEYS", "{cirque}:cache:[ex]:*"]);
    assert!(left.is_empty(), "{left:?}");
    // Nothing in Redis waited for long.
    let slow: String = redis.command(&["INFO", "commandstats"]);
    assert!(
        !slow.contains("cmdstat_keys:calls=2") && !slow.contains("cmdstat_flush") && !slow.contains("cmdstat_scan:")
    );
}

/// Whoever deletes dies when only the mark is written: nobody sees what it covers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_was_cut_short_holds() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let mut all = fleet(&redis, 2);
    for number in 0..1000 {
        all[0].put(&tagged(number, "t")).await.unwrap();
    }
    {
        let selection = by_tag("t");
        let (one, others) = all.split_at_mut(1);
        let deletion = one[0].delete(&selection);
        tokio::pin!(deletion);
        // As soon as the other one hears of it.
        tokio::select! {
            biased;
            News::Deleted(_) = others[0].told_otherwise() => {}
            _ = &mut deletion => {}
        }
    }
    for number in [0, 500, 999] {
        assert!(!all[1].has(key(number)).await);
    }
    // It is finished without being asked for.
    crate::support::eventually("the rest is taken out", || {
        let left: Vec<String> = redis.command(&["KEYS", "{cirque}:cache:[ex]:*"]);
        left.is_empty().then_some(())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_deletions_than_can_be_remembered_delete_more() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let one = Instance::start(settings(&[redis.url()]));
    one.put(&tagged(1, "kept")).await.unwrap();
    for number in 0..300 {
        one.delete(&by_tag(&format!("t{number}"))).await.unwrap();
    }
    let marks: i64 = redis.command(&["ZCARD", "{cirque}:cache:marks"]);
    assert!(marks <= 256);
    assert!(!one.has(key(1)).await, "older than what was forgotten");
    one.caught_up(&redis);
    one.put(&tagged(1, "kept")).await.unwrap();
    assert!(one.has(key(1)).await);
    let many: Vec<_> = (0..1000).map(key).collect();
    assert_eq!(one.delete(&by_id(&many)).await.unwrap(), 1);
    assert_eq!(
        one.delete(&Selection {
            ids: many,
            ..everything()
        })
        .await
        .unwrap(),
        0
    );
}
