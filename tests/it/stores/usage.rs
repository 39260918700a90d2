//! Sums by dimension and time: the same from tables of sums and from single rows, page by page.

use super::rows::{everything, sums_follow_rows};
use super::{DAY, HOUR, NOVEMBER, Site, contract, row_at};
use cirque::ledger::Row;
use cirque::storage::{Bucket, Dimension, Filter, Grouped, UsageQuery};
use std::collections::BTreeMap;

contract!(
    sums_are_those_of_the_rows,
    any_time_is_summed_up,
    filters_hold_for_sums,
    pages_of_groups_are_stable,
);

fn value(row: &Row, dimension: Dimension) -> Option<String> {
    let tenant = &row.tenant;
    let name = match dimension {
        Dimension::Organisation => &tenant.organisation,
        Dimension::Team => &tenant.team,
        Dimension::Project => &tenant.project,
        Dimension::User => &tenant.user,
        Dimension::Key => &tenant.key,
        Dimension::Model => &row.model,
        Dimension::Provider => &row.provider,
        Dimension::Target => &row.target,
        Dimension::Operation => return Some(row.operation.to_owned()),
        Dimension::Outcome => return Some(row.outcome.to_owned()),
        Dimension::Cache => return Some(row.cache.to_owned()),
        Dimension::Tag => unreachable!(),
    };
    name.as_deref().map(str::to_owned)
}

fn values(row: &Row, dimension: Dimension) -> Vec<Option<String>> {
    if dimension != Dimension::Tag {
        return vec![value(row, dimension)];
    }
    let tags: Vec<_> = row.tags.iter().map(|tag| Some(tag.to_string())).collect();
    if tags.is_empty() { vec![None] } else { tags }
}

fn bucket(at: i64, bucket: Bucket, from: i64) -> i64 {
    let (hour, day) = (HOUR as i64, DAY as i64);
    match bucket {
        Bucket::All => from,
        Bucket::Hour => at / hour * hour,
        Bucket::Day => at / day * day,
        Bucket::Month => {
            let date = jiff::Timestamp::from_millisecond(at)
                .unwrap()
                .to_zoned(jiff::tz::TimeZone::UTC)
                .date();
            date.first_of_month()
                .to_zoned(jiff::tz::TimeZone::UTC)
                .unwrap()
                .timestamp()
                .as_millisecond()
        }
    }
}

/// The answer, the slow way; sorted by time and values.
pub fn by_hand(rows: &[Row], query: &UsageQuery) -> Vec<Grouped> {
    let mut groups: BTreeMap<(i64, Vec<Option<String>>), Grouped> = BTreeMap::new();
    let filter = &query.filter;
    for row in rows {
        let at = i64::try_from(row.at_ms).unwrap();
        let wanted = filter.only.iter().all(|(dimension, wanted)| {
            values(row, *dimension)
                .iter()
                .flatten()
                .any(|value| wanted.contains(value))
        });
        if row.attempt != 0 || at < filter.from_ms || at >= filter.to_ms || !wanted {
            continue;
        }
        let mut keys = vec![Vec::new()];
        for dimension in &query.by {
            let only = filter
                .only
                .iter()
                .find(|(one, _)| one == dimension)
                .map(|(_, only)| only);
            let values = values(row, *dimension).into_iter();
            let values: Vec<_> = values
                .filter(|value| only.is_none_or(|only| value.as_ref().is_some_and(|value| only.contains(value))))
                .collect();
            keys = keys
                .iter()
                .flat_map(|key| values.iter().map(|value| [key.clone(), vec![value.clone()]].concat()))
                .collect();
        }
        for key in keys {
            let at = bucket(at, query.bucket, filter.from_ms);
            let sum = groups.entry((at, key.clone())).or_default();
            (sum.at_ms, sum.values) = (at, key);
            sum.requests += 1;
            sum.failed += u64::from(row.status >= 400 || row.outcome != "ok");
            sum.estimated += u64::from(row.estimated);
            sum.unpriced += u64::from(row.cost.is_none());
            sum.usage.input += row.usage.input;
            sum.usage.output += row.usage.output;
            sum.usage.cached += row.usage.cached;
            sum.usage.reasoning += row.usage.reasoning;
            sum.cost += row.cost.map_or(0, |cost| cost.total());
            sum.billed += row.billed.unwrap_or(0);
            sum.saved += row.saved;
            sum.latency_ms += u64::from(row.latency_ms);
        }
    }
    groups.into_values().collect()
}

/// Over three days and a bit, unevenly, across the end of a month.
fn spread() -> Vec<Row> {
    (0..400)
        .map(|number| row_at(number, NOVEMBER - DAY - HOUR / 2 + number * 797_003))
        .collect()
}

async fn sums_are_those_of_the_rows(site: &Site) {
    for part in spread().chunks(90) {
        site.store.insert(part).await.unwrap();
    }
    sums_follow_rows(&*site.store).await;
}

async fn agrees(site: &Site, rows: &[Row], query: &UsageQuery) {
    let mut found = site.store.usage(query).await.unwrap().items;
    found.sort_by(|a, b| (a.at_ms, &a.values).cmp(&(b.at_ms, &b.values)));
    assert_eq!(found, by_hand(rows, query), "{query:?}");
}

async fn any_time_is_summed_up(site: &Site) {
    let rows = spread();
    site.store.insert(&rows).await.unwrap();
    let start = NOVEMBER as i64;
    let (hour, day) = (HOUR as i64, DAY as i64);
    let times = [
        (start, start + day),
        (start - 1, start + day + 1),
        (start + hour, start + 2 * day - hour),
        (start + hour / 3, start + hour / 2),
        (start - 5 * hour / 2, start + 2 * day + hour / 7),
        (start, start),
        (start + 1, start),
        (i64::MIN, i64::MAX),
    ];
    for (from_ms, to_ms) in times {
        for bucket in [Bucket::All, Bucket::Hour, Bucket::Day, Bucket::Month] {
            for by in [
                vec![Dimension::Team],
                vec![Dimension::Key, Dimension::Model, Dimension::Cache, Dimension::Target],
                vec![Dimension::Tag],
            ] {
                let query = UsageQuery {
                    filter: Filter {
                        from_ms,
                        to_ms,
                        only: Vec::new(),
                    },
                    by,
                    bucket,
                    limit: 10_000,
                    cursor: None,
                };
                agrees(site, &rows, &query).await;
            }
        }
    }
}

async fn filters_hold_for_sums(site: &Site) {
    let rows = spread();
    site.store.insert(&rows).await.unwrap();
    let word = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let filters = [
        vec![(Dimension::Team, word(&["team-1", "team-3"]))],
        vec![(Dimension::Tag, word(&["red"]))],
        vec![(Dimension::Tag, word(&["red", "blue"]))],
        vec![
            (Dimension::Tag, word(&["blue"])),
            (Dimension::User, word(&["user-4", "nobody"])),
        ],
        vec![
            (Dimension::Outcome, word(&["ok"])),
            (Dimension::Provider, word(&["provider"])),
        ],
        vec![(Dimension::Model, word(&["'; --"]))],
        vec![(Dimension::Model, Vec::new())],
    ];
    for only in filters {
        for by in [
            Vec::new(),
            vec![Dimension::Team],
            vec![Dimension::Tag],
            vec![Dimension::Tag, Dimension::Operation],
        ] {
            for from_ms in [0, NOVEMBER as i64 + 1] {
                let query = UsageQuery {
                    filter: Filter {
                        from_ms,
                        to_ms: i64::MAX,
                        only: only.clone(),
                    },
                    by: by.clone(),
                    bucket: Bucket::Day,
                    limit: 10_000,
                    cursor: None,
                };
                agrees(site, &rows, &query).await;
            }
        }
    }
}

async fn pages_of_groups_are_stable(site: &Site) {
    let rows = spread();
    site.store.insert(&rows).await.unwrap();
    let mut query = UsageQuery {
        filter: everything(),
        by: vec![Dimension::Team, Dimension::Model],
        bucket: Bucket::Day,
        limit: 7,
        cursor: None,
    };
    let expected = by_hand(&rows, &query);
    let mut found = Vec::new();
    loop {
        let page = site.store.usage(&query).await.unwrap();
        assert!(page.items.len() <= 7);
        found.extend(page.items);
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
        // New groups do not push old ones to another page.
        let number = 1000 + u64::try_from(found.len()).unwrap();
        let mut new = row_at(number, NOVEMBER - 20 * DAY);
        new.model = Some(format!("new-{number}").into());
        site.store.insert(&[new]).await.unwrap();
    }
    assert!(found.is_sorted_by_key(|group| group.at_ms));
    found.sort_by(|a, b| (a.at_ms, &a.values).cmp(&(b.at_ms, &b.values)));
    assert_eq!(found, expected);
}
