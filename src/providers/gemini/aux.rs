//! Counting and vectors, provider side.
//!
//! ```json
//! AI Studio  {"generateContentRequest":{"model":"models/m","contents":[…],…}}                    → {"totalTokens":11}
//! Vertex     {"contents":[…],"systemInstruction":{},"tools":[]}                                  → {"totalTokens":11}
//! AI Studio  :embedContent        {"model":"models/m","content":{"parts":[{"text":"…"}]},"taskType":"…"}
//!                                                                                         → {"embedding":{"values":[…]}}
//!            :batchEmbedContents  {"requests":[{…}]}                                      → {"embeddings":[{"values":[…]}]}
//! Vertex     :predict             {"instances":[{"content":"…","task_type":"…"}],"parameters":{"outputDimensionality":768}}
//!                         → {"predictions":[{"embeddings":{"values":[…],"statistics":{"token_count":3}}}]}
//! ```
//! Which of AI Studio's two addresses a body is for, [`is_batch`] says. Vertex limits how many instances a model takes
//! (`gemini-embedding-001`: one); it judges that itself.
//! Source: ai.google.dev/api/embeddings and /tokens, Vertex AI "Text embeddings API", google-genai models.py, read 2026-11.

use super::request::{self, Purpose};
use crate::providers::codec::{Aim, Undecodable, Unfit};
use crate::units::Usage;
use crate::wire::Dialect;
use crate::wire::canonical::aux::{EmbedInput, EmbedRequest, EmbedResponse, Made, TokenCount, Vector};
use crate::wire::canonical::{Dropped, Request};
use crate::wire::gemini::{read_usage, task_out};
use crate::wire::json::{JsonWriter, Node};

/// Whether a request for vectors goes to `:batchEmbedContents` (AI Studio): by what it holds, not by how it was asked.
pub fn is_batch(request: &EmbedRequest<'_>) -> bool {
    request.inputs.len() > 1
}

/// A request to count tokens.
pub fn count(request: &Request<'_>, aim: Aim<'_>, vertex: bool) -> Result<Made, Unfit> {
    let mut json = JsonWriter::new();
    json.begin_object();
    if !vertex {
        json.key("generateContentRequest").begin_object();
        json.field("model", resource(aim.model));
    }
    let purpose = if vertex { Purpose::VertexCount } else { Purpose::Answer };
    let (_, dropped) = request::members(request, aim, vertex, purpose, &mut json)?;
    if !vertex {
        json.end_object();
    }
    json.end_object();
    Ok(Made {
        body: json.finish(),
        dropped,
    })
}

/// AI Studio's name of a model in bodies.
fn resource(model: &str) -> String {
    if model.contains('/') {
        model.to_owned()
    } else {
        format!("models/{model}")
    }
}

/// A count.
pub fn read_count(body: &Node<'_>) -> Result<TokenCount, Undecodable> {
    let input = body.req("totalTokens", Node::u64)?;
    Ok(TokenCount {
        input,
        cached: body.get_u64("cachedContentTokenCount"),
    })
}

/// A request for vectors.
pub fn embed(request: &EmbedRequest<'_>, aim: Aim<'_>, vertex: bool) -> Result<Made, Unfit> {
    let mut dropped = Dropped::default();
    let task = request.task.as_deref().and_then(task_out);
    if request.task.is_some() && task.is_none() {
        dropped.push("input_type");
    }
    dropped.given("user", &request.user);
    let mut truncate = None;
    for extra in &request.extras {
        match (extra.dialect, extra.key.as_ref()) {
            (Dialect::Gemini, "autoTruncate") if vertex => truncate = Some(extra.raw.as_ref()),
            (_, key) => dropped.push(key),
        }
    }
    let mut texts = Vec::with_capacity(request.inputs.len());
    for (index, input) in request.inputs.iter().enumerate() {
        match input {
            EmbedInput::Text(text) => texts.push(text.as_ref()),
            EmbedInput::Tokens(_) => {
                let message = "this model takes text, not token ids; send the text itself";
                return Err(Unfit::request(format!("input[{index}]"), message));
            }
        }
    }
    let mut json = JsonWriter::new();
    json.object(|json| {
        if vertex {
            predict(request, &texts, task, truncate, json);
        } else if is_batch(request) {
            json.key("requests").array(|json| {
                texts
                    .iter()
                    .for_each(|text| json.object(|json| one(request, aim, text, task, json)))
            });
        } else if let Some(text) = texts.first() {
            one(request, aim, text, task, json);
        }
    });
    Ok(Made {
        body: json.finish(),
        dropped,
    })
}

fn one(request: &EmbedRequest<'_>, aim: Aim<'_>, text: &str, task: Option<&str>, json: &mut JsonWriter) {
    json.field("model", resource(aim.model));
    json.key("content").object(|json| {
        json.key("parts")
            .array(|json| json.object(|json| json.field("text", text)));
    });
    json.opt("taskType", task);
    json.opt("title", request.title.as_ref());
    json.opt("outputDimensionality", request.dimensions);
}

fn predict(
    request: &EmbedRequest<'_>,
    texts: &[&str],
    task: Option<&str>,
    truncate: Option<&str>,
    json: &mut JsonWriter,
) {
    json.key("instances").array(|json| {
        for text in texts {
            json.object(|json| {
                json.field("content", *text);
                json.opt("task_type", task);
                json.opt("title", request.title.as_ref());
            });
        }
    });
    if request.dimensions.is_some() || truncate.is_some() {
        json.key("parameters").object(|json| {
            json.opt("outputDimensionality", request.dimensions);
            if let Some(raw) = truncate {
                json.raw_field("autoTruncate", raw);
            }
        });
    }
}

/// Vectors, in any of the three forms.
pub fn read_embed<'d>(body: &'d Node<'_>) -> Result<EmbedResponse<'d>, Undecodable> {
    let vector = |node: &'d Node<'_>| {
        node.req("values", |values| {
            values.array().map(|_| Vector::Numbers(values.raw.into()))
        })
    };
    let mut usage = body
        .get("usageMetadata")
        .and_then(|usage| read_usage(usage.raw.as_bytes()));
    let vectors = if let Some(one) = body.get("embedding") {
        vec![vector(one)?]
    } else if let Some(predictions) = body.get("predictions") {
        let tokens = predictions
            .as_array()
            .unwrap_or_default()
            .iter()
            .filter_map(|prediction| {
                let statistics = prediction.get("embeddings")?.get("statistics")?;
                statistics
                    .get_u64("token_count")
                    .or_else(|| statistics.get_u64("tokenCount"))
            });
        let input: Option<u64> = tokens.reduce(u64::saturating_add);
        usage = usage.or(input.map(|input| Usage {
            input,
            ..Usage::default()
        }));
        predictions.each(|prediction| prediction.req("embeddings", vector))?
    } else {
        body.req("embeddings", |list| list.each(vector))?
    };
    Ok(EmbedResponse {
        model: "".into(),
        vectors,
        usage,
    })
}
