//! Ordering documents: Cohere's `/v2/rerank`, and what OpenAI-compatible servers offer beside chat.
//!
//! Requests differ in member names only ([`Shape`]). Answers are told apart by what they hold, so one reader does for all:
//!
//! ```json
//! {"id":"…","results":[{"index":1,"relevance_score":0.9}],"meta":{"billed_units":{"search_units":1}}}         Cohere
//! {"model":"…","results":[{"index":1,"relevance_score":0.9,"document":{"text":"…"}}],"usage":{"total_tokens":9}}  Jina, vLLM
//! {"object":"list","data":[{"index":1,"relevance_score":0.9}],"usage":{"total_tokens":9}}                      Voyage
//! [{"index":1,"score":0.9}]                                                                                    TEI
//! {"scores":[0.1,0.9],"input_tokens":9}                                                                        DeepInfra
//! ```
//! Documents are not read back from an answer: the client's own are at hand.
//! Sources: docs.cohere.com/v2/reference/rerank, api.jina.ai/redoc, docs.vllm.ai "Re-rank API", docs.voyageai.com/docs/reranker,
//! huggingface.github.io/text-embeddings-inference, deepinfra.com/docs; read 2026-11.

use super::super::codec::{Aim, Undecodable, Unfit};
use crate::units::Usage;
use crate::wire::Dialect;
use crate::wire::canonical::Dropped;
use crate::wire::canonical::aux::{Made, RerankRequest, RerankResponse};
use crate::wire::json::{JsonWriter, Node};

/// How a server names the members of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Cohere v2: `documents` are texts, `max_tokens_per_doc`.
    Cohere,
    /// Jina, vLLM, SGLang, Infinity, llama.cpp: `documents` are texts or objects (pictures), `return_documents`.
    Jina,
    /// Voyage: `top_k`.
    Voyage,
    /// Hugging Face Text Embeddings Inference: `texts`, and no `top_n`.
    Tei,
    /// DeepInfra: `queries` and `documents`, answered with a score for each.
    DeepInfra,
}

/// The request as a server of this shape takes it. What a server does not limit to `top_n`, the client's writer does.
pub fn encode_rerank(request: &RerankRequest<'_>, aim: Aim<'_>, shape: Shape) -> Result<Made, Unfit> {
    let mut dropped = Dropped::default();
    let mut json = JsonWriter::new();
    json.object(|json| {
        json.field("model", aim.model);
        match shape {
            Shape::DeepInfra => json.key("queries").array(|json| json.value(request.query.as_ref())),
            _ => json.field("query", request.query.as_ref()),
        }
        let key = if shape == Shape::Tei { "texts" } else { "documents" };
        json.key(key).array(|json| {
            for (text, object) in &request.documents {
                match object {
                    Some(object) if shape == Shape::Jina && !is_text(object) => json.raw(object),
                    _ => json.value(text.as_ref()),
                }
            }
        });
        match shape {
            Shape::Cohere | Shape::Jina => json.opt("top_n", request.top_n),
            Shape::Voyage => json.opt("top_k", request.top_n),
            Shape::Tei | Shape::DeepInfra => {}
        }
        if shape == Shape::Jina {
            // The documents are at hand here; they need not travel back.
            json.field("return_documents", false);
        }
        if shape == Shape::Cohere {
            json.opt("max_tokens_per_doc", request.max_tokens_per_doc);
        } else {
            dropped.given("max_tokens_per_doc", &request.max_tokens_per_doc);
        }
        for extra in &request.extras {
            let known = extra.dialect == Dialect::Cohere && extras(shape).contains(&extra.key.as_ref());
            if known {
                json.raw_field(&extra.key, &extra.raw);
            } else {
                dropped.push(extra.key.as_ref());
            }
        }
    });
    Ok(Made {
        body: json.finish(),
        dropped,
    })
}

/// Whether a document that is an object is its `text`: not every server of Jina's form takes objects, and those that do take
/// pictures so.
fn is_text(object: &str) -> bool {
    Node::parse(object.as_bytes(), 64).is_ok_and(|object| object.get_str("text").is_some())
}

/// Further members a server of this shape knows.
fn extras(shape: Shape) -> &'static [&'static str] {
    match shape {
        Shape::Cohere => &["relevant_spans", "priority"],
        Shape::Jina => &["truncation", "truncate_prompt_tokens", "max_doc_length", "user"],
        Shape::Voyage => &["truncation"],
        Shape::Tei => &["truncate", "truncation_direction", "raw_scores"],
        Shape::DeepInfra => &["instruction"],
    }
}

/// The order, best first, from an answer of any shape.
pub fn decode_rerank<'d>(body: &'d Node<'_>) -> Result<RerankResponse<'d>, Undecodable> {
    let list = match body.as_array() {
        Some(list) => Some(list),
        None => body
            .get("results")
            .or_else(|| body.get("data"))
            .and_then(Node::as_array),
    };
    let mut results = Vec::new();
    if let Some(list) = list {
        for (at, item) in list.iter().enumerate() {
            let score = item.get("relevance_score").or_else(|| item.get("score"));
            let found = item.get_u64("index").zip(score.and_then(Node::as_f64));
            results.push(found.ok_or_else(|| Undecodable(format!("results[{at}] has no index or no score")))?);
        }
    } else {
        let scores = body
            .req("scores", |scores| scores.each(Node::f64))
            .map_err(|_| Undecodable("no `results`, `data` or `scores`".to_owned()))?;
        results.extend((0u64..).zip(scores));
    }
    results.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let meta = body.get("meta");
    let billed = meta.and_then(|meta| meta.get("billed_units"));
    Ok(RerankResponse {
        id: body.get_str("id").unwrap_or_default().into(),
        model: body.get_str("model").unwrap_or_default().into(),
        results,
        usage: tokens(body, meta).map(|input| Usage {
            input,
            ..Usage::default()
        }),
        search_units: billed.and_then(|billed| billed.get_u64("search_units")),
    })
}

fn tokens(body: &Node<'_>, meta: Option<&Node<'_>>) -> Option<u64> {
    let usage = body.get("usage");
    let usage = usage.and_then(|usage| usage.get_u64("total_tokens").or_else(|| usage.get_u64("prompt_tokens")));
    let counted = || meta?.get("tokens")?.get_u64("input_tokens");
    usage.or_else(counted).or_else(|| body.get_u64("input_tokens"))
}
