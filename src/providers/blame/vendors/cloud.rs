//! Rows of the clouds that serve several makers' models: Azure OpenAI and Amazon Bedrock.

use super::super::row::{
    ACCOUNT, BUSY, FILTERED, FORBIDDEN, KEY, LIMIT, MISSING, OVERLOADED, SERVER, Section, TOO_LONG, USED_UP,
};

/// Azure OpenAI. Its other codes are OpenAI's.
pub static AZURE: Section = Section {
    title: "Azure OpenAI",
    source: "learn.microsoft.com/azure/ai-services/openai/reference, …/concepts/content-filter, …/quotas-limits; 401 recorded",
    rows: &[
        FILTERED.code(&["ResponsibleAIPolicyViolation", "content_filter"]),
        MISSING
            .at(&[404])
            .code(&["DeploymentNotFound", "ResourceNotFound", "unknown_model"]),
        // The address or the API version are the configuration's, so is what they do not lead to.
        MISSING.at(&[404]).code(&["404"]).says(&["Resource not found"]),
        FORBIDDEN.at(&[401, 403]).code(&["PermissionDenied"]),
        KEY.at(&[401]).code(&["401", "Unauthorized", "invalid_api_key"]),
        // Virtual network or firewall of the resource.
        ACCOUNT.at(&[403]).code(&["403", "AccessDenied", "Forbidden"]),
        SERVER.at(&[408]).code(&["Timeout"]),
        BUSY.at(&[429]).code(&["NoCapacity", "no_capacity", "server_busy"]),
        LIMIT.at(&[429]).code(&["429", "RateLimitReached", "too_many_requests"]),
    ],
};

/// Amazon Bedrock.
pub static BEDROCK: Section = Section {
    title: "Amazon Bedrock",
    source: "docs.aws.amazon.com/bedrock/latest/APIReference (Converse, InvokeModel, CommonErrors), \
             …/userguide/troubleshooting-api-error-codes; 400 recorded; texts of 400 from public issue reports",
    rows: &[
        TOO_LONG.at(&[400]).says(&[
            "Input is too long for requested model*",
            "The model returned the following errors: Input is too long for requested model*",
            "prompt is too long: # tokens > # maximum*",
            "The model returned the following errors: prompt is too long: # tokens > # maximum*",
            "The model returned the following errors: input length and `max_tokens` exceed context limit*",
            "input length and `max_tokens` exceed context limit*",
            "400 Bad Request: Too many input tokens. Max input tokens: #*",
            "Too many input tokens. Max input tokens: #*",
            "Input Tokens Exceeded: *",
            "This model's maximum context length is # tokens*",
            "The model returned the following errors: This model's maximum context length is # tokens*",
        ]),
        MISSING.at(&[400]).code(&["ValidationException"]).says(&[
            "The provided model identifier is invalid*",
            "The provided model doesn't support on-demand throughput*",
            "Invocation of model ID * with on-demand throughput isn*t supported*",
        ]),
        FORBIDDEN
            .at(&[400])
            .code(&["ValidationException"])
            .says(&["Operation not allowed"]),
        // The model is in the path that the gateway wrote; a guardrail that does not exist is a ValidationException.
        FORBIDDEN.code(&["ResourceNotFoundException"]).says(&[
            "Model use case details have not been submitted for this account*",
            "Access denied. This Model is marked by provider as Legacy*",
        ]),
        MISSING.code(&["ResourceNotFoundException"]),
        KEY.at(&[400, 401, 403]).code(&["AccessDeniedException"]).says(&[
            "Authentication failed*",
            "API Key has expired*",
            "Bearer Token has expired*",
        ]),
        FORBIDDEN.code(&["AccessDeniedException", "NotAuthorized", "AccessDenied"]),
        KEY.code(&[
            "UnrecognizedClientException",
            "InvalidClientTokenId",
            "ExpiredTokenException",
            "ExpiredToken",
            "RequestExpired",
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
            "IncompleteSignatureException",
            "IncompleteSignature",
            "MissingAuthenticationTokenException",
            "MissingAuthenticationToken",
        ]),
        ACCOUNT.code(&["OptInRequired", "SubscriptionRequiredException"]),
        USED_UP
            .code(&["ThrottlingException", "TooManyRequestsException"])
            .says(&["Too many tokens per day*"]),
        LIMIT.code(&["ThrottlingException", "TooManyRequestsException", "Throttling"]),
        LIMIT.code(&["ServiceQuotaExceededException"]).cool(60),
        // A model that is being loaded: soon, and no fault.
        BUSY.code(&["ModelNotReadyException"]).cool(5),
        OVERLOADED.code(&["ServiceUnavailableException", "ServiceUnavailable"]),
        SERVER.code(&[
            "ModelTimeoutException",
            "ModelErrorException",
            "ModelStreamErrorException",
            "InternalServerException",
            "InternalFailure",
        ]),
    ],
};
