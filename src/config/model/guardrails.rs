//! Guardrails as written: what is looked for in the texts of requests and answers, and what follows.

use schemars::JsonSchema;
use serde::Deserialize;

/// A guardrail. It holds for requests to the models, of the tenants and of the rules that name it under `guardrails`, or for all.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Guardrail {
    /// Personal data, by form and check digit: e-mail addresses, card numbers, … Names and postal addresses are not found.
    Pii {
        /// What is looked for. Default: what is hardly ever something else.
        #[serde(default)]
        detect: Option<Vec<String>>,
        /// Values that are none, or patterns of them with `*`, such as `*@example.com`.
        #[serde(default)]
        allow: Vec<String>,
        /// What follows from a finding. Default flag.
        #[serde(default)]
        action: GuardrailAction,
        /// Where it holds. Default: in requests and in answers.
        #[serde(default)]
        on: Vec<GuardrailDirection>,
        /// It holds for every request, whether something names it or not.
        #[serde(default)]
        always: bool,
        /// What stands in the place of what is redacted. Default: what it was, as `[EMAIL]`.
        #[serde(default)]
        replacement: Option<String>,
        /// Requests whose bodies are not read (`passthrough`) pass it. Default: they are refused.
        #[serde(default)]
        passthrough: bool,
    },
    /// Credentials: keys of cloud and model providers, tokens, private keys, passwords in URLs.
    Secrets {
        /// What is looked for. Default: what is hardly ever something else.
        #[serde(default)]
        detect: Option<Vec<String>>,
        /// Values that are none, or patterns of them with `*`.
        #[serde(default)]
        allow: Vec<String>,
        /// What follows from a finding. Default flag.
        #[serde(default)]
        action: GuardrailAction,
        /// Where it holds. Default: in requests and in answers.
        #[serde(default)]
        on: Vec<GuardrailDirection>,
        /// It holds for every request, whether something names it or not.
        #[serde(default)]
        always: bool,
        /// What stands in the place of what is redacted. Default: what it was, as `[GITHUB_TOKEN]`.
        #[serde(default)]
        replacement: Option<String>,
        /// Requests whose bodies are not read (`passthrough`) pass it. Default: they are refused.
        #[serde(default)]
        passthrough: bool,
    },
    /// Words and phrases.
    Keywords {
        /// They.
        #[schemars(length(min = 1))]
        words: Vec<String>,
        /// Only as they are written. Default false.
        #[serde(default)]
        case_sensitive: bool,
        /// Also as parts of longer words. Default false.
        #[serde(default)]
        parts_of_words: bool,
        /// What follows from a finding. Default flag.
        #[serde(default)]
        action: GuardrailAction,
        /// Where it holds. Default: in requests and in answers.
        #[serde(default)]
        on: Vec<GuardrailDirection>,
        /// It holds for every request, whether something names it or not.
        #[serde(default)]
        always: bool,
        /// What stands in the place of what is redacted. Default `[KEYWORD]`.
        #[serde(default)]
        replacement: Option<String>,
        /// Requests whose bodies are not read (`passthrough`) pass it. Default: they are refused.
        #[serde(default)]
        passthrough: bool,
    },
    /// Regular expressions.
    Patterns {
        /// They, each 1 KiB long at most. Where answers are concerned, each must have a longest match (`{0,100}`, not `*`).
        #[schemars(length(min = 1))]
        patterns: Vec<String>,
        /// What follows from a finding. Default flag.
        #[serde(default)]
        action: GuardrailAction,
        /// Where it holds. Default: in requests and in answers.
        #[serde(default)]
        on: Vec<GuardrailDirection>,
        /// It holds for every request, whether something names it or not.
        #[serde(default)]
        always: bool,
        /// What stands in the place of what is redacted. Default `[PATTERN]`.
        #[serde(default)]
        replacement: Option<String>,
        /// Requests whose bodies are not read (`passthrough`) pass it. Default: they are refused.
        #[serde(default)]
        passthrough: bool,
    },
    /// How long the texts of a request, or of an answer, may be together.
    Length {
        /// In characters.
        #[schemars(range(min = 1))]
        max_characters: u32,
        /// What follows: flag or block. Default flag.
        #[serde(default)]
        action: GuardrailAction,
        /// Where it holds. Default: in requests and in answers.
        #[serde(default)]
        on: Vec<GuardrailDirection>,
        /// It holds for every request, whether something names it or not.
        #[serde(default)]
        always: bool,
        /// Requests whose bodies are not read (`passthrough`) pass it. Default: they are refused.
        #[serde(default)]
        passthrough: bool,
    },
}

/// What follows from a finding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GuardrailAction {
    /// It is recorded, and passes.
    #[default]
    Flag,
    /// It is replaced.
    Redact,
    /// The request is refused; an answer ends there, as one that the provider's content filter stopped.
    Block,
}

/// Where a guardrail holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GuardrailDirection {
    /// In requests.
    Input,
    /// In answers.
    Output,
}

/// What every kind has.
#[derive(Debug, Clone, Copy)]
pub struct GuardrailTerms<'a> {
    /// `kind`
    pub kind: &'static str,
    /// `action`
    pub action: GuardrailAction,
    /// It holds in requests.
    pub input: bool,
    /// It holds in answers.
    pub output: bool,
    /// `always`
    pub always: bool,
    /// `replacement`
    pub replacement: Option<&'a str>,
    /// `passthrough`
    pub passthrough: bool,
}

impl Guardrail {
    /// What it has in common with the other kinds.
    pub fn terms(&self) -> GuardrailTerms<'_> {
        macro_rules! terms {
            ($kind:literal, $action:ident, $on:ident, $always:ident, $passthrough:ident, $replacement:expr) => {
                GuardrailTerms {
                    kind: $kind,
                    action: *$action,
                    input: $on.is_empty() || $on.contains(&GuardrailDirection::Input),
                    output: $on.is_empty() || $on.contains(&GuardrailDirection::Output),
                    always: *$always,
                    replacement: $replacement,
                    passthrough: *$passthrough,
                }
            };
        }
        match self {
            Self::Pii {
                action,
                on,
                always,
                passthrough,
                replacement,
                ..
            } => {
                terms!("pii", action, on, always, passthrough, replacement.as_deref())
            }
            Self::Secrets {
                action,
                on,
                always,
                passthrough,
                replacement,
                ..
            } => {
                terms!("secrets", action, on, always, passthrough, replacement.as_deref())
            }
            Self::Keywords {
                action,
                on,
                always,
                passthrough,
                replacement,
                ..
            } => {
                terms!("keywords", action, on, always, passthrough, replacement.as_deref())
            }
            Self::Patterns {
                action,
                on,
                always,
                passthrough,
                replacement,
                ..
            } => {
                terms!("patterns", action, on, always, passthrough, replacement.as_deref())
            }
            Self::Length {
                action,
                on,
                always,
                passthrough,
                ..
            } => {
                terms!("length", action, on, always, passthrough, None)
            }
        }
    }
}
