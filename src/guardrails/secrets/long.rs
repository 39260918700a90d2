//! Secrets that are longer than patterns may be: private keys in PEM and JSON Web Tokens.
//!
//! ```text
//! -----BEGIN RSA PRIVATE KEY-----⏎  lines of base 64, at most 4 KiB  -----END RSA PRIVATE KEY-----
//! eyJ… . eyJ… . …                   at most 8 KiB
//! ```
//! Not short ones (`rules`). The one idea: read by hand from where one may begin, which is rare, to where it is sure what it is. No two
//! of a sort that may begin lie within one another, so that what is undecided is never a chain of them.

use super::Kind;
use super::checks;
use super::entropy::bits;
use memchr::memmem;
use std::ops::Range;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
const PRIVATE_KEY: &[u8] = b"PRIVATE KEY";
const BLOCK: &[u8] = b" BLOCK";
/// The longest label: `ENCRYPTED `, `OPENSSH `, …, with `PRIVATE KEY BLOCK`.
const LABEL: usize = 64;
/// The longest body.
const BODY: usize = 4096;
/// The shortest line of base 64 that counts, if there is a digit in it: a word is none.
const LINE: usize = 16;
/// The most that lies between such lines: the headers of what is encrypted, a short line. Behind it comes something else.
const GAP: usize = 256;

const TOKEN: &[u8] = b"eyJ";
/// Of each part of a token: the shortest and longest, `eyJ` included.
const PARTS: [(usize, usize); 3] = [(12, 1024), (12, 6144), (16, 1024)];

/// Which of them are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Long {
    private_keys: bool,
    tokens: bool,
}

/// What begins somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// Where it ends, if it is one and the text ends here.
    end: Option<usize>,
    /// More text could change that.
    open: bool,
}

const NOTHING: Seen = Seen { end: None, open: false };
const UNDECIDED: Seen = Seen { end: None, open: true };

impl Long {
    /// Those among these sorts.
    pub fn new(kinds: &[Kind]) -> Self {
        Self {
            private_keys: kinds.contains(&Kind::PrivateKey),
            tokens: kinds.contains(&Kind::Jwt),
        }
    }

    /// What of `text[from..]` is found, in order.
    pub fn scan(self, text: &str, from: usize) -> Vec<(Range<usize>, Kind)> {
        let mut found = Vec::new();
        self.read(text, from, &mut |start, kind, seen| {
            found.extend(seen.end.map(|end| (start..end, kind)));
            seen.end
        });
        found
    }

    /// Where the end of `text` begins that is undecided, and what is found before it.
    pub fn open(self, text: &str, from: usize) -> (usize, Vec<(Range<usize>, Kind)>) {
        let mut found = Vec::new();
        let (mut open, mut sure) = (None, from);
        self.read(text, from, &mut |start, kind, seen| {
            if seen.open {
                open = Some(start);
                return Some(text.len());
            }
            found.extend(seen.end.map(|end| (start..end, kind)));
            sure = seen.end.unwrap_or(sure);
            seen.end
        });
        (open.unwrap_or_else(|| self.begun(text.as_bytes(), sure)), found)
    }

    /// Where what is found in `text[from..to]` differs first from what is sure to be found there, as [`Self::open`] had it.
    pub fn differs(self, text: &str, from: usize, to: usize, sure: &[(Range<usize>, Kind)]) -> Option<usize> {
        let mut sure = sure
            .iter()
            .map(|(span, _)| span.clone())
            .take_while(|span| span.start < to);
        let mut cut = self
            .scan(text.get(..to).unwrap_or(text), from)
            .into_iter()
            .map(|(span, _)| span);
        loop {
            match (sure.next(), cut.next()) {
                (None, None) => return None,
                (Some(sure), Some(cut)) if sure == cut => {}
                (sure, cut) => return [sure, cut].into_iter().flatten().map(|span| span.start).min(),
            }
        }
    }

    /// Read whatever begins, in order; `tell` says where to go on, if not directly behind the beginning.
    fn read(self, text: &str, from: usize, tell: &mut dyn FnMut(usize, Kind, Seen) -> Option<usize>) {
        let bytes = text.as_bytes();
        let next = |wanted: bool, what: &[u8], at: usize| {
            let rest = bytes.get(at..).filter(|_| wanted)?;
            memmem::find(rest, what).map(|found| at + found)
        };
        let mut key = next(self.private_keys, BEGIN, from);
        let mut token = next(self.tokens, TOKEN, from);
        let mut at = from;
        loop {
            if key.is_some_and(|key| key < at) {
                key = next(true, BEGIN, at);
            }
            if token.is_some_and(|token| token < at) {
                token = next(true, TOKEN, at);
            }
            let (start, kind, seen) = match (key, token) {
                (Some(key), token) if token.is_none_or(|token| key < token) => {
                    (key, Kind::PrivateKey, private_key(bytes, key))
                }
                (_, Some(start)) if begins_token(bytes, start) => (start, Kind::Jwt, token_at(text, start)),
                (_, Some(start)) => (start, Kind::Jwt, NOTHING),
                (_, None) => return,
            };
            at = tell(start, kind, seen).unwrap_or(start + 1);
        }
    }

    /// Where the end of a text begins that is the beginning of a beginning.
    fn begun(self, text: &[u8], from: usize) -> usize {
        let first = text.len().saturating_sub(BEGIN.len()).max(from);
        let begins = |at: &usize| {
            let rest = text.get(*at..).unwrap_or_default();
            self.private_keys && BEGIN.starts_with(rest)
                || self.tokens && TOKEN.starts_with(rest) && begins_token(text, *at)
        };
        (first..text.len()).find(begins).unwrap_or(text.len())
    }
}

/// The rest of `text` behind `what`; whether it could still come.
fn after(text: &[u8], at: usize, what: &[u8]) -> Result<usize, Seen> {
    let rest = text.get(at..).unwrap_or_default();
    if rest.starts_with(what) {
        Ok(at + what.len())
    } else if what.starts_with(rest) {
        Err(UNDECIDED)
    } else {
        Err(NOTHING)
    }
}

/// The end of what begins with `-----BEGIN ` at `at`.
fn private_key(text: &[u8], at: usize) -> Seen {
    let body = match label(text, at + BEGIN.len()) {
        Ok(body) => body,
        Err(seen) => return seen,
    };
    let rest = text.get(body..).unwrap_or_default();
    let rest = rest.get(..BODY).unwrap_or(rest);
    let inside =
        |byte: &u8| byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || br#"+/=\:;,.()<>@"'-"#.contains(byte);
    // Up to the dashes and no further: one beginning behind another must not read the same bytes again and again.
    let dashes = memmem::find(rest, DASHES);
    let before = rest.get(..dashes.unwrap_or(rest.len())).unwrap_or(rest);
    let other = before.iter().position(|byte| !inside(byte));
    let (length, dashes) = (other.unwrap_or(before.len()), dashes.filter(|_| other.is_none()));
    let (lines, over) = lines(rest.get(..length).unwrap_or(rest));
    let lines = lines.map(|end| body + end);
    if over || dashes.is_none() && (body + length < text.len() || length == BODY) {
        return Seen {
            end: lines,
            open: false,
        };
    }
    // Its last line follows, or more of it does, or it does not go on.
    let whole = after(text, body + length, END).and_then(|at| label(text, at));
    match (whole, lines) {
        (Ok(end), Some(_)) => Seen {
            end: Some(end),
            open: false,
        },
        (Ok(_), None) => NOTHING,
        (Err(seen), lines) => Seen {
            end: lines,
            open: seen.open,
        },
    }
}

/// The end of a label of private keys and of the dashes behind it.
fn label(text: &[u8], at: usize) -> Result<usize, Seen> {
    let rest = text.get(at..).unwrap_or_default();
    let inside = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ';
    let length = rest.iter().take(LABEL + 1).position(|byte| !inside(byte));
    let Some(length) = length else {
        return Err(if rest.len() > LABEL { NOTHING } else { UNDECIDED });
    };
    let name = rest.get(..length).unwrap_or_default();
    let name = name.strip_suffix(BLOCK).unwrap_or(name);
    if !name.ends_with(PRIVATE_KEY) {
        return Err(NOTHING);
    }
    after(text, at + length, DASHES)
}

/// The end of the last line of base 64 in a body, where there is one; whether the body ends before its bytes do. Lines end at anything
/// that is not base 64; `\n` escaped is an end too.
fn lines(body: &[u8]) -> (Option<usize>, bool) {
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let (mut end, mut at) = (None, 0);
    while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
        if at > end.unwrap_or(0) + GAP {
            return (end, true);
        }
        if let [b'\\', b'n' | b'r' | b't', ..] = rest {
            at += 2;
            continue;
        }
        let length = rest.iter().position(|byte| !base64(*byte)).unwrap_or(rest.len());
        let line = rest.get(..length).unwrap_or_default();
        if length >= LINE && line.iter().any(u8::is_ascii_digit) && bits(line) >= 3.0 {
            end = Some(at + length);
        }
        at += length.max(1);
    }
    (end, false)
}

/// Whether one may begin here: not within what tokens are made of, but behind the end of a line that is escaped. So there is one
/// beginning at most in a run of that.
fn begins_token(text: &[u8], at: usize) -> bool {
    match text.get(at.saturating_sub(2)..at) {
        Some([b'\\', b'n' | b'r' | b't']) => true,
        Some([.., before]) => !in_token(*before) && *before != b'.',
        _ => true,
    }
}

const fn in_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// The end of what begins with `eyJ` at `start`.
fn token_at(text: &str, start: usize) -> Seen {
    let bytes = text.as_bytes();
    let mut at = start;
    for (index, (least, most)) in PARTS.into_iter().enumerate() {
        let rest = bytes.get(at..).unwrap_or_default();
        let length = rest.iter().take(most + 1).position(|byte| !in_token(*byte));
        let last = index + 1 == PARTS.len();
        // The payload is an object too.
        if !last && !rest.starts_with(TOKEN.get(..rest.len().min(TOKEN.len())).unwrap_or(TOKEN)) {
            return NOTHING;
        }
        let Some(length) = length else {
            if rest.len() > most {
                return NOTHING;
            }
            let whole = last && rest.len() >= least && is_token(text, start, bytes.len());
            return Seen {
                end: whole.then_some(bytes.len()),
                open: true,
            };
        };
        if length < least {
            return NOTHING;
        }
        at += length;
        if !last {
            if bytes.get(at) != Some(&b'.') {
                return NOTHING;
            }
            at += 1;
        }
    }
    Seen {
        end: is_token(text, start, at).then_some(at),
        open: false,
    }
}

fn is_token(text: &str, start: usize, end: usize) -> bool {
    text.get(start..end).is_some_and(checks::random)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> usize {
        Long::new(Kind::ALL).open(text, 0).0
    }

    #[test]
    fn what_is_held() {
        assert_eq!(open("nothing here"), 12);
        assert_eq!(open(""), 0);
        assert_eq!(open("an e"), 3);
        assert_eq!(open("an ey"), 3);
        assert_eq!(open("they"), 4);
        assert_eq!(open("a - list --"), 9);
        assert_eq!(open("-----BEGIN CERT"), 0);
        assert_eq!(open("-----BEGIN CERTIFICATE-----"), 22, "dashes may begin another");
        assert_eq!(open("-----BEGIN CERTIFICATE-----\n"), 28);
        assert_eq!(
            open(&format!("é {}", concat!("-----BE", "GIN PRIVATE KEY-----\nMII"))),
            3
        );
        assert_eq!(open("-----BEGIN PRIVATE KEY-----\n*"), 29);
        assert_eq!(open("eyJhbGciOiJIUzI1NiJ9"), 0);
        assert_eq!(open("eyJhbGciOiJIUzI1NiJ9 "), 21);
        assert_eq!(open("eyJhbGciOiJIUzI1NiJ9.ab"), 23);
    }

    #[test]
    fn what_is_held_is_bounded() {
        for one in [
            "eyJabcdefghijkl.",
            "eyJabcdefghijkl-",
            "eyJ",
            "A",
            "-----BEGIN PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nAAAAAAAAAAAAAAAAAAAA\n",
            "-----",
            "AAAA\n",
        ] {
            let text = format!("-----BEGIN PRIVATE KEY-----\n{}", one.repeat(200_000 / one.len()));
            assert!(text.len() - open(&text) <= 9_000, "{one}: {}", text.len() - open(&text));
            let text = one.repeat(200_000 / one.len());
            assert!(text.len() - open(&text) <= 9_000, "{one}: {}", text.len() - open(&text));
        }
    }
}
