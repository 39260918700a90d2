//! An upgrade with a store and a spool: two processes on the same file for a while, and every request has its row, once.

use super::instance::Instance;
use super::provider::Provider;
use super::{Chat, KEY, Load, chat, rows, within};
use crate::support::client::Client;
use std::time::Duration;

#[test]
fn an_upgrade_loses_and_doubles_no_row() {
    let provider = Provider::start();
    let body = format!(
        "{}keys: {{ k: {{ secret: env:KEY, budgets: [ {{ usd: \"100\", period: total }} ] }} }}\n",
        provider.config()
    );
    let mut instance = Instance::start(&body);
    let old = instance.pid();
    // A stream keeps the old process until the end.
    let mut held = Client::connect(instance.address);
    let long = Chat {
        model: "held",
        stream: true,
        ..Chat::new(500_000)
    };
    held.send(long.bytes(KEY, ""));
    assert_eq!(held.head().status, 200);
    let load = Load::start(4, &[instance.address], KEY, |number| Chat {
        stream: number % 3 == 0,
        ..Chat::new(number)
    });
    load.more(40);
    instance.signal("USR2");
    let successor = within(Duration::from_secs(40), "the successor is ready", || {
        let log = instance.log();
        let ready = log
            .lines()
            .filter(|line| line.contains("\"message\":\"ready\""))
            .nth(1)?
            .to_owned();
        serde_json::from_str::<serde_json::Value>(&ready).ok()?["pid"].as_u64()
    });
    instance.successor = Some(u32::try_from(successor).unwrap());
    assert_ne!(instance.pid(), old);
    load.more(60);
    assert!(std::fs::exists(format!("/proc/{old}/exe")).unwrap(), "both are there");
    provider.gate.open();
    held.until("[DONE]");
    instance.ended();
    load.more(40);
    let answers = load.stop();
    let failed: Vec<_> = answers.iter().filter(|(_, answer)| answer.status != 200).collect();
    assert!(
        failed.is_empty(),
        "{} of {}: {:?}",
        failed.len(),
        answers.len(),
        failed.first()
    );
    let kept = within(Duration::from_secs(20), "every request has its row", || {
        let kept = rows::of_file(&instance.database());
        (rows::requests(&kept).len() > answers.len()).then_some(kept)
    });
    rows::none_twice(&kept);
    assert_eq!(rows::requests(&kept).len(), answers.len() + 1);
    assert_eq!(rows::billed(&kept), provider.said());
    assert_eq!(rows::integrity(&instance.database()), "ok");
    println!(
        "upgrade: {} requests, none failed, none without a row, none twice",
        answers.len() + 1
    );
    assert_eq!(chat(instance.address, KEY, Chat::new(600_000)).status, 200);
    // Also what the old process charged after the new one had started.
    instance.budget_follows_rows();
}
