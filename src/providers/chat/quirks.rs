//! What servers of the Chat Completions shape do differently: one row each.
//!
//! A row holds only what changes the bytes that are sent; answers are read alike for all. Defaults are conservative: a
//! member that a vendor does not document is not sent but named as dropped, because most refuse unknown members with 400.
//! Sources: the vendors' API references as named at each row, read 2026-11, from stored copies; the recorded exchanges of
//! OpenAI, Azure, DeepSeek, Groq, Hugging Face, OpenRouter, Mistral and xAI. No account was used.

use crate::wire::canonical::Effort;

/// How a vendor wants to be asked for reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// It cannot be asked.
    None,
    /// `reasoning_effort`, one of these, weakest first.
    Effort(&'static [Effort]),
    /// OpenAI's own: `reasoning_effort`, with what is known of its models (`families`).
    OpenAi,
    /// OpenRouter: `reasoning: {effort | max_tokens, enabled, exclude}`.
    Object,
    /// DashScope: `enable_thinking` and `thinking_budget`.
    Enable,
    /// DeepSeek, Z.ai, Moonshot: `thinking: {type}`, and `reasoning_effort` where there are such words.
    Type(&'static [Effort]),
    /// vLLM, SGLang, llama.cpp: `chat_template_kwargs: {enable_thinking}` for on and off, `reasoning_effort` for how much.
    Template,
    /// Mistral: `reasoning_effort` or `prompt_mode`, by the model.
    Mistral,
}

/// How earlier reasoning is sent back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// It is not.
    None,
    /// `reasoning_content`
    Content,
    /// `reasoning`
    Plain,
    /// `reasoning` and `reasoning_details`
    Details,
    /// Thinking chunks inside `content` (Mistral).
    Chunks,
}

/// What structured output there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Structured {
    /// `json_schema` and `json_object`.
    Schema,
    /// `json_schema` only.
    SchemaOnly,
    /// `json_object` only.
    Object,
    /// Neither.
    None,
}

/// How a last message of the model's is continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefill {
    /// It is not: it is taken for a turn that is over.
    None,
    /// Without being told.
    Native,
    /// `prefix: true` on it (Mistral).
    Prefix,
    /// `partial: true` on it (Moonshot, DashScope).
    Partial,
    /// `continue_final_message` beside the messages (vLLM, SGLang).
    Continue,
}

/// Which call ids are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// Any.
    Any,
    /// Up to so many letters.
    Most(usize),
    /// Nine letters or digits (Mistral).
    Nine,
}

/// One server's differences.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quirks {
    /// Its name, as in the configuration.
    pub name: &'static str,
    /// The member that caps the output.
    pub max_tokens: &'static str,
    /// The member for repeatability; none when it has none.
    pub seed: Option<&'static str>,
    /// Seeds below 0 are refused.
    pub seed_from_zero: bool,
    /// The highest temperature.
    pub hottest: f64,
    /// It knows the developer role.
    pub developer: bool,
    /// It knows `name` on messages.
    pub names: bool,
    /// How it is asked for reasoning.
    pub ask: Ask,
    /// How it gets reasoning back.
    pub echo: Echo,
    /// Its structured output.
    pub structured: Structured,
    /// `parallel_tool_calls`
    pub parallel: bool,
    /// `stream_options`
    pub stream_options: bool,
    /// `tool_choice` that means: call something.
    pub required: &'static str,
    /// `tool_choice` may name a function.
    pub named_choice: bool,
    /// `strict` on functions.
    pub strict: bool,
    /// Custom tools, allowed tools, and what else only OpenAI has: audio output, store, metadata.
    pub openai: bool,
    /// `logprobs`, `top_logprobs`
    pub logprobs: bool,
    /// `logit_bias`
    pub logit_bias: bool,
    /// `n`
    pub n: bool,
    /// `frequency_penalty`, `presence_penalty`
    pub penalties: bool,
    /// `top_k`
    pub top_k: bool,
    /// Most stop texts.
    pub stops: usize,
    /// `user`
    pub user: bool,
    /// `service_tier`
    pub service_tier: bool,
    /// `prompt_cache_key`
    pub prompt_cache_key: bool,
    /// `cache_control` on content parts.
    pub cache_control: bool,
    /// `image_url` parts.
    pub images: bool,
    /// `input_audio` parts.
    pub audio: bool,
    /// `file` parts with base64; addresses too when it is OpenRouter or Mistral (`document_url`).
    pub files: bool,
    /// Files may be addresses.
    pub file_urls: bool,
    /// `video_url` parts.
    pub video: bool,
    /// Tool messages may hold images and documents.
    pub tool_media: bool,
    /// Function calling.
    pub tools: bool,
    /// Most tools; 0 for no limit known.
    pub most_tools: usize,
    /// `modalities` and `verbosity`.
    pub modalities: bool,
    /// `web_search_options`
    pub web_search: bool,
    /// How it continues a last message of the model's.
    pub prefill: Prefill,
    /// Rerank, in Jina's form.
    pub rerank: bool,
    /// Signatures of Gemini's calls go back in `extra_content` (Google's own servers of this shape).
    pub google: bool,
    /// Which call ids it takes.
    pub ids: Ids,
    /// Embeddings: it gives base64 when asked.
    pub embed_base64: bool,
    /// Embeddings: the member for the length of vectors.
    pub dimensions: Option<&'static str>,
}

/// What most vendors that can be asked for reasoning take.
const LOW_TO_HIGH: &[Effort] = &[Effort::Low, Effort::Medium, Effort::High];

/// A server of which nothing is known but that it speaks the shape: any base URL.
pub static PLAIN: Quirks = Quirks {
    name: "compatible",
    max_tokens: "max_tokens",
    seed: Some("seed"),
    seed_from_zero: false,
    hottest: 2.0,
    developer: false,
    names: true,
    ask: Ask::Effort(LOW_TO_HIGH),
    echo: Echo::Content,
    structured: Structured::Schema,
    parallel: true,
    stream_options: true,
    required: "required",
    named_choice: true,
    strict: false,
    openai: false,
    logprobs: true,
    logit_bias: false,
    n: true,
    penalties: true,
    top_k: false,
    stops: 4,
    user: true,
    service_tier: false,
    prompt_cache_key: false,
    cache_control: false,
    images: true,
    audio: false,
    files: false,
    file_urls: false,
    video: false,
    tool_media: false,
    tools: true,
    most_tools: 0,
    modalities: false,
    web_search: false,
    prefill: Prefill::None,
    rerank: true,
    google: false,
    ids: Ids::Any,
    embed_base64: false,
    dimensions: Some("dimensions"),
};

/// platform.openai.com/docs/api-reference/chat, and the types of the Python package 3.54.
pub static OPENAI: Quirks = Quirks {
    name: "openai",
    max_tokens: "max_completion_tokens",
    developer: true,
    ask: Ask::OpenAi,
    echo: Echo::None,
    strict: true,
    openai: true,
    logit_bias: true,
    service_tier: true,
    prompt_cache_key: true,
    audio: true,
    files: true,
    most_tools: 128,
    modalities: true,
    web_search: true,
    rerank: false,
    // "string too long. Expected a string with maximum length 40": what the API says of longer ones.
    ids: Ids::Most(40),
    embed_base64: true,
    ..PLAIN
};

/// docs.mistral.ai/api and the types of the Python package 3.7. Chat Completions in outline only; see `providers::mistral`.
pub static MISTRAL: Quirks = Quirks {
    name: "mistral",
    seed: Some("random_seed"),
    seed_from_zero: true,
    hottest: 1.5,
    names: false,
    ask: Ask::Mistral,
    echo: Echo::Chunks,
    stream_options: false,
    required: "any",
    strict: true,
    user: false,
    prompt_cache_key: true,
    service_tier: false,
    audio: true,
    files: true,
    file_urls: true,
    tool_media: true,
    prefill: Prefill::Prefix,
    rerank: false,
    ids: Ids::Nine,
    dimensions: Some("output_dimension"),
    ..PLAIN
};

/// The effort among `known` that is nearest to the one asked for; of two as near, the weaker.
pub fn nearest(known: &[Effort], wanted: Effort) -> Option<Effort> {
    let distance = |effort: &Effort| (*effort as i32 - wanted as i32).abs();
    // No reasoning at all is no shade of some.
    let off = wanted == Effort::None;
    let known = known.iter().filter(|effort| (**effort == Effort::None) == off);
    known.copied().min_by_key(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn efforts_are_moved_to_the_nearest_known() {
        assert_eq!(nearest(LOW_TO_HIGH, Effort::XHigh), Some(Effort::High));
        assert_eq!(nearest(LOW_TO_HIGH, Effort::Minimal), Some(Effort::Low));
        assert_eq!(nearest(LOW_TO_HIGH, Effort::None), None);
        assert_eq!(nearest(&[Effort::None, Effort::High], Effort::None), Some(Effort::None));
        assert_eq!(nearest(&[Effort::High, Effort::Max], Effort::Low), Some(Effort::High));
        assert_eq!(nearest(&[], Effort::Low), None);
    }
}
