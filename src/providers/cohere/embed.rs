//! Vectors: `/v2/embed`.
//!
//! ```json
//! {"model":"…","texts":["…"],"input_type":"search_document","embedding_types":["float"],"output_dimension":256}
//! {"id":"…","embeddings":{"float":[[0.1]]},"texts":["…"],"meta":{"billed_units":{"input_tokens":2}}}
//! ```

use super::super::codec::{Aim, Undecodable, Unfit};
use crate::units::Usage;
use crate::wire::Dialect;
use crate::wire::canonical::Dropped;
use crate::wire::canonical::aux::{EmbedInput, EmbedRequest, EmbedResponse, Made, Vector};
use crate::wire::json::{JsonWriter, Node};

/// Most texts in one call.
const MOST_TEXTS: usize = 96;

/// Extras that are members of this request.
const EXTRAS: [&str; 3] = ["truncate", "max_tokens", "priority"];

pub(super) fn encode(request: &EmbedRequest<'_>, aim: Aim<'_>) -> Result<Made, Unfit> {
    if request.inputs.len() > MOST_TEXTS {
        return Err(Unfit::request(
            "input",
            format!("this model takes at most {MOST_TEXTS} texts in one call; send them in several"),
        ));
    }
    let mut texts = Vec::with_capacity(request.inputs.len());
    for (index, input) in request.inputs.iter().enumerate() {
        match input {
            EmbedInput::Text(text) => texts.push(text),
            EmbedInput::Tokens(_) => {
                return Err(Unfit::request(
                    format!("input[{index}]"),
                    "this model does not take token ids; send text",
                ));
            }
        }
    }
    let mut dropped = Dropped::default();
    let mut json = JsonWriter::new();
    json.object(|json| {
        json.field("model", aim.model);
        json.key("texts")
            .array(|json| texts.iter().for_each(|text| json.value(*text)));
        json.field("input_type", input_type(request.task.as_deref(), &mut dropped));
        let encoding = if request.base64 { "base64" } else { "float" };
        json.key("embedding_types").array(|json| json.value(encoding));
        json.opt("output_dimension", request.dimensions);
        for extra in &request.extras {
            if extra.dialect == Dialect::Cohere && EXTRAS.contains(&extra.key.as_ref()) {
                json.raw_field(&extra.key, &extra.raw);
            } else {
                dropped.push(extra.key.as_ref());
            }
        }
    });
    dropped.given("title", &request.title);
    dropped.given("user", &request.user);
    Ok(Made {
        body: json.finish(),
        dropped,
    })
}

/// Cohere's word for what the vectors are for; it must be given. Gemini's words are translated.
fn input_type(task: Option<&str>, dropped: &mut Dropped) -> &'static str {
    let Some(task) = task else { return "search_document" };
    match task {
        "search_document" | "RETRIEVAL_DOCUMENT" => "search_document",
        "search_query" | "RETRIEVAL_QUERY" | "QUESTION_ANSWERING" | "FACT_VERIFICATION" | "CODE_RETRIEVAL_QUERY" => {
            "search_query"
        }
        "classification" | "CLASSIFICATION" => "classification",
        "clustering" | "CLUSTERING" => "clustering",
        _ => {
            dropped.push("task");
            "search_document"
        }
    }
}

pub(super) fn decode<'d>(body: &'d Node<'_>) -> Result<EmbedResponse<'d>, Undecodable> {
    let embeddings = body.req("embeddings", Ok)?;
    let numbers = |list: &'d Node<'_>| -> Vec<Vector<'d>> {
        let items = list.as_array().unwrap_or_default();
        items.iter().map(|item| Vector::Numbers(item.raw.into())).collect()
    };
    let found = ["float", "int8", "uint8", "binary", "ubinary"]
        .into_iter()
        .find_map(|name| embeddings.get(name));
    let vectors = if embeddings.as_array().is_some() {
        numbers(embeddings)
    } else if let Some(list) = found {
        numbers(list)
    } else if let Some(list) = embeddings.get("base64").and_then(Node::as_array) {
        let texts = list
            .iter()
            .map(|item| item.str().map(|text| Vector::Base64(text.into())));
        texts.collect::<Result<_, _>>()?
    } else {
        return Err(Undecodable("`embeddings` has no vectors of a known type".to_owned()));
    };
    let input = body.get("meta").and_then(|meta| {
        let billed = || meta.get("billed_units")?.get_u64("input_tokens");
        meta.get("tokens")
            .and_then(|tokens| tokens.get_u64("input_tokens"))
            .or_else(billed)
    });
    Ok(EmbedResponse {
        model: body.get_str("model").unwrap_or_default().into(),
        vectors,
        usage: input.map(|input| Usage {
            input,
            ..Usage::default()
        }),
    })
}
