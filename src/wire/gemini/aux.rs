//! The smaller operations of the dialect, client side: `countTokens`, `embedContent`, `batchEmbedContents`.
//!
//! ```json
//! {"contents":[…]}  or  {"generateContentRequest":{"model":"models/m","contents":[…]}}   →  {"totalTokens":11}
//! {"content":{"parts":[{"text":"…"}]},"taskType":"RETRIEVAL_QUERY","title":"…","outputDimensionality":768}
//!                                                                                        →  {"embedding":{"values":[…]}}
//! {"requests":[{"content":{…}}, …]}                                                      →  {"embeddings":[{"values":[…]}, …]}
//! ```
//! One vector is made of all parts of a content; they are joined by line breaks. Requests of a batch may differ in what they
//! embed only: other vendors take one task and one length for all.
//! Source: ai.google.dev/api/tokens and ai.google.dev/api/embeddings, read 2026-11.

use super::fields::{Fields, each, text};
use super::read;
use crate::wire::Dialect;
use crate::wire::canonical::aux::{EmbedInput, EmbedRequest, EmbedResponse, TokenCount, Vector};
use crate::wire::canonical::{Extra, Request, Text};
use crate::wire::json::{Invalid, JsonWriter, Node};
use crate::wire::media;
use std::borrow::Cow;

/// Google's words for what vectors are for, and the canonical ones.
const TASKS: [(&str, &str); 4] = [
    ("RETRIEVAL_QUERY", "search_query"),
    ("RETRIEVAL_DOCUMENT", "search_document"),
    ("CLASSIFICATION", "classification"),
    ("CLUSTERING", "clustering"),
];

/// The canonical word of a task.
fn task_in(word: &str) -> &str {
    let known = TASKS.into_iter().find(|(theirs, _)| *theirs == word);
    known.map_or(word, |(_, canonical)| canonical)
}

/// Google's word for a task; nothing when it has none.
pub fn task_out(word: &str) -> Option<&str> {
    const OWN: [&str; 4] = [
        "SEMANTIC_SIMILARITY",
        "QUESTION_ANSWERING",
        "FACT_VERIFICATION",
        "CODE_RETRIEVAL_QUERY",
    ];
    let known = TASKS.into_iter().find(|(_, canonical)| *canonical == word);
    known
        .map(|(theirs, _)| theirs)
        .or_else(|| OWN.contains(&word).then_some(word))
}

/// A request to count tokens.
pub fn read_count<'d>(body: &'d Node<'_>) -> Result<Request<'d>, Invalid> {
    body.object()?;
    match body.opt_field("generateContentRequest", |inner| read::request(inner, false))? {
        Some(request) => Ok(request),
        None => read::request(body, false),
    }
}

/// A count.
pub fn write_count(count: &TokenCount, out: &mut Vec<u8>) {
    let mut json = JsonWriter::over(std::mem::take(out));
    json.object(|json| {
        json.field("totalTokens", count.input);
        json.opt("cachedContentTokenCount", count.cached.filter(|cached| *cached > 0));
    });
    *out = json.finish();
}

/// A request for vectors.
pub fn read_embed<'d>(body: &'d Node<'_>) -> Result<EmbedRequest<'d>, Invalid> {
    body.object()?;
    let batch = body.opt_field("requests", |list| {
        let all = each(list, one)?;
        let mut all = all.into_iter();
        let Some(mut first) = all.next() else {
            return Err(Invalid::value("is empty"));
        };
        for (index, other) in all.enumerate() {
            let same = other.task == first.task && other.title == first.title && other.dimensions == first.dimensions;
            if !same {
                let message = "must have the taskType, title and outputDimensionality of the first request; \
                               send others in a batch of their own";
                return Err(Invalid::unsupported(message).at(index + 1));
            }
            first.inputs.extend(other.inputs);
        }
        first.batch = true;
        Ok(first)
    })?;
    match batch {
        Some(request) => Ok(request),
        None => one(body),
    }
}

fn one<'d>(request: &'d Node<'_>) -> Result<EmbedRequest<'d>, Invalid> {
    let content = request.req_field("content", embedded)?;
    let mut extras = Vec::new();
    if let Some(node) = request.value_of("autoTruncate") {
        extras.push(Extra {
            dialect: Dialect::Gemini,
            key: "autoTruncate".into(),
            raw: node.raw.into(),
        });
    }
    Ok(EmbedRequest {
        inputs: vec![EmbedInput::Text(content)],
        dimensions: request.opt_field("outputDimensionality", Node::u64)?,
        task: request.opt_field("taskType", |task| task.str().map(|word| task_in(word).into()))?,
        title: request.opt_field("title", text)?,
        extras,
        ..EmbedRequest::default()
    })
}

fn embedded<'d>(content: &'d Node<'_>) -> Result<Text<'d>, Invalid> {
    content.object()?;
    let mut parts = content.req_field("parts", |parts| each(parts, |part| part.req_field("text", text)))?;
    if parts.len() == 1 {
        return Ok(parts.pop().unwrap_or_default());
    }
    Ok(Cow::Owned(parts.join("\n")))
}

/// Vectors.
pub fn write_embed(request: &EmbedRequest<'_>, response: &EmbedResponse<'_>, out: &mut Vec<u8>) {
    let mut json = JsonWriter::over(std::mem::take(out));
    json.object(|json| {
        if request.batch {
            json.key("embeddings")
                .array(|json| response.vectors.iter().for_each(|vector| values(vector, json)));
        } else {
            json.key("embedding");
            match response.vectors.first() {
                Some(vector) => values(vector, json),
                None => json.object(|_| ()),
            }
        }
    });
    *out = json.finish();
}

fn values(vector: &Vector<'_>, json: &mut JsonWriter) {
    json.object(|json| match vector {
        Vector::Numbers(numbers) => json.raw_field("values", numbers),
        Vector::Base64(packed) => json.key("values").array(|json| {
            let bytes = media::decode_base64(packed).unwrap_or_default();
            for four in bytes.chunks_exact(4) {
                let number = <[u8; 4]>::try_from(four).map_or(0.0, f32::from_le_bytes);
                // By way of text: the shortest number that is this f32, not its long f64 twin.
                json.value(number.to_string().parse::<f64>().unwrap_or(0.0));
            }
        }),
    });
}
