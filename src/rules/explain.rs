//! Why a rule held or did not: each operand with its value, and the facts that were read.
//!
//! The idea: beside the tree that decides, a rule keeps its operands one by one with what they say, each a tree of its own.

use super::check::{Checked, Checker};
use super::eval::Scope;
use super::facts::{Facts, Value};
use super::text;
use super::tree::Any;
use super::uses::show;
use super::{Case, Rule};
use cel::common::ast::{Expr, IdedExpr, SourceInfo, operators};
use serde::Serialize;

/// What a rule made of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// Place of the rule in the list.
    pub rule: usize,
    /// Its name.
    pub name: String,
    /// Whether it held.
    pub outcome: Outcome,
    /// It held and ended the search.
    pub decided: bool,
    /// The expressions and their parts, in the order written.
    pub why: Vec<Why>,
    /// The facts it reads and their values; credentials are not shown.
    pub facts: Vec<(String, String)>,
    #[serde(skip)]
    /// The case its switch took.
    pub case: Option<Case>,
}

/// Whether a rule held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its condition is true.
    Held,
    /// Its condition is false, or its switch has no case for the value.
    DidNotHold,
    /// Its expression failed, so it did not hold.
    Error,
    /// An earlier rule had ended the search.
    NotReached,
}

/// The value of a part of an expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    /// How deep the part lies in its expression.
    pub depth: usize,
    /// What it says.
    pub source: String,
    /// What it gave, or why it failed.
    pub value: String,
}

/// A part of an expression, with its own parts.
#[derive(Debug)]
pub(super) struct Part {
    source: String,
    value: Any,
    parts: Vec<Part>,
}

impl Part {
    /// Of an expression that has been checked.
    pub(super) fn new(expr: &IdedExpr, info: &SourceInfo) -> Checked<Self> {
        let operands = match &expr.expr {
            Expr::Call(call) if call.target.is_none() => match call.func_name.as_str() {
                name @ (operators::LOGICAL_AND | operators::LOGICAL_OR) => text::chain(expr, name),
                operators::LOGICAL_NOT | operators::CONDITIONAL => call.args.iter().collect(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        let mut parts = Vec::with_capacity(operands.len());
        for operand in operands {
            parts.push(Self::new(operand, info)?);
        }
        let value = Checker::new(info).typed(expr)?.scalar().unwrap_or(Any::Null);
        Ok(Self {
            source: text::of(expr),
            value,
            parts,
        })
    }

    fn tell(&self, depth: usize, scope: &Scope<'_>, out: &mut Vec<Why>) {
        let value = match self.value.eval(scope) {
            Ok(Value::Bool(value)) => value.to_string(),
            // Only a bool cannot be a header's value.
            Ok(_) => "not a bool".to_owned(),
            Err(failure) => format!("error: {failure}"),
        };
        out.push(Why {
            depth,
            source: self.source.clone(),
            value,
        });
        for part in &self.parts {
            part.tell(depth + 1, scope, out);
        }
    }
}

pub(super) fn explain(rules: &[Rule], facts: &Facts<'_>) -> Vec<Explained> {
    let mut decided = false;
    let mut told = Vec::with_capacity(rules.len());
    for (place, rule) in rules.iter().enumerate() {
        let mut explained = Explained {
            rule: place,
            name: rule.name.to_string(),
            outcome: Outcome::NotReached,
            decided: false,
            why: Vec::new(),
            facts: Vec::new(),
            case: None,
        };
        if !decided {
            fill(&mut explained, rule, facts);
            decided = explained.decided;
        }
        told.push(explained);
    }
    told
}

fn fill(explained: &mut Explained, rule: &Rule, facts: &Facts<'_>) {
    let scope = Scope::new(facts);
    if let Some(shown) = &rule.shown {
        shown.tell(0, &scope, &mut explained.why);
    }
    explained.facts = rule.reads.iter().filter_map(|read| read.shown(facts)).collect();
    let held = rule.when.eval(&scope).and_then(|held| match &rule.choice {
        Some(choice) if held => {
            let value = match choice.on.eval(&scope) {
                Ok(_) if choice.secret => "(hidden)".to_owned(),
                Ok(value) => show(Value::Str(value)),
                Err(failure) => format!("error: {failure}"),
            };
            explained.why.push(Why {
                depth: 0,
                source: choice.source.clone(),
                value,
            });
            choice.of(&scope)
        }
        _ => Ok(held.then_some(Case::None)),
    });
    explained.outcome = match held {
        Ok(Some(case)) => {
            explained.case = Some(case);
            Outcome::Held
        }
        Ok(None) => Outcome::DidNotHold,
        Err(_) => Outcome::Error,
    };
    explained.decided = explained.outcome == Outcome::Held && rule.ends;
}
