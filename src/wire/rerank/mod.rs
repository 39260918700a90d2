//! Rerank as an operation that clients ask for: Cohere's v1 and v2 and Jina's shape on one path.
//!
//! ```json
//! {"model":"…","query":"…","documents":["…",{"text":"…"}],"top_n":3,"return_documents":true,"max_tokens_per_doc":4096}
//! {"id":"rerank-…","model":"…","results":[{"index":1,"relevance_score":0.9,"document":{"text":"…"}}],
//!  "meta":{"api_version":{"version":"2"},"billed_units":{"search_units":1}},"usage":{"total_tokens":9}}
//! ```
//! The answer has the members of both, so that either's SDK reads it. Documents are given back from the request, only when
//! asked for, and `top_n` is kept to also where a server gives all.
//!
//! Not for chat: Cohere's chat is a provider's dialect only, so every other method refuses.
//! Sources: docs.cohere.com/reference/rerank (v1 and v2), api.jina.ai/redoc; read 2026-11.

use super::Dialect;
use super::canonical::aux::{RerankRequest, RerankResponse};
use super::canonical::{Event, Extra, Raw, Request, Response, Text};
use super::client::{ClientDialect, Reply, ReplyWriter};
use super::json::{Invalid, JsonWriter, Node};
use crate::error::GatewayError;
use crate::wire::json::Value;

#[cfg(test)]
mod tests;

/// The rerank operation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rerank;

/// Members read here; others are [`Extra`].
const KNOWN: [&str; 9] = [
    "model",
    "query",
    "documents",
    "texts",
    "top_n",
    "top_k",
    "return_documents",
    "max_tokens_per_doc",
    "rank_fields",
];

impl ClientDialect for Rerank {
    fn read<'d>(&self, _body: &'d Node<'_>, _stream: bool) -> Result<Request<'d>, Invalid> {
        Err(Invalid::unsupported("is not an operation of this API"))
    }

    fn writer(&self, _request: &Request<'_>, _reply: Reply) -> Box<dyn ReplyWriter> {
        Box::new(Silent)
    }

    fn read_rerank<'d>(&self, body: &'d Node<'_>) -> Result<RerankRequest<'d>, Invalid> {
        let members = body.object()?;
        let query = body.req("query", Node::str)?;
        let fields: Vec<&str> = body
            .opt("rank_fields", |node| node.each(Node::str))?
            .unwrap_or_default();
        let key = if body.get("documents").is_none() && body.get("texts").is_some() {
            "texts"
        } else {
            "documents"
        };
        let documents = body.req(key, |node| {
            let documents = node.each(|item| document(item, &fields))?;
            if documents.is_empty() {
                return Err(Invalid::value("is empty; give at least one document"));
            }
            Ok(documents)
        })?;
        let top_n = match body.opt("top_n", Node::u64)? {
            Some(top_n) => Some(top_n),
            None => body.opt("top_k", Node::u64)?,
        };
        Ok(RerankRequest {
            query: query.into(),
            documents,
            top_n,
            return_documents: body.opt("return_documents", Node::bool)?,
            max_tokens_per_doc: body.opt("max_tokens_per_doc", Node::u64)?,
            extras: members
                .iter()
                .filter(|(key, value)| !KNOWN.contains(&key.as_ref()) && !value.is_null())
                .map(|(key, value)| Extra {
                    dialect: Dialect::Cohere,
                    key: key.as_ref().into(),
                    raw: value.raw.into(),
                })
                .collect(),
        })
    }

    fn write_rerank(
        &self,
        request: &RerankRequest<'_>,
        response: &RerankResponse<'_>,
        reply: &Reply,
        out: &mut Vec<u8>,
    ) {
        let mut json = JsonWriter::over(std::mem::take(out));
        json.object(|json| {
            json.field("id", format!("rerank-{}", reply.id));
            json.field("model", &reply.model);
            json.key("results").array(|json| write_results(request, response, json));
            json.key("meta").object(|json| {
                json.key("api_version").object(|json| json.field("version", "2"));
                if let Some(units) = response.search_units {
                    json.key("billed_units")
                        .object(|json| json.field("search_units", units));
                }
            });
            if let Some(usage) = response.usage {
                json.key("usage").object(|json| {
                    json.field("total_tokens", usage.total());
                    json.field("prompt_tokens", usage.input);
                });
            }
        });
        *out = json.finish();
    }
}

/// A document: its text, and itself as written when it is an object.
fn document<'d>(item: &'d Node<'_>, fields: &[&str]) -> Result<(Text<'d>, Option<Raw<'d>>), Invalid> {
    let Value::Object(members) = &item.value else {
        return match item.as_str() {
            Some(text) => Ok((text.into(), None)),
            None => Err(Invalid::wrong_type("a string or an object with `text`")),
        };
    };
    let raw = Some(item.raw.into());
    if !fields.is_empty() {
        return Ok((lines(item, fields).into(), raw));
    }
    if let Some(text) = item.opt("text", Node::str)? {
        return Ok((text.into(), raw));
    }
    if members.is_empty() {
        return Err(Invalid::value("is empty; give a string or an object with `text`"));
    }
    // Structured documents: Cohere recommends YAML, one `key: value` a line.
    let keys: Vec<&str> = members.iter().map(|(key, _)| key.as_ref()).collect();
    Ok((lines(item, &keys).into(), raw))
}

fn lines(item: &Node<'_>, keys: &[&str]) -> String {
    let mut text = String::new();
    for key in keys {
        let Some(value) = item.get(key) else { continue };
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(key);
        text.push_str(": ");
        text.push_str(value.as_str().unwrap_or(value.raw));
    }
    text
}

fn write_results(request: &RerankRequest<'_>, response: &RerankResponse<'_>, json: &mut JsonWriter) {
    let most = request
        .top_n
        .map_or(usize::MAX, |top_n| usize::try_from(top_n).unwrap_or(usize::MAX));
    for (index, score) in response.results.iter().take(most) {
        json.object(|json| {
            json.field("index", *index);
            json.field("relevance_score", *score);
            if request.return_documents != Some(true) {
                return;
            }
            match usize::try_from(*index).ok().and_then(|at| request.documents.get(at)) {
                Some((_, Some(object))) => json.raw_field("document", object),
                Some((text, None)) => json.key("document").object(|json| json.field("text", text)),
                None => {}
            }
        });
    }
}

/// There are no answers to write but orders.
struct Silent;

impl ReplyWriter for Silent {
    fn whole(&mut self, _response: &Response<'_>, _out: &mut Vec<u8>) {}

    fn event(&mut self, _event: &Event<'_>, _out: &mut Vec<u8>) {}

    fn fail(&mut self, _error: &GatewayError, _out: &mut Vec<u8>) {}
}
