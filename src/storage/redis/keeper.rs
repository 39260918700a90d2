//! The thread behind the exchange: it connects, begins generations, keeps the heart beating and listens for
//! changes.
//!
//! Never on the way of a request. The one idea: one loop, whose place is the state: not connected, telling, open.

use super::book::Tell;
use super::count::written;
use super::link::Found;
use super::script::{self, Failure};
use super::{Session, Shared};
use crate::clock;
use futures::StreamExt;
use redis::Client;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Between attempts, and between heartbeats at most.
const BEAT: Duration = Duration::from_secs(1);

/// Longest wait for an answer where nobody waits for it.
const PATIENCE: Duration = Duration::from_millis(700);

/// Counts told or reported in one script.
const BATCH: usize = 250;

/// Start it.
pub(super) fn start(shared: Arc<Shared>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("redis".to_owned())
        .spawn(move || runtime.block_on(keep(&shared)))
        .map(drop)
}

async fn keep(shared: &Shared) {
    let (mut generation, mut said) = (0, false);
    while !shared.closed.load(Ordering::Acquire) {
        let begun = Instant::now();
        generation += 1;
        match establish(shared, generation).await {
            Ok((client, session)) => {
                tracing::info!(target: "cirque::redis", "limits are shared through Redis");
                said = false;
                open(shared, &client, &session).await;
                shared.end(generation);
                if !shared.closed.load(Ordering::Acquire) {
                    tracing::warn!(target: "cirque::redis", "Redis does not answer: limits go by their on_outage");
                    said = true;
                }
                // One that worked for a while is tried again at once.
                if begun.elapsed() > BEAT {
                    continue;
                }
            }
            Err(Failure::Moved(_)) => {}
            Err(Failure::Broken(why)) if !said => {
                tracing::warn!(target: "cirque::redis", why, "Redis cannot be reached: limits go by their on_outage");
                said = true;
            }
            Err(Failure::Broken(_)) => {}
        }
        let rest = BEAT.saturating_sub(begun.elapsed()).max(Duration::from_millis(20));
        let until = tokio::time::Instant::now() + rest;
        while tokio::time::timeout_at(until, shared.wake.notified()).await.is_ok() {
            if shared.closed.load(Ordering::Acquire) {
                return;
            }
        }
    }
}

/// Connect, say hello, tell what is known, wait until all have told.
async fn establish(shared: &Shared, generation: u64) -> Result<(Client, Arc<Session>), Failure> {
    let Found {
        connection,
        client,
        run,
    } = shared.link.find(&shared.names[0]).await?;
    let mut session = Session {
        connection,
        generation,
        epoch: 0,
        id: String::new(),
    };
    let (last, mut closed_for) = hello(shared, &mut session, &run).await?;
    let believed = believed(shared, &session).await?;
    let tells = {
        let (now, mut book) = (Instant::now(), shared.book());
        book.settle(last, session.epoch, now);
        book.differences(&believed, session.epoch, now)
    };
    tell(shared, &session, &tells).await?;
    // What is learned while all are waiting (somebody asks and is turned away, with what he knows) is told as well.
    while !closed_for.is_zero() {
        tokio::time::sleep(closed_for.min(Duration::from_millis(100))).await;
        let tells = {
            let book = shared.book();
            let mut tells = book.differences(&HashMap::new(), session.epoch, Instant::now());
            tells.retain(|tell| tell.lost);
            tells
        };
        tell(shared, &session, &tells).await?;
        closed_for = beat(shared, &session).await?;
    }
    beat(shared, &session).await?;
    let session = Arc::new(session);
    {
        // Under the lock: whoever sees the session may rely on the generation, and the other way round.
        let mut book = shared.book();
        book.begin(generation, session.epoch);
        shared.epoch.store(session.epoch, Ordering::Release);
        shared.session.store(Some(Arc::clone(&session)));
    }
    Ok((client, session))
}

/// The number of the last report, and how long nothing is granted yet.
async fn hello(shared: &Shared, session: &mut Session, run: &str) -> Result<(u64, Duration), Failure> {
    let fresh = super::random_name().map_err(Failure::Broken)?;
    let seeding = shared.settings.seeding.as_micros().to_string();
    let arguments = [
        fresh.get(..16).unwrap_or("0").to_owned(),
        session.generation.to_string(),
        run.to_owned(),
        seeding,
        shared.instance.clone(),
        shared.begin.clone(),
    ];
    let answer = ask(shared, session, &script::HELLO, &[], &arguments, "hello").await?;
    let read = || {
        let [_, id, closed, last] = answer.as_slice() else {
            return None;
        };
        let epoch = u64::from_str_radix(id, 16).ok()?.max(1);
        Some((id.clone(), epoch, closed.parse().ok()?, last.parse().ok()?))
    };
    let (id, epoch, closed, last) = read().ok_or_else(rubbish)?;
    (session.id, session.epoch) = (id, epoch);
    Ok((last, Duration::from_micros(closed)))
}

/// What Redis believes to be out with this instance.
async fn believed(shared: &Shared, session: &Session) -> Result<HashMap<String, u64>, Failure> {
    let mut command = redis::cmd("HGETALL");
    command.arg(&shared.names[3]);
    let mut connection = session.connection.clone();
    let answer = timeout(PATIENCE, command.query_async::<HashMap<String, u64>>(&mut connection)).await;
    Ok(answer.map_err(|_| late())??)
}

async fn tell(shared: &Shared, session: &Session, tells: &[Tell]) -> Result<(), Failure> {
    for tells in tells.chunks(BATCH) {
        let mut arguments = session.head(tells.len());
        for tell in tells {
            arguments.extend(tell.kind.written());
            arguments.extend([written(tell.known), tell.field.clone(), written(tell.out)]);
            arguments.push(if tell.lost { "l" } else { "k" }.to_owned());
        }
        let counts: Vec<&str> = tells.iter().map(|tell| &*tell.name).collect();
        ask(shared, session, &script::TELL, &counts, &arguments, "told").await?;
        shared.book().told(tells, session.epoch);
    }
    Ok(())
}

/// Alive. How long nothing is granted yet.
async fn beat(shared: &Shared, session: &Session) -> Result<Duration, Failure> {
    let arguments = [
        session.id.clone(),
        session.generation.to_string(),
        shared.instance.clone(),
        shared.settings.instance_expiry.as_micros().to_string(),
        shared.begin.clone(),
    ];
    let answer = ask(shared, session, &script::BEAT, &[], &arguments, "alive").await?;
    let [_, instances, closed] = answer.as_slice() else {
        return Err(rubbish());
    };
    let instances: usize = instances.parse().map_err(|_| rubbish())?;
    if shared.session.load().is_some() {
        shared.instances.store(instances.max(1), Ordering::Relaxed);
    } else {
        // After an outage the others may not be back yet: whoever takes a share meanwhile takes that of before.
        shared.instances.fetch_max(instances, Ordering::Relaxed);
    }
    Ok(Duration::from_micros(closed.parse().map_err(|_| rubbish())?))
}

async fn ask(
    shared: &Shared,
    session: &Session,
    script: &script::Script,
    counts: &[&str],
    arguments: &[String],
    word: &str,
) -> Result<Vec<String>, Failure> {
    let keys = shared.keys(counts.iter().copied());
    let mut connection = session.connection.clone();
    let answer = timeout(PATIENCE, script::call(&mut connection, script, &keys, arguments)).await;
    let answer = answer.map_err(|_| late())??;
    match answer.first().map(String::as_str) {
        Some(first) if first == word => Ok(answer),
        Some("lost" | "stale") => Err(Failure::Broken("a newer generation or epoch began".to_owned())),
        Some("rubbish") => {
            shared.rubbish();
            Err(rubbish())
        }
        _ => Err(rubbish()),
    }
}

/// Until the generation ends.
async fn open(shared: &Shared, client: &Client, session: &Session) {
    let every = BEAT
        .min(shared.settings.instance_expiry / 4)
        .max(Duration::from_millis(10));
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut pruned = Instant::now();
    let listening = listen(shared, client);
    tokio::pin!(listening);
    loop {
        tokio::select! {
            () = &mut listening => {}
            () = shared.wake.notified() => {}
            _ = ticks.tick() => {
                if beat(shared, session).await.is_err() {
                    return;
                }
                clear_waiting(shared, session).await;
                if pruned.elapsed() > Duration::from_secs(30) {
                    pruned = Instant::now();
                    prune(shared, pruned);
                }
            }
        }
        if shared.closed.load(Ordering::Acquire) || shared.book().generation != session.generation {
            return;
        }
    }
}

async fn clear_waiting(shared: &Shared, session: &Session) {
    loop {
        let names = shared.book().waiting(BATCH);
        if names.is_empty() {
            return;
        }
        let sent = timeout(PATIENCE, shared.clear(session, &names)).await;
        if !matches!(sent, Ok(Ok(()))) {
            shared.end(session.generation);
            return;
        }
    }
}

fn prune(shared: &Shared, now: Instant) {
    let mut book = shared.book();
    book.prune(now, clock::now());
    tracing::debug!(target: "cirque::redis", counts = book.len(), "counts known");
}

/// Hear of changes, for as long as the generation lasts; whoever fails tries again in a second.
async fn listen(shared: &Shared, client: &Client) {
    loop {
        if let Ok(Ok(mut subscribed)) = timeout(PATIENCE, client.get_async_pubsub()).await
            && let Ok(Ok(())) = timeout(PATIENCE, subscribed.subscribe(format!("{}changed", shared.begin))).await
        {
            let mut messages = subscribed.on_message();
            while let Some(message) = messages.next().await {
                let text = std::str::from_utf8(message.get_payload_bytes()).unwrap_or_default();
                if let Ok(revision) = text.parse::<i64>() {
                    shared.revision.send_if_modified(|known| {
                        let newer = revision > *known;
                        *known = revision.max(*known);
                        newer
                    });
                }
            }
        }
        tokio::time::sleep(BEAT).await;
    }
}

fn late() -> Failure {
    Failure::Broken("no answer in time".to_owned())
}

fn rubbish() -> Failure {
    Failure::Broken("it holds something else under our names".to_owned())
}
