//! Free-text tools for APIs that have none: OpenAI's custom tools, whose input is text instead of JSON.
//!
//! ```text
//! client: apply_patch, text          target: function apply_patch__text, {"input":"text"}
//! ```
//! The codec offers a function of one text in the tool's place, writes earlier calls the same way, and makes a call of it free
//! text again. A grammar cannot be enforced there: it goes into the function's description, for the model to follow, and is
//! named as dropped. How a name is made to fit differs between APIs and is their codecs' business; here is what ends it.
//!
//! Streams bring the object in pieces cut anywhere, also within an escape; [`FreeText`] reads it letter by letter and gives
//! on what is complete. An object that begins otherwise is read at its end; what is no object is given on as it came.

use super::codec::Expect;
use crate::wire::canonical::{Dropped, ToolCallKind};
use crate::wire::json::{JsonWriter, Node};
use std::borrow::Cow;

/// What the name of a function that stands for a free-text tool ends with. Codecs remember it in [`Expect::renamed_tools`], and
/// never change the name of another function to one that ends so.
pub const ENDING: &str = "__text";

/// The function's parameters.
pub const SCHEMA: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#;

/// The client's name of a called function, and which sort of tool it stands for.
pub fn tool<'n>(theirs: &'n str, expect: &'n Expect) -> (&'n str, ToolCallKind) {
    let free = |theirs: &str| theirs.ends_with(ENDING);
    if let Some((of, ours)) = expect.renamed(theirs) {
        // A function whose own name ends so was not renamed.
        let kind = if free(of) {
            ToolCallKind::Custom
        } else {
            ToolCallKind::Function
        };
        return (ours, kind);
    }
    // Prompts that were written for the tool name it without the ending, and models believe them.
    let mut renamed = expect.renamed_tools.iter();
    let meant = expect.has_few() && renamed.any(|(of, ours)| free(of) && **ours == *theirs);
    let kind = if meant {
        ToolCallKind::Custom
    } else {
        ToolCallKind::Function
    };
    (theirs, kind)
}

/// What the function is said to do. `at`: which of the request's tools it is.
pub fn about<'t>(
    description: Option<&'t str>,
    format: Option<&str>,
    at: usize,
    dropped: &mut Dropped,
) -> Option<Cow<'t, str>> {
    let Some(format) = format else {
        return description.map(Cow::Borrowed);
    };
    let node = Node::parse(format.as_bytes(), 16).ok();
    let said = |key: &str| node.as_ref().and_then(|node| node.get_str(key));
    if said("type") == Some("text") {
        return description.map(Cow::Borrowed);
    }
    dropped.push(format!("tools[{at}].format"));
    let Some(grammar) = said("definition") else {
        return description.map(Cow::Borrowed);
    };
    let syntax = said("syntax").unwrap_or_default();
    let rule = match syntax {
        "regex" => "`input` must match this regular expression:".to_owned(),
        _ => format!("`input` must follow this grammar ({syntax}):"),
    };
    let mut about = description.unwrap_or_default().to_owned();
    if !about.is_empty() {
        about.push_str("\n\n");
    }
    about.push_str(&rule);
    about.push('\n');
    about.push_str(grammar);
    Some(about.into())
}

/// A call's text as the function's arguments.
pub fn arguments(text: &str) -> String {
    let mut json = JsonWriter::new();
    json.object(|json| json.field("input", text));
    String::from_utf8(json.finish()).unwrap_or_default()
}

/// The text of whole arguments.
pub fn whole(arguments: &str) -> Cow<'_, str> {
    let mut text = String::with_capacity(arguments.len());
    let mut reader = FreeText::default();
    reader.take(arguments, &mut text);
    reader.end(&mut text);
    text.into()
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the text; `held` has what came so far.
    #[default]
    Before,
    /// In the text.
    Inside,
    /// In an escape; `held` has it.
    Escape,
    /// Behind the text.
    Behind,
    /// In an object that begins otherwise; `held` has it.
    Other,
    /// It is something else.
    Foreign,
}

/// Reads one input.
#[derive(Debug, Default)]
pub struct FreeText {
    state: State,
    held: String,
}

/// Longest beginning that is waited for.
const LONGEST_BEGINNING: usize = 64;

/// Longest object that is waited for.
const LONGEST_OTHER: usize = 1 << 20;

impl FreeText {
    /// Take a piece in; append the text it completes.
    pub fn take(&mut self, piece: &str, text: &mut String) {
        for letter in piece.chars() {
            self.step(letter, text);
        }
    }

    fn step(&mut self, letter: char, text: &mut String) {
        match self.state {
            State::Before => self.begin(letter, text),
            State::Inside => match letter {
                '"' => self.state = State::Behind,
                '\\' => {
                    self.state = State::Escape;
                    self.held.push(letter);
                }
                plain => text.push(plain),
            },
            State::Escape => self.escape(letter, text),
            State::Behind => {}
            State::Other => {
                self.held.push(letter);
                if self.held.len() > LONGEST_OTHER {
                    self.give_on(text);
                }
            }
            State::Foreign => text.push(letter),
        }
    }

    /// What was held back is no object that is known here.
    fn give_on(&mut self, text: &mut String) {
        text.push_str(&self.held);
        self.held.clear();
        self.state = State::Foreign;
    }

    /// Nothing more comes: what was held back is given on.
    pub fn end(&mut self, text: &mut String) {
        if self.state == State::Before {
            // `{}` is an input without text.
            if self.held.trim() != "{}" {
                text.push_str(&self.held);
            }
            self.held.clear();
            self.state = State::Foreign;
        } else if self.state == State::Other {
            match other(&self.held) {
                Some(input) => text.push_str(&input),
                None => text.push_str(&self.held),
            }
            self.held.clear();
            self.state = State::Behind;
        } else if self.state == State::Escape {
            text.push('\u{fffd}');
            self.held.clear();
            self.state = State::Behind;
        }
    }

    fn begin(&mut self, letter: char, text: &mut String) {
        self.held.push(letter);
        let mut bare = self.held.chars().filter(|c| !c.is_whitespace());
        let mut wanted = "{\"input\":\"".chars();
        let fits = bare.by_ref().zip(wanted.by_ref()).all(|(is, wanted)| is == wanted);
        if !fits || self.held.len() > LONGEST_BEGINNING {
            if self.held.trim() == "{}" {
                return;
            }
            if self.held.trim_start().starts_with('{') {
                self.state = State::Other;
            } else {
                self.give_on(text);
            }
        } else if wanted.next().is_none() {
            self.held.clear();
            self.state = State::Inside;
        }
    }

    fn escape(&mut self, letter: char, text: &mut String) {
        // The first half of a pair must be followed by the other half; if it is not, it stands for nothing.
        let at = self.held.len();
        if (at == 6 && letter != '\\') || (at == 7 && letter != 'u') {
            let half = std::mem::take(&mut self.held);
            text.push('\u{fffd}');
            self.state = State::Inside;
            let rest = half.get(6..).unwrap_or_default();
            rest.chars().chain([letter]).for_each(|letter| self.step(letter, text));
            return;
        }
        self.held.push(letter);
        let simple = at == 1 && letter != 'u';
        let first = self.held.get(2..6).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let paired = first.is_some_and(|first| (0xd800..0xdc00).contains(&first));
        if !(simple || (self.held.len() >= 6 && !paired) || self.held.len() >= 12) {
            return;
        }
        match serde_json::from_str::<String>(&format!("\"{}\"", self.held)) {
            Ok(plain) => text.push_str(&plain),
            Err(_) => text.push('\u{fffd}'),
        }
        self.held.clear();
        self.state = State::Inside;
    }
}

/// The text of an object that names it otherwise, or not first.
fn other(object: &str) -> Option<String> {
    let node = Node::parse(object.as_bytes(), 16).ok()?;
    let text = match node.as_object()? {
        [(_, only)] => only.as_str(),
        _ => node.get_str("input"),
    };
    text.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_comes_through_any_split(text in ".{0,40}", cut in 0..60usize) {
            let input = serde_json::json!({"input": text}).to_string();
            prop_assert_eq!(whole(&input), text.as_str());
            let cut = (0..=cut.min(input.len())).rev().find(|at| input.is_char_boundary(*at)).unwrap();
            let (mut got, mut reader) = (String::new(), FreeText::default());
            reader.take(&input[..cut], &mut got);
            reader.take(&input[cut..], &mut got);
            reader.end(&mut got);
            prop_assert_eq!(got, text);
        }

        #[test]
        fn nothing_panics(input in ".{0,40}", escapes in "(\\\\u[0-9a-fd]{0,5}|\\\\.|x){0,6}") {
            let _ = whole(&input);
            let _ = whole(&format!("{{\"input\":\"{escapes}"));
        }
    }

    #[test]
    fn escapes_and_strangers() {
        assert_eq!(whole(r#" { "input" : "a\n\u00e9\ud83d\ude00\"b" } "#), "a\né😀\"b");
        assert_eq!(whole(r#"{"patch":"x\n"}"#), "x\n");
        assert_eq!(whole(r#"{"why":"w","input":"x"}"#), "x");
        for odd in [
            r#"{"a":"x","b":"y"}"#,
            r#"{"patch":["x"]}"#,
            r#"{"patch":"x"#,
            "*** Begin Patch",
        ] {
            assert_eq!(whole(odd), odd);
        }
        assert_eq!(whole("{}"), "");
        assert_eq!(whole(r#"{"input":"\ud83dx"}"#), "\u{fffd}x");
        assert_eq!(whole(r#"{"input":"\ud83d\n"}"#), "\u{fffd}\n");
        assert_eq!(whole(r#"{"input":"\ud83d\\u"}"#), "\u{fffd}\\u");
        assert_eq!(whole(r#"{"input":"\ud83d"}"#), "\u{fffd}");
        assert_eq!(whole(r#"{"input":"a\"#), "a\u{fffd}");
    }

    #[test]
    fn a_function_is_known_by_its_ending_and_by_its_old_name() {
        let renamed = |theirs: &str, ours: &str| (theirs.into(), ours.into());
        let expect = Expect {
            renamed_tools: vec![renamed("patch__text", "patch"), renamed("a_b_1", "a.b")],
            ..Expect::default()
        };
        for (theirs, ours, kind) in [
            ("patch__text", "patch", ToolCallKind::Custom),
            ("patch", "patch", ToolCallKind::Custom),
            ("a_b_1", "a.b", ToolCallKind::Function),
            ("own__text", "own__text", ToolCallKind::Function),
        ] {
            assert_eq!(tool(theirs, &expect), (ours, kind));
        }
    }

    #[test]
    fn a_grammar_is_told_and_named() {
        let told = |description, format| {
            let mut dropped = Dropped::default();
            let about = about(description, format, 1, &mut dropped).map(Cow::into_owned);
            (about, dropped.header())
        };
        let lark = r#"{"type":"grammar","syntax":"lark","definition":"start: \"x\""}"#;
        let (about, dropped) = told(Some("Patch."), Some(lark));
        assert_eq!(
            about.as_deref(),
            Some("Patch.\n\n`input` must follow this grammar (lark):\nstart: \"x\"")
        );
        assert_eq!(dropped, "tools[1].format");
        let regex = r#"{"type":"grammar","syntax":"regex","definition":"a+"}"#;
        let (about, _) = told(None, Some(regex));
        assert_eq!(
            about.as_deref(),
            Some("`input` must match this regular expression:\na+")
        );
        assert_eq!(
            told(Some("P"), Some(r#"{"type":"text"}"#)),
            (Some("P".to_owned()), String::new())
        );
        assert_eq!(told(None, None), (None, String::new()));
    }
}
