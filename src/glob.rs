//! Patterns with `*`, as operators write names of many: `gpt-*`, `claude-*-4-*`, `spiffe://acme/*`.
//!
//! `*` is any run of characters, also none and also `/`; everything else is itself, case and all. One matcher, because a pattern
//! must mean the same to who lets a model be asked, who counts it and who prices it.

/// Whether a text fits a pattern. Bounded by the product of their lengths, whatever the pattern.
pub fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|head| text.strip_prefix(head)) else {
        return false;
    };
    let Some(tail) = parts.next_back() else {
        return rest.is_empty(); // no `*`: the head was all of it
    };
    // Of the parts between, the leftmost place is always as good as any later one.
    let mut rest = rest;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(tail)
}

/// How many bytes of a pattern have to be just so: of two that fit, the one with more says more.
pub fn exactness(pattern: &str) -> usize {
    pattern.bytes().filter(|byte| *byte != b'*').count()
}
