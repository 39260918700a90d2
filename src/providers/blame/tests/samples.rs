//! Error bodies as the vendors write them, and whose fault they are: from recorded exchanges' kin, vendors' pages and public
//! issue reports, ids and figures made up.

use super::{Blame, Reason};

/// Vendor, status, body as the vendor writes it, blame, reason.
pub type Sample = (&'static str, u16, &'static str, Blame, Option<Reason>);

#[rustfmt::skip]
pub const SAMPLES: &[Sample] = &[
    ("openai", 400, r#"{"error":{"message":"This model's maximum context length is 128000 tokens. However, your messages resulted in 204308 tokens. Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#, Blame::Client, Some(Reason::ContextLength)),
    ("openai", 400, r#"{"error":{"message":"This model's maximum context length is 8192 tokens, however you requested 9000 tokens (9000 in your prompt; 0 for the completion). Please reduce your prompt; or completion length.","type":"invalid_request_error","param":null,"code":null}}"#, Blame::Client, Some(Reason::ContextLength)),
    ("openai", 429, r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#, Blame::Credential, Some(Reason::Quota)),
    ("openai", 429, r#"{"error":{"message":"Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Requested 40000.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#, Blame::Client, Some(Reason::ContextLength)),
    ("openai", 429, r#"{"error":{"message":"Rate limit reached for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000. Please try again in 2s.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#, Blame::RateLimit, None),
    ("openai", 403, r#"{"error":{"code":"unsupported_country_region_territory","message":"Country, region, or territory not supported","param":null,"type":"request_forbidden"}}"#, Blame::Credential, Some(Reason::Account)),
    ("openai", 403, r#"{"error":{"message":"Project `proj_1` does not have access to model `gpt-5`","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#, Blame::Target, Some(Reason::Permission)),
    ("openai", 404, r#"{"error":{"message":"The model `gpt-9` does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#, Blame::Target, Some(Reason::ModelMissing)),
    ("openai", 404, r#"{"error":{"message":"No such File object: file-1","type":"invalid_request_error","param":"id","code":null}}"#, Blame::Client, None),
    ("openai", 403, "<html><title>Attention Required! | Cloudflare</title></html>", Blame::Server, None),
    ("openai", 400, r#"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the messages, 1000 in the completion). Please reduce the length of the messages or completion.","type":"BadRequestError","param":null,"code":400}"#, Blame::Client, Some(Reason::ContextLength)),
    ("azure.ai.openai", 400, r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{}}}}"#, Blame::Client, Some(Reason::ContentFilter)),
    ("azure.ai.openai", 404, r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#, Blame::Target, Some(Reason::ModelMissing)),
    ("azure.ai.openai", 429, r#"{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 20 seconds."}}"#, Blame::RateLimit, None),
    ("anthropic", 400, r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 202128 tokens > 200000 maximum"}}"#, Blame::Client, Some(Reason::ContextLength)),
    ("anthropic", 400, r#"{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 188059 + 20000 > 200000, decrease input length or `max_tokens` and try again"}}"#, Blame::Client, Some(Reason::ContextLength)),
    ("anthropic", 413, r#"{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#, Blame::Client, Some(Reason::ContextLength)),
    ("anthropic", 400, r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."}}"#, Blame::Credential, Some(Reason::Quota)),
    ("anthropic", 404, r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-9"}}"#, Blame::Target, Some(Reason::ModelMissing)),
    ("anthropic", 529, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, Blame::Server, Some(Reason::Overloaded)),
    ("gcp.vertex_ai", 400, r#"{"type":"error","error":{"type":"invalid_request_error","message":"Prompt is too long"}}"#, Blame::Client, Some(Reason::ContextLength)),
    ("gcp.gemini", 400, r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}"#, Blame::Credential, Some(Reason::Key)),
    ("gcp.gemini", 400, r#"[{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]"#, Blame::Client, Some(Reason::ContextLength)),
    ("gcp.gemini", 403, r#"{"error":{"code":403,"message":"CachedContent not found (or permission denied)","status":"PERMISSION_DENIED"}}"#, Blame::Client, None),
    ("gcp.gemini", 403, r#"{"error":{"code":403,"message":"Generative Language API has not been used in project 1 before or it is disabled.","status":"PERMISSION_DENIED","details":[{"reason":"SERVICE_DISABLED"}]}}"#, Blame::Credential, Some(Reason::Account)),
    ("aws.bedrock", 403, r#"{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"The security token included in the request is invalid."}"#, Blame::Credential, Some(Reason::Key)),
    ("aws.bedrock", 400, r#"{"message":"Input is too long for requested model."}"#, Blame::Client, Some(Reason::ContextLength)),
    ("cohere", 400, r#"{"message":"too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292. Try using a shorter prompt, or enabling prompt truncating."}"#, Blame::Client, Some(Reason::ContextLength)),
    ("cohere", 400, r#"{"message":"too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model - received 8192."}"#, Blame::Client, None),
    ("mistral_ai", 400, r#"{"object":"error","message":"Prompt contains 300000 tokens, too large for model with 131072 maximum context length","type":"invalid_request_error","param":null,"code":"3051"}"#, Blame::Client, Some(Reason::ContextLength)),
    ("mistral_ai", 429, r#"{"object":"error","message":"Service tier capacity exceeded for this model.","type":"service_tier_capacity_exceeded","param":null,"code":"3505"}"#, Blame::RateLimit, Some(Reason::Overloaded)),
    ("xai", 400, r#"{"code":"Client specified an invalid argument","error":"This model's maximum prompt length is 131072 but the request contains 136973 tokens."}"#, Blame::Client, Some(Reason::ContextLength)),
    ("xai", 400, r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***1. You can obtain an API key from https://console.x.ai."}"#, Blame::Credential, Some(Reason::Key)),
    ("openrouter", 402, r#"{"error":{"message":"This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can only afford 100.","code":402}}"#, Blame::Target, Some(Reason::Quota)),
    ("openrouter", 400, r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: 202128 tokens > 200000 maximum\"}}","provider_name":"Anthropic"}}}"#, Blame::Client, Some(Reason::ContextLength)),
    ("openrouter", 403, r#"{"error":{"message":"Provider returned error","code":403,"metadata":{"raw":"{\"code\":\"x\",\"error\":\"Content violates usage guidelines. Team: t\"}","provider_name":"xAI"}}}"#, Blame::Client, Some(Reason::ContentFilter)),
    ("openrouter", 429, r#"{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"{\"error\":{\"code\":\"insufficient_quota\"}}"}}}"#, Blame::RateLimit, None),
    ("openrouter", 404, r#"{"error":{"message":"No endpoints found matching your data policy","code":404}}"#, Blame::Client, None),
    ("gcp.vertex_ai", 403, r#"{"error":{"code":403,"message":"service-1@gcp-sa-aiplatform.iam.gserviceaccount.com does not have storage.objects.get access to the object.","status":"PERMISSION_DENIED"}}"#, Blame::Server, None),
    ("gcp.vertex_ai", 403, r#"{"error":{"code":403,"message":"Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/projects/p/locations/l/publishers/google/models/m' (or it may not exist).","status":"PERMISSION_DENIED"}}"#, Blame::Target, Some(Reason::Permission)),
    ("deepseek", 402, r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#, Blame::Credential, Some(Reason::Quota)),
    ("groq", 413, r#"{"error":{"message":"Request too large for model `x` in organization `o` service tier `on_demand` on tokens per minute (TPM): Limit 6000, Requested 7000","type":"tokens","code":"rate_limit_exceeded"}}"#, Blame::Client, Some(Reason::ContextLength)),
    ("moonshot", 429, r#"{"error":{"message":"Your account is suspended due to insufficient balance, please recharge your account or check your plan and billing details","type":"exceeded_current_quota_error"}}"#, Blame::Credential, Some(Reason::Quota)),
    ("zai", 429, r#"{"error":{"code":"1113","message":"Insufficient balance or no resource package. Please recharge."}}"#, Blame::Credential, Some(Reason::Quota)),
    ("dashscope", 429, r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","code":"insufficient_quota"}}"#, Blame::RateLimit, None),
    ("llama-cpp", 400, r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":5000,"n_ctx":4096}}"#, Blame::Client, Some(Reason::ContextLength)),
    ("tgi", 422, r#"{"error":"Input validation error: `inputs` must have less than 4096 tokens. Given: 5000","error_type":"validation"}"#, Blame::Client, Some(Reason::ContextLength)),
    ("ollama", 404, r#"{"error":{"message":"model \"nope\" not found, try pulling it first","type":"api_error","param":null,"code":null}}"#, Blame::Target, Some(Reason::ModelMissing)),
];
