//! What a question says, word by word, in a form that is compared by numbers: [`Lexical`].
//!
//! Not the comparison (`veto`, `order`, `features`). The one idea: everything said is a fact of some kind with a key; questions that
//! say the same have the same facts, in an order and in roles (`from`, `to`) that do not contradict each other.

use super::Tongue;
use super::lexicon::{self, Class, Lexicon, Sense, Spelling, key_of};
use super::scan::{self, Piece, Shape};
use super::stem::stem;

/// Longest text that is read, in bytes; what is longer only ever equals itself.
pub const LONGEST_TEXT: usize = 2_000;
/// Most pieces that are read.
const MOST_PIECES: usize = 320;
/// Most words that say something: about what 128 tokens hold.
const MOST_WORDS: usize = 112;

/// What may stand between a preposition and what it is about.
const ARTICLES: [&str; 40] = [
    "the", "a", "an", "my", "our", "your", "his", "her", "its", "their", "this", "that", "these", "those", "some", "any", "der", "die", "das",
    "den", "dem", "des", "ein", "eine", "einen", "einem", "einer", "le", "la", "les", "l", "un", "une", "el", "los", "las", "una", "mi", "mein",
    "meine",
];
/// Words that compare only when a number follows.
const LOOSE: [&str; 8] = [
    "over",
    "under",
    "above",
    "below",
    "about",
    "around",
    "roughly",
    "approximately",
];

/// What a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(super) enum Kind {
    Number,
    /// `one`, which may be an article.
    One,
    Unit,
    Time,
    Date,
    Quote,
    Code,
    Identifier,
    Address,
    Program,
    Language,
    Format,
    Sign,
    /// One of a set that must be the same.
    Strict,
    /// One of a set that exclude each other, of the sets called polarity.
    Polarity,
    /// The same of the others.
    Modifier,
    Aspect,
    /// Words of no table, names among them.
    Word,
    /// Words that have synonyms.
    Known,
    Weak,
}

/// Something said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fact {
    pub key: u64,
    pub kind: Kind,
    /// Written as a name is.
    pub proper: bool,
    /// Where it is written, in bytes.
    pub at: u16,
    pub length: u16,
}

/// Something said, in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    pub key: u64,
    pub kind: Kind,
    /// What the preposition before it makes of it; see [`lexicon::FROM`].
    pub role: u8,
    pub proper: bool,
}

/// What a question says. About 32 bytes a word that says something; made in some microseconds, so it need not be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lexical {
    /// Over the whole text: the same text, the same number.
    pub(super) whole: u64,
    /// Sorted by kind and key, each once.
    pub(super) facts: Box<[Fact]>,
    /// In their order.
    pub(super) words: Box<[Word]>,
    pub(super) tongue: Tongue,
    /// The language was not only guessed.
    pub(super) sure: bool,
    /// There is more than was read.
    pub(super) cut: bool,
    /// Negations.
    pub(super) negations: u8,
    /// What is named may be named in any order.
    pub(super) symmetric: bool,
    /// Compares by `than`.
    pub(super) than: bool,
    /// Words of any kind, the empty ones too.
    pub(super) length: u16,
    /// How the question is asked.
    pub(super) form: Form,
}

/// How a question is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Form {
    /// Told by nothing.
    #[default]
    Plain,
    /// `is it`, `can`, `should`.
    Decide,
    /// `how to`, `steps`.
    How,
}

impl Lexical {
    /// Reads a question. Any text is read; of one that is longer than [`LONGEST_TEXT`], only its beginning.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let text = text.trim();
        let mut end = text.len().min(LONGEST_TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let read = text.get(..end).unwrap_or("");
        let mut pieces: Vec<Piece> = Vec::with_capacity(24);
        let complete = scan::pieces(read, MOST_PIECES, |piece| pieces.push(piece));
        let (tongue, sure) = tongue_of(&pieces);
        let mut reader = Reader::new(read, tongue, &pieces);
        reader.read();
        let cut = !complete || end < text.len() || reader.words.len() > MOST_WORDS;
        reader.words.truncate(MOST_WORDS);
        let mut facts = reader.facts;
        facts.sort_unstable_by_key(|fact| (fact.kind, fact.key, !fact.proper));
        facts.dedup_by_key(|fact| (fact.kind, fact.key));
        facts.truncate(2 * MOST_WORDS);
        Self {
            whole: whole(text),
            facts: facts.into_boxed_slice(),
            words: reader.words.into_boxed_slice(),
            tongue,
            sure,
            cut,
            negations: reader.negations,
            symmetric: reader.symmetric,
            than: reader.than,
            length: reader.length,
            form: reader.form,
        }
    }
}

/// Eight bytes at a time: long texts are only told apart by it.
fn whole(text: &str) -> u64 {
    let mut key = 0x9e37_79b9_7f4a_7c15 ^ text.len() as u64;
    let mut parts = text.as_bytes().chunks_exact(8);
    for part in parts.by_ref() {
        let part = <[u8; 8]>::try_from(part).map_or(0, u64::from_le_bytes);
        key = (key ^ part).wrapping_mul(0xff51_afd7_ed55_8ccd);
        key ^= key >> 32;
    }
    Spelling::NONE.with(&key.to_le_bytes()).with(parts.remainder()).key()
}

/// The language by its frequent words, and whether that is sure.
fn tongue_of(pieces: &[Piece]) -> (Tongue, bool) {
    let mut counts = [0_usize; 4];
    let (mut words, mut foreign) = (0, 0);
    let mut lower = String::new();
    for piece in pieces.iter().filter(|piece| piece.shape == Shape::Word) {
        words += 1;
        if piece
            .text
            .chars()
            .next()
            .is_some_and(|c| c.is_alphabetic() && u32::from(c) >= 0x0370)
        {
            foreign += 1;
            continue;
        }
        lowered(piece.text, &mut lower);
        let word = lower
            .split_once('\'')
            .map_or(lower.as_str(), |(word, rest)| if rest.len() > 2 { rest } else { word });
        let marks = lexicon::marks(Spelling::NONE.with(word.as_bytes()));
        for (at, count) in counts.iter_mut().enumerate() {
            *count += usize::from(marks >> at & 1);
        }
    }
    if foreign * 2 > words {
        return (Tongue::Other, true);
    }
    let [english, german, french, spanish] = counts;
    let most = english.max(german).max(french).max(spanish);
    let tongue = match most {
        _ if most * 5 < words && words >= 4 => Tongue::Other,
        _ if most == english => Tongue::English,
        _ if most == german => Tongue::German,
        _ if most == spanish => Tongue::Spanish,
        _ => Tongue::French,
    };
    let next = counts.iter().filter(|count| **count < most).max().copied().unwrap_or(0);
    let alone = counts.iter().filter(|count| **count == most).count() == 1;
    (tongue, tongue != Tongue::Other && alone && most >= 2 && most > next)
}

/// In small letters, with the plain apostrophe.
fn lowered(text: &str, into: &mut String) {
    into.clear();
    if text.is_ascii() {
        into.push_str(text);
        into.make_ascii_lowercase();
    } else {
        into.extend(
            text.chars()
                .flat_map(char::to_lowercase)
                .map(|c| if c == '’' { '\'' } else { c }),
        );
    }
}

/// A word to be looked up.
struct Token<'a> {
    piece: Piece<'a>,
    /// In small letters, without endings such as `'s`; where it is in the reader's buffer.
    from: usize,
    to: usize,
    capital: bool,
    capitals: bool,
}

struct Reader<'a> {
    lexicon: &'static Lexicon,
    tongue: Tongue,
    text: &'a str,
    lower: String,
    tokens: Vec<Token<'a>>,
    facts: Vec<Fact>,
    words: Vec<Word>,
    negations: u8,
    symmetric: bool,
    than: bool,
    length: u16,
    form: Form,
    /// Role of the next word.
    role: u8,
    /// The last number in words, which the next may go on: `twenty` `five`.
    spoken: Option<u64>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, tongue: Tongue, pieces: &[Piece<'a>]) -> Self {
        let mut reader = Self {
            lexicon: lexicon::of(tongue),
            tongue,
            text,
            lower: String::with_capacity(text.len() + 8),
            tokens: Vec::with_capacity(pieces.len() + 4),
            facts: Vec::with_capacity(pieces.len()),
            words: Vec::with_capacity(pieces.len()),
            negations: 0,
            symmetric: false,
            than: false,
            length: 0,
            form: Form::Plain,
            role: 0,
            spoken: None,
        };
        let mut lower = String::new();
        for piece in pieces {
            reader.tokenise(*piece, &mut lower);
        }
        reader
    }

    /// Takes off endings and takes apart what hyphens join, where the whole is not known.
    fn tokenise(&mut self, piece: Piece<'a>, lower: &mut String) {
        lowered(piece.text, lower);
        let known = |word: &str| {
            self.lexicon
                .get(Spelling::NONE.with(word.as_bytes()))
                .is_some_and(|sense| sense.known)
        };
        if !matches!(piece.shape, Shape::Word | Shape::Identifier | Shape::Model) {
            return self.token(piece, "");
        }
        if piece.shape != Shape::Word {
            // `GitHub`, `PostgreSQL`, `Node.js` are names, not code.
            let piece = if known(lower) {
                Piece {
                    shape: Shape::Word,
                    ..piece
                }
            } else {
                piece
            };
            return self.token(piece, lower);
        }
        if known(lower) {
            return self.token(piece, lower);
        }
        if let Some((before, after)) = lower.split_once('\'') {
            match (before, after) {
                (_, "t") => return self.token(piece, "not"),
                (_, "s" | "re" | "ve" | "ll" | "d" | "m" | "") => return self.token(piece, before),
                ("n", _) => {
                    self.token(piece, "not");
                    return self.token(piece, after);
                }
                _ if before.chars().count() <= 2 => return self.token(piece, after),
                _ => {}
            }
        }
        if lower.contains('-') {
            for part in lower.split('-').filter(|part| !part.is_empty()) {
                self.token(piece, part);
            }
            return;
        }
        self.token(piece, lower);
    }

    fn token(&mut self, piece: Piece<'a>, lower: &str) {
        let from = self.lower.len();
        self.lower.push_str(lower);
        let capital = piece.text.chars().next().is_some_and(char::is_uppercase);
        let capitals =
            capital && piece.text.len() > 1 && piece.text.chars().all(|c| c.is_uppercase() || !c.is_alphabetic());
        self.tokens.push(Token {
            piece,
            from,
            to: self.lower.len(),
            capital,
            capitals,
        });
    }

    fn lower_of(&self, at: usize) -> &str {
        self.tokens
            .get(at)
            .and_then(|token| self.lower.get(token.from..token.to))
            .unwrap_or("")
    }

    fn read(&mut self) {
        let words = self.tokens.iter().filter(|token| token.piece.shape == Shape::Word);
        let (count, capital, shouted) = words.fold((0, 0, 0), |(n, c, s), token| {
            (n + 1, c + usize::from(token.capital), s + usize::from(token.capitals))
        });
        // Where most words have capitals, and in German, a capital does not make a name.
        let names = self.tongue != Tongue::German && (count < 4 || capital * 10 <= count * 6);
        let shouted = count >= 3 && shouted * 10 > count * 7;
        let mut at = 0;
        while at < self.tokens.len() {
            at += self.take(at, names, shouted).max(1);
        }
        self.flush();
    }

    /// Reads the token there, or the phrase that begins with it: how many tokens that were.
    fn take(&mut self, at: usize, names: bool, shouted: bool) -> usize {
        let Some(token) = self.tokens.get(at) else { return 1 };
        let (piece, capital, capitals) = (token.piece, token.capital, token.capitals);
        self.length = self.length.saturating_add(1);
        match piece.shape {
            Shape::Word => {}
            Shape::Number => {
                self.flush();
                self.number(piece);
                return 1;
            }
            Shape::Sign => {
                self.sign(at, piece);
                return 1;
            }
            shape => {
                self.flush();
                self.literal(shape, piece, at);
                return 1;
            }
        }
        let proper = names && capital && !piece.first || capitals && !shouted;
        if let Some(read) = self.lettered(at, piece, proper, capitals && !shouted) {
            return read;
        }
        let (sense, taken) = self.sense(at);
        self.asked(at, taken);
        match sense {
            Some(sense) if sense.known => self.sensed(at, taken, sense, proper && !capitals),
            other => {
                if let Some(sense) = other {
                    self.role_of(sense);
                }
                self.flush();
                let lower = self.lower_of(at);
                let key = key_of(&stem(lower, self.tongue));
                // Two letters and less that nobody knows are seldom anything but a name or a slip: kept as they are.
                self.say(Kind::Word, key, piece, proper);
            }
        }
        taken
    }

    /// What letter case decides: `US`, `WHO`, vitamin `A`, the language `Go`; letters that are units after a number.
    fn lettered(&mut self, at: usize, piece: Piece<'a>, proper: bool, capitals: bool) -> Option<usize> {
        let after_number = at
            .checked_sub(1)
            .and_then(|before| self.tokens.get(before))
            .is_some_and(|token| token.piece.shape == Shape::Number);
        if after_number {
            let unit = match piece.text {
                "m" => "meter",
                "g" => "gram",
                "l" | "L" => "liter",
                "s" => "seconds",
                "h" => "hour",
                "d" if piece.glued => "day",
                "C" => "celsius",
                "F" => "fahrenheit",
                "in" if piece.glued => "inch",
                "k" | "K" if piece.glued => "thousands",
                "x" if piece.glued => "times",
                "st" | "nd" | "rd" | "th" if piece.glued => return Some(1),
                _ => "",
            };
            let halves = matches!(self.lower_of(at), "am" | "pm");
            if halves || !unit.is_empty() {
                self.flush();
                let sense = self
                    .lexicon
                    .get(Spelling::NONE.with(unit.as_bytes()))
                    .filter(|sense| sense.known);
                let (kind, key) = match sense {
                    Some(sense) if sense.class == Class::Time => (Kind::Time, u64::from(sense.group)),
                    Some(sense) if sense.class == Class::Unit => (Kind::Unit, u64::from(sense.group)),
                    _ if halves => (Kind::Date, key_of(self.lower_of(at))),
                    _ => (Kind::Unit, key_of(unit)),
                };
                self.say(kind, key, piece, false);
                return Some(1);
            }
        }
        let key = match piece.text {
            "US" | "USA" => u64::from(self.lexicon.get(Spelling::NONE.with(b"usa"))?.group),
            "A" if !piece.first => key_of("A"),
            "IT" | "WHO" | "OR" | "IN" | "ME" | "OF" | "AM" | "IS" | "AS" | "AT" | "HE" if capitals => {
                key_of(piece.text)
            }
            "Go" if proper => key_of("golang"),
            _ => return None,
        };
        self.flush();
        let kind = match piece.text {
            "Go" => Kind::Program,
            "US" | "USA" => Kind::Known,
            _ => Kind::Word,
        };
        let key = match (kind, self.lexicon.get(Spelling::NONE.with(b"golang"))) {
            (Kind::Program, Some(sense)) => u64::from(sense.group),
            _ => key,
        };
        self.say(kind, key, piece, kind != Kind::Program);
        Some(1)
    }

    /// What is known of the longest phrase that begins there, and how many tokens it has.
    fn sense(&self, at: usize) -> (Option<Sense>, usize) {
        let word = Spelling::NONE.with(self.lower_of(at).as_bytes());
        let found = self.lexicon.get(word);
        let reach = found.map_or(0, |sense| usize::from(sense.reach));
        let mut best = (found, 1);
        let mut spelling = word;
        for next in 1..reach {
            let Some(token) = self
                .tokens
                .get(at + next)
                .filter(|token| token.piece.shape == Shape::Word)
            else {
                break;
            };
            if token.piece.first {
                break;
            }
            spelling = spelling.with(b"_").with(self.lower_of(at + next).as_bytes());
            if let Some(sense) = self.lexicon.get(spelling).filter(|sense| sense.known) {
                best = (Some(sense), next + 1);
            }
        }
        if best.0.is_none_or(|sense| !sense.known) && self.tongue == Tongue::English {
            let bare = stem(self.lower_of(at), self.tongue);
            if let Some(sense) = self.lexicon.get(Spelling::NONE.with(bare.as_bytes())).filter(|sense| sense.known) {
                return (Some(sense), 1);
            }
        }
        best
    }

    /// How the question is asked.
    fn asked(&mut self, at: usize, taken: usize) {
        if self.tongue != Tongue::English || self.form == Form::How {
            return;
        }
        match self.lower_of(at) {
            "how" if taken == 1 || matches!(self.lower_of(at + 1), "to" | "do" | "can") => self.form = Form::How,
            "steps" | "way" | "guide" | "tutorial" | "instructions" => self.form = Form::How,
            "is" | "are" | "does" | "did" | "should" | "was" | "were" | "will"
                if self.words.is_empty() && self.form == Form::Plain && self.length <= 3 =>
            {
                self.form = Form::Decide
            }
            _ => {}
        }
    }

    fn role_of(&mut self, sense: Sense) {
        if sense.role != 0 {
            self.role = sense.role;
            self.than |= sense.role == 8;
        }
        self.symmetric |= sense.symmetric;
    }

    fn sensed(&mut self, at: usize, taken: usize, sense: Sense, proper: bool) {
        self.role_of(sense);
        let Some(token) = self.tokens.get(at) else { return };
        let (mut piece, capital) = (token.piece, token.capital);
        if let Some(last) = self.tokens.get(at + taken - 1) {
            let end = last.piece.at + last.piece.text.len();
            piece.text = self.text.get(piece.at..end).unwrap_or(piece.text);
        }
        let group = u64::from(sense.group);
        if sense.class != Class::Number {
            self.flush();
        }
        match sense.class {
            // A preposition reaches over articles, and no further.
            Class::Stop if sense.role == 0 && taken == 1 && ARTICLES.contains(&self.lower_of(at)) => {}
            Class::Stop if sense.role == 0 => self.role = 0,
            Class::Stop | Class::Unknown => {}
            Class::Not => self.negations = self.negations.saturating_add(1),
            Class::Number | Class::Ordinal => self.speak(group, piece),
            Class::Date if !self.dated(at, capital && !piece.first) => {
                if !matches!(self.lower_of(at), "may" | "am") {
                    let key = key_of(self.lower_of(at));
                    self.say(Kind::Word, key, piece, false);
                }
            }
            Class::Date => self.say(Kind::Date, group, piece, false),
            Class::Unit => self.say(Kind::Unit, group, piece, false),
            Class::Time => self.say(Kind::Time, group, piece, false),
            Class::Program => self.say(Kind::Program, group, piece, false),
            Class::Language => self.say(Kind::Language, group, piece, false),
            Class::Format => self.say(Kind::Format, group, piece, false),
            Class::Operator => self.say(Kind::Sign, group, piece, false),
            Class::Name => self.say(Kind::Known, group, piece, proper),
            Class::Synonym => self.say(Kind::Known, group, piece, false),
            Class::Aspect => self.say(Kind::Aspect, group, piece, false),
            // `over Paris` says where, `over 5` how many.
            Class::Strict if LOOSE.contains(&self.lower_of(at)) && !self.counts(at + 1) => {}
            Class::Strict => self.say(Kind::Strict, group + u64::from(sense.side), piece, false),
            Class::Pole if sense.polar => self.say(Kind::Polarity, group + u64::from(sense.side), piece, false),
            Class::Pole => self.say(Kind::Modifier, group + u64::from(sense.side), piece, false),
            Class::Weak => {
                let key = key_of(&stem(self.lower_of(at), self.tongue));
                self.say(Kind::Weak, key, piece, false);
            }
        }
    }

    /// `may`, `march`, `sun`, `second` and their like are dates only where a capital or a number says so.
    fn dated(&self, at: usize, capital: bool) -> bool {
        if self.tongue != Tongue::English
            || !matches!(
                self.lower_of(at),
                "may" | "march" | "mar" | "sat" | "sun" | "mon" | "wed" | "am" | "dec" | "jan" | "now"
            )
        {
            return true;
        }
        capital || at.checked_sub(1).is_some_and(|before| self.counts(before)) || self.counts(at + 1)
    }

    /// Is a number in digits.
    fn counts(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.piece.shape == Shape::Number)
    }

    fn number(&mut self, piece: Piece<'a>) {
        let mut spelling = Spelling::NONE;
        let bytes = piece.text.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            // A comma before three digits groups, any other is kept.
            let groups = *byte == b','
                && bytes
                    .get(at + 1..at + 4)
                    .is_some_and(|three| three.iter().all(u8::is_ascii_digit))
                && !bytes.get(at + 4).is_some_and(u8::is_ascii_digit);
            if !groups {
                spelling = spelling.with(&[*byte]);
            }
        }
        self.say(Kind::Number, spelling.key(), piece, false);
    }

    /// A number in words, which may go on the one before.
    fn speak(&mut self, value: u64, piece: Piece<'a>) {
        let joined = match (self.spoken, value) {
            (Some(tens), 1..=9) if tens % 10 == 0 && tens % 100 >= 20 => Some(tens + value),
            (Some(count), 100 | 1000) if count > 0 && count < value => count.checked_mul(value),
            (Some(many), _) if many >= 100 && value < 100 && many % 100 == 0 => many.checked_add(value),
            _ => None,
        };
        if joined.is_none() {
            self.flush();
        }
        let value = joined.unwrap_or(value);
        // Its place is kept by a word that `flush` fills in.
        self.spoken = Some(value);
        if joined.is_none() {
            self.say(Kind::Number, 0, piece, false);
        }
    }

    /// Fills in the number in words that has ended.
    fn flush(&mut self) {
        let Some(value) = self.spoken.take() else { return };
        let kind = if value == 1 { Kind::One } else { Kind::Number };
        let key = key_of(&value.to_string());
        if let Some(word) = self.words.last_mut() {
            (word.kind, word.key) = (kind, key);
        }
        if let Some(fact) = self.facts.last_mut() {
            (fact.kind, fact.key) = (kind, key);
        }
    }

    fn sign(&mut self, at: usize, piece: Piece<'a>) {
        self.flush();
        let numbers = at.checked_sub(1).is_some_and(|before| self.counts(before)) || self.counts(at + 1);
        let named = match piece.text {
            "%" => "percent",
            "$" => "dollar",
            "€" => "eur",
            "£" => "gbp",
            "¥" => "jpy",
            "+" => "plus",
            "-" | "−" if numbers => "minus",
            "*" | "×" if numbers => "times",
            "/" | "÷" if numbers => "divided_by",
            "°" | "*" | "–" | "—" | "-" | "/" => return,
            _ => "",
        };
        match self
            .lexicon
            .get(Spelling::NONE.with(named.as_bytes()))
            .filter(|sense| sense.known)
        {
            Some(sense) if sense.class == Class::Unit => self.say(Kind::Unit, u64::from(sense.group), piece, false),
            Some(sense) => self.say(Kind::Sign, u64::from(sense.group), piece, false),
            None => self.say(Kind::Sign, key_of(piece.text), piece, false),
        }
    }

    /// What is kept as it is written.
    fn literal(&mut self, shape: Shape, piece: Piece<'a>, at: usize) {
        let exact = piece.text.trim_end_matches("()");
        match shape {
            Shape::Quote => {
                let inner = piece.text.trim_end_matches(['.', ',', '!', '?', ';', ':']);
                self.say(Kind::Quote, key_of(inner), piece, false);
            }
            Shape::Code if exact.contains(char::is_whitespace) => self.say(Kind::Code, key_of(exact), piece, false),
            Shape::Code | Shape::Identifier => self.say(Kind::Identifier, key_of(exact), piece, false),
            Shape::Address => self.say(Kind::Address, key_of(exact.trim_end_matches('/')), piece, false),
            _ => {
                let key = key_of(self.lower_of(at));
                self.say(Kind::Identifier, key, piece, false);
            }
        }
    }

    fn say(&mut self, kind: Kind, key: u64, piece: Piece<'a>, proper: bool) {
        let before = self.words.last().copied();
        let counts = |kind: Kind| matches!(kind, Kind::Number | Kind::One);
        if counts(kind)
            && let Some(unit) = self
                .words
                .last_mut()
                .filter(|word| word.kind == Kind::Unit && piece.glued)
        {
            unit.role = lexicon::COUNTED;
        }
        let role = match self.role {
            _ if matches!(kind, Kind::Unit | Kind::Time) && before.is_some_and(|word| counts(word.kind)) => {
                lexicon::COUNTED
            }
            // What `and` joins has the role of what it is joined to.
            lexicon::AND => before.map_or(0, |word| word.role),
            // A name of several words has one role.
            0 => before
                .filter(|word| word.proper && proper && piece.at > 0)
                .map_or(0, |word| word.role),
            role => role,
        };
        if kind != Kind::Weak || self.role == lexicon::AND {
            self.role = 0;
        }
        let at = u16::try_from(piece.at).unwrap_or(u16::MAX);
        let length = u16::try_from(piece.text.len()).unwrap_or(u16::MAX);
        self.facts.push(Fact {
            key,
            kind,
            proper,
            at,
            length,
        });
        self.words.push(Word {
            key,
            kind,
            role,
            proper,
        });
    }
}
