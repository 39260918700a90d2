//! Keys, limits and money of a fleet: several real gateways on one real Redis and one real PostgreSQL, which are killed, stopped and
//! restarted under load. The proof of issue 5.
//!
//! The one idea: the truth is what the provider was asked and said, and what stands in the ledger; the gateways' own figures are
//! only compared with it. Each request has a number, in its text and in its `x-request-id`, so that nothing is lost or doubled
//! unnoticed.

mod crash;
mod database;
mod disk;
mod instance;
mod keys;
mod money;
mod outage;
mod provider;
mod rates;
mod rows;
mod upgrade;

use crate::support::client::{Client, post};
use instance::Instance;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A virtual key of the configuration file.
pub const KEY: &str = "a-key-of-the-file-that-fleets-share-0001";
/// Another.
pub const OTHER_KEY: &str = "a-key-of-the-file-that-fleets-share-0002";
/// An operator's token.
pub const TOKEN: &str = "operator-token-of-the-fleet-tests-0001";

/// What a client got.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// 0: nothing, or not to its end.
    pub status: u16,
    pub text: String,
    /// When it was there.
    pub at: Option<Instant>,
}

impl Answer {
    fn of(text: String) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().unwrap())
        });
        let whole = length.map_or(body.ends_with("0\r\n\r\n"), |length| body.len() == length);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Self {
            status: status.filter(|_| whole).unwrap_or_default(),
            text,
            at: Some(Instant::now()),
        }
    }

    pub fn is(&self, code: &str) -> bool {
        self.text.contains(&format!("\"code\":\"{code}\""))
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Chat {
    pub number: usize,
    pub model: &'static str,
    /// Tokens that the provider says it wrote.
    pub writes: u64,
    pub max_tokens: Option<u64>,
    pub stream: bool,
}

impl Chat {
    pub fn new(number: usize) -> Self {
        Self {
            number,
            model: "m",
            writes: 50,
            max_tokens: Some(50),
            stream: false,
        }
    }

    pub fn bytes(&self, key: &str, headers: &str) -> Vec<u8> {
        let cap = self
            .max_tokens
            .map_or(String::new(), |most| format!("\"max_tokens\":{most},"));
        let body = format!(
            r#"{{"model":"{}",{cap}"stream":{},"messages":[{{"role":"user","content":"write {} of #{}."}}]}}"#,
            self.model, self.stream, self.writes, self.number
        );
        let headers = format!(
            "authorization: Bearer {key}\r\nx-request-id: r-{}\r\n{headers}",
            self.number
        );
        post("/v1/chat/completions", &headers, body)
    }
}

/// One request on a connection of its own.
pub fn chat(to: SocketAddr, key: &str, chat: Chat) -> Answer {
    let Ok(mut client) = Client::try_connect(to) else {
        return Answer::default();
    };
    match client.try_send(chat.bytes(key, "connection: close\r\n")) {
        Ok(()) => Answer::of(client.rest()),
        Err(_) => Answer::default(),
    }
}

/// One that leaves after the first event.
pub fn abort(to: SocketAddr, key: &str, chat: Chat) -> Answer {
    let mut client = Client::connect(to);
    client.send(chat.bytes(key, ""));
    let head = client.head();
    if head.status == 200 {
        drop(client.chunk());
    }
    Answer {
        status: head.status,
        ..Answer::default()
    }
}

/// Load until it is stopped: so many threads, each asking for one after the other, in turn at all addresses.
pub struct Load {
    stop: Arc<AtomicBool>,
    next: Arc<AtomicUsize>,
    answers: Arc<Mutex<Vec<(usize, Answer)>>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    pub fn start(
        threads: usize,
        to: &[SocketAddr],
        key: &str,
        make: impl Fn(usize) -> Chat + Send + Sync + 'static,
    ) -> Self {
        let (stop, next) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let answers = Arc::<Mutex<Vec<(usize, Answer)>>>::default();
        let make = Arc::new(make);
        let run = |_| {
            let (stop, next, answers) = (Arc::clone(&stop), Arc::clone(&next), Arc::clone(&answers));
            let (to, key, make) = (to.to_vec(), key.to_owned(), Arc::clone(&make));
            small_thread(move || {
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let answer = chat(to[number % to.len()], &key, make(number));
                    answers.lock().unwrap().push((number, answer));
                }
            })
        };
        let threads = (0..threads).map(run).collect();
        Self {
            stop,
            next,
            answers,
            threads,
        }
    }

    /// Requests that were answered so far.
    pub fn answered(&self) -> usize {
        self.answers.lock().unwrap().len()
    }

    pub fn with_status(&self, status: u16) -> usize {
        let answers = self.answers.lock().unwrap();
        answers.iter().filter(|(_, answer)| answer.status == status).count()
    }

    /// Wait until so many more are answered.
    pub fn more(&self, count: usize) {
        let before = self.answered();
        within(Duration::from_secs(40), "load goes on", || {
            (self.answered() >= before + count).then_some(())
        });
    }

    /// All answers, by number.
    pub fn stop(self) -> Vec<(usize, Answer)> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        let mut answers = std::mem::take(&mut *self.answers.lock().unwrap());
        answers.sort_by_key(|(number, _)| *number);
        assert_eq!(answers.len(), self.next.load(Ordering::Relaxed));
        answers
    }
}

/// All at once, each on a thread of its own.
pub fn storm(requests: usize, one: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Vec<Answer> {
    let one = Arc::new(one);
    let threads: Vec<_> = (0..requests)
        .map(|number| {
            let one = Arc::clone(&one);
            small_thread(move || one(number))
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

fn small_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> std::thread::JoinHandle<T> {
    let thread = std::thread::Builder::new().stack_size(256 * 1024);
    thread.spawn(work).unwrap()
}

/// Poll, for longer than `support::eventually` does.
#[track_caller]
pub fn within<T>(time: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + time;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "did not happen in {time:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Four on one Redis, whose keys have these limits and budgets.
pub fn fleet(size: usize, redis: &str, provider: &provider::Provider, of_key: &str) -> Vec<Instance> {
    let body = |_| {
        format!(
            "{}redis: {{ urls: [ \"{redis}\" ], timeout: 600ms, instance_expiry: 2s }}\nkeys: {{ k: {{ secret: env:KEY, {of_key} }} }}\n",
            provider.config()
        )
    };
    let started: Vec<Instance> = (0..size).map(|number| Instance::spawn(&body(number))).collect();
    for instance in &started {
        instance.ready();
    }
    for instance in &started {
        instance.wait_metric("cirque_redis_up", 1.0);
        instance.wait_metric("cirque_instances", size as f64);
    }
    started
}
