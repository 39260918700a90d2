//! What a vendor's message looks like: its fixed words, compared from the first character on.
//!
//! `#` is a number (`200000`, `131,072`), `*` any text; letters count whatever their case. A pattern must reach the end of the
//! message (a full stop more is fine) unless it ends in `*`. Because it begins with the vendor's own words, text of a client
//! that a message repeats cannot stand in for it.

/// The longest text a `*` inside a pattern stands for: names of models and resources, not paragraphs.
const GAP: usize = 300;

/// Whether a message is of this pattern.
pub fn fits(pattern: &str, message: &str) -> bool {
    let mut parts = pattern.split('*');
    let message = message.trim().as_bytes();
    let Some(mut rest) = parts.next().and_then(|first| after(first.as_bytes(), message)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return ended(rest);
    }
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        if last && part.is_empty() {
            return true;
        }
        let found = (0..=rest.len().min(GAP)).find_map(|start| {
            let tail = after(part.as_bytes(), rest.get(start..)?)?;
            (!last || ended(tail)).then_some(tail)
        });
        let Some(tail) = found else { return false };
        rest = tail;
    }
    ended(rest)
}

fn ended(rest: &[u8]) -> bool {
    matches!(rest, b"" | b"." | b"!")
}

/// What of the text follows these words, if it begins with them.
fn after<'t>(words: &[u8], text: &'t [u8]) -> Option<&'t [u8]> {
    let mut rest = text;
    for &wanted in words {
        rest = if wanted == b'#' {
            number(rest)?
        } else {
            let (first, tail) = rest.split_first()?;
            first.eq_ignore_ascii_case(&wanted).then_some(tail)?
        };
    }
    Some(rest)
}

/// Past the digits the text begins with, groups of them included.
fn number(text: &[u8]) -> Option<&[u8]> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = digits(text);
    if end == 0 {
        return None;
    }
    while let Some(b',' | b'_' | b'.') = text.get(end) {
        let more = digits(text.get(end + 1..).unwrap_or_default());
        if more == 0 {
            break;
        }
        end += 1 + more;
    }
    text.get(end..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_numbers_and_gaps() {
        for (pattern, message, is) in [
            ("too long: # > #", "Too long: 1,234 > 200", true),
            ("too long: # > #", "too long: 1 > 2.", true),
            ("too long: # > #", "too long: 1 > 2 and so on", false),
            ("too long: # > #*", "too long: 1 > 2 and so on", true),
            ("too long: # > #", "you wrote: too long: 1 > 2", false),
            ("too long: # > #", "too long: x > 2", false),
            ("model * not found", "model 'a not found b' not found", true),
            ("model * not found", "model x not found here", false),
            ("a*b*c", "a b c", true),
            ("a*b*c", "a c b", false),
            ("", "", true),
            ("*", "anything", true),
            ("#", "", false),
            ("isn*t", "isn’t", true),
        ] {
            assert_eq!(fits(pattern, message), is, "{pattern} / {message}");
        }
        assert!(!fits("a*b", &format!("a{}b", "x".repeat(GAP + 1))));
    }

    proptest! {
        #[test]
        fn nothing_panics(pattern in "[a-c#* .]{0,20}", message in "\\PC{0,60}") {
            let _ = fits(&pattern, &message);
        }
    }
}
