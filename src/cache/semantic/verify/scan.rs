//! A text taken apart: words, numbers, quoted and code spans, identifiers, addresses, signs.
//!
//! Not what they mean (`lexical`). The one idea: what is between white space is looked at once, from its shape alone, and whatever has
//! the shape of code keeps its letter case and is never taken apart.

/// What a piece of text has the shape of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Letters.
    Word,
    /// Digits, with separators.
    Number,
    /// Between quotation marks.
    Quote,
    /// Between backticks.
    Code,
    /// `snake_case`, `camelCase`, a path, a flag, letters with digits: case counts.
    Identifier,
    /// Letters with digits, such as `S22`: case does not count.
    Model,
    /// A URL or e-mail address.
    Address,
    /// `+`, `≤`, an emoji.
    Sign,
}

/// A piece of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    pub shape: Shape,
    pub text: &'a str,
    /// Byte of the text where it begins.
    pub at: usize,
    /// A sentence begins here, so that a capital says nothing.
    pub first: bool,
    /// Written together with the piece before: `5km`.
    pub glued: bool,
}

/// Writing without spaces: each character is a word.
pub(super) fn unspaced(c: char) -> bool {
    matches!(u32::from(c), 0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x2e80..=0x2fff | 0x3040..=0x30ff | 0x3100..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x3ffff)
}

const OPEN: &[char] = &[
    '(', '[', '{', '<', ',', ';', ':', '!', '?', '¿', '¡', '*', '"', '\'', '“', '”', '„', '’', '‘', '«', '»', '…', '_',
    '~', '|',
];
const CLOSE: &[char] = &[
    ')', ']', '}', '>', ',', ';', ':', '!', '?', '.', '*', '"', '\'', '“', '”', '’', '‘', '«', '»', '…', '~', '|',
    '，', '。', '？', '！', '、',
];

/// Takes a text apart; at most `most` pieces are handed on, and `false` says that there are more.
pub(super) fn pieces<'a>(text: &'a str, most: usize, mut each: impl FnMut(Piece<'a>)) -> bool {
    let mut scanner = Scanner {
        text,
        first: true,
        glued: false,
        left: most,
        each: &mut each,
    };
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
        if rest.get(..start).is_some_and(|gap| gap.contains('\n')) {
            scanner.first = true;
        }
        rest = rest.get(start..).unwrap_or("");
        let at = text.len() - rest.len();
        let taken = match spanned(
            rest,
            at.checked_sub(1)
                .and_then(|before| text.as_bytes().get(before))
                .copied(),
        ) {
            Some((shape, inner, taken)) => {
                scanner.give(shape, inner);
                taken
            }
            None => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                // A code or quoted span may begin within: `f("x y")`.
                let end = rest
                    .get(1..end)
                    .and_then(|inner| inner.find('`'))
                    .map_or(end, |tick| tick + 1);
                let end = if rest.is_char_boundary(end) { end } else { rest.len() };
                scanner.chunk(rest.get(..end).unwrap_or(rest));
                end.max(1)
            }
        };
        rest = rest.get(taken..).unwrap_or("");
        if scanner.left == 0 {
            return false;
        }
    }
    true
}

/// A quoted or code span at the beginning of `rest`: its shape, what is inside, how long it is with its marks.
fn spanned(rest: &str, before: Option<u8>) -> Option<(Shape, &str, usize)> {
    let mark = rest.chars().next()?;
    let (shape, close) = match mark {
        '`' => (Shape::Code, '`'),
        '"' => (Shape::Quote, '"'),
        '“' | '„' | '”' => (Shape::Quote, if mark == '„' { '“' } else { '”' }),
        '«' => (Shape::Quote, '»'),
        '「' => (Shape::Quote, '」'),
        '『' => (Shape::Quote, '』'),
        '‘' => (Shape::Quote, '’'),
        '\'' if before.is_none_or(|b| b.is_ascii_whitespace() || b == b'(') => (Shape::Quote, '\''),
        _ => return None,
    };
    let fence = if mark == '`' {
        rest.len() - rest.trim_start_matches('`').len()
    } else {
        mark.len_utf8()
    };
    let inner = rest.get(fence..)?;
    let length = if fence > 1 && mark == '`' {
        inner.find(rest.get(..fence)?)?
    } else if mark == '\'' || mark == '‘' {
        // An apostrophe is not an end.
        let mut ends = inner.char_indices().filter(|(_, c)| *c == close);
        ends.find(|(at, c)| {
            !inner
                .get(at + c.len_utf8()..)
                .and_then(|after| after.chars().next())
                .is_some_and(char::is_alphanumeric)
        })?
        .0
    } else {
        inner.find(close)?
    };
    let close = if mark == '`' { fence } else { close.len_utf8() };
    Some((shape, inner.get(..length)?.trim(), fence + length + close))
}

struct Scanner<'t, 'f, F: FnMut(Piece<'t>)> {
    text: &'t str,
    first: bool,
    glued: bool,
    left: usize,
    each: &'f mut F,
}

impl<'t, F: FnMut(Piece<'t>)> Scanner<'t, '_, F> {
    fn give(&mut self, shape: Shape, text: &'t str) {
        if text.is_empty() || self.left == 0 {
            return;
        }
        self.left -= 1;
        let at = (text.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        (self.each)(Piece {
            shape,
            text,
            at,
            first: self.first,
            glued: self.glued,
        });
        self.first = false;
        self.glued = true;
    }

    /// What is between two spaces.
    fn chunk(&mut self, chunk: &'t str) {
        self.glued = false;
        let opened = chunk.trim_start_matches(OPEN);
        let mut core = opened.trim_end_matches(CLOSE);
        let after = opened.get(core.len()..).unwrap_or("");
        // `foo()` keeps its brackets.
        if core
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
            && core.starts_with(|c: char| c.is_ascii_alphabetic())
            && after.starts_with("()")
        {
            core = opened.get(..core.len() + 2).unwrap_or(core);
        }
        if core.is_empty() {
            self.signs(chunk);
        } else {
            self.core(core);
        }
        if after.contains(['.', '?', '!', ':', '。', '？', '！']) {
            self.first = true;
        }
    }

    /// Punctuation alone: what is an operator is given on.
    fn signs(&mut self, chunk: &'t str) {
        if matches!(
            chunk,
            "<" | ">" | "*" | "|" | "~" | "<=" | ">=" | "==" | "!=" | "<>" | "||" | "**"
        ) {
            self.give(Shape::Sign, chunk);
        }
    }

    fn core(&mut self, core: &'t str) {
        if core.bytes().all(|b| b.is_ascii_alphabetic()) {
            return self.give(if humped(core) { Shape::Identifier } else { Shape::Word }, core);
        }
        if core.contains("://") || core.starts_with("www.") || mailed(core) {
            return self.give(Shape::Address, core);
        }
        if core.starts_with("--") && core.len() > 2
            || core.len() > 1 && core.starts_with('-') && core.contains(|c: char| c.is_ascii_alphabetic())
        {
            return self.give(Shape::Identifier, core);
        }
        if matches!(core, "c++" | "C++" | "C#" | "c#" | "F#" | "f#") {
            return self.give(Shape::Word, core);
        }
        if core.contains(unspaced) {
            return self.unspaced(core);
        }
        if core.contains([
            '_', '\\', '(', ')', '[', ']', '{', '}', '@', '=', '$', '&', ';', '"', ':',
        ]) || core.contains("->")
        {
            return self.dense(core);
        }
        self.mixed(core);
    }

    /// Characters that are words, and runs of others between them.
    fn unspaced(&mut self, core: &'t str) {
        let mut run = 0;
        for (at, c) in core.char_indices() {
            if unspaced(c) {
                let before = core.get(run..at).unwrap_or("");
                if !before.is_empty() {
                    self.mixed(before);
                }
                self.give(Shape::Word, core.get(at..at + c.len_utf8()).unwrap_or(""));
                run = at + c.len_utf8();
            }
        }
        let tail = core.get(run..).unwrap_or("").trim_matches(CLOSE);
        if !tail.is_empty() {
            self.mixed(tail);
        }
    }

    /// What looks like code: `f(3)` and `$5` are read, all else is kept whole.
    fn dense(&mut self, core: &'t str) {
        let clock = core.contains(':') && core.bytes().all(|b| b.is_ascii_digit() || b == b':');
        if clock {
            return self.give(Shape::Number, core);
        }
        if let Some(amount) = core
            .strip_prefix('$')
            .filter(|amount| amount.starts_with(|c: char| c.is_ascii_digit()))
        {
            self.give(Shape::Sign, core.get(..1).unwrap_or(""));
            return self.mixed(amount);
        }
        if let Some((name, inner)) = core.split_once('(')
            && !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase())
            && inner.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            && !inner.is_empty()
        {
            self.give(Shape::Word, name);
            return self.mixed(inner);
        }
        if let Some((before, after)) = core.split_once(['=', ':', ';', '&', '"', '(', ')', '[', ']'])
            && after.is_empty()
            && !before.is_empty()
        {
            return self.core(before);
        }
        if core.bytes().all(|b| matches!(b, b'=' | b'_' | b'-' | b'"' | b';')) {
            return;
        }
        // `(s)`, `and/or`, `"x",`: words stuck together by punctuation alone.
        self.give(Shape::Identifier, core);
    }

    /// Letters, digits, and what joins them.
    fn mixed(&mut self, core: &'t str) {
        let digits = core.bytes().filter(u8::is_ascii_digit).count();
        if core.starts_with(|c: char| c.is_ascii_digit() || ('٠'..='٩').contains(&c))
            || digits > 0 && core.starts_with(['.', '-', '+', '€', '£', '¥', '#', '−'])
        {
            return self.numeric(core);
        }
        if core.contains('/') {
            let parts = core.split('/').count();
            // `client/server` and `TCP/IP` are words, `src/Main` is a path.
            let capitals = core
                .split('/')
                .filter(|part| part.starts_with(char::is_uppercase))
                .count();
            if parts != 2
                || capitals == 1
                || digits > 0
                || !core.chars().all(|c| c.is_alphabetic() || c == '/' || c == '-')
            {
                return self.give(Shape::Identifier, core);
            }
            for part in core.split('/') {
                self.hyphened(part);
            }
            return;
        }
        if core.contains('.') {
            let initials = core
                .split('.')
                .all(|part| matches!(part.as_bytes(), [b] if b.is_ascii_uppercase()));
            let dotted = initials || matches!(core, "e.g" | "i.e" | "a.m" | "p.m");
            return self.give(if dotted { Shape::Word } else { Shape::Identifier }, core);
        }
        if digits > 0 {
            return self.give(Shape::Model, core);
        }
        self.hyphened(core);
    }

    /// Words with hyphens are given whole; who reads them takes them apart when the whole is unknown.
    fn hyphened(&mut self, core: &'t str) {
        if core.chars().any(char::is_alphabetic) {
            let shape = if humped(core) { Shape::Identifier } else { Shape::Word };
            return self.give(shape, core);
        }
        for (at, c) in core.char_indices() {
            let dash = matches!(c, '-' | '−') && core.chars().count() == 1;
            let sign = dash
                || c.is_ascii() && b"+*/^%".contains(&(c as u8))
                || !c.is_ascii()
                    && !c.is_alphanumeric()
                    && !matches!(c, '–' | '—' | '•' | '·' | '\u{fe0f}' | '\u{200d}' | '\u{200b}');
            if sign {
                self.give(Shape::Sign, core.get(at..at + c.len_utf8()).unwrap_or(""));
            }
        }
    }

    /// Begins with a digit or sign: numbers, what is glued to them, and the operators between.
    fn numeric(&mut self, core: &'t str) {
        let dated = core.len() == 10
            && core.bytes().enumerate().all(|(at, b)| {
                if at == 4 || at == 7 {
                    b == b'-'
                } else {
                    b.is_ascii_digit()
                }
            });
        if dated {
            for part in core.split('-') {
                self.give(Shape::Number, part);
            }
            return;
        }
        let mut rest = core;
        while let Some(c) = rest.chars().next() {
            let length = if c.is_ascii_digit() {
                let end = rest
                    .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ','))
                    .unwrap_or(rest.len());
                let end = rest.get(..end).unwrap_or("").trim_end_matches(['.', ',']).len();
                self.give(Shape::Number, rest.get(..end).unwrap_or(""));
                end
            } else if c.is_alphabetic() {
                let end = rest
                    .find(|c: char| !(c.is_alphanumeric() || c == '/' || c == '²' || c == '³'))
                    .unwrap_or(rest.len());
                let run = rest.get(..end).unwrap_or("");
                self.give(
                    if run.bytes().any(|b| b.is_ascii_digit()) {
                        Shape::Model
                    } else {
                        Shape::Word
                    },
                    run,
                );
                end
            } else {
                if !matches!(c, '#' | ',' | '.' | '\'') {
                    self.give(Shape::Sign, rest.get(..c.len_utf8()).unwrap_or(""));
                }
                c.len_utf8()
            };
            rest = rest.get(length.max(1)..).unwrap_or("");
        }
    }
}

/// Has a capital after a small letter, as `getUser`.
fn humped(word: &str) -> bool {
    word.as_bytes()
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()))
}

fn mailed(core: &str) -> bool {
    core.split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
}
