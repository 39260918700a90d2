//! The type checker: a parsed expression becomes a typed tree, or one sentence on what is wrong with it and where.
//!
//! Not the functions ([`super::calls`]). The idea: every operand is checked to a [`Typed`], and an operator picks the node
//! by what it got; what CEL has and we do not compile is an error that names it, never a different meaning.

use super::facts::{Map, Need, Word};
use super::tree::{Any, Bool, Cmp, Double, Int, List, Op, Str};
use super::{text, uses::Read};
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo, operators};

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
    variables: Vec<String>,
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
    fn index_key(&mut self, map: Map, key: Str) -> Str {
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

    fn conditional(&mut self, condition: &IdedExpr, yes: &IdedExpr, no: &IdedExpr) -> Checked<Typed> {
        let condition = self.bool(condition)?;
        let (left, right) = (self.typed(yes)?, self.typed(no)?);
        Ok(match (left, right) {
            (Typed::Bool(left), Typed::Bool(right)) => Typed::Bool(Bool::If(Box::new((condition, left, right)))),
            (Typed::Int(left), Typed::Int(right)) => Typed::Int(Int::If(Box::new((condition, left, right)))),
            (Typed::Double(left), Typed::Double(right)) => {
                Typed::Double(Double::If(Box::new((condition, left, right))))
            }
            (Typed::Str(left), Typed::Str(right)) => Typed::Str(Str::If(Box::new((condition, left, right)))),
            (left, right) => {
                let names = (left.name(), right.name());
                let dynamic = matches!((&left, &right), (Typed::Any(_), _) | (_, Typed::Any(_)));
                match (left.scalar(), right.scalar()) {
                    (Some(left), Some(right)) if dynamic => Typed::Any(Any::If(Box::new((condition, left, right)))),
                    _ => {
                        let message = format!("the two outcomes differ in type: {} and {}", names.0, names.1);
                        return Err(self.wrong(no, message, "give both the same type"));
                    }
                }
            }
        })
    }

    fn index(&mut self, expr: &IdedExpr, map: &IdedExpr, key: &IdedExpr) -> Checked<Typed> {
        match self.typed(map)? {
            Typed::Map(map) => {
                let key = self.str(key)?;
                let key = self.index_key(map, key);
                Ok(entry(map, key))
            }
            Typed::Words(List::Tags) => match self.typed(key)? {
                Typed::Int(at) => Ok(Typed::Str(Str::Tag(Box::new(at)))),
                other => Err(self.wrong(
                    key,
                    format!("a place in a list is an int, not {}", other.name()),
                    "give an int",
                )),
            },
            other => {
                let message = format!("`{}` is {} and cannot be indexed", text::of(map), other.name());
                Err(self.wrong(expr, message, "headers, metadata, claims and tags can"))
            }
        }
    }

    fn contained(&mut self, expr: &IdedExpr, part: &IdedExpr, list: &IdedExpr) -> Checked<Typed> {
        let typed = self.typed(part)?;
        let list = self.typed(list)?;
        if let Typed::Values(values) = &list {
            // A value is only ever equal to one of its own sort.
            let fits = |value: &Any| match (&typed, value) {
                (Typed::Any(_), _) | (Typed::Str(_), Any::Str(_)) => true,
                (Typed::Int(_) | Typed::Double(_), value) => matches!(value, Any::Int(_) | Any::Double(_)),
                _ => false,
            };
            if !values.iter().any(fits) {
                return Err(self.no_overload(expr, "in", &[&typed, &list]));
            }
        }
        let made = match (typed, list) {
            (Typed::Str(part), Typed::Words(List::Words(words))) => Bool::InWords(part, words),
            (Typed::Any(part), Typed::Words(List::Words(words))) => {
                Bool::InValues(part, words.into_iter().map(|word| Any::Str(Str::Lit(word))).collect())
            }
            (part @ (Typed::Any(_) | Typed::Int(_) | Typed::Double(_) | Typed::Str(_)), Typed::Values(values)) => {
                match part.scalar() {
                    Some(part) => Bool::InValues(part, values),
                    None => return Err(self.wrong(expr, "this cannot be in a list", "give a string or a number")),
                }
            }
            (Typed::Str(part), Typed::Words(List::Tags)) => Bool::InTags(part),
            (Typed::Any(part), Typed::Words(List::Tags)) => Bool::InTags(Str::Get(Box::new(part))),
            (Typed::Str(key), Typed::Map(map)) => {
                let key = self.index_key(map, key);
                match key {
                    Str::Lit(name) => Bool::Has(map, name),
                    key => Bool::InMap(map, key),
                }
            }
            (Typed::Str(part), Typed::Any(list @ (Any::Get(..) | Any::If(_)))) => Bool::InAny(Any::Str(part), list),
            (left, right) => return Err(self.no_overload(expr, "in", &[&left, &right])),
        };
        Ok(Typed::Bool(made))
    }

    fn list(&mut self, elements: &[IdedExpr]) -> Checked<Typed> {
        let (mut words, mut values) = (Vec::new(), Vec::new());
        for element in elements {
            let value = match self.typed(element)? {
                Typed::Str(Str::Lit(word)) => {
                    words.push(word.clone());
                    Any::Str(Str::Lit(word))
                }
                Typed::Int(part @ Int::Lit(_)) => Any::Int(part),
                Typed::Double(part @ Double::Lit(_)) => Any::Double(part),
                Typed::Bool(part @ Bool::Const(_)) => Any::Bool(Box::new(part)),
                Typed::Any(Any::Null) => Any::Null,
                _ => {
                    let remedy = "write the values themselves, or several comparisons with ||";
                    return Err(self.unsupported(element, "lists of computed elements", remedy));
                }
            };
            values.push(value);
        }
        Ok(match words.len() == values.len() {
            true => Typed::Words(List::Words(words)),
            false => Typed::Values(values),
        })
    }

    /// `exists` and `all`, which the parser has turned into folds.
    fn each(&mut self, expr: &IdedExpr, each: &ComprehensionExpr) -> Checked<Typed> {
        let unsupported = |it: &Self| {
            it.unsupported(
                expr,
                "map(), filter() and exists_one()",
                "use exists() or all() on a list of strings",
            )
        };
        let Some((all, body)) = text::quantifier(each) else {
            return Err(unsupported(self));
        };
        let list = match self.typed(&each.iter_range)? {
            Typed::Words(list) => list,
            Typed::Any(list @ (Any::Get(..) | Any::If(_))) => List::Get(list),
            other => {
                let message = format!(
                    "`{}` is {}, not a list of strings",
                    text::of(&each.iter_range),
                    other.name()
                );
                return Err(self.wrong(&each.iter_range, message, "use tags, a claim, or a list of strings"));
            }
        };
        let slot = self.variables.len();
        if slot >= super::eval::VARIABLES {
            return Err(self.wrong(
                expr,
                "too many nested exists() and all()",
                "write several simpler rules",
            ));
        }
        self.variables.push(each.iter_var.clone());
        let body = self.bool(body);
        self.variables.pop();
        Ok(Typed::Bool(Bool::Each {
            all,
            list,
            slot,
            body: Box::new(body?),
        }))
    }

    fn compare(&mut self, expr: &IdedExpr, cmp: Cmp, left: &IdedExpr, right: &IdedExpr) -> Checked<Typed> {
        let (left, right) = (self.typed(left)?, self.typed(right)?);
        let order = !matches!(cmp, Cmp::Eq | Cmp::Ne);
        let made = match (left, right) {
            (Typed::Str(left), Typed::Str(right)) => Bool::Str(cmp, left, right),
            (Typed::Int(left), Typed::Int(right)) | (Typed::Time(left), Typed::Time(right)) => {
                Bool::Int(cmp, left, right)
            }
            (Typed::Double(left), Typed::Double(right)) => Bool::Double(cmp, left, right),
            (left, right) => {
                let error = self.no_overload(expr, cmp_text(cmp), &[&left, &right]);
                let possible = match (&left, &right) {
                    (Typed::Any(Any::Null), _) | (_, Typed::Any(Any::Null)) if order => false,
                    (Typed::Any(Any::Null), other) | (other, Typed::Any(Any::Null)) => matches!(other, Typed::Any(_)),
                    (Typed::Any(_), _) | (_, Typed::Any(_)) => true,
                    (Typed::Bool(_), Typed::Bool(_)) => true,
                    (Typed::Int(_), Typed::Double(_)) | (Typed::Double(_), Typed::Int(_)) => true,
                    _ => false,
                };
                match (left.scalar(), right.scalar()) {
                    (Some(left), Some(right)) if possible => Bool::Any(cmp, Box::new((left, right))),
                    _ => return Err(error),
                }
            }
        };
        Ok(Typed::Bool(made))
    }

    fn arithmetic(&mut self, expr: &IdedExpr, op: Op, left: &IdedExpr, right: &IdedExpr) -> Checked<Typed> {
        let get = |any: Any| (any != Any::Null).then(|| Box::new(any));
        let (left, right) = (self.typed(left)?, self.typed(right)?);
        let error = self.no_overload(expr, op_text(op), &[&left, &right]);
        Ok(match (left, right) {
            (Typed::Int(left), Typed::Int(right)) => Typed::Int(Int::Op(op, Box::new((left, right)))),
            (Typed::Int(left), Typed::Any(right)) => {
                let right = Int::Get(get(right).ok_or(error)?);
                Typed::Int(Int::Op(op, Box::new((left, right))))
            }
            (Typed::Any(left), Typed::Int(right)) => {
                let left = Int::Get(get(left).ok_or(error)?);
                Typed::Int(Int::Op(op, Box::new((left, right))))
            }
            (left, right) if op != Op::Rem => {
                let sides = match (left, right) {
                    (Typed::Double(left), Typed::Double(right)) => (left, right),
                    (Typed::Double(left), Typed::Any(right)) => (left, Double::Get(get(right).ok_or(error)?)),
                    (Typed::Any(left), Typed::Double(right)) => (Double::Get(get(left).ok_or(error)?), right),
                    _ => return Err(error),
                };
                Typed::Double(Double::Op(op, Box::new(sides)))
            }
            _ => return Err(error),
        })
    }

    pub(super) fn no_overload(&self, expr: &IdedExpr, operator: &str, sides: &[&Typed]) -> Wrong {
        let names: Vec<_> = sides.iter().map(|side| side.name()).collect();
        let message = format!(
            "`{}`: `{operator}` does not go with {}",
            text::of(expr),
            names.join(" and ")
        );
        let remedy = match sides {
            [Typed::Str(_), Typed::Str(_)] => "strings are not concatenated here; compare or `switch` on each alone",
            [Typed::Int(_), Typed::Double(_)] | [Typed::Double(_), Typed::Int(_)] => "convert with int() or double()",
            [Typed::Any(_), Typed::Any(_)] => "say what they are with int() or double()",
            _ => "give both sides the same type",
        };
        self.wrong(expr, message, remedy)
    }
}

fn entry(map: Map, key: Str) -> Typed {
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

fn comparison(name: &str) -> Option<Cmp> {
    Some(match name {
        operators::EQUALS => Cmp::Eq,
        operators::NOT_EQUALS => Cmp::Ne,
        operators::LESS => Cmp::Lt,
        operators::LESS_EQUALS => Cmp::Le,
        operators::GREATER => Cmp::Gt,
        operators::GREATER_EQUALS => Cmp::Ge,
        _ => return None,
    })
}

fn cmp_text(cmp: Cmp) -> &'static str {
    match cmp {
        Cmp::Eq => "==",
        Cmp::Ne => "!=",
        Cmp::Lt => "<",
        Cmp::Le => "<=",
        Cmp::Gt => ">",
        Cmp::Ge => ">=",
    }
}

fn arithmetic(name: &str) -> Option<Op> {
    Some(match name {
        operators::ADD => Op::Add,
        operators::SUBSTRACT => Op::Sub,
        operators::MULTIPLY => Op::Mul,
        operators::DIVIDE => Op::Div,
        operators::MODULO => Op::Rem,
        _ => return None,
    })
}

fn op_text(op: Op) -> &'static str {
    match op {
        Op::Add => "+",
        Op::Sub => "-",
        Op::Mul => "*",
        Op::Div => "/",
        Op::Rem => "%",
    }
}
