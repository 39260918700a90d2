//! `kill -9` at 10 000 rows a second: what was in the queue is lost, nothing else, and nothing is damaged.
//!
//! The test runs itself as the process that dies: [`dies`] with a directory in the environment writes until it is killed.

use super::*;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

const DIRECTORY: &str = "CIRQUE_TEST_LEDGER_DIES_IN";

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64
}

/// Not a test unless it is the child: 10 rows every millisecond, and how many there are on standard output.
#[test]
fn dies() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let (runtime, sink) = (runtime(), Arc::new(Fake::default()));
    sink.away.store(true, Ordering::Relaxed);
    let ledger = start(SpoolSettings::new(dir), &sink, &runtime);
    let (mut out, began, mut number) = (std::io::stdout(), Instant::now(), 0u64);
    // If nobody kills it, it ends by itself.
    while began.elapsed() < Duration::from_secs(60) {
        while number < began.elapsed().as_micros() as u64 / 100 {
            ledger.push(Box::new(row(number, now_ms())));
            number += 1;
        }
        if writeln!(out, "rows {number} {}", now_ms())
            .and_then(|()| out.flush())
            .is_err()
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn kill_9_loses_what_is_queued_and_damages_nothing() {
    let folder = Folder::new("kill");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["ledger::kill::dies", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, &folder.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut pushed = (0, 0);
    let mut killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let mut words = line.split(' ');
        if words.next() != Some("rows") {
            continue;
        }
        pushed = (
            words.next().unwrap().parse::<u64>().unwrap(),
            words.next().unwrap().parse::<u64>().unwrap(),
        );
        if pushed.0 > 15_000 && !killed {
            // SIGKILL.
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "it ended by itself after {} rows", pushed.0);
    let (pushed, last_ms) = pushed;
    let (runtime, sink) = (runtime(), Arc::new(Fake::default()));
    let ledger = start(SpoolSettings::new(&folder.0), &sink, &runtime);
    crate::support::eventually("everything is sent", || {
        let left: Vec<PathBuf> = std::fs::read_dir(&folder.0)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        // Its own directory is made with the first row, and there is none.
        let done = ledger.stats(now_ms()).adopted == 0 && ledger.stats(now_ms()).inserted > 0 && left.len() <= 1;
        done.then_some(())
    });
    let stats = ledger.stats(now_ms());
    assert_eq!((stats.corrupt, stats.rejected), (0, 0));
    assert!(stats.torn <= 1);
    let rows = sink.rows.lock().unwrap();
    let numbers: Vec<u128> = rows.keys().copied().collect();
    let kept = numbers.len() as u64;
    assert!(
        numbers
            .iter()
            .enumerate()
            .all(|(index, number)| *number == index as u128),
        "a gap"
    );
    assert!(
        rows.values().all(|found| *found == row(found.id.0 as u64, found.at_ms)),
        "a row that was changed"
    );
    let newest_ms = rows.values().map(|row| row.at_ms).max().unwrap();
    println!(
        "{pushed} pushed, {kept} kept, {} ms lost",
        last_ms.saturating_sub(newest_ms)
    );
    assert!(
        last_ms.saturating_sub(newest_ms) <= 100,
        "{} ms of rows are missing",
        last_ms - newest_ms
    );
    drop(rows);
    drop(ledger);
}
