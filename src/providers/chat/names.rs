//! Names and ids that a target refuses, made fit for it: deterministically, so that the same one is the same in every turn.

use super::quirks::Ids;
use crate::providers::free_text::ENDING;
use std::borrow::Cow;

/// A number for a text that stays the same across builds and machines: FNV-1a, 64 bits, of `salt` and the text.
pub fn stable(text: &str, salt: u8) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in std::iter::once(salt).chain(text.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

/// 128 bits of it as 32 letters.
pub fn digest(text: &str) -> String {
    format!("{:016x}{:016x}", stable(text, 0), stable(text, 1))
}

/// A call id the target takes.
pub fn call_id(id: &str, rule: Ids) -> Cow<'_, str> {
    match rule {
        Ids::Any => id.into(),
        Ids::Most(most) if id.len() <= most => id.into(),
        Ids::Most(_) => format!("call_{}", digest(id)).into(),
        Ids::Nine if id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()) => id.into(),
        Ids::Nine => nine(id).into(),
    }
}

fn nine(id: &str) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut left = stable(id, 0);
    let mut made = String::with_capacity(9);
    for _ in 0..9 {
        made.push(LETTERS.get((left % 62) as usize).copied().unwrap_or(b'0').into());
        left /= 62;
    }
    made
}

/// Longest name of a function.
const LONGEST: usize = 64;

/// Whether a function may be called so: `^[a-zA-Z0-9_-]{1,64}$`, which all of this family take.
fn fits(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn plain(c: char) -> char {
    if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }
}

/// A tool's name the target takes.
pub fn tool(name: &str) -> Cow<'_, str> {
    if fits(name) {
        return name.into();
    }
    let kept = name.chars().take(52);
    let mut made: String = kept.map(plain).collect();
    made.push('_');
    made.push_str(digest(name).get(..8).unwrap_or_default());
    made.into()
}

/// The name of a function that stands for a free-text tool.
pub fn free_text(name: &str) -> String {
    if fits(name) && name.len() + ENDING.len() <= LONGEST {
        return format!("{name}{ENDING}");
    }
    let kept = name.chars().take(LONGEST - ENDING.len() - 9);
    let kept: String = kept.map(plain).collect();
    let digest = digest(name);
    format!("{kept}_{}{ENDING}", digest.get(..8).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fitting_ones_stay() {
        assert_eq!(call_id("toolu_01", Ids::Most(40)), "toolu_01");
        assert_eq!(call_id("D9WYdiHxV", Ids::Nine), "D9WYdiHxV");
        assert_eq!(tool("get_weather-2"), "get_weather-2");
        assert_eq!(free_text("apply_patch"), "apply_patch__text");
        assert!(!tool("a b__text").ends_with(ENDING));
        assert_eq!(stable("", 0), 0xaf63_bd4c_8601_b7df);
    }

    proptest! {
        #[test]
        fn any_is_made_to_fit(text in ".{0,90}") {
            prop_assert!(fits(&tool(&text)) && fits(&free_text(&text)));
            prop_assert_eq!(call_id(&text, Ids::Nine).len(), 9);
            prop_assert!(call_id(&text, Ids::Most(40)).len() <= 40);
            prop_assert_eq!(call_id(&text, Ids::Nine), call_id(&text, Ids::Nine));
        }
    }
}
