//! The fault matrix of the resilience design: every fault, for HTTP/1.1 and HTTP/2 clients, Chat Completions and Messages
//! (native, and Messages translated to Chat), streamed and not, against the real binary and a scripted provider.
//!
//! Faults of a provider are [`row::Row`]s: a script, and what client, provider and metrics must see. A row becomes a
//! [`cell::Cell`] for each client protocol, lane, form and company (alone, with a spare target, with a twin as bad); all
//! cells share one process. Faults of clients and of the process are [`scene::Scene`]s with a process each. Every failure
//! is a line; the test fails at its end with all of them.
//!
//! Rows of the design that are not here, or not whole:
//! * Redis, PostgreSQL or disk gone: there is no store before the ledger; to be added with it.
//! * kill -9: there is no record to lose and no reservation to expire yet; the next start is what is looked at.
//! * Panic in a request: nothing that a client or a provider can send is known to cause one, so it cannot be scripted from
//!   outside. `gateway/proxy.rs` catches, `telemetry/logging.rs` tests that it is counted; every cell and scene here checks
//!   that `cirque_panics_total` stayed 0.
//! * Clock jumps: deadlines, breakers and cool-downs take `std::time::Instant` (monotonic) as an argument and are tested
//!   with made-up ones in `balance/` (`breaker.rs`, `simulation.rs`); wall time is read only for `retry-after` dates (a past
//!   one is zero: `providers/retry_after.rs`), credentials and log stamps.

mod caller;
mod cell;
mod check;
mod crowd;
mod cuts;
mod floods;
mod grid;
mod leaving;
mod row;
mod scene;
mod signals;
mod statuses;
mod table;
mod voice;

use scene::Scene;
use std::collections::BTreeSet;
use std::time::Instant;

/// The rows of the design's table, in its order, and what its text says of statuses.
const DESIGN: [&str; 17] = [
    table::HANG,
    table::STALL,
    table::CUT,
    table::EMPTY,
    table::GARBAGE,
    table::LENGTH,
    table::DRIP,
    leaving::READS,
    leaving::LEAVES,
    signals::SIGHUP,
    signals::SIGTERM,
    signals::SIGKILL,
    crowd::IDLE,
    crowd::BODIES,
    table::LINE,
    floods::FLOODS,
    statuses::STATUS,
];

fn scenes() -> Vec<&'static Scene> {
    leaving::SCENES
        .iter()
        .chain(&crowd::SCENES)
        .chain(&floods::SCENES)
        .chain(&signals::SCENES)
        .collect()
}

fn rows() -> Vec<row::Row> {
    [table::rows(), statuses::rows()].concat()
}

#[test]
fn every_row_of_the_design_is_in_the_matrix() {
    let (rows, scenes) = (rows(), scenes());
    let designs: Vec<_> = rows
        .iter()
        .map(|row| row.design)
        .chain(scenes.iter().map(|scene| scene.design))
        .collect();
    let covered: BTreeSet<_> = designs.into_iter().collect();
    assert_eq!(covered, BTreeSet::from(DESIGN));
    let names: Vec<_> = rows
        .iter()
        .map(|row| row.name)
        .chain(scenes.iter().map(|scene| scene.name))
        .collect();
    assert!(names.iter().all(|name| !name.is_empty()));
    assert_eq!(
        names.iter().collect::<BTreeSet<_>>().len(),
        names.len(),
        "a name twice: {names:?}"
    );
}

/// As many descriptors as may be had, for this process and for those it starts: cells alone want some thousands.
fn raise_descriptors() {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let figures: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    if figures[0] != figures[1] {
        let pid = std::process::id().to_string();
        let limit = format!("--nofile={0}:{0}", figures[1]);
        let _ = std::process::Command::new("prlimit")
            .args(["--pid", &pid, &limit])
            .status();
    }
}

#[test]
fn every_fault_does_what_the_design_says() {
    raise_descriptors();
    let (rows, scenes) = (rows(), scenes());
    let began = Instant::now();
    let failures = std::thread::scope(|scope| {
        let scenes = scope.spawn(|| {
            let mut failures = grid::Failures::new();
            for scene in &scenes {
                let began = Instant::now();
                failures.extend(scene.play());
                eprintln!("fault matrix: {} in {:?}", scene.name, began.elapsed());
            }
            failures
        });
        let mut failures = grid::run(&rows);
        eprintln!("fault matrix: cells in {:?}", began.elapsed());
        failures.extend(scenes.join().unwrap());
        failures
    });
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
