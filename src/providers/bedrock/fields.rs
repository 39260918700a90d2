//! Length, chance and thinking: `inferenceConfig` and `additionalModelRequestFields`.
//!
//! ```json
//! {"inferenceConfig":{"maxTokens":1,"temperature":0.5,"topP":0.9,"stopSequences":["…"]},
//!  "additionalModelRequestFields":{"top_k":1,"thinking":{"type":"enabled","budget_tokens":1024},"anthropic_beta":["…"]}}
//! ```
//! Converse names four knobs; all others go to the model by its own names, and an unknown one is an error there. What Anthropic's
//! models refuse together with thinking (temperature, top_k, most of top_p) gives way to the thinking.

use super::model::{Thinks, TopK};
use super::request::Encoder;
use crate::providers::anthropic::model::{Model as Claude, Off};
use crate::wire::Dialect;
use crate::wire::canonical::{Effort, Message, Part, Reasoning, Role};
use crate::wire::json::{JsonWriter, Node};

/// The smallest budget Anthropic's models take.
const LEAST_BUDGET: u64 = 1024;

/// Betas that Anthropic's models on Bedrock know (user guide, "Anthropic Claude Messages API", `anthropic_beta`, read 2026-11);
/// any other is a 400, and from Claude 4.7 on every one is.
const BETAS: &[&str] = &[
    "computer-use-2024-10-22",
    "computer-use-2025-01-24",
    "token-efficient-tools-2025-02-19",
    "interleaved-thinking-2025-05-14",
    "output-128k-2025-02-19",
    "dev-full-thinking-2025-05-14",
    "context-1m-2025-08-07",
    "context-management-2025-06-27",
];

/// The figures that go out.
#[derive(Debug, Default)]
pub(super) struct Fields {
    max_tokens: Option<u64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    stop: Vec<String>,
    /// Key and JSON text.
    additional: Vec<(&'static str, String)>,
    /// Thinking was turned on.
    thinks: bool,
}

impl Encoder<'_, '_> {
    /// Work them out. `forced`: the model must call a tool.
    pub(super) fn fields(&mut self, forced: bool) -> Fields {
        let sampling = &self.request.sampling;
        let mut fields = Fields {
            max_tokens: sampling.max_tokens,
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            ..Fields::default()
        };
        for text in &sampling.stop {
            // Anthropic's models refuse blanks, everyone refuses nothing.
            if text.is_empty() || (self.model.is_claude() && text.trim().is_empty()) {
                self.dropped.push("stop (blank)");
            } else {
                fields.stop.push(text.as_ref().to_owned());
            }
        }
        fields.thinks = self.think(forced, &mut fields);
        self.chance(&mut fields);
        self.betas(&mut fields);
        fields
    }

    /// Temperature and the like, as far as the model takes them.
    fn chance(&mut self, fields: &mut Fields) {
        let takes = self.model.takes;
        let thinks = fields.thinks;
        let claude_thinks = thinks && self.model.is_claude();
        if !takes.sampling || (claude_thinks && fields.temperature != Some(1.0)) {
            self.dropped.given("temperature", &fields.temperature.take());
        }
        if !takes.sampling || (claude_thinks && fields.top_p.is_some_and(|p| p < 0.95)) {
            self.dropped.given("top_p", &fields.top_p.take());
        }
        if takes.one_of_sampling && fields.temperature.is_some() {
            self.dropped.given("top_p", &fields.top_p.take());
        }
        if let Some(hot) = fields.temperature.filter(|hot| *hot > 1.0) {
            self.dropped.push(format!("temperature (above 1: {hot})"));
            fields.temperature = Some(1.0);
        }
        let Some(top_k) = self.request.sampling.top_k else {
            return;
        };
        match takes.top_k {
            TopK::Claude if !thinks => fields.additional.push(("top_k", top_k.to_string())),
            TopK::Nova => fields
                .additional
                .push(("inferenceConfig", format!(r#"{{"topK":{top_k}}}"#))),
            TopK::Cohere => fields.additional.push(("k", top_k.to_string())),
            TopK::Claude | TopK::Untaken => self.dropped.push("top_k"),
        }
    }

    /// Ask for thinking, or for none; whether it was asked for.
    fn think(&mut self, forced: bool, fields: &mut Fields) -> bool {
        let Some(reasoning) = &self.request.reasoning else {
            return false;
        };
        let takes = self.model.takes;
        match reasoning.wanted() {
            None => return false,
            Some(false) => {
                self.refrain(fields);
                return false;
            }
            Some(true) if forced && takes.claude.is_some() => {
                self.dropped.push("reasoning (with a forced tool)");
                return false;
            }
            Some(true) => {}
        }
        let effort = reasoning.effort_for();
        match (takes.thinks, takes.claude) {
            (Thinks::Budget, _) => return self.budget(reasoning, fields),
            (Thinks::Adaptive, Some(claude)) => adaptive(reasoning, claude, fields),
            (Thinks::Nova, _) => self.nova(effort, fields),
            (Thinks::Effort, _) => {
                let word = three(effort);
                fields.additional.push(("reasoning_effort", format!("\"{word}\"")));
            }
            (Thinks::NestedEffort, _) => {
                let word = match effort {
                    None => "medium",
                    Some(Effort::None | Effort::Minimal) => "low",
                    Some(effort) => effort.as_str(),
                };
                fields
                    .additional
                    .push(("reasoning", format!(r#"{{"effort":"{word}"}}"#)));
            }
            (Thinks::Unasked | Thinks::Adaptive, _) => {
                self.dropped.push("reasoning");
                return false;
            }
        }
        true
    }

    /// The client wants no thinking.
    fn refrain(&mut self, fields: &mut Fields) {
        let takes = self.model.takes;
        match (takes.thinks, takes.claude.map(Claude::off)) {
            (Thinks::NestedEffort, _) => fields.additional.push(("reasoning", r#"{"effort":"none"}"#.to_owned())),
            (_, Some(Off::Disabled)) => fields
                .additional
                .push(("thinking", r#"{"type":"disabled"}"#.to_owned())),
            (_, Some(Off::BetweenTools)) => {
                fields
                    .additional
                    .push(("thinking", r#"{"type":"between_tools"}"#.to_owned()));
            }
            // They cannot be told to stop.
            (Thinks::Effort, _) | (_, Some(Off::Impossible)) => self.dropped.push("reasoning"),
            // Off unless asked for.
            _ => {}
        }
    }

    fn budget(&mut self, reasoning: &Reasoning<'_>, fields: &mut Fields) -> bool {
        let wanted = reasoning
            .budget_for()
            .unwrap_or_else(|| Effort::Medium.budget())
            .max(LEAST_BUDGET);
        // The budget is part of the answer's length and must leave something of it.
        let budget = fields
            .max_tokens
            .map_or(wanted, |most| wanted.min(most.saturating_sub(1)));
        if budget < LEAST_BUDGET {
            self.dropped.push("reasoning (max_tokens leaves no room)");
            return false;
        }
        if self.continues_without_thinking() {
            self.dropped
                .push("reasoning (the turn it continues was made without it)");
            return false;
        }
        let thinking = format!(r#"{{"type":"enabled","budget_tokens":{budget}}}"#);
        fields.additional.push(("thinking", thinking));
        true
    }

    /// The assistant's turn that is to be continued was made without thinking, which a Claude told to think by budget refuses:
    /// its answer is begun already, or its calls are being answered.
    fn continues_without_thinking(&self) -> bool {
        let origin = self.model.origin();
        let own = |part: &Part<'_>| {
            matches!(part, Part::Thinking(thinking)
                if thinking.signature.as_ref().is_some_and(|signature| signature.for_target(origin).is_some()))
        };
        let spoken = |message: &&Message<'_>| matches!(message.role, Role::User | Role::Assistant);
        let mut back = self.request.messages.iter().rev().filter(spoken).peekable();
        let answers = |message: &&Message<'_>| message.parts.iter().any(|part| matches!(part, Part::ToolResult(_)));
        // Results may stand in several messages, and something said behind them.
        let mut answered = false;
        while let Some(message) = back.next_if(|message| message.role == Role::User) {
            answered |= answers(&message);
        }
        let at_end = self.request.messages.iter().rev().find(spoken);
        if !answered && at_end.is_none_or(|last| last.role == Role::User) {
            return false;
        }
        // Neighbours become one turn; its first part decides.
        let mut first = None;
        while let Some(message) = back.next_if(|message| message.role == Role::Assistant) {
            first = message.parts.first().or(first);
        }
        first.is_some_and(|part| !own(part))
    }

    /// Nova thinks hard only with its own figures (Nova 2 user guide, "Extended thinking": at high effort temperature, topP,
    /// topK and maxTokens must be unset).
    fn nova(&mut self, effort: Option<Effort>, fields: &mut Fields) {
        let mut word = three(effort);
        let bound = fields.max_tokens.is_some()
            || fields.temperature.is_some()
            || fields.top_p.is_some()
            || self.request.sampling.top_k.is_some();
        if word == "high" && bound {
            self.dropped
                .push("reasoning (high effort excludes max_tokens and sampling)");
            word = "medium";
        }
        let config = format!(r#"{{"type":"enabled","maxReasoningEffort":"{word}"}}"#);
        fields.additional.push(("reasoningConfig", config));
    }

    /// `anthropic_beta`, where a client of Anthropic's API gave some.
    fn betas(&mut self, fields: &mut Fields) {
        let extras = &self.request.extras;
        let Some(extra) = extras.iter().find(|extra| extra.key == "anthropic_beta") else {
            return;
        };
        let parsed = Node::parse(extra.raw.as_bytes(), 8).ok();
        let given: Vec<&str> = match &parsed {
            Some(list) => match (list.as_array(), list.as_str()) {
                (Some(items), _) => items.iter().filter_map(Node::as_str).collect(),
                (None, Some(text)) => text.split(',').map(str::trim).collect(),
                _ => Vec::new(),
            },
            None => Vec::new(),
        };
        let known = self.model.is_claude() && self.model.takes.sampling;
        let (kept, lost): (Vec<&str>, Vec<&str>) = given.into_iter().partition(|beta| known && BETAS.contains(beta));
        for beta in lost {
            self.dropped.push(format!("anthropic-beta ({beta})"));
        }
        if !kept.is_empty() {
            let mut json = JsonWriter::new();
            json.array(|json| kept.iter().for_each(|beta| json.value(beta)));
            let list = String::from_utf8(json.finish()).unwrap_or_default();
            fields.additional.push(("anthropic_beta", list));
        }
    }

    /// Cohere's own figures go along; others name what they lose.
    pub(super) fn penalties(&mut self, fields: &mut Fields) {
        let sampling = &self.request.sampling;
        let cohere = self.model.takes.top_k == TopK::Cohere;
        for (name, given) in [
            (
                "frequency_penalty",
                sampling.frequency_penalty.map(|number| number.to_string()),
            ),
            (
                "presence_penalty",
                sampling.presence_penalty.map(|number| number.to_string()),
            ),
            ("seed", sampling.seed.map(|number| number.to_string())),
        ] {
            match given {
                Some(number) if cohere => fields.additional.push((name, number)),
                given => self.dropped.given(name, &given),
            }
        }
    }
}

/// Claude from 4.6 on decides itself how much to think; an effort guides it.
fn adaptive(reasoning: &Reasoning<'_>, claude: Claude, fields: &mut Fields) {
    // The models that hide their thoughts unless asked are those without sampling (4.7 on).
    let show = match reasoning.show {
        Some(true) if !claude.samples() => r#","display":"summarized""#,
        _ => "",
    };
    fields
        .additional
        .push(("thinking", format!(r#"{{"type":"adaptive"{show}}}"#)));
    if let Some(word) = reasoning.effort_for().and_then(|effort| claude.effort(effort)) {
        fields
            .additional
            .push(("output_config", format!(r#"{{"effort":"{word}"}}"#)));
    }
}

/// The effort in three words.
fn three(effort: Option<Effort>) -> &'static str {
    match effort {
        Some(Effort::None | Effort::Minimal | Effort::Low) => "low",
        Some(Effort::High | Effort::XHigh | Effort::Max) => "high",
        Some(Effort::Medium) | None => "medium",
    }
}

impl Fields {
    /// `inferenceConfig`, if there is something to say.
    pub fn inference(&self, json: &mut JsonWriter) {
        let some = self.max_tokens.is_some() || self.temperature.is_some() || self.top_p.is_some();
        if !some && self.stop.is_empty() {
            return;
        }
        json.key("inferenceConfig").object(|json| {
            json.opt("maxTokens", self.max_tokens);
            json.opt("temperature", self.temperature);
            json.opt("topP", self.top_p);
            if !self.stop.is_empty() {
                json.key("stopSequences")
                    .array(|json| self.stop.iter().for_each(|text| json.value(text)));
            }
        });
    }

    /// `additionalModelRequestFields`: ours, and what was given in Bedrock's own form, which wins.
    pub fn additional(&self, given: Option<&str>, json: &mut JsonWriter) {
        let parsed = given.and_then(|raw| Node::parse(raw.as_bytes(), 128).ok());
        let given = parsed.as_ref().and_then(Node::as_object).unwrap_or_default();
        if self.additional.is_empty() && given.is_empty() {
            return;
        }
        json.key("additionalModelRequestFields").object(|json| {
            for (key, raw) in &self.additional {
                if !given.iter().any(|(theirs, _)| theirs == key) {
                    json.raw_field(key, raw);
                }
            }
            for (key, value) in given {
                json.raw_field(key, value.raw);
            }
        });
    }

    /// What Claude tells only when asked (`additionalModelResponseFieldPaths`): which text ended the answer, for which whole and
    /// streamed answers have different places, and how many tokens went into thinking. Paths that lead nowhere are ignored.
    pub fn asked_back(&self) -> Vec<&'static str> {
        let mut paths = Vec::new();
        if !self.stop.is_empty() {
            paths.extend(["/stop_sequence", "/delta/stop_sequence"]);
        }
        if self.thinks {
            paths.push("/usage");
        }
        paths
    }
}

/// What Bedrock's own extras are marked with.
pub(super) const OWN: Dialect = Dialect::Bedrock;
