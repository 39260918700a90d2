//! Why one answer cannot serve two questions, by their words alone.
//!
//! Not how alike they are (`features`) and not the order of their words (`order`). The one idea: what must be the same (numbers, names,
//! code) is compared as a set; of what may be said in other words, only that counts where *each* side says something the other does not.

use super::Tongue;
use super::lexical::{Fact, Kind, Lexical, Word};
use super::order;
use super::reader::Leave;

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Veto {
    /// Other numbers.
    Number,
    /// Other units or currencies.
    Unit,
    /// Other days, months, times.
    Date,
    /// Other words between quotation marks.
    Quote,
    /// Other code.
    Code,
    /// Other identifiers, paths, flags, model names; letter case counts.
    Identifier,
    /// Other URLs or e-mail addresses.
    Address,
    /// Other names.
    Entity,
    /// Another language that is asked in or for, natural or of programming.
    Language,
    /// One is negated.
    Negation,
    /// Opposites.
    Polarity,
    /// The same things in other roles: `A to B`, `B to A`.
    Direction,
    /// Another form, length or style of the answer.
    Format,
    /// Another property of the same thing, or something else done with it.
    Aspect,
    /// Other circumstances that exclude each other: `daily`, `weekly`; `at least`, `at most`.
    Modifier,
    /// Other words that no table knows to mean the same.
    Word,
    /// Other operators or signs.
    Sign,
    /// Longer than what is read, and not the same.
    Long,
}

impl Veto {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Number,
        Self::Unit,
        Self::Date,
        Self::Quote,
        Self::Code,
        Self::Identifier,
        Self::Address,
        Self::Entity,
        Self::Language,
        Self::Negation,
        Self::Polarity,
        Self::Direction,
        Self::Format,
        Self::Aspect,
        Self::Modifier,
        Self::Word,
        Self::Sign,
        Self::Long,
    ];

    /// One word, for a metric's label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Unit => "unit",
            Self::Date => "date",
            Self::Quote => "quote",
            Self::Code => "code",
            Self::Identifier => "identifier",
            Self::Address => "address",
            Self::Entity => "entity",
            Self::Language => "language",
            Self::Negation => "negation",
            Self::Polarity => "polarity",
            Self::Direction => "direction",
            Self::Format => "format",
            Self::Aspect => "aspect",
            Self::Modifier => "modifier",
            Self::Word => "word",
            Self::Sign => "sign",
            Self::Long => "long",
        }
    }
}

/// How many kinds of facts there are.
const KINDS: usize = Kind::Weak as usize + 1;
/// Most poles of a question that are looked at; a question with more has no say in them but by its words.
const MOST_POLES: usize = 8;

/// What each question says that the other does not, by kind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Difference {
    only_a: [u8; KINDS],
    only_b: [u8; KINDS],
    both: [u8; KINDS],
    /// Names that the other does not have.
    names: bool,
    /// Names that both have.
    pub same_names: u8,
    poles_a: Poles,
    poles_b: Poles,
}

#[derive(Debug, Clone, Copy, Default)]
struct Poles {
    keys: [(u64, bool); MOST_POLES],
    count: usize,
}

impl Poles {
    fn push(&mut self, fact: &Fact) {
        if let Some(place) = self.keys.get_mut(self.count) {
            *place = (fact.key, fact.kind == Kind::Polarity);
            self.count += 1;
        }
    }

    fn get(&self) -> &[(u64, bool)] {
        self.keys.get(..self.count).unwrap_or(&[])
    }
}

impl Difference {
    pub fn of(a: &Lexical, b: &Lexical) -> Self {
        let mut difference = Self::default();
        let (mut left, mut right) = (a.facts.iter().peekable(), b.facts.iter().peekable());
        loop {
            let (x, y) = match (left.peek(), right.peek()) {
                (None, None) => return difference,
                (Some(x), None) => (Some(**x), None),
                (None, Some(y)) => (None, Some(**y)),
                (Some(x), Some(y)) => match (x.kind, x.key).cmp(&(y.kind, y.key)) {
                    std::cmp::Ordering::Less => (Some(**x), None),
                    std::cmp::Ordering::Greater => (None, Some(**y)),
                    std::cmp::Ordering::Equal => (Some(**x), Some(**y)),
                },
            };
            match (x, y) {
                (Some(x), Some(y)) => {
                    left.next();
                    right.next();
                    bump(&mut difference.both, x.kind);
                    difference.same_names = difference.same_names.saturating_add(u8::from(x.proper && y.proper));
                }
                (Some(x), None) => {
                    left.next();
                    difference.names |= x.proper;
                    bump(&mut difference.only_a, x.kind);
                    if matches!(x.kind, Kind::Polarity | Kind::Modifier) {
                        difference.poles_a.push(&x);
                    }
                }
                (None, Some(y)) => {
                    right.next();
                    difference.names |= y.proper;
                    bump(&mut difference.only_b, y.kind);
                    if matches!(y.kind, Kind::Polarity | Kind::Modifier) {
                        difference.poles_b.push(&y);
                    }
                }
                (None, None) => return difference,
            }
        }
    }

    /// How many facts of these kinds only the one and only the other has.
    pub fn only(&self, kinds: &[Kind]) -> (u32, u32) {
        (sum(&self.only_a, kinds), sum(&self.only_b, kinds))
    }

    /// How many facts of these kinds both have.
    pub fn both(&self, kinds: &[Kind]) -> u32 {
        sum(&self.both, kinds)
    }

    fn any(&self, kinds: &[Kind]) -> bool {
        let (a, b) = self.only(kinds);
        a + b > 0
    }

    /// Each side has something of these kinds that the other does not.
    fn each(&self, kinds: &[Kind]) -> bool {
        let (a, b) = self.only(kinds);
        a > 0 && b > 0
    }
}

fn bump(counts: &mut [u8; KINDS], kind: Kind) {
    if let Some(count) = counts.get_mut(kind as usize) {
        *count = count.saturating_add(1);
    }
}

fn sum(counts: &[u8; KINDS], kinds: &[Kind]) -> u32 {
    kinds
        .iter()
        .filter_map(|kind| counts.get(*kind as usize))
        .map(|count| u32::from(*count))
        .sum()
}

/// Why one answer cannot serve both. The order of the checks is that of what is cheapest and most telling.
pub(super) fn veto(a: &Lexical, b: &Lexical, difference: &Difference) -> Option<Veto> {
    if a.cut || b.cut {
        return Some(Veto::Long);
    }
    if a.tongue != b.tongue && a.sure && b.sure {
        return Some(Veto::Language);
    }
    if numbers_differ(difference) {
        return Some(Veto::Number);
    }
    let exact = [
        (Kind::Unit, Veto::Unit),
        (Kind::Date, Veto::Date),
        (Kind::Quote, Veto::Quote),
        (Kind::Code, Veto::Code),
        (Kind::Identifier, Veto::Identifier),
        (Kind::Address, Veto::Address),
        (Kind::Program, Veto::Language),
        (Kind::Language, Veto::Language),
        (Kind::Format, Veto::Format),
        (Kind::Sign, Veto::Sign),
        (Kind::Strict, Veto::Modifier),
    ];
    if let Some((_, veto)) = exact.iter().find(|(kind, _)| difference.any(&[*kind])) {
        return Some(*veto);
    }
    if difference.any(&[Kind::Time]) {
        return Some(Veto::Unit);
    }
    if a.negations.abs_diff(b.negations) % 2 == 1 || (a.negations == 0) != (b.negations == 0) {
        return Some(Veto::Negation);
    }
    if denied_differ(a, b) {
        return Some(Veto::Negation);
    }
    if let Some(veto) = opposite(difference) {
        return Some(veto);
    }
    if a.asks.code != b.asks.code {
        return Some(Veto::Code);
    }
    if a.asks.leave != b.asks.leave && a.asks.leave != Leave::None && b.asks.leave != Leave::None {
        return Some(Veto::Modifier);
    }
    if difference.names {
        return Some(Veto::Entity);
    }
    if difference.each(&[Kind::Aspect]) {
        return Some(Veto::Aspect);
    }
    let words = [Kind::Word, Kind::Known];
    let strange = a.tongue == Tongue::Other || b.tongue == Tongue::Other;
    if difference.each(&words) || strange && difference.any(&words) {
        return Some(Veto::Word);
    }
    // What one alone says narrows its question, unless it only says that it asks what the thing is.
    if let Some(veto) = added(a, b, difference) {
        return Some(veto);
    }
    order::contradict(a, b).then_some(Veto::Direction)
}

/// Something is said by one alone, or nothing by both.
fn added(a: &Lexical, b: &Lexical, difference: &Difference) -> Option<Veto> {
    let said = [Kind::Word, Kind::Known, Kind::Aspect, Kind::Polarity, Kind::Modifier];
    let literal = [
        Kind::Number,
        Kind::Unit,
        Kind::Time,
        Kind::Date,
        Kind::Quote,
        Kind::Code,
        Kind::Identifier,
        Kind::Address,
        Kind::Program,
        Kind::Language,
        Kind::Format,
    ];
    if difference.both(&said) + difference.both(&literal) == 0 {
        return Some(Veto::Word);
    }
    if difference.any(&[Kind::Word, Kind::Known]) {
        return Some(Veto::Word);
    }
    if difference.any(&[Kind::Polarity, Kind::Modifier]) {
        return Some(Veto::Modifier);
    }
    let (only_a, only_b) = difference.only(&[Kind::Aspect]);
    let defined = only_a + only_b == 1
        && (only_a == 1 && b.asks.defines && a.asks.means || only_b == 1 && a.asks.defines && b.asks.means);
    // `how many yards are 8 km`, `8 km in yards`.
    let measured = |asks: &Lexical, other: &Lexical| {
        let counted = |word: &Word| matches!(word.kind, Kind::Unit | Kind::Time) && word.key == asks.asks.counts;
        asks.asks.counts != 0 && other.words.iter().any(counted)
    };
    let converted = only_a + only_b == 1 && (only_a == 1 && measured(a, b) || only_b == 1 && measured(b, a));
    (only_a + only_b > 0 && !defined && !converted).then_some(Veto::Aspect)
}

/// Both say of the same two things that one is not so, and not of the same one.
fn denied_differ(a: &Lexical, b: &Lexical) -> bool {
    let says = |side: &Lexical, key: &u64| side.words.iter().any(|word| word.key == *key);
    let alone = |from: &Lexical, to: &Lexical| {
        let mut own = from.denied.iter().filter(|key| !to.denied.contains(key));
        own.any(|key| says(to, key))
    };
    alone(a, b) && alone(b, a)
}

/// `one` may be an article, and counts only where the other side has a number.
fn numbers_differ(difference: &Difference) -> bool {
    let (a, b) = difference.only(&[Kind::Number]);
    if a + b > 0 {
        return true;
    }
    let (a, b) = difference.only(&[Kind::One]);
    a + b > 0 && difference.both(&[Kind::Number]) > 0
}

/// Sides of the same set that exclude each other.
fn opposite(difference: &Difference) -> Option<Veto> {
    const SET: u64 = !0xfff;
    for (x, polar) in difference.poles_a.get() {
        if difference.poles_b.get().iter().any(|(y, _)| x & SET == y & SET) {
            return Some(if *polar { Veto::Polarity } else { Veto::Modifier });
        }
    }
    None
}
