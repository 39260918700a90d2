//! The event log: `tracing` to standard error, Pingora's `log` records bridged into it, and the panic hook.
//!
//! Not the access log. The idea: our own events show at the configured level, everybody else's at `warn` and above, because
//! libraries' debug output contains header values. Pingora reports every broken client connection as an error; those are
//! a client's affairs, so they are shown at `debug` only, and without the client's address and path.

use super::access_line::LineFormat;
use prometheus::IntCounter;
use std::borrow::Cow;
use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Format, Full, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry, reload};

/// `tracing` target of bridged records; `module` says where each comes from.
const DEPENDENCY: &str = "dependency";
/// Longest text taken over from a bridged record, in characters.
const MAX_MESSAGE: usize = 500;

/// Changes the event log while it runs.
#[derive(Clone)]
pub struct LogHandle {
    json: Arc<AtomicBool>,
    filter: reload::Handle<Targets, Registry>,
}

/// Why the event log could not be set up: something else in the process already has.
#[derive(Debug)]
pub struct AlreadySet;

impl fmt::Display for AlreadySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the process already has a logger")
    }
}

impl std::error::Error for AlreadySet {}

impl LogHandle {
    /// Change shape and level, for every event from now on.
    pub fn set(&self, format: LineFormat, level: LevelFilter) {
        self.json.store(format == LineFormat::Json, Ordering::Relaxed);
        // Fails only when the subscriber is gone, and then nothing is logged anyway.
        let _ = self.filter.reload(targets(level));
    }
}

/// Send events to standard error from now on. Once per process.
pub fn init(format: LineFormat, level: LevelFilter) -> Result<LogHandle, AlreadySet> {
    let ansi = std::io::stderr().is_terminal();
    let (handle, subscriber) = subscriber(format, level, ansi, std::io::stderr);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| AlreadySet)?;
    log::set_logger(&Bridge).map_err(|_| AlreadySet)?;
    // Fixed: what is below would be dropped here, so let Pingora not even format it.
    log::set_max_level(log::LevelFilter::Warn);
    Ok(handle)
}

fn subscriber<W>(
    format: LineFormat,
    level: LevelFilter,
    ansi: bool,
    writer: W,
) -> (LogHandle, impl Subscriber + Send + Sync)
where
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let json = Arc::new(AtomicBool::new(format == LineFormat::Json));
    let (filter, handle) = reload::Layer::new(targets(level));
    let lines = tracing_subscriber::fmt::layer()
        .event_format(EventLine {
            json: Arc::clone(&json),
            as_json: Format::default()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false),
            as_text: Format::default(),
        })
        .with_ansi(ansi)
        .with_writer(writer);
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter));
    let handle = LogHandle { json, filter: handle };
    (handle, subscriber)
}

fn targets(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target("cirque", level)
        .with_target(DEPENDENCY, level)
}

/// Either shape, chosen per event so that a reload needs no new subscriber.
struct EventLine {
    json: Arc<AtomicBool>,
    as_json: Format<Json>,
    as_text: Format<Full>,
}

impl<S, N> FormatEvent<S, N> for EventLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if self.json.load(Ordering::Relaxed) {
            self.as_json.format_event(context, writer, event)
        } else {
            self.as_text.format_event(context, writer, event)
        }
    }
}

/// Takes the records of libraries that log through the `log` crate, Pingora above all.
struct Bridge;

impl log::Log for Bridge {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = match record.args().as_str() {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(record.args().to_string()),
        };
        let module = record.target();
        if of_one_connection(module, &message) {
            let message = scrubbed(&message);
            tracing::debug!(target: DEPENDENCY, module, "{message}");
        } else if record.level() == log::Level::Error {
            let message = scrubbed(&message);
            tracing::error!(target: DEPENDENCY, module, "{message}");
        } else {
            let message = scrubbed(&message);
            tracing::warn!(target: DEPENDENCY, module, "{message}");
        }
    }

    fn flush(&self) {}
}

/// Whether a record is about one client or upstream connection. Those failures are counted and, where they matter, logged
/// by the gateway itself; Pingora 0.9.1's modules, read in its source.
fn of_one_connection(module: &str, message: &str) -> bool {
    if message.starts_with("Crit:") {
        return false;
    }
    let modules = [
        "pingora_core::protocols",
        "pingora_core::apps",
        "pingora_core::connectors",
        "pingora_proxy",
        "pingora_pool",
    ];
    modules.iter().any(|prefix| module.starts_with(prefix))
        || (module == "pingora_core::services::listening" && message.starts_with("Downstream handshake"))
}

/// The text without the client's address and without the request line, in one line of bounded length.
fn scrubbed(message: &str) -> String {
    const HANDSHAKE: &str = "Downstream handshake error";
    let mut text = message;
    // "Downstream handshake error from ADDRESS: REASON"
    let mut head = "";
    if let Some((_, reason)) = message
        .strip_prefix(HANDSHAKE)
        .and_then(|rest| rest.strip_prefix(" from "))
        .and_then(|rest| rest.split_once(": "))
    {
        head = "Downstream handshake error: ";
        text = reason;
    }
    // "REASON, …, POST /path?query, Host: NAME"
    if let Some((before, _)) = text.split_once(", Host: ") {
        let methods = [
            "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE",
        ];
        let request = methods
            .iter()
            .filter_map(|method| before.find(&format!(", {method} ")))
            .min();
        // An unknown method: keep the first clause only.
        let end = request.or_else(|| before.find(", ")).unwrap_or(0);
        text = text.get(..end).unwrap_or_default();
    }
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    head.chars().chain(plain).take(MAX_MESSAGE).collect()
}

/// Count every panic and log it as one event. Call once, after [`init`].
pub fn install_panic_hook(panics: IntCounter) {
    std::panic::set_hook(Box::new(move |panic| {
        panics.inc();
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
            (Some(literal), _) => literal,
            (None, Some(text)) => without_values(text),
            (None, None) => "",
        };
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::capture();
        if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
            tracing::error!(target: "cirque::panic", %location, thread, %backtrace, "panic: {message}");
        } else {
            tracing::error!(target: "cirque::panic", %location, thread, "panic: {message}");
        }
    }));
}

/// A formatted panic message up to the values in it: `unwrap` shows the error, slicing shows the string, and either may be
/// a piece of somebody's prompt.
fn without_values(message: &str) -> &str {
    let end = [": ", " of `", " slicing `", "\n"]
        .iter()
        .filter_map(|mark| message.find(mark))
        .min()
        .unwrap_or(message.len());
    message.get(..end.min(MAX_MESSAGE)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Shelf(Arc<Mutex<Vec<u8>>>);

    impl Write for Shelf {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged while `act` runs.
    fn logged(format: LineFormat, level: LevelFilter, act: impl FnOnce(&LogHandle)) -> String {
        let shelf = Shelf::default();
        let writer = shelf.clone();
        let (handle, subscriber) = subscriber(format, level, false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || act(&handle));
        let bytes = shelf.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn bridge(level: log::Level, module: &str, message: &str) {
        log::Log::log(
            &Bridge,
            &log::Record::builder()
                .level(level)
                .target(module)
                .args(format_args!("{message}"))
                .build(),
        );
    }

    #[test]
    fn level_and_shape_change_while_running() {
        let text = logged(LineFormat::Text, LevelFilter::INFO, |handle| {
            tracing::debug!(target: "cirque::x", "hidden");
            tracing::info!(target: "cirque::x", answer = 42, "one");
            handle.set(LineFormat::Json, LevelFilter::DEBUG);
            tracing::debug!(target: "cirque::x", answer = 43, "two");
            handle.set(LineFormat::Text, LevelFilter::ERROR);
            tracing::warn!(target: "cirque::x", "hidden");
        });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].contains("INFO cirque::x: one answer=42"), "{text}");
        let json: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
        assert_eq!(json["message"], "two");
        assert_eq!(json["answer"], 43);
        assert_eq!(json["level"], "DEBUG");
    }

    #[test]
    fn libraries_never_show_more_than_warnings() {
        let text = logged(LineFormat::Text, LevelFilter::DEBUG, |_| {
            tracing::debug!(target: "h2::codec", "authorization: Bearer x");
            tracing::info!(target: "h2::codec", "hidden");
            tracing::warn!(target: "h2::codec", "shown");
            bridge(log::Level::Info, "pingora_core::server", "hidden");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("shown"));
    }

    #[test]
    fn pingoras_records_keep_their_level_but_broken_connections_are_for_debug() {
        let act = |_: &LogHandle| {
            bridge(
                log::Level::Error,
                "pingora_core::services::listening",
                "Accept() failed EMFILE",
            );
            bridge(
                log::Level::Error,
                "pingora_core::services::listening",
                "Downstream handshake error from 192.0.2.7:5512: bad certificate",
            );
            bridge(
                log::Level::Error,
                "pingora_proxy",
                "Fail to proxy: ReadError, status: 502, POST /v1/x?key=sk-1, 2, Host: a.example",
            );
            bridge(log::Level::Error, "pingora_core::protocols", "Crit: FD mismatch");
            bridge(log::Level::Warn, "pingora_load_balancing", "no backend");
        };
        let text = logged(LineFormat::Text, LevelFilter::INFO, act);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("ERROR dependency: Accept() failed EMFILE"), "{text}");
        assert!(text.contains("WARN dependency: no backend"), "{text}");
        let text = logged(LineFormat::Text, LevelFilter::DEBUG, act);
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.contains("DEBUG dependency: Downstream handshake error: bad certificate"));
        assert!(text.contains("Fail to proxy: ReadError, status: 502 module"), "{text}");
        assert!(!text.contains("192.0.2.7") && !text.contains("sk-1"), "{text}");
    }

    #[test]
    fn bridged_text_is_one_bounded_line() {
        let text = scrubbed(&format!("a\nb\u{1b}[31m{}", "x".repeat(2000)));
        assert!(text.starts_with("a b [31mx"));
        assert_eq!(text.chars().count(), MAX_MESSAGE);
        assert_eq!(scrubbed("failed, BREW /pot?key=1, Host: x"), "failed");
        assert_eq!(scrubbed(", Host: x"), "");
    }

    #[test]
    fn panic_messages_lose_the_values_in_them() {
        let cases = [
            (
                "byte index 1 is not a char boundary; it is inside 'é' (bytes 0..2) of `my prompt`",
                "byte index 1 is not a char boundary; it is inside 'é' (bytes 0..2)",
            ),
            (
                "begin <= end (4 <= 2) when slicing `my prompt`",
                "begin <= end (4 <= 2) when",
            ),
            (
                "called `Result::unwrap()` on an `Err` value: \"my prompt\"",
                "called `Result::unwrap()` on an `Err` value",
            ),
            ("plain", "plain"),
        ];
        for (message, kept) in cases {
            assert_eq!(without_values(message), kept);
        }
    }

    #[test]
    fn the_panic_hook_counts_and_logs() {
        let panics = IntCounter::new("panics", "Test.").unwrap();
        let text = logged(LineFormat::Text, LevelFilter::INFO, |_| {
            let before = std::panic::take_hook();
            install_panic_hook(panics.clone());
            let _ = std::panic::catch_unwind(|| panic!("literal text"));
            let _ = std::panic::catch_unwind(|| panic!("formatted: {}", std::hint::black_box("secret")));
            std::panic::set_hook(before);
        });
        assert!(panics.get() >= 2, "other tests may panic on purpose meanwhile");
        assert!(
            text.contains("panic: literal text") && text.contains("panic: formatted"),
            "{text}"
        );
        assert!(text.contains("logging.rs:") && !text.contains("secret"), "{text}");
    }
}
