//! Whether two questions name the same things in contradicting roles: `from A to B` and `from B to A`.
//!
//! Not what they name (`veto`). The one idea: that the order differs means nothing where prepositions say the roles, or where what is
//! named may be named in any order; everywhere else it means that the roles differ.

use super::lexical::{Kind, Lexical, Word};
use super::lexicon::{BY, COUNTED, FROM, IN, OF, TO};
use super::reader::{Gap, Opening};

/// What is compared of a word in both.
#[derive(Clone, Copy)]
struct Match {
    a: usize,
    b: usize,
    kind: Kind,
    proper: bool,
    role_a: u8,
    role_b: u8,
}

/// Most words of a question whose order is looked at; see `MOST_WORDS`.
const MOST: usize = 112;

/// Whether the things that both name have contradicting roles.
pub(super) fn contradict(a: &Lexical, b: &Lexical) -> bool {
    let symmetric = a.symmetric && b.symmetric && !a.than && !b.than;
    if parts_differ(a, b) {
        return true;
    }
    let matches = matched(&a.words, &b.words);
    let inverts = inverts(a, b);
    if undone(a, b, &matches) {
        return true;
    }
    // The passive turns everything round, and means the same.
    let active = a.asks.passive == b.asks.passive && a.asks.agent == b.asks.agent;
    for (at, x) in matches.iter().enumerate() {
        if x.role_a == FROM && x.role_b == TO || x.role_a == TO && x.role_b == FROM {
            return true;
        }
        // Where it begins is said, where it ends may be left out: `ship from Norway`, `shipping Norway`.
        if (x.role_a == FROM) != (x.role_b == FROM) && x.role_a != OF && x.role_b != OF {
            return true;
        }
        for y in matches.get(at + 1..).unwrap_or(&[]) {
            if taken(x, y) || taken(y, x) {
                return true;
            }
            if (x.a < y.a) == (x.b < y.b) {
                continue;
            }
            if typed(x) && typed(y) && alike(x, y) && !told(x, y) && !symmetric {
                return true;
            }
            let placed = x.role_a == y.role_a && x.role_b == y.role_b;
            if !symmetric
                && placed
                && (inverts && noun(x) && noun(y)
                    || active && (named(x) && named(y) || x.kind == Kind::Polarity && y.kind == Kind::Polarity))
            {
                return true;
            }
            if x.role_a != x.role_b && x.role_a == y.role_b && x.role_b == y.role_a {
                return true;
            }
        }
    }
    numbers(a, b, &matches) || around(&a.words, &b.words, symmetric)
}

/// One asks who does it and the other to whom it is done; or the asker does it in the one, and has it done to him in the other.
fn parts_differ(a: &Lexical, b: &Lexical) -> bool {
    let gaps = matches!(
        (a.asks.gap, b.asks.gap),
        (Gap::Subject, Gap::Object) | (Gap::Object, Gap::Subject)
    );
    // What is done to the asker in the one and not in the other: `block someone`, `someone blocked me`.
    let suffers = a.asks.suffers != b.asks.suffers;
    let joins = a.asks.joins != b.asks.joins && a.asks.joins != 0 && b.asks.joins != 0;
    let says = |side: &Lexical, key: u64| side.words.iter().any(|word| word.key == key);
    let (x, y) = (a.asks.counts, b.asks.counts);
    let counts = x != 0 && y != 0 && x != y && says(a, y) && says(b, x);
    gaps || joins || counts || a.asks.whose != b.asks.whose || suffers
}

/// In yes-or-no questions of one build, what comes first is what the rest is said of: `is a cat a dog`, `does A hit B`.
fn inverts(a: &Lexical, b: &Lexical) -> bool {
    a.asks.opening != Opening::Other && a.asks.opening == b.asks.opening && a.asks.agent == b.asks.agent
}

/// Who does it in the passive is not who does it in the active: `is X caused by Y`, `does X cause Y`.
fn undone(a: &Lexical, b: &Lexical, matches: &[Match]) -> bool {
    if a.asks.passive == b.asks.passive || a.asks.agent == b.asks.agent || a.asks.passive != a.asks.agent {
        return false;
    }
    let turned = a.asks.passive;
    let passive = |x: &Match| if turned { x.a } else { x.b };
    let active = |x: &Match| if turned { x.b } else { x.a };
    // What stands before him in the passive stands behind him in the active, or he is another.
    let last = |x: &Match| {
        let mut before = matches.iter().filter(|y| passive(y) < passive(x)).peekable();
        before.peek().is_some() && before.all(|y| active(y) < active(x))
    };
    let agents = |x: &&Match| if a.asks.passive { x.role_a == BY } else { x.role_b == BY };
    matches.iter().filter(agents).any(last)
}

/// May be what something is said of.
fn noun(word: &Match) -> bool {
    matches!(
        word.kind,
        Kind::Word | Kind::Known | Kind::Aspect | Kind::Polarity | Kind::Modifier
    )
}

/// Names a thing or what is done, not how something is.
fn named(word: &Match) -> bool {
    matches!(word.kind, Kind::Word | Kind::Known)
}

/// Words that each side has exactly once.
fn matched(a: &[Word], b: &[Word]) -> Vec<Match> {
    let mut found = Vec::with_capacity(a.len().min(MOST));
    for (at, x) in a.iter().enumerate().take(MOST) {
        let same = |y: &&Word| y.kind == x.kind && y.key == x.key;
        if a.iter().filter(same).count() > 1 {
            continue;
        }
        let mut places = b.iter().enumerate().filter(|(_, y)| same(y));
        if let (Some((place, y)), None) = (places.next(), places.next()) {
            let proper = x.proper || y.proper;
            found.push(Match {
                a: at,
                b: place,
                kind: x.kind,
                proper,
                role_a: x.role,
                role_b: y.role,
            });
        }
    }
    found
}

/// The number belongs to the one here and to the other there: `5 feet in metres`, `feet in 5 metres`.
fn taken(x: &Match, y: &Match) -> bool {
    x.role_a == COUNTED && x.role_b != COUNTED && y.role_b == COUNTED && y.role_a != COUNTED
}

/// Names something, rather than saying what is asked of it.
fn typed(word: &Match) -> bool {
    match word.kind {
        Kind::Word | Kind::Known => word.proper,
        Kind::Strict
        | Kind::Polarity
        | Kind::Modifier
        | Kind::Aspect
        | Kind::Weak
        | Kind::Number
        | Kind::One
        | Kind::Time => false,
        _ => true,
    }
}

/// Could stand in each other's place.
fn alike(x: &Match, y: &Match) -> bool {
    let family = |kind: Kind| match kind {
        Kind::Known => Kind::Word,
        other => other,
    };
    family(x.kind) == family(y.kind) || x.proper && y.proper
}

/// Prepositions say in both who is what.
fn told(x: &Match, y: &Match) -> bool {
    let counted = |word: &Match| word.role_a == COUNTED && word.role_b == COUNTED;
    counted(x) || counted(y) || x.role_a == x.role_b && y.role_a == y.role_b && x.role_a != y.role_a
}

/// What numbers belong to: `2 eggs and 3 apples` is not `3 eggs and 2 apples`.
fn numbers(a: &Lexical, b: &Lexical, matches: &[Match]) -> bool {
    let counts = matches
        .iter()
        .filter(|word| matches!(word.kind, Kind::Number | Kind::One));
    let counts: Vec<&Match> = counts.take(16).collect();
    let after = |words: &[Word], at: usize| {
        words
            .get(at + 1)
            .filter(|word| !matches!(word.kind, Kind::Number | Kind::One))
            .map(|word| (word.kind, word.key))
    };
    let where_is = |words: &[Word], at: usize| {
        let measured = |kind: Kind| matches!(kind, Kind::Number | Kind::One | Kind::Date | Kind::Unit | Kind::Time);
        let next = words.get(at + 1..)?.iter().find(|word| !measured(word.kind));
        next.filter(|word| word.role == IN).map(|word| word.key)
    };
    let says = |words: &[Word], key: u64| words.iter().any(|word| word.key == key);
    for x in &counts {
        // `9 am in London, in Tokyo`, `in London, 9 am in Tokyo`.
        if let (Some(p), Some(q)) = (where_is(&a.words, x.a), where_is(&b.words, x.b))
            && p != q
            && says(&a.words, q)
            && says(&b.words, p)
        {
            return true;
        }
    }
    for (at, x) in counts.iter().enumerate() {
        for y in counts.get(at + 1..).unwrap_or(&[]) {
            let (xa, xb, ya, yb) = (
                after(&a.words, x.a),
                after(&b.words, x.b),
                after(&a.words, y.a),
                after(&b.words, y.b),
            );
            let bound = xa.is_some() && xa == xb && ya == yb && xa != ya;
            let swapped = xa != ya && xa.is_some() && (xa == yb || xb == ya && xb.is_some());
            let inverted = (x.a < y.a) != (x.b < y.b);
            let any_order = a.symmetric && b.symmetric;
            if swapped && !bound && xa != xb || inverted && !bound && !any_order {
                return true;
            }
        }
    }
    false
}

/// `x does y` and `y does x`: side by side in the one, in the other order in the other, with the same word between.
fn around(a: &[Word], b: &[Word], symmetric: bool) -> bool {
    if symmetric {
        return false;
    }
    let said = |words: &[Word]| -> Vec<Word> {
        words
            .iter()
            .filter(|word| word.kind != Kind::Weak)
            .take(MOST)
            .copied()
            .collect()
    };
    let (a, b) = (said(a), said(b));
    turned(&a, &b) || turned(&b, &a)
}

fn turned(a: &[Word], b: &[Word]) -> bool {
    let place = |x: &Word| b.iter().position(|y| y.kind == x.kind && y.key == x.key);
    let role = |at: usize| b.get(at).map_or(0, |word| word.role);
    a.windows(3).any(|three| match three {
        [x, middle, y] if thing(x) && thing(y) && !middle.proper => match (place(x), place(middle), place(y)) {
            // What prepositions tell apart in both may stand in any order.
            (Some(p), Some(m), Some(q)) if q < m && m < p => {
                !(x.role == role(p) && y.role == role(q) && x.role != y.role)
            }
            _ => false,
        },
        _ => false,
    })
}

/// Could do something, or have it done: not a number or unit.
fn thing(word: &Word) -> bool {
    matches!(
        word.kind,
        Kind::Word
            | Kind::Known
            | Kind::Polarity
            | Kind::Modifier
            | Kind::Aspect
            | Kind::Identifier
            | Kind::Program
            | Kind::Format
    )
}
