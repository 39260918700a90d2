//! Joining another target's events to an answer under way.
//!
//! ```text
//! client so far    Start  PartStart(3) Delta Delta ✂
//! next target      Start  Thinking…  PartStart(0) Delta Delta PartEnd(0) Finish Usage End
//! client gets                        : cirque seam 1   Delta Delta PartEnd(3) Finish Usage End
//! ```
//! Its start is dropped, its first text goes on in the text that is open, its reasoning is not shown (the answer's own came
//! before the text), and its parts are numbered on. Anything that is no text is no continuation: an answer of which nothing
//! had been said is the exception, for it begins anew. Of two texts a signature proves nothing, so none is passed.
//!
//! Figures are of both calls, as the client should see them: the input of the first (where it was never told, the second's
//! less the text it was given), the outputs of both added. The first's output is what it told or what its text is estimated
//! at, whichever is more.

use super::overlap::Trim;
use super::trail::tokens;
use crate::units::Usage;
use crate::wire::canonical::{Citation, Delta, Event, Part, PartStart};

/// How the next target was told what has been said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Not at all: nothing had been said.
    Anew,
    /// By the answer's beginning, from which it goes on.
    Prefilled,
    /// By that and an instruction to go on.
    Instructed,
}

/// The next target's place in the answer.
pub(super) struct Seam {
    free: bool,
    base: Usage,
    /// Tokens of the text that it was given.
    given: u64,
    /// The text part that is open at the client and that nothing has been joined to yet.
    open: Option<u32>,
    letters: u64,
    next: u32,
    /// Its parts that are open: their numbers there, and at the client.
    parts: Vec<(u32, u32)>,
    /// Its part that goes on with the client's.
    joined: Option<u32>,
    trim: Trim,
    /// Letters it said in the part that was joined, and those of them that were passed on.
    letters_said: u64,
    letters_passed: u64,
    spoke: bool,
    thought: bool,
    /// Something of it has reached the client.
    pub(super) begun: bool,
}

/// Where the client's events go.
pub(super) type Out<'o> = dyn FnMut(&Event<'_>) + 'o;

impl Seam {
    pub(super) fn new(how: How, said: &str, usage: Option<Usage>, open: Option<(u32, u64)>, next: u32) -> Self {
        let mut base = usage.unwrap_or_default();
        base.output = base.output.max(tokens(said));
        Self {
            free: how == How::Anew,
            base,
            given: if how == How::Anew { 0 } else { tokens(said) },
            open: open.map(|(part, _)| part),
            letters: open.map_or(0, |(_, letters)| letters),
            next,
            parts: Vec::new(),
            joined: None,
            trim: match how {
                How::Anew | How::Prefilled => Trim::blanks(said),
                How::Instructed => Trim::repeated(said),
            },
            letters_said: 0,
            letters_passed: 0,
            spoke: false,
            thought: false,
            begun: false,
        }
    }

    /// What this event of the next target is to the client; why it is no continuation.
    pub(super) fn event(&mut self, event: &Event<'_>, out: &mut Out<'_>) -> Result<(), &'static str> {
        match event {
            Event::Start { .. } | Event::Error { .. } => {}
            Event::Ping => out(event),
            Event::Usage(usage) => out(&Event::Usage(self.figures(usage))),
            Event::PartStart {
                candidate: 0,
                part,
                start,
            } => self.begin(*part, start, out)?,
            Event::Delta {
                candidate: 0,
                part,
                delta,
            } => self.delta(*part, delta, out),
            Event::PartEnd { candidate: 0, part } => self.end(*part, out),
            Event::Finish { candidate: 0, .. } => {
                if self.thought && !self.spoke && !self.free {
                    return Err("it only reasoned");
                }
                self.close(out);
                out(event);
            }
            Event::Safety { candidate: 0, .. } | Event::End => out(event),
            _ => return Err("it gave several answers"),
        }
        Ok(())
    }

    fn figures(&self, own: &Usage) -> Usage {
        let mut all = self.base;
        if all.input == 0 {
            all = Usage {
                output: all.output,
                reasoning: all.reasoning,
                audio_output: all.audio_output,
                ..*own
            };
            all.input = own.input.saturating_sub(self.given);
            all.cached = all.cached.min(all.input);
        }
        all.output = all.output.saturating_add(own.output);
        all.reasoning = all.reasoning.saturating_add(own.reasoning);
        all
    }

    fn fresh(&mut self) -> u32 {
        let part = self.next;
        self.next = self.next.saturating_add(1);
        part
    }

    /// End the client's open text, when something else begins.
    fn close(&mut self, out: &mut Out<'_>) {
        if let Some(part) = self.open.take() {
            out(&Event::PartEnd { candidate: 0, part });
        }
    }

    fn begin(&mut self, part: u32, start: &PartStart<'_>, out: &mut Out<'_>) -> Result<(), &'static str> {
        let said = match start {
            PartStart::Text => Some(""),
            PartStart::Whole(whole) => match whole.as_ref() {
                Part::Text { text, .. } => Some(text.as_ref()),
                _ => None,
            },
            _ => None,
        };
        if let Some(said) = said {
            self.text(part, out);
            self.delta(part, &Delta::Text(said.into()), out);
            return Ok(());
        }
        let thinks = match start {
            PartStart::Thinking { .. } => true,
            PartStart::Whole(whole) => matches!(whole.as_ref(), Part::Thinking(_)),
            _ => false,
        };
        self.thought |= thinks;
        if self.free {
            self.close(out);
            let ours = self.fresh();
            self.parts.push((part, ours));
            out(&Event::PartStart {
                candidate: 0,
                part: ours,
                start: start.clone(),
            });
            return Ok(());
        }
        match start {
            _ if thinks => Ok(()),
            PartStart::ToolCall { .. } => Err("it called a tool"),
            PartStart::Refusal => Err("it refused"),
            _ => Err("it gave something else than text"),
        }
    }

    /// A text begins there: it goes on with the client's, or is one of its own.
    fn text(&mut self, part: u32, out: &mut Out<'_>) {
        if let Some(ours) = self.open.take() {
            self.joined = Some(part);
            self.parts.push((part, ours));
            return;
        }
        let ours = self.fresh();
        self.parts.push((part, ours));
        out(&Event::PartStart {
            candidate: 0,
            part: ours,
            start: PartStart::Text,
        });
    }

    fn delta(&mut self, part: u32, delta: &Delta<'_>, out: &mut Out<'_>) {
        let Some(&(_, ours)) = self.parts.iter().find(|(theirs, _)| *theirs == part) else {
            return;
        };
        let delta = match delta {
            Delta::Text(text) => {
                self.spoke |= !text.is_empty();
                let rest = self.trim.push(text);
                if self.joined == Some(part) {
                    self.letters_said += text.chars().count() as u64;
                    self.letters_passed += rest.chars().count() as u64;
                }
                if rest.is_empty() {
                    return;
                }
                Delta::Text(rest)
            }
            Delta::Citation(citation) => Delta::Citation(Box::new(self.moved(part, citation))),
            Delta::Signature(_) | Delta::Logprobs(_) if !self.free => return,
            delta => delta.clone(),
        };
        out(&Event::Delta {
            candidate: 0,
            part: ours,
            delta,
        });
    }

    /// A citation, counted from the beginning of the client's text part.
    fn moved<'c>(&self, part: u32, citation: &Citation<'c>) -> Citation<'c> {
        let mut citation = citation.clone();
        if let (Some((start, end)), true) = (citation.span, self.joined == Some(part)) {
            let trimmed = self.letters_said.saturating_sub(self.letters_passed);
            let here = |at: u64| at.saturating_add(self.letters).saturating_sub(trimmed);
            citation.span = Some((here(start), here(end)));
            citation.raw = None;
        }
        citation
    }

    fn end(&mut self, part: u32, out: &mut Out<'_>) {
        let Some(at) = self.parts.iter().position(|(theirs, _)| *theirs == part) else {
            return;
        };
        let (_, ours) = self.parts.remove(at);
        let rest = self.trim.flush();
        if !rest.is_empty() {
            out(&Event::Delta {
                candidate: 0,
                part: ours,
                delta: Delta::Text(rest.into()),
            });
        }
        out(&Event::PartEnd {
            candidate: 0,
            part: ours,
        });
    }
}
