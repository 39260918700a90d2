//! The functions a rule may call, and what is said of those it may not.

use super::check::{Checked, Checker, Typed, nearest};
use super::clock::{Field, Window, Zone, instant};
use super::text;
use super::tree::{Any, Bool, Double, Find, Int, List, Pattern, Str};
use super::uses::Read;
use cel::common::ast::{CallExpr, IdedExpr};
use regex::RegexBuilder;

/// Compiled size of one pattern. Matching is linear in the text whatever the pattern.
const PATTERN_SIZE: usize = 1 << 20;

const FUNCTIONS: &[&str] = &[
    "size",
    "int",
    "double",
    "timestamp",
    "startsWith",
    "endsWith",
    "contains",
    "matches",
    "within",
    "has",
    "exists",
    "all",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getHours",
    "getMinutes",
    "getSeconds",
];

/// In CEL or its extensions, not here.
const OTHERS: &[&str] = &[
    "bool",
    "bytes",
    "dyn",
    "duration",
    "string",
    "type",
    "uint",
    "getMilliseconds",
    "charAt",
    "indexOf",
    "lastIndexOf",
    "lowerAscii",
    "upperAscii",
    "replace",
    "split",
    "substring",
    "trim",
    "join",
    "format",
    "map",
    "filter",
    "exists_one",
    "existsOne",
    "matchesAll",
];

impl Checker<'_> {
    pub(super) fn function(&mut self, expr: &IdedExpr, call: &CallExpr) -> Checked<Typed> {
        let name = call.func_name.as_str();
        if let Some((_, field)) = Field::ALL.into_iter().find(|(known, _)| *known == name) {
            return self.field(expr, field, call);
        }
        match (name, call.target.as_deref(), call.args.as_slice()) {
            ("size", Some(part), []) | ("size", None, [part]) => self.size(expr, part),
            ("int", None, [part]) => self.int(expr, part),
            ("double", None, [part]) => self.double(expr, part),
            ("timestamp", None, [part]) => self.timestamp(part),
            ("startsWith", Some(whole), [part]) => self.find(Find::Starts, whole, part),
            ("endsWith", Some(whole), [part]) => self.find(Find::Ends, whole, part),
            ("contains", Some(whole), [part]) => self.find(Find::Contains, whole, part),
            ("matches", Some(whole), [part]) | ("matches", None, [whole, part]) => self.matches(whole, part),
            ("within", None, [window, rest @ ..]) if rest.len() <= 1 => self.within(window, rest.first()),
            _ => Err(self.no_function(expr, name)),
        }
    }

    fn no_function(&self, expr: &IdedExpr, name: &str) -> super::check::Wrong {
        let how = match name {
            "size" => "x.size()",
            "int" | "double" => "int(x), double(x)",
            "timestamp" => "timestamp(\"2026-12-01T00:00:00Z\")",
            "startsWith" | "endsWith" | "contains" => "x.startsWith(\"…\"), x.endsWith(\"…\"), x.contains(\"…\")",
            "matches" => "x.matches(\"…\")",
            "within" => "within(\"22:00-06:00\", \"Europe/Berlin\")",
            "has" => "has(metadata.x)",
            "exists" | "all" => "tags.exists(t, t == \"x\")",
            _ if OTHERS.contains(&name) || name.starts_with('@') || name.contains('_') => {
                return self.unsupported(
                    expr,
                    &format!("`{name}`"),
                    &format!("known are {}", FUNCTIONS.join(", ")),
                );
            }
            _ => {
                let remedy = match nearest(name, FUNCTIONS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known are {}", FUNCTIONS.join(", ")),
                };
                return self.wrong(expr, format!("there is no function `{name}`"), remedy);
            }
        };
        let message = format!("`{}` does not give `{name}` what it takes", text::of(expr));
        self.wrong(expr, message, format!("write {how}"))
    }

    fn size(&mut self, expr: &IdedExpr, part: &IdedExpr) -> Checked<Typed> {
        Ok(Typed::Int(match self.typed(part)? {
            Typed::Str(part) => Int::Size(Box::new(part)),
            Typed::Words(List::Tags) => Int::Tags,
            Typed::Words(List::Words(list)) => Int::Lit(i64::try_from(list.len()).unwrap_or(i64::MAX)),
            Typed::Values(list) => Int::Lit(i64::try_from(list.len()).unwrap_or(i64::MAX)),
            Typed::Any(part @ (Any::Get(..) | Any::If(_))) => Int::SizeOf(Box::new(part)),
            Typed::Map(map) => {
                let what = format!("size({})", map.name());
                return Err(self.unsupported(expr, &what, "ask for the keys you mean with has() or `in`"));
            }
            other => return Err(self.no_overload(expr, "size", &[&other])),
        }))
    }

    fn int(&mut self, expr: &IdedExpr, part: &IdedExpr) -> Checked<Typed> {
        Ok(Typed::Int(match self.typed(part)? {
            Typed::Int(part) | Typed::Time(part) => part,
            Typed::Double(part) => Int::OfDouble(Box::new(part)),
            Typed::Str(part) => Int::OfStr(Box::new(part)),
            Typed::Any(part @ (Any::Get(..) | Any::If(_))) => Int::OfAny(Box::new(part)),
            other => return Err(self.no_overload(expr, "int", &[&other])),
        }))
    }

    fn double(&mut self, expr: &IdedExpr, part: &IdedExpr) -> Checked<Typed> {
        Ok(Typed::Double(match self.typed(part)? {
            Typed::Int(part) => Double::OfInt(Box::new(part)),
            Typed::Double(part) => part,
            Typed::Str(part) => Double::OfStr(Box::new(part)),
            Typed::Any(part @ (Any::Get(..) | Any::If(_))) => Double::OfAny(Box::new(part)),
            other => return Err(self.no_overload(expr, "double", &[&other])),
        }))
    }

    fn timestamp(&mut self, part: &IdedExpr) -> Checked<Typed> {
        let word = self.written(part, "a time")?;
        let at = instant(&word).ok_or_else(|| {
            let message = format!("`{word}` is not a time in whole seconds");
            self.wrong(part, message, "write it as \"2026-12-01T00:00:00Z\"")
        })?;
        Ok(Typed::Time(Int::Lit(at)))
    }

    fn find(&mut self, find: Find, whole: &IdedExpr, part: &IdedExpr) -> Checked<Typed> {
        let (whole, part) = (self.str(whole)?, self.str(part)?);
        Ok(Typed::Bool(Bool::Find(find, whole, part)))
    }

    fn matches(&mut self, whole: &IdedExpr, part: &IdedExpr) -> Checked<Typed> {
        let whole = self.str(whole)?;
        let word = self.written(part, "a pattern")?;
        let pattern = RegexBuilder::new(&word)
            .size_limit(PATTERN_SIZE)
            .build()
            .map_err(|error| {
                // Its last line says what; the ones before draw where.
                let error = error.to_string();
                let what = error
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned();
                let message = format!("the pattern `{word}` is not a regular expression: {what}");
                self.wrong(part, message, "the syntax is RE2's: no look-around, no back-references")
            })?;
        Ok(Typed::Bool(Bool::Matches(whole, Pattern(pattern))))
    }

    fn field(&mut self, expr: &IdedExpr, field: Field, call: &CallExpr) -> Checked<Typed> {
        let at = match &call.target {
            Some(target) => self.typed(target)?,
            None => {
                return Err(self.wrong(
                    expr,
                    "a clock is read of `now`",
                    "write now.getHours(\"Europe/Berlin\")",
                ));
            }
        };
        let zone = match call.args.as_slice() {
            [] => Zone::utc(),
            [zone] => self.zone(zone)?,
            _ => return Err(self.wrong(expr, "one time zone is enough", "write now.getHours(\"Europe/Berlin\")")),
        };
        match at {
            Typed::Time(Int::Now) => Ok(Typed::Int(Int::Clock(field, zone))),
            Typed::Time(Int::Lit(at)) => Ok(Typed::Int(Int::Lit(field.of(&zone, at)))),
            other => Err(self.no_overload(expr, &call.func_name, &[&other])),
        }
    }

    fn within(&mut self, window: &IdedExpr, zone: Option<&IdedExpr>) -> Checked<Typed> {
        let word = self.written(window, "a window")?;
        let zone = zone.map_or_else(|| Ok(Zone::utc()), |zone| self.zone(zone))?;
        self.read(Read::Now);
        Window::read(&word, zone)
            .map(|window| Typed::Bool(Bool::Within(window)))
            .map_err(|why| {
                let remedy = "write it as \"22:00-06:00\", \"mon-fri 08:00-18:00\" or \"sat,sun\"";
                self.wrong(window, format!("the window `{word}` cannot be read: {why}"), remedy)
            })
    }

    fn zone(&mut self, expr: &IdedExpr) -> Checked<Zone> {
        let word = self.written(expr, "a time zone")?;
        Zone::named(&word).ok_or_else(|| {
            let remedy = match Zone::nearest(&word) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "give an IANA name as \"Europe/Berlin\", \"UTC\", or an offset as \"+02:00\"".to_owned(),
            };
            self.wrong(expr, format!("there is no time zone `{word}`"), remedy)
        })
    }

    /// An argument that must be a string literal, because it is read at load.
    fn written(&mut self, expr: &IdedExpr, what: &str) -> Checked<Box<str>> {
        match self.typed(expr)? {
            Typed::Str(Str::Lit(word)) => Ok(word),
            _ => {
                let message = format!("{what} is read at load, so it must be a string literal");
                Err(self.wrong(expr, message, "write it out in quotes"))
            }
        }
    }
}
