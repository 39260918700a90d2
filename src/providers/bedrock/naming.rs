//! Names that Bedrock's patterns refuse, changed so that the same name always becomes the same.

use crate::providers::free_text::ENDING;
use std::collections::HashMap;

/// Tool names and call ids: letters, digits, `_`, `-`, at most this long (API reference, ToolSpecification, ToolUseBlock).
const MOST: usize = 64;
/// Document names (DocumentBlock).
const MOST_DOCUMENT: usize = 200;

fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// FNV-1a, 64 bits: only to tell names apart.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A name as Bedrock takes it, or nothing if it does already. What was changed ends in a hash of the original, so that two
/// names never meet.
pub(super) fn changed(name: &str) -> Option<String> {
    if !name.is_empty() && name.len() <= MOST && name.chars().all(plain) {
        return None;
    }
    let kept = name.chars().take(MOST - 17).map(|c| if plain(c) { c } else { '_' });
    Some(format!("{}_{:016x}", kept.collect::<String>(), hash(name)))
}

/// The name of a function that stands for a tool with free-text input.
pub(super) fn free_text(name: &str) -> String {
    let fits = changed(name).is_none() && name.len() + ENDING.len() <= MOST;
    if fits {
        return format!("{name}{ENDING}");
    }
    let kept = name.chars().take(MOST - 17 - ENDING.len());
    let kept: String = kept.map(|c| if plain(c) { c } else { '_' }).collect();
    format!("{kept}_{:016x}{ENDING}", hash(name))
}

/// A document's name: letters, digits, single spaces, hyphens, parentheses, square brackets; unlike those `before`, of which
/// it then is one. They are kept with the number that the next of the same name gets.
pub(super) fn document(title: Option<&str>, before: &mut HashMap<String, u32>) -> String {
    let mut name = String::new();
    for c in title.unwrap_or_default().chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '(' | ')' | '[' | ']' => name.push(c),
            c if c.is_whitespace() => name.push(' '),
            _ => name.push('-'),
        }
        if name.ends_with("  ") || name.ends_with("--") {
            name.pop();
        }
        if name.len() >= MOST_DOCUMENT - 10 {
            break;
        }
    }
    let name = name.trim_matches([' ', '-']);
    let name = if name.is_empty() { "document" } else { name };
    let mut number = before.get(name).copied().unwrap_or(1);
    let mut unique = name.to_owned();
    while before.contains_key(&unique) {
        number += 1;
        unique = format!("{name} {number}");
    }
    before.insert(unique.clone(), 1);
    before.insert(name.to_owned(), number);
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_refused_changes_and_never_to_the_same() {
        assert_eq!(changed("get_weather-2"), None);
        let dotted = changed("mcp.server.tool").unwrap();
        assert!(dotted.starts_with("mcp_server_tool_") && changed(&dotted).is_none());
        assert_ne!(changed("a.b"), changed("a:b"));
        assert_ne!(changed(&"x".repeat(65)), changed(&"x".repeat(66)));
        assert!(changed(&"ü".repeat(90)).unwrap().len() <= MOST);
        assert_eq!(changed("").unwrap().len(), 17);
        assert_eq!(free_text("apply_patch"), "apply_patch__text");
        assert!(changed(&free_text(&"é.".repeat(40))).is_none());
    }

    #[test]
    fn documents_have_names_of_their_own() {
        let mut before = HashMap::new();
        let mut named = |title| document(title, &mut before);
        assert_eq!(named(Some("Q3_report  (final).v2")), "Q3-report (final)-v2");
        assert_eq!(
            (named(None), named(Some("../../")), named(None)),
            ("document".into(), "document 2".into(), "document 3".into())
        );
        assert_eq!(
            (named(Some("document 3")), named(None)),
            ("document 3 2".into(), "document 4".into())
        );
        assert!(named(Some(&"a".repeat(900))).len() <= MOST_DOCUMENT);
    }
}
