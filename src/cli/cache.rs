//! `cirque cache …`: what a running gateway keeps of answers: totals and what it saved, single answers, deleting, reporting a wrong
//! one, warming from a file. Over the admin API.

use super::client::{AdminArgs, Client, Trouble, cell, pages, print, print_json, run, segment, table, with_query};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Most of one request to warm, in bytes: the admin API takes 256 KiB.
const BATCH: usize = 200 * 1024;
/// Most answers of one.
const MOST: usize = 500;
/// Longest line of a file to warm from, in bytes.
const LONGEST_LINE: u64 = 4 * 1024 * 1024;
/// Verdicts of requests that no provider was asked for.
const SAVING: [&str; 4] = ["hit", "semantic", "stale", "followed"];

/// What can be done with the cache.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum CacheCommand {
    /// What it holds here, and what it answered and saved.
    Stats(StatsArgs),
    /// List kept answers, or those whose questions are like a text.
    List(ListArgs),
    /// One answer with its question. Noted in the audit log.
    Show {
        /// Its id, as in `x-cirque-cache-id`.
        id: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Delete answers on all instances: by id, or those for which everything that is given holds.
    Delete {
        /// Ids.
        ids: Vec<String>,
        #[command(flatten)]
        selected: Selected,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Delete every answer there is, on all instances.
    Purge {
        /// Yes, all of them.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Keep answers beforehand, from a file of JSON lines: {"key": NAME, "request": {…}, "answer": {…} or "text"}.
    Warm {
        /// The file; `-` for standard input.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The virtual key of lines that name none.
        #[arg(long, value_name = "NAME")]
        key: Option<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Report an answer that belongs to another question.
    Wrong {
        /// What `x-cirque-cache-id` said. The id of an answer alone: it is wrong in itself, and goes.
        id: String,
        /// The key of the question that got it, if the id does not say.
        #[arg(long)]
        question: Option<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Over which time.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct StatsArgs {
    /// From then on: 2026-01-31T22:00:00Z, or a day. Default: 30 days ago.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until then, exclusive. Default: now.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Told apart by organisation, team, project, user, key or model, with commas between them; at most three.
    #[arg(long, value_name = "DIMENSIONS")]
    by: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Which answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Selected {
    /// Only those of this partition: what one question can share with others.
    #[arg(long)]
    partition: Option<String>,
    /// Only those that this organisation paid for.
    #[arg(long)]
    organisation: Option<String>,
    /// Only those that this team paid for.
    #[arg(long)]
    team: Option<String>,
    /// Only those that this project paid for.
    #[arg(long)]
    project: Option<String>,
    /// Only those that this user paid for.
    #[arg(long)]
    user: Option<String>,
    /// Only those that this virtual key paid for.
    #[arg(long)]
    key: Option<String>,
    /// Only those of this public model.
    #[arg(long)]
    model: Option<String>,
    /// Only those of callers with this tag.
    #[arg(long)]
    tag: Option<String>,
}

impl Selected {
    fn path(&self, path: &str) -> String {
        with_query(
            path,
            [
                ("partition", self.partition.clone()),
                ("organisation", self.organisation.clone()),
                ("team", self.team.clone()),
                ("project", self.project.clone()),
                ("user", self.user.clone()),
                ("key", self.key.clone()),
                ("model", self.model.clone()),
                ("tag", self.tag.clone()),
            ],
        )
    }
}

/// Which answers, and how many.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ListArgs {
    #[command(flatten)]
    selected: Selected,
    /// Those whose questions are like this text, the likest first.
    #[arg(long, value_name = "TEXT")]
    like: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    admin: AdminArgs,
}

const COLUMNS: &[(&str, &str)] = &[
    ("ID", "/id"),
    ("MODEL", "/model"),
    ("TEAM", "/owner/team"),
    ("KEY", "/owner/key"),
    ("AGE S", "/age_seconds"),
    ("FRESH S", "/fresh_seconds"),
    ("HITS", "/hits"),
    ("LIKE", "/similarity"),
    ("QUESTION", "/question"),
];

/// `cirque cache …`
pub fn cache(command: &CacheCommand) -> anyhow::Result<ExitCode> {
    match command {
        CacheCommand::Stats(args) => run(&args.admin, async |client| stats(&client, args).await),
        CacheCommand::List(args) => run(&args.admin, async |client| list(&client, args).await),
        CacheCommand::Show { id, admin } => run(admin, async |client| show(&client, id).await),
        CacheCommand::Delete { ids, selected, admin } => {
            run(admin, async |client| delete(&client, ids, selected).await)
        }
        CacheCommand::Purge { yes, admin } => run(admin, async |client| {
            if !yes {
                return Err(Trouble::input("this deletes every answer of every tenant: say --yes"));
            }
            cleared(&client, Method::POST, "/admin/v1/cache/purge").await?;
            Ok(ExitCode::SUCCESS)
        }),
        CacheCommand::Warm { file, key, admin } => run(admin, async |client| warm(&client, file, key.as_deref()).await),
        CacheCommand::Wrong { id, question, admin } => {
            run(admin, async |client| wrong(&client, id, question.as_deref()).await)
        }
    }
}

async fn stats(client: &Client, args: &StatsArgs) -> Result<ExitCode, Trouble> {
    let totals = client.get("/admin/v1/cache").await?;
    let by = args
        .by
        .as_ref()
        .map_or_else(|| "cache".to_owned(), |by| format!("{by},cache"));
    let path = with_query(
        "/admin/v1/usage",
        [
            ("group_by", Some(by)),
            ("from", args.from.clone()),
            ("to", args.to.clone()),
            ("limit", Some("1000".to_owned())),
        ],
    );
    let usage = client.get(&path).await?;
    let used: Vec<Value> = usage
        .get("items")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|item| cell(item, "/group/cache") != "off")
        .cloned()
        .collect();
    if client.json {
        print_json(&json!({"holds": totals, "usage": used}))?;
    } else {
        print(&rendered_stats(&totals, &usage, &used))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn rendered_stats(totals: &Value, usage: &Value, used: &[Value]) -> String {
    let tiers = [("memory", "bytes"), ("index", "answers")];
    let held: Vec<Vec<String>> = tiers
        .iter()
        .filter(|(tier, _)| totals.get(tier).is_some_and(|tier| !tier.is_null()))
        .map(|(tier, unit)| {
            let of = |part: &str| cell(totals, &format!("/{tier}/{part}"));
            vec![
                (*tier).to_owned(),
                of("entries"),
                of("bytes"),
                format!("{} {unit}", of("capacity")),
            ]
        })
        .collect();
    let mut out = table(&["TIER", "ANSWERS", "BYTES", "AT MOST"], &held);
    for (name, path) in [("semantic tier", "/semantic"), ("shared tier answers", "/shared_up")] {
        if totals.pointer(path).is_some_and(|value| !value.is_null()) {
            out.push_str(&format!("{name}: {}\n", cell(totals, path)));
        }
    }
    let group_by = usage.get("group_by").and_then(Value::as_array).into_iter().flatten();
    let mut columns: Vec<(String, String)> = group_by
        .filter_map(Value::as_str)
        .map(|name| (name.to_uppercase(), format!("/group/{name}")))
        .collect();
    columns.extend(
        [
            ("REQUESTS", "/requests"),
            ("INPUT", "/tokens/input"),
            ("OUTPUT", "/tokens/output"),
            ("COST USD", "/cost_usd"),
            ("SAVED USD", "/saved_usd"),
        ]
        .map(|(name, path)| (name.to_owned(), path.to_owned())),
    );
    let head: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let row = |item: &Value| columns.iter().map(|(_, path)| cell(item, path)).collect();
    let rows: Vec<Vec<String>> = used.iter().map(row).collect();
    out.push('\n');
    out.push_str(&table(&head, &rows));
    let figure = |item: &Value, path: &str| item.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    let saving = |item: &&Value| SAVING.contains(&cell(item, "/group/cache").as_str());
    let all: u64 = used.iter().map(|item| figure(item, "/requests")).sum();
    let saved: u64 = used.iter().filter(saving).map(|item| figure(item, "/requests")).sum();
    let tokens = |item: &Value| figure(item, "/tokens/input") + figure(item, "/tokens/output");
    let tokens: u64 = used.iter().filter(saving).map(tokens).sum();
    if all > 0 {
        let percent = saved as f64 * 100.0 / all as f64;
        out.push_str(&format!(
            "{percent:.1} % answered from the cache: {tokens} tokens saved\n"
        ));
    }
    out
}

async fn list(client: &Client, args: &ListArgs) -> Result<ExitCode, Trouble> {
    let path = args.selected.path("/admin/v1/cache/entries");
    let limit = args.limit.clamp(1, 200).to_string();
    let path = with_query(&path, [("like", args.like.clone()), ("limit", Some(limit))]);
    let (items, more) = pages(client, &path, args.limit).await?;
    if client.json {
        print_json(&Value::Array(items))?;
    } else {
        let head: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
        let row = |item: &Value| COLUMNS.iter().map(|(_, path)| short(&cell(item, path))).collect();
        let rows: Vec<Vec<String>> = items.iter().map(row).collect();
        print(&table(&head, &rows))?;
    }
    if more {
        eprintln!("cirque: there are more: --limit says how many are shown");
    }
    Ok(ExitCode::SUCCESS)
}

/// What fits into a column.
fn short(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

async fn show(client: &Client, id: &str) -> Result<ExitCode, Trouble> {
    let answer = client.get(&entry(id)).await?;
    print_json(&answer)?;
    Ok(ExitCode::SUCCESS)
}

/// The path of an answer; of a hit's id, its answer.
fn entry(id: &str) -> String {
    let answer = id.split('.').next().unwrap_or(id);
    format!("/admin/v1/cache/entries/{}", segment(answer))
}

async fn delete(client: &Client, ids: &[String], selected: &Selected) -> Result<ExitCode, Trouble> {
    match (ids.is_empty(), *selected == Selected::default()) {
        (true, true) => Err(Trouble::input(
            "say which: ids, or --team, --key, --model, --tag, …; all of them: `cirque cache purge`",
        )),
        (false, false) => Err(Trouble::input("ids, or what they have in common: one of the two")),
        (true, false) => {
            cleared(client, Method::DELETE, &selected.path("/admin/v1/cache/entries")).await?;
            Ok(ExitCode::SUCCESS)
        }
        (false, true) => {
            let mut gone = 0;
            for id in ids {
                gone += cleared(client, Method::DELETE, &entry(id)).await?;
            }
            Ok(ExitCode::from(u8::from(gone == 0)))
        }
    }
}

/// Delete, and tell how many are gone.
async fn cleared(client: &Client, method: Method, path: &str) -> Result<u64, Trouble> {
    let answer = client.ask(method, path, Some(&json!({}))).await?;
    if client.json {
        print_json(&answer)?;
    } else {
        let shared = match answer.get("shared") {
            None | Some(Value::Null) => String::new(),
            Some(shared) => format!(", {shared} of those that instances share"),
        };
        print(&format!("{} deleted here{shared}\n", cell(&answer, "/deleted")))?;
    }
    let figure = |name| answer.get(name).and_then(Value::as_u64).unwrap_or_default();
    Ok(figure("deleted").max(figure("shared")))
}

async fn wrong(client: &Client, id: &str, question: Option<&str>) -> Result<ExitCode, Trouble> {
    let mut body = json!({ "id": id });
    if let (Some(question), Some(body)) = (question, body.as_object_mut()) {
        body.insert("question".to_owned(), json!(question));
    }
    let answer = client
        .ask(Method::POST, "/admin/v1/cache/feedback", Some(&body))
        .await?;
    if client.json {
        print_json(&answer)?;
    } else if answer.get("deleted") == Some(&Value::Bool(true)) {
        print("the answer is deleted\n")?;
    } else {
        print("that question no longer gets this answer; those like it only if the verifier is surer of them\n")?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn warm(client: &Client, file: &Path, key: Option<&str>) -> Result<ExitCode, Trouble> {
    let batches = read_lines(file, key)?;
    let (mut kept, mut failed) = (0, 0);
    for batch in batches {
        let (numbers, answers): (Vec<usize>, Vec<Value>) = batch.into_iter().unzip();
        let body = json!({ "answers": answers });
        let answer = client.ask(Method::POST, "/admin/v1/cache/warm", Some(&body)).await?;
        kept += answer.get("ids").and_then(Value::as_array).map_or(0, Vec::len);
        for (index, why) in answer.get("failed").and_then(Value::as_object).into_iter().flatten() {
            failed += 1;
            let line = index.parse().ok().and_then(|index: usize| numbers.get(index).copied());
            let why = super::route::plain(why.as_str().unwrap_or_default());
            eprintln!("cirque: line {}: {why}", line.unwrap_or_default());
        }
    }
    if client.json {
        print_json(&json!({"kept": kept, "failed": failed}))?;
    } else {
        print(&format!("{kept} answers are kept, {failed} are not\n"))?;
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}

/// Answers with the numbers of their lines, in pieces that one request takes.
type Batches = Vec<Vec<(usize, Value)>>;

fn read_lines(file: &Path, key: Option<&str>) -> Result<Batches, Trouble> {
    if file == Path::new("-") {
        return batches(std::io::stdin().lock(), key);
    }
    let opened = std::fs::File::open(file).map_err(|error| Trouble::input(format!("{}: {error}", file.display())))?;
    batches(BufReader::new(opened), key)
}

fn batches(mut from: impl BufRead, key: Option<&str>) -> Result<Batches, Trouble> {
    let (mut all, mut batch, mut size) = (Vec::new(), Vec::new(), 0);
    for number in 1.. {
        let mut line = Vec::new();
        let read = (&mut from).take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let mut answer: Value = serde_json::from_str(text)
            .map_err(|error| Trouble::input(format!("line {number} is not JSON: {error}")))?;
        if let (Some(key), Some(answer)) = (key, answer.as_object_mut()) {
            answer.entry("key").or_insert_with(|| json!(key));
        }
        let length = answer.to_string().len();
        if length > BATCH {
            return Err(Trouble::input(format!(
                "line {number} is longer than {} KiB",
                BATCH / 1024
            )));
        }
        if !batch.is_empty() && (size + length > BATCH || batch.len() >= MOST) {
            all.push(std::mem::take(&mut batch));
            size = 0;
        }
        size += length + 1;
        batch.push((number, answer));
    }
    if !batch.is_empty() {
        all.push(batch);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_are_two_tables_and_a_sentence() {
        let totals = json!({"memory": {"entries": 3, "bytes": 4096, "capacity": 1000000}, "semantic": "built-in"});
        let sum = |cache: &str, requests: u64, input: u64| {
            json!({"group": {"team": "search", "cache": cache}, "requests": requests, "cost_usd": "0",
                   "tokens": {"input": input, "output": 1}})
        };
        let used = vec![sum("hit", 3, 10), sum("miss", 1, 100)];
        let shown = rendered_stats(&totals, &json!({"group_by": ["team", "cache"]}), &used);
        assert!(
            shown.starts_with(
                "TIER    ANSWERS  BYTES  AT MOST\nmemory  3        4096   1000000 bytes\nsemantic tier: built-in\n"
            ),
            "{shown}"
        );
        assert!(
            shown.contains("TEAM    CACHE  REQUESTS  INPUT  OUTPUT  COST USD  SAVED USD\nsearch  hit    3"),
            "{shown}"
        );
        assert!(
            shown.ends_with("75.0 % answered from the cache: 11 tokens saved\n"),
            "{shown}"
        );
        assert!(!rendered_stats(&totals, &json!({}), &[]).contains('%'));
    }

    #[test]
    fn lines_become_batches_with_their_numbers() {
        let line = |length: usize| format!("{{\"request\": {{}}, \"answer\": \"{}\"}}\n", "x".repeat(length));
        let text = format!("\n{}\n{}{}", line(10), line(150 * 1024), line(150 * 1024));
        let read = batches(text.as_bytes(), Some("ci")).unwrap();
        let numbers: Vec<Vec<usize>> = read
            .iter()
            .map(|batch| batch.iter().map(|(number, _)| *number).collect())
            .collect();
        assert_eq!(numbers, [vec![2, 4], vec![5]]);
        assert!(read.iter().flatten().all(|(_, answer)| answer["key"] == "ci"));
        let many = "{\"key\": \"own\"}\n".repeat(MOST + 1);
        let read = batches(many.as_bytes(), Some("ci")).unwrap();
        assert_eq!((read.len(), read[1].len(), &read[0][0].1["key"]), (2, 1, &json!("own")));
        for (wrong, part) in [("{}\nno", "line 2"), (&line(300 * 1024), "longer than 200 KiB")] {
            let trouble = batches(wrong.as_bytes(), None).unwrap_err();
            assert!(trouble.status == 2 && trouble.text.contains(part), "{trouble}");
        }
    }

    #[test]
    fn a_hits_id_leads_to_its_answer() {
        assert_eq!(entry("abc.def"), "/admin/v1/cache/entries/abc");
        let selected = Selected {
            team: Some("a b".to_owned()),
            ..Selected::default()
        };
        assert_eq!(selected.path("/x"), "/x?team=a%20b");
    }
}
