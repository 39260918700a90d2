//! Token counts where a provider gave none: tiktoken, on one thread of its own, behind a bounded queue.
//!
//! Not exact and never billed as the provider's figure: callers mark every result as estimated. The idea: nothing here may
//! cost a request anything. A job is handed over and its figures come back through a callback; when the queue or the
//! memory set aside for it is full, the callback gets a rough figure at once. The vocabulary (tens of megabytes) is loaded
//! when the first job arrives, never before.

use super::any_text;
use super::chat_text::{self, Answer, Text};
use crate::units::Usage;
use crate::wire::Dialect;
use bytes::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use tiktoken_rs::CoreBPE;
use tiktoken_rs::tokenizer::{Tokenizer, get_tokenizer};

/// Jobs that may wait.
const MAX_JOBS: usize = 256;
/// Bytes of bodies that may wait, all jobs together.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Time spent on one request or answer; the rest is taken to be like what was counted by then.
const MAX_TIME: Duration = Duration::from_millis(250);
/// Text given to tiktoken at once. Merging is quadratic in the length of a run without spaces, which a client chooses.
const WINDOW: usize = 4096;
/// Rule of thumb for English text, OpenAI help centre "What are tokens".
const BYTES_PER_TOKEN: u64 = 4;

/// What the provider answered.
pub enum ResponseText {
    /// A whole JSON body.
    Json(Bytes),
    /// A stream as it arrived: server-sent events, cut anywhere.
    Events(Vec<Bytes>),
    /// The text itself.
    Plain(String),
}

/// One request whose provider gave no usage.
pub struct CountJob {
    /// The provider's name of the model, which chooses the vocabulary.
    pub model: String,
    /// The request body as the client sent it.
    pub request_body: Bytes,
    /// Its dialect.
    pub dialect: Dialect,
    /// The answer.
    pub response: ResponseText,
    /// Bytes of it that were not kept: taken to be like those that were.
    pub forgotten: usize,
    /// Gets the figures, on the counter's thread, or on the caller's when the queue is full. Must not block. The second
    /// argument, "estimated", is always true: it is there so that no caller can forget to say so.
    pub done: Box<dyn FnOnce(Usage, bool) + Send>,
}

impl CountJob {
    fn size(&self) -> usize {
        self.request_body.len().saturating_add(self.kept())
    }

    /// Bytes of the answer.
    fn kept(&self) -> usize {
        self.response.kept()
    }

    /// Tokens of all of it, of those in what was kept.
    fn in_all(&self, tokens: u64) -> u64 {
        in_all(tokens, self.kept(), self.forgotten)
    }

    fn rough(&self) -> Usage {
        rough_usage(&self.request_body, &self.response, self.forgotten)
    }
}

impl ResponseText {
    /// Bytes of it.
    fn kept(&self) -> usize {
        match self {
            Self::Json(body) => body.len(),
            Self::Events(chunks) => chunks.iter().map(Bytes::len).sum(),
            Self::Plain(text) => text.len(),
        }
    }
}

/// Tokens of all of an answer, of those in the bytes of it that were kept.
fn in_all(tokens: u64, kept: usize, forgotten: usize) -> u64 {
    let more = u128::from(tokens) * forgotten as u128 / kept.max(1) as u128;
    tokens.saturating_add(u64::try_from(more).unwrap_or(u64::MAX))
}

/// Tokens without reading the text: four bytes a token, or one event a token, which is how most providers stream. Rounded up: a text
/// that was written is never none. `forgotten`: bytes of the answer that were not kept.
pub fn rough_usage(request_body: &[u8], response: &ResponseText, forgotten: usize) -> Usage {
    let output = match response {
        ResponseText::Json(body) => (body.len() as u64).div_ceil(BYTES_PER_TOKEN),
        ResponseText::Events(chunks) => chunks
            .iter()
            .map(|chunk| memchr::memmem::find_iter(chunk, b"data:").count() as u64)
            .sum(),
        ResponseText::Plain(text) => (text.len() as u64).div_ceil(BYTES_PER_TOKEN),
    };
    Usage {
        input: (request_body.len() as u64).div_ceil(BYTES_PER_TOKEN),
        output: in_all(output, response.kept(), forgotten),
        ..Usage::default()
    }
}

/// Hands jobs to the counting thread. Dropping it ends the thread when the queue is empty.
pub struct TokenCounter {
    jobs: SyncSender<CountJob>,
    waiting: Arc<Waiting>,
}

/// What is queued or being counted.
#[derive(Default)]
struct Waiting {
    jobs: AtomicUsize,
    bytes: AtomicUsize,
}

impl TokenCounter {
    /// Start the thread. It loads nothing until the first job.
    pub fn start() -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(MAX_JOBS);
        let waiting = Arc::new(Waiting::default());
        let seen = Arc::clone(&waiting);
        std::thread::Builder::new()
            .name("token-count".to_owned())
            .spawn(move || work(&queue, &seen))?;
        Ok(Self { jobs, waiting })
    }

    /// Have one request counted. Never blocks: with no room, `done` gets a rough figure before this returns.
    pub fn submit(&self, job: CountJob) {
        let size = job.size();
        let queued = self.waiting.bytes.fetch_add(size, Ordering::Relaxed);
        self.waiting.jobs.fetch_add(1, Ordering::Relaxed);
        let refused = if queued.saturating_add(size) > MAX_BYTES {
            Some(job)
        } else {
            self.jobs.try_send(job).err().map(|error| match error {
                std::sync::mpsc::TrySendError::Full(job) | std::sync::mpsc::TrySendError::Disconnected(job) => job,
            })
        };
        if let Some(job) = refused {
            self.waiting.finished(size);
            let figures = job.rough();
            (job.done)(figures, true);
        }
    }

    /// Jobs whose callback has not returned yet; a graceful stop may wait for 0.
    pub fn pending(&self) -> usize {
        self.waiting.jobs.load(Ordering::Acquire)
    }
}

impl Waiting {
    fn finished(&self, size: usize) {
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        self.jobs.fetch_sub(1, Ordering::Release);
    }
}

fn work(queue: &Receiver<CountJob>, waiting: &Waiting) {
    while let Ok(job) = queue.recv() {
        let size = job.size();
        // The text is hostile and tiktoken panics when its regex gives up; one job must not end the thread.
        let figures = catch_unwind(AssertUnwindSafe(|| count(&job)));
        let figures = figures.unwrap_or_else(|_| job.rough());
        let done = job.done;
        // The panic hook has said what happened; there is nothing left to do for this job.
        let _ = catch_unwind(AssertUnwindSafe(move || done(figures, true)));
        waiting.finished(size);
    }
}

/// Count one request and its answer.
fn count(job: &CountJob) -> Usage {
    let bpe = vocabulary(&job.model);
    let rough = job.rough();
    let input = count_request(bpe, job.dialect, &job.request_body).unwrap_or(rough.input);
    let answer = match &job.response {
        ResponseText::Json(body) => chat_text::of_reply(body),
        ResponseText::Events(chunks) if job.dialect != Dialect::OpenAi => Some(any_text::of_events(chunks)),
        ResponseText::Events(chunks) => Some(chat_text::of_events(chunks)),
        ResponseText::Plain(text) => Some(chat_text::of_plain(text)),
    };
    let (output, reasoning) = match answer {
        Some(Answer { output, reasoning }) => {
            let reasoning = job.in_all(count_all(bpe, &reasoning));
            (job.in_all(count_all(bpe, &output)).saturating_add(reasoning), reasoning)
        }
        None => (rough.output, 0),
    };
    Usage {
        input,
        output,
        reasoning,
        ..Usage::default()
    }
}

fn count_request(bpe: &CoreBPE, dialect: Dialect, body: &[u8]) -> Option<u64> {
    let tally = match dialect {
        Dialect::OpenAi => chat_text::of_request(body)?,
        _ => any_text::of_request(body)?,
    };
    Some(tally.fixed + count_all(bpe, &tally.text))
}

/// How many tokens a request is, about. Blocks, and loads the vocabulary the first time: not for a worker.
pub fn estimate_input(model: &str, dialect: Dialect, body: &[u8]) -> u64 {
    // tiktoken panics when its regex gives up on hostile text.
    let counted = catch_unwind(AssertUnwindSafe(|| count_request(vocabulary(model), dialect, body)));
    counted
        .ok()
        .flatten()
        .unwrap_or((body.len() as u64).div_ceil(BYTES_PER_TOKEN))
}

/// The most tokens that the text of a request is by this vocabulary: counted, and what was not (too long, too slow, members of
/// no known use) taken for as many as it can be. None where it cannot be read. Blocks, like [`estimate_input`].
pub fn bound_input(model: &str, dialect: Dialect, body: &[u8], media_bytes: usize) -> Option<u64> {
    let work = || {
        let tally = match dialect {
            Dialect::OpenAi => chat_text::of_request(body)?,
            _ => any_text::of_request(body)?,
        };
        let (tokens, seen) = count_some(vocabulary(model), &tally.text);
        let total = tally.text.kept.saturating_add(tally.text.skipped);
        // A token is a byte at least.
        let unseen = total.saturating_sub(seen);
        // The frame of the JSON, and what is none of the text that is known.
        let rest = body.len().saturating_sub(media_bytes).saturating_sub(total);
        Some(tokens + tally.fixed + unseen as u64 + rest as u64 / 2)
    };
    catch_unwind(AssertUnwindSafe(work)).ok().flatten()
}

/// The vocabulary of a model by its name (`openai/gpt-4o` counts as `gpt-4o`); the newest one for a name unknown.
fn vocabulary(model: &str) -> &'static CoreBPE {
    let name = model.rsplit('/').next().unwrap_or(model);
    match get_tokenizer(name) {
        // Harmony has o200k's ranks and more special tokens, which plain text has none of: no second table.
        Some(Tokenizer::O200kHarmony | Tokenizer::O200kBase) | None => tiktoken_rs::o200k_base_singleton(),
        Some(other) => tiktoken_rs::bpe_for_tokenizer(other).unwrap_or(tiktoken_rs::o200k_base_singleton()),
    }
}

/// Tokens of all pieces together, extrapolated to what was not kept or came after [`MAX_TIME`].
fn count_all(bpe: &CoreBPE, text: &Text) -> u64 {
    let total = text.kept.saturating_add(text.skipped);
    let (tokens, seen) = count_some(bpe, text);
    if seen >= total {
        return tokens;
    }
    let scaled = u128::from(tokens) * total as u128 / seen.max(1) as u128;
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// Tokens of what can be counted within [`MAX_TIME`], and how many bytes that was.
fn count_some(bpe: &CoreBPE, text: &Text) -> (u64, usize) {
    let started = Instant::now();
    let (mut tokens, mut seen) = (0u64, 0usize);
    'all: for piece in &text.pieces {
        let mut rest = piece.as_str();
        while !rest.is_empty() {
            if seen > 0 && started.elapsed() >= MAX_TIME {
                break 'all;
            }
            let (window, after) = rest.split_at(window_end(rest));
            tokens += bpe.count_ordinary(window) as u64;
            seen += window.len();
            rest = after;
        }
    }
    (tokens, seen)
}

/// Where to cut: before the last space of the first [`WINDOW`] bytes, since most tokens begin with theirs.
fn window_end(text: &str) -> usize {
    if text.len() <= WINDOW {
        return text.len();
    }
    let mut end = WINDOW;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = text.get(..end).unwrap_or(text);
    match head.rfind(char::is_whitespace) {
        Some(space) if space > 0 => space,
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(60);

    fn job(request: &str, response: ResponseText) -> (CountJob, mpsc::Receiver<Usage>) {
        let (tx, rx) = mpsc::channel();
        let job = CountJob {
            model: "gpt-4o".to_owned(),
            request_body: Bytes::copy_from_slice(request.as_bytes()),
            dialect: Dialect::OpenAi,
            response,
            forgotten: 0,
            done: Box::new(move |figures, estimated| {
                assert!(estimated);
                tx.send(figures).unwrap();
            }),
        };
        (job, rx)
    }

    #[test]
    fn counts_a_chat_as_the_provider_would() {
        let counter = TokenCounter::start().unwrap();
        let (job, figures) = job(
            r#"{"messages":[{"role":"user","content":"hello world"}]}"#,
            ResponseText::Json(Bytes::from_static(
                br#"{"choices":[{"message":{"content":"Hello! How are you?","reasoning_content":"a greeting"}}]}"#,
            )),
        );
        counter.submit(job);
        let figures = figures.recv_timeout(LONG).unwrap();
        // 4 + "hello" + " world" + 3; "Hello" "!" " How" " are" " you" "?" and "a" " greeting".
        assert_eq!((figures.input, figures.output, figures.reasoning), (9, 8, 2));
        while counter.pending() > 0 {
            std::thread::yield_now();
        }
        assert_eq!(counter.waiting.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn counts_a_stream_and_an_embedding() {
        let counter = TokenCounter::start().unwrap();
        let event = |text: &str| {
            Bytes::from(format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
            ))
        };
        let (stream, figures) = job(
            r#"{"input":"hello world"}"#,
            ResponseText::Events(vec![event("Hel"), event("lo"), event(" world")]),
        );
        counter.submit(stream);
        let figures = figures.recv_timeout(LONG).unwrap();
        assert_eq!((figures.input, figures.output), (2, 2));
    }

    #[test]
    fn unreadable_bodies_are_estimated_by_size() {
        let counter = TokenCounter::start().unwrap();
        let (job, figures) = job(&"x".repeat(400), ResponseText::Json(Bytes::from(vec![b'y'; 40])));
        counter.submit(job);
        let figures = figures.recv_timeout(LONG).unwrap();
        assert_eq!((figures.input, figures.output), (100, 10));
    }

    #[test]
    fn a_full_queue_gives_a_rough_figure_at_once() {
        let (jobs, _queue) = sync_channel(1);
        let counter = TokenCounter {
            jobs,
            waiting: Arc::default(),
        };
        let events = || ResponseText::Events(vec![Bytes::from_static(b"data: a\n\ndata: b\n\n")]);
        let (first, _kept) = job("{}", events());
        counter.submit(first);
        let (second, figures) = job("12345678", events());
        counter.submit(second);
        let figures = figures.try_recv().unwrap();
        assert_eq!((figures.input, figures.output), (2, 2));
        assert_eq!(counter.pending(), 1);
        // What was written, however short, is not free.
        let (third, figures) = job("{}", ResponseText::Plain("Hi".to_owned()));
        counter.submit(third);
        let figures = figures.try_recv().unwrap();
        assert_eq!((figures.input, figures.output), (1, 1));
    }

    #[test]
    fn bodies_beyond_the_memory_set_aside_are_not_queued() {
        let (jobs, _queue) = sync_channel(8);
        let counter = TokenCounter {
            jobs,
            waiting: Arc::default(),
        };
        let (huge, figures) = job("", ResponseText::Json(Bytes::from(vec![0; MAX_BYTES + 1])));
        counter.submit(huge);
        assert!(figures.try_recv().is_ok());
        assert_eq!(counter.waiting.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_callback_that_panics_does_not_end_the_counting() {
        let counter = TokenCounter::start().unwrap();
        let (mut bad, _) = job("{}", ResponseText::Json(Bytes::new()));
        bad.done = Box::new(|_, _| panic!("test"));
        counter.submit(bad);
        let (good, figures) = job("{}", ResponseText::Json(Bytes::new()));
        counter.submit(good);
        assert!(figures.recv_timeout(LONG).is_ok());
    }

    #[test]
    fn long_and_hostile_texts_are_bounded_in_time() {
        let bpe = vocabulary("gpt-4o");
        let tokens_of = |text: &str| {
            let body = serde_json::json!({ "prompt": text }).to_string();
            count_all(bpe, &chat_text::of_request(body.as_bytes()).unwrap().text)
        };
        let sentence = "the quick brown fox jumps over the lazy dog ";
        let expected = bpe.count_ordinary(&sentence.repeat(100)) as f64 * 1000.0;
        let counted = tokens_of(&sentence.repeat(100_000)) as f64;
        assert!((counted / expected - 1.0).abs() < 0.02, "{counted} {expected}");
        for hostile in ["a", " ", "\n", "é", "!", "\u{1F600}"] {
            let started = Instant::now();
            assert!(tokens_of(&hostile.repeat(3_000_000)) > 0);
            // Unbounded, the first of these takes hours; the room is for a slow test run on a busy machine.
            let took = started.elapsed();
            assert!(took < Duration::from_secs(20), "{hostile:?} {took:?}");
        }
    }

    #[test]
    fn names_choose_the_vocabulary() {
        let same = |a: &str, b: &str| std::ptr::eq(vocabulary(a), vocabulary(b));
        assert!(same("gpt-4o", "some-model-of-tomorrow"));
        assert!(same("openai/gpt-4", "text-embedding-3-small"));
        assert!(!same("gpt-4", "gpt-4o"));
        assert!(same("gpt-oss-20b", "gpt-4o"));
    }

    #[test]
    fn what_of_a_long_answer_was_not_kept_counts() {
        let text = || ResponseText::Plain("All of this was said and read. ".repeat(100));
        let (short, _) = job("{}", text());
        let (mut long, _) = job("{}", text());
        long.forgotten = 3 * long.kept();
        assert_eq!(count(&long).output, 4 * count(&short).output);
        assert_eq!(long.rough().output, 4 * short.rough().output);
    }

    #[test]
    fn a_bound_leaves_nothing_out() {
        let bound = |body: &str| bound_input("gpt-4o", Dialect::OpenAi, body.as_bytes(), 0).unwrap();
        let plain = r#"{"model":"m","messages":[{"role":"user","content":"hello there"}]}"#;
        assert!(bound(plain) < 60, "{}", bound(plain));
        // Members that are not known to the counter are read by the model all the same.
        let schema = "all of this is read ".repeat(500);
        let body = format!(r#"{{"model":"m","messages":[],"response_format":{{"x":"{schema}"}}}}"#);
        assert!(bound(&body) >= 2_500, "{}", bound(&body));
        // What is too long to be counted is taken for as much as it can be: spaces first, then what is dense.
        let long = format!("{}{}", " ".repeat(1024 * 1024), "\u{fffd}".repeat(100_000));
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{long}"}}]}}"#);
        assert!(bound(&body) >= 300_000, "{}", bound(&body));
        assert_eq!(bound_input("gpt-4o", Dialect::OpenAi, b"[", 0), None);
    }
}
