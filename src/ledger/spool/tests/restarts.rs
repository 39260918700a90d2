//! Processes end at any moment, and two of them share a directory.

use super::*;
use std::os::unix::fs::FileExt;

/// Everything in it, sent by a new process.
async fn replayed(folder: &Folder) -> (Arc<Fake>, super::super::Stats) {
    let sink = Fake::new();
    let mut rig = Rig::new(folder.settings(), &sink);
    rig.pass(15_000).await;
    (sink, rig.stats())
}

/// A process that wrote rows and died.
fn died(folder: &Folder, numbers: std::ops::Range<u64>) {
    let mut rig = Rig::new(folder.settings(), &Fake::new());
    for number in numbers {
        rig.push([number]);
    }
    rig.spool();
}

#[tokio::test]
async fn what_a_process_left_is_sent_by_the_next() {
    let folder = Folder::new();
    died(&folder, 0..3000);
    let (sink, stats) = replayed(&folder).await;
    sink.has_exactly(0..3000);
    assert_eq!(
        (stats.inserted, stats.corrupt, stats.torn, stats.spooled_bytes),
        (3000, 0, 0, 0)
    );
    assert!(
        folder.files("seg").is_empty() && folder.files("position").is_empty(),
        "nothing is left"
    );
    let (sink, _) = replayed(&folder).await;
    sink.has_exactly(0..0);
}

#[tokio::test]
async fn what_was_sent_before_the_death_is_not_sent_again() {
    let (folder, sink) = (Folder::new(), Fake::new());
    let mut rig = Rig::new(folder.settings(), &sink);
    rig.push(0..1000);
    rig.pass(1000).await;
    sink.set(Mood::Unavailable);
    rig.push(1000..1500);
    rig.pass(1000).await;
    drop(rig);
    let (sink, _) = replayed(&folder).await;
    sink.has_exactly(1000..1500);
}

#[tokio::test]
async fn a_position_that_is_damaged_costs_a_repetition() {
    for damage in [
        "",
        "1 99999999 deadbeef\n",
        "\u{0}\u{0}\u{0}",
        "99 0",
        "nonsense that is no position",
    ] {
        let (folder, sink) = (Folder::new(), Fake::new());
        let mut rig = Rig::new(folder.settings(), &sink);
        rig.push(0..1000);
        rig.pass(1000).await;
        let home = rig.shared.own().home.as_ref().unwrap().path.clone();
        drop(rig);
        std::fs::write(home.join("position"), damage).unwrap();
        let (sink, _) = replayed(&folder).await;
        sink.has_exactly(0..1000);
    }
}

#[tokio::test]
async fn two_processes_share_a_directory_and_touch_only_their_own() {
    let (folder, sink) = (Folder::new(), Fake::new());
    let mut old = Rig::new(folder.settings(), &sink);
    sink.set(Mood::Unavailable);
    old.push(0..100);
    old.pass(500).await;
    let mut new = Rig::new(folder.settings(), &sink);
    new.push(100..200);
    new.pass(500).await;
    assert_eq!(new.stats().adopted, 0);
    sink.set(Mood::Takes);
    new.pass(12_000).await;
    sink.has_exactly(100..200);
    // The old one drains on, dies, and is inherited by the one that runs.
    old.push(200..300);
    old.spool();
    drop(old);
    new.pass(12_000).await;
    sink.has_exactly(0..300);
    assert_eq!(sink.most_often(), 1);
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_reported() {
    let folder = Folder::new();
    died(&folder, 0..100);
    let path = folder.files("seg").remove(0);
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() - 7).unwrap();
    let (sink, stats) = replayed(&folder).await;
    sink.has_exactly(0..99);
    assert_eq!((stats.torn, stats.corrupt), (1, 0));
}

#[tokio::test]
async fn damage_in_the_middle_costs_what_was_there() {
    let folder = Folder::new();
    died(&folder, 0..100);
    let path = folder.files("seg").remove(0);
    let bytes = std::fs::read(&path).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    // In the payload of one, and all over another place.
    file.write_all_at(b"x", 200).unwrap();
    file.write_all_at(&[0; 500], bytes.len() as u64 / 2).unwrap();
    let (sink, stats) = replayed(&folder).await;
    assert!((94..=97).contains(&sink.numbers().len()), "{}", sink.numbers().len());
    assert!(stats.corrupt >= 2 && stats.torn == 0);
    assert!(sink.numbers().contains(&0) && sink.numbers().contains(&99));
}

#[tokio::test]
async fn what_is_no_segment_at_all_is_passed_over() {
    let folder = Folder::new();
    died(&folder, 0..10);
    let home = folder.files("seg").remove(0).parent().unwrap().to_owned();
    let noise: Vec<u8> = (0..3_000_000u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    std::fs::write(home.join("000000000000.seg"), noise).unwrap();
    std::fs::write(home.join("notes.seg"), "no number").unwrap();
    std::fs::create_dir(home.join("000000000007.seg")).unwrap();
    std::fs::write(home.join("000000000008.seg"), "").unwrap();
    // Somebody else's, with names like ours.
    let foreign = home.parent().unwrap().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    for name in ["lock", "position", "000000000001.seg"] {
        std::fs::write(foreign.join(name), "theirs").unwrap();
    }
    let (sink, stats) = replayed(&folder).await;
    sink.has_exactly(0..10);
    assert!(stats.corrupt >= 1);
    assert_eq!(std::fs::read_dir(foreign).unwrap().count(), 3);
}

#[tokio::test]
async fn rows_of_a_later_version_are_set_aside_whole() {
    let folder = Folder::new();
    died(&folder, 0..10);
    let path = folder.files("seg").remove(0);
    let mut bytes = std::fs::read(&path).unwrap();
    super::super::frame::append(&mut bytes, |out| out.extend_from_slice(b"\x02from the future"));
    std::fs::write(&path, &bytes).unwrap();
    let (sink, stats) = replayed(&folder).await;
    sink.has_exactly(0..10);
    assert_eq!((stats.rejected, stats.corrupt), (1, 0));
    let kept = std::fs::read(&folder.files("seg")[0]).unwrap();
    assert!(kept.ends_with(b"\x02from the future"));
}

#[tokio::test]
async fn the_threads_do_the_same_and_leave_nothing_behind() {
    let (folder, sink) = (Folder::new(), Fake::new());
    let settings = SpoolSettings {
        insert_timeout: Duration::from_secs(10),
        ..folder.settings()
    };
    let handle = tokio::runtime::Handle::current();
    let ledger = Ledger::start(settings, Arc::clone(&sink) as _, None, &handle).unwrap();
    assert!(ledger.accepting());
    for number in 0..3000 {
        ledger.push(row(number));
    }
    assert!(ledger.flush(Duration::from_secs(30)).await);
    sink.has_exactly(0..3000);
    let drop = tokio::task::spawn_blocking(move || drop(ledger));
    drop.await.unwrap();
    assert!(folder.files("seg").is_empty() && folder.files("lock").is_empty());
}

#[tokio::test]
async fn a_flush_without_a_store_keeps_everything_on_disk() {
    let (folder, sink) = (Folder::new(), Fake::new());
    sink.set(Mood::Unavailable);
    let handle = tokio::runtime::Handle::current();
    let ledger = Ledger::start(folder.settings(), Arc::clone(&sink) as _, None, &handle).unwrap();
    for number in 0..1000 {
        ledger.push(row(number));
    }
    assert!(!ledger.flush(Duration::from_millis(50)).await);
    tokio::task::spawn_blocking(move || drop(ledger)).await.unwrap();
    let found: Vec<Row> = folder
        .files("seg")
        .iter()
        .flat_map(|path| rows_in(&std::fs::read(path).unwrap()).0)
        .collect();
    assert_eq!(found.len(), 1000);
}
