//! Whether two questions name the same things in contradicting roles: `from A to B` and `from B to A`.
//!
//! Not what they name (`veto`). The one idea: that the order differs means nothing where prepositions say the roles, or where what is
//! named may be named in any order; everywhere else it means that the roles differ.

use super::lexical::{Kind, Lexical, Word};
use super::lexicon::{COUNTED, FROM, TO};

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
    let matches = matched(&a.words, &b.words);
    for (at, x) in matches.iter().enumerate() {
        if x.role_a == FROM && x.role_b == TO || x.role_a == TO && x.role_b == FROM {
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
            if x.role_a != x.role_b && x.role_a == y.role_b && x.role_b == y.role_a {
                return true;
            }
        }
    }
    numbers(a, b, &matches) || around(&a.words, &b.words, symmetric)
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
