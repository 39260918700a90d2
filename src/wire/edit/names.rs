//! Where a parameter is written in each dialect.
//!
//! Sources: OpenAI API reference, chat/create, responses/create; Anthropic API reference, messages/create; Gemini API
//! reference, GenerateContentRequest and GenerationConfig; read 2026-11. A parameter whose values mean something else
//! elsewhere (Anthropic's `service_tier`, thinking budgets for `reasoning_effort`) is not carried over.

use super::super::{Dialect, Operation};
use serde_json::Value;
use std::borrow::Cow;

/// One member on the way to a parameter: the name that is written first, then others it goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Level(Vec<Cow<'static, str>>);

impl Level {
    pub(super) fn name(&self) -> &str {
        self.0.first().map_or("", |name| name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    /// Whether both are the same member.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.0.iter().any(|name| other.0.contains(name))
    }
}

/// The way to a parameter from the top of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path(Vec<Level>);

impl Path {
    pub(super) fn level(&self, depth: usize) -> Option<&Level> {
        self.0.get(depth)
    }

    /// `a|b.c`: dots between levels, bars between names of one.
    fn read(text: &'static str) -> Self {
        let level = |names: &'static str| Level(names.split('|').map(Cow::Borrowed).collect());
        Self(text.split('.').map(level).collect())
    }

    fn given(name: &str) -> Self {
        Self(vec![Level(vec![Cow::Owned(name.to_owned())])])
    }
}

/// A parameter: its name, and its paths in OpenAI's chat, Responses, Messages and Gemini; empty where there is none.
struct Row(&'static str, &'static str, &'static str, &'static str, &'static str);

macro_rules! gemini {
    ($names:literal) => {
        concat!("generationConfig|generation_config.", $names)
    };
}

const ROWS: [Row; 23] = [
    Row(
        "temperature",
        "temperature",
        "temperature",
        "temperature",
        gemini!("temperature"),
    ),
    Row("top_p", "top_p", "top_p", "top_p", gemini!("topP|top_p")),
    Row("top_k", "top_k", "", "top_k", gemini!("topK|top_k")),
    Row(
        "max_tokens",
        "max_tokens|max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        gemini!("maxOutputTokens|max_output_tokens"),
    ),
    Row(
        "max_completion_tokens",
        "max_completion_tokens|max_tokens",
        "max_output_tokens",
        "max_tokens",
        gemini!("maxOutputTokens|max_output_tokens"),
    ),
    Row(
        "max_output_tokens",
        "max_completion_tokens|max_tokens",
        "max_output_tokens",
        "max_tokens",
        gemini!("maxOutputTokens|max_output_tokens"),
    ),
    Row(
        "stop",
        "stop",
        "",
        "stop_sequences",
        gemini!("stopSequences|stop_sequences"),
    ),
    Row("seed", "seed", "", "", gemini!("seed")),
    Row("n", "n", "", "", gemini!("candidateCount|candidate_count")),
    Row(
        "presence_penalty",
        "presence_penalty",
        "",
        "",
        gemini!("presencePenalty|presence_penalty"),
    ),
    Row(
        "frequency_penalty",
        "frequency_penalty",
        "",
        "",
        gemini!("frequencyPenalty|frequency_penalty"),
    ),
    Row(
        "logprobs",
        "logprobs",
        "",
        "",
        gemini!("responseLogprobs|response_logprobs"),
    ),
    Row("top_logprobs", "top_logprobs", "top_logprobs", "", gemini!("logprobs")),
    Row("reasoning_effort", "reasoning_effort", "reasoning.effort", "", ""),
    Row("verbosity", "verbosity", "text.verbosity", "", ""),
    Row("service_tier", "service_tier", "service_tier", "", ""),
    Row(
        "parallel_tool_calls",
        "parallel_tool_calls",
        "parallel_tool_calls",
        "",
        "",
    ),
    Row("user", "user", "user", "metadata.user_id", ""),
    Row("store", "store", "store", "", ""),
    Row("metadata", "metadata", "metadata", "", ""),
    Row("logit_bias", "logit_bias", "", "", ""),
    Row("response_format", "response_format", "", "", ""),
    Row("prediction", "prediction", "", "", ""),
];

/// The parameters of the table that legacy completions have too.
const COMPLETIONS: [&str; 12] = [
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "stop",
    "seed",
    "n",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "user",
    "logit_bias",
];

/// Where a parameter is written; `None` where a request of this sort does not have it.
pub(super) fn path(name: &str, operation: Operation, dialect: Dialect) -> Option<Path> {
    let row = ROWS.iter().find(|row| row.0 == name);
    match operation {
        Operation::Chat => {}
        // One limit on output there, whatever it is called elsewhere.
        Operation::Completions if row.is_some_and(|row| row.2 == "max_output_tokens") => {
            return (dialect == Dialect::OpenAi).then(|| Path::given("max_tokens"));
        }
        Operation::Completions => {
            let has = dialect == Dialect::OpenAi && (row.is_none() || COMPLETIONS.contains(&name));
            return has.then(|| Path::given(name));
        }
        // Strict APIs refuse a request for a parameter they do not know.
        Operation::Embeddings => {
            let has = dialect == Dialect::OpenAi && (row.is_none() || name == "user");
            return has.then(|| Path::given(name));
        }
        Operation::Moderations | Operation::CountTokens | Operation::Rerank => return None,
    }
    let Some(row) = row else {
        let shaped = matches!(dialect, Dialect::OpenAi | Dialect::Responses);
        return shaped.then(|| Path::given(name));
    };
    let text = match dialect {
        Dialect::OpenAi => row.1,
        Dialect::Responses => row.2,
        Dialect::Anthropic => row.3,
        Dialect::Gemini => row.4,
        Dialect::Bedrock | Dialect::Cohere => "",
    };
    (!text.is_empty()).then(|| Path::read(text))
}

/// Whether two names may be written to the same place.
pub(super) fn same(one: &str, other: &str) -> bool {
    let limit = |name| matches!(name, "max_tokens" | "max_completion_tokens" | "max_output_tokens");
    one == other || (limit(one) && limit(other))
}

/// A value as the dialect takes it.
pub(super) fn value<'v>(name: &str, value: &'v Value, dialect: Dialect) -> Cow<'v, Value> {
    match (name, value, dialect) {
        // There it is always a list.
        ("stop", Value::String(_), Dialect::Anthropic | Dialect::Gemini) => {
            Cow::Owned(Value::Array(vec![value.clone()]))
        }
        // It ends at 1 there.
        ("temperature", Value::Number(number), Dialect::Anthropic) if number.as_f64().is_some_and(|it| it > 1.0) => {
            Cow::Owned(Value::from(1.0))
        }
        _ => Cow::Borrowed(value),
    }
}
