//! A canonical request as a body for Converse and ConverseStream. The model stands in the path, not in it.
//!
//! ```json
//! {"messages":[{"role":"user","content":[{"text":"…"}]}],"system":[{"text":"…"},{"cachePoint":{"type":"default"}}],
//!  "inferenceConfig":{},"toolConfig":{},"additionalModelRequestFields":{},"outputConfig":{},"serviceTier":{"type":"flex"},
//!  "requestMetadata":{"key":"value"},"guardrailConfig":{},"performanceConfig":{},"additionalModelResponseFieldPaths":["/stop_sequence"]}
//! ```
//! Turns must alternate, begin with the user's, and hold something; a document needs text beside it. Neighbours of one role are
//! joined; an answer of which only reasoning is left is dropped (newer Claudes take it for a prefilled answer and refuse).

use super::content::{At, Blocks};
use super::fields::{Fields, OWN};
use super::model::{CachePoints, Model};
use crate::providers::codec::{Aim, Encoding, Expect, Unfit};
use crate::wire::Dialect;
use crate::wire::canonical::aux::Made;
use crate::wire::canonical::{Cache, Dropped, Message, Part, Request, Role};
use crate::wire::json::JsonWriter;
use std::collections::{HashMap, HashSet};

/// Members of the body that travel as they were written.
const OWN_MEMBERS: &[&str] = &[
    "guardrailConfig",
    "performanceConfig",
    "promptVariables",
    "additionalModelResponseFieldPaths",
];
/// Pairs in `requestMetadata`, and characters in a key or value.
const MOST_METADATA: usize = 16;
const MOST_METADATA_TEXT: usize = 256;

/// A request being encoded.
#[derive(Debug)]
pub(super) struct Encoder<'q, 'r> {
    pub request: &'q Request<'r>,
    pub model: Model<'q>,
    pub dropped: Dropped,
    pub expect: Expect,
    /// Names of the documents so far.
    pub documents: HashMap<String, u32>,
    /// Changed names of tools that are remembered already.
    pub renamed: HashSet<String>,
    pub cache_points: usize,
}

/// A turn: who, and the content.
type Turn = (Role, Blocks);

/// Encode a request for an answer.
pub(super) fn encode(request: &Request<'_>, aim: Aim<'_>) -> Result<Encoding, Unfit> {
    let mut encoder = Encoder::new(request, aim.model)?;
    let mut json = JsonWriter::new();
    json.begin_object();
    encoder.body(&mut json, true)?;
    json.end_object();
    Ok(Encoding {
        body: json.finish(),
        headers: Vec::new(),
        dropped: encoder.dropped,
        expect: encoder.expect,
    })
}

/// Encode a request to count its tokens: `{"input":{"converse":{…}}}`.
pub(super) fn encode_count(request: &Request<'_>, aim: Aim<'_>) -> Result<Made, Unfit> {
    let mut encoder = Encoder::new(request, aim.model)?;
    let mut json = JsonWriter::new();
    json.begin_object();
    json.key("input").begin_object();
    json.key("converse").begin_object();
    encoder.body(&mut json, false)?;
    json.end_object();
    json.end_object();
    json.end_object();
    Ok(Made {
        body: json.finish(),
        dropped: encoder.dropped,
    })
}

impl<'q, 'r> Encoder<'q, 'r> {
    fn new(request: &'q Request<'r>, model: &'q str) -> Result<Self, Unfit> {
        if request.previous_response_id.is_some() {
            return Err(Unfit::request(
                "previous_response_id",
                "this model's provider keeps no conversations; send the whole conversation instead of previous_response_id",
            ));
        }
        Ok(Self {
            request,
            model: Model::of(model),
            dropped: Dropped::default(),
            expect: Expect {
                model: model.into(),
                ..Expect::default()
            },
            documents: HashMap::new(),
            renamed: HashSet::new(),
            cache_points: 0,
        })
    }

    /// The members of the body; for counting, only those that cost tokens.
    fn body(&mut self, json: &mut JsonWriter, whole: bool) -> Result<(), Unfit> {
        let plan = self.plan();
        // Written in the order in which they are cached, for there are only so many cache points.
        self.tool_config(&plan, json);
        let mut first = Blocks::new();
        let system = self.system(&mut first);
        if system.count > 0 {
            raw_field(json, "system", system);
        }
        let turns = self.turns(first)?;
        json.key("messages").array(|json| {
            for (role, blocks) in turns {
                json.object(|json| {
                    json.field("role", if role == Role::Assistant { "assistant" } else { "user" });
                    raw_field(json, "content", blocks);
                });
            }
        });
        let mut fields = self.fields(plan.forces());
        self.penalties(&mut fields);
        if whole {
            fields.inference(json);
        }
        fields.additional(self.own("additionalModelRequestFields"), json);
        if whole {
            if let Some(schema) = &plan.native_format {
                self.text_format(schema, json);
            }
            self.around(&fields, json);
        }
        Ok(())
    }

    /// The system prompt. For models without one it opens the conversation.
    fn system(&mut self, first: &mut Blocks) -> Blocks {
        let mut system = Blocks::new();
        let takes_system = self.model.takes.system;
        let mut leading = true;
        for (index, message) in self.request.messages.iter().enumerate() {
            if !matches!(message.role, Role::System | Role::Developer) {
                leading = false;
                continue;
            }
            if !leading {
                self.dropped
                    .push(format!("messages[{index}] (position of a system message)"));
            }
            if !takes_system {
                self.dropped.push(format!("messages[{index}] (as the user's text)"));
            }
            let blocks = if takes_system { &mut system } else { &mut *first };
            for (part, at) in parts(index, message) {
                match part {
                    Part::Text { text, cache, .. } => {
                        if blocks.prose(text) {
                            self.cache(*cache, true, blocks);
                        }
                    }
                    Part::Opaque { dialect, .. } if *dialect == OWN => self.part(part, Role::System, at, blocks),
                    Part::Media(media) => self.drop(at, Self::kind_of(media)),
                    Part::Opaque { kind, .. } => self.drop(at, kind),
                    _ => self.drop(at, "not text"),
                }
            }
        }
        system
    }

    /// The conversation, alternating.
    fn turns(&mut self, first: Blocks) -> Result<Vec<Turn>, Unfit> {
        let mut turns: Vec<Turn> = Vec::with_capacity(self.request.messages.len());
        if first.count > 0 {
            turns.push((Role::User, first));
        }
        for (index, message) in self.request.messages.iter().enumerate() {
            let role = match message.role {
                Role::System | Role::Developer => continue,
                role => role,
            };
            if message.name.is_some() {
                self.dropped.push(format!("messages[{index}].name"));
            }
            if turns.last().is_some_and(|(last, _)| *last != role) {
                self.close(&mut turns);
            }
            let mut blocks = match turns.pop_if(|(last, _)| *last == role) {
                Some((_, blocks)) => blocks,
                None => Blocks::new(),
            };
            // Results come first: they answer the turn before.
            let (results, rest): (Vec<_>, Vec<_>) =
                parts(index, message).partition(|(part, _)| matches!(part, Part::ToolResult(_)));
            for (part, at) in results.into_iter().chain(rest) {
                self.part(part, role, at, &mut blocks);
            }
            if blocks.count > 0 {
                turns.push((role, blocks));
            }
        }
        self.close(&mut turns);
        if turns.is_empty() {
            return Err(Unfit::request(
                "messages",
                "`messages` holds nothing this model can take; send at least one message with text",
            ));
        }
        if turns.first().is_some_and(|(role, _)| *role == Role::Assistant) {
            self.dropped
                .push("messages[0] (a user's message was put before the assistant's)");
            let mut opening = Blocks::new();
            opening.prose("(The conversation begins with the assistant.)");
            turns.insert(0, (Role::User, opening));
        }
        if let (Some(cache), Some((_, last))) = (self.request.cache, turns.last_mut()) {
            self.cache_all(cache, last);
        }
        Ok(turns)
    }

    fn cache_all(&mut self, cache: Cache, last: &mut Blocks) {
        if self.model.takes.cache == CachePoints::Everywhere {
            self.cache(Some(cache), true, last);
        }
    }

    /// A turn is complete: mend or remove it.
    fn close(&mut self, turns: &mut Vec<Turn>) {
        let Some((role, blocks)) = turns.last_mut() else {
            return;
        };
        if !blocks.solid {
            self.dropped.push("messages (an answer of nothing but thinking)");
            turns.pop();
            return;
        }
        if let (Role::User, Some(name), false) = (*role, &blocks.document, blocks.text) {
            let text = format!("Document: {name}");
            blocks.prose(&text);
        }
    }

    /// What was given in Bedrock's own form.
    fn own(&self, key: &str) -> Option<&'q str> {
        let own = |extra: &&crate::wire::canonical::Extra<'_>| extra.dialect == OWN && extra.key == key;
        self.request.extras.iter().find(own).map(|extra| extra.raw.as_ref())
    }

    /// Members around the conversation, and the names of what cannot be said.
    fn around(&mut self, fields: &Fields, json: &mut JsonWriter) {
        let tier = self.request.service_tier.as_deref();
        match tier {
            Some(tier @ ("default" | "flex" | "priority" | "reserved")) => {
                json.key("serviceTier").object(|json| json.field("type", tier));
            }
            Some("standard_only") => json.key("serviceTier").object(|json| json.field("type", "default")),
            Some("auto") | None => {}
            Some(_) => self.dropped.push("service_tier"),
        }
        self.metadata(json);
        for key in OWN_MEMBERS {
            if let Some(raw) = self.own(key) {
                json.raw_field(key, raw);
            }
        }
        let paths = fields.asked_back();
        if !paths.is_empty() && self.model.is_claude() && self.own("additionalModelResponseFieldPaths").is_none() {
            json.key("additionalModelResponseFieldPaths");
            json.array(|json| paths.iter().for_each(|path| json.value(path)));
        }
        self.unsaid();
    }

    /// `requestMetadata`: what Bedrock's patterns take of metadata and user.
    fn metadata(&mut self, json: &mut JsonWriter) {
        let request = self.request;
        let user = request.user.as_deref().map(|user| ("user", user, "user".to_owned()));
        let pairs = request
            .metadata
            .iter()
            .map(|(key, value)| (key.as_ref(), value.as_ref(), format!("metadata.{key}")));
        let mut kept: Vec<(&str, &str)> = Vec::new();
        for (key, value, name) in user.into_iter().chain(pairs) {
            let fits = kept.len() < MOST_METADATA && !key.is_empty() && plain(key) && plain(value);
            if fits && !kept.iter().any(|(before, _)| *before == key) {
                kept.push((key, value));
            } else {
                self.dropped.push(name);
            }
        }
        if !kept.is_empty() {
            json.key("requestMetadata").object(|json| {
                for (key, value) in kept {
                    json.field(key, value);
                }
            });
        }
    }

    /// Name what Converse has no word for.
    fn unsaid(&mut self) {
        let (request, dropped) = (self.request, &mut self.dropped);
        let sampling = &request.sampling;
        if sampling.n.is_some_and(|n| n > 1) {
            dropped.push("n");
        }
        if sampling.logprobs == Some(true) {
            dropped.push("logprobs");
        }
        dropped.given("top_logprobs", &sampling.top_logprobs);
        dropped.given("logit_bias", &sampling.logit_bias);
        dropped.given("verbosity", &request.verbosity);
        dropped.given("audio", &request.audio);
        dropped.given("prompt_cache_key", &request.prompt_cache_key);
        if request.modalities.iter().any(|modality| modality != "text") {
            dropped.push("modalities");
        }
        if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
            dropped.push("parallel_tool_calls");
        }
        if request.store == Some(true) {
            dropped.push("store");
        }
        for extra in &request.extras {
            let key = extra.key.as_ref();
            let own = extra.dialect == OWN && (OWN_MEMBERS.contains(&key) || key == "additionalModelRequestFields");
            let beta = extra.dialect == Dialect::Anthropic && key == "anthropic_beta";
            if !own && !beta {
                dropped.push(key);
            }
        }
    }
}

/// The parts of a message and where they stand.
fn parts<'m, 'a>(message: usize, of: &'m Message<'a>) -> impl Iterator<Item = (&'m Part<'a>, At)> {
    of.parts
        .iter()
        .enumerate()
        .map(move |(part, it)| (it, At { message, part }))
}

/// What RequestMetadata's pattern takes.
fn plain(text: &str) -> bool {
    text.len() <= MOST_METADATA_TEXT
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b.is_ascii_whitespace() || b":_@$#=/+,-.".contains(&b))
}

fn raw_field(json: &mut JsonWriter, key: &str, blocks: Blocks) {
    let bytes = blocks.finish();
    json.raw_field(key, simdutf8::basic::from_utf8(&bytes).unwrap_or("[]"));
}
