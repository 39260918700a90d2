//! The contract of an exchange, for every implementation; here over Redis and over a cluster.

use super::{TOTAL, ask, instance, report, settings, take, used};
use crate::support::redis::{Cluster, Redis, installed};
use cirque::limits::{Exchange, Shape, Taken};
use std::sync::Arc;
use std::time::Duration;

/// What every implementation must do. `make` gives one more instance of the same fleet, ready.
pub async fn contract(make: impl Fn() -> Arc<dyn Exchange>) {
    let (one, two) = (make(), make());
    all_or_nothing(&*one).await;
    slices_shrink(&*one).await;
    reports(&*one, &*two).await;
    concurrency(&*one, &*two).await;
    sliding(&*one).await;
    known(&*one).await;
    exactly_the_limit(&make).await;
}

async fn all_or_nothing(one: &dyn Exchange) {
    let asks = [ask("both-a", TOTAL, 10, 5, 0), ask("both-b", TOTAL, 3, 5, 0)];
    assert_eq!(
        one.take(&asks).await,
        Ok(Taken::Refused {
            index: 1,
            remaining: 3,
            after: None
        })
    );
    assert_eq!(used(one, "both-a", TOTAL).await, 0);
    let Ok(Taken::Granted(given)) = one.take(&[asks[0].clone(), ask("both-b", TOTAL, 5, 5, 0)]).await else {
        panic!("refused");
    };
    assert_eq!(
        (given[0].amount, given[0].used, given[1].amount, given[1].used),
        (5, 5, 5, 5)
    );
}

async fn slices_shrink(one: &dyn Exchange) {
    let limit = 100_000;
    let mut last = u64::MAX;
    loop {
        let Ok(Taken::Granted(given)) = one.take(&[ask("slices", TOTAL, limit, 1, limit)]).await else {
            break;
        };
        let before = limit - (given[0].used - given[0].amount);
        assert!(given[0].amount <= 1 + before / 100, "{given:?} of {before}");
        assert!(given[0].amount <= last);
        last = given[0].amount;
    }
    assert_eq!(last, 1);
    assert_eq!(used(one, "slices", TOTAL).await, limit);
}

async fn reports(one: &dyn Exchange, two: &dyn Exchange) {
    let (end, shape) = (i64::MAX, "reports");
    let window = Shape::Window { start: 7, end };
    assert_eq!(take(one, ask(shape, window, 100, 60, 0)).await, Ok(Some(60)));
    assert_eq!(take(two, ask(shape, window, 100, 41, 0)).await, Ok(None));
    assert_eq!(one.report(&[report(shape, window, 100, 20, 30, 0)]).await, Ok(vec![30]));
    assert_eq!(take(two, ask(shape, window, 100, 41, 0)).await, Ok(Some(41)));
    assert_eq!(
        one.report(&[report(shape, window, 100, 10, 0, 50)]).await,
        Ok(vec![121])
    );
    assert_eq!(take(two, ask(shape, window, 100, 1, 0)).await, Ok(None));
    // Another window is another count.
    assert_eq!(used(one, shape, TOTAL).await, 0);
}

async fn concurrency(one: &dyn Exchange, two: &dyn Exchange) {
    let count = || ask("under-way", Shape::Concurrent, 3, 1, 0);
    assert_eq!(take(one, count()).await, Ok(Some(1)));
    assert_eq!(take(two, count()).await, Ok(Some(1)));
    assert_eq!(take(two, count()).await, Ok(Some(1)));
    assert_eq!(take(one, count()).await, Ok(None));
    let back = [report("under-way", Shape::Concurrent, 3, 0, 1, 0)];
    assert_eq!(two.report(&back).await, Ok(vec![2]));
    assert_eq!(take(one, count()).await, Ok(Some(1)));
    // What is under way without having been asked for is out like the rest.
    let beyond = [report("under-way", Shape::Concurrent, 3, 0, 0, 2)];
    assert_eq!(two.report(&beyond).await, Ok(vec![5]));
    let back = [report("under-way", Shape::Concurrent, 3, 0, 3, 0)];
    assert_eq!(two.report(&back).await, Ok(vec![2]));
}

async fn sliding(one: &dyn Exchange) {
    let per = Shape::Sliding(Duration::from_secs(3600));
    // Five seconds of 72 000 an hour are 100, a hundredth of what remains is more.
    assert_eq!(take(one, ask("hour", per, 72_000, 1, 50_000)).await, Ok(Some(101)));
    assert_eq!(take(one, ask("hour", per, 101, 1, 0)).await, Ok(None));
    let Ok(Taken::Refused { after, remaining, .. }) = one.take(&[ask("hour", per, 200, 100, 0)]).await else {
        panic!("granted");
    };
    assert_eq!(remaining, 99);
    let after = after.unwrap();
    assert!(
        after > Duration::from_secs(3400) && after < Duration::from_secs(3800),
        "{after:?}"
    );
    // What comes back can be taken at once, what was spent cannot.
    assert_eq!(one.report(&[report("hour", per, 101, 40, 61, 0)]).await, Ok(vec![40]));
    assert_eq!(take(one, ask("hour", per, 101, 61, 0)).await, Ok(Some(61)));
    assert_eq!(one.report(&[report("hour", per, 101, 0, 0, 9)]).await, Ok(vec![110]));
    // More than the limit never fits: no moment to wait for.
    let never = one.take(&[ask("hour", per, 10, 11, 0)]).await;
    assert!(matches!(never, Ok(Taken::Refused { after: None, .. })), "{never:?}");
}

async fn known(one: &dyn Exchange) {
    let mut wanted = ask("known", TOTAL, 100, 1, 0);
    wanted.known = 98;
    assert_eq!(take(one, wanted.clone()).await, Ok(Some(1)));
    // Who knows more raises it, who knows less does not; also by a question that is refused.
    wanted.known = 50;
    assert_eq!(used(one, "known", TOTAL).await, 99);
    wanted.limit = 200;
    assert_eq!(take(one, wanted.clone()).await, Ok(Some(1)));
    (wanted.known, wanted.need) = (150, 51);
    assert_eq!(take(one, wanted.clone()).await, Ok(None));
    assert_eq!(used(one, "known", TOTAL).await, 150);
    for shape in [TOTAL, Shape::Sliding(Duration::from_secs(3600))] {
        let mut told = report("known-first", shape, 100, 0, 0, 3);
        told.known = 40;
        assert_eq!(one.report(&[told]).await, Ok(vec![43]));
        wanted = ask("refused-first", shape, 100, 60, 0);
        wanted.known = 50;
        assert_eq!(take(one, wanted.clone()).await, Ok(None));
        assert_eq!(used(one, "refused-first", shape).await, 50);
    }
}

async fn exactly_the_limit(make: &impl Fn() -> Arc<dyn Exchange>) {
    for shape in [TOTAL, Shape::Sliding(Duration::from_secs(3600)), Shape::Concurrent] {
        let count = format!("exact-{shape:?}");
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (exchange, count) = (make(), count.clone());
                tokio::spawn(async move {
                    let mut got = 0;
                    while let Some(amount) = take(&*exchange, ask(&count, shape, 100, 1, 5)).await.unwrap() {
                        got += amount;
                    }
                    // What is out must stay out until all have taken.
                    (exchange, got)
                })
            })
            .collect();
        let mut sum = 0;
        let mut kept = Vec::new();
        for task in tasks {
            let (exchange, got) = task.await.unwrap();
            kept.push(exchange);
            sum += got;
        }
        assert_eq!(sum, 100, "{shape:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_keeps_the_contract() {
    if installed() {
        let redis = Redis::start();
        contract(|| instance(settings(&[redis.url()]))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_keeps_the_contract_and_any_node_may_be_asked_first() {
    if !installed() {
        return;
    }
    let cluster = Cluster::start();
    for url in cluster.urls() {
        let mut settings = settings(&[url]);
        settings.cluster = true;
        settings.prefix = format!("p{}", fastrand::u32(..));
        contract(|| instance(settings.clone())).await;
    }
}
