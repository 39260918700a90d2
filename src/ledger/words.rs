//! Words of closed sets (`operation`, `purpose`, `outcome`, `cache`) read back from bytes.
//!
//! Rows hold them as `&'static str`, since requests only ever use the program's own. What was written by another version may
//! hold words this one has not: they are kept for the life of the process, and few, so that no file can make memory grow.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

/// Words learned at most.
const MOST: usize = 512;
/// Bytes of one, at most.
const LONGEST: usize = 64;

static LEARNED: RwLock<BTreeSet<&'static str>> = RwLock::new(BTreeSet::new());

/// The word as the program's own. `other` when it is absurdly long or the 513th that was never seen.
pub fn word(text: &str) -> &'static str {
    if text.is_empty() {
        return "";
    }
    if let Some(known) = LEARNED.read().unwrap_or_else(PoisonError::into_inner).get(text) {
        return known;
    }
    if text.len() > LONGEST {
        return "other";
    }
    let mut learned = LEARNED.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = learned.get(text) {
        return known;
    }
    if learned.len() >= MOST {
        return "other";
    }
    let kept: &'static str = Box::leak(text.to_owned().into_boxed_str());
    learned.insert(kept);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_once_and_absurd_ones_not_at_all() {
        assert_eq!(word("chat"), "chat");
        assert!(std::ptr::eq(word("chat"), word("chat")));
        assert_eq!(word(&"x".repeat(65)), "other");
        assert_eq!(word(""), "");
    }
}
