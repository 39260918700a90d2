//! How much a request may use and cost at most, as far as that can be told before it goes out.
//!
//! Not whether there is room for it (`super`). The idea: budgets are asked for what nothing of the request can exceed at the dearest
//! target, rates for what is likely; and where that is refused the prompt is counted, if that may help.

use super::super::super::aside::aside;
use super::super::super::context::RequestContext;
use super::super::super::downstream::Downstream;
use super::Seeking;
use crate::clock;
use crate::error::GatewayError;
use crate::limits::{Measure, Prompt, Refusal};
use crate::snapshot::PublicModel;
use crate::telemetry::bound_input;
use crate::units::{NanoUsd, ServiceTier, Tokens};
use crate::upstream::{Backend, Target};
use crate::wire::canonical::Effort;
use crate::wire::needs::{self, Seen};
use crate::wire::{Call, Dialect, Operation, Searches, Unseen};
use aho_corasick::packed::{self, Searcher};
use memchr::memmem::Finder;
use std::pin::pin;
use std::sync::LazyLock;
use std::time::Instant;

/// Bodies up to this size are taken for text alone; larger ones are looked through for media, whose bytes are no tokens.
const MAY_HOLD_MEDIA: usize = 16 * 1024;

/// Beginnings of names and types of content parts that hold media, in all dialects. Text that begins like them makes the
/// estimate larger, never smaller.
const MEDIA: [&str; 5] = ["\"image", "\"inline", "\"input_audio", "\"input_file", "\"document"];
static MEDIA_FINDERS: LazyLock<[Finder<'static>; 5]> = LazyLock::new(|| MEDIA.map(Finder::new));

/// What stands in every prompt with tools, in all dialects; or an escape, behind which a name could hide. As of media, finding it in
/// text makes the estimate larger. Nothing is learned of such prompts.
const TOOLS: [&str; 3] = ["tools", "functions", "\\u00"];
static TOOL_FINDERS: LazyLock<[Finder<'static>; 3]> = LazyLock::new(|| TOOLS.map(Finder::new));
/// Vendors whose requests are given room for thoughts beyond what the client said.
const RAISE: [&str; 4] = ["anthropic", "bedrock", "vertex", "azure"];
/// What stands in a request that wants thoughts.
const THOUGHTS: [&[u8]; 3] = [b"effort\"", b"\"reasoning", b"\"thinking"];
/// Words for how much, dearest first.
const EFFORTS: [(&[u8], Effort); 5] = [
    (b"\"max\"", Effort::Max),
    (b"\"xhigh\"", Effort::XHigh),
    (b"\"high\"", Effort::High),
    (b"\"HIGH\"", Effort::High),
    (b"\"medium\"", Effort::Medium),
];
/// What stands in a request that names a file or a page instead of sending it, in all dialects. Two of a line: both.
const REFERENCES: [[&[u8]; 2]; 6] = [
    [b"\"file_id\"", b""],
    [b"\"file_url\"", b""],
    [b"\"fileUri\"", b""],
    [b"\"file_uri\"", b""],
    [b"\"document", b"\"url\""],
    [b"\"s3Location\"", b""],
];
/// All marks of media, tools and references at once: most prompts hold none, and one walk tells. None: this processor cannot, and
/// each is looked for.
static MARKS: LazyLock<Option<Searcher>> = LazyLock::new(|| {
    let references = REFERENCES.iter().map(|[one, _]| *one);
    let texts = MEDIA.iter().chain(&TOOLS).map(|mark| mark.as_bytes());
    packed::Config::new().builder().extend(texts.chain(references)).build()
});
/// Tokens of the window of a model of which nobody says how long it is.
const ASSUMED_WINDOW: Tokens = 200_000;
/// Tokens of what a web search finds and the model reads.
const FOUND: Tokens = 10_000;
/// Vendors whose models search only where the request says so; others (Perplexity) do unasked.
const SEARCH_WHEN_ASKED: [&str; 5] = ["anthropic", "bedrock", "vertex", "azure", "openai"];
/// Bytes of a token at most, but for rare ones.
const LONGEST_TOKEN: u64 = 16;

/// How large a request is at most.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    /// Input tokens, as is likely: what rates are asked for.
    pub(super) input: Tokens,
    /// Input tokens at most: what budgets are asked for.
    pub(super) safe: Tokens,
    /// Output tokens that rates are asked for.
    pub(super) output: Tokens,
    /// Output tokens of one answer at most, where the request says.
    pub(super) said: Option<Tokens>,
    /// Answers that are to be written; none where nothing is.
    pub(super) answers: u64,
    /// How it wants to be served.
    pub(super) tier: ServiceTier,
    /// What it makes the provider read or do beside.
    unseen: Unseen,
}

impl Size {
    /// Output tokens at most, should this model write them.
    fn most(&self, model: &PublicModel) -> Tokens {
        let one = self.said.map(|said| said.min(model.output.cap));
        one.unwrap_or(model.output.assumed).saturating_mul(self.answers)
    }
}

/// The most that a request can cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    pub(super) nano: NanoUsd,
    /// At a target that has no price it may cost more.
    pub(super) unpriced: bool,
}

impl<'a> Seeking<'a, '_> {
    /// How much it may use.
    pub(super) fn size(&self, ctx: &mut RequestContext) -> Size {
        let Call { operation, .. } = self.call;
        let model = self.found.model;
        let (input, safe) = match self.exact {
            _ if *operation == Operation::CountTokens => (0, 0),
            Some(exact) => (exact, exact),
            None => {
                let prompt = *ctx.prompt.get_or_insert_with(|| self.prompt(ctx.seen));
                (model.ratio.likely(&prompt), model.ratio.safe(&prompt))
            }
        };
        let tier = self.call.tier();
        let mut unseen = self.call.unseen();
        unseen.held |= ctx.prompt.is_some_and(|prompt| prompt.by_reference);
        if !operation.streams() {
            return Size {
                input,
                safe,
                tier,
                ..Size::default()
            };
        }
        let answers = self.call.choices();
        let said = self.call.output_cap().map(|said| self.with_thoughts(said));
        let likely = said.map_or(model.output.likely, |said| said.min(model.output.cap));
        Size {
            input,
            safe,
            output: likely.saturating_mul(answers),
            said,
            answers,
            tier,
            unseen,
        }
    }

    /// What a target may be asked for where the request says this much: of vendors whose bound holds the thoughts as well, a
    /// translated request that wants some has its bound raised by them (`providers/anthropic/thinking.rs`).
    fn with_thoughts(&self, said: Tokens) -> Tokens {
        let body = &self.call.body;
        let has = |mark: &[u8]| memchr::memmem::find(body, mark).is_some();
        let raises = |model: &PublicModel| model.targets.iter().any(|target| RAISE.contains(&target.vendor));
        if self.call.dialect == Dialect::Anthropic
            || !self.models().any(raises)
            || !THOUGHTS.iter().any(|mark| has(mark))
        {
            return said;
        }
        let effort = EFFORTS.iter().find(|(word, _)| has(word));
        let wanted = effort.map_or(Effort::Medium, |(_, effort)| *effort).budget();
        if said <= wanted {
            said.saturating_add(wanted)
        } else {
            said
        }
    }

    /// Models whose targets may answer.
    fn models(&self) -> impl Iterator<Item = &'a PublicModel> + use<'a> {
        let (model, snapshot) = (self.found.model, self.snapshot);
        let chains = model
            .chain
            .iter()
            .chain(&model.context_chain)
            .chain(&model.filter_chain);
        chains.filter_map(|&index| snapshot.models.get(index))
    }

    /// What can be told of the prompt without reading it: its JSON frame stands for that of its messages.
    fn prompt(&self, seen: Option<Seen>) -> Prompt {
        let body = &self.call.body;
        // One walk through a large body instead of a search for each mark.
        let seen = (body.len() > MAY_HOLD_MEDIA).then(|| {
            let look = || needs::look(body, self.call.dialect, self.snapshot.limits.json_depth);
            seen.unwrap_or_else(look)
        });
        if seen.is_none() && MARKS.as_ref().is_some_and(|marks| marks.find(body).is_none()) {
            return Prompt {
                text_bytes: body.len() as u64,
                ..Prompt::default()
            };
        }
        let may_hold_media = seen.is_none_or(|seen| seen.needs.vision || seen.needs.audio || seen.needs.files);
        let marks = MEDIA_FINDERS.iter().filter(|_| may_hold_media);
        let media = marks.map(|mark| mark.find_iter(body).count()).sum::<usize>();
        let media_bytes = seen.map_or(0, |seen| seen.media_bytes);
        let tools = match seen {
            Some(seen) => seen.needs.tools,
            None => TOOL_FINDERS.iter().any(|mark| mark.find(body).is_some()),
        };
        Prompt {
            text_bytes: body.len().saturating_sub(media_bytes) as u64,
            messages: 0,
            tools,
            media: media as u64,
            by_reference: may_hold_media && is_referring(body),
        }
    }

    /// The most that it can cost at any of the candidates.
    pub(super) fn at_most(&self, ctx: &RequestContext, size: Size, now_ms: u64) -> Most {
        let now = i64::try_from(now_ms / 1000).unwrap_or(i64::MAX);
        let mut most = 0;
        let mut unpriced = false;
        for (model, target) in self
            .models()
            .flat_map(|model| model.targets.iter().map(move |target| (model, target)))
        {
            if ctx.barred.iter().any(|barred| **barred == *target.provider_name()) {
                continue;
            }
            match self.snapshot.tariff.price(target, &self.named(), now) {
                Some(price) => {
                    let (input, searches) = self.beyond(target, size, now);
                    let tokens = price.at_most_as(size.tier, input, size.most(model));
                    most = most.max(tokens.saturating_add(price.searches(searches)));
                }
                None => unpriced |= !matches!(target.backend, Backend::Demo),
            }
        }
        // A hedged request may be paid for twice.
        let calls = 1 + u64::from(self.found.model.hedge.is_some());
        Most {
            nano: self.snapshot.tariff.billed(most.saturating_mul(calls)),
            unpriced,
        }
    }

    /// Input tokens and web searches at most, with what is not in the bytes of the request: a window full of what the provider keeps
    /// or fetches, what its searches find.
    fn beyond(&self, target: &Target, size: Size, now: i64) -> (Tokens, u64) {
        let tariff = &self.snapshot.tariff;
        let Unseen { held, searches } = size.unseen;
        let number = match searches {
            Some(Searches::AtMost(number)) => number,
            Some(Searches::Any) => tariff.assumed_searches(),
            // What they find is not billed as input (Perplexity), or by its own rate.
            None if !held && !SEARCH_WHEN_ASKED.contains(&target.vendor) => {
                return (size.safe, tariff.assumed_searches());
            }
            None => 0,
        };
        let window = || tariff.context(target, &self.named(), now).unwrap_or(ASSUMED_WINDOW);
        let input = if held { size.safe.max(window()) } else { size.safe };
        (input.saturating_add(number.saturating_mul(FOUND)), number)
    }

    /// Whether what is left may do for it once its prompt is counted. Else a client whose budget is used up had its prompts
    /// counted for nothing, one refusal after the other.
    pub(super) fn may_fit(&self, ctx: &RequestContext, size: Size, refusal: &Refusal) -> bool {
        if !self.call.operation.streams() && self.call.operation != Operation::Embeddings {
            // What of these is read by a model is not known to the counter.
            return false;
        }
        let text = ctx.prompt.map_or(0, |prompt| prompt.text_bytes);
        let least = Size {
            input: text / LONGEST_TOKEN,
            safe: text / LONGEST_TOKEN,
            ..size
        };
        let needs = match refusal.rule.measure {
            Measure::NanoUsd => self.at_most(ctx, least, clock::now_ms()).nano,
            Measure::Tokens => least.input.saturating_add(least.output),
            Measure::InputTokens => least.input,
            _ => return false,
        };
        needs <= refusal.remaining
    }

    /// Count the prompt, away from the worker: it is worth that when a limit is nearly used up. None: it cannot be counted.
    pub(super) async fn count(
        &self,
        down: &mut Downstream<'_>,
        ctx: &RequestContext,
    ) -> Result<Option<Tokens>, GatewayError> {
        let (name, dialect, body) = (self.name().to_owned(), self.call.dialect, self.call.body.clone());
        let depth = self.snapshot.limits.json_depth;
        let work = move || {
            let seen = needs::look(&body, dialect, depth);
            bound_input(&name, dialect, &body, seen.media_bytes)
        };
        let began = Instant::now();
        let counted = {
            let count = pin!(aside(work));
            down.or_left(count).await
        };
        down.waited += began.elapsed();
        let counted = counted.map_err(|_| GatewayError::client_left())?;
        let counted = counted.map_err(|error| GatewayError::internal(format!("blocking task: {error}")))?;
        let prompt = ctx.prompt.unwrap_or_default();
        let ratio = &self.found.model.ratio;
        // What its media are no vocabulary says.
        let media = Prompt {
            media: prompt.media,
            ..Prompt::default()
        };
        let exact = |counted| with_margin(counted, self.found.model).saturating_add(ratio.safe(&media));
        Ok(counted.map(|counted| exact(counted).min(ratio.safe(&prompt))))
    }
}

/// Whether files or pages are named in it.
fn is_referring(body: &[u8]) -> bool {
    let has = |mark: &[u8]| mark.is_empty() || memchr::memmem::find(body, mark).is_some();
    REFERENCES.iter().any(|[one, other]| has(one) && has(other))
}

/// A count by OpenAI's vocabulary, as an upper bound of what the model's own makes of it: Anthropic's and Google's cut text into up
/// to a fifth more pieces, and providers add a frame around messages and tools.
fn with_margin(counted: Tokens, model: &PublicModel) -> Tokens {
    let own = model
        .targets
        .iter()
        .all(|target| matches!(target.vendor, "openai" | "azure"));
    let share = if own { 50 } else { 4 };
    counted.saturating_add(counted / share).saturating_add(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_walk_finds_whatever_each_search_would() {
        let Some(marks) = MARKS.as_ref() else { return };
        let referring = REFERENCES.iter().map(|[one, _]| *one);
        let all = MEDIA.iter().chain(&TOOLS).map(|mark| mark.as_bytes()).chain(referring);
        for mark in all {
            // At every place of a vector, and at the very end.
            for before in 0..70 {
                for after in [0, 1, 40] {
                    let body = [&b" ".repeat(before), mark, &b" ".repeat(after)].concat();
                    assert!(marks.find(&body).is_some(), "{mark:?} behind {before}");
                }
            }
        }
        assert!(
            marks
                .find(br#"{"model":"m","messages":[{"role":"user","content":"too few functional \"imag"}]}"#)
                .is_none()
        );
        assert!(marks.find(b"").is_none());
    }
}
