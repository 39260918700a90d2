//! The response object around the items: what was asked for, said again, and what came of it.
//!
//! ```json
//! {"id":"resp_…","object":"response","created_at":1,"status":"completed","error":null,"incomplete_details":null,"output":[…],
//!  "usage":{…}|null,"service_tier":…,"model":"…", …the request's settings…}
//! ```
//! What was not asked for is `null`, not this API's default: another vendor's is not known here. `instructions` is the first
//! system message, whichever way the client sent it.

use super::item::one_line;
use crate::units::Usage;
use crate::wire::Dialect;
use crate::wire::canonical::{Part, Request, Role, ToolChoice};
use crate::wire::client::Reply;
use crate::wire::json::JsonWriter;
use crate::wire::responses::shape;

/// The members that do not change during an answer, as JSON members without their braces.
pub(super) struct Envelope {
    members: String,
    pub(super) model: String,
    pub(super) created: u64,
}

/// The members that do.
pub(super) struct State<'s> {
    pub(super) id: &'s str,
    pub(super) status: &'s str,
    /// Code and message.
    pub(super) error: Option<(&'s str, &'s str)>,
    /// Why it is incomplete.
    pub(super) incomplete: Option<&'s str>,
    pub(super) tier: Option<&'s str>,
    pub(super) usage: Option<Usage>,
}

impl Envelope {
    pub(super) fn new(request: &Request<'_>, reply: &Reply) -> Self {
        let mut json = JsonWriter::new();
        json.object(|json| settings(json, request));
        let text = String::from_utf8(json.finish()).unwrap_or_default();
        let members = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        Self {
            members: one_line(members.unwrap_or_default()).into_owned(),
            model: reply.model.clone(),
            created: reply.created,
        }
    }

    /// Write the whole object; `output` writes the items.
    pub(super) fn put(&self, json: &mut JsonWriter, state: &State<'_>, output: impl FnOnce(&mut JsonWriter)) {
        json.object(|json| {
            json.field("id", state.id);
            json.field("object", "response");
            json.field("created_at", self.created);
            json.field("status", state.status);
            match state.error {
                Some((code, message)) => json.key("error").object(|json| {
                    json.field("code", code);
                    json.field("message", message);
                }),
                None => json.key("error").null(),
            }
            match state.incomplete {
                Some(reason) => json
                    .key("incomplete_details")
                    .object(|json| json.field("reason", reason)),
                None => json.key("incomplete_details").null(),
            }
            json.key("output").array(output);
            json.or_null("service_tier", state.tier);
            json.key("usage");
            match &state.usage {
                Some(usage) => put_usage(json, usage),
                None => json.null(),
            }
            json.field("model", &self.model);
            json.raw(&self.members);
        });
    }
}

fn put_usage(json: &mut JsonWriter, usage: &Usage) {
    json.object(|json| {
        json.field("input_tokens", usage.input);
        json.key("input_tokens_details").object(|json| {
            json.field("cached_tokens", usage.cached);
            json.field("cache_write_tokens", usage.cache_write);
        });
        json.field("output_tokens", usage.output);
        json.key("output_tokens_details")
            .object(|json| json.field("reasoning_tokens", usage.reasoning));
        json.field("total_tokens", usage.total());
    });
}

fn settings(json: &mut JsonWriter, request: &Request<'_>) {
    let extra = |key: &str| {
        let found = request
            .extras
            .iter()
            .find(|extra| extra.dialect == Dialect::Responses && extra.key == key);
        found.map(|extra| extra.raw.as_ref())
    };
    json.field("background", false);
    json.key("completed_at").null();
    json.or_null("instructions", instructions(request));
    json.or_null("max_output_tokens", request.sampling.max_tokens);
    json.raw_field("max_tool_calls", extra("max_tool_calls").unwrap_or("null"));
    json.field("parallel_tool_calls", request.parallel_tool_calls.unwrap_or(true));
    json.or_null("previous_response_id", request.previous_response_id.as_deref());
    json.or_null("prompt_cache_key", request.prompt_cache_key.as_deref());
    json.raw_field(
        "prompt_cache_retention",
        extra("prompt_cache_retention").unwrap_or("null"),
    );
    json.key("reasoning").object(|json| {
        let reasoning = request.reasoning.as_ref();
        json.or_null("effort", reasoning.and_then(|r| r.effort).map(|effort| effort.as_str()));
        json.or_null("summary", reasoning.and_then(|r| r.summary.as_deref()));
    });
    json.or_null("safety_identifier", request.user.as_deref());
    json.field("store", request.store.unwrap_or(false));
    json.or_null("temperature", request.sampling.temperature);
    json.key("text");
    shape::put_text(json, request);
    json.key("tool_choice");
    let choice = request.tool_choice.as_ref().unwrap_or(&ToolChoice::Auto);
    if !shape::put_choice(json, choice, &request.tools, shape::as_named) {
        json.value("auto");
    }
    json.key("tools").array(|json| {
        for tool in &request.tools {
            shape::put_tool(json, tool, shape::as_named);
        }
    });
    json.field("top_logprobs", request.sampling.top_logprobs.unwrap_or(0));
    json.or_null("top_p", request.sampling.top_p);
    json.raw_field("truncation", extra("truncation").unwrap_or("\"disabled\""));
    json.or_null("user", request.user.as_deref());
    json.key("metadata").object(|json| {
        for (key, value) in &request.metadata {
            json.field(key, value);
        }
    });
}

fn instructions<'r>(request: &'r Request<'_>) -> Option<&'r str> {
    let first = request
        .messages
        .first()
        .filter(|message| message.role == Role::System)?;
    match first.parts.as_slice() {
        [Part::Text { text, .. }] => Some(text),
        _ => None,
    }
}
