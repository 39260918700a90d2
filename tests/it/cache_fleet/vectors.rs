//! Questions in PostgreSQL with pgvector: found within their partition only, exactly; deleted by whatever chooses them; sealed.

use super::{by_tag, everything, key};
use crate::support::postgres::{Postgres, fresh_database, shared, shared_with_vector};
use cirque::cache::semantic::vectors::{Label, PLACE, Place, Point, Vectors};
use cirque::cache::{Owner, Partition, Selection};
use cirque::secret::Secret;
use cirque::storage::sealed::Keyring;
use cirque::storage::vectors::{PgVectors, Settings};
use sqlx::{Connection as _, Row as _};
use std::sync::Arc;
use std::time::Duration;

const NOW: u64 = 1_000_000;

fn settings(url: &str) -> Settings {
    let mut settings = Settings::new(Secret::new(url.to_owned()));
    // Generous: the machine is busy, and what is tested is not how fast it is.
    settings.patience = Duration::from_secs(10);
    settings
}

async fn store() -> Option<(Arc<PgVectors>, String)> {
    let url = fresh_database(shared_with_vector()?).await;
    let store = PgVectors::open(settings(&url)).unwrap();
    store.prepare().await.unwrap();
    Some((store, url))
}

fn random_place(random: &mut fastrand::Rng) -> Box<Place> {
    let mut place = Box::new([0; PLACE]);
    place.iter_mut().for_each(|number| *number = random.i8(-127..=127));
    place
}

fn point(number: u32, partition: u8, place: Box<Place>) -> Point {
    Point {
        key: key(number),
        partition: Partition([partition; 16]),
        label: Arc::new(Label {
            owner: Owner::default(),
            model: "small".into(),
            tags: [].into(),
        }),
        made_ms: NOW,
        ends_ms: NOW + 1000,
        question: format!("question {number} \0 \u{1f980}").into(),
        place,
        meaning: number.is_multiple_of(2).then(|| vec![-127_i8, 0, 127, 3].into()),
    }
}

fn cosine(a: &Place, b: &Place) -> f64 {
    let dot = |a: &Place, b: &Place| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn same(a: &Point, b: &Point) -> bool {
    a.key == b.key
        && a.partition == b.partition
        && a.label == b.label
        && (a.made_ms, a.ends_ms) == (b.made_ms, b.ends_ms)
        && a.question == b.question
        && a.place == b.place
        && a.meaning == b.meaning
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nearest_of_a_partition_are_found_exactly_and_of_no_other() {
    let Some((store, _)) = store().await else { return };
    let mut random = fastrand::Rng::with_seed(7);
    let points: Vec<Point> = (0..600)
        .map(|n| point(n, u8::from(n % 3 == 0), random_place(&mut random)))
        .collect();
    store.put_many(&points).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 600);
    for probe in 0..20 {
        // Near one of them, or anywhere.
        let mut place = points[probe * 7].place.clone();
        place
            .iter_mut()
            .take(probe * 12)
            .for_each(|number| *number = random.i8(-127..=127));
        for partition in [0, 1] {
            for (most, floor) in [(5, -1.0), (1000, 0.05), (3, 0.9)] {
                let found = store
                    .near(Partition([partition; 16]), &place, most, floor, NOW)
                    .await
                    .unwrap();
                let mut expected: Vec<_> = points
                    .iter()
                    .filter(|point| point.partition == Partition([partition; 16]))
                    .map(|point| (cosine(&point.place, &place), point))
                    .filter(|(cosine, _)| *cosine >= f64::from(floor))
                    .collect();
                expected.sort_by(|a, b| b.0.total_cmp(&a.0));
                expected.truncate(most);
                assert_eq!(found.len(), expected.len());
                for (near, (cosine, point)) in found.iter().zip(expected) {
                    assert_eq!(
                        (near.key, &near.place, &near.meaning),
                        (point.key, &point.place, &point.meaning)
                    );
                    assert_eq!(*near.question, *point.question);
                    assert!((f64::from(near.cosine) - cosine).abs() < 1e-5);
                }
            }
        }
    }
    assert!(
        store
            .near(Partition([9; 16]), &points[0].place, 9, -1.0, NOW)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        store
            .near(Partition([0; 16]), &[0; PLACE], 9, 0.5, NOW)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_replaced_listed_expired() {
    let Some((store, url)) = store().await else { return };
    let mut random = fastrand::Rng::with_seed(8);
    let first = point(1, 0, random_place(&mut random));
    store.put(&first).await.unwrap();
    assert!(same(&store.get(key(1)).await.unwrap().unwrap(), &first));
    assert!(store.get(key(2)).await.unwrap().is_none());
    // A younger one replaces it, an older one does not; once in a batch.
    let younger = Point {
        made_ms: NOW + 5,
        meaning: None,
        ..point(1, 1, random_place(&mut random))
    };
    store.put_many(&[younger.clone(), younger.clone()]).await.unwrap();
    store.put(&first).await.unwrap();
    assert!(same(&store.get(key(1)).await.unwrap().unwrap(), &younger));
    assert!(store.list(Partition([0; 16]), 9).await.unwrap().is_empty());
    for number in 2..8 {
        let mut one = point(number, 1, random_place(&mut random));
        one.made_ms = NOW + 5 * u64::from(number);
        one.ends_ms = NOW + 1000 * u64::from(number);
        store.put(&one).await.unwrap();
    }
    let listed = store.list(Partition([1; 16]), 3).await.unwrap();
    assert_eq!(
        listed.iter().map(|point| point.key).collect::<Vec<_>>(),
        [key(7), key(6), key(5)]
    );
    // What has ended is not found, before it is taken out and after.
    let now = NOW + 3000;
    let found = store
        .near(Partition([1; 16]), &younger.place, 99, -1.0, now)
        .await
        .unwrap();
    assert_eq!(found.len(), 4);
    assert_eq!(store.expire(now).await.unwrap(), 3);
    assert_eq!(store.expire(now).await.unwrap(), 0);
    assert_eq!(store.count().await.unwrap(), 4);
    // Another process finds the table made, and everything in it.
    let again = PgVectors::open(settings(&url)).unwrap();
    assert_eq!(again.count().await.unwrap(), 4);
    let never = Point {
        ends_ms: u64::MAX,
        made_ms: u64::MAX,
        ..point(50, 1, random_place(&mut random))
    };
    again.put(&never).await.unwrap();
    assert_eq!(again.expire(u64::MAX - 1).await.unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_chosen_is_deleted_and_no_more() {
    let Some((store, _)) = store().await else { return };
    let mut random = fastrand::Rng::with_seed(9);
    let mut of = |number: u32, partition: u8, organisation: &str, user: Option<&str>, model: &str, tags: &[&str]| {
        let label = Label {
            owner: Owner {
                organisation: Some(organisation.into()),
                user: user.map(Into::into),
                ..Owner::default()
            },
            model: model.into(),
            tags: tags.iter().map(|tag| Box::from(*tag)).collect(),
        };
        Point {
            label: Arc::new(label),
            ..point(number, partition, random_place(&mut random))
        }
    };
    let points = [
        of(0, 0, "o", Some("u"), "m", &["a"]),
        of(1, 0, "o", None, "m", &["a", "b"]),
        of(2, 1, "p", Some("u"), "m", &[]),
        of(3, 1, "p", Some("o"), "n", &["b", "organisation=o"]),
    ];
    let text = |text: &str| Some(text.to_owned());
    let none = Selection::default;
    let selections = [
        none(),
        everything(),
        Selection {
            ids: vec![key(0), key(3), key(9)],
            ..none()
        },
        Selection {
            ids: vec![key(0), key(3)],
            organisation: text("p"),
            ..none()
        },
        Selection {
            partition: Some(Partition([1; 16])),
            ..none()
        },
        Selection {
            organisation: text("o"),
            ..none()
        },
        Selection {
            user: text("u"),
            model: text("m"),
            ..none()
        },
        Selection {
            all: true,
            model: text("n"),
            ..none()
        },
        Selection {
            team: text("o"),
            ..none()
        },
        Selection {
            key: text("u"),
            ..none()
        },
        Selection {
            project: text("u"),
            ..none()
        },
        Selection {
            partition: Some(Partition([0; 16])),
            user: text("u"),
            ..by_tag("a")
        },
        by_tag("b"),
        by_tag("c"),
    ];
    for selection in selections {
        store.put_many(&points).await.unwrap();
        let expected = points.iter().filter(|point| point.is_in(&selection)).count();
        assert_eq!(
            store.delete(&selection).await.unwrap(),
            expected as u64,
            "{selection:?}"
        );
        for point in &points {
            let there = store.get(point.key).await.unwrap().is_some();
            assert_eq!(there, !point.is_in(&selection), "{selection:?} {:?}", point.key);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_a_step_is_deleted_in_steps() {
    let Some((store, _)) = store().await else { return };
    let mut random = fastrand::Rng::with_seed(10);
    let points: Vec<Point> = (0..11_000).map(|n| point(n, 0, random_place(&mut random))).collect();
    let begun = std::time::Instant::now();
    store.put_many(&points).await.unwrap();
    println!("11 000 questions were kept in {:?}", begun.elapsed());
    let begun = std::time::Instant::now();
    for one in points.iter().take(20) {
        let near = store.near(Partition([0; 16]), &one.place, 8, 0.8, NOW).await.unwrap();
        assert_eq!(near[0].key, one.key);
    }
    println!("a search among 11 000 took {:?}", begun.elapsed() / 20);
    assert_eq!(store.delete(&everything()).await.unwrap(), 11_000);
    assert_eq!(store.count().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_are_sealed_and_keys_rotate() {
    let Some((_, url)) = store().await else { return };
    let with = |keys: &[u8]| {
        let keys: Vec<_> = keys
            .iter()
            .map(|key| Secret::new(format!("{key:02x}").repeat(32)))
            .collect();
        let mut settings = settings(&url);
        settings.keyring = (!keys.is_empty()).then(|| Arc::new(Keyring::new(&keys).unwrap()));
        PgVectors::open(settings).unwrap()
    };
    let mut random = fastrand::Rng::with_seed(11);
    let (plain, old, both, new) = (with(&[]), with(&[1]), with(&[2, 1]), with(&[2]));
    let one = point(2, 0, random_place(&mut random));
    old.put(&one).await.unwrap();
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    let dump = sqlx::query("SELECT encode(question, 'escape') || encode(meaning, 'hex') FROM cirque_vectors");
    let dump: String = dump.fetch_one(&mut connection).await.unwrap().get(0);
    assert!(
        dump.len() > 50 && !dump.contains("question") && !dump.contains("81007f03"),
        "{dump}"
    );
    assert!(same(&both.get(key(2)).await.unwrap().unwrap(), &one));
    let near = both.near(one.partition, &one.place, 1, 0.9, NOW).await.unwrap();
    assert_eq!((&*near[0].question, &near[0].meaning), (&*one.question, &one.meaning));
    // What cannot be read is not there, and goes.
    assert!(
        new.near(one.partition, &one.place, 1, 0.9, NOW)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!((new.unreadable(), both.count().await.unwrap()), (1, 0));
    plain.put(&one).await.unwrap();
    assert!(both.get(key(2)).await.unwrap().is_none());
    both.put(&one).await.unwrap();
    assert!(new.list(one.partition, 1).await.unwrap().len() == 1);
    // Moved to another name.
    sqlx::query("UPDATE cirque_vectors SET key = $1")
        .bind(key(3).0.to_vec())
        .execute(&mut connection)
        .await
        .unwrap();
    assert!(new.get(key(3)).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_the_extension_says_what_to_install() {
    // Debian's server, unless pgvector is installed with it.
    let Some(server) = shared() else { return };
    let url = fresh_database(server).await;
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    let there = sqlx::query("SELECT COUNT(*) FROM pg_available_extensions WHERE name = 'vector'");
    let there: i64 = there.fetch_one(&mut connection).await.unwrap().get(0);
    if there > 0 {
        println!("SKIPPED: this PostgreSQL has pgvector");
        return;
    }
    let why = PgVectors::open(settings(&url))
        .unwrap()
        .prepare()
        .await
        .unwrap_err()
        .to_string();
    assert!(why.contains("pgvector"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_not_make_the_extension_is_told_and_one_who_finds_it_made_is_served() {
    let Some(server) = shared_with_vector() else { return };
    let url = fresh_database(server).await;
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(
        "DO $$ BEGIN CREATE ROLE lowly LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$; GRANT CREATE, USAGE ON SCHEMA public TO lowly",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let lowly = PgVectors::open(settings(&url.replace("cirque@", "lowly@"))).unwrap();
    let why = lowly.prepare().await.unwrap_err().to_string();
    assert!(why.contains("CREATE EXTENSION vector"), "{why}");
    sqlx::raw_sql("CREATE EXTENSION vector")
        .execute(&mut connection)
        .await
        .unwrap();
    lowly.prepare().await.unwrap();
    assert_eq!(lowly.count().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_an_outage_and_is_found_again() {
    let Some(mut server) = Postgres::with_vector() else {
        return;
    };
    let store = PgVectors::open(settings(&server.url())).unwrap();
    let mut random = fastrand::Rng::with_seed(12);
    let one = point(1, 0, random_place(&mut random));
    store.put(&one).await.unwrap();
    server.kill();
    let place = one.place.clone();
    assert!(store.near(one.partition, &place, 1, 0.9, NOW).await.is_err());
    // Known to be away: nobody waits.
    for _ in 0..1000 {
        assert!(store.near(one.partition, &place, 1, 0.9, NOW).await.is_err());
    }
    server.up();
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while store.near(one.partition, &place, 1, 0.9, NOW).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "it is not found again");
        tokio::task::yield_now().await;
    }
}
