//! kill -9 of a gateway under load, with SQLite: what is lost is of the last moment, what is kept is sound, and budgets go on.

use super::instance::Instance;
use super::provider::Provider;
use super::{Chat, KEY, Load, chat, rows, within};
use std::time::{Duration, Instant};

#[test]
fn killed_under_load_it_loses_the_last_moment_at_most_and_budgets_go_on() {
    let provider = Provider::start();
    let body = format!(
        "{}keys: {{ k: {{ secret: env:KEY, budgets: [ {{ usd: \"100\", period: total }} ] }} }}\n",
        provider.config()
    );
    let mut instance = Instance::start(&body);
    for round in 0..2 {
        let load = Load::start(8, &[instance.address], KEY, move |number| Chat {
            stream: number % 3 == 0,
            ..Chat::new(number + round * 100_000)
        });
        load.more(300);
        let killed = Instant::now();
        instance.kill();
        let answers = load.stop();
        // On disk as the process left it: the spool is not replayed yet.
        let before = rows::of_file(&instance.database());
        instance.again();
        let mut missing = Vec::new();
        within(Duration::from_secs(15), "the spool is replayed", || {
            let kept: std::collections::HashSet<usize> = rows::requests(&rows::of_file(&instance.database()))
                .into_iter()
                .map(rows::number)
                .collect();
            missing = answers
                .iter()
                .filter(|(number, answer)| answer.status == 200 && !kept.contains(&(number + round * 100_000)))
                .map(|(_, answer)| killed.saturating_duration_since(answer.at.unwrap()))
                .collect();
            // An answer is whole here before its row is made; the machine is slow by some of it.
            missing
                .iter()
                .all(|age| *age < Duration::from_millis(200))
                .then_some(())
        });
        let whole = answers.iter().filter(|(_, answer)| answer.status == 200).count();
        println!(
            "kill -9: {} of {whole} answers without a row, the oldest {:?} before; {} rows came from the spool",
            missing.len(),
            missing.iter().max(),
            rows::of_file(&instance.database()).len() - before.len()
        );
    }
    let kept = rows::of_file(&instance.database());
    rows::none_twice(&kept);
    assert_eq!(rows::integrity(&instance.database()), "ok");
    // The budget knows all that has a row.
    assert_eq!(chat(instance.address, KEY, Chat::new(999_999)).status, 200);
    instance.budget_follows_rows();
}
