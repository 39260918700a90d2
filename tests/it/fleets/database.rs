//! PostgreSQL gone under load: nobody notices, and afterwards every request has its row, once.
//!
//! The issue asks for five minutes; here it is gone for fifteen seconds with the load going on, which is long enough for every
//! back-off to reach its longest wait (5 s), for a restart from the copy, and for admin writes to be refused.

use super::keys::fleet_on;
use super::provider::Provider;
use super::{Chat, KEY, Load, chat, rows, within};
use crate::support::postgres::Postgres;
use std::time::{Duration, Instant};

/// How long it is gone.
const OUTAGE: Duration = Duration::from_secs(15);

#[test]
fn postgresql_gone_under_load_fails_no_request_and_loses_no_row() {
    let Some(mut server) = Postgres::start() else { return };
    let (url, provider) = (rows::fresh(&server.url()), Provider::start());
    let body = format!("{}keys: {{ k: {{ secret: env:KEY }} }}\n", provider.config());
    let mut fleet = fleet_on(2, &url, &body);
    let key = fleet[0].make_key("made");
    within(Duration::from_secs(10), "both know it", || {
        (chat(fleet[1].address, &key, Chat::new(900_000)).status == 200).then_some(())
    });
    // The second is restarted in between, so that only the first has the load.
    let load = Load::start(3, &[fleet[0].address], &key, |number| Chat {
        stream: number % 3 == 0,
        ..Chat::new(number)
    });
    load.more(30);
    let began = Instant::now();
    server.kill();
    load.more(30);
    fleet[0].wait_metric("cirque_store_up", 0.0);
    let (status, told) = fleet[0].admin("POST", "/admin/v1/keys", r#"{"name":"while-gone"}"#);
    assert_eq!(status, 503, "{told}");
    let (status, _) = fleet[0].admin("POST", "/admin/v1/keys/made/revoke", "");
    assert_eq!(status, 503);
    // What is recorded here waits in the spool, and is sent by the process that is started next.
    for number in 910_000..910_020 {
        assert_eq!(chat(fleet[1].address, &key, Chat::new(number)).status, 200);
    }
    fleet[1].signal("TERM");
    fleet[1].ended();
    fleet[1].again();
    assert!(
        fleet[1].log().contains("keys work as it last held them"),
        "{}",
        fleet[1].log()
    );
    for (number, key) in [(920_000, &*key), (920_001, KEY)] {
        assert_eq!(
            chat(fleet[1].address, key, Chat::new(number)).status,
            200,
            "from the copy"
        );
    }
    within(Duration::from_secs(60), "it was gone for long enough", || {
        (began.elapsed() > OUTAGE).then_some(())
    });
    assert!(fleet[0].metric("cirque_usage_records_waiting") > 0.0);
    server.up();
    load.more(30);
    fleet[0].wait_metric("cirque_store_up", 1.0);
    let answers = load.stop();
    let failed: Vec<_> = answers.iter().filter(|(_, answer)| answer.status != 200).collect();
    assert!(
        failed.is_empty(),
        "{} of {}: {:?}",
        failed.len(),
        answers.len(),
        failed.first()
    );
    // Everything the provider was asked has its row.
    let asked: std::collections::BTreeSet<usize> = provider.calls().iter().map(|call| call.number).collect();
    let kept = within(Duration::from_secs(30), "every request has its row", || {
        let kept = rows::of_server(&url);
        let there = rows::requests(&kept)
            .into_iter()
            .map(rows::number)
            .filter(|number| asked.contains(number));
        (there.count() >= asked.len()).then_some(kept)
    });
    rows::none_twice(&kept);
    assert!(asked.len() > answers.len() && provider.calls().len() >= asked.len());
    assert_eq!(rows::billed(&kept), provider.said());
    println!(
        "PostgreSQL gone for {:?}: {} requests, none failed, {} rows, none lost, none twice",
        began.elapsed(),
        asked.len(),
        kept.len()
    );
    let (status, told) = fleet[0].admin("POST", "/admin/v1/keys/made/revoke", "");
    assert_eq!(status, 200, "{told}");
    within(
        Duration::from_secs(5),
        "dead on the one that began with the copy",
        || (chat(fleet[1].address, &key, Chat::new(930_000)).status == 401).then_some(()),
    );
}

#[test]
fn a_start_without_the_database_learns_later_what_budgets_had_used() {
    let Some(mut server) = Postgres::start() else { return };
    let (url, provider) = (rows::fresh(&server.url()), Provider::start());
    let body = format!(
        "{}keys: {{ k: {{ secret: env:KEY, budgets: [ {{ usd: \"0.02\", period: total }} ] }} }}\n",
        provider.config()
    );
    let mut fleet = fleet_on(1, &url, &body);
    let instance = &mut fleet[0];
    let mut number = 0;
    within(Duration::from_secs(20), "the budget is used up", || {
        number += 1;
        (chat(instance.address, KEY, Chat::new(number)).status == 429).then_some(())
    });
    instance.signal("TERM");
    instance.ended();
    server.kill();
    instance.again();
    assert_eq!(
        chat(instance.address, KEY, Chat::new(1_000)).status,
        200,
        "not known yet"
    );
    server.up();
    within(
        Duration::from_secs(20),
        "it is known that the budget is used up",
        || {
            number += 1;
            (chat(instance.address, KEY, Chat::new(number)).status == 429).then_some(())
        },
    );
}
