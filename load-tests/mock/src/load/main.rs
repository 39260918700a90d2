//! `cirque-load`: a light HTTP/1.1 load generator for one kind of request, on keep-alive connections.
//!
//! It is for figures that have to be repeatable: a fixed number of requests, a latency histogram, every answer checked
//! (status 200, framing complete, streams ended by their end marker), and the CPU time of watched processes read at the very
//! start and end of the measured part. It shares a core with the mock, so it does as little as it can. Scenarios with
//! many kinds of requests are k6's business.

#[path = "../clock.rs"]
mod clock;
mod cpu;
mod idle;
mod response;
mod run;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser, Debug, Clone)]
#[command(version, about)]
pub struct Flags {
    #[arg(long)]
    pub target: SocketAddr,
    #[arg(long, default_value = "/v1/chat/completions")]
    pub path: String,
    #[arg(long, default_value = "mock")]
    pub model: String,
    #[arg(long)]
    pub stream: bool,
    /// Ask for the usage chunk.
    #[arg(long)]
    pub include_usage: bool,
    /// Length of the request's JSON.
    #[arg(long, default_value_t = 1024)]
    pub body_bytes: usize,
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Measured requests, over all connections.
    #[arg(long, default_value_t = 10_000)]
    pub requests: u64,
    /// Requests before the measured ones, over all connections.
    #[arg(long, default_value_t = 0)]
    pub warmup: u64,
    /// Stop the measured part after this many seconds even when requests are left.
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Processes whose CPU time is read before and after the measured part; `NAME=PID[,PID...]`, several times.
    #[arg(long)]
    pub watch: Vec<cpu::Watch>,
    /// Credential to send as a bearer token.
    #[arg(long, default_value = "sk-load-0123456789abcdef")]
    pub key: String,
    /// Measure the delay of each event of a `stamp-` stream.
    #[arg(long)]
    pub gaps: bool,
    /// Instead of a run: open this many connections, make one request on each, print a line, hold until stdin ends.
    #[arg(long)]
    pub idle: Option<usize>,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| match flags.idle {
            Some(count) => runtime.block_on(idle::hold(&flags, count)),
            None => runtime.block_on(run::run(&flags)),
        });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(problem) => {
            eprintln!("cirque-load: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// The request as it goes over the wire, padded in the user's message to the length asked for.
pub fn request(flags: &Flags) -> Vec<u8> {
    let body = |text: &str| {
        let mut body = json!({"model": flags.model, "temperature": 0.7});
        let user = json!([{"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": text}]);
        if let Some(members) = body.as_object_mut() {
            let last = flags.path.rsplit('/').next().unwrap_or_default();
            match (flags.path.contains("/chat/"), last) {
                (true, _) => members.insert("messages".to_owned(), user),
                (false, "messages") => {
                    members.insert("system".to_owned(), json!("You are a helpful assistant."));
                    members.insert("max_tokens".to_owned(), json!(1024));
                    members.insert("messages".to_owned(), json!([{"role": "user", "content": text}]))
                }
                (false, "completions") => members.insert("prompt".to_owned(), json!(text)),
                _ => members.insert("input".to_owned(), json!(text)),
            };
            if flags.stream {
                members.insert("stream".to_owned(), json!(true));
            }
            if flags.include_usage {
                members.insert("stream_options".to_owned(), json!({"include_usage": true}));
            }
        }
        body.to_string()
    };
    let pad = flags.body_bytes.saturating_sub(body("").len());
    // Words with line ends and quotes: JSON escapes occur in real prompts and cost a parser something.
    let text: String = "Tell me more about the \"circus\" of old;\n"
        .chars()
        .cycle()
        .take(pad)
        .collect();
    // Escapes make the JSON longer than the text; cutting the text brings it back to the length.
    let extra = body(&text).len().saturating_sub(flags.body_bytes);
    let kept: String = text.chars().take(pad.saturating_sub(extra)).collect();
    let body = body(&kept);
    let mut wire = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\nuser-agent: cirque-load\r\naccept: application/json\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        flags.path, flags.target, flags.key, body.len()
    )
    .into_bytes();
    wire.extend_from_slice(body.as_bytes());
    wire
}
