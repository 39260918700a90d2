//! Usage figures, both ways. This API counts cached tokens beside `input_tokens`, the gateway counts them in.
//!
//! ```json
//! {"input_tokens":2, "cache_creation_input_tokens":77, "cache_read_input_tokens":3522,
//!  "cache_creation":{"ephemeral_5m_input_tokens":77,"ephemeral_1h_input_tokens":0},
//!  "output_tokens":43, "output_tokens_details":{"thinking_tokens":0}, "service_tier":"standard",
//!  "server_tool_use":{"web_search_requests":1}}
//! ```
//! A stream reports the input with `message_start` and cumulative figures with `message_delta`, where any may be missing:
//! [`Figures`] takes them in as they come.

use crate::units::{ServiceTier, Tokens, Usage};
use crate::wire::json::{JsonWriter, Node};

/// Figures as this API counts them, known so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// `input_tokens`: neither read from nor written to the cache.
    pub input: Option<Tokens>,
    /// `cache_creation_input_tokens`.
    pub written: Option<Tokens>,
    /// `cache_creation.ephemeral_1h_input_tokens`.
    pub written_1h: Option<Tokens>,
    /// `cache_read_input_tokens`.
    pub read: Option<Tokens>,
    /// `output_tokens`.
    pub output: Option<Tokens>,
    /// `output_tokens_details.thinking_tokens`.
    pub thinking: Option<Tokens>,
    /// `server_tool_use.web_search_requests`.
    pub searches: Option<u64>,
    /// `service_tier`.
    pub tier: Option<ServiceTier>,
}

impl Figures {
    /// Take in a usage object: what it names replaces what was known, since figures are cumulative.
    pub fn take(&mut self, usage: &Node<'_>) {
        let set = |mine: &mut Option<Tokens>, theirs: Option<Tokens>| *mine = theirs.or(*mine);
        set(&mut self.input, usage.get_u64("input_tokens"));
        set(&mut self.written, usage.get_u64("cache_creation_input_tokens"));
        set(&mut self.read, usage.get_u64("cache_read_input_tokens"));
        set(&mut self.output, usage.get_u64("output_tokens"));
        if let Some(by_age) = usage.get("cache_creation") {
            set(&mut self.written_1h, by_age.get_u64("ephemeral_1h_input_tokens"));
        }
        if let Some(details) = usage.get("output_tokens_details") {
            set(&mut self.thinking, details.get_u64("thinking_tokens"));
        }
        if let Some(tools) = usage.get("server_tool_use") {
            set(&mut self.searches, tools.get_u64("web_search_requests"));
        }
        if let Some(tier) = usage.get_str("service_tier") {
            self.tier = Some(ServiceTier::read(tier));
        }
    }

    /// As the gateway counts; nothing while neither input nor output is known.
    pub fn usage(&self) -> Option<Usage> {
        if self.input.is_none() && self.output.is_none() {
            return None;
        }
        let (read, written) = (self.read.unwrap_or(0), self.written.unwrap_or(0));
        Some(Usage {
            input: self.input.unwrap_or(0).saturating_add(read).saturating_add(written),
            output: self.output.unwrap_or(0),
            cached: read,
            cache_write: written,
            cache_write_1h: self.written_1h.unwrap_or(0).min(written),
            reasoning: self.thinking.unwrap_or(0),
            web_searches: self.searches.unwrap_or(0),
            tier: self.tier.unwrap_or_default(),
            ..Usage::default()
        })
    }
}

/// The figures of one usage object.
pub fn read(usage: &Node<'_>) -> Option<Usage> {
    let mut figures = Figures::default();
    figures.take(usage);
    figures.usage()
}

/// Write the members of a usage object. `delta`: for `message_delta`, whose SDK type has fewer.
pub fn write(usage: Option<&Usage>, service_tier: Option<&str>, delta: bool, json: &mut JsonWriter) {
    let usage = usage.copied().unwrap_or_default();
    let beside = usage.cached.saturating_add(usage.cache_write);
    json.object(|json| {
        json.field("input_tokens", usage.input.saturating_sub(beside));
        json.field("cache_creation_input_tokens", usage.cache_write);
        json.field("cache_read_input_tokens", usage.cached);
        if !delta {
            json.key("cache_creation").object(|json| {
                let short = usage.cache_write.saturating_sub(usage.cache_write_1h);
                json.field("ephemeral_5m_input_tokens", short);
                json.field("ephemeral_1h_input_tokens", usage.cache_write_1h);
            });
        }
        json.field("output_tokens", usage.output);
        if usage.reasoning > 0 {
            json.key("output_tokens_details")
                .object(|json| json.field("thinking_tokens", usage.reasoning));
        }
        if !delta {
            json.opt("service_tier", service_tier.and_then(tier));
        }
    });
}

/// The SDKs know three tiers; `default` is the others' word for `standard`, and what else there is is not named.
fn tier(word: &str) -> Option<&'static str> {
    match word {
        "standard" | "default" => Some("standard"),
        "priority" => Some("priority"),
        "batch" => Some("batch"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Option<Usage> {
        read(&Node::parse(json.as_bytes(), 8).unwrap())
    }

    #[test]
    fn cached_tokens_are_counted_in_and_out_again() {
        let text = r#"{"input_tokens":2,"cache_creation_input_tokens":77,"cache_read_input_tokens":3522,"cache_creation":{"ephemeral_5m_input_tokens":70,"ephemeral_1h_input_tokens":7},"output_tokens":43,"output_tokens_details":{"thinking_tokens":5},"service_tier":"standard"}"#;
        let usage = of(text).unwrap();
        assert_eq!((usage.input, usage.cached, usage.cache_write), (3601, 3522, 77));
        assert_eq!((usage.cache_write_1h, usage.reasoning, usage.output), (7, 5, 43));
        let mut json = JsonWriter::new();
        write(Some(&usage), Some("default"), false, &mut json);
        assert_eq!(String::from_utf8(json.finish()).unwrap(), text);
    }

    #[test]
    fn searches_and_the_tier_are_read() {
        let text = r#"{"input_tokens":1,"output_tokens":2,"server_tool_use":{"web_search_requests":3},"service_tier":"batch"}"#;
        let usage = of(text).unwrap();
        assert_eq!((usage.web_searches, usage.tier), (3, ServiceTier::Batch));
        let mut figures = Figures::default();
        figures.take(&Node::parse(br#"{"input_tokens":1,"service_tier":"priority"}"#, 8).unwrap());
        figures.take(&Node::parse(br#"{"output_tokens":2,"server_tool_use":{"web_search_requests":1}}"#, 8).unwrap());
        let usage = figures.usage().unwrap();
        assert_eq!((usage.web_searches, usage.tier), (1, ServiceTier::Priority));
    }

    #[test]
    fn a_later_report_completes_an_earlier_one() {
        let mut figures = Figures::default();
        assert_eq!(figures.usage(), None);
        figures.take(
            &Node::parse(
                br#"{"input_tokens":4,"cache_read_input_tokens":10,"output_tokens":1}"#,
                8,
            )
            .unwrap(),
        );
        figures.take(&Node::parse(br#"{"output_tokens":201.0,"input_tokens":null}"#, 8).unwrap());
        let usage = figures.usage().unwrap();
        assert_eq!((usage.input, usage.output, usage.cached), (14, 201, 10));
        assert_eq!(of("{}"), None);
    }
}
