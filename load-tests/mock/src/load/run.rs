//! One measured run: warm-up, a common start, a fixed number of requests shared by all connections, and the figures as
//! one JSON object on stdout.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::LocalSet;

use crate::response::Reader;
use crate::{Flags, request};

/// Longer than any honest answer of the mock; a hung proxy ends the run with errors instead of never.
const GIVE_UP: Duration = Duration::from_secs(30);

struct Figures {
    left: u64,
    deadline: Option<Instant>,
    total_ns: Histogram<u64>,
    head_ns: Histogram<u64>,
    delays_ns: Vec<u64>,
    errors: BTreeMap<String, u64>,
    payload_bytes: u64,
    reconnects: u64,
}

impl Figures {
    fn new(requests: u64) -> Result<Self, String> {
        // Nanoseconds up to a minute.
        let histogram = || Histogram::new_with_bounds(1, 60_000_000_000, 3).map_err(|e| e.to_string());
        Ok(Self {
            left: requests,
            deadline: None,
            total_ns: histogram()?,
            head_ns: histogram()?,
            delays_ns: Vec::new(),
            errors: BTreeMap::new(),
            payload_bytes: 0,
            reconnects: 0,
        })
    }

    fn take_one(&mut self) -> bool {
        if self.left == 0 || self.deadline.is_some_and(|end| Instant::now() >= end) {
            return false;
        }
        self.left -= 1;
        true
    }
}

pub struct Client<'a> {
    flags: &'a Flags,
    wire: &'a [u8],
    stream: Option<TcpStream>,
    reader: Reader,
}

impl<'a> Client<'a> {
    pub fn new(flags: &'a Flags, wire: &'a [u8]) -> Self {
        Self {
            flags,
            wire,
            stream: None,
            reader: Reader::new(),
        }
    }

    pub async fn connect(&mut self) -> Result<(), String> {
        let stream = TcpStream::connect(self.flags.target)
            .await
            .map_err(|e| format!("connect: {}", e.kind()))?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        self.stream = Some(stream);
        self.reader = Reader::new();
        Ok(())
    }

    /// The connection without its buffers: what an idle client holds.
    pub fn into_stream(self) -> Option<TcpStream> {
        self.stream
    }

    /// One request and its checked answer: (time to the head, time to the end, payload bytes).
    pub async fn once(&mut self, delays: Option<&mut Vec<u64>>) -> Result<(Duration, Duration, u64), String> {
        if self.stream.is_none() {
            self.connect().await?;
        }
        let Some(mut stream) = self.stream.take() else {
            return Err("no connection".to_owned());
        };
        let begin = Instant::now();
        let mut head = Duration::ZERO;
        let exchange = async {
            stream.write_all(self.wire).await.map_err(|_| "write failed")?;
            let on_head = || head = begin.elapsed();
            self.reader.read(&mut stream, delays, on_head).await
        };
        let seen = tokio::time::timeout(GIVE_UP, exchange)
            .await
            .map_err(|_| "no answer in time".to_owned())??;
        let total = begin.elapsed();
        if seen.keep_alive {
            self.stream = Some(stream);
        }
        if seen.status != 200 {
            return Err(format!("status {}", seen.status));
        }
        if self.flags.stream && !(seen.event_stream && seen.done) {
            return Err("stream without [DONE]".to_owned());
        }
        Ok((head, total, seen.payload_bytes))
    }
}

pub async fn run(flags: &Flags) -> Result<bool, String> {
    let wire: Rc<[u8]> = request(flags).into();
    let shared_flags = Rc::new(flags.clone());
    let warmup = Rc::new(RefCell::new(Figures::new(flags.warmup)?));
    let figures = Rc::new(RefCell::new(Figures::new(flags.requests)?));
    let barrier = Rc::new(Barrier::new(flags.connections + 1));
    let local = LocalSet::new();
    let workers: Vec<_> = (0..flags.connections)
        .map(|_| {
            let (flags, wire) = (Rc::clone(&shared_flags), Rc::clone(&wire));
            let (warmup, figures) = (Rc::clone(&warmup), Rc::clone(&figures));
            let barrier = Rc::clone(&barrier);
            local.spawn_local(async move {
                let mut client = Client::new(&flags, &wire);
                worker(&mut client, &warmup).await;
                barrier.wait().await;
                barrier.wait().await;
                worker(&mut client, &figures).await;
            })
        })
        .collect();
    let (elapsed, spent) = local
        .run_until(async {
            barrier.wait().await;
            let before = read_cpu(flags)?;
            let begin = Instant::now();
            figures.borrow_mut().deadline = flags.seconds.map(|s| begin + Duration::from_secs_f64(s));
            barrier.wait().await;
            for worker in workers {
                worker.await.map_err(|e| e.to_string())?;
            }
            let elapsed = begin.elapsed();
            let after = read_cpu(flags)?;
            let spent = before.into_iter().zip(after).map(|(b, a)| a - b);
            Ok::<_, String>((elapsed, spent.collect::<Vec<u64>>()))
        })
        .await?;
    let figures = figures.borrow();
    println!("{}", report(flags, &figures, elapsed, &spent));
    Ok(figures.errors.is_empty())
}

fn read_cpu(flags: &Flags) -> Result<Vec<u64>, String> {
    flags.watch.iter().map(|watch| watch.spent_ns()).collect()
}

async fn worker(client: &mut Client<'_>, figures: &RefCell<Figures>) {
    let mut delays = Vec::new();
    let wants_delays = client.flags.gaps;
    while figures.borrow_mut().take_one() {
        if client.stream.is_none() {
            figures.borrow_mut().reconnects += 1;
        }
        let outcome = client.once(wants_delays.then_some(&mut delays)).await;
        let mut figures = figures.borrow_mut();
        match outcome {
            Ok((head, total, bytes)) => {
                let ns = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
                figures.head_ns.saturating_record(ns(head));
                figures.total_ns.saturating_record(ns(total));
                figures.payload_bytes += bytes;
                figures.delays_ns.append(&mut delays);
            }
            Err(problem) => {
                client.stream = None;
                delays.clear();
                *figures.errors.entry(problem).or_insert(0) += 1;
            }
        }
    }
}

fn report(flags: &Flags, figures: &Figures, elapsed: Duration, spent: &[u64]) -> Value {
    let done = figures.total_ns.len();
    let per_request = |ns: u64| ns as f64 / 1000.0 / (done.max(1) as f64);
    let cpu: BTreeMap<&str, f64> = flags
        .watch
        .iter()
        .zip(spent)
        .map(|(watch, ns)| (watch.name.as_str(), per_request(*ns)))
        .collect();
    let micros = |histogram: &Histogram<u64>, q| histogram.value_at_quantile(q) as f64 / 1000.0;
    let mut delays = figures.delays_ns.clone();
    delays.sort_unstable();
    let delay = |q: f64| {
        let at = ((delays.len() as f64 - 1.0).max(0.0) * q).round() as usize;
        delays.get(at).map(|ns| *ns as f64 / 1000.0)
    };
    json!({
        "requests": done,
        "errors": figures.errors.values().sum::<u64>(),
        "error_kinds": figures.errors,
        "reconnects": figures.reconnects,
        "seconds": elapsed.as_secs_f64(),
        "rps": done as f64 / elapsed.as_secs_f64(),
        "p50_us": micros(&figures.total_ns, 0.5),
        "p90_us": micros(&figures.total_ns, 0.9),
        "p99_us": micros(&figures.total_ns, 0.99),
        "max_us": figures.total_ns.max() as f64 / 1000.0,
        "head_p50_us": micros(&figures.head_ns, 0.5),
        "head_p99_us": micros(&figures.head_ns, 0.99),
        "payload_bytes": figures.payload_bytes,
        "cpu_us_per_request": cpu,
        "events_timed": delays.len(),
        "delay_p50_us": delay(0.5),
        "delay_p99_us": delay(0.99),
        "delay_max_us": delay(1.0),
    })
}
