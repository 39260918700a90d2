//! Embeddings and rerank, which Bedrock offers by InvokeModel in each model's own form.
//!
//! ```json
//! {"inputText":"…","dimensions":1024,"normalize":true}            → {"embedding":[0.1],"inputTextTokenCount":3}      Titan v2
//! {"texts":["…"],"input_type":"search_document"}                  → {"embeddings":[[0.1]]} or {"embeddings":{"float":[[0.1]]}}   Cohere
//! {"query":"…","documents":["…"],"top_n":3,"api_version":2}       → {"results":[{"index":0,"relevance_score":0.9}]}
//! ```
//! Cohere counts no tokens in the body (they are in `x-amzn-bedrock-input-token-count`).
//! Sources: Bedrock user guide, "Amazon Titan Text Embeddings", "Cohere Embed v3", "v4", "Rerank"; read 2026-11.

use super::model::Model;
use crate::providers::codec::{Aim, Undecodable, Unfit};
use crate::units::Usage;
use crate::wire::canonical::aux::{
    EmbedInput, EmbedRequest, EmbedResponse, Made, RerankRequest, RerankResponse, Vector,
};
use crate::wire::canonical::{Dropped, Extra};
use crate::wire::json::{JsonWriter, Node, Value};

/// Texts in one call to Cohere's models.
const MOST_TEXTS: usize = 96;

/// Encode a request for vectors.
pub(super) fn encode_embed(request: &EmbedRequest<'_>, aim: Aim<'_>) -> Result<Made, Unfit> {
    let model = Model::of(aim.model).base;
    let mut made = Made::default();
    let texts = texts(request)?;
    let mut json = JsonWriter::new();
    if model.starts_with("cohere.") {
        cohere(request, &texts, model, &mut made.dropped, &mut json)?;
    } else if model.starts_with("amazon.titan-embed") {
        titan(request, &texts, model, &mut made.dropped, &mut json)?;
    } else {
        return Err(Unfit::Operation);
    }
    made.dropped.given("title", &request.title);
    made.dropped.given("user", &request.user);
    name_extras(&request.extras, &mut made.dropped);
    made.body = json.finish();
    Ok(made)
}

fn texts<'q>(request: &'q EmbedRequest<'_>) -> Result<Vec<&'q str>, Unfit> {
    let texts = request.inputs.iter().map(|input| match input {
        EmbedInput::Text(text) => Ok(text.as_ref()),
        EmbedInput::Tokens(_) => Err(Unfit::request(
            "input",
            "this model takes text, not token ids; send the text itself",
        )),
    });
    let texts: Vec<&str> = texts.collect::<Result<_, _>>()?;
    if texts.is_empty() {
        return Err(Unfit::request("input", "`input` is empty; send at least one text"));
    }
    Ok(texts)
}

fn titan(
    request: &EmbedRequest<'_>,
    texts: &[&str],
    model: &str,
    dropped: &mut Dropped,
    json: &mut JsonWriter,
) -> Result<(), Unfit> {
    let [text] = texts else {
        let message =
            "this model embeds one text per call; send the texts one by one, or use a model that takes several";
        return Err(Unfit::request("input", message));
    };
    let second = model.starts_with("amazon.titan-embed-text-v2");
    json.object(|json| {
        json.field("inputText", text);
        if second {
            json.opt("dimensions", request.dimensions);
            json.field("normalize", true);
        }
    });
    if !second {
        dropped.given("dimensions", &request.dimensions);
    }
    dropped.given("task", &request.task);
    Ok(())
}

fn cohere(
    request: &EmbedRequest<'_>,
    texts: &[&str],
    model: &str,
    dropped: &mut Dropped,
    json: &mut JsonWriter,
) -> Result<(), Unfit> {
    if texts.len() > MOST_TEXTS {
        let message = format!(
            "this model embeds at most {MOST_TEXTS} texts per call, {} were sent",
            texts.len()
        );
        return Err(Unfit::request("input", message));
    }
    let fourth = model.starts_with("cohere.embed-v4");
    let task = request.task.as_deref().map(str::to_ascii_lowercase);
    let kind = match task.as_deref() {
        // It must be said, and documents are what is embedded most.
        None | Some("search_document" | "retrieval_document") => "search_document",
        Some("search_query" | "retrieval_query" | "question_answering" | "code_retrieval_query") => "search_query",
        Some("classification") => "classification",
        Some("clustering") => "clustering",
        Some(_) => {
            dropped.push("task");
            "search_document"
        }
    };
    json.object(|json| {
        json.key("texts")
            .array(|json| texts.iter().for_each(|text| json.value(text)));
        json.field("input_type", kind);
        if fourth {
            json.opt("output_dimension", request.dimensions);
            json.key("embedding_types").array(|json| json.value("float"));
        }
    });
    if !fourth {
        dropped.given("dimensions", &request.dimensions);
    }
    Ok(())
}

fn name_extras(extras: &[Extra<'_>], dropped: &mut Dropped) {
    for extra in extras {
        dropped.push(extra.key.as_ref());
    }
}

/// Read vectors.
pub(super) fn decode_embed<'d>(body: &'d Node<'_>) -> Result<EmbedResponse<'d>, Undecodable> {
    let numbers = |node: &'d Node<'_>| Vector::Numbers(node.raw.into());
    let lists = |list: &'d Node<'_>| list.each(|node| node.array().map(|_| numbers(node)));
    let vectors = if let Some(one) = body.get("embedding") {
        one.array().map_err(|invalid| invalid.within("embedding"))?;
        vec![numbers(one)]
    } else {
        body.req("embeddings", |all| match &all.value {
            Value::Object(_) => all.req("float", lists),
            _ => lists(all),
        })?
    };
    Ok(EmbedResponse {
        vectors,
        usage: body.get_u64("inputTextTokenCount").map(|input| Usage {
            input,
            ..Usage::default()
        }),
        ..EmbedResponse::default()
    })
}

/// Encode a request for an order.
pub(super) fn encode_rerank(request: &RerankRequest<'_>, aim: Aim<'_>) -> Result<Made, Unfit> {
    let model = Model::of(aim.model).base;
    let cohere = model.starts_with("cohere.rerank");
    if !cohere && !model.starts_with("amazon.rerank") {
        return Err(Unfit::Operation);
    }
    let mut made = Made::default();
    let mut json = JsonWriter::new();
    json.object(|json| {
        json.field("query", &request.query);
        json.key("documents").array(|json| {
            for (text, _) in &request.documents {
                json.value(text);
            }
        });
        json.opt("top_n", request.top_n);
        if cohere {
            json.field("api_version", 2u64);
            json.opt("max_tokens_per_doc", request.max_tokens_per_doc);
        }
    });
    if !cohere {
        made.dropped.given("max_tokens_per_doc", &request.max_tokens_per_doc);
    }
    name_extras(&request.extras, &mut made.dropped);
    made.body = json.finish();
    Ok(made)
}

/// Read an order.
pub(super) fn decode_rerank<'d>(body: &'d Node<'_>) -> Result<RerankResponse<'d>, Undecodable> {
    let results = body.req("results", |results| {
        results.each(|result| {
            let index = result.req("index", Node::u64)?;
            let score = match result.get("relevance_score") {
                Some(score) => score.f64().map_err(|invalid| invalid.within("relevance_score"))?,
                None => result.req("relevanceScore", Node::f64)?,
            };
            Ok((index, score))
        })
    })?;
    Ok(RerankResponse {
        id: body.get_str("id").unwrap_or_default().into(),
        results,
        ..RerankResponse::default()
    })
}
