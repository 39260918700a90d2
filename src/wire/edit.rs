//! Parameters of a client's request set, defaulted or taken out, in the dialect the request came in.
//!
//! Not what a rule decides, nor the translation between dialects. The idea: the body is scanned for the few members
//! concerned and spliced there, so every other byte stays as the client sent it. Names are those of OpenAI's chat API; a
//! parameter a dialect does not have is skipped there. What the envelope says of places no longer holds afterwards: read
//! the result anew.

mod check;
mod names;

#[cfg(test)]
mod tests;

pub use self::check::Problem;

use self::names::{Level, Path};
use super::json::{JsonError, Kind, Span, scan_object};
use super::{Dialect, Operation};
use bytes::Bytes;
use serde_json::Value;
use std::collections::BTreeMap;

/// What is done to parameters, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edits {
    /// Written, whatever the client wrote.
    pub set: BTreeMap<String, Value>,
    /// Written where the client wrote none, or `null`.
    pub default: BTreeMap<String, Value>,
    /// Taken out.
    pub remove: Vec<String>,
}

impl Edits {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.default.is_empty() && self.remove.is_empty()
    }

    /// What is wrong with them.
    pub fn check(&self) -> Vec<Problem> {
        check::problems(self)
    }

    /// The names that mean nothing in a dialect and operation, and are skipped there.
    pub fn skipped(&self, operation: Operation, dialect: Dialect) -> Vec<&str> {
        let names = self.set.keys().chain(self.default.keys()).chain(&self.remove);
        names
            .map(String::as_str)
            .filter(|name| names::path(name, operation, dialect).is_none())
            .collect()
    }

    /// The body with the edits made. Fails where the body is not a JSON object.
    pub fn apply(
        &self,
        body: &Bytes,
        operation: Operation,
        dialect: Dialect,
        max_depth: usize,
    ) -> Result<Bytes, JsonError> {
        let tasks = self.tasks(operation, dialect);
        if tasks.is_empty() {
            return Ok(body.clone());
        }
        let mut splices = Vec::new();
        edit_object(body, 0..body.len(), &tasks, 0, max_depth, &mut splices)?;
        Ok(spliced(body, splices))
    }

    fn tasks(&self, operation: Operation, dialect: Dialect) -> Vec<Task> {
        let task = |name: &str, act: Act| names::path(name, operation, dialect).map(|path| Task { path, act });
        let value = |name: &str, value: &Value| names::value(name, value, dialect).to_string();
        let sets = self
            .set
            .iter()
            .filter_map(|(name, to)| task(name, Act::Set(value(name, to))));
        let defaults = self
            .default
            .iter()
            .filter_map(|(name, to)| task(name, Act::Default(value(name, to))));
        let removals = self.remove.iter().filter_map(|name| task(name, Act::Remove));
        sets.chain(defaults).chain(removals).collect()
    }
}

#[derive(Debug)]
struct Task {
    path: Path,
    act: Act,
}

#[derive(Debug)]
enum Act {
    Set(String),
    Default(String),
    Remove,
}

impl Act {
    fn value(&self) -> Option<&str> {
        match self {
            Self::Set(value) | Self::Default(value) => Some(value),
            Self::Remove => None,
        }
    }
}

/// Bytes put in the place of others.
#[derive(Debug)]
struct Splice {
    at: Span,
    with: String,
}

fn splice(at: Span, with: impl Into<String>) -> Splice {
    Splice { at, with: with.into() }
}

/// What is at a level of the paths below one object: tasks whose path ends here, or goes on below.
struct Target<'t> {
    level: &'t Level,
    tasks: Vec<&'t Task>,
    /// The object has it, not `null`.
    there: bool,
    /// Where the first `null` of it is.
    null: Option<Span>,
}

fn targets<'t>(tasks: impl Iterator<Item = &'t Task>, depth: usize) -> Vec<Target<'t>> {
    let mut targets: Vec<Target<'t>> = Vec::new();
    for task in tasks {
        let Some(level) = task.path.level(depth) else { continue };
        match targets.iter_mut().find(|target| target.level.same(level)) {
            Some(target) => target.tasks.push(task),
            None => targets.push(Target {
                level,
                tasks: vec![task],
                there: false,
                null: None,
            }),
        }
    }
    targets
}

/// Find what `tasks` change in the object at `span`, whose members are the paths' level `depth`.
fn edit_object(
    body: &[u8],
    span: Span,
    tasks: &[Task],
    depth: usize,
    max_depth: usize,
    out: &mut Vec<Splice>,
) -> Result<(), JsonError> {
    edit_level(body, span, targets(tasks.iter(), depth), depth, max_depth, out)
}

fn edit_level(
    body: &[u8],
    span: Span,
    mut targets: Vec<Target<'_>>,
    depth: usize,
    max_depth: usize,
    out: &mut Vec<Splice>,
) -> Result<(), JsonError> {
    let object = body.get(span.clone()).unwrap_or_default();
    let inside = memchr::memchr(b'{', object).map_or(span.start, |at| span.start + at + 1);
    let mut kept = false;
    let mut ended = inside;
    let mut nested = Vec::new();
    scan_object(object, max_depth, |member| {
        let value = span.start + member.value.start..span.start + member.value.end;
        let target = targets
            .iter_mut()
            .enumerate()
            .find(|(_, target)| target.level.names().any(|name| member.is(name)));
        let removed = target.is_some_and(|(place, target)| {
            match judge(target, member.kind, depth) {
                Verdict::Replace(with) => out.push(splice(value.clone(), with)),
                Verdict::Below => nested.push((place, value.clone())),
                Verdict::Null => target.null = target.null.take().or(Some(value.clone())),
                Verdict::Remove => return true,
                Verdict::Keep => {}
            }
            false
        });
        if removed {
            out.push(splice(ended..value.end, ""));
        } else {
            if !kept && ended > inside {
                // All members before are gone: so must the comma be.
                let rest = body.get(ended..value.start).unwrap_or_default();
                let comma = memchr::memchr(b',', rest).map_or(0, |at| at + 1);
                out.push(splice(ended..ended + comma, ""));
            }
            kept = true;
        }
        ended = value.end;
    })?;
    add_missing(&mut targets, depth, inside, kept, out);
    for (place, value) in nested {
        if let Some(target) = targets.get(place) {
            let below = self::targets(target.tasks.iter().copied(), depth + 1);
            edit_level(body, value, below, depth + 1, max_depth, out)?;
        }
    }
    Ok(())
}

/// Write what the object at `inside` does not have: over a `null` of it, or as new first members.
fn add_missing(targets: &mut [Target<'_>], depth: usize, inside: usize, kept: bool, out: &mut Vec<Splice>) {
    let mut added = String::new();
    for target in targets.iter_mut().filter(|target| !target.there) {
        let Some(value) = written(&target.tasks, depth) else {
            continue;
        };
        if let Some(null) = target.null.take() {
            out.push(splice(null, value));
        } else {
            added.push_str(if added.is_empty() { "" } else { "," });
            added.push_str(&format!("{}:{value}", Value::from(target.level.name())));
        }
    }
    if !added.is_empty() {
        added.push_str(if kept { "," } else { "" });
        out.push(splice(inside..inside, added));
    }
}

#[derive(Debug)]
enum Verdict {
    Keep,
    Remove,
    Replace(String),
    Null,
    Below,
}

/// What becomes of a member that a target names.
fn judge(target: &mut Target<'_>, kind: Kind, depth: usize) -> Verdict {
    let ends = target.tasks.iter().find(|task| task.path.level(depth + 1).is_none());
    match (ends.map(|task| &task.act), kind) {
        (Some(Act::Remove), _) => Verdict::Remove,
        (Some(Act::Set(value)), _) => {
            target.there = true;
            Verdict::Replace(value.clone())
        }
        (Some(Act::Default(_)) | None, Kind::Null) => Verdict::Null,
        (None, Kind::Object) => {
            target.there = true;
            Verdict::Below
        }
        // Something else where an object must be: the provider says so better.
        _ => {
            target.there = true;
            Verdict::Keep
        }
    }
}

/// What is written for a target the client did not write; `None` when its tasks only take out.
fn written(tasks: &[&Task], depth: usize) -> Option<String> {
    if let Some(task) = tasks.iter().find(|task| task.path.level(depth + 1).is_none()) {
        return task.act.value().map(str::to_owned);
    }
    let mut members = Vec::new();
    for target in targets(tasks.iter().copied(), depth + 1) {
        if let Some(value) = written(&target.tasks, depth + 1) {
            members.push(format!("{}:{value}", Value::from(target.level.name())));
        }
    }
    (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
}

fn spliced(body: &Bytes, mut splices: Vec<Splice>) -> Bytes {
    if splices.is_empty() {
        return body.clone();
    }
    splices.sort_by_key(|splice| (splice.at.start, splice.at.end));
    let added: usize = splices.iter().map(|splice| splice.with.len()).sum();
    let mut out = Vec::with_capacity(body.len() + added);
    let mut at = 0;
    for splice in splices {
        out.extend_from_slice(body.get(at..splice.at.start).unwrap_or_default());
        out.extend_from_slice(splice.with.as_bytes());
        at = at.max(splice.at.end);
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    out.into()
}
