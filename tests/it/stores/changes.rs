//! Objects: revisions in order, conflicts, hashes, settings.

use super::{Site, contract};
use cirque::storage::{Change, KeyHashRow, Kind, Object, Revision, Store, StoreError};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

contract!(
    an_object_lives_and_dies,
    changes_are_all_or_none,
    hashes_are_unique_and_move,
    hostile_documents_come_back,
    nobody_overwrites_what_he_did_not_read,
    no_change_is_ever_missed,
    settings_are_made_once,
);

fn change(kind: Kind, name: &str, document: Option<Value>, expected: Option<Revision>) -> Change {
    Change {
        kind,
        name: name.to_owned(),
        document,
        hashes: Vec::new(),
        expected,
    }
}

fn hash(hash: &str) -> KeyHashRow {
    KeyHashRow {
        hash: hash.to_owned(),
        shown: format!("cq-{hash}…"),
        until: Some(12),
    }
}

async fn an_object_lives_and_dies(site: &Site) {
    let store = &site.store;
    assert_eq!(store.revision().await.unwrap(), 0);
    store.ping().await.unwrap();
    let first = store
        .change(&[change(Kind::Team, "red", Some(json!({"a": 1})), None)])
        .await
        .unwrap();
    assert_eq!(store.revision().await.unwrap(), first);
    let made = store.object(Kind::Team, "red").await.unwrap().unwrap();
    assert_eq!(
        (made.document.value(), made.revision, made.deleted),
        (json!({"a": 1}), first, false)
    );
    assert!(made.created_at > 1_700_000_000 && made.created_at == made.updated_at);
    assert_eq!(store.object(Kind::User, "red").await.unwrap(), None);
    assert_eq!(store.object(Kind::Team, "red\0").await.unwrap(), None);
    let second = store
        .change(&[change(Kind::Team, "red", Some(json!({"a": 2})), Some(first))])
        .await
        .unwrap();
    assert!(second > first);
    let third = store
        .change(&[change(Kind::Team, "red", None, Some(second))])
        .await
        .unwrap();
    assert_eq!(store.object(Kind::Team, "red").await.unwrap(), None);
    assert_eq!(store.changes(0).await.unwrap(), Vec::<Object>::new());
    let seen = store.changes(first).await.unwrap();
    assert!(
        seen.len() == 1 && seen[0].deleted && seen[0].revision == third,
        "{seen:?}"
    );
    assert!(store.changes(third).await.unwrap().is_empty());
    let gone = store.change(&[change(Kind::Team, "red", None, Some(third))]).await;
    assert!(matches!(gone, Err(StoreError::Conflict(_))));
    store
        .change(&[change(Kind::Team, "red", Some(json!({})), None)])
        .await
        .unwrap();
    assert!(!store.changes(0).await.unwrap()[0].deleted);
    assert_eq!(store.change(&[]).await.unwrap(), store.revision().await.unwrap());
}

async fn changes_are_all_or_none(site: &Site) {
    let store = &site.store;
    let made = [
        change(Kind::Team, "a", Some(json!(1)), None),
        change(Kind::Team, "b", Some(json!(1)), None),
    ];
    let revision = store.change(&made).await.unwrap();
    let mixed = [
        change(Kind::Team, "c", Some(json!(1)), None),
        change(Kind::Team, "a", Some(json!(2)), None),
    ];
    assert!(matches!(store.change(&mixed).await, Err(StoreError::Conflict(_))));
    let stale = [
        change(Kind::Team, "a", Some(json!(2)), Some(revision)),
        change(Kind::Team, "b", None, Some(revision - 1)),
    ];
    assert!(matches!(store.change(&stale).await, Err(StoreError::Conflict(_))));
    let objects = store.changes(0).await.unwrap();
    assert!(objects.len() == 2 && objects.iter().all(|object| object.document == json!(1)));
    assert_eq!(store.revision().await.unwrap(), revision);
}

async fn hashes_are_unique_and_move(site: &Site) {
    let store = &site.store;
    let key = |name: &str, hashes: Vec<KeyHashRow>, expected| Change {
        hashes,
        ..change(Kind::Key, name, Some(json!({})), expected)
    };
    let first = store
        .change(&[key("one", vec![hash("z"), hash("a")], None)])
        .await
        .unwrap();
    let made = store.object(Kind::Key, "one").await.unwrap().unwrap();
    assert_eq!(made.hashes, [hash("z"), hash("a")], "in their order");
    let taken = store.change(&[key("two", vec![hash("a")], None)]).await;
    assert!(matches!(taken, Err(StoreError::Conflict(_))), "{taken:?}");
    let moved = [
        key("two", vec![hash("a")], None),
        key("one", vec![hash("b")], Some(first)),
    ];
    let second = store.change(&moved).await.unwrap();
    let all: BTreeMap<_, _> = store
        .changes(0)
        .await
        .unwrap()
        .into_iter()
        .map(|object| (object.name, object.hashes))
        .collect();
    assert_eq!(
        all,
        BTreeMap::from([("one".to_owned(), vec![hash("b")]), ("two".to_owned(), vec![hash("a")])])
    );
    store
        .change(&[change(Kind::Key, "two", None, Some(second))])
        .await
        .unwrap();
    store.change(&[key("three", vec![hash("a")], None)]).await.unwrap();
    let gone = store.changes(second).await.unwrap();
    assert!(
        gone.iter()
            .any(|object| object.name == "two" && object.deleted && object.hashes.is_empty())
    );
}

async fn hostile_documents_come_back(site: &Site) {
    let store = &site.store;
    let document = json!({"nul": "\0", "controls": "\u{1}\u{1f}\u{7f}\u{85}\u{2028}", "quotes": "'\"\\;--", "long": "é".repeat(32_000), "n": [1, -2, 1.5, null]});
    for name in ["'; DROP TABLE objects; --", "a\"b", "%_", "🦀\n", ""] {
        store
            .change(&[change(Kind::User, name, Some(document.clone()), None)])
            .await
            .unwrap();
        assert_eq!(
            store.object(Kind::User, name).await.unwrap().unwrap().document,
            document
        );
    }
    let nul = store.change(&[change(Kind::User, "a\0", Some(json!({})), None)]).await;
    assert!(matches!(nul, Err(StoreError::Failed(_))), "{nul:?}");
    assert_eq!(store.changes(0).await.unwrap().len(), 5);
}

async fn nobody_overwrites_what_he_did_not_read(site: &Site) {
    let store = &site.store;
    store
        .change(&[change(Kind::Team, "count", Some(json!(0)), None)])
        .await
        .unwrap();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                let mut done = 0;
                while done < 5 {
                    let read = store.object(Kind::Team, "count").await.unwrap().unwrap();
                    let next = json!(read.document.value().as_i64().unwrap() + 1);
                    match store
                        .change(&[change(Kind::Team, "count", Some(next), Some(read.revision))])
                        .await
                    {
                        Ok(_) => done += 1,
                        Err(StoreError::Conflict(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(
        store.object(Kind::Team, "count").await.unwrap().unwrap().document,
        json!(20)
    );
}

async fn no_change_is_ever_missed(site: &Site) {
    const EACH: usize = 25;
    let writers: Vec<_> = (0..4)
        .map(|task| {
            let store = Arc::clone(&site.store);
            tokio::spawn(async move {
                for number in 0..EACH {
                    let name = format!("{task}-{number}");
                    // Some take long: many objects at once.
                    let many = if number % 5 == 0 { 10 } else { 1 };
                    let changes: Vec<_> = (0..many)
                        .map(|part| change(Kind::User, &format!("{name}-{part}"), Some(json!({})), None))
                        .collect();
                    store.change(&changes).await.unwrap();
                }
            })
        })
        .collect();
    let expected = 4 * (EACH / 5 * 10 + EACH - EACH / 5);
    let (mut after, mut seen) = (0, Vec::new());
    while seen.len() < expected {
        let news = site.store.changes(after).await.unwrap();
        assert!(news.is_sorted_by_key(|object| object.revision));
        after = news.last().map_or(after, |object| object.revision);
        seen.extend(news.into_iter().map(|object| object.name));
        if news_is_over(&writers) && site.store.changes(after).await.unwrap().is_empty() {
            break;
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(seen.len(), expected);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), expected);
}

fn news_is_over(writers: &[tokio::task::JoinHandle<()>]) -> bool {
    writers.iter().all(tokio::task::JoinHandle::is_finished)
}

async fn settings_are_made_once(site: &Site) {
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let store: Arc<dyn Store> = Arc::clone(&site.store);
            tokio::spawn(async move { store.setting("hash_key", &format!("proposed by {task}")).await.unwrap() })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!(site.store.setting("hash_key", "late").await.unwrap(), answers[0]);
    assert_eq!(site.store.setting("other", "x").await.unwrap(), "x");
}
