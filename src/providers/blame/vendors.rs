//! Which rows are asked for which vendor. A vendor that is not named speaks OpenAI's API and has nothing of its own to add.

mod cloud;
mod compatible;
mod first_party;

use super::openai_shaped::{OPENAI, SERVERS};
use super::row::Section;

/// For a vendor without rows of its own.
pub static OPENAI_SHAPED: &[&Section] = &[&OPENAI, &SERVERS];

/// Vendors (the name of their `Provider`), and their sections in the order in which they are asked.
pub static ALL: &[(&[&str], &[&Section])] = &[
    (&["openai"], OPENAI_SHAPED),
    (&["azure.ai.openai"], &[&cloud::AZURE, &OPENAI, &SERVERS]),
    (&["anthropic"], &[&first_party::ANTHROPIC]),
    (&["gcp.gemini"], &[&first_party::GOOGLE]),
    // Claude on Vertex AI answers in Anthropic's words or in Google's, depending on who refuses.
    (
        &["gcp.vertex_ai"],
        &[&first_party::GOOGLE, &first_party::ANTHROPIC, &SERVERS],
    ),
    (&["aws.bedrock"], &[&cloud::BEDROCK]),
    (&["cohere"], &[&first_party::COHERE]),
    (&["mistral_ai"], &[&first_party::MISTRAL]),
    (&["openrouter"], &[&compatible::OPENROUTER, &OPENAI, &SERVERS]),
    (&["groq"], &[&compatible::GROQ, &OPENAI, &SERVERS]),
    (&["deepseek"], &[&compatible::DEEPSEEK, &OPENAI, &SERVERS]),
    (&["xai"], &[&compatible::XAI, &OPENAI, &SERVERS]),
    (&["together"], &[&compatible::TOGETHER, &OPENAI, &SERVERS]),
    (&["fireworks"], &[&compatible::FIREWORKS, &OPENAI, &SERVERS]),
    (&["perplexity"], &[&compatible::PERPLEXITY, &OPENAI, &SERVERS]),
    (&["cerebras"], &[&compatible::CEREBRAS, &OPENAI, &SERVERS]),
    (&["sambanova"], &[&compatible::SAMBANOVA, &OPENAI, &SERVERS]),
    (&["moonshot"], &[&compatible::MOONSHOT, &OPENAI, &SERVERS]),
    (&["zai"], &[&compatible::ZAI, &OPENAI, &SERVERS]),
    (&["dashscope"], &[&compatible::DASHSCOPE, &OPENAI, &SERVERS]),
    (&["minimax"], &[&compatible::MINIMAX, &OPENAI, &SERVERS]),
    (
        &["huggingface", "deepinfra", "nvidia"],
        &[&compatible::HOSTS, &OPENAI, &SERVERS],
    ),
    (
        &["llama-cpp", "lm-studio", "ollama", "sglang", "tgi", "vllm"],
        &[&SERVERS, &OPENAI],
    ),
];
