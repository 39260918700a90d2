//! The operators: which node an operator becomes by the types of its operands.

use super::check::{Checked, Checker, Typed, Wrong, entry};
use super::text;
use super::tree::{Any, Bool, Cmp, Double, Int, List, Op, Str};
use cel::common::ast::{ComprehensionExpr, IdedExpr, operators};

impl Checker<'_> {
    pub(super) fn conditional(&mut self, condition: &IdedExpr, yes: &IdedExpr, no: &IdedExpr) -> Checked<Typed> {
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

    pub(super) fn index(&mut self, expr: &IdedExpr, map: &IdedExpr, key: &IdedExpr) -> Checked<Typed> {
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

    pub(super) fn contained(&mut self, expr: &IdedExpr, part: &IdedExpr, list: &IdedExpr) -> Checked<Typed> {
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

    pub(super) fn list(&mut self, elements: &[IdedExpr]) -> Checked<Typed> {
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
    pub(super) fn each(&mut self, expr: &IdedExpr, each: &ComprehensionExpr) -> Checked<Typed> {
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

    pub(super) fn compare(&mut self, expr: &IdedExpr, cmp: Cmp, left: &IdedExpr, right: &IdedExpr) -> Checked<Typed> {
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

    pub(super) fn arithmetic(&mut self, expr: &IdedExpr, op: Op, left: &IdedExpr, right: &IdedExpr) -> Checked<Typed> {
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

pub(super) fn comparison(name: &str) -> Option<Cmp> {
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

pub(super) fn arithmetic(name: &str) -> Option<Op> {
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
