//! Opening: what is made, what is refused, copies.

use super::{Site, rows, sqlite};
use crate::support::postgres;
use cirque::secret::Secret;
use cirque::storage::{self, Change, Kind, Place, StoreError};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn path(site: &Site) -> &Path {
    let Place::Sqlite { path } = &site.place else { panic!() };
    path
}

#[tokio::test]
async fn a_file_is_private_and_can_be_copied_while_it_is_used() {
    let site = sqlite().await.unwrap();
    site.store.insert(&rows(0..50)).await.unwrap();
    let file = path(&site);
    assert_eq!((mode(file), mode(file.parent().unwrap())), (0o600, 0o700));
    assert_eq!(mode(&file.with_file_name("cirque.db-wal")), 0o600);
    let copy = file.with_file_name("copy.db");
    site.store.backup(&copy).await.unwrap();
    assert_eq!(mode(&copy), 0o600);
    assert!(site.store.backup(&copy).await.is_err(), "no copy is overwritten");
    let other = storage::open(&Place::Sqlite { path: copy }).await.unwrap();
    assert_eq!(other.insert(&rows(0..60)).await.unwrap(), 10);
}

#[tokio::test]
async fn a_document_that_is_not_json_is_said_and_not_passed_over() {
    let site = sqlite().await.unwrap();
    let change = Change {
        kind: Kind::Team,
        name: "red".to_owned(),
        document: Some(serde_json::json!({"tags": ["a"]})),
        hashes: Vec::new(),
        expected: None,
    };
    site.store.change(&[change]).await.unwrap();
    for broken in ["{\"tags\": [", "1e999", ""] {
        site.meddle(&format!("UPDATE objects SET document = '{broken}'")).await;
        for told in [
            site.store.changes(0).await.map(drop),
            site.store.object(Kind::Team, "red").await.map(drop),
        ] {
            let Err(StoreError::Corrupt(told)) = told else {
                panic!("{told:?}")
            };
            assert!(told.starts_with("a document: "), "{told}");
        }
    }
}

#[tokio::test]
async fn files_of_others_newer_ones_and_damaged_ones_are_refused_and_left_alone() {
    let site = sqlite().await.unwrap();
    let folder = path(&site).parent().unwrap();
    let garbage = folder.join("garbage.db");
    let text = vec![b'x'; 5000];
    std::fs::write(&garbage, &text).unwrap();
    let refused = |path| async {
        match storage::open(&Place::Sqlite { path }).await {
            Err(StoreError::Corrupt(text)) => text,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("it was opened"),
        }
    };
    assert!(refused(garbage.clone()).await.contains("garbage.db"));
    assert_eq!(std::fs::read(&garbage).unwrap(), text);
    site.meddle("INSERT INTO cirque_migrations (number, name, needs, checksum) VALUES (99, 'later', 99, '')")
        .await;
    let told = refused(path(&site).to_owned()).await;
    assert!(told.contains("0099 later") && told.contains("newer version"), "{told}");
    site.meddle("UPDATE cirque_migrations SET needs = 1 WHERE number = 99")
        .await;
    storage::open(&site.place).await.unwrap();
    let other = folder.join("other.db");
    let foreign = Site {
        store: std::sync::Arc::clone(&site.store),
        place: Place::Sqlite { path: other.clone() },
        folder: super::folder(),
    };
    std::fs::write(&other, []).unwrap();
    foreign.meddle("CREATE TABLE theirs (a)").await;
    assert!(refused(other).await.contains("not made by cirque"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_may_open_a_new_file_at_once() {
    let folder = super::folder();
    let place = Place::Sqlite {
        path: folder.join("cirque.db"),
    };
    let opened: Vec<_> = (0..4)
        .map(|_| {
            let place = place.clone();
            tokio::spawn(async move { storage::open(&place).await.map(drop) })
        })
        .collect();
    for one in opened {
        one.await.unwrap().unwrap();
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_migrated_once_and_an_unfit_one_is_refused() {
    let Some(server) = postgres::shared() else { return };
    let place = Place::Postgres {
        url: Secret::new(postgres::fresh_database(server).await),
        connections: 2,
    };
    let status = storage::status(&place).await.unwrap();
    assert_eq!((status.applied.len(), status.pending.len()), (0, 3));
    let Err(StoreError::Corrupt(told)) = storage::open(&place).await.map(drop) else {
        panic!()
    };
    assert!(told.contains("0001 first") && told.contains("cirque migrate"), "{told}");
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let place = place.clone();
            tokio::spawn(async move { storage::migrate(&place).await.unwrap().len() })
        })
        .collect();
    let mut applied = 0;
    for task in tasks {
        applied += task.await.unwrap();
    }
    assert_eq!(applied, 3);
    let store = storage::open(&place).await.unwrap();
    assert_eq!(store.name(), "postgres");
    assert!(store.backup(Path::new("/tmp/none")).await.is_err());
    let site = Site {
        store,
        place,
        folder: super::folder(),
    };
    site.meddle("INSERT INTO cirque_migrations (number, name, needs, checksum) VALUES (99, 'later', 99, '')")
        .await;
    let Err(StoreError::Corrupt(told)) = storage::open(&site.place).await.map(drop) else {
        panic!()
    };
    assert!(told.contains("newer version"), "{told}");
}

#[tokio::test]
async fn no_error_repeats_an_address() {
    for url in [
        "postgres://user:hunter2@127.0.0.1:1/db",
        "postgres://user:hunter2@[::bad/db",
        "hunter2",
        "mysql://hunter2@h/d",
    ] {
        let place = Place::Postgres {
            url: Secret::new(url.to_owned()),
            connections: 2,
        };
        let told = match storage::open(&place).await {
            Ok(store) => format!("{:?}", store.ping().await.unwrap_err()),
            Err(error) => format!("{error:?} {error}"),
        };
        assert!(!told.contains("hunter2"), "{told}");
        assert!(!format!("{place:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_file_of_the_first_version_is_brought_up_to_date_with_its_rows() {
    use sqlx::Connection as _;
    let folder = super::folder();
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("cirque.db");
    let first = include_str!("../../../src/storage/migrations/sqlite/0001_first.sql");
    let sum = ring::digest::digest(&ring::digest::SHA256, first.as_bytes());
    let sum: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let made = format!(
        "{first}; CREATE TABLE cirque_migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL, needs BIGINT NOT NULL, \
         checksum TEXT NOT NULL); INSERT INTO cirque_migrations VALUES (1, 'first', 1, '{sum}'); PRAGMA application_id = 1667854961; \
         INSERT INTO words VALUES (1, 'chat'), (2, 'ok'); \
         INSERT INTO ledger (at_ms, id, attempt, organisation, team, project, user_name, key_name, model, target, provider, operation, \
         outcome, cache, purpose, status, stream, estimated, latency_ms, input, output, request_id) \
         VALUES (1793491200000, x'000102030405060708090a0b0c0d0e0f', 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 2, 2, 200, 0, 0, 5, 7, 9, 'old')"
    );
    let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", file.display()))
        .await
        .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(made))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let store = storage::open(&Place::Sqlite { path: file }).await.unwrap();
    let rows = super::rows::all(&*store).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&*rows[0].request_id, rows[0].operation, rows[0].usage.output),
        ("old", "chat", 9)
    );
    assert_eq!(store.insert(&super::rows(0..10)).await.unwrap(), 10);
    assert_eq!(super::rows::all(&*store).await.len(), 11);
    std::fs::remove_dir_all(folder).unwrap();
}
