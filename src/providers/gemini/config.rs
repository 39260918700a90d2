//! `generationConfig`: sampling, format, thinking, modalities.
//!
//! Thinking is said the way the model takes it ([`super::model`]). A schema goes out as written in `responseJsonSchema`,
//! which AI Studio and Vertex both take. Before generation 3 Google refuses JSON output beside tools: then the tools stay, the
//! schema becomes an instruction, and the loss of its enforcement is named; tools that must not be called are left out
//! instead. Source: ai.google.dev/api/generate-content#generationconfig, gemini-api/docs/structured-output, read 2026-11.

use super::model::{Model, Thought};
use crate::wire::Dialect;
use crate::wire::canonical::{Dropped, Effort, Format, Reasoning, Request};
use crate::wire::json::{JsonWriter, Node};

/// Most stop texts taken.
const MOST_STOPS: usize = 5;

/// `generationConfig`, if there is anything to say. `enforce`: the format may be asked for natively.
pub fn write(request: &Request<'_>, model: Model, enforce: bool, dropped: &mut Dropped, json: &mut JsonWriter) {
    let mut config = JsonWriter::new();
    config.begin_object();
    sampling(request, dropped, &mut config);
    if enforce {
        format(&request.format, dropped, &mut config);
    }
    if let Some(reasoning) = &request.reasoning {
        thinking(reasoning, model, dropped, &mut config);
    }
    modalities(request, dropped, &mut config);
    for (key, raw) in super::request::extras_in(request, "generationConfig.") {
        config.raw_field(key, raw);
    }
    config.end_object();
    let config = String::from_utf8(config.finish()).unwrap_or_default();
    if config != "{}" {
        json.raw_field("generationConfig", &config);
    }
}

fn sampling(request: &Request<'_>, dropped: &mut Dropped, json: &mut JsonWriter) {
    let sampling = &request.sampling;
    json.opt("maxOutputTokens", sampling.max_tokens);
    json.opt("temperature", sampling.temperature);
    json.opt("topP", sampling.top_p);
    json.opt("topK", sampling.top_k);
    json.opt("frequencyPenalty", sampling.frequency_penalty);
    json.opt("presencePenalty", sampling.presence_penalty);
    match sampling.seed {
        Some(seed) if i32::try_from(seed).is_err() => dropped.push("seed (beyond 32 bits)"),
        seed => json.opt("seed", seed),
    }
    if !sampling.stop.is_empty() {
        json.key("stopSequences").array(|json| {
            sampling.stop.iter().take(MOST_STOPS).for_each(|stop| json.value(stop));
        });
        if sampling.stop.len() > MOST_STOPS {
            dropped.push(format!("stop (beyond the first {MOST_STOPS})"));
        }
    }
    json.opt("candidateCount", sampling.n);
    json.opt("responseLogprobs", sampling.logprobs);
    let others = sampling.top_logprobs.filter(|count| *count > 0);
    json.opt("logprobs", others.filter(|_| sampling.logprobs == Some(true)));
    dropped.given("logit_bias", &sampling.logit_bias);
}

/// Whether a shape of the answer is asked for.
pub fn shaped(format: &Format<'_>) -> bool {
    match format {
        Format::Text => false,
        Format::Json | Format::Schema { .. } => true,
        Format::Opaque { dialect, .. } => *dialect == Dialect::Gemini,
    }
}

fn format(format: &Format<'_>, dropped: &mut Dropped, json: &mut JsonWriter) {
    match format {
        Format::Text => {}
        Format::Json => json.field("responseMimeType", "application/json"),
        Format::Schema { schema, .. } => {
            json.field("responseMimeType", "application/json");
            json.raw_field("responseJsonSchema", schema);
        }
        Format::Opaque {
            dialect: Dialect::Gemini,
            raw,
        } => {
            let Ok(members) = Node::parse(raw.as_bytes(), 256) else {
                return;
            };
            for (key, node) in members.as_object().unwrap_or_default() {
                json.raw_field(key, node.raw);
            }
        }
        Format::Opaque { .. } => dropped.push("response_format"),
    }
}

/// The format as words, where it cannot be asked for natively.
pub fn instruction(format: &Format<'_>) -> Option<String> {
    match format {
        Format::Json => Some("When you answer, answer with JSON only, without any text around it.".to_owned()),
        Format::Schema { schema, .. } => Some(format!(
            "When you answer, answer with JSON only, without any text around it, that follows this JSON Schema: {schema}"
        )),
        Format::Text | Format::Opaque { .. } => None,
    }
}

fn thinking(reasoning: &Reasoning<'_>, model: Model, dropped: &mut Dropped, json: &mut JsonWriter) {
    let wanted = reasoning.wanted();
    let wants = reasoning.summary.is_some() || reasoning.shown();
    let show = reasoning.show.or(wants.then_some(true));
    let show = show.filter(|_| wanted != Some(false));
    let said = match model.thought() {
        Thought::None => {
            if wanted == Some(true) {
                dropped.push("reasoning");
            }
            return;
        }
        Thought::Budget { least, most, off } => budget(reasoning, least, most, off, dropped).map(Said::Budget),
        Thought::Level => level(reasoning, model, dropped).map(Said::Level),
    };
    if said.is_none() && show.is_none() {
        return;
    }
    json.key("thinkingConfig").object(|json| {
        json.opt("includeThoughts", show);
        match said {
            Some(Said::Budget(tokens)) => json.field("thinkingBudget", tokens),
            Some(Said::Level(level)) => json.field("thinkingLevel", level),
            None => {}
        }
    });
}

enum Said {
    Budget(i64),
    Level(&'static str),
}

fn budget(reasoning: &Reasoning<'_>, least: u64, most: u64, off: bool, dropped: &mut Dropped) -> Option<i64> {
    let tokens = match (reasoning.wanted()?, reasoning.budget_for()) {
        (false, _) if off => return Some(0),
        (false, _) => {
            dropped.push("reasoning (cannot be switched off)");
            least
        }
        (true, _) if reasoning.dynamic => return Some(-1),
        (true, Some(tokens)) => tokens.clamp(least, most),
        (true, None) => return Some(-1),
    };
    i64::try_from(tokens).ok()
}

fn level(reasoning: &Reasoning<'_>, model: Model, dropped: &mut Dropped) -> Option<&'static str> {
    if !reasoning.wanted()? {
        let level = model.level(Effort::None);
        if level != "minimal" {
            dropped.push("reasoning (cannot be switched off)");
        }
        return Some(level);
    }
    // The model decides by itself unless it is told a level.
    if reasoning.dynamic {
        return None;
    }
    reasoning.effort_for().map(|effort| model.level(effort))
}

fn modalities(request: &Request<'_>, dropped: &mut Dropped, json: &mut JsonWriter) {
    let wants = |word: &str| request.modalities.iter().any(|wanted| wanted == word);
    // Speech models refuse text beside the sound; image models want it.
    if wants("audio") {
        json.key("responseModalities").array(|json| json.value("AUDIO"));
    } else if wants("image") {
        json.key("responseModalities").array(|json| {
            json.value("TEXT");
            json.value("IMAGE");
        });
    }
    dropped.given("audio", &request.audio);
    for other in request
        .modalities
        .iter()
        .filter(|word| !matches!(word.as_ref(), "audio" | "image" | "text"))
    {
        dropped.push(format!("modalities ({other})"));
    }
}
