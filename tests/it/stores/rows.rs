//! Usage rows: kept once whatever happens, read back as they were, given other costs, dropped when old.

use super::{DAY, NOVEMBER, Site, attempt_of, contract, row, row_at, rows};
use cirque::ledger::{Row, RowId};
use cirque::storage::{Bucket, Dimension, Filter, Records, Store, StoreError, UsageQuery};
use std::sync::Arc;

contract!(
    rows_come_back_as_they_were,
    the_same_rows_twice_are_kept_once,
    batches_that_overlap_at_once_are_kept_once,
    hostile_text_and_absurd_figures_are_kept,
    pages_do_not_shift_under_inserts,
    records_are_filtered,
    another_cost_follows_into_sums,
    old_rows_go_and_sums_stay,
    rows_of_before_there_were_labels_are_read,
    cursors_of_others_are_refused,
);

pub fn everything() -> Filter {
    Filter {
        from_ms: 0,
        to_ms: i64::MAX,
        only: Vec::new(),
    }
}

pub async fn all(store: &dyn Store) -> Vec<Row> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let query = Records {
            filter: everything(),
            attempts: true,
            limit: 70,
            cursor,
        };
        let page = store.records(&query).await.unwrap();
        found.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

/// Requests and cost of everything.
pub async fn total(store: &dyn Store) -> (u64, u64) {
    let query = UsageQuery {
        filter: everything(),
        by: Vec::new(),
        bucket: Bucket::All,
        limit: 1,
        cursor: None,
    };
    let page = store.usage(&query).await.unwrap();
    page.items.first().map_or((0, 0), |sum| (sum.requests, sum.cost))
}

pub async fn charged(store: &dyn Store) -> u64 {
    let counts = store.counts(0).await.unwrap();
    assert!(counts.len() <= 1, "{counts:?}");
    counts.first().map_or(0, |count| count.nano)
}

async fn rows_come_back_as_they_were(site: &Site) {
    let mut rows = rows(0..150);
    rows.extend(rows[..10].to_vec().iter().map(attempt_of));
    assert_eq!(site.store.insert(&rows).await.unwrap(), 160);
    let mut expected = rows;
    expected.sort_by_key(|row| std::cmp::Reverse((row.at_ms, row.id, row.attempt)));
    assert_eq!(all(&*site.store).await, expected);
    let query = Records {
        filter: everything(),
        attempts: false,
        limit: 1000,
        cursor: None,
    };
    assert_eq!(site.store.records(&query).await.unwrap().items.len(), 150);
    assert_eq!(total(&*site.store).await.0, 150, "attempts are part of their requests");
}

async fn the_same_rows_twice_are_kept_once(site: &Site) {
    let rows = rows(0..100);
    assert_eq!(site.store.insert(&rows).await.unwrap(), 100);
    let (total_once, charged_once) = (total(&*site.store).await, charged(&*site.store).await);
    assert_eq!(charged_once, (0..100).map(|number| 10 + number).sum::<u64>());
    assert_eq!(site.store.insert(&rows).await.unwrap(), 0);
    let half: Vec<_> = (50..150).map(row).collect();
    assert_eq!(site.store.insert(&half).await.unwrap(), 50);
    assert_eq!(site.store.insert(&[rows[0].clone(), rows[0].clone()]).await.unwrap(), 0);
    assert_eq!(site.store.insert(&[row(999), row(999)]).await.unwrap(), 1);
    assert_eq!(site.store.insert(&[]).await.unwrap(), 0);
    assert_eq!(total(&*site.store).await.0, total_once.0 + 51);
    assert_eq!(
        charged(&*site.store).await,
        charged_once + (100..150).map(|n| 10 + n).sum::<u64>() + 1009
    );
    assert!(site.store.counts(1_793_491_201).await.unwrap().is_empty());
}

async fn batches_that_overlap_at_once_are_kept_once(site: &Site) {
    let tasks: Vec<_> = (0..4u64)
        .map(|task| {
            let store = Arc::clone(&site.store);
            tokio::spawn(async move {
                let mut new = 0;
                for batch in 0..6 {
                    // Each task in another order, each row in two tasks or more.
                    let mut rows: Vec<_> = (0..100).map(|n| row((task * 50 + batch * 40 + n) % 400)).collect();
                    if task % 2 == 1 {
                        rows.reverse();
                    }
                    new += store.insert(&rows).await.unwrap();
                }
                new
            })
        })
        .collect();
    let mut new = 0;
    for task in tasks {
        new += task.await.unwrap();
    }
    let kept = all(&*site.store).await;
    assert_eq!(u64::try_from(kept.len()).unwrap(), new);
    let cost: u64 = kept.iter().filter_map(|row| row.cost).map(|cost| cost.total()).sum();
    assert_eq!(total(&*site.store).await, (new, cost));
    assert_eq!(
        charged(&*site.store).await,
        kept.iter().map(|row| row.charges[0].nano).sum::<u64>()
    );
}

async fn hostile_text_and_absurd_figures_are_kept(site: &Site) {
    let mut odd = row(1);
    odd.request_id = "nul \0, quote ', \u{1}\u{1f}\u{7f}, 🦀".into();
    odd.metadata = Some("{\"a\":\"\\u0000\"}".into());
    odd.model = Some("'; DROP TABLE ledger; --\0".into());
    odd.tags = vec!["%,_".into(), "x".repeat(5000).into()].into();
    odd.usage.input = u64::MAX;
    odd.usage.output = u64::MAX;
    odd.cost.as_mut().unwrap().input = u64::MAX;
    odd.billed = Some(u64::MAX);
    odd.charges[0].nano = u64::MAX;
    let mut again = odd.clone();
    again.id = RowId(7);
    let mut early = odd.clone();
    early.at_ms = 0;
    let mut late = odd.clone();
    late.at_ms = u64::MAX;
    assert_eq!(site.store.insert(&[odd, again, early, late]).await.unwrap(), 4);
    let kept = all(&*site.store).await;
    let odd = &kept[1];
    assert_eq!(&*odd.request_id, "nul \u{fffd}, quote ', \u{1}\u{1f}\u{7f}, 🦀");
    assert_eq!(odd.metadata.as_deref(), Some("{\"a\":\"\\u0000\"}"));
    assert_eq!(odd.model.as_deref(), Some("'; DROP TABLE ledger; --\u{fffd}"));
    assert_eq!(odd.usage.input, (1 << 62) - 1, "what is beyond counting stops");
    // Sums of what is beyond counting stop too, in the tables of sums as over single rows.
    for from_ms in [0, 1] {
        let query = UsageQuery {
            filter: Filter {
                from_ms,
                ..everything()
            },
            by: vec![Dimension::User],
            bucket: Bucket::All,
            limit: 10,
            cursor: None,
        };
        let sums = site.store.usage(&query).await.unwrap().items;
        assert!(sums.iter().any(|sum| sum.cost == (1 << 62) - 1), "{sums:?}");
    }
    assert_eq!(charged(&*site.store).await, (1 << 62) - 1);
    site.store.insert(&rows(10..20)).await.unwrap();
}

async fn pages_do_not_shift_under_inserts(site: &Site) {
    site.store.insert(&rows(0..40)).await.unwrap();
    let mut query = Records {
        filter: everything(),
        attempts: true,
        limit: 15,
        cursor: None,
    };
    let mut seen = Vec::new();
    let mut next = 1000;
    loop {
        let page = site.store.records(&query).await.unwrap();
        seen.extend(page.items.iter().map(|row| row.at_ms));
        site.store.insert(&rows(next..next + 5)).await.unwrap();
        next += 5;
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    let expected: Vec<_> = (0..40).rev().map(|number| row(number).at_ms).collect();
    assert_eq!(seen, expected);
}

async fn records_are_filtered(site: &Site) {
    let kept = rows(0..120);
    site.store.insert(&kept).await.unwrap();
    let count = |only: Vec<(Dimension, Vec<String>)>| async {
        let filter = Filter {
            from_ms: i64::try_from(kept[10].at_ms).unwrap(),
            to_ms: i64::try_from(kept[110].at_ms).unwrap(),
            only,
        };
        let query = Records {
            filter,
            attempts: true,
            limit: 1000,
            cursor: None,
        };
        site.store.records(&query).await.unwrap().items.len()
    };
    let expected = |wanted: fn(&Row) -> bool| kept[10..110].iter().filter(|row| wanted(row)).count();
    let one = |dimension, value: &str| vec![(dimension, vec![value.to_owned()])];
    assert_eq!(count(Vec::new()).await, 100);
    let found = count(one(Dimension::Team, "team-1")).await;
    assert_eq!(found, expected(|row| row.tenant.team.as_deref() == Some("team-1")));
    let found = count(one(Dimension::Outcome, "ok")).await;
    assert_eq!(found, expected(|row| row.outcome == "ok"));
    let found = count(one(Dimension::Tag, "blue")).await;
    assert_eq!(found, expected(|row| row.tags.iter().any(|tag| &**tag == "blue")));
    let both = vec![(Dimension::Tag, vec!["blue".to_owned(), "red".to_owned()])];
    assert_eq!(count(both).await, expected(|row| !row.tags.is_empty()));
    let two = vec![
        (Dimension::Model, vec!["model-0".to_owned(), "model-2".to_owned()]),
        (Dimension::Operation, vec!["embeddings".to_owned()]),
    ];
    assert_eq!(
        count(two).await,
        expected(|row| row.model.as_deref() != Some("model-1") && row.operation == "embeddings")
    );
    assert_eq!(count(one(Dimension::Key, "no such ' key")).await, 0);
}

async fn another_cost_follows_into_sums(site: &Site) {
    site.store.insert(&rows(0..60)).await.unwrap();
    site.store.insert(&[attempt_of(&row(3))]).await.unwrap();
    let charged_before = charged(&*site.store).await;
    let mut page = all(&*site.store).await;
    assert_eq!(site.store.reprice(&page).await.unwrap(), 0, "nothing differs");
    for (number, row) in page.iter_mut().enumerate() {
        match number % 3 {
            0 => row.cost = None,
            1 => {
                let mut cost = row.cost.unwrap_or_default();
                cost.request = 77;
                row.cost = Some(cost);
                row.billed = Some(123);
            }
            _ => {}
        }
    }
    // A row that is not kept stays so.
    let mut asked = page.clone();
    asked.push(row(5000));
    let differed = site.store.reprice(&asked).await.unwrap();
    assert!((35..=41).contains(&differed), "{differed}");
    assert_eq!(site.store.reprice(&asked).await.unwrap(), 0);
    assert_eq!(all(&*site.store).await, page);
    assert_eq!(charged(&*site.store).await, charged_before, "counts of budgets stay");
    sums_follow_rows(&*site.store).await;
}

/// What the tables of sums say is what the rows say.
pub async fn sums_follow_rows(store: &dyn Store) {
    let kept: Vec<_> = all(store).await.into_iter().filter(|row| row.attempt == 0).collect();
    for by in [
        vec![Dimension::Team],
        vec![Dimension::Key, Dimension::Outcome],
        vec![Dimension::Tag],
        vec![Dimension::User, Dimension::Tag],
    ] {
        for bucket in [Bucket::Hour, Bucket::Day, Bucket::Month, Bucket::All] {
            let query = UsageQuery {
                filter: everything(),
                by: by.clone(),
                bucket,
                limit: 10_000,
                cursor: None,
            };
            let mut found = store.usage(&query).await.unwrap().items;
            found.sort_by(|a, b| (a.at_ms, &a.values).cmp(&(b.at_ms, &b.values)));
            assert_eq!(found, super::usage::by_hand(&kept, &query), "{query:?}");
        }
    }
}

async fn old_rows_go_and_sums_stay(site: &Site) {
    let old: Vec<_> = (0..50)
        .map(|number| row_at(number, NOVEMBER - 100 * DAY + number))
        .collect();
    let young = rows(100..140);
    site.store.insert(&[old.clone(), young.clone()].concat()).await.unwrap();
    let before = total(&*site.store).await;
    let now = i64::try_from(NOVEMBER + DAY).unwrap();
    let done = site.store.maintain(now, 40, 400).await.unwrap();
    assert_eq!((done.rows, done.audit), (50, 0));
    assert_eq!(all(&*site.store).await.len(), 40);
    assert_eq!(total(&*site.store).await, before);
    assert_eq!(site.store.maintain(now, 40, 400).await.unwrap().rows, 0);
    assert_eq!(site.store.insert(&rows(200..210)).await.unwrap(), 10);
    // Further months are there already; months nobody foresaw are made.
    let far: Vec<_> = (0..12)
        .map(|number| row_at(number, NOVEMBER + number * 31 * DAY))
        .collect();
    assert_eq!(site.store.insert(&far).await.unwrap(), 12);
}

async fn cursors_of_others_are_refused(site: &Site) {
    site.store.insert(&rows(0..3)).await.unwrap();
    for cursor in [
        "",
        "x",
        "1.2",
        "1.2.3.4",
        "1' OR 1=1",
        "-1.ff.0",
        "9999999999999999999999",
    ] {
        let query = Records {
            filter: everything(),
            attempts: true,
            limit: 5,
            cursor: Some(cursor.to_owned()),
        };
        assert!(
            matches!(site.store.records(&query).await, Err(StoreError::Conflict(_))),
            "{cursor}"
        );
        let query = UsageQuery {
            filter: everything(),
            by: vec![Dimension::Team, Dimension::Key, Dimension::Tag, Dimension::Model],
            bucket: Bucket::Day,
            limit: 5,
            cursor: Some(cursor.to_owned()),
        };
        assert!(
            matches!(site.store.usage(&query).await, Err(StoreError::Conflict(_))),
            "{cursor}"
        );
    }
}

/// As migration 1 had rows written: a column for everything.
fn before_labels(row: &Row) -> String {
    let word = |text: Option<&str>| match text {
        Some(text) => format!("(SELECT id FROM words WHERE text = '{text}')"),
        None => "0".to_owned(),
    };
    let blob = format!("{:032x}", row.id.0);
    let tenant = &row.tenant;
    let words = [
        tenant.organisation.as_deref(),
        tenant.team.as_deref(),
        tenant.project.as_deref(),
        tenant.user.as_deref(),
        tenant.key.as_deref(),
        row.model.as_deref(),
        row.target.as_deref(),
        row.provider.as_deref(),
        Some(row.operation),
        Some(row.outcome),
        Some(row.cache),
        Some(row.purpose),
    ]
    .map(word)
    .join(", ");
    let (usage, cost) = (&row.usage, row.cost.unwrap());
    let charge = &row.charges[0];
    format!(
        "INSERT INTO ledger (at_ms, id, attempt, organisation, team, project, user_name, key_name, model, target, provider, operation, \
         outcome, cache, purpose, status, stream, estimated, latency_ms, ttft_ms, input, output, cached, reasoning, cost, cost_input, \
         cost_cached, cost_output, billed, request_id, tags, metadata, charges, unbilled_input, web_searches, tier) VALUES \
         ({}, BLOB'{blob}', 0, {words}, {}, {}, 0, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, '{}', \
         ',' || {} || ',' || {} || ',', '{}', {} || ' {} {}', {}, {}, 1)",
        row.at_ms,
        row.status,
        i64::from(row.stream),
        row.latency_ms,
        row.ttft_ms.unwrap(),
        usage.input,
        usage.output,
        usage.cached,
        usage.reasoning,
        cost.total(),
        cost.input,
        cost.cached,
        cost.output,
        row.billed.unwrap(),
        row.request_id.replace('\'', "''"),
        word(Some(&row.tags[0])),
        word(Some(&row.tags[1])),
        row.metadata.as_deref().unwrap(),
        word(Some(&charge.count)),
        charge.window,
        charge.nano,
        usage.unbilled_input,
        usage.web_searches,
    )
}

async fn rows_of_before_there_were_labels_are_read(site: &Site) {
    let mut young = row_at(36, NOVEMBER + 3 * DAY);
    young.usage.cached = 4;
    site.store.insert(std::slice::from_ref(&young)).await.unwrap();
    let mut old = Row {
        at_ms: NOVEMBER + 5,
        id: RowId(77),
        ..young.clone()
    };
    old.usage.unbilled_input = 3;
    old.usage.web_searches = 2;
    old.usage.tier = cirque::units::ServiceTier::ALL[1];
    let blob = if site.store.name() == "postgres" { r"'\x" } else { "x'" };
    site.meddle(&before_labels(&old).replace("BLOB'", blob)).await;
    assert_eq!(all(&*site.store).await, [young.clone(), old.clone()]);
    assert_eq!(
        site.store.insert(std::slice::from_ref(&old)).await.unwrap(),
        0,
        "it is there"
    );
    // Summed up from single rows, since the times are uneven; found by what its columns say.
    let mut filter = Filter {
        from_ms: i64::try_from(NOVEMBER).unwrap() + 1,
        to_ms: i64::try_from(NOVEMBER + 3 * DAY).unwrap() + 1,
        only: vec![(Dimension::Team, vec![old.tenant.team.as_deref().unwrap().to_owned()])],
    };
    let query = |filter: Filter, by| UsageQuery {
        filter,
        by,
        bucket: Bucket::All,
        limit: 10,
        cursor: None,
    };
    for by in [vec![], vec![Dimension::Key], vec![Dimension::User, Dimension::Tag]] {
        let query = query(filter.clone(), by);
        let found = site.store.usage(&query).await.unwrap().items;
        assert_eq!(
            found,
            super::usage::by_hand(&[young.clone(), old.clone()], &query),
            "{query:?}"
        );
    }
    filter.only = vec![(Dimension::Team, vec!["nobody".to_owned()])];
    assert!(site.store.usage(&query(filter, vec![])).await.unwrap().items.is_empty());
    // Another cost leaves everything else as it was.
    old.cost = Some(cirque::units::Cost {
        request: 5,
        ..Default::default()
    });
    old.billed = None;
    assert_eq!(site.store.reprice(std::slice::from_ref(&old)).await.unwrap(), 1);
    assert_eq!(all(&*site.store).await, [young, old]);
}
