//! What a checked expression gives over the facts of a request, without allocating.
//!
//! CEL's treatment of errors: an operand that fails makes `&&` and `||` fail only when the others do not decide them,
//! everything else fails with its operands.

use super::facts::{Facts, Strings, Value};
use super::tree::{Any, Bool, Cmp, Double, Failure, Find, Int, List, Op, Str};
use std::cmp::Ordering;

/// How deep `exists` and `all` may be nested.
pub(super) const VARIABLES: usize = 4;

/// The facts, and the variables of `exists` and `all`.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    facts: &'a Facts<'a>,
    variables: [&'a str; VARIABLES],
}

impl<'a> Scope<'a> {
    pub(super) fn new(facts: &'a Facts<'a>) -> Self {
        Self {
            facts,
            variables: [""; VARIABLES],
        }
    }
}

type Given<T> = Result<T, Failure>;

impl Bool {
    pub(super) fn eval<'a>(&'a self, scope: &Scope<'a>) -> Given<bool> {
        Ok(match self {
            Self::Const(value) => *value,
            Self::Stream => scope.facts.stream,
            Self::Need(need) => need.of(scope.facts.needs),
            Self::Has(map, name) => map.of(scope.facts).value(name).is_some(),
            Self::HasMaxTokens => scope.facts.max_tokens.is_some(),
            Self::And(parts) => return until(false, parts.iter().map(|part| part.eval(scope))),
            Self::Or(parts) => return until(true, parts.iter().map(|part| part.eval(scope))),
            Self::Not(part) => !part.eval(scope)?,
            Self::If(parts) => {
                let chosen = if parts.0.eval(scope)? { &parts.1 } else { &parts.2 };
                return chosen.eval(scope);
            }
            Self::Str(cmp, left, right) => words(*cmp, left.eval(scope)?, right.eval(scope)?),
            Self::Int(cmp, left, right) => ordered(*cmp, Some(left.eval(scope)?.cmp(&right.eval(scope)?))),
            Self::Double(cmp, left, right) => ordered(*cmp, left.eval(scope)?.partial_cmp(&right.eval(scope)?)),
            Self::Any(cmp, sides) => return compare(*cmp, sides.0.eval(scope)?, sides.1.eval(scope)?),
            Self::InWords(part, list) => {
                let word = part.eval(scope)?;
                list.iter().any(|item| **item == *word)
            }
            Self::InValues(part, list) => {
                let value = part.eval(scope)?;
                let mut found = false;
                for item in list {
                    found |= equal(value, item.eval(scope)?);
                }
                found
            }
            Self::InTags(part) => holds(scope.facts.tags, part.eval(scope)?),
            Self::InMap(map, part) => map.of(scope.facts).value(part.eval(scope)?).is_some(),
            Self::InAny(part, list) => match (part.eval(scope)?, list.eval(scope)?) {
                (Value::Str(word), Value::List(list)) => holds(list, word),
                (_, Value::List(_)) => false,
                _ => return Err(Failure::WrongType),
            },
            Self::Find(find, text, part) => found(*find, text.eval(scope)?, part.eval(scope)?),
            Self::Matches(text, pattern) => pattern.0.is_match(text.eval(scope)?),
            Self::Within(window) => window.holds(scope.facts.now),
            Self::Each { all, list, slot, body } => return each(*all, list, *slot, body, scope),
            Self::Get(any) => match any.eval(scope)? {
                Value::Bool(value) => value,
                _ => return Err(Failure::WrongType),
            },
        })
    }
}

/// `&&` (until false) and `||` (until true).
fn until(decides: bool, parts: impl Iterator<Item = Given<bool>>) -> Given<bool> {
    let mut failure = None;
    for part in parts {
        match part {
            Ok(value) if value == decides => return Ok(decides),
            Ok(_) => {}
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(Ok(!decides), Err)
}

fn each<'a>(all: bool, list: &'a List, slot: usize, body: &'a Bool, scope: &Scope<'a>) -> Given<bool> {
    let with = |item: &'a str| {
        let mut inner = *scope;
        if let Some(variable) = inner.variables.get_mut(slot) {
            *variable = item;
        }
        body.eval(&inner)
    };
    let listed = match list {
        List::Words(words) => return until(!all, words.iter().map(|word| with(word))),
        List::Tags => scope.facts.tags,
        List::Get(any) => match any.eval(scope)? {
            Value::List(list) => list,
            _ => return Err(Failure::WrongType),
        },
    };
    let items = (0..listed.count()).filter_map(|at| listed.item(at));
    until(!all, items.map(with))
}

fn holds(list: &dyn Strings, word: &str) -> bool {
    (0..list.count()).any(|at| list.item(at) == Some(word))
}

pub(super) fn found(find: Find, text: &str, part: &str) -> bool {
    match find {
        Find::Starts => text.starts_with(part),
        Find::Ends => text.ends_with(part),
        Find::Contains => text.contains(part),
    }
}

#[inline]
fn words(cmp: Cmp, left: &str, right: &str) -> bool {
    match cmp {
        Cmp::Eq => left == right,
        Cmp::Ne => left != right,
        // UTF-8 sorts as its code points do.
        _ => ordered(cmp, Some(left.cmp(right))),
    }
}

/// What a comparison says of an order; nothing is ordered beside NaN.
pub(super) fn ordered(cmp: Cmp, order: Option<Ordering>) -> bool {
    match (cmp, order) {
        (Cmp::Ne, order) => order != Some(Ordering::Equal),
        (_, None) => false,
        (Cmp::Eq, Some(order)) => order.is_eq(),
        (Cmp::Lt, Some(order)) => order.is_lt(),
        (Cmp::Le, Some(order)) => order.is_le(),
        (Cmp::Gt, Some(order)) => order.is_gt(),
        (Cmp::Ge, Some(order)) => order.is_ge(),
    }
}

fn compare(cmp: Cmp, left: Value<'_>, right: Value<'_>) -> Given<bool> {
    match cmp {
        Cmp::Eq => return Ok(equal(left, right)),
        Cmp::Ne => return Ok(!equal(left, right)),
        _ => {}
    }
    let order = match (left, right) {
        (Value::Str(left), Value::Str(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(&right)),
        _ => numbers(left, right).ok_or(Failure::WrongType)?,
    };
    Ok(ordered(cmp, order))
}

/// The order of two numbers; the outer `None` when they are not two numbers.
#[allow(clippy::option_option)]
fn numbers(left: Value<'_>, right: Value<'_>) -> Option<Option<Ordering>> {
    Some(match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(&right)),
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(&right),
        (Value::Int(left), Value::Double(right)) => mixed(left, right),
        (Value::Double(left), Value::Int(right)) => mixed(right, left).map(Ordering::reverse),
        _ => return None,
    })
}

/// An int beside a double, exactly.
#[allow(clippy::cast_possible_truncation)]
fn mixed(int: i64, double: f64) -> Option<Ordering> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        return None;
    }
    if double >= LIMIT {
        return Some(Ordering::Less);
    }
    if double < -LIMIT {
        return Some(Ordering::Greater);
    }
    let whole = double.trunc();
    match int.cmp(&(whole as i64)) {
        Ordering::Equal => 0.0.partial_cmp(&(double - whole)),
        order => Some(order),
    }
}

fn equal(left: Value<'_>, right: Value<'_>) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Str(left), Value::Str(right)) => left == right,
        (Value::List(left), Value::List(right)) => {
            left.count() == right.count() && (0..left.count()).all(|at| left.item(at) == right.item(at))
        }
        _ => numbers(left, right) == Some(Some(Ordering::Equal)),
    }
}

impl Str {
    #[inline]
    pub(super) fn eval<'a>(&'a self, scope: &Scope<'a>) -> Given<&'a str> {
        match self {
            Self::Lit(word) => Ok(word),
            Self::Word(word) => Ok(word.of(scope.facts)),
            Self::Header(name) => match scope.facts.headers.value(name.eval(scope)?) {
                Some(Value::Str(value)) => Ok(value),
                Some(_) => Err(Failure::WrongType),
                None => Err(Failure::NoKey),
            },
            Self::Tag(at) => usize::try_from(at.eval(scope)?)
                .ok()
                .and_then(|at| scope.facts.tags.item(at))
                .ok_or(Failure::OutOfList),
            Self::Var(slot) => scope.variables.get(*slot).copied().ok_or(Failure::OutOfList),
            Self::If(parts) => {
                let chosen = if parts.0.eval(scope)? { &parts.1 } else { &parts.2 };
                chosen.eval(scope)
            }
            Self::Get(any) => match any.eval(scope)? {
                Value::Str(value) => Ok(value),
                _ => Err(Failure::WrongType),
            },
        }
    }
}

impl Int {
    pub(super) fn eval<'a>(&'a self, scope: &Scope<'a>) -> Given<i64> {
        match self {
            Self::Lit(value) => Ok(*value),
            Self::Tokens => Ok(counted(scope.facts.tokens)),
            Self::MaxTokens => scope.facts.max_tokens.map(counted).ok_or(Failure::NoMaxTokens),
            Self::Now => Ok(scope.facts.now),
            Self::Clock(field, zone) => Ok(field.of(zone, scope.facts.now)),
            Self::Op(op, sides) => whole(*op, sides.0.eval(scope)?, sides.1.eval(scope)?),
            Self::Neg(part) => part.eval(scope)?.checked_neg().ok_or(Failure::Overflow),
            Self::Size(part) => Ok(long(part.eval(scope)?.chars().count())),
            Self::Tags => Ok(long(scope.facts.tags.count())),
            Self::SizeOf(any) => match any.eval(scope)? {
                Value::Str(value) => Ok(long(value.chars().count())),
                Value::List(list) => Ok(long(list.count())),
                _ => Err(Failure::WrongType),
            },
            Self::OfDouble(part) => truncated(part.eval(scope)?),
            Self::OfStr(part) => part.eval(scope)?.parse().map_err(|_| Failure::NotANumber),
            Self::OfAny(any) => match any.eval(scope)? {
                Value::Int(value) => Ok(value),
                Value::Double(value) => truncated(value),
                Value::Str(value) => value.parse().map_err(|_| Failure::NotANumber),
                _ => Err(Failure::WrongType),
            },
            Self::If(parts) => {
                let chosen = if parts.0.eval(scope)? { &parts.1 } else { &parts.2 };
                chosen.eval(scope)
            }
            Self::Get(any) => match any.eval(scope)? {
                Value::Int(value) => Ok(value),
                _ => Err(Failure::WrongType),
            },
        }
    }
}

fn counted(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn long(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[allow(clippy::cast_possible_truncation)]
fn truncated(value: f64) -> Given<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if value > -LIMIT && value < LIMIT {
        Ok(value as i64)
    } else {
        Err(Failure::Overflow)
    }
}

fn whole(op: Op, left: i64, right: i64) -> Given<i64> {
    if right == 0 && matches!(op, Op::Div | Op::Rem) {
        return Err(Failure::DivisionByZero);
    }
    match op {
        Op::Add => left.checked_add(right),
        Op::Sub => left.checked_sub(right),
        Op::Mul => left.checked_mul(right),
        Op::Div => left.checked_div(right),
        Op::Rem => left.checked_rem(right),
    }
    .ok_or(Failure::Overflow)
}

impl Double {
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn eval<'a>(&'a self, scope: &Scope<'a>) -> Given<f64> {
        match self {
            Self::Lit(value) => Ok(*value),
            Self::Op(op, sides) => {
                let (left, right) = (sides.0.eval(scope)?, sides.1.eval(scope)?);
                Ok(match op {
                    Op::Add => left + right,
                    Op::Sub => left - right,
                    Op::Mul => left * right,
                    Op::Div => left / right,
                    Op::Rem => left % right,
                })
            }
            Self::Neg(part) => Ok(-part.eval(scope)?),
            Self::OfInt(part) => Ok(part.eval(scope)? as f64),
            Self::OfStr(part) => part.eval(scope)?.parse().map_err(|_| Failure::NotANumber),
            Self::OfAny(any) => match any.eval(scope)? {
                Value::Int(value) => Ok(value as f64),
                Value::Double(value) => Ok(value),
                Value::Str(value) => value.parse().map_err(|_| Failure::NotANumber),
                _ => Err(Failure::WrongType),
            },
            Self::If(parts) => {
                let chosen = if parts.0.eval(scope)? { &parts.1 } else { &parts.2 };
                chosen.eval(scope)
            }
            Self::Get(any) => match any.eval(scope)? {
                Value::Double(value) => Ok(value),
                _ => Err(Failure::WrongType),
            },
        }
    }
}

impl Any {
    pub(super) fn eval<'a>(&'a self, scope: &Scope<'a>) -> Given<Value<'a>> {
        match self {
            Self::Null => Ok(Value::Null),
            Self::Bool(part) => part.eval(scope).map(Value::Bool),
            Self::Int(part) => part.eval(scope).map(Value::Int),
            Self::Double(part) => part.eval(scope).map(Value::Double),
            Self::Str(part) => part.eval(scope).map(Value::Str),
            Self::Get(map, name) => map.of(scope.facts).value(name.eval(scope)?).ok_or(Failure::NoKey),
            Self::If(parts) => {
                let chosen = if parts.0.eval(scope)? { &parts.1 } else { &parts.2 };
                chosen.eval(scope)
            }
        }
    }
}
