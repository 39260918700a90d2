//! `providers:` as written: the kinds there are, where each lives, and the credentials each takes.
//!
//! Which keys belong to which kind is not said by the types but by `validate`, which can say it with a line and a remedy.

use super::{Breaker, Budget, Limit, Timeouts};
use crate::config::scalars::{Interval, SecretRef};
use crate::providers::compatible::{self, Vendor};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The vendor's dialect: one with a folder of its own, or a row of the table of OpenAI-compatible vendors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProviderKind {
    /// OpenAI, or anything that speaks its API: set `base_url`.
    Openai,
    /// Azure OpenAI: `base_url` of the resource, an API key or `entra`.
    Azure,
    /// Anthropic Messages.
    Anthropic,
    /// Gemini on Google AI Studio.
    Gemini,
    /// Gemini and Claude on Google Vertex AI: `project`, `location`, `service_account`.
    Vertex,
    /// Amazon Bedrock Converse: `region`, and `aws` keys or a bearer API key.
    Bedrock,
    /// Cohere v2.
    Cohere,
    /// Mistral.
    Mistral,
    /// The embedded demo: answers in this process, no key, no network.
    Demo,
    /// A vendor or server that speaks OpenAI's API and whose address is known.
    Compatible(&'static Vendor),
}

impl ProviderKind {
    /// Kinds with a dialect of their own, by the name in the file.
    const OWN: [(&'static str, Self); 9] = [
        ("openai", Self::Openai),
        ("azure", Self::Azure),
        ("anthropic", Self::Anthropic),
        ("gemini", Self::Gemini),
        ("vertex", Self::Vertex),
        ("bedrock", Self::Bedrock),
        ("cohere", Self::Cohere),
        ("mistral", Self::Mistral),
        ("demo", Self::Demo),
    ];

    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Compatible(vendor) => vendor.name,
            own => Self::OWN
                .iter()
                .find(|(_, kind)| *kind == own)
                .map_or("", |(name, _)| name),
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        match Self::OWN.iter().find(|(own, _)| *own == name) {
            Some((_, kind)) => Some(*kind),
            None => compatible::find(name).map(Self::Compatible),
        }
    }

    fn names() -> Vec<&'static str> {
        let own = Self::OWN.iter().map(|(name, _)| *name);
        let mut names: Vec<&str> = own
            .chain(compatible::VENDORS.iter().map(|vendor| vendor.name))
            .collect();
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(*name));
        names
    }
}

impl<'de> Deserialize<'de> for ProviderKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| serde::de::Error::custom(format!("unknown kind `{name}`")))
    }
}

impl JsonSchema for ProviderKind {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ProviderKind".into()
    }

    fn json_schema(_generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "The vendor's dialect: `openai` (or anything that speaks its API: set `base_url`), `azure`, `anthropic`, `gemini`, `vertex`, `bedrock`, `cohere`, `mistral`, `demo` (answers in this process), or an OpenAI-compatible vendor by name.",
            "type": "string",
            "enum": Self::names(),
        })
    }
}

/// One provider: a vendor or server, its address and its credential.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// The dialect it speaks.
    pub kind: ProviderKind,
    /// Where its API is rooted, for example `https://api.openai.com/v1`. Default: the vendor's own.
    #[serde(default)]
    pub base_url: Option<String>,
    /// `env:NAME`, `file:PATH` or `store:NAME`. Leave out for servers that take none, and where `aws`, `service_account` or `entra`
    /// is given.
    #[serde(default)]
    pub api_key: Option<SecretRef>,
    /// Which of OpenAI's two APIs answers clients of other dialects. Default chat. Only openai, azure and compatible
    /// vendors.
    #[serde(default)]
    pub api: Option<OpenAiApi>,
    /// Only azure: `v1` (default), the surface without versions, or a date such as `2024-10-21`, which selects the paths
    /// by deployment.
    #[serde(default)]
    pub api_version: Option<String>,
    /// Only bedrock, required: AWS region, for example `us-east-1`. Names the default host and what signatures are for.
    #[serde(default)]
    pub region: Option<String>,
    /// Only bedrock: keys to sign requests with (Signature Version 4). Instead of `api_key`.
    #[serde(default)]
    pub aws: Option<AwsKeys>,
    /// Only vertex, required: Google Cloud project.
    #[serde(default)]
    pub project: Option<String>,
    /// Only vertex: Google Cloud location, for example `europe-west4`. Default `global`.
    #[serde(default)]
    pub location: Option<String>,
    /// Only vertex: `env:NAME`, `file:PATH` or `store:NAME` of the JSON key of a service account, or of the credentials that
    /// `gcloud auth application-default login` writes. Instead of `api_key`.
    #[serde(default)]
    pub service_account: Option<SecretRef>,
    /// Only azure: an application of Microsoft Entra that asks for tokens. Instead of `api_key`.
    #[serde(default)]
    pub entra: Option<Entra>,
    /// Leave this provider, and every target that names it, out unless the condition holds when the file is loaded:
    /// `env:NAME` (set and not empty) or `tcp:HOST:PORT` (something listens there).
    #[serde(default)]
    pub enabled_if: Option<String>,
    /// Deadlines for this provider.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Speak HTTP/2 to it (TLS by ALPN, plaintext by prior knowledge). Default false: HTTP/1.1 with pooled connections.
    #[serde(default)]
    pub http2: bool,
    /// Headers added to every request to it; values may be `env:NAME`, `file:PATH` or `store:NAME`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// PEM file with the certificate authorities to trust instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Ask for usage figures on streams whose client did not (`stream_options.include_usage`), and withhold the extra
    /// chunk from the client. Default true; set false for a server that refuses the field.
    #[serde(default)]
    pub stream_usage: Option<bool>,
    /// When targets at this provider are left alone; unset keys come from the top level.
    #[serde(default)]
    pub breaker: Breaker,
    /// Probe the provider: its addresses (http, tcp; for self-hosted servers with several), leaving out those that fail, or
    /// its targets (one-token).
    #[serde(default)]
    pub health_check: Option<HealthCheck>,
    /// What all requests it answers may use, attempts that fail among them.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// What they may cost.
    #[serde(default)]
    pub budgets: Vec<Budget>,
}

/// Which of OpenAI's APIs to use where both would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OpenAiApi {
    /// Chat Completions.
    #[default]
    Chat,
    /// Responses.
    Responses,
}

/// Keys of an AWS principal that may call Bedrock.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsKeys {
    /// `env:NAME`, `file:PATH` or `store:NAME` of the access key id.
    pub access_key_id: SecretRef,
    /// `env:NAME`, `file:PATH` or `store:NAME` of the secret access key.
    pub secret_access_key: SecretRef,
    /// `env:NAME`, `file:PATH` or `store:NAME` of the session token that belongs to temporary keys. Read at load: reload before it
    /// expires.
    #[serde(default)]
    pub session_token: Option<SecretRef>,
}

/// OAuth 2.0 client credentials of a Microsoft Entra application.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entra {
    /// Directory (tenant) id or domain. Required unless `token_url` is given.
    #[serde(default)]
    pub tenant_id: Option<String>,
    /// Application (client) id.
    pub client_id: String,
    /// `env:NAME`, `file:PATH` or `store:NAME` of the client secret.
    pub client_secret: SecretRef,
    /// What the token is for. Default `https://cognitiveservices.azure.com/.default`.
    #[serde(default)]
    pub scope: Option<String>,
    /// Where tokens are issued. Default `https://login.microsoftonline.com/TENANT/oauth2/v2.0/token`; other clouds have
    /// their own.
    #[serde(default)]
    pub token_url: Option<String>,
}

/// Active health check of a provider's addresses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum HealthCheck {
    /// The address accepts a connection.
    Tcp {
        /// Time between two probes. Default 10s.
        #[serde(default)]
        interval: Option<Interval>,
    },
    /// `GET path` answers 200.
    Http {
        /// Absolute path, for example `/health`.
        path: String,
        /// Time between two probes. Default 10s.
        #[serde(default)]
        interval: Option<Interval>,
    },
    /// A question to be answered by one token, to each of its targets whose breaker is open: an answer closes it early.
    /// Costs what such a question costs.
    OneToken {
        /// Time between two probes. Default 10s.
        #[serde(default)]
        interval: Option<Interval>,
    },
}
