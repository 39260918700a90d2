//! Routing rules: ordered conditions on a request, written in CEL, and which of them decide.
//!
//! Not what follows from a decision: models, parameters and refusals are the gateway's. It knows rules by their place in
//! the list. The idea: everything that can be wrong with a rule is found at load (syntax, names, types, patterns, zones,
//! conditions that never hold, rules that are never reached); what is left is a small typed tree per rule, evaluated over
//! borrowed facts without allocating.
//!
//! An expression that fails on a request (a key that is not there, a value of another type) does not hold, as in CEL;
//! `&&` and `||` are decided by their other operands where these suffice.

mod calls;
mod check;
mod clock;
mod eval;
mod explain;
mod facts;
mod operators;
mod overlap;
mod text;
mod tree;
mod uses;

#[cfg(test)]
mod tests;

pub use self::explain::{Explained, Outcome, Why};
pub use self::facts::{Facts, Lookup, Needs, Nothing, Strings, Value};
pub use self::tree::Failure;
pub use self::uses::Uses;

use self::check::{Checker, Typed, Wrong};
use self::eval::Scope;
use self::explain::Part as Shown;
use self::tree::{Bool, Str};
use self::uses::Read;
use cel::parser::{ParseErrors, Parser};

/// Longest expression, in bytes.
pub const LONGEST: usize = 4096;

/// Stack of the thread that compiles, in bytes.
const STACK: usize = 32 << 20;

/// A rule as written.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    /// Its name, for messages.
    pub name: &'a str,
    /// The condition; `None` holds always.
    pub when: Option<&'a str>,
    /// It ends the search when it holds: it has `to`, `switch` or `refuse`.
    pub ends: bool,
    /// Where to by a value.
    pub switch: Option<Switch<'a>>,
}

/// `switch` as written.
#[derive(Debug, Clone)]
pub struct Switch<'a> {
    /// The expression; gives a string.
    pub on: &'a str,
    /// The values that have a case, in an order of the caller's.
    pub cases: Vec<&'a str>,
    /// There is a case for every other value.
    pub otherwise: bool,
}

/// What facts can be, where that is known: rules that ask for anything else never hold. Empty: anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// All values of `operation`.
    pub operations: &'a [&'a str],
    /// All values of `dialect`.
    pub dialects: &'a [&'a str],
}

/// Which expression of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `when`
    When,
    /// `switch.on`
    On,
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Place of the rule in the list.
    pub rule: usize,
    /// Which expression.
    pub part: Part,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// Where in the expression, in bytes.
    pub offset: usize,
}

/// A rule that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Place of the rule in the list.
    pub rule: usize,
    /// Which case of its switch.
    pub case: Case,
    /// It ends the search: this is the last step.
    pub ends: bool,
}

/// The case a switch took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// The rule has no switch.
    None,
    /// The one at this place of [`Switch::cases`].
    At(usize),
    /// `otherwise`.
    Otherwise,
}

/// Compiled rules.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    uses: Uses,
}

#[derive(Debug)]
struct Rule {
    name: Box<str>,
    when: Bool,
    ends: bool,
    choice: Option<Choice>,
    reads: Vec<Read>,
    shown: Option<Shown>,
}

#[derive(Debug)]
struct Choice {
    on: Str,
    source: String,
    /// Sorted by value.
    cases: Vec<(Box<str>, usize)>,
    otherwise: bool,
    /// What `on` reads must not be shown.
    secret: bool,
}

impl Choice {
    fn of<'a>(&'a self, scope: &Scope<'a>) -> Result<Option<Case>, Failure> {
        let value = self.on.eval(scope)?;
        let found = self.cases.binary_search_by(|(case, _)| (**case).cmp(value)).ok();
        let case = found.and_then(|at| self.cases.get(at)).map(|(_, case)| Case::At(*case));
        Ok(case.or(self.otherwise.then_some(Case::Otherwise)))
    }
}

impl Rules {
    /// Check and compile rules; every fault of every rule is told.
    pub fn compile(sources: &[Source<'_>], known: &Known<'_>) -> Result<Self, Vec<Fault>> {
        if sources.is_empty() {
            return Ok(Self::default());
        }
        // The parser recurses through a dozen frames for a bracket: it gets a stack that the deepest expression fits on.
        std::thread::scope(|scope| {
            let roomy = std::thread::Builder::new().stack_size(STACK);
            match roomy.spawn_scoped(scope, || Self::compile_here(sources, known)) {
                Ok(running) => running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(_) => Self::compile_here(sources, known),
            }
        })
    }

    fn compile_here(sources: &[Source<'_>], known: &Known<'_>) -> Result<Self, Vec<Fault>> {
        let (mut rules, mut places, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        for (place, source) in sources.iter().enumerate() {
            match compile(place, source) {
                Ok(rule) => {
                    rules.push(rule);
                    places.push(place);
                }
                Err(found) => faults.extend(found),
            }
        }
        for mut fault in overlap::faults(&rules, known) {
            // A rule that did not compile is not in `rules`.
            fault.rule = places.get(fault.rule).copied().unwrap_or(fault.rule);
            faults.push(fault);
        }
        if !faults.is_empty() {
            faults.sort_by_key(|fault| (fault.rule, fault.part == Part::On));
            return Err(faults);
        }
        let mut uses = Uses::default();
        for read in rules.iter().flat_map(|rule| &rule.reads) {
            uses.add(read);
        }
        Ok(Self { rules, uses })
    }

    /// Which costly facts any rule reads.
    pub fn uses(&self) -> Uses {
        self.uses
    }

    /// Whether there is no rule at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules that hold, in order, the last of them the one that ends the search, if any does.
    pub fn decide(&self, facts: &Facts<'_>, mut out: impl FnMut(Step)) {
        let scope = Scope::new(facts);
        for (rule, compiled) in self.rules.iter().enumerate() {
            if compiled.when.eval(&scope) != Ok(true) {
                continue;
            }
            let case = match &compiled.choice {
                None => Case::None,
                Some(choice) => match choice.of(&scope) {
                    Ok(Some(case)) => case,
                    _ => continue,
                },
            };
            let ends = compiled.ends;
            out(Step { rule, case, ends });
            if ends {
                return;
            }
        }
    }

    /// What each rule made of a request and why. Slow: for operators.
    pub fn explain(&self, facts: &Facts<'_>) -> Vec<Explained> {
        explain::explain(&self.rules, facts)
    }
}

fn compile(place: usize, source: &Source<'_>) -> Result<Rule, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut note = |part, wrong: Wrong| {
        faults.push(Fault {
            rule: place,
            part,
            message: format!("rule `{}`: {}", source.name, wrong.message),
            remedy: wrong.remedy,
            offset: wrong.offset,
        });
    };
    let mut reads = Vec::new();
    let (when, shown) = match source.when.map(|text| condition(text, &mut reads)) {
        None => (Bool::Const(true), None),
        Some(Ok((when, shown))) => (when, Some(shown)),
        Some(Err(wrong)) => {
            note(Part::When, wrong);
            (Bool::Const(false), None)
        }
    };
    let choice = source
        .switch
        .as_ref()
        .and_then(|switch| choice(switch, &mut reads).map_err(|wrong| note(Part::On, wrong)).ok());
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Rule {
        name: source.name.into(),
        when,
        ends: source.ends || source.switch.is_some(),
        choice,
        reads,
        shown,
    })
}

fn condition(text: &str, reads: &mut Vec<Read>) -> Result<(Bool, Shown), Wrong> {
    let (expr, info) = parse(text)?;
    let mut checker = Checker::new(&info);
    let when = checker.bool(&expr)?;
    reads.append(&mut checker.reads);
    let shown = Shown::new(&expr, &info)?;
    Ok((when, shown))
}

fn choice(switch: &Switch<'_>, reads: &mut Vec<Read>) -> Result<Choice, Wrong> {
    let (expr, info) = parse(switch.on)?;
    let mut checker = Checker::new(&info);
    let on = match checker.typed(&expr)? {
        Typed::Str(on) if !checker.reads.is_empty() => on,
        Typed::Any(on) if !checker.reads.is_empty() => Str::Get(Box::new(on)),
        Typed::Str(_) => {
            return Err(checker.wrong(
                &expr,
                "`switch.on` is the same for every request",
                "name a fact, as team",
            ));
        }
        other => {
            let message = format!("`switch.on` gives {}, not a string", other.name());
            return Err(checker.wrong(&expr, message, "give a string, as headers[\"x-region\"]"));
        }
    };
    let mut cases: Vec<(Box<str>, usize)> = Vec::new();
    for (place, case) in switch.cases.iter().enumerate() {
        cases.push(((*case).into(), place));
    }
    cases.sort();
    let secret = checker.reads.iter().any(Read::secret);
    for read in checker.reads {
        if !reads.contains(&read) {
            reads.push(read);
        }
    }
    Ok(Choice {
        on,
        source: text::of(&expr),
        cases,
        otherwise: switch.otherwise,
        secret,
    })
}

fn parse(text: &str) -> Result<(cel::IdedExpr, cel::common::ast::SourceInfo), Wrong> {
    if text.len() > LONGEST {
        return Err(Wrong {
            offset: LONGEST,
            message: format!("it is longer than {LONGEST} bytes"),
            remedy: "write several simpler rules".to_owned(),
        });
    }
    if let Some(offset) = text::too_deep(text) {
        return Err(Wrong {
            offset,
            message: "it is nested too deeply".to_owned(),
            remedy: "write several simpler rules".to_owned(),
        });
    }
    Parser::new()
        .max_recursion_depth(96)
        .parse_with_source_info(text)
        .map_err(|errors| unparsed(text, &errors))
}

/// The first of the parser's errors, in our words where it is a common one.
fn unparsed(text: &str, errors: &ParseErrors) -> Wrong {
    let Some(first) = errors.errors.first() else {
        return Wrong {
            offset: 0,
            message: "it is not a CEL expression".to_owned(),
            remedy: String::new(),
        };
    };
    let (line, column) = (first.pos.0 - 1, first.pos.1 - 1);
    let before: usize = text
        .split_inclusive('\n')
        .take(usize::try_from(line).unwrap_or(0))
        .map(str::len)
        .sum();
    let rest = text.get(before..).unwrap_or_default();
    let inside = rest
        .char_indices()
        .nth(usize::try_from(column).unwrap_or(0))
        .map_or(rest.len(), |(at, _)| at);
    let said = first.msg.trim_start_matches("Syntax error: ");
    let said = said.split(" expecting ").next().unwrap_or(said);
    let (message, remedy) = if said.contains("has() macro") {
        let message = "has() takes a member of a map".to_owned();
        (message, "write has(metadata.x), or has(request.max_tokens)".to_owned())
    } else if said.contains("at: '= '") || said.contains("at: '='") {
        ("a single `=` compares nothing".to_owned(), "write ==".to_owned())
    } else if said.contains("'<EOF>'") {
        (
            "it ends too early".to_owned(),
            "complete or remove the last part".to_owned(),
        )
    } else if said.contains("at: '&") || said.contains("at: '|") {
        (
            "a single `&` or `|` is no operator".to_owned(),
            "write && or ||".to_owned(),
        )
    } else {
        let remedy = "see the CEL language: comparisons joined by && and ||, strings in quotes".to_owned();
        (format!("it is not a CEL expression: {said}"), remedy)
    };
    Wrong {
        offset: before + inside,
        message,
        remedy,
    }
}
