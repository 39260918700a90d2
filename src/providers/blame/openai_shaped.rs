//! Rows of OpenAI's API, and the words of the models' servers that many vendors run behind it.
//!
//! Asked for OpenAI, Azure, every compatible vendor and every server at a configured address.

use super::row::{ACCOUNT, BUSY, CLIENT, FILTERED, FORBIDDEN, KEY, MISSING, MONEY, OVERLOADED, Section, TOO_LONG};

/// OpenAI's own codes.
pub static OPENAI: Section = Section {
    title: "OpenAI, and all that speak its API",
    source: "platform.openai.com/docs/guides/error-codes, platform.openai.com/docs/guides/rate-limits",
    rows: &[
        TOO_LONG.code(&["context_length_exceeded"]),
        FILTERED.code(&[
            "content_filter",
            "content_policy_violation",
            "moderation_blocked",
            "invalid_prompt",
            "image_content_policy_violation",
        ]),
        MONEY.code(&[
            "insufficient_quota",
            "billing_hard_limit_reached",
            "billing_not_active",
            "billing_error",
        ]),
        ACCOUNT.code(&[
            "account_deactivated",
            "access_terminated",
            "unsupported_country_region_territory",
        ]),
        KEY.code(&[
            "invalid_api_key",
            "incorrect_api_key",
            "ip_not_authorized",
            "mismatched_organization",
        ]),
        KEY.at(&[400]).says(&["Incorrect API key provided*"]),
        // A project without access to the model gets this code with 403, an unknown one with 404, at Responses with 400.
        MISSING
            .at(&[400, 404])
            .code(&["model_not_found", "model_not_available", "model_not_supported"]),
        FORBIDDEN
            .at(&[401, 403])
            .code(&["model_not_found", "model_not_available", "model_not_supported"]),
        MISSING.at(&[404]).says(&[
            "The model `*` does not exist*",
            "The model '*' does not exist*",
            "The model `*` has been deprecated*",
        ]),
        // Larger than the whole limit of a minute: waiting does not help, and others need not wait for it.
        TOO_LONG.at(&[429]).says(&["Request too large for *"]),
        OVERLOADED
            .at(&[500, 503])
            .code(&["slow_down", "engine_overloaded", "server_is_overloaded"]),
        BUSY.at(&[429]).says(&[
            "The engine is currently overloaded*",
            "That model is currently overloaded*",
        ]),
    ],
};

/// What servers of models say of an input that is too long; many vendors pass it on as it is.
pub static SERVERS: Section = Section {
    title: "Servers of models",
    source: "vLLM, SGLang, TGI, llama.cpp, Ollama, LM Studio, and vendors that run them: github.com/vllm-project/vllm, sgl-project/sglang, huggingface/text-generation-inference, ggml-org/llama.cpp, \
             ollama/ollama; texts from their sources and issues",
    rows: &[
        TOO_LONG.code(&["exceed_context_size_error", "model_context_window_exceeded"]),
        TOO_LONG.at(&[400, 413, 422, 500]).says(&[
            // OpenAI's older models, vLLM, DeepSeek, Together …; OpenRouter
            "This model's maximum context length is # tokens*",
            "This endpoint's maximum context length is # tokens*",
            // vLLM
            "'max_tokens' or 'max_completion_tokens' is too large: #. This model's maximum context length is # tokens*",
            "The decoder prompt (length #) is longer than the maximum model length of #*",
            "The prompt (total length #) is too long to fit into the model (context length #)*",
            "You passed # input tokens*However, the model's context length is only # tokens*",
            "You passed # input characters*However, the model's context length is only # tokens*",
            // SGLang
            "The input (# tokens) is longer than the model's context length (# tokens)*",
            "Requested token count exceeds the model's maximum context length of # tokens*",
            // TGI, Together
            "Input validation error: `inputs` must have less than # tokens. Given: #*",
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= #*",
            // llama.cpp
            "the request exceeds the available context size*",
            "request (# tokens) exceeds the available context size (# tokens)*",
            // Ollama, LM Studio
            "the input length exceeds the context length*",
            "prompt too long; exceeded max context length*",
            "prompt too long; exceeded context length*",
            "Trying to keep the first # tokens when context the overflows*",
            // OpenAI, Cerebras, Groq
            "Please reduce the length of the messages or completion*",
            "Your input exceeds the context window of this model*",
            "Input tokens exceed the configured limit of # tokens*",
        ]),
        MISSING
            .at(&[404])
            .code(&["NotFoundError"])
            .says(&["The model `*` does not exist*"]),
        MISSING
            .at(&[404])
            .says(&["model \"*\" not found*", "model '*' not found*", "model `*` not found*"]),
        OVERLOADED
            .at(&[500, 503])
            .says(&["Loading model", "server busy, please try again*"]),
        BUSY.at(&[429]).code(&["overloaded", "Overloaded"]),
        // Generation broke off in TGI; the request itself passed its validation.
        OVERLOADED.at(&[424]).code(&["generation", "incomplete_generation"]),
        CLIENT.at(&[400, 422]).code(&["validation"]),
    ],
};
