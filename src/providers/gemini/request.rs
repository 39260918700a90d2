//! A canonical request as a `generateContent` body.
//!
//! ```json
//! {"contents":[…],"systemInstruction":{"parts":[{"text":"…"}]},"tools":[…],"toolConfig":{…},"generationConfig":{…},
//!  "safetySettings":[…],"serviceTier":"flex"}
//! ```
//! Has no counterpart here and is named: `user`, `metadata`, `verbosity`, `store: true`, `logit_bias`, `audio`,
//! `parallel_tool_calls: false`, other APIs' own members. Cache markers and keys are meaningless to an API that caches by
//! itself. Source: ai.google.dev/api/generate-content, Vertex AI REST v1 generateContent, read 2026-11.

use super::config;
use super::contents::{self, Contents};
use super::model::Model;
use super::tools::{Names, Offer};
use crate::providers::codec::{Aim, Unfit};
use crate::wire::Dialect;
use crate::wire::canonical::{Dropped, Request, ToolChoice};
use crate::wire::json::JsonWriter;

/// A body, its renamed tools and what was dropped.
pub struct Body {
    /// JSON.
    pub json: Vec<u8>,
    /// For reading the answer.
    pub names: Names,
    /// By name.
    pub dropped: Dropped,
}

/// What a body is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// An answer; also a count at AI Studio, which takes the whole request.
    Answer,
    /// A count at Vertex, which takes what has tokens and refuses the rest.
    VertexCount,
}

/// The body of `generateContent`.
pub fn body(request: &Request<'_>, aim: Aim<'_>, vertex: bool) -> Result<Body, Unfit> {
    let mut json = JsonWriter::new();
    json.begin_object();
    let (names, dropped) = members(request, aim, vertex, Purpose::Answer, &mut json)?;
    json.end_object();
    Ok(Body {
        json: json.finish(),
        names,
        dropped,
    })
}

/// The members of the body, inside an object that is open.
pub fn members(
    request: &Request<'_>,
    aim: Aim<'_>,
    vertex: bool,
    purpose: Purpose,
    json: &mut JsonWriter,
) -> Result<(Names, Dropped), Unfit> {
    if request.previous_response_id.is_some() {
        return Err(Unfit::request(
            "previous_response_id",
            "this model keeps no conversations: send the whole conversation instead",
        ));
    }
    let model = Model::of(aim.model);
    let (mut names, mut dropped) = (Names::default(), Dropped::default());
    let mut offer = Some(Offer::of(request, model, vertex, &mut dropped)?).filter(|offer| !offer.is_empty());
    let clash = offer.is_some() && config::shaped(&request.format) && !model.third();
    if clash && request.tool_choice == Some(ToolChoice::None) {
        offer = None;
    }
    let enforce = !clash || offer.is_none();
    let Contents { contents, mut system } = contents::write(request, model, vertex, &mut names, &mut dropped)?;
    if !enforce {
        dropped.push("response_format (asked for in words only, beside tools)");
        system.extend(config::instruction(&request.format).map(Into::into));
    }
    json.raw_field("contents", &contents);
    if !system.is_empty() {
        json.key("systemInstruction").object(|json| {
            json.key("parts").array(|json| {
                system
                    .iter()
                    .for_each(|text| json.object(|json| json.field("text", text)))
            });
        });
    }
    if let Some(offer) = &offer {
        offer.write(&mut names, json);
        if purpose == Purpose::Answer {
            offer.write_choice(request, &mut names, &mut dropped, json);
        }
    }
    config::write(request, model, enforce, &mut dropped, json);
    if purpose == Purpose::Answer {
        rest(request, &mut dropped, json);
    }
    Ok((names, dropped))
}

/// Gemini's own members below `prefix` (`generationConfig.`): key and value.
pub fn extras_in<'r>(request: &'r Request<'_>, prefix: &'static str) -> impl Iterator<Item = (&'r str, &'r str)> {
    let own = request.extras.iter().filter(|extra| extra.dialect == Dialect::Gemini);
    own.filter_map(move |extra| Some((extra.key.strip_prefix(prefix)?, extra.raw.as_ref())))
}

fn rest(request: &Request<'_>, dropped: &mut Dropped, json: &mut JsonWriter) {
    for extra in &request.extras {
        if extra.dialect != Dialect::Gemini {
            dropped.push(extra.key.as_ref());
        } else if !extra.key.starts_with("generationConfig.") && !extra.key.starts_with("toolConfig.") {
            json.raw_field(&extra.key, &extra.raw);
        }
    }
    match request.service_tier.as_deref() {
        None | Some("auto") => {}
        Some("default" | "standard_only") => json.field("serviceTier", "standard"),
        Some(tier @ ("flex" | "priority" | "standard")) => json.field("serviceTier", tier),
        Some(_) => dropped.push("service_tier"),
    }
    dropped.given("user", &request.user);
    dropped.given("verbosity", &request.verbosity);
    if !request.metadata.is_empty() {
        dropped.push("metadata");
    }
    if request.store == Some(true) {
        dropped.push("store");
    }
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
        dropped.push("parallel_tool_calls");
    }
}
