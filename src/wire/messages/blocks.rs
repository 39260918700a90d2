//! Content blocks, as far as requests and answers, clients and targets, have the same ones: text with citations, thinking,
//! calls, cache markers.
//!
//! ```json
//! {"type":"text","text":"…","citations":[{"type":"char_location", …}],"cache_control":{"type":"ephemeral","ttl":"1h"}}
//! {"type":"thinking","thinking":"…","signature":"EqkB…"}     {"type":"redacted_thinking","data":"EmwK…"}
//! {"type":"tool_use","id":"toolu_…","name":"weather","input":{…}}
//! ```
//! What other vendors sign travels in `signature`, the only member of this API that clients echo unread:
//! `cirque:<origin>:<data>` (see [`Signature`]), and behind it, after `#`, what else must come back:
//!
//! | form | means |
//! |---|---|
//! | `cirque:gemini:<data>#call` on a block without text | the signature of the call in the next block |
//! | `cirque:gemini:<data>#text` on a block without text | the signature of the text in the block before |
//! | `cirque:responses:<data>#id=rs_…` | the vendor's id of this reasoning |
//! | `cirque:openai:` | reasoning that its vendor did not sign: no Claude will take it |
//!
//! Not for media: only requests have them, and the two sides of the gateway read and write them differently.

use crate::wire::Dialect;
use crate::wire::canonical::{Cache, Citation, Part, Signature, Text, Thinking, ToolCall, ToolCallKind};
use crate::wire::json::{Invalid, JsonWriter, Kind, Node, Scan, escape_into};
use std::borrow::Cow;

/// Deepest arguments accepted as an object; deeper ones travel as text.
const ARGUMENTS_DEPTH: usize = 256;

/// A cache marker: `{"type":"ephemeral","ttl":"5m"}`.
pub fn read_cache(node: &Node<'_>) -> Result<Cache, Invalid> {
    node.object()?;
    if node.req("type", Node::str)? != "ephemeral" {
        return Err(Invalid::value("must be \"ephemeral\"").within("type"));
    }
    match node.opt("ttl", Node::str)? {
        None => Ok(Cache::Default),
        Some("5m") => Ok(Cache::FiveMinutes),
        Some("1h") => Ok(Cache::OneHour),
        Some(_) => Err(Invalid::value("must be \"5m\" or \"1h\"").within("ttl")),
    }
}

/// `"cache_control":…`, if there is a marker.
pub fn write_cache(cache: Option<Cache>, json: &mut JsonWriter) {
    let Some(cache) = cache else { return };
    json.key("cache_control").object(|json| {
        json.field("type", "ephemeral");
        match cache {
            Cache::Default => {}
            Cache::FiveMinutes => json.field("ttl", "5m"),
            Cache::OneHour => json.field("ttl", "1h"),
        }
    });
}

/// One citation. Those this gateway made up for another vendor (see [`write_citation`]) lose their form again.
pub fn read_citation<'d>(node: &'d Node<'_>) -> Citation<'d> {
    let text = |key: &str| node.get_str(key).map(Cow::Borrowed);
    let made_up = node.get_str("encrypted_index") == Some("");
    Citation {
        url: text("url").or_else(|| text("source")),
        title: text("title").or_else(|| text("document_title")),
        cited_text: text("cited_text"),
        span: None,
        document: node.get_u64("document_index"),
        raw: (!made_up).then_some((Dialect::Anthropic, Cow::Borrowed(node.raw))),
    }
}

/// All of a text block's citations.
pub fn read_citations<'d>(block: &'d Node<'_>) -> Vec<Citation<'d>> {
    let list = block.get("citations").and_then(Node::as_array).unwrap_or_default();
    list.iter().map(read_citation).collect()
}

/// One citation for a client. Another vendor's becomes a web search location, the SDKs' type for a page with an address;
/// its `encrypted_index` stays empty, which tells it apart when it comes back.
pub fn write_citation(citation: &Citation<'_>, json: &mut JsonWriter) {
    if let Some((Dialect::Anthropic, raw)) = &citation.raw {
        return json.raw(raw);
    }
    json.object(|json| {
        json.field("type", "web_search_result_location");
        json.field("url", citation.url.as_deref().unwrap_or_default());
        json.or_null("title", citation.title.as_deref());
        json.field("cited_text", citation.cited_text.as_deref().unwrap_or_default());
        json.field("encrypted_index", "");
    });
}

/// A text block. `native`: only citations in this API's own form (targets refuse others).
pub fn write_text(text: &str, citations: &[Citation<'_>], cache: Option<Cache>, native: bool, json: &mut JsonWriter) {
    let own = |citation: &&Citation<'_>| !native || matches!(citation.raw, Some((Dialect::Anthropic, _)));
    json.object(|json| {
        json.field("type", "text");
        json.field("text", text);
        if citations.iter().any(|citation| own(&citation)) {
            json.key("citations").array(|json| {
                for citation in citations.iter().filter(own) {
                    write_citation(citation, json);
                }
            });
        }
        write_cache(cache, json);
    });
}

/// What a client's thinking block says in its `signature`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Echo<'a> {
    /// Whose it is and what they wrote.
    pub signature: Option<Signature<'a>>,
    /// The vendor's id of the reasoning.
    pub id: Option<Text<'a>>,
    /// It belongs to a part beside it.
    pub carries: Option<Carried>,
}

/// Which part a carried signature belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// The call after it.
    Call,
    /// The text before it.
    Text,
}

/// Read what a client echoed as `signature` or `data`.
pub fn read_signature(text: &str) -> Echo<'_> {
    let signature = Signature::from_client(Dialect::Anthropic, text);
    let mut echo = Echo::default();
    let Signature { origin, data } = signature;
    let data = match data {
        Cow::Borrowed(data) if origin != Dialect::Anthropic => {
            let (data, tag) = data.rsplit_once('#').unwrap_or((data, ""));
            match tag {
                "call" => echo.carries = Some(Carried::Call),
                "text" => echo.carries = Some(Carried::Text),
                _ => echo.id = tag.strip_prefix("id=").map(Cow::Borrowed),
            }
            Cow::Borrowed(data)
        }
        data => data,
    };
    echo.signature = (!data.is_empty()).then_some(Signature { origin, data });
    echo
}

/// The `signature` (or `data`) of a piece of reasoning, for a client.
pub fn thinking_signature<'t>(signature: Option<&'t Signature<'_>>, id: Option<&str>) -> Text<'t> {
    match (signature, id) {
        (Some(signature), _) if signature.origin == Dialect::Anthropic => signature.for_client(Dialect::Anthropic),
        (Some(signature), None) => signature.for_client(Dialect::Anthropic),
        (Some(signature), Some(id)) => format!("{}#id={id}", signature.for_client(Dialect::Anthropic)).into(),
        (None, Some(id)) => format!("cirque:responses:#id={id}").into(),
        (None, None) => "cirque:openai:".into(),
    }
}

/// The `signature` of the block that carries the signature of a part beside it.
pub fn carrier_signature(signature: &Signature<'_>, carried: Carried) -> String {
    let tag = match carried {
        Carried::Call => "call",
        Carried::Text => "text",
    };
    format!("{}#{tag}", signature.for_client(Dialect::Anthropic))
}

/// A whole thinking block.
pub fn write_thinking(text: &str, signature: &str, json: &mut JsonWriter) {
    json.object(|json| {
        json.field("type", "thinking");
        json.field("thinking", text);
        json.field("signature", signature);
    });
}

/// A whole redacted thinking block.
pub fn write_redacted(data: &str, json: &mut JsonWriter) {
    json.object(|json| {
        json.field("type", "redacted_thinking");
        json.field("data", data);
    });
}

/// Put carried signatures back on their parts. `parts[n]` belongs to `carries[n]`.
pub fn settle<'a>(parts: Vec<(Part<'a>, Option<Carried>)>) -> Vec<Part<'a>> {
    let mut settled: Vec<Part<'a>> = Vec::with_capacity(parts.len());
    let mut waiting: Option<Thinking<'a>> = None;
    for (mut part, carries) in parts {
        match (&mut part, carries) {
            (Part::Thinking(thinking), Some(Carried::Call)) => {
                settled.extend(waiting.replace(std::mem::take(thinking)).map(Part::Thinking));
                continue;
            }
            (Part::Thinking(thinking), Some(Carried::Text)) => {
                if let Some(Part::Text { signature, .. }) = settled.last_mut()
                    && signature.is_none()
                {
                    *signature = thinking.signature.take();
                    continue;
                }
            }
            (Part::ToolCall(call), _) => {
                call.signature = waiting.take().and_then(|thinking| thinking.signature);
            }
            _ => {}
        }
        settled.extend(waiting.take().map(Part::Thinking));
        settled.push(part);
    }
    settled.extend(waiting.map(Part::Thinking));
    settled
}

/// A call's arguments as the JSON object this API wants: as written when they are one, else `{"_raw":"…"}`; free text of a
/// custom tool as `{"input":"…"}`.
pub fn input<'c>(call: &'c ToolCall<'_>) -> Cow<'c, str> {
    if call.kind == ToolCallKind::Custom {
        return wrapped("input", &call.arguments).into();
    }
    let arguments = call.arguments.trim();
    if arguments.is_empty() {
        return "{}".into();
    }
    let mut scan = Scan::any(ARGUMENTS_DEPTH);
    match scan.finish(arguments.as_bytes(), |_| ()) {
        Ok(()) if scan.kind() == Kind::Object => arguments.into(),
        _ => wrapped("_raw", &call.arguments).into(),
    }
}

fn wrapped(key: &str, text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 16);
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":\"");
    escape_into(text, &mut out);
    out.extend_from_slice(b"\"}");
    String::from_utf8(out).unwrap_or_else(|_| "{}".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_signatures_come_back_with_what_belongs_to_them() {
        let gemini = Signature::new(Dialect::Gemini, "ab#c");
        let carried = carrier_signature(&gemini, Carried::Call);
        let echo = read_signature(&carried);
        assert_eq!((echo.signature, echo.carries), (Some(gemini), Some(Carried::Call)));
        let responses = Signature::new(Dialect::Responses, "enc");
        let text = thinking_signature(Some(&responses), Some("rs_1")).into_owned();
        let echo = read_signature(&text);
        assert_eq!((echo.signature, echo.id.as_deref()), (Some(responses), Some("rs_1")));
        assert_eq!(read_signature(&thinking_signature(None, None)), Echo::default());
        let native = read_signature("Eq#call");
        assert_eq!(native.signature, Some(Signature::new(Dialect::Anthropic, "Eq#call")));
        assert_eq!(read_signature("").signature, None);
    }

    #[test]
    fn arguments_that_are_no_object_are_wrapped() {
        let call = |arguments: &'static str, kind| ToolCall {
            id: "a".into(),
            name: "b".into(),
            arguments: arguments.into(),
            kind,
            signature: None,
            cache: None,
        };
        let function = ToolCallKind::Function;
        assert_eq!(input(&call(" {\"a\": 1}", function)), "{\"a\": 1}");
        assert_eq!(input(&call("", function)), "{}");
        assert_eq!(input(&call("{\"a\":", function)), r#"{"_raw":"{\"a\":"}"#);
        assert_eq!(input(&call("[1]", function)), r#"{"_raw":"[1]"}"#);
        assert_eq!(input(&call("x\"y", ToolCallKind::Custom)), r#"{"input":"x\"y"}"#);
    }

    #[test]
    fn carriers_find_their_parts_or_stay() {
        let carrier = |data: &'static str| {
            Part::Thinking(Thinking {
                signature: Some(Signature::new(Dialect::Gemini, data)),
                ..Thinking::default()
            })
        };
        let call = || {
            Part::ToolCall(ToolCall {
                id: "a".into(),
                name: "b".into(),
                arguments: "{}".into(),
                kind: ToolCallKind::Function,
                signature: None,
                cache: None,
            })
        };
        let settled = settle(vec![
            (Part::text("t"), None),
            (carrier("1"), Some(Carried::Text)),
            (carrier("2"), Some(Carried::Call)),
            (call(), None),
            (call(), None),
            (carrier("3"), Some(Carried::Call)),
        ]);
        assert_eq!(settled.len(), 4);
        assert!(matches!(&settled[0], Part::Text { signature: Some(s), .. } if s.data == "1"));
        assert!(matches!(&settled[1], Part::ToolCall(c) if c.signature.as_ref().is_some_and(|s| s.data == "2")));
        assert!(matches!(&settled[2], Part::ToolCall(c) if c.signature.is_none()));
        assert!(matches!(&settled[3], Part::Thinking(_)));
    }
}
