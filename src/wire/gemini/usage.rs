//! `usageMetadata`, read and written.
//!
//! ```json
//! {"promptTokenCount":341,"cachedContentTokenCount":92,"candidatesTokenCount":10,"thoughtsTokenCount":499,
//!  "toolUsePromptTokenCount":0,"totalTokenCount":850,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":9}],
//!  "candidatesTokensDetails":[{"modality":"TEXT","tokenCount":10}],"serviceTier":"standard"}
//! ```
//! Google counts thoughts beside the candidates' tokens, and what its own tools fed the model beside the prompt; the
//! canonical figures include both. `totalTokenCount` is the sum of all four.
//! Source: ai.google.dev/api/generate-content, UsageMetadata, read 2026-11.

use crate::units::{ServiceTier, Usage};
use crate::wire::json::{JsonWriter, Kind, scan_object};
use memchr::memmem::Finder;
use serde::Deserialize;
use std::sync::LazyLock;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Details<'a> {
    #[serde(borrow)]
    prompt_tokens_details: Option<Vec<Detail<'a>>>,
    #[serde(borrow)]
    candidates_tokens_details: Option<Vec<Detail<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Detail<'a> {
    #[serde(borrow)]
    modality: std::borrow::Cow<'a, str>,
    token_count: Option<f64>,
}

/// Deepest nesting of the object.
const MOST_DEPTH: usize = 16;

/// Built once: making a searcher costs more than searching one object.
static AUDIO: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("AUDIO"));

fn count(figure: Option<f64>) -> u64 {
    figure.map_or(0, |figure| figure as u64)
}

/// The figures of a `usageMetadata` object; nothing when it has none (Vertex opens streams with `{"trafficType":…}` alone).
pub fn read(object: &[u8]) -> Option<Usage> {
    let mut usage = Usage::default();
    let mut any = false;
    // By hand: there is one in every chunk of a stream, and reading it by name is most of what a chunk's facts cost.
    scan_object(object, MOST_DEPTH, |member| {
        if member.kind != Kind::Number {
            if member.kind == Kind::String && member.is("serviceTier") {
                let word = object.get(member.value.clone()).unwrap_or_default();
                usage.tier = tier(word);
            }
            return;
        }
        let Some(figure) = figure(object.get(member.value.clone()).unwrap_or_default()) else {
            return;
        };
        let add = |to: &mut u64| *to = to.saturating_add(figure);
        match member {
            member if member.is("promptTokenCount") => add(&mut usage.input),
            member if member.is("candidatesTokenCount") => add(&mut usage.output),
            member if member.is("totalTokenCount") => {}
            member if member.is("thoughtsTokenCount") => {
                add(&mut usage.output);
                add(&mut usage.reasoning);
            }
            member if member.is("toolUsePromptTokenCount") => add(&mut usage.input),
            member if member.is("cachedContentTokenCount") => add(&mut usage.cached),
            _ => return,
        }
        any = true;
    })
    .ok()?;
    if AUDIO.find(object).is_some() {
        // Every chunk has details; few have any of sound.
        (usage.audio_input, usage.audio_output) = audio(object);
    }
    any.then_some(usage)
}

/// `"flex"`, `"SERVICE_TIER_FLEX"`.
fn tier(text: &[u8]) -> ServiceTier {
    let word = std::str::from_utf8(text).unwrap_or_default().trim_matches('"');
    let word = word.to_ascii_lowercase();
    ServiceTier::read(word.strip_prefix("service_tier_").unwrap_or(&word))
}

/// A count; some servers write `3.0`.
fn figure(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse()
        .ok()
        .or_else(|| text.parse::<f64>().ok().map(|figure| figure as u64))
}

fn audio(object: &[u8]) -> (u64, u64) {
    let details: Details<'_> = serde_json::from_slice(object).unwrap_or_default();
    let of = |details: Option<Vec<Detail<'_>>>| {
        let details = details.unwrap_or_default();
        let audio = details.iter().filter(|detail| detail.modality == "AUDIO");
        audio.fold(0u64, |sum, detail| sum.saturating_add(count(detail.token_count)))
    };
    (of(details.prompt_tokens_details), of(details.candidates_tokens_details))
}

/// A `usageMetadata` object. Figures of zero that Google leaves out are left out.
pub fn write(usage: &Usage, service_tier: Option<&str>, json: &mut JsonWriter) {
    let said = usage.output.saturating_sub(usage.reasoning);
    let given = |figure: u64| (figure > 0).then_some(figure);
    json.object(|json| {
        json.field("promptTokenCount", usage.input);
        json.opt("candidatesTokenCount", given(said));
        json.field("totalTokenCount", usage.total());
        json.opt("cachedContentTokenCount", given(usage.cached));
        details("promptTokensDetails", usage.input, usage.audio_input, json);
        if usage.audio_output > 0 {
            details("candidatesTokensDetails", said, usage.audio_output, json);
        }
        json.opt("thoughtsTokenCount", given(usage.reasoning));
        json.opt("serviceTier", service_tier);
    });
}

fn details(key: &str, all: u64, audio: u64, json: &mut JsonWriter) {
    json.key(key).array(|json| {
        for (modality, count) in [("TEXT", all.saturating_sub(audio)), ("AUDIO", audio)] {
            if count > 0 {
                json.object(|json| {
                    json.field("modality", modality);
                    json.field("tokenCount", count);
                });
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_and_tool_results_are_added_and_taken_apart_again() {
        let read_back = read(
            br#"{"promptTokenCount":100,"candidatesTokenCount":10,"thoughtsTokenCount":5,"toolUsePromptTokenCount":7,
                "cachedContentTokenCount":92,"totalTokenCount":122,"promptTokensDetails":[{"modality":"TEXT","tokenCount":60},
                {"modality":"AUDIO","tokenCount":40}],"candidatesTokensDetails":[{"modality":"AUDIO","tokenCount":3}]}"#,
        )
        .unwrap();
        let usage = Usage {
            input: 107,
            output: 15,
            cached: 92,
            reasoning: 5,
            audio_input: 40,
            audio_output: 3,
            ..Usage::default()
        };
        assert_eq!(read_back, usage);
        let mut json = JsonWriter::new();
        write(&usage, Some("standard"), &mut json);
        assert_eq!(read(&json.finish()), Some(usage));
    }

    #[test]
    fn the_tier_is_read_in_both_spellings() {
        for word in ["flex", "SERVICE_TIER_FLEX", "FLEX"] {
            let text = format!(r#"{{"promptTokenCount":1,"serviceTier":"{word}"}}"#);
            assert_eq!(read(text.as_bytes()).unwrap().tier, ServiceTier::Flex, "{word}");
        }
    }

    #[test]
    fn an_object_without_figures_says_nothing() {
        assert_eq!(read(br#"{"trafficType":"ON_DEMAND"}"#), None);
        assert_eq!(read(br#"{"promptTokenCount":"x"}"#), None);
        assert_eq!(
            read(br#"{"promptTokenCount":2.0,"promptTokensDetails":null}"#)
                .unwrap()
                .input,
            2
        );
    }
}
