//! `cirque route explain`: which rules hold for a request and where it would go, without serving and without sending it.
//!
//! The question has the form of `POST /admin/v1/route/explain` ([`Question`]). Here a new process decides, so that breakers are
//! closed and nobody is in flight: the running one is asked on its admin listener. Exit status: 0 decided, 1 the request would
//! be refused, 2 the question or the configuration cannot be read.

use crate::admin::{Candidate, Edit, Explanation, LARGEST_QUESTION, Question, Refused, RuleTried, decide};
use crate::config::{Config, Located};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Exit status of a question that cannot be answered; clap's own for arguments it cannot read.
const BAD_INPUT: u8 = 2;
/// Longest text of one cell.
const LONGEST_CELL: usize = 200;

/// `cirque route explain …`
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct ExplainArgs {
    /// The configuration whose rules are tried.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// JSON file with the request, `-` for standard input: {"path": "/v1/chat/completions", "headers": {}, "body": {"model": …}, "now": "2026-01-31T22:00:00Z"}. Only `body` is required.
    #[arg(short, long, value_name = "FILE")]
    pub request: PathBuf,
    /// Print JSON instead of tables.
    #[arg(long)]
    pub json: bool,
}

/// Explain, to standard output. Problems go to standard error.
pub fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    match decide(args) {
        Ok(explanation) => {
            let mut out = std::io::stdout().lock();
            if args.json {
                writeln!(out, "{}", serde_json::to_string_pretty(&explanation)?)?;
            } else {
                out.write_all(render(&explanation).as_bytes())?;
            }
            Ok(ExitCode::from(u8::from(explanation.model.is_none())))
        }
        Err(message) => {
            eprintln!("cirque: {message}");
            Ok(ExitCode::from(BAD_INPUT))
        }
    }
}

fn decide(args: &ExplainArgs) -> Result<Explanation, String> {
    let located = Located::load(&args.config).map_err(|problems| problems.to_string())?;
    let request = read(&args.request)?;
    explain(&located.config, request).map_err(|refused| {
        let part = refused.param.map(|param| format!("{param}: ")).unwrap_or_default();
        format!("{}: {part}{}", args.request.display(), refused.message)
    })
}

fn read(path: &Path) -> Result<Value, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(|error| failed(&error))?)
    };
    let mut bytes = Vec::new();
    source
        .take(LARGEST_QUESTION as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(&error))?;
    if bytes.len() > LARGEST_QUESTION {
        return Err(failed(&"larger than 1MiB"));
    }
    serde_json::from_slice(&bytes).map_err(|error| failed(&format_args!("not JSON: {error}")))
}

/// What the rules of a configuration make of a request.
pub fn explain(config: &Config, request: Value) -> Result<Explanation, Refused> {
    decide::explain(config, &Question::read(request)?)
}

/// For people: one line each for what was asked and decided, then a table each for rules, edits and targets.
fn render(explanation: &Explanation) -> String {
    let mut out = String::new();
    let none = || "(none)".to_owned();
    let mut fact = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<9} {value}");
    };
    let shown = |text: &Option<String>| text.as_deref().map_or_else(none, plain);
    fact("asked", shown(&explanation.model_asked));
    match &explanation.refused {
        Some(text) => fact("refused", plain(text)),
        None => fact("model", shown(&explanation.model)),
    }
    fact("priority", explanation.priority.to_string());
    if let Some(tokens) = explanation.input_tokens {
        fact("input", format!("about {tokens} tokens"));
    }
    let rules = explanation.rules.iter().flat_map(rule);
    table(&mut out, ["RULE", "HELD", "WHY"], rules.collect());
    let edits = explanation.edits.iter().map(edit);
    table(&mut out, ["EDIT", "PARAMETER", "VALUE", "BY RULE"], edits.collect());
    let targets = explanation.targets.iter().zip(1..).map(candidate);
    let head = ["TARGET", "TIER", "WEIGHT", "LACKS", "CONTEXT"];
    table(&mut out, head, targets.collect());
    out
}

/// One row for each line of the reason.
fn rule(rule: &RuleTried) -> Vec<[String; 3]> {
    let held = if rule.held { "yes" } else { "no" };
    let first = [plain(&rule.name), held.to_owned()];
    let heads = std::iter::once(first).chain(std::iter::repeat_with(Default::default));
    let rows = heads.zip(rule.why.split('\n'));
    rows.map(|([name, held], why)| [name, held, plain(why)]).collect()
}

fn edit(edit: &Edit) -> [String; 4] {
    let value = edit.value.as_ref().map(ToString::to_string).unwrap_or_default();
    [
        plain(&edit.action),
        plain(&edit.parameter),
        plain(&value),
        plain(&edit.rule),
    ]
}

fn candidate((target, place): (&Candidate, usize)) -> [String; 5] {
    let lacks = match target.lacks.as_slice() {
        [] => "-".to_owned(),
        lacks => plain(&lacks.join(", ")),
    };
    let fits = match target.fits {
        Some(true) => "fits",
        Some(false) => "too long",
        None => "-",
    };
    [
        format!("{place}. {}", plain(&target.id)),
        target.tier.to_string(),
        target.weight.to_string(),
        lacks,
        fits.to_owned(),
    ]
}

/// Columns as wide as their widest cell, an empty line before; nothing at all without rows.
fn table<const N: usize>(out: &mut String, head: [&str; N], rows: Vec<[String; N]>) {
    if rows.is_empty() {
        return;
    }
    out.push('\n');
    let all: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    for row in &all {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let widths = all
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count());
            let width = widths.max().unwrap_or_default();
            let _ = write!(line, "{cell:<width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// Text of a request or a file, safe for a terminal: control characters escaped, cut when long.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == LONGEST_CELL {
            plain.push('…');
            break;
        }
        // Beside control characters those that turn the direction of what follows.
        let unsafe_here = character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if unsafe_here {
            plain.extend(character.escape_unicode());
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests;
