//! Why an answer ended, in this dialect's words, both ways.
//!
//! Not for the stop text itself, which has its own member (`stop_sequence`).

use crate::wire::canonical::Finish;

/// The reason behind a `stop_reason`.
pub fn read(word: &str) -> Finish<'_> {
    match word {
        "end_turn" => Finish::Stop,
        "stop_sequence" => Finish::StopSequence,
        "max_tokens" => Finish::Length,
        "model_context_window_exceeded" => Finish::ContextWindow,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::Refusal,
        "pause_turn" => Finish::Pause,
        other => Finish::Other(other.into()),
    }
}

/// What an answer holds, as far as it bears on its `stop_reason`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Holds {
    /// Calls of tools.
    pub calls: bool,
    /// A refusal in words.
    pub refusal: bool,
}

/// The `stop_reason` for a reason. The SDKs' type is a closed list, so what has no word here becomes `end_turn`; an answer
/// that holds calls, or a refusal, says so even where its vendor calls that a plain stop, because clients look for it.
pub fn word(finish: Option<&Finish<'_>>, holds: Holds) -> &'static str {
    match finish {
        Some(Finish::StopSequence) => "stop_sequence",
        Some(Finish::Length) => "max_tokens",
        Some(Finish::ContextWindow) => "model_context_window_exceeded",
        Some(Finish::ToolCalls) => "tool_use",
        Some(Finish::ContentFilter | Finish::Refusal) => "refusal",
        Some(Finish::Pause) => "pause_turn",
        Some(Finish::Stop | Finish::MalformedCall | Finish::Error | Finish::Other(_)) | None => match holds {
            Holds { calls: true, .. } => "tool_use",
            Holds { refusal: true, .. } => "refusal",
            _ => "end_turn",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_went() {
        for known in [
            "end_turn",
            "stop_sequence",
            "max_tokens",
            "model_context_window_exceeded",
            "tool_use",
            "refusal",
            "pause_turn",
        ] {
            assert_eq!(word(Some(&read(known)), Holds::default()), known);
        }
        assert_eq!(word(Some(&Finish::Other("eos".into())), Holds::default()), "end_turn");
        let calls = Holds {
            calls: true,
            refusal: true,
        };
        assert_eq!(word(Some(&Finish::Stop), calls), "tool_use");
        let refusal = Holds { calls: false, ..calls };
        assert_eq!(word(Some(&Finish::Stop), refusal), "refusal");
        assert_eq!(word(Some(&Finish::ContentFilter), Holds::default()), "refusal");
    }
}
