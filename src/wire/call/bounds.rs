//! How much a call may write and at which price, as far as the request says: read from its envelope when somebody wants to know.

use super::super::Dialect;
use super::super::json::{self, Span};
use super::unseen::Beyond;
use super::{Call, Operation, read_string};
use crate::units::ServiceTier;

/// Where a request says how much may be written; read when somebody wants to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// `max_tokens`, of all dialects but Gemini's.
    pub(super) max_tokens: Option<Span>,
    /// `max_completion_tokens` or `max_output_tokens`.
    pub(super) max_output: Option<Span>,
    /// `n`
    pub(super) n: Option<Span>,
    /// `best_of`
    pub(super) best_of: Option<Span>,
    /// Gemini's `generationConfig`, and the same in snake case: both may be there.
    pub(super) generation: (Option<Span>, Option<Span>),
    /// `prompt`: of completions, one or many.
    pub(super) prompt: Option<Span>,
    /// `service_tier` of OpenAI's APIs.
    pub(super) tier: Option<Span>,
    /// `speed` of Anthropic's.
    pub(super) speed: Option<Span>,
    /// What is not in its bytes.
    pub(super) beyond: Beyond,
}

impl Call {
    /// The most tokens of an answer that the request allows, for one choice; nothing when it does not say, or not in a number.
    pub fn output_cap(&self) -> Option<u64> {
        let bounds = &self.envelope.bounds;
        let said = [&bounds.max_tokens, &bounds.max_output].into_iter().flatten();
        // Two that differ: a provider may go by either.
        said.filter_map(|at| number(&self.body, at))
            .chain(self.generation("maxOutputTokens", "max_output_tokens"))
            .max()
    }

    /// How many answers are to be written; at least 1.
    pub fn choices(&self) -> u64 {
        let bounds = &self.envelope.bounds;
        let said = [&bounds.n, &bounds.best_of].into_iter().flatten();
        said.filter_map(|at| number(&self.body, at))
            .chain(self.generation("candidateCount", "candidate_count"))
            .fold(1, u64::max)
            .saturating_mul(self.prompts())
    }

    /// Prompts of a completion: each has answers of its own.
    fn prompts(&self) -> u64 {
        let at = self.envelope.bounds.prompt.clone();
        match at.and_then(|at| self.body.get(at)) {
            Some(prompt) if self.operation == Operation::Completions => texts_in(prompt).max(1),
            _ => 1,
        }
    }

    /// The service tier that is asked for, where that is one with a price of its own.
    pub fn tier(&self) -> ServiceTier {
        let bounds = &self.envelope.bounds;
        let said = [&bounds.tier, &bounds.speed].into_iter().flatten();
        let mut said = said.filter_map(|at| read_string(&self.body, at).ok());
        said.find_map(|word| Some(ServiceTier::read(&word)).filter(|tier| *tier != ServiceTier::Standard))
            .unwrap_or_default()
    }

    /// A number of Gemini's `generationConfig`, by either of its names.
    fn generation(&self, name: &str, other: &str) -> Option<u64> {
        /// Nesting of what stands beside it, such as a schema.
        const DEPTH: usize = 256;
        if self.dialect != Dialect::Gemini {
            return None;
        }
        let mut found = None;
        let (camel, snake) = &self.envelope.bounds.generation;
        for config in [camel, snake].into_iter().flatten() {
            let config = self.body.get(config.clone())?;
            let scanned = json::scan_object(config, DEPTH, |member| {
                if member.is(name) || member.is(other) {
                    found = found.max(number(config, &member.value));
                }
            });
            scanned.ok()?;
        }
        found
    }
}

/// A number of a body, rounded up; what is no number (a text, `null`) is none.
fn number(body: &[u8], at: &Span) -> Option<u64> {
    let text = std::str::from_utf8(body.get(at.clone())?).ok()?.trim_matches('"');
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        // Saturates; a negative one or NaN is 0.
        Some(number.ceil() as u64)
    })
}

/// Texts, or lists of tokens, in a JSON array; nothing of one that is a list of tokens itself, nor of what is no array.
fn texts_in(json: &[u8]) -> u64 {
    let (mut depth, mut quoted, mut escaped) = (0u32, false, false);
    let mut texts = 0;
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => {
                texts += u64::from(!quoted && depth == 1);
                quoted = !quoted;
            }
            _ if quoted => {}
            b'[' | b'{' => {
                texts += u64::from(depth == 1);
                depth += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    texts
}
