//! Tools for Google: declarations, what Google runs itself, the choice, and the names it takes.
//!
//! A schema goes out as written in `parametersJsonSchema`, to AI Studio and to Vertex: both take JSON Schema there and pass
//! over keywords they do not know, where `parameters` refuses them (google-genai and Vercel's AI SDK send the same to both).
//! A free-text tool becomes a function of one text ([`free_text`]). Not taken: Google's own tools beside functions before
//! generation 3, and on Vertex at all.
//! Source: ai.google.dev/api/caching#Tool, ai.google.dev/gemini-api/docs/function-calling, google-genai types.Tool (most 512
//! declarations), read 2026-11.

use super::model::Model;
use crate::providers::codec::Unfit;
use crate::providers::free_text::{self, ENDING};
use crate::wire::Dialect;
use crate::wire::canonical::{Builtin, Dropped, Function, Request, Tool, ToolCallKind, ToolChoice};
use crate::wire::gemini::same_field;
use crate::wire::json::{JsonWriter, Node};
use std::borrow::Cow;
use std::collections::HashSet;

/// Most declarations taken.
const MOST_FUNCTIONS: usize = 512;

/// Longest name every backend takes.
const LONGEST_NAME: usize = 64;

/// Names changed for Google: theirs, ours.
#[derive(Debug, Default)]
pub struct Names {
    /// As [`Expect`] keeps them.
    pub renamed: Vec<(Box<str>, Box<str>)>,
    /// The former of them.
    known: HashSet<Box<str>>,
}

impl Names {
    /// The name for Google; remembered when it had to be changed.
    pub fn out<'n>(&mut self, name: &'n str, kind: ToolCallKind) -> Cow<'n, str> {
        let theirs = match kind {
            ToolCallKind::Function => taken(name, LONGEST_NAME),
            ToolCallKind::Custom => Cow::Owned(taken(name, LONGEST_NAME - ENDING.len()).into_owned() + ENDING),
        };
        if let Cow::Owned(theirs) = &theirs
            && self.known.insert(theirs.as_str().into())
        {
            self.renamed.push((theirs.as_str().into(), name.into()));
        }
        theirs
    }
}

/// A name of letters, digits, `_`, `.`, `:` and `-` that begins with a letter or `_`. One that had to be changed ends in a
/// hash of what it was, so that two never become one.
fn taken(name: &str, longest: usize) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if begins && name.len() <= longest && name.chars().all(fits) {
        return Cow::Borrowed(name);
    }
    let mut changed: String = name
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .take(longest - 10)
        .collect();
    if !begins {
        changed.insert(0, '_');
    }
    let _ = std::fmt::Write::write_fmt(&mut changed, format_args!("_{:08x}", hash(name.as_bytes()) as u32));
    Cow::Owned(changed)
}

/// FNV-1a: small and the same everywhere and always.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A function for Google.
enum Offered<'r> {
    Function(&'r Function<'r>),
    /// A free-text tool: its name and description.
    Free(&'r str, Option<Cow<'r, str>>),
}

/// What is left of a request's tools for Google.
pub struct Offer<'r> {
    functions: Vec<Offered<'r>>,
    /// Tools Google runs: its own as written, others' by their nearest.
    builtins: Vec<Cow<'r, str>>,
}

impl<'r> Offer<'r> {
    /// Choose; what cannot be taken is named.
    pub fn of(request: &'r Request<'_>, model: Model, vertex: bool, dropped: &mut Dropped) -> Result<Self, Unfit> {
        let mut functions = Vec::new();
        for (index, tool) in request.tools.iter().enumerate() {
            match tool {
                Tool::Function(function) => functions.push(Offered::Function(function)),
                Tool::Custom {
                    name,
                    description,
                    format,
                } => {
                    let about = free_text::about(description.as_deref(), format.as_deref(), index, dropped);
                    functions.push(Offered::Free(name, about));
                }
                Tool::Builtin { .. } => {}
            }
        }
        if functions.len() > MOST_FUNCTIONS {
            return Err(Unfit::request(
                "tools",
                format!("this model takes at most {MOST_FUNCTIONS} functions; send fewer tools"),
            ));
        }
        let beside = functions.is_empty() || (model.third() && !vertex);
        let mut builtins = Vec::new();
        for (index, tool) in request.tools.iter().enumerate() {
            match tool {
                Tool::Function(_) | Tool::Custom { .. } => {}
                Tool::Builtin { name, .. } if !beside => {
                    dropped.push(format!("tools[{index}] ({name} beside functions)"));
                }
                Tool::Builtin {
                    kind,
                    dialect,
                    name,
                    raw,
                } => match own(*kind, *dialect, raw) {
                    Some(form) => {
                        if *dialect != Dialect::Gemini && has_options(raw) {
                            dropped.push(format!("tools[{index}] (options of {name})"));
                        }
                        builtins.push(form);
                    }
                    None => dropped.push(format!("tools[{index}] ({name})")),
                },
            }
        }
        Ok(Self { functions, builtins })
    }

    /// Nothing is offered.
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty() && self.builtins.is_empty()
    }

    /// `tools`.
    pub fn write(&self, names: &mut Names, json: &mut JsonWriter) {
        if self.is_empty() {
            return;
        }
        json.key("tools").array(|json| {
            if !self.functions.is_empty() {
                json.object(|json| {
                    json.key("functionDeclarations").array(|json| {
                        self.functions
                            .iter()
                            .for_each(|function| declare(function, names, json));
                    });
                });
            }
            self.builtins.iter().for_each(|raw| json.raw(raw));
        });
    }

    /// `toolConfig`, with the members only Google knows.
    pub fn write_choice(&self, request: &Request<'_>, names: &mut Names, dropped: &mut Dropped, json: &mut JsonWriter) {
        let extras: Vec<_> = super::request::extras_in(request, "toolConfig.").collect();
        let choice = request.tool_choice.as_ref().filter(|_| !self.functions.is_empty());
        if let (None, Some(ToolChoice::Required | ToolChoice::Function(_))) = (choice, &request.tool_choice) {
            dropped.push("tool_choice");
        }
        let both = !self.functions.is_empty() && !self.builtins.is_empty();
        if choice.is_none() && extras.is_empty() && !both {
            return;
        }
        json.key("toolConfig").object(|json| {
            if let Some(choice) = choice {
                self.calling(choice, names, dropped, json);
            }
            // Google asks for this before it runs its own tools beside functions.
            const SHOWN: &str = "includeServerSideToolInvocations";
            if both && !extras.iter().any(|(key, _)| same_field(key, SHOWN)) {
                json.field(SHOWN, true);
            }
            extras.iter().for_each(|(key, raw)| json.raw_field(key, raw));
        });
    }
}

impl Offer<'_> {
    /// Which sort of tool has this name.
    fn kind(&self, name: &str) -> ToolCallKind {
        let free = |offered: &Offered<'_>| matches!(offered, Offered::Free(of, _) if *of == name);
        match self.functions.iter().any(free) {
            true => ToolCallKind::Custom,
            false => ToolCallKind::Function,
        }
    }

    fn calling(&self, choice: &ToolChoice<'_>, names: &mut Names, dropped: &mut Dropped, json: &mut JsonWriter) {
        let (mode, allowed): (&str, &[Cow<'_, str>]) = match choice {
            ToolChoice::Auto => ("AUTO", &[]),
            ToolChoice::None => ("NONE", &[]),
            ToolChoice::Required => ("ANY", &[]),
            ToolChoice::Function(name) => ("ANY", std::slice::from_ref(name)),
            ToolChoice::Allowed { names, required: true } => ("ANY", names),
            // Names may only be given to ANY and VALIDATED; the latter leaves the model free not to call.
            ToolChoice::Allowed { names, required: false } => ("VALIDATED", names),
            ToolChoice::Opaque { .. } => {
                dropped.push("tool_choice");
                return;
            }
        };
        json.key("functionCallingConfig").object(|json| {
            json.field("mode", mode);
            if !allowed.is_empty() {
                json.key("allowedFunctionNames").array(|json| {
                    allowed
                        .iter()
                        .for_each(|name| json.value(names.out(name, self.kind(name))))
                });
            }
        });
    }
}

/// Google's form of a tool that providers run.
fn own<'r>(kind: Builtin, dialect: Dialect, raw: &'r str) -> Option<Cow<'r, str>> {
    if dialect == Dialect::Gemini {
        return Some(Cow::Borrowed(raw));
    }
    match kind {
        Builtin::WebSearch => Some(r#"{"googleSearch":{}}"#.into()),
        Builtin::WebFetch => Some(r#"{"urlContext":{}}"#.into()),
        Builtin::CodeExecution => Some(r#"{"codeExecution":{}}"#.into()),
        Builtin::Other => None,
    }
}

/// Whether another vendor's tool says more than what it is.
fn has_options(raw: &str) -> bool {
    let Ok(tool) = Node::parse(raw.as_bytes(), 64) else {
        return false;
    };
    let members = tool.as_object().unwrap_or_default();
    members
        .iter()
        .any(|(key, node)| !matches!(key.as_ref(), "type" | "name") && !node.is_null())
}

fn declare(offered: &Offered<'_>, names: &mut Names, json: &mut JsonWriter) {
    let (name, kind, description, schema) = match offered {
        Offered::Function(one) => (
            one.name.as_ref(),
            ToolCallKind::Function,
            one.description.as_deref(),
            one.parameters.as_deref(),
        ),
        Offered::Free(name, about) => (*name, ToolCallKind::Custom, about.as_deref(), Some(free_text::SCHEMA)),
    };
    json.object(|json| {
        json.field("name", names.out(name, kind));
        json.opt("description", description);
        if let Some(schema) = schema {
            json.raw_field("parametersJsonSchema", schema);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::codec::Expect;

    #[test]
    fn names_are_changed_only_when_they_must_and_stay_apart() {
        for fine in ["weather", "_a.b:c-d", "A1"] {
            assert!(matches!(taken(fine, 64), Cow::Borrowed(_)), "{fine}");
        }
        let long = "x".repeat(65);
        for odd in ["", "1a", "a b", "ä", "a/b", long.as_str(), "mcp__é__x"] {
            let changed = taken(odd, 64).into_owned();
            assert!(matches!(taken(&changed, 64), Cow::Borrowed(_)), "{odd} {changed}");
        }
        assert_ne!(taken("a b", 64), taken("a/b", 64));
        let mut names = Names::default();
        let theirs = names.out("a b", ToolCallKind::Function).into_owned();
        names.out("a b", ToolCallKind::Function);
        assert_eq!(names.renamed, [(theirs.into(), "a b".into())]);
    }

    #[test]
    fn free_text_tools_are_known_by_their_changed_name() {
        let mut names = Names::default();
        let long = "x".repeat(80);
        for name in ["apply_patch", "a b", long.as_str(), "own__text"] {
            let theirs = names.out(name, ToolCallKind::Custom).into_owned();
            assert!(matches!(taken(&theirs, 64), Cow::Borrowed(_)), "{theirs}");
            let expect = Expect {
                renamed_tools: names.renamed.clone(),
                ..Expect::default()
            };
            assert_eq!(free_text::tool(&theirs, &expect), (name, ToolCallKind::Custom));
        }
    }
}
