//! What `POST /admin/v1/route/explain` and `cirque route explain` are asked and what they answer.
//!
//! Only the shapes: who decides is the room of rules. Question, all keys but `body` optional:
//!
//! ```json
//! {"path": "/v1/chat/completions", "headers": {"x-session-id": "7"}, "body": {"model": "gpt-4o", "messages": []},
//!  "now": "2026-01-31T22:00:00Z"}
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Largest question, in bytes.
pub const LARGEST_QUESTION: usize = 1 << 20;

/// A request that is not sent anywhere.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The path it would come to, without a query. Default `/v1/chat/completions`.
    #[serde(default = "chat")]
    pub path: String,
    /// Its headers. Credentials are not needed.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Value,
    /// When it would come, RFC 3339: for rules with time windows. Default: now.
    #[serde(default)]
    pub now: Option<String>,
    /// Where it would come from: for rules that look at addresses.
    #[serde(default)]
    pub ip: Option<String>,
}

fn chat() -> String {
    "/v1/chat/completions".to_owned()
}

impl Question {
    /// Read one, or say what is wrong with its shape.
    pub fn read(value: Value) -> Result<Self, Refused> {
        const KEYS: [&str; 5] = ["path", "headers", "body", "now", "ip"];
        let wrong = |message: &str, param: &str| Refused {
            message: message.to_owned(),
            param: Some(param.to_owned()),
        };
        let Some(map) = value.as_object() else {
            return Err(Refused::new("the question is not a JSON object"));
        };
        if let Some(other) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let message = format!("unknown key {other:?}; known: {}", KEYS.join(", "));
            return Err(Refused::new(message));
        }
        if !map.get("body").is_some_and(Value::is_object) {
            return Err(wrong("the request's body, a JSON object, is missing", "body"));
        }
        let text = |key: &str| map.get(key).is_none_or(Value::is_string);
        if !text("path")
            || map
                .get("path")
                .and_then(Value::as_str)
                .is_some_and(|path| !path.starts_with('/'))
        {
            return Err(wrong("not a path such as /v1/chat/completions", "path"));
        }
        let address = |ip: &Value| ip.as_str().is_some_and(|ip| ip.parse::<IpAddr>().is_ok());
        if !map.get("ip").is_none_or(address) {
            return Err(wrong("not an address such as 10.0.0.7", "ip"));
        }
        if !text("now") {
            return Err(wrong("not a time such as 2026-01-31T22:00:00Z", "now"));
        }
        Self::deserialize(value).map_err(|_| wrong("not an object of texts by name", "headers"))
    }
}

/// A question that cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong with it.
    pub message: String,
    /// The part of it that is meant.
    pub param: Option<String>,
}

impl Refused {
    /// About the question as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            param: None,
        }
    }
}

/// Where a request would go, and why.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The model the request names.
    pub model_asked: Option<String>,
    /// The rules that were tried, in order; those after the one that decided are not.
    pub rules: Vec<RuleTried>,
    /// The public model that answers; none when the request is refused.
    pub model: Option<String>,
    /// What the client is told instead: a rule's text, or that there is no such model.
    pub refused: Option<String>,
    /// 0 to 9.
    pub priority: u8,
    /// Tokens the prompt is estimated to have.
    pub input_tokens: Option<u64>,
    /// What the rules change in the request, in order.
    pub edits: Vec<Edit>,
    /// The model's targets in the order they would be asked.
    pub targets: Vec<Candidate>,
}

/// A rule that was tried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleTried {
    /// Its name.
    pub name: String,
    /// Whether its condition is true of the request.
    pub held: bool,
    /// Why, or why not: the condition and its parts with their values, a line each.
    pub why: String,
}

/// One parameter that a rule changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Edit {
    /// The rule.
    pub rule: String,
    /// `set`, `default` or `remove`.
    pub action: String,
    /// The parameter.
    pub parameter: String,
    /// Its new value; none where it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// A target that could be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// Its id, `openai/gpt-4o`.
    pub id: String,
    /// Its tier.
    pub tier: u32,
    /// Its weight.
    pub weight: u32,
    /// What the request needs and it lacks; not empty: it is passed over.
    pub lacks: Vec<String>,
    /// Whether the request fits into its context, as far as both are known.
    pub fits: Option<bool>,
}
