//! The sink fails in every way; what it has in the end is exact.

use super::*;

#[tokio::test]
async fn rows_arrive_once_and_nothing_is_left() {
    let (folder, sink) = (Folder::new(), Fake::new());
    let mut rig = Rig::new(folder.settings(), &sink);
    rig.push(0..2500);
    rig.pass(500).await;
    sink.has_exactly(0..2500);
    assert_eq!(sink.most_often(), 1);
    let stats = rig.stats();
    assert_eq!(
        (stats.inserted, stats.spooled_rows, stats.queued, stats.lost),
        (2500, 0, 0, 0)
    );
    assert_eq!(stats.oldest_unsent_ms, 0);
}

#[tokio::test]
async fn few_rows_wait_for_more_but_not_long() {
    let (folder, sink) = (Folder::new(), Fake::new());
    let mut rig = Rig::new(folder.settings(), &sink);
    for second in 0..10 {
        for moment in 0..100 {
            rig.push([second * 100 + moment]);
            rig.pass(10).await;
        }
    }
    let calls = sink.calls.load(Ordering::Relaxed);
    assert!((45..=51).contains(&calls), "ten seconds, a batch every 200 ms: {calls}");
}

#[tokio::test]
async fn a_store_that_is_away_for_five_minutes_misses_nothing() {
    let (folder, sink) = (Folder::new(), Fake::new());
    let mut rig = Rig::new(folder.settings(), &sink);
    let mut number = 0;
    // 100 rows a second for 5 minutes and 20 seconds.
    for second in 0..320 {
        match second {
            10 => sink.set(Mood::Unavailable),
            310 => sink.set(Mood::Takes),
            _ => {}
        }
        for _ in 0..10 {
            rig.push(number..number + 10);
            number += 10;
            rig.pass(100).await;
        }
        if second == 300 {
            assert!(rig.stats().spooled_rows > 28_000);
            assert!(rig.stats().queued < 100, "memory holds nothing");
        }
    }
    rig.pass(10_000).await;
    sink.has_exactly(0..number);
    assert_eq!(sink.most_often(), 1);
    let stats = rig.stats();
    assert_eq!((stats.lost, stats.spooled_rows), (0, 0));
    // Every 2.5 to 5 seconds once it has backed off.
    assert!((55..=140).contains(&stats.retried), "{}", stats.retried);
}

#[tokio::test]
async fn a_sink_may_fail_in_any_way() {
    for mood in [Mood::Unavailable, Mood::Hangs, Mood::Panics, Mood::Lies] {
        let (folder, sink) = (Folder::new(), Fake::new());
        let mut rig = Rig::new(folder.settings(), &sink);
        sink.set(mood);
        rig.push(0..1500);
        rig.pass(1000).await;
        assert_eq!(rig.stats().inserted, 0);
        sink.set(Mood::Takes);
        rig.pass(6000).await;
        sink.has_exactly(0..1500);
        assert!(rig.stats().retried > 0);
    }
}

#[tokio::test]
async fn a_row_that_spoils_its_batch_is_set_aside_alone() {
    let (folder, sink) = (Folder::new(), Fake::new());
    let mut rig = Rig::new(folder.settings(), &sink);
    sink.set(Mood::Refuses(700));
    rig.push(1..2000);
    rig.pass(1000).await;
    sink.has_exactly((1..2000).filter(|number| number % 700 != 0));
    assert_eq!(rig.stats().rejected, 2);
    let kept: Vec<_> = folder
        .files("seg")
        .into_iter()
        .filter(|path| path.to_str().unwrap().contains("rejected"))
        .collect();
    let (rows, damaged) = rows_in(&std::fs::read(&kept[0]).unwrap());
    assert_eq!((rows, damaged), (vec![*row(700), *row(1400)], 0));
}

#[tokio::test]
async fn an_outage_while_a_batch_is_halved_repeats_only_what_is_left() {
    let (folder, sink) = (Folder::new(), Fake::new());
    let mut rig = Rig::new(folder.settings(), &sink);
    // All 999, then 499 and 500 of them, then a half of the latter: and away.
    sink.set(Mood::RefusesThenLeaves(500, 5));
    rig.push(1..1000);
    rig.spool();
    rig.now_ms = 1000;
    rig.sender.step(rig.now_ms).await;
    assert_eq!(rig.stats().retried, 1);
    sink.set(Mood::Refuses(500));
    rig.pass(6000).await;
    sink.has_exactly((1..1000).filter(|number| *number != 500));
    assert_eq!((rig.stats().rejected, sink.most_often()), (1, 1));
}

#[tokio::test]
async fn a_full_queue_loses_what_is_too_much_and_says_so() {
    let (folder, sink) = (Folder::new(), Fake::new());
    let mut rig = Rig::new(folder.settings(), &sink);
    rig.push(0..5000);
    assert_eq!((rig.stats().queued, rig.stats().lost), (4096, 904));
    assert_eq!(rig.seen.lost.load(Ordering::Relaxed), 904);
    rig.pass(500).await;
    sink.has_exactly(0..4096);
}
