//! Importing real and hostile files; what `explain` and `list` say; files appear whole or not at all.

use super::*;

const NOW: i64 = 1_795_305_600; // 2026-11-22

const THEIRS: &str = r#"{
 "sample_spec": {"input_cost_per_token": "anything"},
 "gpt-x": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1.25e-06, "output_cost_per_token": 0.00001,
   "cache_read_input_token_cost": 1.25e-7, "input_cost_per_token_batches": 6.25e-07, "input_cost_per_token_priority": 2.5e-06,
   "output_cost_per_token_priority": 2e-05, "input_cost_per_token_above_272k_tokens": 2.5e-06,
   "output_cost_per_token_above_272k_tokens": 1.5e-05, "max_output_tokens": 128000, "max_input_tokens": 400000,
   "search_context_cost_per_query": {"search_context_size_medium": 0.01}, "supports_vision": true, "output_cost_per_image": 0.04},
 "azure/gpt-y": {"litellm_provider": "azure", "input_cost_per_token": 2.4999999999999998e-07, "output_cost_per_token": 0},
 "rerank-x": {"litellm_provider": "cohere", "mode": "rerank", "input_cost_per_query": 0.002},
 "bedrock/us-east-1/1-month-commitment/x": {"litellm_provider": "bedrock", "input_cost_per_second": 0.1},
 "dall-e": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_pixel": 1e-8},
 "elsewhere/m": {"litellm_provider": "elsewhere", "input_cost_per_token": 1e-6}
}"#;

fn converted(text: &str) -> Result<import::Imported, Vec<String>> {
    import::convert(text, "their \"file\".json", "2026-11-22", false)
}

fn read_back(yaml: &str) -> Table {
    config::load_only_prices(&[("x".to_owned(), yaml.to_owned())])
        .unwrap_or_else(|problems| panic!("{problems}\n{yaml}"))
}

#[test]
fn their_prices_become_ours_exactly() {
    let imported = converted(THEIRS).unwrap();
    assert_eq!(imported.models, 3, "{}", imported.yaml);
    let table = read_back(&imported.yaml);
    let entry = table.find("openai", "gpt-x", NOW).unwrap();
    let base = &entry.price.base;
    assert_eq!(
        (base.input, base.output, base.cached),
        (1_250_000_000, 10_000_000_000, 125_000_000)
    );
    assert_eq!(
        (base.search, entry.price.service.batch, entry.price.service.priority),
        (10_000_000, 5_000, 20_000)
    );
    let (above, tier) = &entry.price.tiers[0];
    assert_eq!(
        (*above, tier.input, tier.output, tier.cached),
        (272_000, 2_500_000_000, 15_000_000_000, 125_000_000)
    );
    assert_eq!(
        (entry.facts.max_output, entry.facts.context),
        (Some(128_000), Some(400_000))
    );
    assert_eq!(&*entry.facts.source, "their \"file\".json");
    assert_eq!(table.find("azure", "gpt-y", NOW).unwrap().price.base.input, 250_000_000);
    assert_eq!(
        table.find("cohere", "rerank-x", NOW).unwrap().price.base.request,
        2_000_000
    );
    let left: Vec<&str> = imported.left_out.keys().map(String::as_str).collect();
    for expected in [
        "models of provider \"elsewhere\"",
        "`output_cost_per_image`",
        "commitment",
        "mode \"image_generation\"",
    ] {
        assert!(left.iter().any(|left| left.contains(expected)), "{expected}: {left:?}");
    }
}

#[test]
fn hostile_files_are_refused_with_every_mistake() {
    let entry = |name: &str, price: &str| {
        format!(r#""{name}": {{"litellm_provider": "openai", "input_cost_per_token": {price}}}"#)
    };
    let bad = ["-1e-6", "1e9", "\"2\"", "1e400", "[]", "true"];
    let all: Vec<String> = bad
        .iter()
        .zip(0..)
        .map(|(price, n)| entry(&format!("m{n}"), price))
        .collect();
    let text = format!("{{{}, {}}}", entry("good", "1e-6"), all.join(","));
    let faults = converted(&text).unwrap_err();
    assert_eq!(faults.len(), bad.len(), "{faults:?}");
    assert!(
        faults[0].contains("\"m0\": input_cost_per_token: a negative price"),
        "{faults:?}"
    );
    let lenient = import::convert(&text, "x", "2026-11-22", true).unwrap();
    assert_eq!((lenient.models, lenient.skipped.len()), (1, bad.len()));
    for text in [
        "",
        "[]",
        "NaN",
        "{\"a\": NaN}",
        "{\"a\": 1}",
        "{\"a\"",
        &"[".repeat(1 << 20),
        &format!("{{\"a\":{}", "[".repeat(1 << 20)),
    ] {
        assert!(
            converted(text).is_err(),
            "{}",
            text.chars().take(20).collect::<String>()
        );
    }
    // Names that would break out of the line they are written to.
    for name in ["a\\\": {x}", "x: y", "*", "é\\u0000", "- [", "a # b"] {
        match converted(&format!("{{{}}}", entry(name, "1e-6"))) {
            Ok(imported) => drop(read_back(&imported.yaml)),
            Err(faults) => assert!(faults[0].contains("not a name"), "{faults:?}"),
        }
    }
}

#[test]
fn a_file_appears_whole_or_not_at_all() {
    let folder = std::env::temp_dir().join(format!("cirque-prices-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let args = |out: &str| ImportArgs {
        file: folder.join("theirs.json"),
        out: Some(folder.join(out)),
        skip_bad: false,
    };
    std::fs::write(folder.join("theirs.json"), THEIRS).unwrap();
    let mut notes = Vec::new();
    import_file(&args("ours.yaml"), NOW, &mut Vec::new(), &mut notes).unwrap();
    let first = std::fs::read_to_string(folder.join("ours.yaml")).unwrap();
    assert!(first.contains("read: 2026-11-22") && String::from_utf8(notes).unwrap().starts_with("3 models imported\n"));
    std::fs::write(folder.join("theirs.json"), THEIRS.replace("1.25e-06", "-1")).unwrap();
    assert!(import_file(&args("ours.yaml"), NOW, &mut Vec::new(), &mut Vec::new()).is_err());
    assert_eq!(
        std::fs::read_to_string(folder.join("ours.yaml")).unwrap(),
        first,
        "the old one stays"
    );
    std::fs::write(folder.join("theirs.json"), THEIRS).unwrap();
    assert!(import_file(&args("no/such/folder.yaml"), NOW, &mut Vec::new(), &mut Vec::new()).is_err());
    let mut left: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["ours.yaml", "theirs.json"]);
    std::fs::remove_dir_all(&folder).unwrap();
}

fn asked(model: &str) -> ExplainArgs {
    ExplainArgs {
        model: model.to_owned(),
        input: 1000,
        output: 100,
        cached: 400,
        cache_write: 0,
        cache_write_1h: 0,
        reasoning: 0,
        searches: 0,
        tier: "standard".to_owned(),
        prices: Vec::new(),
        at: None,
    }
}

#[test]
fn explain_says_what_and_why() {
    let table = table(&[]).unwrap();
    let text = explain(&table, &asked("openai/gpt-4o"), NOW).unwrap().unwrap();
    // 600 × 2.50 + 400 × 1.25 + 100 × 10 dollars per million.
    assert!(text.contains("total        0.003 dollars\n"), "{text}");
    assert!(
        text.contains("cached       0.0005           at 1.25 per million\n"),
        "{text}"
    );
    let searched = ExplainArgs {
        searches: 2,
        tier: "batch".to_owned(),
        ..asked("claude-haiku-4-5")
    };
    let text = explain(&table, &searched, NOW).unwrap().unwrap();
    // Half of 600 × 1 + 400 × 0.10 + 100 × 5 dollars per million, and two cents.
    assert!(
        text.contains("batch: 50.00%") && text.contains("total        0.02057 dollars"),
        "{text}"
    );
    assert_eq!(explain(&table, &asked("gpt-99"), NOW).unwrap(), None);
    assert!(
        explain(
            &table,
            &ExplainArgs {
                tier: "x".to_owned(),
                ..asked("gpt-4o")
            },
            NOW
        )
        .is_err()
    );
}

#[test]
fn list_has_a_line_for_each_model() {
    let table = table(&[]).unwrap();
    let text = list(&table, "anthropic/claude-opus-*", NOW);
    assert!(
        text.lines()
            .any(|line| line.starts_with("anthropic/claude-opus-5-5") && line.contains("2026-09-22")),
        "{text}"
    );
    assert!(text.ends_with("models; dollars per million tokens\n") && !text.contains("sonnet"));
    assert_eq!(moment(Some("2026-11-22"), 0).unwrap(), NOW);
    assert!(moment(Some("soon"), 0).is_err());
}
