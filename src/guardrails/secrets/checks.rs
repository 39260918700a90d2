//! What a form must come to beyond its alphabet and length, finding by finding.
//!
//! Not the forms (`rules`). The one idea: every check is a function of the finding's own text, so that where it stands, and how the
//! text arrived, changes nothing.

use super::entropy::{bits, both_cases, mixed, placeholder};
pub use super::entropy::{random, secret};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Capitals, small letters, digits: a hash in hexadecimal digits is none. AWS's own example passes, as it should: people try it.
pub fn aws_secret(text: &str) -> bool {
    mixed(text) && both_cases(text) && bits(text.as_bytes()) >= 4.0
}

/// Letters alone will do, but of both cases.
pub fn letters(text: &str) -> bool {
    random(text) && both_cases(text.get(3..).unwrap_or_default()) && !placeholder(text)
}

/// What stands behind the last `/` counts.
pub fn last_part(text: &str) -> bool {
    secret(text.rsplit('/').next().unwrap_or_default())
}

/// The first part is a number of 17 to 19 digits, in base 64.
pub fn discord(text: &str) -> bool {
    let first = text.split('.').next().unwrap_or_default();
    let number = URL_SAFE_NO_PAD.decode(first).unwrap_or_default();
    (17..=19).contains(&number.len())
        && number.iter().all(u8::is_ascii_digit)
        && random(text.rsplit('.').next().unwrap_or_default())
}

/// What stands behind the colon counts.
pub fn telegram(text: &str) -> bool {
    text.split_once(':').is_some_and(|(_, token)| secret(token))
}

/// Neither a placeholder nor what everybody takes.
pub fn url_password(text: &str) -> bool {
    let name = text.trim_end_matches(|character: char| character.is_ascii_digit());
    text.len() >= 5
        && !placeholder(text)
        && !placeholder(name)
        && !text.bytes().all(|byte| Some(byte) == text.bytes().next())
}

/// Of a bearer, or a name and password in base 64.
pub fn credential(text: &str) -> bool {
    secret(text) || (both_cases(text) && bits(text.as_bytes()) >= 4.0 && !placeholder(text))
}

/// Not a placeholder, nor a name or a path: those are what stands in code.
pub fn password(text: &str) -> bool {
    !placeholder(text) && !word(text) && bits(text.as_bytes()) >= 2.0
}

/// Letters and digits by chance, and nothing that code is made of: `si128` and `X509Certificate` change once or twice between them.
pub fn assigned(text: &str) -> bool {
    let changes = text.as_bytes().windows(2).filter(|pair| match pair {
        [a, b] => a.is_ascii_alphabetic() && b.is_ascii_digit() || a.is_ascii_digit() && b.is_ascii_alphabetic(),
        _ => false,
    });
    changes.count() >= 3 && secret(text) && !text.contains("//")
}

/// Letters only, perhaps with `_`, `.`, `-`, `:` or `/` between them: a name, a path, a call.
fn word(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b'-' | b':' | b'/');
    text.bytes().all(letter)
}
