//! The rows of vendors whose server differs from the plain one, in the order of `providers::compatible`.
//!
//! Sources: the page named at each row, read 2026-11 from stored copies, and the recorded exchanges. What a page does not
//! name is not sent.

use super::quirks::{Ask, Echo, MISTRAL, OPENAI, PLAIN, Prefill, Quirks, Structured};
use crate::wire::canonical::Effort::{self, High, Low, Max, Medium, Minimal, None as Off, XHigh};

const NONE_TO_HIGH: &[Effort] = &[Off, Low, Medium, High];

/// All rows.
pub static ROWS: &[Quirks] = &[
    OPENAI,
    // learn.microsoft.com/azure/ai-foundry/openai/reference: OpenAI's models; tiers and web search are not in the shape there.
    Quirks {
        name: "azure",
        service_tier: false,
        web_search: false,
        ..OPENAI
    },
    // inference-docs.cerebras.ai/api-reference/chat-completions: no penalties, one answer; reasoning in `reasoning`.
    Quirks {
        name: "cerebras",
        max_tokens: "max_completion_tokens",
        echo: Echo::Plain,
        strict: true,
        n: false,
        penalties: false,
        images: false,
        rerank: false,
        ..PLAIN
    },
    // alibabacloud.com/help/en/model-studio/use-qwen-by-calling-api: `n` and forced calls only without thinking.
    Quirks {
        name: "dashscope",
        ask: Ask::Enable,
        structured: Structured::Object,
        top_k: true,
        user: false,
        names: false,
        cache_control: true,
        audio: true,
        video: true,
        rerank: false,
        prefill: Prefill::Partial,
        ..PLAIN
    },
    // deepinfra.com/docs/openai_api
    Quirks {
        name: "deepinfra",
        ask: Ask::Effort(NONE_TO_HIGH),
        logprobs: false,
        top_k: true,
        rerank: false,
        ..PLAIN
    },
    // api-docs.deepseek.com/api/create-chat-completion, guides/thinking_mode: earlier `reasoning_content` is wanted beside calls.
    // Recordings deepseek/tool-stream send `seed`; it is taken.
    Quirks {
        name: "deepseek",
        ask: Ask::Type(&[High, Max]),
        structured: Structured::Object,
        parallel: false,
        n: false,
        stops: 16,
        user: false,
        images: false,
        rerank: false,
        ..PLAIN
    },
    // docs.fireworks.ai/api-reference/post-chatcompletions
    Quirks {
        name: "fireworks",
        ask: Ask::Effort(NONE_TO_HIGH),
        logit_bias: true,
        top_k: true,
        rerank: false,
        ..PLAIN
    },
    // console.groq.com/docs/api-reference: penalties, logprobs and logit_bias are documented as not supported; n must be 1.
    Quirks {
        name: "groq",
        max_tokens: "max_completion_tokens",
        ask: Ask::Effort(NONE_TO_HIGH),
        echo: Echo::Plain,
        strict: true,
        logprobs: false,
        n: false,
        penalties: false,
        service_tier: true,
        rerank: false,
        ..PLAIN
    },
    // huggingface.co/docs/inference-providers/tasks/chat-completion: a router; what all its providers take.
    Quirks {
        name: "huggingface",
        penalties: true,
        user: false,
        n: false,
        parallel: false,
        rerank: false,
        ..PLAIN
    },
    // github.com/ggml-org/llama.cpp, tools/server: takes sampling of its own beside OpenAI's.
    Quirks {
        name: "llama-cpp",
        ask: Ask::Template,
        logit_bias: true,
        top_k: true,
        audio: true,
        prefill: Prefill::Native,
        ..PLAIN
    },
    // lmstudio.ai/docs/developer/openai-compat/chat-completions: tool_choice is a word.
    Quirks {
        name: "lm-studio",
        named_choice: false,
        logit_bias: true,
        logprobs: false,
        n: false,
        parallel: false,
        top_k: true,
        rerank: false,
        ..PLAIN
    },
    // platform.minimax.io/docs/api-reference/text-openai-api: penalties and logit_bias are ignored, n must be 1.
    Quirks {
        name: "minimax",
        ask: Ask::None,
        echo: Echo::Details,
        structured: Structured::None,
        logprobs: false,
        n: false,
        penalties: false,
        seed: None,
        images: false,
        rerank: false,
        ..PLAIN
    },
    MISTRAL,
    // platform.kimi.ai/docs/api/chat: tool_choice required is not taken; earlier reasoning is wanted beside calls.
    Quirks {
        name: "moonshot",
        ask: Ask::Type(&[]),
        structured: Structured::Schema,
        named_choice: false,
        required: "auto",
        logprobs: false,
        parallel: false,
        seed: None,
        user: false,
        stops: 5,
        video: true,
        prompt_cache_key: true,
        rerank: false,
        prefill: Prefill::Partial,
        ..PLAIN
    },
    // docs.api.nvidia.com/nim/reference: model by model; the least of it.
    Quirks {
        name: "nvidia",
        ask: Ask::Template,
        n: false,
        parallel: false,
        user: false,
        logprobs: false,
        rerank: false,
        ..PLAIN
    },
    // docs.ollama.com/api/openai-compatibility: no tool_choice beyond auto, no logit_bias, user or n.
    Quirks {
        name: "ollama",
        ask: Ask::Effort(NONE_TO_HIGH),
        echo: Echo::Plain,
        named_choice: false,
        required: "auto",
        parallel: false,
        n: false,
        user: false,
        rerank: false,
        // Its maintainers, in ollama#6778: a last message of the assistant's is gone on with.
        prefill: Prefill::Native,
        ..PLAIN
    },
    // openrouter.ai/docs/api-reference/overview, features/prompt-caching, use-cases/reasoning-tokens: drops what a model lacks.
    Quirks {
        name: "openrouter",
        developer: true,
        ask: Ask::Object,
        echo: Echo::Details,
        strict: true,
        logit_bias: true,
        top_k: true,
        service_tier: true,
        cache_control: true,
        audio: true,
        files: true,
        file_urls: true,
        video: true,
        modalities: true,
        web_search: true,
        rerank: false,
        prefill: Prefill::Native,
        ..PLAIN
    },
    // docs.perplexity.ai/api-reference/chat-completions-post: no function calling; usage on streams comes unasked.
    Quirks {
        name: "perplexity",
        ask: Ask::Effort(&[Minimal, Low, Medium, High]),
        echo: Echo::None,
        structured: Structured::SchemaOnly,
        tools: false,
        parallel: false,
        stream_options: false,
        named_choice: false,
        logprobs: false,
        n: false,
        seed: None,
        stops: 0,
        top_k: true,
        user: false,
        web_search: true,
        rerank: false,
        ..PLAIN
    },
    // docs.sambanova.ai/docs/en/api-reference/endpoints/chat
    Quirks {
        name: "sambanova",
        logprobs: false,
        n: false,
        penalties: false,
        top_k: true,
        seed: None,
        user: false,
        rerank: false,
        ..PLAIN
    },
    // docs.sglang.ai/basic_usage/openai_api_completions
    Quirks {
        name: "sglang",
        ask: Ask::Template,
        logit_bias: true,
        top_k: true,
        video: true,
        audio: true,
        prefill: Prefill::Continue,
        ..PLAIN
    },
    // huggingface.co/docs/text-generation-inference/reference/api_reference, /v1/chat/completions
    Quirks {
        name: "tgi",
        ask: Ask::None,
        echo: Echo::None,
        parallel: false,
        n: false,
        user: false,
        rerank: false,
        ..PLAIN
    },
    // docs.together.ai/reference/chat-completions-1: logprobs is a number there.
    Quirks {
        name: "together",
        echo: Echo::Plain,
        logprobs: false,
        logit_bias: true,
        top_k: true,
        user: false,
        video: true,
        audio: true,
        ..PLAIN
    },
    // cloud.google.com/vertex-ai/generative-ai/docs/migrate/openai/overview: open models of Vertex.
    Quirks {
        name: "vertex",
        ask: Ask::Effort(NONE_TO_HIGH),
        logit_bias: false,
        parallel: false,
        user: false,
        rerank: false,
        google: true,
        ..PLAIN
    },
    // docs.vllm.ai/en/latest/serving/openai_compatible_server: OpenAI's members and many more.
    Quirks {
        name: "vllm",
        developer: true,
        ask: Ask::Template,
        echo: Echo::Plain,
        logit_bias: true,
        top_k: true,
        stops: 64,
        audio: true,
        video: true,
        embed_base64: true,
        prefill: Prefill::Continue,
        ..PLAIN
    },
    // docs.x.ai/docs/api-reference#chat-completions: penalties and stop are refused by the reasoning models only.
    Quirks {
        name: "xai",
        ask: Ask::Effort(&[Off, Low, Medium, High]),
        strict: true,
        prompt_cache_key: false,
        rerank: false,
        ..PLAIN
    },
    // docs.z.ai/api-reference/llm/chat-completion: tool_choice is auto only.
    Quirks {
        name: "zai",
        ask: Ask::Type(&[Off, Minimal, Low, Medium, High, XHigh, Max]),
        structured: Structured::Object,
        parallel: false,
        named_choice: false,
        required: "auto",
        logprobs: false,
        n: false,
        penalties: false,
        seed: None,
        stops: 1,
        user: false,
        video: true,
        files: false,
        rerank: false,
        ..PLAIN
    },
];

/// The row of this name; a plain one for servers without.
pub fn for_vendor(name: &str) -> &'static Quirks {
    ROWS.iter().find(|row| row.name == name).unwrap_or(&PLAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vendor_of_the_table_has_a_row() {
        let table = include_str!("../compatible.rs");
        let names = table
            .split("vendor(\n")
            .skip(1)
            .filter_map(|rest| rest.split('"').nth(1));
        let short = table
            .split("vendor(\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next());
        let mut count = 0;
        for name in names
            .chain(short)
            .filter(|name| !name.contains(' ') && !name.is_empty())
        {
            assert_eq!(for_vendor(name).name, name);
            count += 1;
        }
        assert!(count >= 20, "{count}");
        for name in ["openai", "azure"] {
            assert_eq!(for_vendor(name).name, name);
        }
        assert_eq!(for_vendor("anything").name, "compatible");
    }
}
