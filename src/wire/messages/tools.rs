//! Tools and the choice among them, as a client writes them.
//!
//! ```json
//! "tools": [{"name":"weather","description":"…","input_schema":{"type":"object", …},"strict":true,"cache_control":{…}},
//!           {"type":"web_search_20250305","name":"web_search","max_uses":3}],
//! "tool_choice": {"type":"auto|any|tool|none","name":"weather","disable_parallel_tool_use":true}
//! ```
//! A tool with a `type` other than `custom` is one the vendor defines: it is carried as written.

use super::blocks::read_cache;
use super::read::text;
use crate::wire::Dialect;
use crate::wire::canonical::{Builtin, Function, Tool, ToolChoice};
use crate::wire::json::{Invalid, Node};
use std::borrow::Cow;

/// One tool.
pub fn tool<'d>(node: &'d Node<'_>) -> Result<Tool<'d>, Invalid> {
    node.object()?;
    match node.opt("type", Node::str)? {
        None | Some("custom") => {}
        Some(name) => {
            return Ok(Tool::Builtin {
                kind: builtin(name),
                dialect: Dialect::Anthropic,
                name: name.into(),
                raw: node.raw.into(),
            });
        }
    }
    let name = node.req("name", text)?;
    if name.is_empty() {
        return Err(Invalid::value("is empty").within("name"));
    }
    let schema = node.req("input_schema", |schema| {
        schema.object()?;
        Ok(schema.raw)
    })?;
    Ok(Tool::Function(Function {
        name,
        description: node.opt("description", text)?,
        parameters: Some(Cow::Borrowed(schema)),
        strict: node.opt("strict", Node::bool)?,
        cache: node.opt("cache_control", read_cache)?,
    }))
}

/// What other vendors have too, told by the name before the version.
fn builtin(name: &str) -> Builtin {
    if name.starts_with("web_search_") {
        Builtin::WebSearch
    } else if name.starts_with("web_fetch_") {
        Builtin::WebFetch
    } else if name.starts_with("code_execution_") {
        Builtin::CodeExecution
    } else {
        Builtin::Other
    }
}

/// The choice, and whether several calls may come at once.
pub fn choice<'d>(node: &'d Node<'_>) -> Result<(ToolChoice<'d>, Option<bool>), Invalid> {
    node.object()?;
    let choice = match node.req("type", Node::str)? {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Function(node.req("name", text)?),
        _ => return Err(Invalid::value("must be \"auto\", \"any\", \"tool\" or \"none\"").within("type")),
    };
    let disabled = node.opt("disable_parallel_tool_use", Node::bool)?;
    Ok((choice, disabled.map(|disabled| !disabled)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        tool(&Node::parse(json.as_bytes(), 32).unwrap())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn tools_of_the_vendor_are_kept_as_written() {
        let json = r#"{"type":"web_search_20260318","name":"web_search","max_uses":2}"#;
        let node = Node::parse(json.as_bytes(), 32).unwrap();
        let Tool::Builtin { kind, raw, .. } = tool(&node).unwrap() else {
            panic!("not a builtin")
        };
        assert_eq!((kind, raw.as_ref()), (Builtin::WebSearch, json));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        assert_eq!(refused(r#"{"name":"a"}"#), "`input_schema` is required");
        assert_eq!(
            refused(r#"{"name":"a","input_schema":[]}"#),
            "`input_schema` must be an object"
        );
        assert_eq!(refused(r#"{"name":"","input_schema":{}}"#), "`name` is empty");
        assert_eq!(
            refused(r#"{"name":"a","input_schema":{},"strict":1}"#),
            "`strict` must be true or false"
        );
        let node = Node::parse(br#"{"type":"required"}"#, 8).unwrap();
        assert!(choice(&node).unwrap_err().to_string().starts_with("`type` must be"));
    }
}
