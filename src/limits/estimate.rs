//! How many tokens a prompt is, without counting them: bytes times what the provider's own figures taught about the model.
//!
//! Not a tokenizer (that costs 40 to 80 µs per KB) and not the price. Two figures: the likely one, for rates, which is settled
//! within seconds; and one that no prompt of text exceeds, for money. The idea of the latter: a byte-level BPE never makes
//! more tokens than there are bytes.
//!
//! What a picture, a sound or a file costs cannot be told from its bytes; [`Prompt::media`] of them are taken for the most
//! that was seen of this model, and for [`MEDIUM`] before that. The remaining risk is settled in full and so visible.

use crate::units::Tokens;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Models kept apart; more share one ratio.
const MODELS: usize = 4_096;
/// Tokens per byte are kept times this.
const UNIT: u64 = 1 << 20;
/// Before anything was learned: a token is 3.5 bytes of English, fewer of code and other scripts.
const FIRST: u64 = UNIT * 2 / 7;
/// A provider that reports less than a token for 16 bytes counted something else (a cached or truncated prompt).
const LEAST: u64 = UNIT / 16;
/// Each figure moves the ratio by a sixteenth of the difference.
const WEIGHT: u64 = 16;
/// Prompts shorter than this say more about the frame around the text than about the text.
const SHORTEST: u64 = 200;
/// What a medium is taken for sinks by this part of the difference with each that was smaller.
const FORGETS: u64 = 64;
/// Tokens of the frame around each message, and of a prompt as such, at most: roles, separators, names.
const PER_MESSAGE: u64 = 8;
/// Tokens that a provider adds to a prompt with tools, at most (Anthropic's documentation of 2025: 264 to 735, by tool and model).
const FOR_TOOLS: u64 = 1_300;
/// Tokens of a picture or file of which nothing is known: a picture of 1568 × 1568 at Anthropic is 3278 / 2, of OpenAI 2048 ×
/// 768 at high detail 1445.
pub const MEDIUM: Tokens = 1_700;

/// What is known of a prompt from looking at its envelope.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Bytes of text: messages, system prompt, definitions of tools; not of media.
    pub text_bytes: u64,
    /// Messages.
    pub messages: u64,
    /// It offers tools.
    pub tools: bool,
    /// Pictures, sounds, files, inline or by address.
    pub media: u64,
    /// Documents or files by id or address are among them: how long they are, nobody here can know.
    pub by_reference: bool,
}

/// What was learned of one model. Lock-free; a lost update is one lesson less.
#[derive(Debug)]
pub struct Ratio {
    /// Tokens per byte, times [`UNIT`].
    per_byte: AtomicU64,
    /// The most tokens one medium has been seen to be, of late.
    medium: AtomicU64,
}

impl Default for Ratio {
    fn default() -> Self {
        Self {
            per_byte: AtomicU64::new(FIRST),
            medium: AtomicU64::new(MEDIUM),
        }
    }
}

impl Ratio {
    /// Input tokens as is likely.
    pub fn likely(&self, prompt: &Prompt) -> Tokens {
        let per_byte = u128::from(self.per_byte.load(Ordering::Relaxed));
        let text = (u128::from(prompt.text_bytes) * per_byte).div_ceil(u128::from(UNIT));
        let text = u64::try_from(text).unwrap_or(u64::MAX);
        let frame = prompt
            .messages
            .saturating_mul(PER_MESSAGE / 2)
            .saturating_add(PER_MESSAGE / 2);
        text.saturating_add(frame)
            .saturating_add(self.media(prompt))
            .min(self.safe(prompt))
    }

    /// Input tokens that a prompt of text does not exceed: one for each byte, and the frame.
    pub fn safe(&self, prompt: &Prompt) -> Tokens {
        let frame = prompt.messages.saturating_add(1).saturating_mul(PER_MESSAGE);
        let tools = if prompt.tools { FOR_TOOLS } else { 0 };
        prompt
            .text_bytes
            .saturating_add(frame)
            .saturating_add(tools)
            .saturating_add(self.media(prompt))
    }

    fn media(&self, prompt: &Prompt) -> Tokens {
        prompt.media.saturating_mul(self.medium.load(Ordering::Relaxed))
    }

    /// What the provider said the prompt was, cached tokens among it.
    pub fn learn(&self, prompt: &Prompt, input: Tokens) {
        if input == 0 {
            return;
        }
        // Less the most that its text can be: else dense text beside a tiny picture would make pictures dear for everybody.
        let text = self.safe(&Prompt { media: 0, ..*prompt });
        if let Some(each) = input.saturating_sub(text).checked_div(prompt.media) {
            // No provider takes a medium of more than a million tokens: a larger figure is a lie.
            let (each, old) = (each.min(1_000_000), self.medium.load(Ordering::Relaxed));
            // One large file is forgotten in the end, for every request with a small one is asked for as much.
            let slowly = old - old.saturating_sub(each.max(MEDIUM)) / FORGETS;
            self.medium.store(each.max(slowly), Ordering::Relaxed);
            return;
        }
        if prompt.text_bytes < SHORTEST || prompt.tools {
            return;
        }
        let seen = u128::from(input) * u128::from(UNIT) / u128::from(prompt.text_bytes);
        let seen = u64::try_from(seen).unwrap_or(UNIT).clamp(LEAST, UNIT);
        let old = self.per_byte.load(Ordering::Relaxed);
        let new = (old * (WEIGHT - 1) + seen) / WEIGHT;
        self.per_byte.store(new.clamp(LEAST, UNIT), Ordering::Relaxed);
    }
}

/// Ratios by upstream model.
#[derive(Debug, Default)]
pub struct Estimator {
    models: RwLock<HashMap<Arc<str>, Arc<Ratio>>>,
    /// Of models beyond [`MODELS`].
    others: Arc<Ratio>,
}

impl Estimator {
    /// The ratio of a model. To be kept with the target: finding it takes a lock.
    pub fn model(&self, name: &str) -> Arc<Ratio> {
        if let Some(known) = self.models.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(known);
        }
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        if models.len() >= MODELS && !models.contains_key(name) {
            return Arc::clone(&self.others);
        }
        Arc::clone(models.entry(name.into()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_learns_what_a_byte_is_worth() {
        let estimator = Estimator::default();
        let ratio = estimator.model("m");
        let prompt = Prompt {
            text_bytes: 7_000,
            messages: 1,
            ..Prompt::default()
        };
        assert_eq!(ratio.likely(&prompt), 2_008);
        for _ in 0..100 {
            ratio.learn(&prompt, 5_000);
        }
        let learned = estimator.model("m").likely(&prompt);
        assert!((4_950..=5_050).contains(&learned), "{learned}");
        assert_eq!(estimator.model("n").likely(&prompt), 2_008);
    }

    #[test]
    fn a_medium_is_the_most_that_was_seen() {
        let ratio = Ratio::default();
        let picture = Prompt {
            media: 1,
            ..Prompt::default()
        };
        assert!(ratio.safe(&picture) >= MEDIUM);
        ratio.learn(&picture, 48_169);
        ratio.learn(&picture, 300);
        assert!(ratio.safe(&picture) >= 40_000);
        for _ in 0..2_000 {
            ratio.learn(&picture, 300);
        }
        assert!(ratio.safe(&picture) < 2 * MEDIUM, "{ratio:?}");
    }

    #[test]
    fn dense_text_beside_a_tiny_picture_makes_no_picture_dearer() {
        let ratio = Ratio::default();
        let hostile = Prompt {
            text_bytes: 1_000_000,
            media: 1,
            ..Prompt::default()
        };
        ratio.learn(&hostile, 1_000_000);
        let picture = Prompt {
            media: 1,
            ..Prompt::default()
        };
        assert!(ratio.safe(&picture) < 2 * MEDIUM, "{ratio:?}");
    }

    #[test]
    fn names_without_end_share_one_ratio() {
        let estimator = Estimator::default();
        for n in 0..MODELS + 10 {
            estimator.model(&n.to_string());
        }
        assert_eq!(estimator.models.read().unwrap().len(), MODELS);
        assert!(Arc::ptr_eq(&estimator.model("x"), &estimator.model("y")));
    }

    proptest::proptest! {
        #[test]
        fn likely_never_exceeds_safe_nor_falls_below_a_sixteenth(lessons: Vec<(u64, u64, u64)>, text_bytes: u64, messages: u64, media: u64) {
            let ratio = Ratio::default();
            for (text_bytes, media, input) in lessons {
                ratio.learn(&Prompt { text_bytes, media: media % 3, ..Prompt::default() }, input);
            }
            let prompt = Prompt { text_bytes, messages, media, ..Prompt::default() };
            proptest::prop_assert!(ratio.likely(&prompt) <= ratio.safe(&prompt));
            proptest::prop_assert!(ratio.likely(&prompt) >= text_bytes / 16);
            proptest::prop_assert!(ratio.safe(&prompt) >= text_bytes);
        }
    }
}
