//! The disk is full, too small, gone or never was; the gateway's rows wait, and go on by themselves.

use super::*;

fn ledger_of(rig: &Rig) -> impl Fn() -> bool + '_ {
    // As `Ledger::accepting`, which needs threads.
    || rig.shared.accepting()
}

#[tokio::test]
async fn a_full_disk_and_no_store_fill_the_queue_and_then_the_policy_decides() {
    for on_full in [OnFull::Serve, OnFull::Refuse] {
        let (folder, sink) = (Folder::new(), Fake::new());
        let disk = SmallDisk::new(20_000);
        let settings = SpoolSettings {
            on_full,
            ..folder.settings()
        };
        let mut rig = Rig::on(settings, &sink, disk.clone());
        sink.set(Mood::Unavailable);
        let mut pushed = 0;
        for _ in 0..200 {
            if ledger_of(&rig)() {
                rig.push(pushed..pushed + 50);
                pushed += 50;
            }
            rig.pass(20).await;
        }
        assert!(rig.stats().blocked);
        match on_full {
            OnFull::Serve => assert!(rig.stats().lost > 3000 && pushed == 10_000),
            OnFull::Refuse => assert!(rig.stats().lost == 0 && !ledger_of(&rig)()),
        }
        assert!(rig.stats().queued <= 4096 + 1512, "memory is bounded");
        // Room again, still no store.
        disk.room.store(u64::MAX, Ordering::Relaxed);
        rig.pass(1000).await;
        assert!(!rig.stats().blocked && ledger_of(&rig)());
        assert_eq!(rig.stats().queued, 0);
        sink.set(Mood::Takes);
        rig.pass(10_000).await;
        let stats = rig.stats();
        assert_eq!(sink.numbers().len() as u64, pushed - stats.lost);
        assert_eq!((stats.corrupt, stats.torn, sink.most_often()), (0, 0, 1));
        assert_eq!(rig.seen.changes.load(Ordering::Relaxed), 2, "blocked once, free once");
    }
}

#[tokio::test]
async fn a_full_disk_with_a_store_loses_nothing() {
    let (folder, sink) = (Folder::new(), Fake::new());
    let mut rig = Rig::on(folder.settings(), &sink, SmallDisk::new(0));
    for second in 0..20 {
        rig.push(second * 500..second * 500 + 500);
        rig.pass(1000).await;
    }
    sink.has_exactly(0..10_000);
    assert_eq!((rig.stats().lost, sink.most_often()), (0, 1));
    // And the store goes away for a while, in the middle.
    sink.set(Mood::Lies);
    rig.push(10_000..11_000);
    rig.pass(3000).await;
    sink.set(Mood::Takes);
    rig.pass(10_000).await;
    sink.has_exactly(0..11_000);
}

#[tokio::test]
async fn a_spool_at_its_limit_waits_and_goes_on() {
    let (folder, sink) = (Folder::new(), Fake::new());
    let settings = SpoolSettings {
        size_limit: 200_000,
        ..folder.settings()
    };
    let mut rig = Rig::new(settings, &sink);
    sink.set(Mood::Unavailable);
    let mut pushed = 0;
    while !rig.stats().blocked {
        rig.push(pushed..pushed + 10);
        pushed += 10;
        rig.pass(10).await;
    }
    assert!((200_000..260_000).contains(&rig.stats().spooled_bytes));
    assert!(folder.files("seg").len() >= 3, "small segments");
    rig.push(pushed..pushed + 100);
    pushed += 100;
    sink.set(Mood::Takes);
    rig.pass(10_000).await;
    rig.push([pushed]);
    rig.pass(1000).await;
    sink.has_exactly(0..=pushed);
    assert!(!rig.stats().blocked);
    assert!(rig.stats().spooled_bytes < 70_000, "what was sent is deleted");
    assert!(folder.files("seg").len() <= 2);
}

#[tokio::test]
async fn a_directory_that_is_deleted_is_made_again_and_nothing_is_lost() {
    let (folder, sink) = (Folder::new(), Fake::new());
    let mut rig = Rig::new(folder.settings(), &sink);
    sink.set(Mood::Unavailable);
    rig.push(0..1500);
    rig.pass(100).await;
    std::fs::remove_dir_all(folder.0.join("spool")).unwrap();
    rig.push(1500..1600);
    rig.pass(2000).await;
    rig.push(1600..1700);
    rig.pass(100).await;
    assert_eq!(folder.files("seg").len(), 1, "later rows are under a name again");
    sink.set(Mood::Takes);
    rig.pass(10_000).await;
    sink.has_exactly(0..1700);
    assert_eq!(sink.most_often(), 1);
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_tried_again() {
    let (folder, sink) = (Folder::new(), Fake::new());
    // A file is in its place.
    std::fs::write(folder.0.join("spool"), "").unwrap();
    let mut rig = Rig::new(folder.settings(), &sink);
    sink.set(Mood::Unavailable);
    rig.push(0..100);
    rig.pass(1000).await;
    assert!(rig.stats().blocked);
    std::fs::remove_file(folder.0.join("spool")).unwrap();
    rig.pass(1000).await;
    assert!(!rig.stats().blocked);
    assert_eq!(rig.stats().spooled_rows, 100);
    sink.set(Mood::Takes);
    rig.pass(6000).await;
    sink.has_exactly(0..100);
}

/// A disk that cannot sync.
struct Unsyncable;

impl Medium for Unsyncable {
    fn sync(&self, _: &File) -> io::Result<()> {
        Err(io::Error::other("input/output error"))
    }
}

#[tokio::test]
async fn a_disk_that_cannot_sync_delays_nothing() {
    let (folder, sink) = (Folder::new(), Fake::new());
    let mut rig = Rig::on(folder.settings(), &sink, Arc::new(Unsyncable));
    rig.push(0..100);
    rig.pass(1000).await;
    sink.has_exactly(0..100);
}
