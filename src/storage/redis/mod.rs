//! Redis or Valkey: limits, budgets and notices that instances share. [`RedisExchange`] is the exchange that `limits` asks;
//! [`cache`] has the answers that they share.
//!
//! Not a place for what must last: Redis may lose everything at any moment and no limit is exceeded. The one idea: what an instance
//! may spend is *out* with it and counts as used; every doubt (an answer that did not come, a report that may have been lost, a
//! Redis that began anew) ends the *generation*, and the next one begins by telling Redis the truth.
//!
//! Needs Redis 6 or Valkey, `maxmemory-policy noeviction`, and for its user `EVAL`, `EVALSHA`, `INFO`, `EXISTS`, `HGETALL`,
//! `PUBLISH`, `SUBSCRIBE` and what the scripts use (hashes, one sorted set, `DEL`, `EXPIRE…`, `TIME`). Sentinel is not supported.
//! Names: all begin with `{prefix}:`, one hash tag, so that one script sees all counts also in a cluster:
//!
//! | name | what |
//! |---|---|
//! | `epoch` | hash: `id`, `run` (of the server process), `at`, `open` (µs), `n` (answers) |
//! | `alive` | instances by the time (µs) of their last heartbeat |
//! | `i:<instance>` | hash: `gen`, `seq` (last report); a week, a day after its death |
//! | `o:<instance>` | hash: what is out with it, by `<field>@<count's name>` |
//! | `w:<start>-<end>:<count>` | a window: `u` (spent and out), `e` (epoch), `seed`; until its end and a day, of `total` for ever |
//! | `s:<µs>:<count>` | a sliding count: slot → amount; until the last slot is old |
//! | `c:<count>` | what is under way: `u`, `e`; while there is any |
//!
//! # Protocol
//! 1. **Hello.** An instance connects, learns the server's run id, and begins a generation, a number that only grows. From then on
//!    Redis refuses commands of its earlier generations ("stale"), so a command that was stuck in a hanging server or connection
//!    does nothing when it gets through at last. Every other script checks epoch and generation first.
//! 2. **Reconciliation.** Redis answers with the number of the last report it executed and with what it believes to be out with the
//!    instance. A report in doubt is thereby known to be executed or not; what is out is set to what the instance really has. Room
//!    that was given in an answer that never arrived returns, and room of an instance that was taken for dead and was only slow
//!    counts again.
//! 3. **Take**, all or nothing, by Redis' clock: `need`, and of `ahead` as much as a hundredth of what remains beyond allows.
//! 4. **Report**, numbered; one at a time. Whoever reported repeats a report that was not answered, unchanged, before any other; if
//!    it turns out (2) that it had been executed, the repetition does nothing and is answered.
//! 5. **Heartbeat** every second (less if instances expire sooner). It also gives back what is out with instances silent for longer
//!    than `instance_expiry`, and fences them off: one that was only slow is "stale" and starts at 1.
//! 6. **Loss of memory.** The epoch is bound to the server process. When it is missing, or of another process (a restart, with or
//!    without a snapshot, or a failover), whoever notices first creates a new one, and what is out with whom is forgotten.
//!    For two seconds (longer while somebody is still telling, ten at most) nothing is granted; meanwhile every instance tells what
//!    it knows to be used of every count. Windows begin with the largest figure told; of a sliding count it
//!    counts from now on for a whole stretch. What an instance saw last includes all that was out with it, so the largest figure
//!    covers every grant that anybody received. Who tells more later raises the count by the difference. (`known` of a question or
//!    a report raises the count to it, in every epoch: whoever asks says it once only.)
//!    What was out is used for good from then on: it is contained in what is told, and what of it comes back is forgone. What is
//!    under way begins at nothing. [`Exchange::epoch`] has changed by the time that [`Exchange::available`] says so: whoever uses
//!    the exchange reports again what was used beyond and not yet reported, and as `beyond` what is under way.
//!    (An instance that cannot reach the new process within that time, while nobody else has seen its grants, may exceed a limit by
//!    what is out with it: at most a hundredth of what remained, for each such instance.)
//! 7. **Breaker.** A call that fails or takes longer than `timeout` ends the generation: calls answer [`Outage`] at once until a new
//!    one has begun, tried at once and then once a second in the background.
//! 8. **Sliding counts** are exact to a twentieth: a grant counts until its slot and twenty more have passed. What comes back is
//!    taken from the oldest slot out with the instance and what was spent stays in the newest, so at least as much is counted in any
//!    stretch as was used. What comes back of slots that count no more is forgone.
//! 9. **Rubbish** in a count's name makes that count unusable (`Outage`, logged once), and nothing else.

mod answers;
mod book;
pub mod cache;
mod count;
mod keeper;
mod link;
mod script;

#[cfg(test)]
mod tests;

use crate::hex::hex;
use crate::limits::{Ask, Exchange, Outage, Report, Taken};
use crate::secret::Secret;
use async_trait::async_trait;
use book::Book;
use count::written;
use redis::aio::MultiplexedConnection;
use script::{Failure, Script};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// What is needed to share counts: `config::Redis`, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `redis://user:password@host:6379/0` or `rediss://`; several for a cluster.
    pub urls: Vec<Secret>,
    /// It is a Redis Cluster.
    pub cluster: bool,
    /// Instances that share have the same. Braces in it are dropped: it is the hash tag.
    pub prefix: String,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// After which silence an instance is taken for dead.
    pub instance_expiry: Duration,
    /// PEM of the authorities that sign the server's certificate; none: the usual ones.
    pub ca: Option<Vec<u8>>,
    /// How long all tell what they know after a loss of memory, before anybody is granted room. The same on all instances.
    pub seeding: Duration,
}

impl Settings {
    /// The defaults: prefix `cirque`, 100 ms, 15 s, 2 s.
    pub fn new(urls: Vec<Secret>) -> Self {
        Self {
            urls,
            cluster: false,
            prefix: "cirque".to_owned(),
            timeout: Duration::from_millis(100),
            instance_expiry: Duration::from_secs(15),
            ca: None,
            seeding: Duration::from_secs(2),
        }
    }
}

/// A generation: the connection and the epoch it began in.
struct Session {
    connection: MultiplexedConnection,
    generation: u64,
    epoch: u64,
    /// The epoch as Redis writes it.
    id: String,
}

/// What the exchange and its keeper share.
struct Shared {
    settings: Settings,
    link: link::Link,
    /// Of this process, 128 random bits.
    instance: String,
    /// `{prefix}:`.
    begin: String,
    /// `epoch`, `alive`, and this instance's `i:` and `o:`.
    names: [String; 4],
    session: arc_swap::ArcSwapOption<Session>,
    book: Mutex<Book>,
    /// Reports go one at a time, so that their numbers arrive in order.
    reporting: tokio::sync::Mutex<()>,
    /// The generation has ended, or the exchange has.
    wake: Notify,
    closed: AtomicBool,
    instances: AtomicUsize,
    epoch: AtomicU64,
    revision: watch::Sender<i64>,
    said_rubbish: AtomicBool,
}

/// Counts shared through Redis.
pub struct RedisExchange {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for RedisExchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisExchange")
            .field("prefix", &self.shared.begin)
            .finish_non_exhaustive()
    }
}

impl RedisExchange {
    /// Start connecting, in a thread of its own. A Redis that does not answer is no error, it is an outage.
    ///
    /// Fails if a URL or the certificates cannot be read, or the system gives no thread; the text quotes no URL.
    pub fn connect(settings: Settings) -> Result<Arc<Self>, String> {
        let link = link::Link::new(&settings.urls, settings.cluster, settings.ca.clone())?;
        let tag: String = settings
            .prefix
            .chars()
            .filter(|letter| !matches!(letter, '{' | '}'))
            .collect();
        let begin = format!("{{{}}}:", if tag.is_empty() { "cirque" } else { &tag });
        let instance = random_name()?;
        let names =
            ["epoch", "alive", &format!("i:{instance}"), &format!("o:{instance}")].map(|name| format!("{begin}{name}"));
        let shared = Arc::new(Shared {
            settings,
            link,
            instance,
            begin,
            names,
            session: arc_swap::ArcSwapOption::empty(),
            book: Mutex::new(Book::default()),
            reporting: tokio::sync::Mutex::new(()),
            wake: Notify::new(),
            closed: AtomicBool::new(false),
            instances: AtomicUsize::new(1),
            epoch: AtomicU64::new(0),
            revision: watch::Sender::new(0),
            said_rubbish: AtomicBool::new(false),
        });
        keeper::start(Arc::clone(&shared)).map_err(|error| format!("no thread for Redis: {error}"))?;
        Ok(Arc::new(Self { shared }))
    }

    /// Tell all instances that the store has changed. At most once: who does not hear it finds out by asking the store.
    pub async fn announce(&self, revision: i64) -> Result<(), Outage> {
        let session = self.shared.session.load_full().ok_or(Outage)?;
        let mut command = redis::cmd("PUBLISH");
        command.arg(format!("{}changed", self.shared.begin)).arg(revision);
        let mut connection = session.connection.clone();
        let sent = command.query_async::<redis::Value>(&mut connection);
        match tokio::time::timeout(self.shared.settings.timeout, sent).await {
            Ok(Ok(_)) => Ok(()),
            _ => {
                self.shared.end(session.generation);
                Err(Outage)
            }
        }
    }

    /// The greatest revision heard of, 0 at first. Changes may be missed while Redis cannot be reached.
    pub fn changes(&self) -> watch::Receiver<i64> {
        self.shared.revision.subscribe()
    }

    /// This process stops: what is out with it returns at the next heartbeat of any other instance. Report before.
    pub async fn leave(&self) {
        self.shared.closed.store(true, Ordering::Release);
        if let Some(session) = self.shared.session.load_full() {
            let mut command = redis::cmd("ZADD");
            command.arg(&self.shared.names[1]).arg(0).arg(&self.shared.instance);
            let mut connection = session.connection.clone();
            let gone = command.query_async::<redis::Value>(&mut connection);
            let _ = tokio::time::timeout(self.shared.settings.timeout, gone).await;
            self.shared.end(session.generation);
        }
    }
}

impl Drop for RedisExchange {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.wake.notify_one();
    }
}

#[async_trait]
impl Exchange for RedisExchange {
    async fn take(&self, asks: &[Ask]) -> Result<Taken, Outage> {
        let shared = &*self.shared;
        let session = shared.session.load_full();
        let epoch = session.as_ref().map_or(0, |session| session.epoch);
        let mut names = Vec::with_capacity(asks.len());
        {
            let (now, mut book) = (Instant::now(), shared.book());
            for ask in asks {
                let (name, kind) = count::name(&shared.begin, &ask.count, ask.shape);
                book.note(&name, kind, ask.known, epoch, now);
                names.push((name, kind));
            }
        }
        let session = session.ok_or(Outage)?;
        let mut arguments = session.head(asks.len());
        for (ask, (_, kind)) in asks.iter().zip(&names) {
            arguments.extend(kind.written());
            let ahead = count::ahead(ask.shape, ask.limit, ask.ahead);
            arguments.extend([ask.known, ask.need, ahead, ask.limit].map(written));
        }
        let keys = shared.keys(names.iter().map(|(name, _)| &**name));
        let asked = shared.run(&session, &script::TAKE, &keys, &arguments);
        let answer = shared.in_time(&session, asked).await?;
        match answer.split_first() {
            Some((word, rest)) if word == "granted" => shared.granted(&session, &names, rest)?,
            Some((word, rest)) if word == "refused" => answers::refused(asks, rest),
            _ => None,
        }
        .ok_or_else(|| shared.wrong(&session, &answer))
    }

    /// A report that answered [`Outage`] is repeated unchanged, before any other, until it arrives or the epoch has changed.
    async fn report(&self, reports: &[Report]) -> Result<Vec<u64>, Outage> {
        let shared = &*self.shared;
        let session = shared.session.load_full();
        let epoch = session.as_ref().map_or(0, |session| session.epoch);
        let mut names = Vec::with_capacity(reports.len());
        {
            let (now, mut book) = (Instant::now(), shared.book());
            for report in reports {
                let (name, kind) = count::name(&shared.begin, &report.count, report.shape);
                book.note(&name, kind, report.known, epoch, now);
                names.push((name, kind));
            }
        }
        let session = session.ok_or(Outage)?;
        let sent = shared.deliver(&session, &names, reports);
        shared.in_time(&session, sent).await?;
        let book = shared.book();
        Ok(names.iter().map(|(name, _)| book.known(name)).collect())
    }

    fn instances(&self) -> usize {
        self.shared.instances.load(Ordering::Relaxed)
    }

    fn available(&self) -> bool {
        self.shared.session.load().is_some()
    }

    fn epoch(&self) -> u64 {
        self.shared.epoch.load(Ordering::Acquire)
    }
}

impl Session {
    /// What every script is told first, and how many counts follow.
    fn head(&self, counts: usize) -> Vec<String> {
        let mut arguments = Vec::with_capacity(4 + 7 * counts);
        arguments.extend([self.id.clone(), self.generation.to_string(), counts.to_string()]);
        arguments
    }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        // What is behind it is whole after every statement.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys<'a>(&'a self, counts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        self.names.iter().map(String::as_str).chain(counts).collect()
    }

    /// An answer within `timeout`; whoever does not wait for it ends the generation, since it may have been executed.
    async fn in_time<T>(
        &self,
        session: &Session,
        answer: impl Future<Output = Result<T, Outage>>,
    ) -> Result<T, Outage> {
        let unanswered = Unanswered(self, session.generation);
        let answer = tokio::time::timeout(self.settings.timeout, answer).await;
        if answer.is_ok() {
            std::mem::forget(unanswered);
        }
        answer.unwrap_or(Err(Outage))
    }

    /// End a generation: its answers count no more.
    fn end(&self, generation: u64) -> Outage {
        let mut book = self.book();
        if book.generation == generation {
            book.generation = 0;
            self.session.store(None);
            self.wake.notify_one();
        }
        Outage
    }

    async fn run(
        &self,
        session: &Session,
        script: &Script,
        keys: &[&str],
        arguments: &[String],
    ) -> Result<Vec<String>, Outage> {
        let mut connection = session.connection.clone();
        match script::call(&mut connection, script, keys, arguments).await {
            Ok(answer) => Ok(answer),
            Err(failure) => {
                if let Failure::Broken(why) = failure {
                    tracing::debug!(target: "cirque::redis", why, "a call failed");
                }
                Err(self.end(session.generation))
            }
        }
    }
}

/// Ends the generation when dropped.
struct Unanswered<'a>(&'a Shared, u64);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.end(self.1);
    }
}

fn random_name() -> Result<String, String> {
    use ring::rand::SecureRandom;
    let mut bits = [0_u8; 16];
    ring::rand::SystemRandom::new()
        .fill(&mut bits)
        .map_err(|_| "the system has no random numbers".to_owned())?;
    Ok(hex(&bits))
}
