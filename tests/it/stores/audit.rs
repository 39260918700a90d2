//! The audit log: no gaps, nothing changed unnoticed, checkable after its beginning is dropped.

use super::{Site, contract};
use cirque::storage::AuditNote;
use serde_json::json;
use std::sync::Arc;

contract!(
    numbers_have_no_gaps_under_concurrency,
    every_tampering_is_found,
    retention_leaves_a_chain,
);

fn note(number: i64) -> AuditNote {
    AuditNote {
        at_ms: 1_000 * number,
        actor: "ann\0'".to_owned(),
        role: "owner".to_owned(),
        from: "127.0.0.1".to_owned(),
        action: "key.create".to_owned(),
        subject: format!("key/{number}"),
        detail: json!({"after": {"z": 1.5, "a": "\0"}}),
        outcome: "begun".to_owned(),
    }
}

async fn numbers_have_no_gaps_under_concurrency(site: &Site) {
    assert_eq!(site.store.verify_audit().await.unwrap().entries, 0);
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let store = Arc::clone(&site.store);
            tokio::spawn(async move {
                let mut numbers = Vec::new();
                for number in 0..15 {
                    numbers.push(store.audit(&note(task * 100 + number)).await.unwrap());
                }
                numbers
            })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in tasks {
        numbers.extend(task.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=60).collect::<Vec<_>>());
    let log = site.store.audit_log(10, 20).await.unwrap();
    assert_eq!(
        log.iter().map(|entry| entry.number).collect::<Vec<_>>(),
        (11..=30).collect::<Vec<_>>()
    );
    assert_eq!(
        (log[0].actor.as_str(), &log[0].detail),
        ("ann\u{fffd}'", &note(0).detail)
    );
    let found = site.store.verify_audit().await.unwrap();
    assert_eq!((found.entries, found.broken), (60, None));
    let last = site.store.audit_log(59, 5).await.unwrap();
    assert_eq!(found.head, last[0].hash);
}

async fn every_tampering_is_found(site: &Site) {
    for number in 1..=12 {
        site.store.audit(&note(number)).await.unwrap();
    }
    let broken = || async { site.store.verify_audit().await.unwrap().broken };
    assert_eq!(broken().await, None);
    for (column, to) in [
        ("actor", "'eve'"),
        ("detail", "'{}'"),
        ("at_ms", "7"),
        ("outcome", "'done'"),
        ("hash", "'00'"),
    ] {
        site.meddle("CREATE TABLE kept AS SELECT * FROM audit_log").await;
        site.meddle(&format!("UPDATE audit_log SET {column} = {to} WHERE number = 5"))
            .await;
        assert_eq!(broken().await, Some(5), "{column}");
        site.meddle("DELETE FROM audit_log").await;
        site.meddle("INSERT INTO audit_log SELECT * FROM kept").await;
        site.meddle("DROP TABLE kept").await;
        assert_eq!(broken().await, None);
    }
    site.meddle("DELETE FROM audit_log WHERE number = 12").await;
    assert_eq!(broken().await, Some(12), "the end was cut off");
    site.meddle("DELETE FROM audit_log WHERE number = 3").await;
    assert_eq!(broken().await, Some(3), "an entry was taken out");
    site.meddle("DELETE FROM audit_log WHERE number < 3").await;
    assert_eq!(broken().await, Some(1), "the beginning was cut off");
}

async fn retention_leaves_a_chain(site: &Site) {
    let day = 86_400_000;
    for number in 1..=10 {
        let at_ms = number * day;
        site.store.audit(&AuditNote { at_ms, ..note(number) }).await.unwrap();
    }
    let done = site.store.maintain(10 * day + 1, 1, 4).await.unwrap();
    assert_eq!((done.rows, done.audit), (0, 6));
    let log = site.store.audit_log(0, 100).await.unwrap();
    assert_eq!(log.first().map(|entry| entry.number), Some(7));
    let found = site.store.verify_audit().await.unwrap();
    assert_eq!((found.entries, found.broken), (4, None));
    assert_eq!(site.store.audit(&note(11)).await.unwrap(), 11);
    // All of it may go.
    assert_eq!(site.store.maintain(100 * day, 1, 4).await.unwrap().audit, 5);
    assert_eq!(site.store.audit(&note(12)).await.unwrap(), 12);
    assert_eq!(site.store.verify_audit().await.unwrap().broken, None);
    site.meddle("UPDATE audit_log SET role = 'admin'").await;
    assert_eq!(site.store.verify_audit().await.unwrap().broken, Some(12));
}
