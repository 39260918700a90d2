//! The built-in prices are whole; files over them; every mistake at once; hostile text.

use super::*;
use crate::prices::{Selector, billed, recompute};
use crate::units::Usage;

const NOW: i64 = 1_795_305_600; // 2026-11-22

fn table() -> Table {
    load_prices(&[]).unwrap_or_else(|problems| panic!("{problems}"))
}

fn over(text: &str) -> Result<Table, Problems> {
    load_prices(&[("mine.yaml".to_owned(), text.to_owned())])
}

/// Input and output, in dollars per million.
fn rates(table: &Table, vendor: &str, model: &str, at: i64) -> Option<(String, String)> {
    let entry = table.find(vendor, model, at)?;
    Some((
        crate::units::usd(entry.price.base.input),
        crate::units::usd(entry.price.base.output),
    ))
}

fn is(table: &Table, vendor: &str, model: &str, input: &str, output: &str) {
    assert_eq!(
        rates(table, vendor, model, NOW),
        Some((input.to_owned(), output.to_owned())),
        "{vendor}/{model}"
    );
}

#[test]
fn the_built_in_prices_are_whole() {
    let table = table();
    let all = table.list(&Selector::new("*"));
    assert!(all.len() > 250, "{}", all.len());
    for named in all {
        let name = format!("{}/{}", named.vendor, named.model);
        for entry in named.periods.all() {
            let (base, facts) = (&entry.price.base, &entry.facts);
            assert!(
                facts.source.starts_with("https://") && facts.read.len() == 10,
                "{name}: {facts:?}"
            );
            assert!(
                named.model.ends_with(":free") || base.input + base.request > 0,
                "{name} is free"
            );
            assert!(
                base.cached <= base.input && base.input <= base.cache_write.max(base.input),
                "{name}: cached"
            );
            assert!(
                base.input < 1_000_000_000_000 && base.output < 1_000_000_000_000,
                "{name}: dear"
            );
            for (_, rates) in &entry.price.tiers {
                assert!(
                    rates.input > base.input && rates.output >= base.output,
                    "{name}: a tier that is not dearer"
                );
            }
            assert!(
                facts
                    .max_output
                    .is_none_or(|most| facts.context.is_none_or(|all| most <= all)),
                "{name}: context"
            );
        }
    }
}

#[test]
fn names_are_found_as_vendors_write_them() {
    let table = table();
    is(&table, "openai", "gpt-4o", "2.5", "10");
    is(&table, "openai", "gpt-4o-2024-08-06", "2.5", "10");
    is(&table, "openai", "gpt-4o-2024-05-13", "5", "15");
    is(&table, "azure", "gpt-4o-2024-08-06", "2.5", "10");
    is(&table, "anthropic", "claude-sonnet-4-20250514", "3", "15");
    is(&table, "vertex", "claude-3-7-sonnet@20250219", "3", "15");
    is(
        &table,
        "vertex",
        "publishers/google/models/gemini-2.5-flash",
        "0.3",
        "2.5",
    );
    is(&table, "gemini", "models/gemini-2.0-flash-001", "0.1", "0.4");
    // Regional profiles of newer Claude models cost a tenth more, the global one does not.
    is(&table, "bedrock", "us.anthropic.claude-sonnet-5", "2.2", "11");
    is(&table, "bedrock", "global.anthropic.claude-sonnet-5", "2", "10");
    is(
        &table,
        "bedrock",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "3.3",
        "16.5",
    );
    is(
        &table,
        "bedrock",
        "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-lite-v1:0",
        "0.06",
        "0.24",
    );
    is(&table, "openrouter", "meta-llama/llama-3.2-3b-instruct:free", "0", "0");
    is(&table, "openrouter", "anthropic/claude-4.5-haiku-20251001", "1", "5");
    for unknown in ["gpt-99", "", "gpt-4o-", "*", "claude"] {
        assert_eq!(rates(&table, "openai", unknown, NOW), None, "{unknown:?}");
    }
    assert_eq!(rates(&table, "nobody", "gpt-4o", NOW), None);
    // Fine-tuned models are not what they were made of.
    assert_eq!(rates(&table, "openai", "ft:gpt-9", NOW), None);
}

#[test]
fn yesterdays_call_costs_yesterdays_price() {
    let table = table();
    let usage = Usage {
        input: 1_000_000,
        output: 1_000_000,
        ..Usage::default()
    };
    let of = |at| recompute(&table, "openai", "o3", &usage, at).map(|cost| cost.total());
    // 2025-06-09 and 2025-06-10, 00:00 UTC.
    assert_eq!(of(1_749_513_599), Some(50_000_000_000));
    assert_eq!(of(1_749_513_600), Some(10_000_000_000));
    let argon = |at| rates(&table, "gemini", "gemini-4-argon", at).map(|(input, _)| input);
    assert_eq!(argon(NOW).as_deref(), Some("2"));
    assert_eq!(argon(NOW + 30 * 86_400).as_deref(), Some("4"));
    // A model that did not exist has no price then.
    assert_eq!(rates(&table, "openai", "gpt-6-astra", 1_700_000_000), None);
    assert_eq!(recompute(&table, "openai", "gpt-99", &usage, NOW), None);
}

#[test]
fn a_file_corrects_what_it_names_and_from_when_it_says() {
    let text = r#"
vendors:
  openai:
    models:
      gpt-4o: { valid_from: 2026-11-01, input: "1", output: "4" }
      "house-*": { input: "7", output: "8" }
      mine: { same_as: gpt-4.1, times: 50% }
"#;
    let table = over(text).unwrap_or_else(|problems| panic!("{problems}"));
    is(&table, "openai", "gpt-4o", "1", "4");
    is(&table, "azure", "gpt-4o", "1", "4");
    let before = rates(&table, "openai", "gpt-4o", NOW - 60 * 86_400);
    assert_eq!(
        before,
        Some(("2.5".to_owned(), "10".to_owned())),
        "before the correction holds"
    );
    is(&table, "openai", "house-9", "7", "8");
    is(&table, "openai", "mine", "1", "4");
    is(&table, "openai", "gpt-4o-mini", "0.15", "0.6");
    let kept = table.prices("openai", "gpt-4o").unwrap();
    assert_eq!(kept.at(NOW).map(|entry| entry.price.base.input), Some(1_000_000_000));
    assert_eq!(kept.at(0).map(|entry| entry.price.base.input), Some(2_500_000_000));
    let narrow = table.narrowed(&[("azure", "gpt-4o"), ("openai", "house-*")]);
    is(&narrow, "azure", "gpt-4o", "1", "4");
    is(&narrow, "openai", "house-1", "7", "8");
    is(&narrow, "openai", "gpt-4.1", "2", "8");
    assert_eq!(rates(&narrow, "anthropic", "claude-opus-5", NOW), None);
}

#[test]
fn every_mistake_is_told_at_once() {
    let text = "
vendors:
  openai:
    souce: x
    models:
      a: { input: 2.5, output: \"1\" }
      b: { input: \"-1\", output: \"1\" }
      c: { output: \"1\", also: [a] }
      d: { same_as: nothing }
      e: { same_as: f }
      f: { same_as: e }
      g: { input: \"1\", valid_from: 2026-02-01, until: 2026-01-01 }
      h: [ { input: \"1\" }, { input: \"2\" } ]
      i: { input: \"1\", tiers: [ { above: 5, input: \"1\" }, { above: 5, input: \"1\" } ] }
      j: { input: \"1\", max_output: -3, valid_from: soon, service: { flex: half } }
      k: []
      l: 7
      m: {}
      n: { input: \"99999999\" }
";
    let Err(problems) = over(text) else { panic!("taken") };
    let told = problems.to_string();
    for expected in [
        "mine.yaml:4:5  vendors.openai.souce: unknown key \"souce\" — did you mean `source`?",
        "mine.yaml:6:19  vendors.openai.models.a.input: a price is text, so that no rounding comes between it and a bill — write \"2.5\"",
        "models.b.input: \"-1\": not a price",
        "models.d.same_as: `openai/nothing` is not in the table",
        "models.e.same_as: `same_as` leads in a circle",
        "models.g: ends before it begins",
        "models.h: two prices hold from the same day on",
        "models.i.tiers[1]: not above the tier before it",
        "models.j.max_output: not a number of tokens",
        "models.j.valid_from: \"soon\": not a day",
        "models.j.service.flex: \"half\": not a share",
        "models.l",
        "models.m: no price",
        "models.n.input: \"99999999\": not a price",
    ] {
        assert!(told.contains(expected), "{expected}\n\n{told}");
    }
    assert!(over("vendors: []").is_err() && over("vendors: {a: {models: 3}}").is_err() && over("[").is_err());
    assert!(over("").is_ok() && over("vendors:\n").is_ok());
    assert!(over(&"#".repeat(LARGEST + 1)).is_err());
}

#[test]
fn a_margin_is_rounded_up() {
    assert_eq!((billed(0, 1_000), billed(1, 1), billed(10_000, 1_000)), (0, 2, 11_000));
    assert_eq!((billed(7, 0), billed(u64::MAX, u32::MAX)), (7, u64::MAX));
}

/// The figure of `docs/prices.md`.
#[test]
fn the_table_is_small_and_looking_up_allocates_little() {
    let table = table();
    let entries: usize = table
        .list(&Selector::new("*"))
        .iter()
        .map(|named| named.periods.all().len())
        .sum();
    let names: usize = table
        .list(&Selector::new("*"))
        .iter()
        .map(|named| named.model.len() + 48)
        .sum();
    let bytes = entries * (std::mem::size_of::<Entry>() + 40) + names;
    eprintln!("{entries} entries, about {bytes} bytes");
    assert!(bytes < 300_000, "{bytes}");
}

proptest::proptest! {
    /// No text is too odd, and what is taken can be asked.
    #[test]
    fn any_text_is_read_or_refused(lines in proptest::collection::vec("[ a-z:{}\\[\\]\"0-9.,&*!|>%-]{0,30}", 0..12)) {
        let text = format!("vendors:\n  v:\n    models:\n      {}\n", lines.join("\n      "));
        if let Ok(table) = over(&text) {
            let _ = table.find("v", "a", NOW);
        }
    }

    #[test]
    fn a_margin_never_loses_and_grows(cost: u64, margin in 0..100_000u32, more in 0..1000u32) {
        let with = billed(cost, margin);
        proptest::prop_assert!(with >= cost && billed(cost, margin + more) >= with);
        let exact = u128::from(cost) * (10_000 + u128::from(margin));
        proptest::prop_assert!(with == u64::MAX || (u128::from(with) * 10_000 >= exact && u128::from(with) * 10_000 < exact + 10_000));
    }

    #[test]
    fn any_name_can_be_asked(vendor in "[a-z]{0,6}", model in "\\PC{0,60}", at: i64) {
        static TABLE: std::sync::LazyLock<Table> = std::sync::LazyLock::new(|| load_prices(&[]).unwrap());
        let _ = (TABLE.find(&vendor, &model, at), TABLE.find("openai", &model, at), TABLE.prices("bedrock", &model));
    }
}
