//! The request body.

use super::input::Input;
use super::model::Family;
use super::{names, schema};
use crate::providers::codec::{Aim, Encoding, Expect, Unfit};
use crate::wire::Dialect;
use crate::wire::canonical::{
    Builtin, Dropped, Effort, Extra, Format, Function, Part, Reasoning, Request, Text, Tool, ToolChoice,
};
use crate::wire::json::{JsonWriter, Node};
use crate::wire::responses::{ENCRYPTED, LOGPROBS, needs_state, put_choice, put_text, put_tool};

/// What a body is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Answer,
    /// To count its tokens: fewer members.
    Count,
}

/// Fewest output tokens the API accepts.
const FEWEST: u64 = 16;

/// Longest end user's name the API accepts.
const LONGEST_USER: usize = 64;

struct Encoder<'r, 'a> {
    request: &'r Request<'a>,
    family: Family,
    dropped: Dropped,
}

pub(super) fn body(request: &Request<'_>, aim: Aim<'_>, purpose: Purpose) -> Result<Encoding, Unfit> {
    let mut encoder = Encoder {
        request,
        family: Family::of(aim.model),
        dropped: Dropped::default(),
    };
    if request.messages.is_empty() && !needs_state(request) {
        return Err(Unfit::request(
            "messages",
            "the conversation is empty; send at least one message",
        ));
    }
    let mut json = JsonWriter::new();
    json.object(|json| {
        json.field("model", aim.model);
        encoder.input(json);
        encoder.tools(json);
        encoder.text(json);
        encoder.reasoning(json);
        json.opt("parallel_tool_calls", request.parallel_tool_calls);
        json.opt("previous_response_id", request.previous_response_id.as_deref());
        if purpose == Purpose::Answer {
            encoder.sampling(json);
            encoder.keeping(json);
            encoder.account(json);
            encoder.extras(json);
            if request.stream {
                json.field("stream", true);
            }
        } else if let Some(conversation) = encoder.own("conversation") {
            json.raw_field("conversation", &conversation.raw);
        }
    });
    Ok(Encoding {
        body: json.finish(),
        headers: Vec::new(),
        dropped: encoder.dropped,
        expect: Expect {
            structured_tool: None,
            renamed_tools: names::renamed(request),
            model: aim.model.into(),
        },
    })
}

impl<'r, 'a> Encoder<'r, 'a> {
    fn own(&self, key: &str) -> Option<&'r Extra<'a>> {
        self.request
            .extras
            .iter()
            .find(|extra| extra.dialect == Dialect::Responses && extra.key == key)
    }

    fn input(&mut self, json: &mut JsonWriter) {
        let request = self.request;
        let stateful = request.store == Some(true) || needs_state(request);
        json.key("input").begin_array();
        let mut input = Input {
            json,
            dropped: &mut self.dropped,
            stateful,
            open: false,
        };
        for (at, message) in request.messages.iter().enumerate() {
            input.message(at, message);
        }
        json.end_array();
    }

    fn tools(&mut self, json: &mut JsonWriter) {
        let tools = &self.request.tools;
        let mut made = JsonWriter::over(Vec::new());
        let mut count = 0;
        made.array(|json| {
            for (at, tool) in tools.iter().enumerate() {
                count += usize::from(self.tool(json, at, tool));
            }
        });
        let choice = self.request.tool_choice.as_ref();
        let foreign = matches!(choice, Some(ToolChoice::Opaque { dialect, .. }) if *dialect != Dialect::Responses);
        if count == 0 {
            // The API refuses a choice among nothing.
            if !matches!(choice, None | Some(ToolChoice::Auto | ToolChoice::None)) {
                self.dropped.push("tool_choice");
            }
            return;
        }
        json.raw_field("tools", std::str::from_utf8(&made.finish()).unwrap_or("[]"));
        match choice {
            Some(_) if foreign => self.dropped.push("tool_choice"),
            Some(choice) => {
                put_choice(json.key("tool_choice"), choice, tools, names::tool_name);
            }
            None => {}
        }
    }

    /// One tool; whether it could be written.
    fn tool(&mut self, json: &mut JsonWriter, at: usize, tool: &Tool<'_>) -> bool {
        let fitted = self.fitted(at, tool);
        if put_tool(json, fitted.as_ref().unwrap_or(tool), names::tool_name) {
            return true;
        }
        match tool {
            Tool::Builtin {
                kind: Builtin::WebSearch,
                raw,
                ..
            } => {
                web_search(json, raw, at, &mut self.dropped);
                true
            }
            Tool::Builtin { name, .. } => {
                self.dropped.push(format!("tools[{at}] ({name})"));
                false
            }
            _ => false,
        }
    }

    /// A function whose schema has to be changed; nothing when it need not be.
    fn fitted(&mut self, at: usize, tool: &Tool<'_>) -> Option<Tool<'static>> {
        let Tool::Function(function) = tool else { return None };
        let (parameters, lost) = schema::fitted(function.parameters.as_deref()?)?;
        for keyword in lost {
            self.dropped.push(format!("tools[{at}].parameters ({keyword})"));
        }
        let own = |text: &str| Text::Owned(text.to_owned());
        Some(Tool::Function(Function {
            name: own(&function.name),
            description: function.description.as_deref().map(own),
            parameters: Some(parameters.into()),
            strict: function.strict,
            cache: None,
        }))
    }

    fn text(&mut self, json: &mut JsonWriter) {
        let foreign = matches!(&self.request.format, Format::Opaque { dialect, .. } if *dialect != Dialect::Responses);
        if foreign {
            self.dropped.push("response_format");
        }
        if self.request.verbosity.is_some() || (self.request.format != Format::Text && !foreign) {
            put_text(json.key("text"), self.request);
        }
    }

    /// The effort to ask for; nothing leaves it to the model.
    fn effort(&self, reasoning: &Reasoning<'_>) -> Option<Effort> {
        if reasoning.wanted() != Some(false) || reasoning.effort.is_some() {
            return reasoning.effort_for();
        }
        // Thinking is to be off, said in another API's words.
        match self.family {
            Family::Reasoning { least } => Some(least),
            Family::Plain | Family::Unknown => None,
        }
    }

    fn reasoning(&mut self, json: &mut JsonWriter) {
        let request = self.request;
        let own: Vec<_> = request
            .extras
            .iter()
            .filter(|extra| extra.dialect == Dialect::Responses)
            .filter_map(|extra| Some((extra.key.strip_prefix("reasoning.")?, extra.raw.as_ref())))
            .collect();
        let asked = request.reasoning.as_ref();
        if self.family == Family::Plain {
            if asked.and_then(Reasoning::wanted) == Some(true) || !own.is_empty() {
                self.dropped.push("reasoning");
            }
            return;
        }
        let effort = asked.and_then(|reasoning| self.effort(reasoning));
        let shown = asked.is_some_and(Reasoning::shown);
        let summary = asked.and_then(|r| r.summary.as_deref()).or(shown.then_some("auto"));
        if effort.is_none() && summary.is_none() && own.is_empty() {
            return;
        }
        json.key("reasoning").object(|json| {
            json.opt("effort", effort.map(Effort::as_str));
            json.opt("summary", summary);
            for (key, raw) in own {
                json.raw_field(key, raw);
            }
        });
    }

    fn sampling(&mut self, json: &mut JsonWriter) {
        let sampling = &self.request.sampling;
        if let Some(most) = sampling.max_tokens {
            if most < FEWEST {
                self.dropped.push(format!("max_tokens (raised to {FEWEST})"));
            }
            json.field("max_output_tokens", most.max(FEWEST));
        }
        for (key, value) in [("temperature", sampling.temperature), ("top_p", sampling.top_p)] {
            let Some(value) = value else { continue };
            if self.takes_chance() {
                json.field(key, value);
            } else if value != 1.0 {
                self.dropped.push(key);
            }
        }
        json.opt("top_logprobs", sampling.top_logprobs);
        let dropped = &mut self.dropped;
        dropped.given("top_k", &sampling.top_k);
        dropped.given("frequency_penalty", &sampling.frequency_penalty.filter(|p| *p != 0.0));
        dropped.given("presence_penalty", &sampling.presence_penalty.filter(|p| *p != 0.0));
        dropped.given("seed", &sampling.seed);
        dropped.given("stop", &sampling.stop.first());
        dropped.given("n", &sampling.n.filter(|n| *n > 1));
        dropped.given("logit_bias", &sampling.logit_bias);
        if self.request.modalities.iter().any(|wanted| wanted != "text") {
            self.dropped.push("modalities");
        }
        self.dropped.given("audio", &self.request.audio);
    }

    /// Reasoning models refuse temperature and nucleus, except where they can be told not to reason.
    fn takes_chance(&self) -> bool {
        let Family::Reasoning { least } = self.family else {
            return true;
        };
        let effort = self.request.reasoning.as_ref().and_then(|r| self.effort(r));
        // Models that can be told not to reason do not unless they are told to (gpt-5.1 and later).
        least == Effort::None && effort.is_none_or(|effort| effort == Effort::None)
    }

    /// `store` and `include`: what the provider keeps, and what it must give back because it does not.
    fn keeping(&mut self, json: &mut JsonWriter) {
        let request = self.request;
        let store = request.store.or((!needs_state(request)).then_some(false));
        json.opt("store", store);
        let asked = request.reasoning.as_ref();
        let encrypted = match self.family {
            Family::Plain => false,
            _ if asked.is_some_and(|reasoning| reasoning.encrypted) => true,
            Family::Reasoning { .. } => store == Some(false),
            Family::Unknown => {
                store == Some(false) && (asked.and_then(Reasoning::wanted) == Some(true) || self.has_own_reasoning())
            }
        };
        let logprobs = request.sampling.logprobs == Some(true);
        let own = self.own("include").map(|extra| extra.raw.as_bytes());
        let own = own.and_then(|raw| Node::parse(raw, 8).ok());
        let own = own.as_ref().and_then(|node| node.as_array()).unwrap_or_default();
        if !encrypted && !logprobs && own.is_empty() {
            return;
        }
        json.key("include").array(|json| {
            if encrypted {
                json.value(ENCRYPTED);
            }
            if logprobs {
                json.value(LOGPROBS);
            }
            for entry in own {
                json.raw(entry.raw);
            }
        });
    }

    fn has_own_reasoning(&self) -> bool {
        let mut parts = self.request.messages.iter().flat_map(|message| &message.parts);
        parts.any(|part| {
            let signature = match part {
                Part::Thinking(thinking) => thinking.signature.as_ref(),
                _ => None,
            };
            signature.is_some_and(|signature| signature.origin == Dialect::Responses)
        })
    }

    /// Who pays and for whom.
    fn account(&mut self, json: &mut JsonWriter) {
        let request = self.request;
        match request.user.as_deref() {
            Some(user) if user.len() > LONGEST_USER => self.dropped.push("user"),
            user => json.opt("user", user),
        }
        if !request.metadata.is_empty() {
            json.key("metadata").object(|json| {
                for (key, value) in &request.metadata {
                    json.field(key, value);
                }
            });
        }
        match request.service_tier.as_deref() {
            None => {}
            Some("standard" | "standard_only") => json.field("service_tier", "default"),
            Some(tier @ ("auto" | "default" | "flex" | "scale" | "priority" | "fast" | "ultrafast")) => {
                json.field("service_tier", tier);
            }
            Some(_) => self.dropped.push("service_tier"),
        }
        json.opt("prompt_cache_key", request.prompt_cache_key.as_deref());
    }

    fn extras(&mut self, json: &mut JsonWriter) {
        for extra in &self.request.extras {
            let key = extra.key.as_ref();
            match (extra.dialect, key) {
                // Written with the members they belong to.
                (Dialect::Responses, "include") => {}
                (Dialect::Responses, key) if key.starts_with("reasoning.") => {}
                // The answer would be fetched by an id that the client does not get.
                (Dialect::Responses, "background") => self.dropped.push(key),
                (Dialect::Responses, _) => json.raw_field(key, &extra.raw),
                // The same member in OpenAI's other API.
                (Dialect::OpenAi, "prompt_cache_retention" | "prompt_cache_options") => {
                    json.raw_field(key, &extra.raw);
                }
                (Dialect::OpenAi, "safety_identifier") if self.request.user.is_none() => {
                    json.raw_field(key, &extra.raw);
                }
                _ => self.dropped.push(key),
            }
        }
    }
}

/// Another vendor's web search. Domains and place have the same form everywhere; the rest is named.
fn web_search(json: &mut JsonWriter, raw: &str, at: usize, dropped: &mut Dropped) {
    let parsed = Node::parse(raw.as_bytes(), 64).ok();
    let member = |key: &str| parsed.as_ref().and_then(|node| node.get(key));
    json.object(|json| {
        json.field("type", "web_search");
        if let Some(domains) = member("allowed_domains").filter(|node| node.as_array().is_some()) {
            json.key("filters")
                .object(|json| json.raw_field("allowed_domains", domains.raw));
        }
        if let Some(place) = member("user_location").filter(|node| node.get_str("type") == Some("approximate")) {
            json.raw_field("user_location", place.raw);
        }
    });
    for key in ["blocked_domains", "max_uses"] {
        if member(key).is_some() {
            dropped.push(format!("tools[{at}].{key}"));
        }
    }
}
