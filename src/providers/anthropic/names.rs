//! Ids of calls and names of tools as this API takes them: letters, digits, `_` and `-`, 64 at most.
//!
//! What does not fit is changed the same way wherever it stands, so that a call and its result still meet; changed names are
//! remembered and changed back in the answer.

use crate::providers::free_text::ENDING;
use std::borrow::Cow;
use std::collections::HashSet;

/// Longest id or name.
const LONGEST: usize = 64;

fn fits(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// FNV-1a: no secret is kept by it, two ids of one conversation must merely differ.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The id of a call.
pub fn id(text: &str) -> Cow<'_, str> {
    if fits(text) {
        text.into()
    } else {
        format!("call_{:016x}", hash(text)).into()
    }
}

/// The names of a request's tools, and how they were changed.
#[derive(Debug, Default)]
pub struct Names {
    /// At the target, at the client.
    pub renamed: Vec<(Box<str>, Box<str>)>,
    /// The former of them.
    known: HashSet<Box<str>>,
}

impl Names {
    /// The name of a function.
    pub fn function<'n>(&mut self, name: &'n str) -> Cow<'n, str> {
        if fits(name) {
            return name.into();
        }
        self.rename(name, "")
    }

    /// The name of a tool with free-text input, which this API has not: it becomes a function.
    pub fn free_text<'n>(&mut self, name: &str) -> Cow<'n, str> {
        self.rename(name, ENDING)
    }

    fn rename<'n>(&mut self, name: &str, ending: &str) -> Cow<'n, str> {
        // A hash keeps names apart that differ only in what is replaced, and from ending in `__text`.
        let tail = if ending.is_empty() {
            format!("_{:08x}", hash(name) & 0xffff_ffff)
        } else if fits(name) && name.len() + ending.len() <= LONGEST {
            ending.to_owned()
        } else {
            format!("_{:08x}{ending}", hash(name) & 0xffff_ffff)
        };
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let mut theirs: String = name.chars().map(plain).take(LONGEST - tail.len()).collect();
        theirs.push_str(&tail);
        if self.known.insert(theirs.as_str().into()) {
            self.renamed.push((theirs.as_str().into(), name.into()));
        }
        theirs.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_changed_alike_and_only_if_they_must() {
        assert_eq!(id("toolu_01-x"), "toolu_01-x");
        let long = "x".repeat(65);
        for odd in ["functions.weather:0", "", long.as_str(), "é"] {
            let changed = id(odd);
            assert!(fits(&changed), "{changed}");
            assert_eq!(changed, id(odd));
        }
        assert_ne!(id("a.b"), id("a:b"));
    }

    #[test]
    fn names_come_back() {
        let mut names = Names::default();
        assert_eq!(names.function("get_weather"), "get_weather");
        let odd = names.function("mcp.server/tool").into_owned();
        assert!(fits(&odd) && odd.starts_with("mcp_server_tool_"));
        assert_eq!(names.function("mcp.server/tool"), odd);
        assert_eq!(names.free_text("apply_patch"), "apply_patch__text");
        assert_eq!(names.free_text("apply_patch"), "apply_patch__text");
        assert!(fits(&names.free_text(&"é".repeat(80))));
        assert!(!names.function("a.__text").ends_with(ENDING));
        assert_eq!(names.renamed.len(), 4);
    }
}
