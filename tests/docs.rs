//! The documentation's configurations: every YAML block that contains `listen:` is a whole file and must load, and one that
//! begins with the path of an example must be that file. Every relative link must lead somewhere, every page be in the index, and
//! every metric in the table of metrics.
//!
//! Not for whether the text around them is true.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

/// README.md, the other pages of the root, and all of `docs/`.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<PathBuf> = [root.to_owned(), root.join("docs")]
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.sort();
    pages
}

/// Fenced blocks of a page: the line they begin on, their language, their text.
fn blocks(text: &str) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    for (index, line) in text.lines().enumerate() {
        match (line.trim().strip_prefix("```"), open.as_mut()) {
            (Some(language), None) => open = Some((index + 1, language.trim().to_owned(), String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some((_, _, block))) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fenced block is not closed");
    found
}

#[test]
fn every_whole_configuration_loads() {
    let mut checked = 0;
    let mut failures = String::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for (line, language, block) in blocks(&text) {
            if language != "yaml" || !block.contains("listen:") {
                continue;
            }
            checked += 1;
            let origin = format!("{}:{line}", page.display());
            if let Err(problems) = cirque::config::parse(&block, &origin) {
                failures += &format!("{problems}\n");
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
    assert!(checked >= 8, "only {checked} configurations were found");
}

#[test]
fn blocks_that_name_an_example_are_the_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut failures = String::new();
    let mut compared = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for (line, _, block) in blocks(&text) {
            let named = block
                .strip_prefix("# conf/examples/")
                .and_then(|rest| rest.split_once(':'));
            let Some((name, _)) = named else { continue };
            compared += 1;
            let example = std::fs::read_to_string(root.join("conf/examples").join(name)).unwrap_or_default();
            if example != block {
                failures += &format!("{}:{line}: differs from conf/examples/{name}\n", page.display());
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
    assert!(compared >= 10, "only {compared} blocks name an example");
}

#[test]
fn every_example_is_named_by_a_page() {
    let texts: Vec<String> = pages()
        .iter()
        .map(|page| std::fs::read_to_string(page).unwrap())
        .collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/examples");
    for example in std::fs::read_dir(folder).unwrap() {
        let name = example.unwrap().file_name().into_string().unwrap();
        let link = format!("conf/examples/{name}");
        assert!(texts.iter().any(|text| text.contains(&link)), "no page names {link}");
    }
}

#[test]
fn relative_links_lead_somewhere() {
    let mut failures = String::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            if link.contains("://") {
                continue;
            }
            let to = if file.is_empty() {
                page.clone()
            } else {
                page.parent().unwrap().join(file)
            };
            if !to.exists() {
                failures += &format!("{}: {link}\n", page.display());
            } else if !anchor.is_empty()
                && !headings(&std::fs::read_to_string(&to).unwrap()).contains(&anchor.to_owned())
            {
                failures += &format!("{}: no heading {link}\n", page.display());
            }
        }
    }
    assert!(failures.is_empty(), "links that lead nowhere:\n{failures}");
}

/// Anchors as forges make them from headings.
fn headings(text: &str) -> Vec<String> {
    let titles = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim());
    titles
        .map(|title| {
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        })
        .collect()
}

#[test]
fn the_index_names_every_page() {
    let index = page("README.md");
    for path in pages() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let link = if path.parent().is_some_and(|folder| folder.ends_with("docs")) {
            format!("](docs/{name})")
        } else {
            format!("]({name})")
        };
        assert!(
            name == "README.md" || index.contains(&link),
            "README.md does not link {name}"
        );
    }
}

#[test]
fn every_metric_is_in_the_table_of_metrics() {
    let table = page("docs/observe.md");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `cirque_"));
    let mut named: Vec<String> = rows
        .filter_map(|row| Some(format!("cirque_{}", row.split_once('`')?.0)))
        .collect();
    named.sort();
    assert_eq!(named, metrics());
}

#[test]
fn metrics_that_pages_name_exist() {
    let known = metrics();
    let exists = |name: &str| {
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name);
        // `grep cirque_hedges` names several.
        known
            .iter()
            .any(|known| known == name || known == family || known.starts_with(&format!("{name}_")))
    };
    let mut failures = String::new();
    for path in pages() {
        let text = std::fs::read_to_string(&path).unwrap();
        for rest in text.split("cirque_").skip(1) {
            let end = rest
                .find(|c: char| !(c.is_ascii_lowercase() || c == '_'))
                .unwrap_or(rest.len());
            let name = format!("cirque_{}", &rest[..end]);
            if end > 0 && !exists(name.trim_end_matches('_')) {
                failures += &format!("{}: {name}\n", path.display());
            }
        }
    }
    assert!(failures.is_empty(), "metrics that do not exist:\n{failures}");
}

/// The names of all metrics, as the rooms that make them spell them, sorted.
fn metrics() -> Vec<String> {
    let mut names = Vec::new();
    for file in ["metrics", "routing", "process", "accounts", "cache", "guardrails"] {
        let source = page(&format!("src/telemetry/{file}.rs"));
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        let quoted = source
            .split("\"cirque_")
            .skip(1)
            .filter_map(|rest| rest.split_once('"'));
        names.extend(quoted.map(|(name, _)| format!("cirque_{name}")));
    }
    names.sort();
    assert!(names.len() > 40, "only {} metrics were found", names.len());
    names
}

fn page(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What guardrails look for, with its label and whether it is looked for by default, stands in the tables of docs/guardrails.md.
#[test]
fn every_kind_that_guardrails_find_is_in_its_table() {
    use cirque::guardrails::{pii, secrets};
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guardrails.md")).unwrap();
    let row = |name: &str, label: &str, on: bool| {
        let on = if on { "**on**" } else { "" };
        format!("\n| `{name}` | `[{label}]` | {on} | ")
    };
    let data = pii::Kind::ALL
        .iter()
        .map(|kind| row(kind.as_str(), kind.label(), pii::Kind::DEFAULT.contains(kind)));
    let keys = secrets::Kind::ALL
        .iter()
        .map(|kind| row(kind.as_str(), kind.label(), kind.is_default()));
    let missing: Vec<String> = data.chain(keys).filter(|row| !page.contains(row)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
