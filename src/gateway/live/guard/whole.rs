//! What does not come as a text in pieces: citations, parts that come whole, and sounds, whose words do come in pieces.

use super::super::seam::Out;
use super::{Guard, document};
use crate::guardrails::Window;
use crate::wire::canonical::{Citation, Event, Media, Part, PartStart, Source};

impl Guard {
    /// Whether a citation may pass: one that quotes what would be replaced is dropped.
    pub(super) fn citation(&mut self, citation: &Citation<'_>) -> bool {
        let texts = [&citation.url, &citation.title, &citation.cited_text];
        let mut changed = false;
        match &citation.raw {
            Some((dialect, raw)) => changed |= document::block(&mut self.judge, *dialect, raw).is_some(),
            None => {
                for text in texts.into_iter().flatten() {
                    changed |= self.judge.text(text).is_some();
                }
            }
        }
        !changed
    }

    /// A part that came whole, as it may pass, if it must change.
    pub(super) fn whole(&mut self, index: u32, part: &Part<'_>) -> Option<Part<'static>> {
        let judge = &mut self.judge;
        match part {
            Part::Text { text, .. } => judge.text(text).map(Part::text),
            Part::Refusal(text) => judge.text(text).map(|text| Part::Refusal(text.into())),
            Part::Thinking(thinking) if !thinking.redacted => {
                let text = judge.text(&thinking.text)?;
                let mut changed = thinking.clone();
                (changed.text, changed.signature) = (text.into(), None);
                Some(Part::Thinking(changed).to_static())
            }
            Part::ToolCall(call) => {
                let arguments = document::arguments(judge, &call.arguments)?;
                let mut changed = call.clone();
                changed.arguments = arguments.into();
                Some(Part::ToolCall(changed).to_static())
            }
            Part::Media(media) => self.spoken(index, media),
            Part::Opaque { dialect, kind, raw } => {
                let raw = document::block(judge, *dialect, raw)?;
                Some(Part::Opaque {
                    dialect: *dialect,
                    kind: kind.to_string().into(),
                    raw: raw.into(),
                })
            }
            Part::Thinking(_) | Part::ToolResult(_) => None,
        }
    }

    /// A piece of sound, with what is decided of its words.
    fn spoken(&mut self, index: u32, media: &Media<'_>) -> Option<Part<'static>> {
        let words = media.transcript.as_ref()?;
        let at = self.choice_at(index);
        let choice = self.choices.get_mut(at)?;
        let (window, _) = &mut **choice.spoken.get_or_insert_with(|| {
            let silence = Source::Base64("".into());
            let media_type = media.media_type.as_ref().map(|name| name.to_string().into());
            Box::new((Window::default(), Media::new(media.kind, silence, media_type)))
        });
        let mut decided = String::new();
        window.push(&mut self.judge, words, &mut decided);
        (decided != *words).then(|| {
            let mut changed = media.to_static();
            changed.transcript = Some(decided).filter(|words| !words.is_empty()).map(Into::into);
            Part::Media(changed)
        })
    }

    /// The last words of a choice's sounds.
    pub(super) fn last_words(&mut self, index: u32, out: &mut Out<'_>) {
        let at = self.choice_at(index);
        let Some(choice) = self.choices.get_mut(at) else { return };
        let Some(spoken) = choice.spoken.take() else { return };
        let (mut window, mut media) = *spoken;
        let mut decided = String::new();
        window.end(&mut self.judge, &mut decided);
        if !decided.is_empty() {
            media.transcript = Some(decided.into());
            let (candidate, part) = (index, u32::MAX);
            let start = PartStart::Whole(Box::new(Part::Media(media)));
            out(&Event::PartStart { candidate, part, start });
            out(&Event::PartEnd { candidate, part });
        }
        if self.judge.blocked().is_some() {
            self.refuse(out);
        }
    }
}
