//! The contract of a shared tier, over one Redis, over a cluster, and sealed.

use super::{Instance, by_id, entry, everything, key, now_ms, settings, without_answer};
use crate::support::redis::{Cluster, Redis, installed};
use cirque::cache::{Entry, News, Owner, Partition, Selection, Shared, Wrong};
use cirque::secret::Secret;
use cirque::storage::sealed::Keyring;
use std::sync::Arc;

/// What every implementation must do. `make` gives one more instance of the same fleet, ready.
async fn contract(make: impl Fn() -> Instance) {
    let (mut one, mut two) = (make(), make());
    kept_and_told(&mut one, &mut two).await;
    only_while_of_use(&one).await;
    disowned(&mut one, &mut two).await;
    chosen(&one, &two).await;
    learned_at_the_start(&one, &make).await;
}

async fn kept_and_told(one: &mut Instance, two: &mut Instance) {
    let first = entry(1);
    assert_eq!(one.get(first.key).await.unwrap(), None);
    one.put(&first).await.unwrap();
    assert_eq!(one.get(first.key).await.unwrap().as_ref(), Some(&first));
    assert_eq!(two.get(first.key).await.unwrap().as_ref(), Some(&first));
    assert_eq!(two.told().await, News::Stored(Box::new(without_answer(&first))));
    // A fresher one replaces it.
    let mut second = entry(1);
    second.answer.bytes = "another".into();
    second.answer.length = 7;
    two.put(&second).await.unwrap();
    assert_eq!(one.told().await, News::Stored(Box::new(without_answer(&second))));
    assert_eq!(one.get(first.key).await.unwrap(), Some(second));
    // What is not found by likeness is told without its question.
    let exact = Entry {
        semantic: false,
        ..entry(2)
    };
    one.put(&exact).await.unwrap();
    let News::Stored(head) = two.told().await else { panic!() };
    assert_eq!((head.key, head.question), (exact.key, None));
    assert_eq!(one.delete(&by_id(&[key(1), key(2), key(3)])).await.unwrap(), 2);
    assert_eq!(two.told().await, News::Deleted(by_id(&[key(1), key(2), key(3)])));
    assert!(!one.has(key(1)).await && !two.has(key(2)).await);
    assert!(
        one.all_told().is_empty() && two.all_told().is_empty(),
        "what one did oneself is not told"
    );
}

async fn only_while_of_use(one: &Instance) {
    let over = Entry {
        made_ms: now_ms() - 10_000,
        fresh_ms: 9_000,
        ..entry(10)
    };
    one.put(&over).await.unwrap();
    assert!(!one.has(over.key).await);
    let never = Entry {
        fresh_ms: u64::MAX,
        ..entry(11)
    };
    one.put(&never).await.unwrap();
    assert!(one.has(never.key).await);
    assert_eq!(one.delete(&by_id(&[never.key])).await.unwrap(), 1);
    assert_eq!(one.delete(&Selection::default()).await.unwrap(), 0);
}

async fn wrong_told(one: &mut Instance) -> Wrong {
    loop {
        if let News::Disowned(wrong) = one.told().await {
            return wrong;
        }
    }
}

async fn disowned(one: &mut Instance, two: &mut Instance) {
    one.put(&entry(20)).await.unwrap();
    let wrong = Wrong {
        id: key(20),
        question: Some(key(21)),
    };
    one.disown(&wrong).await.unwrap();
    assert_eq!(wrong_told(two).await, wrong);
    assert!(two.has(key(20)).await);
    let wrong = Wrong {
        id: key(20),
        question: None,
    };
    two.disown(&wrong).await.unwrap();
    assert_eq!(wrong_told(one).await, wrong);
    assert!(!one.has(key(20)).await);
    let _ = (one.all_told(), two.all_told());
}

/// Answers that differ in one property each.
fn varied() -> Vec<Entry> {
    let with = |number, change: fn(&mut Entry)| {
        let mut one = entry(number);
        one.owner = Owner {
            organisation: Some("o".into()),
            team: Some("t".into()),
            project: Some("p".into()),
            user: Some("u".into()),
            key: Some("k".into()),
        };
        one.tags = ["a".into(), "b".into()].into();
        change(&mut one);
        one
    };
    vec![
        with(100, |_| {}),
        with(101, |one| one.partition = Partition([8; 16])),
        with(102, |one| one.owner.organisation = Some("o2".into())),
        with(103, |one| one.owner.team = Some("o".into())),
        with(104, |one| one.owner.project = None),
        with(105, |one| one.owner.user = Some("k".into())),
        with(106, |one| one.owner.key = Some("K".into())),
        with(107, |one| one.tags = ["b".into(), "c".into()].into()),
        with(108, |one| one.model = "large".into()),
    ]
}

/// Whatever is selected, what goes is what `Selection::matches` says, everywhere, and no more.
async fn chosen(one: &Instance, two: &Instance) {
    let text = |text: &str| Some(text.to_owned());
    let none = Selection::default;
    let partition = Some(Partition([8; 16]));
    let selections = [
        Selection { partition, ..none() },
        Selection {
            organisation: text("o2"),
            ..none()
        },
        Selection {
            team: text("o"),
            ..none()
        },
        Selection {
            project: text("p"),
            ..none()
        },
        Selection {
            user: text("u"),
            ..none()
        },
        Selection {
            key: text("K"),
            ..none()
        },
        Selection {
            tag: text("a"),
            ..none()
        },
        Selection {
            tag: text("b"),
            ..none()
        },
        Selection {
            model: text("large"),
            ..none()
        },
        Selection {
            tag: text("b"),
            user: text("u"),
            model: text("small"),
            ..none()
        },
        Selection {
            tag: text("c"),
            user: text("k"),
            ..none()
        },
        Selection {
            team: text("nobody"),
            ..none()
        },
        Selection {
            ids: vec![key(100), key(101)],
            organisation: text("o"),
            partition,
            ..none()
        },
        Selection {
            all: true,
            model: text("large"),
            ..none()
        },
        everything(),
    ];
    for selection in selections {
        let all = varied();
        for (index, entry) in all.iter().enumerate() {
            // What is deleted is not yet known to the other one: it may refuse what it was asked to keep too early.
            let by = [one, two][index % 2];
            loop {
                by.put(entry).await.unwrap();
                if by.has(entry.key).await {
                    break;
                }
                let mut again = entry.clone();
                again.made_ms = now_ms();
                by.put(&again).await.unwrap();
                if by.has(entry.key).await {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let expected = all.iter().filter(|entry| selection.matches(entry)).count();
        assert_eq!(one.delete(&selection).await.unwrap(), expected as u64, "{selection:?}");
        for entry in &all {
            assert_eq!(
                two.has(entry.key).await,
                !selection.matches(entry),
                "{selection:?} {entry:?}"
            );
        }
        one.delete(&everything()).await.unwrap();
    }
}

async fn learned_at_the_start(one: &Instance, make: &impl Fn() -> Instance) {
    let (stays, goes) = (entry(200), entry(201));
    for entry in [&stays, &goes] {
        while !one.has(entry.key).await {
            let mut again = entry.clone();
            again.made_ms = now_ms();
            one.put(&again).await.unwrap();
        }
    }
    one.delete(&by_id(&[goes.key])).await.unwrap();
    let mut late = make();
    let mut there = std::collections::BTreeSet::new();
    loop {
        match late.told().await {
            News::Stored(entry) => drop(there.insert(entry.key)),
            News::Deleted(selection) if selection.all => there.clear(),
            News::Deleted(selection) => {
                there.retain(|key| !selection.ids.contains(key));
                if selection.ids.contains(&goes.key) {
                    break;
                }
            }
            _ => {}
        }
    }
    assert_eq!(there.into_iter().collect::<Vec<_>>(), [stays.key]);
    one.delete(&everything()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_one_redis() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    contract(|| Instance::start(settings(&[redis.url()]))).await;
    left_behind(&redis);
}

/// Nothing but what ends by itself, and nothing counted.
fn left_behind(redis: &Redis) {
    let mut keys: Vec<String> = redis.command(&["KEYS", "*"]);
    keys.retain(|key| !key.contains(":cache:d:"));
    keys.sort();
    let expected = ["ends", "log", "marks", "state"].map(|name| format!("{{cirque}}:cache:{name}"));
    assert_eq!(keys, expected);
    let bytes: i64 = redis.command(&["HGET", "{cirque}:cache:state", "bytes"]);
    assert_eq!(bytes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_cluster() {
    if !installed() {
        return;
    }
    let cluster = Cluster::start();
    let urls = cluster.urls();
    let next = std::sync::atomic::AtomicUsize::new(0);
    // Each instance knows another node only.
    contract(|| {
        let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % urls.len();
        let mut settings = settings(&urls[at..=at]);
        settings.redis.cluster = true;
        Instance::start(settings)
    })
    .await;
}

fn ring(keys: &[u8]) -> Option<Arc<Keyring>> {
    let keys: Vec<_> = keys
        .iter()
        .map(|key| Secret::new(format!("{key:02x}").repeat(32)))
        .collect();
    Some(Arc::new(Keyring::new(&keys).unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealed() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let with = |keys: &[u8]| {
        let mut settings = settings(&[redis.url()]);
        settings.keyring = ring(keys);
        Instance::start(settings)
    };
    contract(|| with(&[1])).await;

    // Nothing of it can be read in Redis.
    let (mut old, both, new) = (with(&[1]), with(&[2, 1]), with(&[2]));
    let mut first = entry(1);
    first.question = Some("hunter2 asked".into());
    first.answer.bytes = "hunter2 told".into();
    first.answer.length = 12;
    for one in [&old, &both, &new] {
        one.caught_up(&redis);
    }
    first.made_ms = now_ms();
    old.put(&first).await.unwrap();
    old.disown(&Wrong {
        id: key(5),
        question: Some(key(6)),
    })
    .await
    .unwrap();
    let mut raw: Vec<u8> = redis.command(&["DUMP", &format!("{{cirque}}:cache:e:{}", first.key)]);
    raw.extend(redis.command::<Vec<u8>>(&["DUMP", "{cirque}:cache:log"]));
    assert!(raw.len() > 300 && !raw.windows(7).any(|part| part == b"hunter2"));

    // Keys rotate: who has both reads both; who has only the new one finds nothing, and it goes.
    assert_eq!(both.get(first.key).await.unwrap().as_ref(), Some(&first));
    let second = entry(2);
    both.put(&second).await.unwrap();
    assert_eq!(new.get(second.key).await.unwrap().as_ref(), Some(&second));
    new.caught_up(&redis);
    let before = new.figures().unreadable;
    assert_eq!(new.get(first.key).await.unwrap(), None);
    assert_eq!(new.figures().unreadable, before + 1);
    assert!(!both.has(first.key).await);

    // A deletion that cannot be read is a gap; a storing that cannot be read is nothing.
    let _ = old.all_told();
    both.caught_up(&redis);
    both.put(&entry(3)).await.unwrap();
    both.delete(&by_id(&[key(3)])).await.unwrap();
    loop {
        match old.told().await {
            News::Gap => break,
            News::Stored(entry) => panic!("{:?}", entry.key),
            _ => {}
        }
    }
}
