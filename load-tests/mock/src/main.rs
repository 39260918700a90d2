//! `cirque-mock-provider`: a fake provider (OpenAI's API, and Anthropic's Messages) for load tests and for measuring the gateway's cost.
//!
//! It is made to be faster than anything measured through it (answers are rendered once and written in one call)
//! and to misbehave on request. It is not a model, and not the scripted upstream of the integration tests.
//! HTTP/1.1 is spoken on the raw socket (`h1`), because faults and speed both need it; HTTP/2 with prior
//! knowledge goes through hyper (`h2`). Both ask `decide` what to answer. `load-tests/README.md` lists it all.

mod answers;
mod ask;
mod clock;
mod decide;
mod fault;
mod h1;
mod h2;
mod latency;
mod messages;
mod vectors;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::decide::{Provider, Tally};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser, Debug, Clone)]
#[command(version, about)]
pub struct Flags {
    /// Address to listen on; may be given several times.
    #[arg(long, default_value = "127.0.0.1:9100")]
    pub listen: Vec<SocketAddr>,
    /// Time to first byte in ms: `fixed:MS`, `uniform:FROM:TO`, `lognormal:MEDIAN:SIGMA`, `bimodal:FAST:SLOW:SLOW_SHARE`.
    #[arg(long, default_value = "fixed:0")]
    pub latency: latency::Latency,
    /// Completion tokens of a stream; the stream then has this many events and two more (role, `[DONE]`).
    #[arg(long, default_value_t = 32)]
    pub tokens: usize,
    /// Pause before each event in ms; 0 means that all events are ready at once and leave in one write.
    #[arg(long, default_value_t = 0)]
    pub token_interval: u64,
    /// Share of API requests (0 to 1) that fail as `--failure` says.
    #[arg(long, default_value_t = 0.0)]
    pub failure_share: f64,
    /// `PERIOD:FAILING` in ms: in every period the last FAILING ms all requests fail as `--failure` says.
    #[arg(long)]
    pub failure_window: Option<latency::Window>,
    /// How they fail: the name of any fault; statuses fail without the latency of an answer.
    #[arg(long, default_value = "status-500")]
    pub failure: fault::Fault,
    /// `PERIOD:LIMITED` in ms: in every period the last LIMITED ms answer 429 with a true `retry-after`.
    #[arg(long)]
    pub rate_limit_window: Option<latency::Window>,
    /// More requests under way than this are answered 429 with `retry-after: 1`.
    #[arg(long)]
    pub max_concurrent: Option<u64>,
    /// A text that repeats nothing, as the directive `numbered-` asks for.
    #[arg(long)]
    pub numbered: bool,
    /// Shown as `system_fingerprint`, for telling several of these apart behind a gateway.
    #[arg(long, default_value = "mock0001")]
    pub name: String,
    /// Length of the JSON of a chat answer that is not streamed.
    #[arg(long, default_value_t = 1024)]
    pub response_bytes: usize,
    /// Worker threads.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let mut builder = if flags.threads > 1 {
        let mut many = tokio::runtime::Builder::new_multi_thread();
        many.worker_threads(flags.threads);
        many
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let outcome = builder
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(serve(flags)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cirque-mock-provider: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(flags: Flags) -> std::io::Result<()> {
    let provider = Arc::new(Provider::new(flags));
    for address in &provider.flags.listen {
        let listener = bind(*address)?;
        // The line a script waits for; it also tells the port when port 0 was asked for.
        println!("listening on {}", listener.local_addr()?);
        tokio::spawn(accept(listener, Arc::clone(&provider)));
    }
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = term.recv() => Ok(()),
        ctrl_c = tokio::signal::ctrl_c() => ctrl_c,
    }
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}

async fn accept(listener: TcpListener, provider: Arc<Provider>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, Arc::clone(&provider)));
            }
            // Out of descriptors, most likely: give the others a chance to close.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
}

async fn connection(stream: TcpStream, provider: Arc<Provider>) {
    let _ = stream.set_nodelay(true);
    let open = Tally::open(&provider);
    match starts_with_h2_preface(&stream).await {
        Ok(true) => h2::serve(stream, &provider).await,
        Ok(false) => h1::serve(stream, &provider).await,
        Err(_) => {}
    }
    drop(open);
}

/// Looks at the first three bytes without taking them: `PRI` opens HTTP/2 and begins no HTTP/1.1 method in use.
async fn starts_with_h2_preface(stream: &TcpStream) -> std::io::Result<bool> {
    let mut first = [0u8; 3];
    loop {
        let seen = stream.peek(&mut first).await?;
        let seen = first.get(..seen).unwrap_or_default();
        if seen.is_empty() || !b"PRI".starts_with(seen) {
            return Ok(false);
        }
        if seen == b"PRI" {
            return Ok(true);
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}
