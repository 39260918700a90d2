//! Who speaks what: the client dialects, the codecs, and which of them a recording is in.

use cirque::providers::anthropic::{AnthropicCodec, Variant};
use cirque::providers::bedrock::ConverseCodec;
use cirque::providers::chat::{ChatCodec, for_vendor};
use cirque::providers::codec::Codec;
use cirque::providers::cohere::CohereCodec;
use cirque::providers::gemini::GeminiCodec;
use cirque::providers::mistral::MistralCodec;
use cirque::providers::responses::ResponsesCodec;
use cirque::wire::chat::{Chat, Completions};
use cirque::wire::client::ClientDialect;
use cirque::wire::gemini::Gemini;
use cirque::wire::messages::Messages;
use cirque::wire::responses::Responses;
use std::sync::OnceLock;

/// A client dialect.
pub struct Client {
    pub name: &'static str,
    pub speak: Box<dyn ClientDialect>,
    /// What reads its answers back: the codec of the same API.
    pub back: Option<Box<dyn Codec>>,
    /// It has one answer only.
    pub one: bool,
    /// It tells a refusal's words from other words.
    pub refuses: bool,
    /// It says of a refusal in words that it is one (OpenAI's chat says `stop`).
    pub ends_refused: bool,
    /// Members of [`super::meaning::answer`] it has no place for.
    pub forgets: &'static [&'static str],
    /// Ends it has no word for, and the word it uses.
    pub finishes: &'static [(&'static str, &'static str)],
    /// Ends it calls failures.
    pub fails: &'static [&'static str],
    /// Of what it can carry, what its streams cannot when it comes late.
    pub not_late: &'static [&'static str],
    /// What needs not come back through it: signatures on texts, blocks that only another API knows.
    pub unproven: &'static [&'static str],
}

/// All of them.
pub fn clients() -> Vec<Client> {
    vec![
        Client {
            name: "chat",
            speak: Box::new(Chat),
            back: Some(chat("openai")),
            one: false,
            refuses: true,
            ends_refused: false,
            forgets: &["order", "cache_write_1h"],
            finishes: &[("StopSequence", "Stop")],
            fails: &[],
            not_late: &[],
            unproven: &["text", "block"],
        },
        Client {
            name: "responses",
            speak: Box::new(Responses),
            back: Some(Box::new(ResponsesCodec)),
            one: true,
            refuses: true,
            ends_refused: true,
            forgets: &[
                "audio_input",
                "audio_output",
                "span",
                "document",
                "cited_text",
                "stop_sequence",
                "media",
                "cache_write_1h",
            ],
            finishes: &[
                ("StopSequence", "Stop"),
                ("ContextWindow", "Length"),
                ("Pause", "Stop"),
                ("Refusal", "ContentFilter"),
            ],
            fails: &["MalformedCall", "Error"],
            not_late: &[],
            unproven: &[],
        },
        Client {
            name: "messages",
            speak: Box::new(Messages),
            back: Some(anthropic(Variant::Direct)),
            one: true,
            refuses: false,
            ends_refused: true,
            forgets: &["logprobs", "audio_input", "audio_output", "span", "document", "media"],
            finishes: &[("ContentFilter", "Refusal"), ("MalformedCall", "Stop")],
            fails: &[],
            not_late: &["cache_write_1h"],
            unproven: &["block"],
        },
        Client {
            name: "gemini",
            speak: Box::new(Gemini),
            back: Some(gemini(false)),
            one: false,
            refuses: false,
            ends_refused: false,
            forgets: &[
                "cache_write",
                "cache_write_1h",
                "document",
                "stop_sequence",
                "media_type",
                "transcript",
            ],
            finishes: &[
                ("Refusal", "ContentFilter"),
                ("ContextWindow", "Length"),
                ("StopSequence", "Stop"),
                ("Pause", "Stop"),
            ],
            fails: &[],
            not_late: &[],
            unproven: &["block"],
        },
        Client {
            name: "completions",
            speak: Box::new(Completions),
            back: None,
            one: false,
            refuses: false,
            ends_refused: false,
            forgets: &[],
            finishes: &[],
            fails: &[],
            not_late: &[],
            unproven: &[],
        },
    ]
}

/// A target's API.
pub struct Target {
    pub name: &'static str,
    pub codec: Box<dyn Codec>,
    /// What reads its requests back: the client dialect of the same API.
    pub back: Option<Box<dyn ClientDialect>>,
    /// Its shape, in `golden/shapes`.
    pub shape: &'static str,
}

/// Made once.
pub fn all_targets() -> &'static [Target] {
    static TARGETS: OnceLock<Vec<Target>> = OnceLock::new();
    TARGETS.get_or_init(targets)
}

/// All of them.
pub fn targets() -> Vec<Target> {
    let target = |name, codec, back: Option<Box<dyn ClientDialect>>, shape| Target {
        name,
        codec,
        back,
        shape,
    };
    vec![
        target("chat", chat("openai"), Some(Box::new(Chat)), "chat"),
        target(
            "responses",
            Box::new(ResponsesCodec),
            Some(Box::new(Responses)),
            "responses",
        ),
        target(
            "anthropic",
            anthropic(Variant::Direct),
            Some(Box::new(Messages)),
            "anthropic",
        ),
        target("gemini", gemini(false), Some(Box::new(Gemini)), "gemini"),
        target("bedrock", Box::new(ConverseCodec), None, "bedrock"),
        target("cohere", Box::new(CohereCodec), None, "cohere"),
        target("mistral", Box::new(MistralCodec), None, "mistral"),
        target("vertex-claude", anthropic(Variant::Vertex), None, "vertex-claude"),
        target("vertex-gemini", gemini(true), Some(Box::new(Gemini)), "gemini"),
        target("groq", chat("groq"), Some(Box::new(Chat)), "chat"),
        target("deepseek", chat("deepseek"), Some(Box::new(Chat)), "chat"),
        target("xai", chat("xai"), Some(Box::new(Chat)), "chat"),
        target("openrouter", chat("openrouter"), Some(Box::new(Chat)), "chat"),
        target("huggingface", chat("huggingface"), Some(Box::new(Chat)), "chat"),
    ]
}

pub fn chat(vendor: &str) -> Box<dyn Codec> {
    Box::new(ChatCodec {
        quirks: for_vendor(vendor),
    })
}

fn anthropic(variant: Variant) -> Box<dyn Codec> {
    Box::new(AnthropicCodec { variant })
}

fn gemini(vertex: bool) -> Box<dyn Codec> {
    Box::new(GeminiCodec { vertex })
}

/// What an exchange is in.
pub struct Spoken {
    pub codec: Box<dyn Codec>,
    /// Nothing: no client speaks it.
    pub client: Option<&'static str>,
    /// The name of the provider's API in the fidelity table.
    pub api: &'static str,
    /// It comes as an AWS event stream, although the API's own framing is another (Bedrock's `invoke`).
    pub framed: bool,
}

/// By folder and path. Nothing for operations that are no conversation, nor for APIs that are not spoken.
pub fn spoken(name: &str, path: Option<&str>) -> Option<Spoken> {
    let path = path.unwrap_or_default();
    let not_a_conversation = ["/completions", "/embeddings", "/embed", "/rerank", "/moderations"];
    let tokens_or_vectors = ["count_tokens", ":countTokens", "EmbedContents", ":embedContent"];
    if path.ends_with("/chat/completions") {
        return spoken_to(name);
    }
    if not_a_conversation
        .iter()
        .chain(&tokens_or_vectors)
        .any(|tail| path.ends_with(tail))
    {
        return None;
    }
    if path.ends_with("/responses") {
        return Some(Spoken::new(Box::new(ResponsesCodec), Some("responses"), "responses"));
    }
    if path.ends_with("awPredict") {
        return Some(Spoken::new(anthropic(Variant::Vertex), None, "anthropic"));
    }
    if name.contains("invoke-claude") {
        return Some(Spoken {
            framed: true,
            ..Spoken::new(anthropic(Variant::BedrockInvoke), None, "anthropic")
        });
    }
    spoken_to(name)
}

impl Spoken {
    fn new(codec: Box<dyn Codec>, client: Option<&'static str>, api: &'static str) -> Self {
        Self {
            codec,
            client,
            api,
            framed: false,
        }
    }
}

/// By folder alone.
pub fn spoken_to(name: &str) -> Option<Spoken> {
    let folder = name.split('/').next().unwrap();
    Some(match folder {
        "openai" | "openai-chat" | "openai-embeddings" => Spoken::new(chat("openai"), Some("chat"), "chat"),
        "azure-openai" => Spoken::new(chat("azure"), Some("chat"), "chat"),
        "deepseek" | "groq" | "huggingface" | "openrouter" | "xai" => Spoken::new(chat(folder), Some("chat"), "chat"),
        "mistral" => Spoken::new(Box::new(MistralCodec), Some("chat"), "mistral"),
        "responses" | "openai-responses" => Spoken::new(Box::new(ResponsesCodec), Some("responses"), "responses"),
        "anthropic" => Spoken::new(anthropic(Variant::Direct), Some("messages"), "anthropic"),
        "gemini" | "vertex" => Spoken::new(gemini(folder == "vertex"), Some("gemini"), "gemini"),
        "bedrock" => Spoken::new(Box::new(ConverseCodec), None, "bedrock"),
        "cohere" => Spoken::new(Box::new(CohereCodec), None, "cohere"),
        _ => return None,
    })
}
