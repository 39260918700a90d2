//! Reads a question's pieces into facts: what each word or phrase says, in which role.
//!
//! Not the shapes of pieces (`scan`) nor the tables (`lexicon`). The one idea: the longest known phrase wins; what no table knows says
//! itself, without its endings.

mod asks;
mod figures;
mod letters;

pub(super) use asks::{Asks, Gap, Leave, Opening};

use super::Tongue;
use super::lexical::{Fact, Form, Kind, Word};
use super::lexicon::{self, Class, Lexicon, Sense, Spelling, key_of};
use super::scan::{Piece, Shape};
use super::stem::stem;

/// What may stand between a preposition and what it is about.
const ARTICLES: [&str; 40] = [
    "the", "a", "an", "my", "our", "your", "his", "her", "its", "their", "this", "that", "these", "those", "some",
    "any", "der", "die", "das", "den", "dem", "des", "ein", "eine", "einen", "einem", "einer", "le", "la", "les", "l",
    "un", "une", "el", "los", "las", "una", "mi", "mein", "meine",
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

/// Weak words that are done.
const VERBS: [&str; 34] = [
    "convert",
    "use",
    "work",
    "show",
    "give",
    "list",
    "describe",
    "explain",
    "summarize",
    "provide",
    "write",
    "generate",
    "produce",
    "name",
    "find",
    "search",
    "look",
    "need",
    "take",
    "put",
    "keep",
    "see",
    "say",
    "discuss",
    "handle",
    "perform",
    "implement",
    "call",
    "understand",
    "include",
    "compose",
    "draft",
    "offer",
    "tell",
];
/// The month: a stop word too. As `lexicon` numbers months.
const MAY: u64 = 5;

/// In small letters, with the plain apostrophe.
pub(super) fn lowered(text: &str, into: &mut String) {
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

pub(super) struct Reader<'a> {
    lexicon: &'static Lexicon,
    tongue: Tongue,
    text: &'a str,
    lower: String,
    tokens: Vec<Token<'a>>,
    pub facts: Vec<Fact>,
    pub words: Vec<Word>,
    pub negations: u8,
    pub symmetric: bool,
    pub than: bool,
    pub length: u16,
    pub form: Form,
    pub asks: Asks,
    /// What is negated, by its key.
    pub denied: Vec<u64>,
    /// The next word that says something is negated.
    denies: bool,
    /// Role of the next word.
    role: u8,
    /// The last number in words, which the next may go on: `twenty` `five`.
    spoken: Option<u64>,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str, tongue: Tongue, pieces: &[Piece<'a>]) -> Self {
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
            asks: Asks::default(),
            denied: Vec::new(),
            denies: false,
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

    pub fn read(&mut self) {
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
        self.asks = self.asks();
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
            if let Some(sense) = self
                .lexicon
                .get(Spelling::NONE.with(bare.as_bytes()))
                .filter(|sense| sense.known)
            {
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
        if self.tongue == Tongue::English && self.lower_of(at) == "may" && self.dated(at, capital && !piece.first) {
            self.flush();
            return self.say(Kind::Date, MAY, piece, false);
        }
        if sense.class != Class::Number {
            self.flush();
        }
        match sense.class {
            // A preposition reaches over articles, and no further.
            Class::Stop if sense.role == 0 && taken == 1 && ARTICLES.contains(&self.lower_of(at)) => {}
            Class::Stop if sense.role == 0 => self.role = 0,
            Class::Stop | Class::Unknown => {}
            Class::Not => {
                self.negations = self.negations.saturating_add(1);
                // `doesn't the car start` is `does the car not start`; `isn't it true` is `is it not true`.
                self.denies = !piece.text.ends_with("n't") || self.lower_of(at + 1) == "it";
            }
            Class::Number | Class::Ordinal => self.speak(group, piece),
            Class::Date if !self.dated(at, capital && !piece.first) => {
                if !matches!(self.lower_of(at), "may" | "am") {
                    let key = key_of(self.lower_of(at));
                    self.say(Kind::Word, key, piece, false);
                }
            }
            Class::Date => self.say(Kind::Date, group, piece, false),
            Class::Unit => self.say(Kind::Unit, group, piece, false),
            // `the second wife` is a place in a row.
            Class::Time if self.lower_of(at) == "second" && self.ranks(at) => {
                self.say(Kind::Number, key_of("2"), piece, false);
            }
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
            // `when pregnant` is `while pregnant`.
            Class::Strict
                if taken == 1
                    && self.tongue == Tongue::English
                    && self.lower_of(at) == "when"
                    && !self.inquires(at) => {}
            Class::Strict => self.say(Kind::Strict, group + u64::from(sense.side), piece, false),
            Class::Pole if sense.polar => self.say(Kind::Polarity, group + u64::from(sense.side), piece, false),
            Class::Pole => self.say(Kind::Modifier, group + u64::from(sense.side), piece, false),
            Class::Weak => self.weak(at, piece),
        }
    }

    fn weak(&mut self, at: usize, piece: Piece<'a>) {
        let lower = self.lower_of(at);
        // `write a song` asks for it, `who wrote a song` asks about it.
        let writes = self.tongue == Tongue::English && matches!(lower, "write" | "writes" | "writing" | "written");
        if writes && !self.demanded(at) {
            let wrote = self.lexicon.get(Spelling::NONE.with(b"wrote"));
            let key = wrote.map_or(0, |sense| u64::from(sense.group));
            return self.say(Kind::Aspect, key, piece, false);
        }
        let key = key_of(&stem(lower, self.tongue));
        // `the way to convert A to B`: this `to` leads nowhere.
        let before = at.checked_sub(1).map_or("", |before| self.lower_of(before));
        let infinitive = before == "to" && VERBS.contains(&lower);
        self.say(Kind::Weak, key, piece, false);
        if infinitive {
            self.role = 0;
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
        let owns = piece.text.len() > 3 && (piece.text.ends_with("'s") || piece.text.ends_with("’s"));
        let role = if owns && role == 0 { lexicon::OF } else { role };
        if kind != Kind::Weak || self.role == lexicon::AND {
            self.role = 0;
        }
        if self.denies && kind != Kind::Weak {
            self.denied.push(key);
            self.denies = false;
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
