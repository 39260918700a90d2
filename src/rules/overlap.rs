//! Rules that can never hold, and rules that are never reached because an earlier one always decides before them.
//!
//! Conservative: what is reported is certain, what is not reported may still be so. The idea: a condition that is true is
//! one of a few conjunctions of atoms; an atom bounds a string to a set, an int to a range, or is opaque and equal only to
//! itself. A conjunction whose bounds are empty never holds; a rule is never reached when an earlier one that ends the
//! search follows from each of its conjunctions.

use super::eval::found;
use super::facts::{Map, Word};
use super::tree::{Any, Bool, Cmp, Int, Str};
use super::{Fault, Known, Part, Rule};

/// Most conjunctions one condition is taken apart into.
const MOST: usize = 32;

pub(super) fn faults(rules: &[Rule], known: &Known<'_>) -> Vec<Fault> {
    let mut faults = Vec::new();
    // The rules that can hold, with what is known when they do.
    let mut alive: Vec<(&Rule, Vec<Bounds<'_>>)> = Vec::new();
    for (place, rule) in rules.iter().enumerate() {
        let mut fault = |message: String, remedy: String| {
            faults.push(Fault {
                rule: place,
                part: Part::When,
                message,
                remedy,
                offset: 0,
            });
        };
        let (mut ways, mut why) = (Vec::new(), "it is always false".to_owned());
        for atoms in ways_to(&rule.when, true) {
            match Bounds::of(&atoms, known) {
                Ok(bounds) => ways.push(bounds),
                Err(contradiction) => why = contradiction,
            }
        }
        if ways.is_empty() {
            let remedy = "mend its condition or remove the rule".to_owned();
            fault(format!("rule `{}` never holds: {why}", rule.name), remedy);
            continue;
        }
        let before = alive
            .iter()
            .map(|(earlier, _)| *earlier)
            .find(|earlier| decides(earlier) && ways.iter().all(|bounds| bounds.imply(&earlier.when, true)));
        match before {
            Some(earlier) => fault(
                format!(
                    "rule `{}` is never reached: whenever it holds, the earlier rule `{}` holds and decides",
                    rule.name, earlier.name
                ),
                format!("move `{}` before `{}`, or remove it", rule.name, earlier.name),
            ),
            None => alive.push((rule, ways)),
        }
    }
    faults
}

/// Whether a rule ends the search whenever its condition holds.
fn decides(rule: &Rule) -> bool {
    rule.ends
        && rule.choice.as_ref().is_none_or(|choice| {
            // A value that may be missing lets the search go on.
            choice.otherwise && matches!(choice.on, Str::Word(_))
        })
}

/// A part of a condition that is not taken apart, and what it gives.
type Atom<'t> = (&'t Bool, bool);

/// The conjunctions of atoms of which one holds exactly when `node` gives `value`. Errors need no care: by CEL's rules
/// `&&` is false, and `||` true, exactly when one operand is.
fn ways_to(node: &Bool, value: bool) -> Vec<Vec<Atom<'_>>> {
    let ways = match (node, value) {
        (Bool::Const(constant), _) if *constant == value => vec![Vec::new()],
        (Bool::Const(_), _) => Vec::new(),
        (Bool::Not(part), _) => ways_to(part, !value),
        (Bool::And(parts), true) | (Bool::Or(parts), false) => {
            let mut ways = vec![Vec::new()];
            for part in parts {
                ways = product(&ways, &ways_to(part, value));
                if ways.len() > MOST {
                    break;
                }
            }
            ways
        }
        (Bool::And(parts), false) | (Bool::Or(parts), true) => {
            parts.iter().flat_map(|part| ways_to(part, value)).collect()
        }
        (Bool::If(parts), _) if plain(&parts.0) => {
            let mut ways = product(&ways_to(&parts.0, true), &ways_to(&parts.1, value));
            ways.extend(product(&ways_to(&parts.0, false), &ways_to(&parts.2, value)));
            ways
        }
        _ => vec![vec![(node, value)]],
    };
    if ways.len() > MOST {
        vec![vec![(node, value)]]
    } else {
        ways
    }
}

/// Whether a condition holds no other choice: one that does is looked at twice on each level.
fn plain(node: &Bool) -> bool {
    match node {
        Bool::If(_) => false,
        Bool::And(parts) | Bool::Or(parts) => parts.iter().all(plain),
        Bool::Not(part) => plain(part),
        _ => true,
    }
}

fn product<'t>(left: &[Vec<Atom<'t>>], right: &[Vec<Atom<'t>>]) -> Vec<Vec<Atom<'t>>> {
    let mut ways = Vec::new();
    for first in left {
        for second in right {
            ways.push(first.iter().chain(second).copied().collect());
            if ways.len() > MOST {
                return ways;
            }
        }
    }
    ways
}

/// What an atom bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Subject<'t> {
    Str(&'t Str),
    Any(&'t Any),
}

impl<'t> Subject<'t> {
    fn str(part: &'t Str) -> Self {
        match part {
            Str::Get(any) => Self::Any(any),
            part => Self::Str(part),
        }
    }

    fn any(part: &'t Any) -> Self {
        match part {
            Any::Str(part) => Self::str(part),
            part => Self::Any(part),
        }
    }

    fn name(self) -> String {
        match self {
            Self::Str(Str::Word(word)) => format!("`{}`", word.name()),
            Self::Str(Str::Header(name)) => match &**name {
                Str::Lit(name) => format!("`headers[{name:?}]`"),
                _ => "a header".to_owned(),
            },
            Self::Any(Any::Get(map, Str::Lit(name))) => format!("`{}[{name:?}]`", map.name()),
            _ => "a value".to_owned(),
        }
    }

    /// Whether it reads this entry, so that the entry is there when this gave a value.
    fn reads(self, map: Map, name: &str) -> bool {
        match self {
            Self::Str(Str::Header(key)) => map == Map::Headers && matches!(&**key, Str::Lit(key) if **key == *name),
            Self::Any(Any::Get(own, Str::Lit(key))) => *own == map && **key == *name,
            _ => false,
        }
    }
}

/// An atom, read.
enum Reading<'t> {
    /// The subject is (not) one of the words.
    Words(Subject<'t>, Vec<&'t str>, bool),
    /// The subject lies in the range.
    Range(&'t Int, i64, i64),
    Opaque,
}

fn read<'t>((node, value): Atom<'t>) -> Reading<'t> {
    match node {
        Bool::Str(cmp @ (Cmp::Eq | Cmp::Ne), subject, Str::Lit(word))
        | Bool::Str(cmp @ (Cmp::Eq | Cmp::Ne), Str::Lit(word), subject) => {
            Reading::Words(Subject::str(subject), vec![&**word], (*cmp == Cmp::Eq) == value)
        }
        Bool::Any(cmp @ (Cmp::Eq | Cmp::Ne), sides) => match &**sides {
            (subject, Any::Str(Str::Lit(word))) | (Any::Str(Str::Lit(word)), subject) => {
                Reading::Words(Subject::any(subject), vec![&**word], (*cmp == Cmp::Eq) == value)
            }
            _ => Reading::Opaque,
        },
        Bool::InWords(subject, words) => {
            Reading::Words(Subject::str(subject), words.iter().map(|word| &**word).collect(), value)
        }
        Bool::InValues(subject, values) => {
            let words = values.iter().map(|value| match value {
                Any::Str(Str::Lit(word)) => Some(&**word),
                _ => None,
            });
            match words.collect::<Option<Vec<_>>>() {
                Some(words) => Reading::Words(Subject::any(subject), words, value),
                None => Reading::Opaque,
            }
        }
        Bool::Int(cmp, subject, Int::Lit(limit)) => range(*cmp, subject, *limit, value),
        Bool::Int(cmp, Int::Lit(limit), subject) => range(cmp.mirrored(), subject, *limit, value),
        _ => Reading::Opaque,
    }
}

fn range(cmp: Cmp, subject: &Int, limit: i64, value: bool) -> Reading<'_> {
    let cmp = if value { cmp } else { cmp.negated() };
    let (low, high) = match cmp {
        Cmp::Eq => (Some(limit), Some(limit)),
        Cmp::Lt => (Some(i64::MIN), limit.checked_sub(1)),
        Cmp::Le => (Some(i64::MIN), Some(limit)),
        Cmp::Gt => (limit.checked_add(1), Some(i64::MAX)),
        Cmp::Ge => (Some(limit), Some(i64::MAX)),
        Cmp::Ne => return Reading::Opaque,
    };
    match (low, high) {
        (Some(low), Some(high)) => Reading::Range(subject, low, high),
        _ => Reading::Range(subject, i64::MAX, i64::MIN),
    }
}

/// What an int can be at all, and whether it is always there.
fn range_of(subject: &Int) -> (i64, i64, bool) {
    match subject {
        Int::Tokens | Int::Tags => (0, i64::MAX, true),
        Int::MaxTokens => (0, i64::MAX, false),
        Int::Clock(field, _) => {
            let (low, high) = field.range();
            (low, high, true)
        }
        Int::Now => (i64::MIN, i64::MAX, true),
        Int::Size(part) => (0, i64::MAX, matches!(**part, Str::Word(_))),
        _ => (i64::MIN, i64::MAX, false),
    }
}

/// A string: the words it can be (`None`: any) but these.
#[derive(Debug)]
struct Words<'t> {
    subject: Subject<'t>,
    allowed: Option<Vec<&'t str>>,
    denied: Vec<&'t str>,
}

/// What is known when a conjunction holds.
#[derive(Debug)]
struct Bounds<'t> {
    words: Vec<Words<'t>>,
    ranges: Vec<(&'t Int, i64, i64)>,
    opaque: Vec<Atom<'t>>,
    known: Known<'t>,
}

impl<'t> Bounds<'t> {
    /// Of a conjunction; the error says why it never holds.
    fn of(atoms: &[Atom<'t>], known: &Known<'t>) -> Result<Self, String> {
        let mut bounds = Self {
            words: Vec::new(),
            ranges: Vec::new(),
            opaque: Vec::new(),
            known: *known,
        };
        for &atom in atoms {
            match read(atom) {
                Reading::Words(subject, words, among) => bounds.bound(subject, &words, among),
                Reading::Range(subject, low, high) => bounds.limit(subject, low, high)?,
                Reading::Opaque => {
                    if bounds.opaque.contains(&(atom.0, !atom.1)) {
                        return Err("a condition and its opposite are both asked for".to_owned());
                    }
                    bounds.opaque.push(atom);
                }
            }
        }
        let opaque = std::mem::take(&mut bounds.opaque);
        for entry in &mut bounds.words {
            if let Some(allowed) = &mut entry.allowed {
                let before = allowed.join(", ");
                allowed.retain(|word| {
                    !entry.denied.contains(word)
                        && opaque
                            .iter()
                            .all(|atom| asked(atom.0, entry.subject, word).is_none_or(|gives| gives == atom.1))
                });
                if allowed.is_empty() {
                    let name = entry.subject.name();
                    return Err(match before.as_str() {
                        "" => format!("no value of {name} fits all its conditions"),
                        _ => format!("{name} can only be {before} there, which other conditions exclude"),
                    });
                }
            }
        }
        bounds.opaque = opaque;
        Ok(bounds)
    }

    fn bound(&mut self, subject: Subject<'t>, words: &[&'t str], among: bool) {
        let place = match self.words.iter().position(|entry| entry.subject == subject) {
            Some(place) => place,
            None => {
                let allowed = domain(&self.known, subject).map(<[_]>::to_vec);
                let denied = Vec::new();
                self.words.push(Words {
                    subject,
                    allowed,
                    denied,
                });
                self.words.len() - 1
            }
        };
        let Some(entry) = self.words.get_mut(place) else { return };
        match (&mut entry.allowed, among) {
            (Some(allowed), true) => allowed.retain(|word| words.contains(word)),
            (allowed @ None, true) => *allowed = Some(words.to_vec()),
            (_, false) => entry.denied.extend(words),
        }
    }

    fn limit(&mut self, subject: &'t Int, low: i64, high: i64) -> Result<(), String> {
        let place = match self.ranges.iter().position(|(own, ..)| *own == subject) {
            Some(place) => place,
            None => {
                let (least, most, _) = range_of(subject);
                self.ranges.push((subject, least, most));
                self.ranges.len() - 1
            }
        };
        let Some(entry) = self.ranges.get_mut(place) else {
            return Ok(());
        };
        entry.1 = entry.1.max(low);
        entry.2 = entry.2.min(high);
        if entry.1 > entry.2 {
            let name = match subject {
                Int::Tokens => "`tokens`",
                Int::MaxTokens => "`max_tokens`",
                _ => "a number",
            };
            return Err(format!("no value of {name} fits all its conditions"));
        }
        Ok(())
    }

    /// Whether `node` gives `value` whenever this holds.
    fn imply(&self, node: &Bool, value: bool) -> bool {
        match (node, value) {
            (Bool::Const(constant), _) => *constant == value,
            (Bool::Not(part), _) => self.imply(part, !value),
            (Bool::And(parts), true) | (Bool::Or(parts), false) => parts.iter().all(|part| self.imply(part, value)),
            (Bool::And(parts), false) | (Bool::Or(parts), true) => {
                parts.iter().any(|part| self.imply(part, value)) || self.known_to(node, value)
            }
            (Bool::If(parts), _) if plain(&parts.0) => {
                (self.imply(&parts.0, true) && self.imply(&parts.1, value))
                    || (self.imply(&parts.0, false) && self.imply(&parts.2, value))
                    || self.known_to(node, value)
            }
            _ => self.imply_atom((node, value)),
        }
    }

    fn known_to(&self, node: &Bool, value: bool) -> bool {
        self.opaque.iter().any(|atom| *atom.0 == *node && atom.1 == value)
    }

    fn imply_atom(&self, atom: Atom<'_>) -> bool {
        match read(atom) {
            Reading::Words(subject, words, among) => match self.can_be(subject) {
                (Some(allowed), _) => allowed.iter().all(|word| words.contains(word) == among),
                // A subject that nothing is denied of may not even be there.
                (None, denied) => !among && !denied.is_empty() && words.iter().all(|word| denied.contains(word)),
            },
            Reading::Range(subject, low, high) => {
                let own = self.ranges.iter().find(|(own, ..)| **own == *subject);
                let (least, most, certain) = match own {
                    Some((_, least, most)) => (*least, *most, true),
                    None => range_of(subject),
                };
                certain && least >= low && most <= high
            }
            Reading::Opaque => {
                if self.known_to(atom.0, atom.1) {
                    return true;
                }
                match atom {
                    (Bool::Has(map, name), true) => self.words.iter().any(|entry| entry.subject.reads(*map, name)),
                    (Bool::Find(_, part, _) | Bool::Matches(part, _), value) => {
                        let subject = Subject::str(part);
                        let (allowed, _) = self.can_be(subject);
                        allowed.is_some_and(|allowed| {
                            allowed.iter().all(|word| asked(atom.0, subject, word) == Some(value))
                        })
                    }
                    _ => false,
                }
            }
        }
    }

    /// The words a subject can be, and those it cannot.
    fn can_be(&self, subject: Subject<'_>) -> (Option<&[&str]>, &[&str]) {
        match self.words.iter().find(|entry| entry.subject == subject) {
            Some(entry) => (entry.allowed.as_deref(), &entry.denied),
            None => (domain(&self.known, subject), &[]),
        }
    }
}

/// What a subject can be at all, where that is known.
fn domain<'t>(known: &Known<'t>, subject: Subject<'_>) -> Option<&'t [&'t str]> {
    let domain = match subject {
        Subject::Str(Str::Word(Word::Operation)) => known.operations,
        Subject::Str(Str::Word(Word::Dialect)) => known.dialects,
        _ => return None,
    };
    (!domain.is_empty()).then_some(domain)
}

/// What a condition on a string gives when the subject is `word`; `None` when it asks something else.
fn asked(node: &Bool, subject: Subject<'_>, word: &str) -> Option<bool> {
    match node {
        Bool::Find(find, part, Str::Lit(with)) if Subject::str(part) == subject => Some(found(*find, word, with)),
        Bool::Matches(part, pattern) if Subject::str(part) == subject => Some(pattern.0.is_match(word)),
        _ => None,
    }
}
