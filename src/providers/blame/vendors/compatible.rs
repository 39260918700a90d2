//! Rows of vendors that speak OpenAI's API, where they differ from it.

use super::super::facts::{MODERATED, NOT_JSON};
use super::super::row::{
    ACCOUNT, BUSY, CLIENT, FILTERED, FORBIDDEN, KEY, LIMIT, MISSING, MONEY, OVERLOADED, SERVER, Section, TOO_LONG,
    UNPAID, USED_UP,
};

/// OpenRouter. `metadata.raw`, the body of the vendor behind it, is read like one of its own, but that vendor's key and money
/// are OpenRouter's concern.
pub static OPENROUTER: Section = Section {
    title: "OpenRouter",
    source: "openrouter.ai/docs/api-reference/errors, openrouter.ai/docs/api-reference/limits; 429 recorded",
    rows: &[
        FILTERED.at(&[400, 403]).code(&[
            MODERATED,
            "content_filter",
            "content_policy_violation",
            "invalid_prompt",
        ]),
        FILTERED.at(&[400, 403]).says(&["Content violates usage guidelines*"]),
        TOO_LONG
            .at(&[400, 413])
            .code(&["context_length_exceeded", "request_too_large"]),
        TOO_LONG.at(&[400, 413]).says(&[
            "This endpoint's maximum context length is # tokens*",
            "This model's maximum context length is # tokens*",
            "This model's maximum prompt length is # but the request contains # tokens*",
            "prompt is too long: # tokens > # maximum*",
            "input length and `max_tokens` exceed context limit*",
            "The input token count (#) exceeds the maximum number of tokens allowed (#)*",
            "The input token count exceeds the maximum number of tokens allowed (#)*",
            "Prompt contains # tokens *too large for model with # maximum context length*",
        ]),
        SERVER.at(&[401, 402, 403, 404]).says(&["Provider returned error*"]),
        LIMIT.at(&[429]).says(&["Provider returned error*"]),
        CLIENT.at(&[400, 413, 422]).says(&["Provider returned error*"]),
        // Depends on what the request asks for, so one client must not close the account for all.
        UNPAID
            .at(&[402])
            .says(&["This request requires more credits, or fewer max_tokens*"]),
        MONEY.at(&[403]).says(&["Key limit exceeded*"]),
        // A request can name models and constraints of its own (`models`, `provider`), so these are not told apart.
        CLIENT
            .at(&[400, 404])
            .says(&["* is not a valid model ID", "No endpoints *"]),
    ],
};

/// Groq.
pub static GROQ: Section = Section {
    title: "Groq",
    source: "console.groq.com/docs/errors, console.groq.com/docs/flex-processing (stored copies read 2026-11-22), \
             console.groq.com/docs/rate-limits; other codes from public issue reports",
    rows: &[
        MISSING.code(&["model_decommissioned"]),
        FORBIDDEN.code(&[
            "model_terms_required",
            "model_permission_blocked_org",
            "model_permission_blocked_project",
        ]),
        ACCOUNT.code(&["organization_restricted"]),
        MONEY.code(&["blocked_api_access"]),
        // 413 with the code of a rate limit: larger than the whole limit of a minute.
        TOO_LONG.at(&[413]),
        // Of the flex tier, which a request asks for itself: others are not to pay for it.
        CLIENT.at(&[498]),
    ],
};

/// DeepSeek.
pub static DEEPSEEK: Section = Section {
    title: "DeepSeek",
    source: "api-docs.deepseek.com/quick_start/error_codes (stored copy read 2026-11-22)",
    rows: &[
        MONEY.at(&[402]),
        MISSING.at(&[400]).says(&["Model Not Exist"]),
        FILTERED.at(&[400]).says(&["Content Exists Risk"]),
    ],
};

/// xAI: `{"code":"<sentence>","error":"<message>"}`.
pub static XAI: Section = Section {
    title: "xAI",
    source: "docs.x.ai/docs/key-information/debugging; texts from public issue reports",
    rows: &[
        TOO_LONG
            .at(&[400, 413])
            .says(&["This model's maximum prompt length is # but the request contains # tokens*"]),
        FILTERED.at(&[400, 403]).says(&["Content violates usage guidelines*"]),
        // A 400 that is not the client's.
        KEY.at(&[400]).says(&["Incorrect API key provided*"]),
        MONEY.at(&[403, 429]).says(&[
            "Your newly created team doesn't have any credits yet*",
            "Your team * has either used all available credits*",
        ]),
        MISSING
            .at(&[404])
            .says(&["The model * does not exist or your team * does not have access to it*"]),
    ],
};

/// Together.
pub static TOGETHER: Section = Section {
    title: "Together",
    source: "docs.together.ai/docs/error-codes (stored copy read 2026-11-22)",
    rows: &[
        SERVER.at(&[403]).code(&[NOT_JSON]),
        // Of all statuses it uses 403 for an input that is too long; a refused key is 401.
        TOO_LONG.at(&[403]),
        MISSING
            .at(&[400, 404])
            .says(&["Unable to access model *", "Unable to access non-serverless model *"]),
    ],
};

/// Fireworks.
pub static FIREWORKS: Section = Section {
    title: "Fireworks",
    source: "docs.fireworks.ai/guides/inference-error-codes (stored copy read 2026-11-22); texts from public issue reports",
    rows: &[
        TOO_LONG
            .at(&[400])
            .says(&["The prompt is too long: #, model maximum context length: #*"]),
        MISSING
            .at(&[404])
            .says(&["Model not found, inaccessible, and/or not deployed*"]),
        MONEY.at(&[412]).says(&["Account * is suspended*"]),
        // Also an adapter that could not be loaded.
        MISSING.at(&[412]),
        OVERLOADED.code(&["DEPLOYMENT_SCALING_UP"]),
    ],
};

/// Perplexity.
pub static PERPLEXITY: Section = Section {
    title: "Perplexity",
    source: "docs.perplexity.ai/guides/api-error-codes",
    rows: &[
        MISSING.at(&[400]).code(&["invalid_model"]),
        MISSING
            .at(&[400])
            .says(&["Invalid model '*'. Permitted models can be found*"]),
    ],
};

/// Cerebras.
pub static CEREBRAS: Section = Section {
    title: "Cerebras",
    source: "inference-docs.cerebras.ai/support/error, inference-docs.cerebras.ai/support/rate-limits",
    rows: &[
        BUSY.at(&[429]).code(&["queue_exceeded"]),
        LIMIT
            .at(&[429])
            .code(&["request_quota_exceeded", "token_quota_exceeded"]),
        KEY.code(&["wrong_api_key"]),
    ],
};

/// SambaNova.
pub static SAMBANOVA: Section = Section {
    title: "SambaNova",
    source: "docs.sambanova.ai (API error codes, rate limits); texts from public issue reports",
    rows: &[
        TOO_LONG.at(&[400]).says(&[
            "Requested generation length # is not possible! The provided prompt is # tokens long*",
            "The maximum context length of * is #*",
        ]),
        MISSING.at(&[400, 404]).says(&["Model not found*"]),
    ],
};

/// Moonshot.
pub static MOONSHOT: Section = Section {
    title: "Moonshot",
    source: "platform.moonshot.ai/docs/api/chat (error types)",
    rows: &[
        TOO_LONG.at(&[400]).says(&[
            "Invalid request: Your request exceeded model token limit: #*",
            "Your request exceeded model token limit: #*",
        ]),
        FILTERED.at(&[400]).code(&["content_filter"]),
        // A 429 that waiting does not mend.
        MONEY.code(&["exceeded_current_quota_error"]),
        KEY.code(&["invalid_authentication_error", "incorrect_api_key_error"]),
        MISSING
            .at(&[404])
            .code(&["resource_not_found_error"])
            .says(&["Not found the model *"]),
        FORBIDDEN.at(&[403]).code(&["permission_denied_error"]),
        BUSY.at(&[429]).code(&["engine_overloaded_error"]),
        LIMIT.at(&[429]).code(&["rate_limit_reached_error"]),
    ],
};

/// Z.ai: numbers of its own beside the status.
pub static ZAI: Section = Section {
    title: "Z.ai",
    source: "docs.z.ai/api-reference/api-code (stored copy read 2026-11-22)",
    rows: &[
        KEY.code(&["1000", "1001", "1002", "1003", "1004"]),
        ACCOUNT.code(&["1110", "1111", "1112", "1121"]),
        MONEY.code(&["1113", "1309"]),
        MISSING.code(&["1211"]),
        FORBIDDEN.code(&["1220", "1311"]),
        TOO_LONG.code(&["1261"]),
        FILTERED.code(&["1300", "1301"]),
        USED_UP.code(&["1304", "1308", "1310", "1313"]),
        BUSY.code(&["1305", "1312"]),
        LIMIT.code(&["1302", "1303"]),
        SERVER.code(&["1120", "1230", "1234"]),
    ],
};

/// Alibaba's Model Studio.
pub static DASHSCOPE: Section = Section {
    title: "DashScope",
    source: "alibabacloud.com/help/en/model-studio/error-code, …/rate-limit (stored copies read 2026-11-22)",
    rows: &[
        TOO_LONG.at(&[400]).says(&[
            "<400> InternalError.Algo.InvalidParameter: Range of input length should be [#, #]*",
            "InternalError.Algo.InvalidParameter: Range of input length should be [#, #]*",
            "Range of input length should be [#, #]*",
        ]),
        FILTERED.code(&["data_inspection_failed", "DataInspectionFailed"]),
        // A 400 that is not the client's.
        MONEY.code(&["Arrearage"]),
        KEY.code(&["InvalidApiKey"]),
        UNPAID.code(&["AllocationQuota.FreeTierOnly"]),
        FORBIDDEN.code(&["AccessDenied.Unpurchased", "Model.AccessDenied", "AccessDenied"]),
        MISSING.code(&["ModelNotFound"]),
        // The word OpenAI has for an empty account is here a limit by the minute.
        LIMIT.at(&[429]).code(&[
            "insufficient_quota",
            "limit_requests",
            "limit_burst_rate",
            "Throttling",
            "Throttling.RateQuota",
            "Throttling.BurstRate",
            "Throttling.AllocationQuota",
        ]),
    ],
};

/// MiniMax: numbers of its own in `base_resp`, also in a 200.
pub static MINIMAX: Section = Section {
    title: "MiniMax",
    source: "platform.minimax.io/docs/api-reference/errorcode",
    rows: &[
        TOO_LONG.says(&["invalid params, context window exceeds limit*"]),
        MONEY.code(&["1008", "insufficient_balance_error"]),
        KEY.code(&["1004", "2049", "authorized_error"]),
        FILTERED.code(&["1026", "1027"]),
        USED_UP.code(&["2056"]),
        LIMIT.code(&["1002", "1039", "1041", "2045"]),
        SERVER.code(&["1000", "1001", "1013", "1024", "1033"]),
    ],
};

/// Hugging Face's router, DeepInfra, NVIDIA.
pub static HOSTS: Section = Section {
    title: "Hugging Face, DeepInfra, NVIDIA",
    source: "huggingface.co/docs/inference-providers, docs.api.nvidia.com, deepinfra.com/docs; texts from public issue reports",
    rows: &[
        MISSING.at(&[400, 404]).says(&[
            "The requested model '*' is not supported by *",
            "Function '*': Not found for account '*'*",
        ]),
        BUSY.at(&[429]).says(&["Model busy, retry later*"]),
        OVERLOADED.at(&[503]).says(&["Model * is currently loading*"]),
    ],
};
