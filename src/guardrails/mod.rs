//! Guardrails: what is found in the texts of requests and answers, and what follows from it.
//!
//! ```text
//!  guardrails: (as configured) ─► Guardrail ─┐
//!                                            ├─ Policy: those of a model and of who calls, in the order of the file
//!  detectors: what is found, and where ──────┘        │
//!     scan.rs  many patterns at once                  ├─ Judge: texts of one request or one answer ─► verdicts, redacted text
//!     pii/  secrets/  keywords.rs  pattern.rs         └─ Window: the same for a text that arrives in pieces
//! ```
//! Not here: which members of a request are texts (`wire::prose`), who is told what (`gateway::stages::guard`). The one idea: a
//! detector is a pure function of a text that can also say which end of it is still undecided ([`Detector::open`]). A text that
//! streams is judged up to there, so that any chunking of it comes to what the whole would.

mod judge;
mod keywords;
mod pattern;
pub mod pii;
pub mod scan;
pub mod secrets;
#[cfg(test)]
mod tests;
mod window;

pub use self::judge::{Judge, Policy, Verdict};
pub use self::keywords::Keywords;
pub use self::pattern::Pattern;
pub use self::pii::Pii;
pub use self::secrets::Secrets;
pub use self::window::Window;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What follows from a finding; the sterner is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It is recorded, and passes.
    Flag,
    /// It is replaced by what it is: `[EMAIL]`.
    Redact,
    /// The request is refused; the answer ends as a refusal.
    Block,
}

impl Action {
    /// As written: `flag`, …
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Redact => "redact",
            Self::Block => "block",
        }
    }
}

/// Which way a text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the provider.
    Input,
    /// To the client.
    Output,
}

impl Direction {
    /// As written: `input`, `output`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

/// Something found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its bytes; both ends are at characters, and it is not empty.
    pub span: Range<usize>,
    /// What it is, in capitals: `EMAIL`, `AWS_ACCESS_KEY`, `KEYWORD`. Stands in the place of what is redacted.
    pub label: &'static str,
}

/// How much of what was judged is kept before what is not, in bytes: enough to see whether a word begins.
pub const CONTEXT: usize = 8;

/// Finds one sort of thing in texts. Pure; never panics, whatever the text.
///
/// The law that streams stand on, for every text `s`, every `t`, and `p = open(s, 0)`:
///
/// ```text
/// scan(s + t, 0)  =  scan(s[..p], 0)  then  scan(s + t, p)
/// ```
pub trait Detector: fmt::Debug + Send + Sync {
    /// Add what is found in `text[from..]`, in order, none overlapping another of the same detector. What stands before `from` is
    /// only looked at for where words begin, [`CONTEXT`] bytes at most: it was judged already. `from` is at a character, and nothing
    /// reaches over it.
    fn scan(&self, text: &str, from: usize, found: &mut Vec<Finding>);

    /// Where the end of `text` begins that more text could still make part of a finding, or could take a finding away from:
    /// at least `from`, at a character, `text.len()` when nothing is pending. How far it lies from the end is bounded.
    fn open(&self, text: &str, from: usize) -> usize;
}

/// What a guardrail looks at.
#[derive(Debug)]
pub enum Check {
    /// What its texts hold.
    Finds(Box<dyn Detector>),
    /// How long they are together, in characters.
    Length(usize),
}

/// A guardrail, as run.
#[derive(Debug)]
pub struct Guardrail {
    /// Its configured name.
    pub name: Arc<str>,
    /// Its `kind`, as written.
    pub kind: &'static str,
    /// It holds for what goes to providers.
    pub input: bool,
    /// It holds for what goes to clients.
    pub output: bool,
    /// What follows.
    pub action: Action,
    /// What stands in the place of what is redacted, where that is not its label.
    pub replacement: Option<Box<str>>,
    /// What it looks at.
    pub check: Check,
    /// Requests whose bodies are not read may pass all the same.
    pub passthrough: bool,
    /// SHA-256 of all that decides what it does to an answer: answers that were kept under another one are no longer served.
    pub digest: [u8; 32],
}

impl Guardrail {
    /// Whether it holds in a direction.
    pub const fn holds(&self, direction: Direction) -> bool {
        match direction {
            Direction::Input => self.input,
            Direction::Output => self.output,
        }
    }
}
