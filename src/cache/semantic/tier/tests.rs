//! The tier with stand-ins: an encoder that counts words, and a verifier that goes by their likeness and forbids other numbers.

mod stand_ins;

use super::*;
use crate::cache::{Answer, Entry, Form, Key, Owner, Partition, Selection, Wrong};
use bytes::Bytes;
use stand_ins::{Elsewhere, Numbers, Words};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

fn tier(settings: Settings) -> (Arc<Words>, Semantic) {
    let words = Arc::new(Words::default());
    let tier = Semantic::new(settings, Source::Built(words.clone()), Arc::new(Numbers), None).unwrap();
    (words, tier)
}

fn key(partition: u8, question: &str) -> Key {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let hash = u128::from(hasher.hash_one((partition, question)));
    Key((hash << 64 | u128::from(partition)).to_be_bytes())
}

fn entry(partition: u8, question: &str) -> Entry {
    Entry {
        key: key(partition, question),
        partition: Partition([partition; 16]),
        made_ms: 1000,
        fresh_ms: 1000,
        stale_ms: 0,
        spare_ms: 0,
        owner: Owner::default(),
        model: "m".into(),
        target: "t".into(),
        tags: Box::default(),
        question: Some(question.into()),
        semantic: true,
        usage: None,
        cost: None,
        answer: Answer {
            form: Form::Canonical,
            zstd: false,
            length: 0,
            bytes: Bytes::new(),
        },
    }
}

const TERMS: Terms = Terms {
    threshold: 0.9,
    time_limit: Duration::from_secs(3600),
};

async fn find(tier: &Semantic, partition: u8, question: &str) -> Found {
    find_on(tier, partition, question, &TERMS).await
}

async fn find_on(tier: &Semantic, partition: u8, question: &str, terms: &Terms) -> Found {
    let asked = Asked {
        partition: Partition([partition; 16]),
        key: key(partition, question),
        question,
    };
    tier.find(&asked, terms, 1500).await
}

fn hit(found: &Found) -> Option<Key> {
    match found {
        Found::Hit { key, .. } => Some(*key),
        Found::Miss(_) => None,
    }
}

/// Until everything that was to be done later is done.
async fn settled(tier: &Semantic) {
    while tier.stats().learning > 0 {
        tokio::task::yield_now().await;
    }
}

const KEPT: &str = "how do i reset the password of my account at the bank in 2024 today";
const LIKE: &str = "how do i reset the password of my account at the bank in 2024 now";

#[tokio::test]
async fn a_like_question_is_found_and_an_other_is_not() {
    let (words, tier) = tier(Settings::default());
    assert_eq!(find(&tier, 1, LIKE).await, Found::Miss(Why::Empty));
    tier.learn(&entry(1, KEPT));
    // All queries match one entry: not here.
    let other = find(&tier, 1, "why is the sky blue over the sea at noon in 2024").await;
    assert_eq!(other, Found::Miss(Why::NoCandidate));
    let Found::Hit {
        key: found,
        score,
        question,
        ..
    } = find(&tier, 1, LIKE).await
    else {
        panic!("no hit");
    };
    assert_eq!((found, &*question), (key(1, KEPT), KEPT));
    assert!(score > 0.9 && score < 1.0);
    // The same words with another number.
    assert_eq!(
        find(&tier, 1, &LIKE.replace("2024", "2025")).await,
        Found::Miss(Why::Veto("numbers"))
    );
    // The threshold is what the terms say it is.
    let strict = Terms {
        threshold: 0.999,
        ..TERMS
    };
    let Found::Miss(Why::BelowThreshold { key: nearest, .. }) = find_on(&tier, 1, LIKE, &strict).await else {
        panic!("not below");
    };
    assert_eq!(nearest, key(1, KEPT));
    // Another partition (tenant, system prompt, earlier turns) sees none of it.
    assert_eq!(find(&tier, 2, LIKE).await, Found::Miss(Why::Empty));
    tier.learn(&entry(2, "why is the sky blue over the sea at noon in 2024"));
    assert_eq!(find(&tier, 2, LIKE).await, Found::Miss(Why::NoCandidate));
    assert_eq!(find(&tier, 1, &"word ".repeat(40)).await, Found::Miss(Why::TooLong));
    assert_eq!(find(&tier, 1, "  ").await, Found::Miss(Why::Unreadable));
    settled(&tier).await;
    let before = words.meant.load(Relaxed);
    assert_eq!(hit(&find(&tier, 1, LIKE).await), Some(key(1, KEPT)));
    assert_eq!(words.meant.load(Relaxed), before + 1, "only what is asked is encoded");
    tier.learn(&entry(1, KEPT));
    settled(&tier).await;
    assert_eq!(
        words.meant.load(Relaxed),
        before + 1,
        "what is known is not encoded again"
    );
}

#[tokio::test]
async fn what_is_not_for_likeness_is_not_learned() {
    let (_, tier) = tier(Settings::default());
    tier.learn(&Entry {
        semantic: false,
        ..entry(1, KEPT)
    });
    tier.learn(&Entry {
        question: None,
        ..entry(1, KEPT)
    });
    tier.learn(&entry(1, &"word ".repeat(40)));
    let stats = tier.stats();
    assert_eq!((stats.entries, stats.unlearned), (0, 1));
}

#[tokio::test]
async fn forgotten_and_ended_questions_are_not_found() {
    let (_, tier) = tier(Settings::default());
    tier.learn(&entry(1, KEPT));
    let asked = Asked {
        partition: Partition([1; 16]),
        key: key(1, LIKE),
        question: LIKE,
    };
    assert_eq!(
        tier.find(&asked, &TERMS, 2000).await,
        Found::Miss(Why::NoCandidate),
        "ended, not yet forgotten"
    );
    assert_eq!(tier.expire(1999).await, 0);
    assert_eq!(tier.expire(2000).await, 1);
    tier.learn(&entry(1, KEPT));
    let id = Selection {
        ids: vec![key(1, KEPT)],
        ..Selection::default()
    };
    assert_eq!(
        tier.forget(&Selection::default()).await,
        0,
        "nothing given selects nothing"
    );
    assert_eq!(tier.forget(&id).await, 1);
    assert_eq!(find(&tier, 1, LIKE).await, Found::Miss(Why::Empty));
}

#[tokio::test]
async fn overload_and_slowness_are_misses() {
    let (words, tier) = tier(Settings {
        waiting: 2,
        ..Settings::default()
    });
    let tier = Arc::new(tier);
    tier.learn(&entry(1, KEPT));
    settled(&tier).await;
    words.hold(true);
    // One is being done, two wait, the fourth is refused at once.
    let ask = || {
        let tier = tier.clone();
        tokio::spawn(async move { find(&tier, 1, LIKE).await })
    };
    let before = words.meant.load(Relaxed);
    let first = ask();
    while words.meant.load(Relaxed) == before {
        tokio::task::yield_now().await;
    }
    let waiting = [ask(), ask()];
    while tier.stats().waiting < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(find(&tier, 1, LIKE).await, Found::Miss(Why::Busy));
    // Their clients leave: what has not begun is not done.
    for waits in waiting {
        waits.abort();
        assert!(waits.await.unwrap_err().is_cancelled());
    }
    words.hold(false);
    assert_eq!(hit(&first.await.unwrap()), Some(key(1, KEPT)));
    while tier.stats().waiting > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(hit(&find(&tier, 1, LIKE).await), Some(key(1, KEPT)));
    assert_eq!(words.meant.load(Relaxed), before + 2);
    // What is not there at the limit is a miss.
    words.hold(true);
    let terms = Terms {
        time_limit: Duration::ZERO,
        ..TERMS
    };
    assert_eq!(find_on(&tier, 1, LIKE, &terms).await, Found::Miss(Why::TooSlow));
    words.hold(false);
    let stats = tier.stats();
    assert_eq!((stats.busy, stats.late), (1, 1));
}

#[tokio::test]
async fn a_flood_is_bounded_in_all_it_fills() {
    let (words, tier) = tier(Settings {
        entries: 100,
        learning: 20,
        ..Settings::default()
    });
    words.hold(true);
    for number in 0..500 {
        tier.learn(&entry(
            (number % 3) as u8,
            &format!("unique question number {number} of the flood"),
        ));
    }
    let stats = tier.stats();
    assert_eq!((stats.entries, stats.evicted), (100, 400));
    assert!(stats.learning <= 20 && stats.bytes < 500_000, "{stats:?}");
    words.hold(false);
    // Those whose meaning there was no room to make are found all the same.
    let (asked, kept) = (
        "so unique question number 499 of the flood",
        "unique question number 499 of the flood",
    );
    assert_eq!(hit(&find(&tier, 1, asked).await), Some(key(1, kept)));
}

#[tokio::test]
async fn a_reported_pair_never_matches_again_and_its_neighbourhood_is_doubted() {
    let (_, tier) = tier(Settings::default());
    let near = LIKE.replace("now", "please");
    tier.learn(&entry(1, KEPT));
    let wrong = |asked: &str| Wrong {
        id: key(1, KEPT),
        question: Some(key(1, asked)),
    };
    assert!(hit(&find(&tier, 1, LIKE).await).is_some());
    let Found::Hit { score, .. } = find(&tier, 1, &near).await else {
        panic!()
    };
    assert!(tier.disown(&wrong(LIKE)).await);
    assert_eq!(find(&tier, 1, LIKE).await, Found::Miss(Why::Veto("reported")));
    // A threshold that the other one met by a little is not met any more: half the doubt is allowed.
    let terms = Terms {
        threshold: score - 0.01,
        ..TERMS
    };
    assert!(matches!(
        find_on(&tier, 1, &near, &terms).await,
        Found::Miss(Why::BelowThreshold { .. })
    ));
    // Nor by a close question that is learned later; in other partitions nothing changes.
    tier.learn(&entry(1, &KEPT.replace("today", "again")));
    assert!(matches!(
        find_on(&tier, 1, &near, &terms).await,
        Found::Miss(Why::BelowThreshold { .. })
    ));
    tier.learn(&entry(2, KEPT));
    assert!(hit(&find_on(&tier, 2, &near, &terms).await).is_some());
    // The third report takes it out; a wrong answer goes at once.
    tier.disown(&wrong("b")).await;
    tier.disown(&wrong("c")).await;
    assert!(!tier.disown(&wrong("d")).await, "it is gone");
    assert_eq!(tier.stats().entries, 2);
    assert!(
        tier.disown(&Wrong {
            id: key(2, KEPT),
            question: None
        })
        .await
    );
    assert_eq!(find(&tier, 2, &near).await, Found::Miss(Why::Empty));
    // The pair stays parted when the question is learned anew.
    tier.learn(&entry(1, KEPT));
    let Found::Miss(_) = find(&tier, 1, LIKE).await else {
        panic!("matched again")
    };
}

#[tokio::test]
async fn an_embedder_elsewhere() {
    let there = Arc::new(Elsewhere::default());
    let tier = Semantic::new(
        Settings::default(),
        Source::Remote(there.clone()),
        Arc::new(Numbers),
        None,
    )
    .unwrap();
    tier.learn(&entry(1, KEPT));
    settled(&tier).await;
    assert_eq!(hit(&find(&tier, 1, LIKE).await), Some(key(1, KEPT)));
    assert!(tier.agreement("the same words", "the same words here").await.unwrap() > 0.8);
    there.down.store(true, Relaxed);
    assert_eq!(find(&tier, 1, LIKE).await, Found::Miss(Why::Unavailable));
    tier.learn(&entry(1, "another one"));
    settled(&tier).await;
    assert_eq!(tier.stats().unlearned, 1);
    // What is forgotten on its way does not arrive.
    there.down.store(false, Relaxed);
    tier.learn(&entry(1, "on its way"));
    assert_eq!(
        tier.forget(&Selection {
            all: true,
            ..Selection::default()
        })
        .await,
        2
    );
    settled(&tier).await;
    assert_eq!(tier.stats().entries, 0);
}

#[tokio::test]
async fn a_store_of_vectors() {
    let (words, there) = (Arc::new(Words::default()), Arc::new(Elsewhere::default()));
    let tier = Semantic::new(
        Settings::default(),
        Source::Built(words),
        Arc::new(Numbers),
        Some(there.clone()),
    )
    .unwrap();
    tier.learn(&entry(1, KEPT));
    settled(&tier).await;
    assert_eq!(tier.stats().entries, 0, "nothing in this process");
    assert_eq!(hit(&find(&tier, 1, LIKE).await), Some(key(1, KEPT)));
    assert_eq!(find(&tier, 2, LIKE).await, Found::Miss(Why::NoCandidate));
    assert_eq!(tier.inspect(Partition([1; 16]), Some(LIKE), 5).await.len(), 1);
    assert!(
        tier.disown(&Wrong {
            id: key(1, KEPT),
            question: None
        })
        .await
    );
    assert_eq!(find(&tier, 1, LIKE).await, Found::Miss(Why::NoCandidate));
    there.down.store(true, Relaxed);
    assert_eq!(find(&tier, 1, LIKE).await, Found::Miss(Why::Unavailable));
}

#[tokio::test]
async fn operators_see_what_there_is() {
    let (_, tier) = tier(Settings::default());
    for question in [
        KEPT,
        "why is the sky blue over the sea at noon",
        "what is the capital of france",
    ] {
        tier.learn(&entry(1, question));
    }
    settled(&tier).await;
    let newest = tier.inspect(Partition([1; 16]), None, 2).await;
    assert_eq!(newest.len(), 2);
    assert_eq!(
        (&*newest[0].question, newest[0].made_ms, newest[0].ends_ms),
        ("what is the capital of france", 1000, 2000)
    );
    let nearest = tier.inspect(Partition([1; 16]), Some(LIKE), 2).await;
    assert_eq!(&*nearest[0].question, KEPT);
    assert!(nearest[0].nearness > Some(0.8) && nearest[0].similarity > Some(0.8) && nearest[1].nearness < Some(0.7));
    let stats = tier.stats();
    assert_eq!((stats.entries, stats.partitions), (3, 1));
}

#[tokio::test]
async fn how_alike_answers_are() {
    let (_, tier) = tier(Settings::default());
    let long = "a sentence that goes on and on until it ends some day ".repeat(1000);
    assert_eq!(tier.agreement("Paris.", "Paris.").await, Some(1.0));
    let of = async |a: &str, b: &str| tier.agreement(a, b).await.unwrap();
    assert!(of("It is Paris.", "it is paris!").await > 0.5);
    assert!(of("It is Paris", "No idea what you mean").await < 0.2);
    assert!(of(&long, &long[..20_000]).await > 0.99);
    assert_eq!(tier.agreement("", "a").await, None, "nothing to compare");
}

#[tokio::test]
async fn its_threads_end_with_it() {
    let (words, tier) = tier(Settings {
        threads: 2,
        ..Settings::default()
    });
    let (alive, core) = (tier.pool.alive(), Arc::downgrade(&tier.core));
    words.hold(true);
    for number in 0..50 {
        tier.learn(&entry(1, &format!("question {number}")));
    }
    drop(tier);
    words.hold(false);
    while alive.upgrade().is_some() || core.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn shows_no_text_in_its_logs() {
    let (_, tier) = tier(Settings::default());
    tier.learn(&entry(1, KEPT));
    let shown = format!("{:?}", find(&tier, 1, LIKE).await);
    assert!(!shown.contains("password"), "{shown}");
}
