//! A word without its endings.
//!
//! Not a dictionary: what must be known of single words is in the lexicon. The one idea: only endings that leave the meaning alone are
//! taken off (plural, `-ing`, `-ed`, `-ly`), because a wrong match costs more than a missed one.

use super::Tongue;
use std::borrow::Cow;

/// The word, in small letters, without its endings. Of languages other than English only plurals and cases that are plain.
pub(super) fn stem(word: &str, tongue: Tongue) -> Cow<'_, str> {
    match tongue {
        Tongue::English if word.is_ascii() => english(word),
        Tongue::French | Tongue::Spanish => Cow::Borrowed(strip(word, &["s", "x"], 4)),
        Tongue::German => Cow::Borrowed(strip(word, &["en", "es", "er", "em", "e", "n", "s"], 4)),
        _ => Cow::Borrowed(word),
    }
}

fn strip<'a>(word: &'a str, endings: &[&str], least: usize) -> &'a str {
    endings
        .iter()
        .find_map(|ending| word.strip_suffix(ending).filter(|bare| bare.chars().count() >= least))
        .unwrap_or(word)
}

fn english(word: &str) -> Cow<'_, str> {
    if word.len() <= 3 {
        return Cow::Borrowed(word);
    }
    if let Some(bare) = word.strip_suffix("ies").filter(|bare| bare.len() >= 2) {
        return Cow::Owned(format!("{bare}y"));
    }
    let mut bare = word;
    for ending in ["sses", "ches", "shes", "xes", "zes"] {
        if word.ends_with(ending) {
            bare = word.get(..word.len() - 2).unwrap_or(word);
        }
    }
    if bare == word && word.ends_with('s') && !word.ends_with("ss") && !word.ends_with("us") && !word.ends_with("is") {
        bare = word.get(..word.len() - 1).unwrap_or(word);
    }
    for ending in ["ing", "ed", "ly"] {
        let cut = bare
            .strip_suffix(ending)
            .filter(|cut| cut.len() >= 3 && vowel(cut) && !cut.ends_with('e'));
        if let Some(cut) = cut {
            return Cow::Borrowed(strip(undoubled(cut), &["e"], 3));
        }
    }
    Cow::Borrowed(strip(bare, &["e"], 3))
}

fn vowel(word: &str) -> bool {
    word.bytes().any(|b| b"aeiouy".contains(&b))
}

/// `runn` is `run`; `fall`, `pass` and `buzz` are themselves.
fn undoubled(word: &str) -> &str {
    match word.as_bytes() {
        [.., a, b] if a == b && !b"lszaeiou".contains(b) => word.get(..word.len() - 1).unwrap_or(word),
        _ => word,
    }
}
