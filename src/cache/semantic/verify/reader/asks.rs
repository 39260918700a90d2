//! How a question asks: for who does something or for what it is done to, for leave or for a duty, for what is done by or to the asker;
//! and what of it has the shape of an expression.
//!
//! Not what it is about. The one idea: the small words that say nothing of the subject say who is who in it, so that *what causes X* and
//! *what does X cause* differ though they have the same words.

use super::super::Tongue;
use super::super::lexicon::{Class, Spelling, key_of};
use super::super::scan::Shape;
use super::super::stem::stem;
use super::Reader;

/// Which part of the sentence is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gap {
    /// None, or it is not told.
    #[default]
    None,
    /// Who or what does it.
    Subject,
    /// Whom or what it is done to.
    Object,
}

/// What the first word of a yes-or-no question is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Opening {
    /// It is none.
    #[default]
    Other,
    /// `is`, `was`, with what it is about after it.
    Be,
    /// `does`, `did`.
    Do,
}

/// What is asked for by a modal verb.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Leave {
    /// There is none.
    #[default]
    None,
    /// `can I`, `may I`.
    May,
    /// `must I`, `do I have to`.
    Must,
    /// `should I`.
    Should,
}

/// How a question asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asks {
    pub gap: Gap,
    pub opening: Opening,
    pub leave: Leave,
    /// Something is done to the asker.
    pub suffers: bool,
    /// There is a `by`.
    pub agent: bool,
    /// There is a passive.
    pub passive: bool,
    /// The key of what `how many` counts; 0 without it.
    pub counts: u64,
    /// There is a `whose`.
    pub whose: bool,
    /// Digest of the order of `and` and `or`, where there are both; else 0.
    pub joins: u64,
    /// Asks for nothing but what it is: `what is X`.
    pub defines: bool,
    /// Asks for a meaning, in so many words.
    pub means: bool,
    /// Digest of the operators and what stands beside them; 0 without any.
    pub code: u64,
}

/// What says nothing at the beginning.
const OPENERS: [&str; 26] = [
    "hi", "hello", "hey", "please", "pls", "thanks", "so", "ok", "okay", "quick", "question", "tell", "me", "do",
    "you", "know", "can", "could", "would", "i", "want", "to", "bitte", "hallo", "sag", "mir",
];
/// `tell me a joke` is for the asker, and nothing is done to him.
const SERVES: [&str; 24] = [
    "tell",
    "give",
    "show",
    "help",
    "let",
    "lets",
    "write",
    "teach",
    "find",
    "recommend",
    "suggest",
    "remind",
    "get",
    "send",
    "make",
    "explain",
    "describe",
    "to",
    "for",
    "advise",
    "walk",
    "guide",
    "assist",
    "inform",
];

impl Reader<'_> {
    /// Reads it from the small words.
    pub(super) fn asks(&self) -> Asks {
        let mut asks = Asks {
            code: expression(self.text),
            ..Asks::default()
        };
        if self.tongue == Tongue::Other {
            return asks;
        }
        asks.leave = self.leave();
        if self.tongue != Tongue::English {
            return asks;
        }
        let count = self.tokens.len().min(64);
        asks.agent = (0..count).any(|at| self.lower_of(at) == "by");
        asks.counts = self.counted(count);
        asks.whose = (0..count).any(|at| self.lower_of(at) == "whose");
        asks.passive = (0..count).any(|at| self.suffered(at));
        asks.joins = self.joins(count);
        asks.gap = self.gap(count);
        asks.opening = self.opening();
        let explains = (0..count).any(|at| matches!(self.lower_of(at), "explain" | "describe" | "summarize"));
        for at in 0..count {
            let shouted = self.tokens.get(at).is_some_and(|token| token.capitals);
            let before = at.checked_sub(1).map_or("", |before| self.lower_of(before));
            match self.lower_of(at) {
                "me" if at >= 3 && !explains && before == "to" => asks.suffers = true,
                "me" | "us" if at >= 3 && !shouted && !(SERVES.contains(&before) && self.requests(at - 1)) => {
                    asks.suffers = true
                }
                _ => {}
            }
        }
        asks.means = (0..count).any(|at| {
            matches!(
                self.lower_of(at),
                "define" | "definition" | "meaning" | "mean" | "means" | "meant"
            )
        });
        let begin = (0..count).find(|at| !self.opened(at + 1)).unwrap_or(0);
        asks.defines = matches!(self.lower_of(begin), "explain" | "whats")
            || self.lower_of(begin) == "what" && matches!(self.lower_of(begin + 1), "is" | "are")
            || self.lower_of(begin) == "what" && self.text.contains(['\'', '’']);
        asks
    }

    /// The verb there is what is asked of the answerer: `can you help me`.
    fn requests(&self, at: usize) -> bool {
        let before = at.checked_sub(1).map_or("", |before| self.lower_of(before));
        let asked = [
            "you", "to", "please", "can", "and", "someone", "anyone", "kindly", "just", "then", "could", "would",
        ];
        asked.contains(&before) || self.tokens.get(at).is_some_and(|token| token.piece.first)
    }

    /// Whether these are all words that say nothing at the beginning.
    fn opened(&self, until: usize) -> bool {
        (0..until).all(|at| OPENERS.contains(&self.lower_of(at)))
    }

    fn gap(&self, count: usize) -> Gap {
        if (0..count).any(|at| self.lower_of(at) == "why" && self.opened(at)) {
            return Gap::Subject;
        }
        let asking = |at: &usize| matches!(self.lower_of(*at), "who" | "whom" | "what" | "which");
        let nominal =
            (1..count).any(|at| self.lower_of(at) == "of" && matches!(self.lower_of(at - 1), "cause" | "causes"));
        let Some(at) = (0..count).find(asking) else {
            return if nominal { Gap::Subject } else { Gap::None };
        };
        if at > 0 && self.lower_of(at - 1) == "by" {
            return Gap::Subject;
        }
        if !self.opened(at) {
            return if nominal { Gap::Subject } else { Gap::None };
        }
        for next in at + 1..(at + 5).min(count) {
            match self.lower_of(next) {
                "do" | "does" | "did" => return Gap::Object,
                // `who was X killed by`
                "was" | "were" | "is" | "are" if count > next + 1 && self.lower_of(count - 1) == "by" => {
                    return Gap::Subject;
                }
                "was" | "were" | "is" | "are" if (next + 1..count).any(|at| self.lower_of(at) == "by") => {
                    return Gap::Object;
                }
                "is" | "are" | "was" | "were" | "s" | "has" | "have" | "had" | "will" | "would" | "can" | "could"
                | "should" | "may" | "might" | "must" | "to" => {
                    return if nominal { Gap::Subject } else { Gap::None };
                }
                _ => {}
            }
        }
        let apostrophe = self
            .tokens
            .get(at)
            .is_some_and(|token| token.piece.text.contains(['\'', '’']));
        if apostrophe || at + 1 >= count {
            Gap::None
        } else {
            Gap::Subject
        }
    }

    /// A form of `be` that makes a passive with what follows.
    fn suffered(&self, at: usize) -> bool {
        if matches!(self.lower_of(at), "be" | "been" | "being") {
            return true;
        }
        let done = |word: &str| {
            let regular = word.len() > 4 && word.ends_with("ed") && !word.ends_with("eed");
            let other = matches!(
                word,
                "written"
                    | "made"
                    | "taken"
                    | "given"
                    | "sold"
                    | "built"
                    | "sent"
                    | "done"
                    | "shown"
                    | "found"
                    | "known"
                    | "kept"
                    | "held"
                    | "cut"
                    | "set"
                    | "eaten"
                    | "won"
                    | "bought"
                    | "grown"
                    | "taught"
                    | "beaten"
                    | "drawn"
                    | "born"
                    | "paid"
                    | "told"
                    | "chosen"
                    | "driven"
                    | "stolen"
                    | "torn"
                    | "lost"
                    | "spent"
                    | "brought"
            );
            (regular || other) && !matches!(word, "allowed" | "supposed" | "permitted" | "married" | "indeed")
        };
        matches!(self.lower_of(at), "is" | "are" | "was" | "were" | "get" | "gets")
            && (at + 1..at + 7).any(|at| done(self.lower_of(at)))
    }

    fn counted(&self, count: usize) -> u64 {
        let many = |at: &usize| self.lower_of(*at) == "how" && self.lower_of(at + 1) == "many";
        let Some(at) = (0..count).find(many).map(|at| at + 2).filter(|at| *at < count) else {
            return 0;
        };
        let word = self.lower_of(at);
        match self.lexicon.get(Spelling::NONE.with(word.as_bytes())) {
            Some(sense) if matches!(sense.class, Class::Unit | Class::Time | Class::Synonym | Class::Name) => {
                u64::from(sense.group)
            }
            _ => key_of(&stem(word, self.tongue)),
        }
    }

    fn joins(&self, count: usize) -> u64 {
        let joins = (0..count)
            .map(|at| self.lower_of(at))
            .filter(|word| matches!(*word, "and" | "or"));
        let (mut spelling, mut kinds) = (Spelling::NONE, [false; 2]);
        for word in joins {
            spelling = spelling.with(word.as_bytes()).with(b" ");
            kinds = [kinds[0] || word == "and", kinds[1] || word == "or"];
        }
        if kinds == [true; 2] { spelling.key() } else { 0 }
    }

    fn opening(&self) -> Opening {
        let first =
            (0..self.tokens.len().min(8)).find(|at| !matches!(self.lower_of(*at), "hi" | "hello" | "hey" | "please"));
        let Some(first) = first else { return Opening::Other };
        if matches!(
            self.lower_of(first + 1),
            "it" | "there" | "i" | "you" | "we" | "they" | "that" | "this" | "not"
        ) {
            return Opening::Other;
        }
        match self.lower_of(first) {
            "is" | "are" | "was" | "were" => Opening::Be,
            "do" | "does" | "did" => Opening::Do,
            _ => Opening::Other,
        }
    }

    fn leave(&self) -> Leave {
        for at in 0..self.tokens.len().min(8) {
            let (word, next) = (self.lower_of(at), self.lower_of(at + 1));
            let begins = at == 0 || self.opened(at);
            let found = match (self.tongue, word, next) {
                (Tongue::English, "can" | "could" | "may" | "might", next) if begins && next != "you" => Leave::May,
                (Tongue::English, "must", _) if begins => Leave::Must,
                (Tongue::English, "do" | "does", _)
                    if begins && matches!(self.lower_of(at + 2), "have" | "need") && self.lower_of(at + 3) == "to" =>
                {
                    Leave::Must
                }
                (Tongue::English, "should", _) if begins => Leave::Should,
                (Tongue::English, "how" | "what" | "why" | "where" | "when" | "which" | "who", _) => {
                    return Leave::None;
                }
                (Tongue::German, "darf" | "dürfen" | "kann" | "können", next)
                    if !matches!(next, "du" | "sie" | "mir") =>
                {
                    Leave::May
                }
                (Tongue::German, "muss" | "müssen" | "muß", _) => Leave::Must,
                (Tongue::German, "soll" | "sollte" | "sollten", _) => Leave::Should,
                (Tongue::French, "peux" | "puis" | "pouvons", next) if next != "tu" => Leave::May,
                (Tongue::French, "puis-je", _) => Leave::May,
                (Tongue::French, "dois" | "devons" | "dois-je", _) => Leave::Must,
                (Tongue::Spanish, "puedo" | "podemos", _) => Leave::May,
                (Tongue::Spanish, "debo" | "debemos", _) => Leave::Must,
                (Tongue::Spanish, "tengo", "que") => Leave::Must,
                _ => continue,
            };
            return found;
        }
        Leave::None
    }

    /// `when` and `where` that ask, rather than say under which circumstances.
    pub(super) fn inquires(&self, at: usize) -> bool {
        let next = self.lower_of(at + 1);
        let before = at.checked_sub(1).map_or("", |before| self.lower_of(before));
        let asks = matches!(
            next,
            "" | "is"
                | "are"
                | "was"
                | "were"
                | "do"
                | "does"
                | "did"
                | "will"
                | "would"
                | "can"
                | "could"
                | "should"
                | "has"
                | "have"
                | "had"
                | "to"
                | "must"
                | "may"
                | "s"
                | "exactly"
        );
        let told = matches!(
            before,
            "me" | "know"
                | "wonder"
                | "wondering"
                | "ask"
                | "about"
                | "explain"
                | "and"
                | "or"
                | "since"
                | "decide"
                | "remember"
                | "out"
                | "on"
                | "date"
        );
        asks || told || at + 1 >= self.tokens.len()
    }

    /// A sentence that begins with what is to be done, such as `write`.
    pub(super) fn demanded(&self, at: usize) -> bool {
        let quiet = |at: usize| {
            let word = self.lower_of(at);
            let stop = self
                .lexicon
                .get(Spelling::NONE.with(word.as_bytes()))
                .is_some_and(|sense| sense.class == Class::Stop);
            stop && !matches!(
                word,
                "how" | "what" | "which" | "who" | "whom" | "does" | "did" | "do" | "is" | "are" | "was" | "were"
            ) || matches!(word, "help" | "need" | "like")
        };
        let starts = self.tokens.get(at).is_some_and(|token| token.piece.first);
        starts
            || (0..at).all(|before| {
                quiet(before)
                    || self
                        .tokens
                        .get(before)
                        .is_some_and(|token| token.piece.shape != Shape::Word)
            })
    }
}

/// Digest of the operators of a text that looks like an expression or code, with what is written beside them.
fn expression(text: &str) -> u64 {
    let looks =
        text.contains(['=', '<', '>', '{', '}']) || ["&&", "||", "++", ":="].iter().any(|sign| text.contains(sign));
    if !looks {
        return 0;
    }
    let operator = |c: char| "=<>!+-*/%&|^~{}[]();".contains(c);
    let mut spelling = Spelling::NONE;
    let parts: Vec<&str> = text.split_whitespace().collect();
    let signs = |at: Option<usize>| {
        at.and_then(|at| parts.get(at))
            .is_some_and(|part| part.chars().all(operator))
    };
    for (at, part) in parts.iter().enumerate() {
        let joins = matches!(*part, "and" | "or" | "xor" | "not" | "in" | "is");
        if joins
            && (signs(at.checked_sub(2)) || signs(Some(at + 2)))
            && !signs(at.checked_sub(1))
            && !signs(Some(at + 1))
        {
            spelling = spelling.with(part.as_bytes()).with(b" ");
            continue;
        }
        let bare = part.trim_end_matches(['?', '.', ',', ':', '!']);
        let beside = signs(at.checked_sub(1)) || signs(Some(at + 1));
        let core = bare.trim_matches(['(', ')', '[', ']', ';', ',']);
        let short = core.chars().count() == 1 || core.contains(|c: char| c.is_ascii_digit() || c == '_');
        let prose = bare.starts_with('(') || bare.ends_with(')');
        let word = bare
            .chars()
            .all(|c| c.is_alphanumeric() || c == '-' || c == '\'' || c == '/');
        let plain = word && !bare.contains(|c: char| c.is_ascii_digit());
        let bracketed = prose && !bare.contains(['=', ';', '<', '>']);
        let operates = bare.contains(operator) && !plain && !bracketed;
        if operates || beside && short {
            spelling = spelling.with(bare.as_bytes()).with(b" ");
        }
    }
    spelling.key()
}
