//! Rows of vendors with an API of their own: Anthropic, Google, Cohere, Mistral.

use super::super::facts::PER_DAY;
use super::super::row::{
    ACCOUNT, BUSY, CLIENT, FILTERED, FORBIDDEN, KEY, LIMIT, MISSING, MONEY, OVERLOADED, SERVER, Section, TOO_LONG,
    USED_UP,
};

/// Anthropic.
pub static ANTHROPIC: Section = Section {
    title: "Anthropic, and Claude on Vertex AI",
    source: "docs.anthropic.com/en/api/errors, docs.anthropic.com/en/api/rate-limits; texts of 400 from public issue reports",
    rows: &[
        TOO_LONG.code(&["request_too_large"]),
        TOO_LONG.at(&[400, 413]).says(&[
            "prompt is too long: # tokens > # maximum*",
            "prompt is too long",
            "input length and `max_tokens` exceed context limit*",
            "input is too long for requested model*",
        ]),
        // Of long contexts only: the key and the model go on serving shorter ones.
        TOO_LONG
            .at(&[429])
            .says(&["Extra usage is required for long context requests*"]),
        FILTERED
            .at(&[400])
            .says(&["Output blocked by content filtering policy*"]),
        // A 400 that is not the client's.
        MONEY.at(&[400, 403]).says(&[
            "Your credit balance is too low to access the *",
            "You have reached your specified API usage limits*",
        ]),
        MONEY.code(&["billing_error"]),
        ACCOUNT
            .at(&[400, 401, 403])
            .says(&["This organization has been disabled*"]),
        KEY.code(&["authentication_error"]),
        MISSING.at(&[404]).code(&["not_found_error"]).says(&["model: *"]),
        OVERLOADED.code(&["overloaded_error"]),
        LIMIT.at(&[429]).code(&["rate_limit_error"]),
        SERVER.at(&[500]).code(&["api_error"]),
        SERVER.at(&[504]).code(&["timeout_error"]),
    ],
};

/// Google.
pub static GOOGLE: Section = Section {
    title: "Google: Gemini API and Vertex AI",
    source: "ai.google.dev/gemini-api/docs/troubleshooting, cloud.google.com/vertex-ai/generative-ai/docs/model-reference/api-errors, \
             google.api.ErrorReason",
    rows: &[
        // A 400 that is not the client's.
        KEY.code(&[
            "API_KEY_INVALID",
            "API_KEY_SERVICE_BLOCKED",
            "API_KEY_HTTP_REFERRER_BLOCKED",
            "API_KEY_IP_ADDRESS_BLOCKED",
            "API_KEY_ANDROID_APP_BLOCKED",
            "API_KEY_IOS_APP_BLOCKED",
            "ACCESS_TOKEN_EXPIRED",
            "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            "ACCESS_TOKEN_TYPE_UNSUPPORTED",
            "CREDENTIALS_MISSING",
        ]),
        KEY.at(&[400])
            .says(&["API key not valid*", "API key expired*", "API Key not found*"]),
        MONEY.code(&["BILLING_DISABLED"]),
        ACCOUNT.code(&[
            "SERVICE_DISABLED",
            "CONSUMER_SUSPENDED",
            "CONSUMER_INVALID",
            "ACCOUNT_STATE_INVALID",
            "USER_PROJECT_DENIED",
            "LOCATION_POLICY_VIOLATED",
        ]),
        ACCOUNT.at(&[400]).code(&["FAILED_PRECONDITION"]).says(&[
            "User location is not supported for the API use*",
            "Gemini API free tier is not available in your country*",
        ]),
        TOO_LONG.at(&[400]).says(&[
            "The input token count (#) exceeds the maximum number of tokens allowed (#)*",
            "The input token count exceeds the maximum number of tokens allowed (#)*",
            "Unable to submit request because the input token count is # but model only supports up to #*",
            "Request payload size exceeds the limit*",
        ]),
        // What a client names in its request (uploads, caches) and may not see or has let expire.
        CLIENT.at(&[403]).says(&[
            "CachedContent not found*",
            "You do not have permission to access the File *",
            "The File * is not in an ACTIVE state*",
        ]),
        FORBIDDEN.at(&[403]).code(&["IAM_PERMISSION_DENIED"]),
        FORBIDDEN.at(&[403]).says(&[
            "Permission '*' denied on resource '*'*",
            "Permission denied on resource *",
        ]),
        KEY.at(&[403]).says(&[
            "Your API key was reported as leaked*",
            "Method doesn't allow unregistered callers*",
        ]),
        ACCOUNT.at(&[403]).says(&["Your project has been denied access*"]),
        // Nothing above: perhaps a file of somebody else's that the request names (`gs://…`). No reason to give up the key.
        SERVER.at(&[403]).code(&["PERMISSION_DENIED"]),
        MISSING.at(&[404]).code(&["NOT_FOUND"]).says(&[
            "models/* is not found for API version *",
            "Publisher Model `*` not found*",
            "Publisher Model `*` was not found*",
            "This model models/* is no longer available*",
        ]),
        USED_UP.at(&[429]).code(&[PER_DAY]),
        LIMIT.at(&[429]).code(&["RESOURCE_EXHAUSTED"]),
        OVERLOADED.at(&[503]).code(&["UNAVAILABLE"]),
        SERVER.at(&[500]).code(&["INTERNAL"]),
        SERVER.at(&[504]).code(&["DEADLINE_EXCEEDED"]),
        SERVER.at(&[499]).code(&["CANCELLED"]),
    ],
};

/// Cohere.
pub static COHERE: Section = Section {
    title: "Cohere",
    source: "docs.cohere.com/reference/errors and the API reference of v2 (stored copies read 2026-11-22); 404 recorded",
    rows: &[
        TOO_LONG.at(&[400, 422]).says(&[
            "too many tokens: total number of tokens in the prompt cannot exceed #*",
            "too many tokens: size limit exceeded by # tokens*",
        ]),
        // "Invalid token" is a word of the input or output on a deny list, not the key.
        FILTERED.at(&[498]),
        KEY.at(&[400, 401, 403])
            .says(&["invalid api token*", "no api key supplied*"]),
        MISSING
            .at(&[404])
            .says(&["model '*' not found*", "model '*' was removed on *"]),
        USED_UP
            .at(&[429])
            .says(&["You are using a Trial key, which is limited to # API calls / month*"]),
        LIMIT
            .at(&[429])
            .says(&["You are using a Trial key, which is limited to # API calls / minute*"]),
        SERVER.at(&[499]),
    ],
};

/// Mistral.
pub static MISTRAL: Section = Section {
    title: "Mistral",
    source: "docs.mistral.ai/api, docs.mistral.ai/resources/known-limitations; texts from public issue reports",
    rows: &[
        TOO_LONG.at(&[400, 413, 422]).code(&["3051"]),
        TOO_LONG.at(&[400, 422]).says(&[
            "Prompt contains # tokens, too large for model with # maximum context length*",
            "Prompt contains # tokens and # draft tokens, too large for model with # maximum context length*",
            "Prompt contains # tokens *too large for model with # maximum context length*",
        ]),
        MISSING.at(&[400, 404]).code(&["invalid_model", "1500"]),
        MISSING.at(&[400, 404]).says(&["Invalid model: *"]),
        BUSY.at(&[429])
            .code(&["service_tier_capacity_exceeded", "capacity_exceeded", "3505"]),
        BUSY.at(&[429])
            .says(&["Service tier capacity exceeded for this model*"]),
        LIMIT.at(&[429]).code(&["rate_limited", "1300"]),
        OVERLOADED
            .at(&[500, 502, 503])
            .says(&["Service unavailable*", "Overflow*"]),
    ],
};
