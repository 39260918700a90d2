//! Power cuts: a server killed with all its processes, a process killed in the middle of a transaction.

use super::rows::{all, charged, sums_follow_rows, total};
use super::{postgres_at, row, rows, sqlite};
use crate::support::postgres::Postgres;
use cirque::storage::{self, Place, StoreError};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const CHILD: &str = "CIRQUE_TEST_STORES_CHILD";

/// Not a test by itself: what the test below starts and kills.
#[tokio::test]
async fn child_that_writes_without_end() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let store = storage::open(&Place::Sqlite { path: path.into() }).await.unwrap();
    for batch in 0.. {
        let rows = rows(batch * 100..batch * 100 + 100);
        assert_eq!(store.insert(&rows).await.unwrap(), 100);
        println!("\nkept {batch}");
    }
}

#[tokio::test]
async fn sqlite_survives_a_process_killed_while_it_writes() {
    let site = sqlite().await.unwrap();
    let Place::Sqlite { path } = &site.place else { panic!() };
    let test = "stores::outages::child_that_writes_without_end";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = lines
        .by_ref()
        .map_while(Result::ok)
        .filter(|line| line.starts_with("kept "))
        .nth(7);
    assert_eq!(told.as_deref(), Some("kept 7"));
    child.kill().unwrap();
    child.wait().unwrap();
    let (kept, _) = total(&*site.store).await;
    assert!(
        kept >= 800 && kept % 100 == 0,
        "whole batches, none that was acknowledged lost: {kept}"
    );
    assert_eq!(u64::try_from(all(&*site.store).await.len()).unwrap(), kept);
    assert_eq!(
        charged(&*site.store).await,
        (0..kept).map(|number| 10 + number).sum::<u64>()
    );
    assert_eq!(site.store.insert(&rows(0..kept + 50)).await.unwrap(), 50, "replayed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_killed_during_inserts_loses_and_doubles_nothing() {
    let Some(mut server) = Postgres::start() else { return };
    let site = postgres_at(&server.url()).await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let writers: Vec<_> = (0..2u64)
        .map(|task| {
            let (store, tell) = (Arc::clone(&site.store), tell.clone());
            tokio::spawn(async move {
                let mut failures = 0;
                for batch in 0..30 {
                    // Batches of the two overlap by half.
                    let from = batch * 100 + task * 50;
                    let rows: Vec<_> = (from..from + 100).map(row).collect();
                    let patience = Instant::now() + Duration::from_secs(60);
                    loop {
                        match store.insert(&rows).await {
                            Ok(_) => break,
                            Err(StoreError::Unavailable(_)) => failures += 1,
                            Err(other) => panic!("{other:?}"),
                        }
                        assert!(Instant::now() < patience, "it never came back");
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    tell.send(batch).unwrap();
                }
                failures
            })
        })
        .collect();
    while told.recv().await.unwrap() < 8 {}
    server.kill();
    assert!(matches!(site.store.ping().await, Err(StoreError::Unavailable(_))));
    server.up();
    let mut failures = 0;
    for writer in writers {
        failures += writer.await.unwrap();
    }
    assert!(failures > 0, "the writers noticed nothing");
    assert_eq!(total(&*site.store).await.0, 3050);
    assert_eq!(
        charged(&*site.store).await,
        (0..3050).map(|number| 10 + number).sum::<u64>()
    );
    sums_follow_rows(&*site.store).await;
    drop(site);
}

/// The gateway starts without its database and uses it once it is there.
#[tokio::test]
async fn a_server_that_is_away_at_the_start_is_used_when_it_is_there() {
    let Some(mut server) = Postgres::start() else { return };
    let place = postgres_at(&server.url()).await.place.clone();
    server.kill();
    let store = storage::open(&place).await.unwrap();
    assert!(matches!(store.insert(&[row(1)]).await, Err(StoreError::Unavailable(_))));
    server.up();
    assert_eq!(store.insert(&[row(1)]).await.unwrap(), 1);
}
