//! The type checker: a parsed expression becomes a typed tree, or one sentence on what is wrong with it and where.
//!
//! Not the functions ([`super::calls`]) nor the operators ([`super::operators`]). The idea: every operand is checked to a
//! [`Typed`], and what takes it picks a node by what it got; what CEL has and we do not compile is an error that names it,
//! never a different meaning.

use super::facts::{Map, Need, Word};
use super::operators::{arithmetic, comparison};
use super::text;
use super::tree::{Any, Bool, Double, Int, List, Str};
use super::uses::Read;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo, operators};

/// Deepest nesting of an expression.
const DEPTH: usize = 48;

/// What is wrong with an expression.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) offset: usize,
    pub(super) message: String,
    pub(super) remedy: String,
}

/// A checked part.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Typed {
    Bool(Bool),
    Int(Int),
    Double(Double),
    Str(Str),
    /// A point in time, in seconds.
    Time(Int),
    /// Its type is known when the request is.
    Any(Any),
    Words(List),
    /// Literals that are not all strings.
    Values(Vec<Any>),
    Map(Map),
    Needs,
    Request,
}

impl Typed {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a bool",
            Self::Int(_) => "an int",
            Self::Double(_) => "a double",
            Self::Str(_) => "a string",
            Self::Time(_) => "a timestamp",
            Self::Any(Any::Null) => "null",
            Self::Any(_) => "a value of metadata or claims",
            Self::Words(_) | Self::Values(_) => "a list",
            Self::Map(_) | Self::Needs | Self::Request => "a map",
        }
    }

    pub(super) fn scalar(self) -> Option<Any> {
        Some(match self {
            Self::Bool(part) => Any::Bool(Box::new(part)),
            Self::Int(part) => Any::Int(part),
            Self::Double(part) => Any::Double(part),
            Self::Str(part) => Any::Str(part),
            Self::Any(part) => part,
            _ => return None,
        })
    }
}

pub(super) type Checked<T> = Result<T, Wrong>;

/// One expression being checked.
pub(super) struct Checker<'s> {
    info: &'s SourceInfo,
    pub(super) reads: Vec<Read>,
    pub(super) variables: Vec<String>,
    used: usize,
    depth: usize,
}

impl<'s> Checker<'s> {
    pub(super) fn new(info: &'s SourceInfo) -> Self {
        Self {
            info,
            reads: Vec::new(),
            variables: Vec::new(),
            used: 0,
            depth: 0,
        }
    }

    pub(super) fn wrong(&self, at: &IdedExpr, message: impl Into<String>, remedy: impl Into<String>) -> Wrong {
        Wrong {
            offset: text::start(at, self.info),
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    pub(super) fn read(&mut self, read: Read) {
        if !self.reads.contains(&read) {
            self.reads.push(read);
        }
        self.used += 1;
    }

    /// Check one expression.
    pub(super) fn typed(&mut self, expr: &IdedExpr) -> Checked<Typed> {
        if self.depth >= DEPTH {
            return Err(self.wrong(expr, "it is nested too deeply", "write several simpler rules"));
        }
        self.depth += 1;
        let used = self.used;
        let typed = match &expr.expr {
            Expr::Literal(literal) => self.literal(expr, literal),
            Expr::Ident(name) => self.name(expr, name),
            Expr::Select(select) => self.select(expr, select),
            Expr::Call(call) => self.call(expr, call),
            Expr::List(list) => self.list(&list.elements),
            Expr::Comprehension(each) => self.each(expr, each),
            Expr::Map(_) => Err(self.unsupported(expr, "a map literal", "compare with `in [...]` or use `switch`")),
            Expr::Struct(_) => Err(self.unsupported(expr, "a message literal", "compare the facts themselves")),
            Expr::Unspecified => Err(self.wrong(expr, "it is empty", "leave `when` out for a rule that always holds")),
        };
        self.depth -= 1;
        match typed? {
            // No fact was read: it gives the same on every request.
            Typed::Bool(part) if self.used == used && self.variables.is_empty() => self.constant(expr, &part),
            typed => Ok(typed),
        }
    }

    fn constant(&self, expr: &IdedExpr, part: &Bool) -> Checked<Typed> {
        let facts = super::Facts::default();
        let value = part.eval(&super::eval::Scope::new(&facts));
        value.map(|value| Typed::Bool(Bool::Const(value))).map_err(|failure| {
            let what = format!("`{}` always fails: {failure}", text::of(expr));
            self.wrong(expr, what, "mend or remove it")
        })
    }

    pub(super) fn unsupported(&self, expr: &IdedExpr, what: &str, remedy: &str) -> Wrong {
        let message = format!("CEL has {what}, routing rules do not");
        self.wrong(expr, message, remedy)
    }

    fn literal(&self, expr: &IdedExpr, literal: &LiteralValue) -> Checked<Typed> {
        Ok(match literal {
            LiteralValue::Boolean(value) => Typed::Bool(Bool::Const(*value.inner())),
            LiteralValue::Int(value) => Typed::Int(Int::Lit(*value.inner())),
            LiteralValue::Double(value) => Typed::Double(Double::Lit(*value.inner())),
            LiteralValue::String(value) => Typed::Str(Str::Lit(value.inner().into())),
            LiteralValue::Null => Typed::Any(Any::Null),
            LiteralValue::UInt(value) => {
                let remedy = format!("write {} without `u`", value.inner());
                return Err(self.unsupported(expr, "unsigned numbers", &remedy));
            }
            LiteralValue::Bytes(_) => return Err(self.unsupported(expr, "bytes", "write a string")),
        })
    }

    fn name(&mut self, expr: &IdedExpr, name: &str) -> Checked<Typed> {
        if let Some(slot) = self.variables.iter().rposition(|variable| variable == name) {
            self.used += 1;
            return Ok(Typed::Str(Str::Var(slot)));
        }
        self.fact(name).ok_or_else(|| {
            let mut remedy = match nearest(name, NAMES) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are {}", NAMES.join(", ")),
            };
            if self.info.source.contains("headers.") {
                remedy.push_str("; a header with a `-` is written headers[\"x-name\"]");
            }
            self.wrong(expr, format!("`{name}` is not known"), remedy)
        })
    }

    /// A fact by its name.
    fn fact(&mut self, name: &str) -> Option<Typed> {
        if let Some((_, word)) = Word::ALL.into_iter().find(|(known, _)| *known == name) {
            self.read(Read::Word(word));
            return Some(Typed::Str(Str::Word(word)));
        }
        if let Some((_, map)) = Map::ALL.into_iter().find(|(known, _)| *known == name) {
            self.used += 1;
            return Some(Typed::Map(map));
        }
        let (read, typed) = match name {
            "stream" => (Read::Stream, Typed::Bool(Bool::Stream)),
            "tokens" => (Read::Tokens, Typed::Int(Int::Tokens)),
            "max_tokens" => (Read::MaxTokens, Typed::Int(Int::MaxTokens)),
            "now" => (Read::Now, Typed::Time(Int::Now)),
            "tags" => (Read::Tags, Typed::Words(List::Tags)),
            "needs" => {
                self.used += 1;
                return Some(Typed::Needs);
            }
            "request" => {
                self.used += 1;
                return Some(Typed::Request);
            }
            _ => return None,
        };
        self.read(read);
        Some(typed)
    }

    fn select(&mut self, expr: &IdedExpr, select: &SelectExpr) -> Checked<Typed> {
        let field = select.field.as_str();
        match self.typed(&select.operand)? {
            Typed::Map(map) if select.test => {
                let name = self.key(map, field);
                Ok(Typed::Bool(Bool::Has(map, name)))
            }
            Typed::Map(map) => {
                let name = Str::Lit(self.key(map, field));
                Ok(entry(map, name))
            }
            Typed::Needs => match Need::ALL.into_iter().find(|(name, _)| *name == field) {
                Some(_) if select.test => Ok(Typed::Bool(Bool::Const(true))),
                Some((_, need)) => {
                    self.read(Read::Need(need));
                    Ok(Typed::Bool(Bool::Need(need)))
                }
                None => {
                    let names = Need::ALL.map(|(name, _)| name);
                    let remedy = match nearest(field, &names) {
                        Some(near) => format!("did you mean `needs.{near}`?"),
                        None => format!("`needs` has {}", names.join(", ")),
                    };
                    Err(self.wrong(expr, format!("`needs.{field}` is not known"), remedy))
                }
            },
            Typed::Request if select.test && field == "max_tokens" => {
                self.read(Read::MaxTokens);
                Ok(Typed::Bool(Bool::HasMaxTokens))
            }
            Typed::Request if field != "request" => {
                let typed = self.name(expr, field)?;
                Ok(if select.test {
                    Typed::Bool(Bool::Const(true))
                } else {
                    typed
                })
            }
            other => {
                let message = format!("`{}` is {} and has no members", text::of(&select.operand), other.name());
                Err(self.wrong(
                    expr,
                    message,
                    "only headers, metadata, claims, needs and request have members",
                ))
            }
        }
    }

    /// A key as written, noted as read. Names of headers have no case.
    fn key(&mut self, map: Map, name: &str) -> Box<str> {
        let name: Box<str> = match map {
            Map::Headers => name.to_ascii_lowercase().into(),
            _ => name.into(),
        };
        self.read(Read::Entry(map, Some(name.clone())));
        name
    }

    /// A computed or written key.
    pub(super) fn index_key(&mut self, map: Map, key: Str) -> Str {
        match key {
            Str::Lit(name) => Str::Lit(self.key(map, &name)),
            key => {
                self.read(Read::Entry(map, None));
                key
            }
        }
    }

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Checked<Typed> {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND, [_, _]) => {
                let mut parts = Vec::new();
                for part in text::chain(expr, operators::LOGICAL_AND) {
                    parts.push(self.bool(part)?);
                }
                Ok(Typed::Bool(Bool::And(parts)))
            }
            (operators::LOGICAL_OR, [_, _]) => {
                let mut parts = Vec::new();
                for part in text::chain(expr, operators::LOGICAL_OR) {
                    parts.push(self.bool(part)?);
                }
                Ok(Typed::Bool(Bool::Or(parts)))
            }
            (operators::LOGICAL_NOT, [part]) => Ok(Typed::Bool(Bool::Not(Box::new(self.bool(part)?)))),
            (operators::CONDITIONAL, [condition, yes, no]) => self.conditional(condition, yes, no),
            (operators::NEGATE, [part]) => match self.typed(part)? {
                Typed::Int(part) => Ok(Typed::Int(Int::Neg(Box::new(part)))),
                Typed::Double(part) => Ok(Typed::Double(Double::Neg(Box::new(part)))),
                other => Err(self.no_overload(expr, "-", &[&other])),
            },
            (operators::INDEX, [map, key]) => self.index(expr, map, key),
            (operators::IN, [part, list]) => self.contained(expr, part, list),
            (name, [left, right]) => match (comparison(name), arithmetic(name)) {
                (Some(cmp), _) => self.compare(expr, cmp, left, right),
                (_, Some(op)) => self.arithmetic(expr, op, left, right),
                _ => self.function(expr, call),
            },
            _ => self.function(expr, call),
        }
    }

    /// A part that must be a bool.
    pub(super) fn bool(&mut self, expr: &IdedExpr) -> Checked<Bool> {
        match self.typed(expr)? {
            Typed::Bool(part) => Ok(part),
            Typed::Any(part) if part != Any::Null => Ok(Bool::Get(Box::new(part))),
            other => {
                let message = format!("`{}` is {}, not a bool", text::of(expr), other.name());
                Err(self.wrong(expr, message, "compare it with something"))
            }
        }
    }

    /// A part that must be a string.
    pub(super) fn str(&mut self, expr: &IdedExpr) -> Checked<Str> {
        match self.typed(expr)? {
            Typed::Str(part) => Ok(part),
            Typed::Any(part) if part != Any::Null => Ok(Str::Get(Box::new(part))),
            other => {
                let message = format!("`{}` is {}, not a string", text::of(expr), other.name());
                Err(self.wrong(expr, message, "give a string here"))
            }
        }
    }
}

pub(super) fn entry(map: Map, key: Str) -> Typed {
    match map {
        Map::Headers => Typed::Str(Str::Header(Box::new(key))),
        _ => Typed::Any(Any::Get(map, key)),
    }
}

const NAMES: &[&str] = &[
    "model",
    "operation",
    "dialect",
    "stream",
    "headers",
    "metadata",
    "key",
    "team",
    "tags",
    "claims",
    "tokens",
    "max_tokens",
    "needs",
    "now",
    "ip",
    "request",
];

/// The known name that is nearest, when it is near.
pub(super) fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    let lower = name.to_ascii_lowercase();
    known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&lower, &known.to_ascii_lowercase()), *known))
        .min()
        .filter(|(distance, known)| *distance <= (known.len() / 3).max(1))
        .map(|(_, known)| known)
}
