//! All cells against one process: its configuration, the workers that run cells, the one look at its metrics.

use super::cell::{Cell, Metered};
use super::check::eventually_some;
use super::row::Row;
use super::voice::INTERNAL;
use crate::support::Gateway;
use crate::support::gateway::Builder;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Cells under way at one time. Most wait for a deadline.
const WORKERS: usize = 40;

/// A failure of a cell or a scene, as a line.
pub type Failures = Vec<String>;

/// Run every cell of these rows.
pub fn run(rows: &[Row]) -> Failures {
    let cells = Cell::all(rows);
    let body = format!(
        "providers:\n{}models:\n{}",
        cells.iter().map(Cell::providers).collect::<String>(),
        cells.iter().map(Cell::models).collect::<String>(),
    );
    let gateway = Builder::new(body).listen("{ address: ADDRESS, h2c: true }").start();
    let failed: Mutex<BTreeMap<usize, String>> = Mutex::default();
    each(&cells, WORKERS, |cell| {
        if let Err(why) = caught(|| cell.run(gateway.address)) {
            failed.lock().unwrap().insert(cell.number, format!("{cell}: {why}"));
        }
    });
    let failed = failed.into_inner().unwrap();
    // What a cell that failed came to in figures says nothing more.
    let others: Vec<&Cell> = cells.iter().filter(|cell| !failed.contains_key(&cell.number)).collect();
    let mut failures: Failures = failed.into_values().collect();
    failures.extend(metrics(&gateway, &others));
    failures.extend(left_over(&gateway));
    eprintln!("fault matrix: {} rows, {} cells", rows.len(), cells.len());
    failures
}

/// Run `work` for each item on so many threads.
pub fn each<T: Sync>(items: &[T], workers: usize, work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..workers.min(items.len()) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(item);
                }
            });
        }
    });
}

/// A panic of the harness (nothing came, framing that is none) is a failure of its cell only.
pub fn caught<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text
            .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_default())
    })
}

/// The lines of a scrape that name a cell, by its number.
fn by_cell(scrape: &str) -> HashMap<usize, Vec<&str>> {
    let mut found: HashMap<usize, Vec<&str>> = HashMap::new();
    for line in scrape.lines().filter(|line| !line.contains("_bucket{")) {
        let labels = line.split('"').skip(1).step_by(2);
        let number = labels.filter_map(|value| {
            let digits = value.strip_prefix(['m', 'f', 's', 't', 'x', 'y'])?;
            digits.split('/').next()?.parse().ok()
        });
        if let Some(number) = number.into_iter().next() {
            found.entry(number).or_default().push(line);
        }
    }
    found
}

fn value(lines: Option<&Vec<&str>>, claim: &Metered) -> f64 {
    let of_claim = |line: &&&str| {
        line.starts_with(&format!("{}{{", claim.name)) && claim.labels.iter().all(|label| line.contains(label.as_str()))
    };
    let lines = lines.into_iter().flatten().filter(of_claim);
    lines.fold(0.0, |sum, line| {
        sum + line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    })
}

/// Requests are counted after their answer is sent, tokens later still: look until all claims hold. A line a cell.
fn metrics(gateway: &Gateway, cells: &[&Cell]) -> Failures {
    let claims: Vec<(&Cell, Vec<Metered>)> = cells.iter().map(|cell| (*cell, cell.metered())).collect();
    let mut failures = Failures::new();
    eventually_some(|| {
        let scrape = gateway.metrics();
        let found = by_cell(&scrape);
        failures.clear();
        for (cell, claims) in &claims {
            let wrong = claims.iter().filter_map(|claim| {
                let value = value(found.get(&cell.number), claim);
                let right = (claim.at_least..=claim.at_most).contains(&value);
                (!right).then(|| format!("{} {:?} is {value}, not {}", claim.name, claim.labels, claim.at_least))
            });
            let wrong: Vec<String> = wrong.collect();
            if !wrong.is_empty() {
                failures.push(format!("{cell}: {}", wrong.join("; ")));
            }
        }
        failures.is_empty().then_some(())
    });
    failures
}

/// What no process may end with: requests in flight, bytes held, panics, a provider's bytes in a log.
pub fn left_over(gateway: &Gateway) -> Failures {
    let mut failures = Failures::new();
    for name in [
        "cirque_in_flight_requests",
        "cirque_buffered_bytes",
        "cirque_panics_total",
    ] {
        let is_none = eventually_some(|| (gateway.metric(name, &[]) == 0.0).then_some(()));
        if is_none.is_none() {
            failures.push(format!("{name} is {} at the end", gateway.metric(name, &[])));
        }
    }
    for (log, text) in [("log", gateway.stderr.text()), ("access log", gateway.stdout.text())] {
        if text.contains(INTERNAL) || text.contains("sk-ours") {
            failures.push(format!("the {log} shows a provider's bytes or the credential"));
        }
    }
    failures
}
