//! Rerank, where a server of this shape has it: Jina's form, which vLLM, SGLang, llama.cpp and Together took over.
//!
//! ```json
//! {"model":"…","query":"…","documents":["…"],"top_n":3,"return_documents":false}
//! {"id":"…","model":"…","results":[{"index":0,"relevance_score":0.9}],"usage":{"total_tokens":1}}
//! ```
//! Sources: docs.vllm.ai, "Re-rank API"; docs.together.ai/reference/rerank-1; jina.ai/reranker; read 2026-11. The documents are
//! not asked back: the gateway has them.

use super::answer;
use super::quirks::Quirks;
use crate::providers::codec::{Aim, Undecodable, Unfit};
use crate::wire::Dialect;
use crate::wire::canonical::Dropped;
use crate::wire::canonical::aux::{Made, RerankRequest, RerankResponse};
use crate::wire::json::{JsonWriter, Node};

/// The request.
pub fn encode(request: &RerankRequest<'_>, aim: Aim<'_>, quirks: &Quirks) -> Result<Made, Unfit> {
    if !quirks.rerank {
        return Err(Unfit::Operation);
    }
    let mut dropped = Dropped::default();
    dropped.given("max_tokens_per_doc", &request.max_tokens_per_doc);
    let mut json = JsonWriter::new();
    json.object(|json| {
        json.field("model", aim.model);
        json.field("query", &request.query);
        json.key("documents").array(|json| {
            for (text, _) in &request.documents {
                json.value(text);
            }
        });
        json.opt("top_n", request.top_n);
        for extra in &request.extras {
            if extra.dialect == Dialect::OpenAi {
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

/// The answer, best first as the servers give it.
pub fn decode<'d>(body: &'d Node<'_>) -> Result<RerankResponse<'d>, Undecodable> {
    let results = body.get("results").and_then(Node::as_array);
    let results = results.ok_or_else(|| answer::not_an_answer(body, "results"))?;
    let mut found = Vec::with_capacity(results.len());
    for (at, result) in results.iter().enumerate() {
        let score = result.get("relevance_score").or_else(|| result.get("score"));
        let (Some(index), Some(score)) = (result.get_u64("index"), score.and_then(Node::as_f64)) else {
            return Err(Undecodable(format!("results[{at}] lacks its index or score")));
        };
        found.push((index, score));
    }
    Ok(RerankResponse {
        id: body.get_str("id").unwrap_or_default().into(),
        model: body.get_str("model").unwrap_or_default().into(),
        results: found,
        usage: body.get("usage").and_then(answer::usage),
        search_units: None,
    })
}
