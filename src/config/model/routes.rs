//! `routes:` as written: which model really answers, by conditions on the request.

use super::CachePolicy;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One rule. Rules are tried in order; the first one that holds and says where to go decides, one that only changes
/// something does so and the next is tried.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name: in metrics, in `cirque route explain`.
    pub name: String,
    /// CEL expression over the request; the rule holds when it is true, not when it fails. Default: always.
    #[serde(default)]
    pub when: Option<String>,
    /// The public model that answers.
    #[serde(default)]
    pub to: Option<String>,
    /// Instead of `to`: by the value of an expression, for example a region.
    #[serde(default)]
    pub switch: Option<Switch>,
    /// Instead of `to`: refuse with 403 and this text.
    #[serde(default)]
    pub refuse: Option<String>,
    /// Parameters that are set, whatever the client wrote. Names as in OpenAI's chat API; written into the request in the
    /// dialect it came in.
    #[serde(default)]
    pub set: BTreeMap<String, serde_json::Value>,
    /// Parameters that are set where the client wrote none.
    #[serde(default)]
    pub default: BTreeMap<String, serde_json::Value>,
    /// What may be kept of the answer and served again; goes before what model, tenants and key say.
    #[serde(default)]
    pub cache: Option<CachePolicy>,
    /// Names of `guardrails` that such requests and their answers must pass, beside those of model, tenants and key.
    #[serde(default)]
    pub guardrails: Vec<String>,
    /// Parameters that are taken out.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Priority of the request, 0 (first to be shed, last to leave a queue) to 9. Default 5.
    #[serde(default)]
    #[schemars(range(max = 9))]
    pub priority: Option<u8>,
}

/// A destination by the value of an expression.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// CEL expression that gives a string.
    pub on: String,
    /// Value to public model.
    #[schemars(length(min = 1))]
    pub cases: BTreeMap<String, String>,
    /// For any other value. Default: the rule does not hold.
    #[serde(default)]
    pub otherwise: Option<String>,
}
