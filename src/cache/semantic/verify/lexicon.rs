//! What is known of words: which mean the same, which exclude each other, which say nothing. Tables of our own (`lexicon/*.txt`), one
//! for each language read here and one shared by all, turned into maps on first use.
//!
//! Not where texts are taken apart (`scan`, `lexical`). The one idea: a word's sense is a class and a number; words of one group have
//! the same number, so that comparing questions is comparing numbers.

use super::Tongue;
use super::stem::stem;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

/// What kind of thing a word says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Class {
    /// Unknown word: what it says is itself.
    #[default]
    Unknown,
    /// Says nothing that changes an answer.
    Stop,
    /// Says little: `explain`, `list`, `steps`.
    Weak,
    /// One of a group of synonyms.
    Synonym,
    /// What is asked of a thing: its price, its age; also what is to be done with it.
    Aspect,
    /// One side of a pair or set of opposites.
    Pole,
    /// One of a set of which the same must be said on both sides.
    Strict,
    /// Not, without, never.
    Not,
    /// A number in words.
    Number,
    /// An ordinal in words.
    Ordinal,
    /// A unit or currency.
    Unit,
    /// A unit of time.
    Time,
    /// A programming language, library or runtime.
    Program,
    /// A natural language.
    Language,
    /// A form of output.
    Format,
    /// A thing with several names.
    Name,
    /// A month, weekday, or time told from now.
    Date,
    /// An arithmetic operation in words.
    Operator,
}

/// What is known of a word or phrase.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sense {
    pub class: Class,
    /// The group; for poles the set; for numbers the value.
    pub group: u32,
    /// For poles, which side of the set.
    pub side: u8,
    /// Is a pole of the sets called `polarity`.
    pub polar: bool,
    /// Longest phrase that begins with this word, in words; 0: none.
    pub reach: u8,
    /// As a preposition, which role it gives to what follows; 0: none.
    pub role: u8,
    /// Says that what is named may be named in any order.
    pub symmetric: bool,
    /// Is a word of the table, not only the beginning of a phrase.
    pub known: bool,
}

/// The role of what begins a way: `from`.
pub(super) const FROM: u8 = 1;
/// The role of what ends a way: `to`, `into`.
pub(super) const TO: u8 = 2;
/// The role of where it is.
pub(super) const IN: u8 = 3;
/// The role of who does it, in the passive.
pub(super) const BY: u8 = 6;
/// The role of whose it is.
pub(super) const OF: u8 = 5;
const ROLES: [&str; 9] = ["from", "to", "in", "for", "of", "by", "with", "than", "and"];
/// The role of what follows `and`, `or`, `vs`: it takes that of the thing before.
pub(super) const AND: u8 = 9;
/// The role of a unit that a number belongs to.
pub(super) const COUNTED: u8 = 10;

/// FNV-1a, in steps, so that phrases are looked for without being put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spelling(u64);

impl Spelling {
    pub const NONE: Self = Self(0xcbf2_9ce4_8422_2325);

    pub fn with(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self
    }

    /// Mixed, so that any bits of it are as good as others.
    pub fn key(self) -> u64 {
        let mut key = self.0;
        key = (key ^ (key >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        key ^ (key >> 29)
    }
}

/// The key of a word as it is spelled.
pub(super) fn key_of(word: &str) -> u64 {
    Spelling::NONE.with(word.as_bytes()).key()
}

/// Keys are mixed already.
#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

type Map<V> = HashMap<u64, V, BuildHasherDefault<Same>>;

/// The words of one language, with those shared by all.
pub(super) struct Lexicon {
    words: Map<Sense>,
}

impl Lexicon {
    /// What is known of the word or phrase with this spelling.
    pub fn get(&self, spelling: Spelling) -> Option<Sense> {
        self.words.get(&spelling.key()).copied()
    }
}

struct Tables {
    each: [Lexicon; 5],
    /// Which languages a word is frequent in, as bits of [`Tongue`].
    marks: Map<u8>,
    /// Which languages have a word at all, as the same bits.
    hints: Map<u8>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let shared = include_str!("lexicon/shared.txt");
    let own = [
        (Tongue::English, include_str!("lexicon/en.txt")),
        (Tongue::German, include_str!("lexicon/de.txt")),
        (Tongue::French, include_str!("lexicon/fr.txt")),
        (Tongue::Spanish, include_str!("lexicon/es.txt")),
        (Tongue::Other, ""),
    ];
    let (mut marks, mut hints): (Map<u8>, Map<u8>) = (Map::default(), Map::default());
    for (tongue, table) in own {
        for line in table
            .lines()
            .filter(|line| !line.starts_with("num") && !line.starts_with("month"))
        {
            let plain = line.starts_with("stop") || line.starts_with("weak") || line.starts_with("not");
            let plain = plain || line.starts_with("asp") || line.starts_with("role") || line.starts_with("dim!");
            let words = line.split_once(": ").map_or("", |(_, words)| words);
            for word in words
                .split([' ', ','])
                .filter(|word| word.len() > 2 && !line.starts_with('#'))
            {
                *hints.entry(key_of(word)).or_default() |= tongue.bit();
            }
            for word in words
                .split_ascii_whitespace()
                .filter(|word| plain && !word.contains('_'))
            {
                *marks.entry(key_of(word)).or_default() |= tongue.bit();
            }
        }
    }
    Tables {
        each: own.map(|(tongue, table)| built(tongue, shared, table)),
        marks,
        hints,
    }
});

/// Loads the tables, which takes about a millisecond: before the first question, not with it.
pub fn warm() {
    LazyLock::force(&TABLES);
}

/// The words of a language.
pub(super) fn of(tongue: Tongue) -> &'static Lexicon {
    let [english, german, french, spanish, other] = &TABLES.each;
    match tongue {
        Tongue::English => english,
        Tongue::German => german,
        Tongue::French => french,
        Tongue::Spanish => spanish,
        Tongue::Other => other,
    }
}

/// Which languages a word is frequent in, as bits of [`Tongue`].
pub(super) fn marks(spelling: Spelling) -> u8 {
    TABLES.marks.get(&spelling.key()).copied().unwrap_or(0)
}

/// Which languages have a word at all, as bits of [`Tongue`].
pub(super) fn hints(spelling: Spelling) -> u8 {
    TABLES.hints.get(&spelling.key()).copied().unwrap_or(0)
}

fn built(tongue: Tongue, shared: &str, own: &str) -> Lexicon {
    let mut words: Map<Sense> = Map::default();
    // The groups of the shared table have the same numbers in all languages, and those of a language its own.
    let mut group = 0;
    // First come, first served: what a language says of a word goes before what all do.
    let mut lines: Vec<(u32, &str)> = Vec::new();
    for line in shared.lines().filter(|line| !line.starts_with('#')) {
        group += 1;
        lines.push((group * 4096, line));
    }
    let mut ordered: Vec<(u32, &str)> = Vec::new();
    for line in own.lines().filter(|line| !line.starts_with('#')) {
        group += 1;
        ordered.push((group * 4096, line));
    }
    ordered.extend(lines);
    for (base, line) in &ordered {
        if let Some((kind, body)) = line.split_once(": ") {
            enter(&mut words, *base, kind, body);
        }
    }
    if tongue == Tongue::English {
        stems(
            &mut words,
            ordered
                .iter()
                .filter_map(|(_, line)| line.split_once(": "))
                .map(|(_, body)| body),
        );
    }
    Lexicon { words }
}

fn enter(words: &mut Map<Sense>, base: u32, kind: &str, body: &str) {
    if let Some(role) = kind.strip_prefix("role ") {
        let role = ROLES.iter().position(|name| *name == role).map_or(0, |at| at as u8 + 1);
        for word in body.split_ascii_whitespace() {
            words.entry(key_of(word)).or_default().role = role;
        }
        return;
    }
    if kind == "swap" {
        for word in body.split_ascii_whitespace() {
            words.entry(key_of(word)).or_default().symmetric = true;
        }
        return;
    }
    let class = match kind {
        "stop" => Class::Stop,
        "weak" => Class::Weak,
        "syn" => Class::Synonym,
        "asp" => Class::Aspect,
        "not" => Class::Not,
        "num" => Class::Number,
        "ord" => Class::Ordinal,
        "unit" => Class::Unit,
        "time" => Class::Time,
        "prog" => Class::Program,
        "lang" => Class::Language,
        "fmt" => Class::Format,
        "sub" => Class::Name,
        "month" | "day" | "when" => Class::Date,
        "op" => Class::Operator,
        _ if kind.starts_with("dim!") => Class::Strict,
        _ => Class::Pole,
    };
    // Months and weekdays have the same numbers in all languages.
    let base = match kind {
        "month" => 1,
        "day" => 101,
        "when" => 201,
        _ => base,
    };
    let poles = kind.starts_with("dim");
    let parts = if poles { " | " } else { ", " };
    for (at, part) in body.split(parts).enumerate() {
        for (place, phrase) in part.split_ascii_whitespace().enumerate() {
            let (phrase, value) = phrase.split_once('=').unwrap_or((phrase, ""));
            let group = match class {
                Class::Number | Class::Ordinal => value.parse().unwrap_or(0),
                Class::Pole | Class::Strict => base,
                Class::Weak | Class::Stop => base + place as u32,
                _ => base + at as u32,
            };
            let sense = Sense {
                class,
                group,
                side: if poles { at as u8 + 1 } else { 0 },
                polar: kind.ends_with("polarity"),
                known: true,
                ..Sense::default()
            };
            spell(words, phrase, sense);
        }
    }
}

/// Enters the stems of words too, where they are not words of their own: `pruned` is found by `prune`.
fn stems<'a>(words: &mut Map<Sense>, bodies: impl Iterator<Item = &'a str>) {
    for word in bodies
        .flat_map(str::split_ascii_whitespace)
        .filter(|word| !word.contains('_') && word.len() > 3)
    {
        let wide = [
            Class::Weak,
            Class::Synonym,
            Class::Aspect,
            Class::Pole,
            Class::Unit,
            Class::Time,
        ];
        let Some(sense) = words
            .get(&key_of(word))
            .copied()
            .filter(|sense| wide.contains(&sense.class))
        else {
            continue;
        };
        words
            .entry(key_of(&stem(word, Tongue::English)))
            .or_insert(Sense { reach: 0, ..sense });
    }
}

/// Enters a phrase, and its length at its first word.
fn spell(words: &mut Map<Sense>, phrase: &str, sense: Sense) {
    let length = phrase.split('_').count();
    if length > 1
        && let Some(first) = phrase.split('_').next()
    {
        let first = words.entry(key_of(first)).or_default();
        first.reach = first.reach.max(length.min(6) as u8);
    }
    let entry = words.entry(key_of(phrase)).or_default();
    if !entry.known {
        *entry = Sense {
            reach: entry.reach,
            role: entry.role,
            symmetric: entry.symmetric,
            ..sense
        };
    }
}
