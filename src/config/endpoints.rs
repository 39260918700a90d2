//! Addresses that follow from other keys: the hosts of regional services, and where tokens are issued.
//!
//! Only text is made here. The parts that come from the file go into host names and paths, so `validate` holds them to
//! letters, digits and hyphens first. Sources: the vendors' Python SDKs (google-genai, anthropic, botocore), 2026-11.

use super::model::{Entra, Provider, ProviderKind};

/// Vertex AI's location unless the configuration names one.
pub const DEFAULT_LOCATION: &str = "global";
/// What an Entra token is for unless the configuration says otherwise: Azure AI services.
pub const DEFAULT_SCOPE: &str = "https://cognitiveservices.azure.com/.default";

/// Where a regional service is: `base_url` where it is written, else the host of the region or location.
///
/// `None` for every other kind, and for Bedrock without a region.
pub fn regional_base_url(provider: &Provider) -> Option<String> {
    match provider.kind {
        ProviderKind::Bedrock => provider.region.as_deref().map(bedrock),
        ProviderKind::Vertex => Some(vertex(provider.location.as_deref().unwrap_or(DEFAULT_LOCATION))),
        _ => None,
    }
}

fn bedrock(region: &str) -> String {
    // The partition of China has a domain of its own.
    let domain = if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    format!("https://bedrock-runtime.{region}.{domain}")
}

fn vertex(location: &str) -> String {
    match location {
        "global" => "https://aiplatform.googleapis.com".to_owned(),
        "us" | "eu" => format!("https://aiplatform.{location}.rep.googleapis.com"),
        region => format!("https://{region}-aiplatform.googleapis.com"),
    }
}

/// Where tokens are issued to an Entra application; `None` when neither `token_url` nor `tenant_id` says so.
pub fn token_url(entra: &Entra) -> Option<String> {
    let tenant = entra.tenant_id.as_ref();
    let default = || tenant.map(|tenant| format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"));
    entra.token_url.clone().or_else(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_and_locations_name_their_hosts() {
        let provider = |text: &str| serde_json::from_str::<Provider>(text).unwrap();
        for (text, expected) in [
            (
                r#"{"kind":"bedrock","region":"eu-west-1"}"#,
                Some("https://bedrock-runtime.eu-west-1.amazonaws.com"),
            ),
            (
                r#"{"kind":"bedrock","region":"cn-north-1"}"#,
                Some("https://bedrock-runtime.cn-north-1.amazonaws.com.cn"),
            ),
            (r#"{"kind":"bedrock"}"#, None),
            (r#"{"kind":"vertex"}"#, Some("https://aiplatform.googleapis.com")),
            (
                r#"{"kind":"vertex","location":"eu"}"#,
                Some("https://aiplatform.eu.rep.googleapis.com"),
            ),
            (
                r#"{"kind":"vertex","location":"us-east5"}"#,
                Some("https://us-east5-aiplatform.googleapis.com"),
            ),
            (r#"{"kind":"openai","region":"x"}"#, None),
        ] {
            assert_eq!(regional_base_url(&provider(text)).as_deref(), expected, "{text}");
        }
    }
}
