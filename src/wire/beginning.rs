//! Where a conversation's beginning is in a body: what its later turns have in common with it, and so what a provider's
//! prompt cache can keep. For sending them to the same target.
//!
//! ```json
//! {"tools": [T…], "messages": [{"role": "system", …}, {"role": "user", …}, …later turns…]}
//!           ^^^^^              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
//! ```
//! Members are found by name whatever the dialect: none uses another's name for something else. Bytes, not values: a
//! client writes the same thing the same way. Reads the body once more, so only for pools that stick by it. Source: the
//! APIs' references as in the dialects' folders, read 2026-11.

use super::json::{self, Kind, Span};

/// Parts of a body; empty where it has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beginning {
    /// `system`, `instructions`, `systemInstruction`.
    pub system: Span,
    /// `tools`
    pub tools: Span,
    /// Of `messages`, `input`, `contents`: up to the first that is not the operator's; `prompt` and a plain `input` whole.
    pub turns: Span,
}

impl Beginning {
    /// Of a body that was read before; of one that is no JSON: nothing.
    pub fn of(body: &[u8], max_depth: usize) -> Self {
        let mut found = Self::default();
        let _ = json::scan_object(body, max_depth, |member| {
            let is = |names: &[&str]| names.iter().any(|name| member.is(name));
            if is(&["system", "instructions", "systemInstruction", "system_instruction"]) {
                found.system = member.value;
            } else if is(&["tools"]) {
                found.tools = member.value;
            } else if is(&["messages", "input", "contents", "prompt"]) {
                found.turns = match member.kind {
                    Kind::Array => first_turns(body, member.value, max_depth),
                    _ => member.value,
                };
            }
        });
        found
    }

    /// There is nothing to go by.
    pub fn is_empty(&self) -> bool {
        self.system.is_empty() && self.tools.is_empty() && self.turns.is_empty()
    }
}

/// `[` to the end of the first element whose role is not the operator's.
fn first_turns(body: &[u8], array: Span, max_depth: usize) -> Span {
    let mut end = array.start + 1;
    while end < array.end {
        let from = end;
        end = element_end(body, from, array.end);
        let element = body.get(from..end).unwrap_or_default();
        let mut operator = false;
        let _ = json::scan_object(element, max_depth, |member| {
            let role = element.get(member.value.clone()).unwrap_or_default();
            operator |= member.is("role") && matches!(role, b"\"system\"" | b"\"developer\"");
        });
        if !operator {
            break;
        }
        // Over the comma.
        end += 1;
    }
    array.start..end.min(array.end)
}

/// Of an array's element that begins at `at`: where its comma or the array's bracket is. The JSON is known to be valid.
fn element_end(body: &[u8], mut at: usize, array_end: usize) -> usize {
    let mut depth = 0usize;
    while let Some(byte) = body.get(at).filter(|_| at < array_end) {
        match byte {
            b'"' => at = string_end(body, at + 1),
            b'[' | b'{' => depth += 1,
            b',' | b']' if depth == 0 => break,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    at.min(array_end)
}

/// The closing quote of a string whose inside begins at `at`.
fn string_end(body: &[u8], mut at: usize) -> usize {
    while let Some(found) = memchr::memchr2(b'"', b'\\', body.get(at..).unwrap_or_default()) {
        at += found;
        if body.get(at) == Some(&b'"') {
            return at;
        }
        at += 2;
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(body: &str) -> [&str; 3] {
        let found = Beginning::of(body.as_bytes(), 64);
        [found.system, found.tools, found.turns].map(|span| &body[span])
    }

    #[test]
    fn later_turns_do_not_count() {
        let start = r#"[{"role":"system","content":"be \"]}, brief\\"} , {"role":"developer","content":[{"a":[1,2]}]},{"role":"user","content":"hi"}"#;
        for rest in [
            "]",
            r#", {"role":"assistant","content":"hello"},{"role":"user","content":"more"}]"#,
        ] {
            let body = format!(r#"{{"model":"m","tools":[{{"t":1}}],"messages":{start}{rest},"stream":true}}"#);
            assert_eq!(texts(&body), ["", r#"[{"t":1}]"#, start.trim_end()]);
        }
    }

    #[test]
    fn every_dialect_has_a_beginning() {
        for (body, expected) in [
            (
                r#"{"system":"s","messages":[{"role":"user"},{}]}"#,
                [r#""s""#, "", r#"[{"role":"user"}"#],
            ),
            (r#"{"instructions":"s","input":"i"}"#, [r#""s""#, "", r#""i""#]),
            (
                r#"{"input":[{"role":"user","content":"a"}]}"#,
                ["", "", r#"[{"role":"user","content":"a"}"#],
            ),
            (
                r#"{"systemInstruction":{"parts":[]},"contents":[{"parts":[]}, 1]}"#,
                [r#"{"parts":[]}"#, "", r#"[{"parts":[]}"#],
            ),
            (r#"{"prompt":["a","b"]}"#, ["", "", r#"["a""#]),
            (r#"{"messages":[]}"#, ["", "", "["]),
            (
                r#"{"messages":[{"role":"system"}]}"#,
                ["", "", r#"[{"role":"system"}]"#],
            ),
            (r#"{"query":"q"}"#, ["", "", ""]),
        ] {
            assert_eq!(texts(body), expected, "{body}");
        }
        assert!(Beginning::of(b"{", 64).is_empty() && Beginning::of(b"", 64).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_panics_and_spans_are_inside(body in "[\\[\\]{}\",:\\\\a]{0,40}|\\{\"messages\":\\[[\\[\\]{}\",:\\\\ 1]{0,30}") {
            let found = Beginning::of(body.as_bytes(), 64);
            for span in [found.system, found.tools, found.turns] {
                prop_assert!(span.start <= span.end && span.end <= body.len());
            }
        }
    }
}
