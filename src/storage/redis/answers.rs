//! What becomes of the scripts' answers, and the sending of reports.
//!
//! Not when to ask (`mod`, `keeper`). The one idea: an answer counts only if its generation still does, decided under the book's
//! lock; what has another shape than it should is an outage and said once.

use super::book::Line;
use super::count::{Kind, written};
use super::{Session, Shared, script};
use crate::limits::{Ask, Given, Outage, Report, Shape, Taken};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

impl Shared {
    /// An answer that is not the one asked for.
    pub(super) fn wrong(&self, session: &Session, answer: &[String]) -> Outage {
        match answer.first().map(String::as_str) {
            // Somebody told Redis after we thought that all had.
            Some("seeding") => return Outage,
            // One count cannot be used; the connection is fine.
            Some("rubbish") if answer.get(1).is_some_and(|what| what != "gate" && what != "meta") => {}
            Some("lost" | "stale") => return self.end(session.generation),
            _ => {
                self.end(session.generation);
            }
        }
        self.rubbish();
        Outage
    }

    /// Once.
    pub(super) fn rubbish(&self) {
        if !self.said_rubbish.swap(true, Ordering::Relaxed) {
            tracing::error!(
                target: "cirque::redis",
                prefix = self.begin,
                "Redis holds something else under our names: the limits concerned go by their on_outage (said once)"
            );
        }
    }

    /// Nothing if the answer has another shape.
    pub(super) fn granted(
        &self,
        session: &Session,
        names: &[(Arc<str>, Kind)],
        answer: &[String],
    ) -> Result<Option<Taken>, Outage> {
        let Some((order, grants)) = read_grants(answer).filter(|(_, grants)| grants.len() == names.len()) else {
            return Ok(None);
        };
        let (now, mut book) = (Instant::now(), self.book());
        // Too late: the next generation says that this never arrived.
        if book.generation != session.generation {
            return Err(Outage);
        }
        for ((name, _), (given, slot)) in names.iter().zip(&grants) {
            book.granted(name, *slot, given.amount, given.used, order, now);
        }
        Ok(Some(Taken::Granted(
            grants.into_iter().map(|(given, _)| given).collect(),
        )))
    }

    /// Send a report, unless it is known to have been executed before.
    pub(super) async fn deliver(
        &self,
        session: &Session,
        names: &[(Arc<str>, Kind)],
        reports: &[Report],
    ) -> Result<(), Outage> {
        let _turn = self.reporting.lock().await;
        let (number, lines) = {
            let mut book = self.book();
            if book.generation != session.generation {
                return Err(Outage);
            }
            if book.repeated(reports) {
                return Ok(());
            }
            book.batch(names, reports)
        };
        self.send(session, number, &lines).await
    }

    /// Tell Redis that it may forget slots that count no more.
    pub(super) async fn clear(&self, session: &Session, names: &[Arc<str>]) -> Result<(), Outage> {
        let _turn = self.reporting.lock().await;
        let (number, lines) = {
            let mut book = self.book();
            if book.generation != session.generation {
                return Err(Outage);
            }
            book.clearing(names)
        };
        self.send(session, number, &lines).await
    }

    async fn send(&self, session: &Session, number: u64, lines: &[Line]) -> Result<(), Outage> {
        let mut arguments = session.head(lines.len());
        arguments.push(number.to_string());
        for line in lines {
            arguments.extend(line.kind.written());
            arguments.extend([written(line.known), line.field.written()]);
            arguments.extend([line.spent, line.back, line.beyond].map(written));
        }
        let keys = self.keys(lines.iter().map(|line| &*line.name));
        let answer = self.run(session, &script::REPORT, &keys, &arguments).await?;
        let Some((order, figures)) = answer
            .split_first()
            .filter(|(word, _)| *word == "reported")
            .and_then(|(_, rest)| rest.split_first())
            .filter(|(_, figures)| figures.len() == lines.len())
        else {
            // Whatever it is, the report is still in doubt.
            self.wrong(session, &answer);
            return Err(self.end(session.generation));
        };
        let figures: Vec<Option<u64>> = figures.iter().map(|used| used.parse().ok()).collect();
        if figures.contains(&None) {
            self.rubbish();
        }
        let mut book = self.book();
        if book.generation != session.generation {
            return Err(Outage);
        }
        book.reported(&figures, order.parse().unwrap_or(0), Instant::now());
        Ok(())
    }
}

/// The answer's number, and by ask what was given, in which slot.
fn read_grants(answer: &[String]) -> Option<(u64, Vec<(Given, u64)>)> {
    let (order, figures) = answer.split_first()?;
    let mut grants = Vec::with_capacity(figures.len() / 3);
    for figure in figures.chunks(3) {
        let [amount, used, slot] = figure else { return None };
        let slot = if slot == "u" { 0 } else { slot.parse().ok()? };
        let (amount, used) = (amount.parse().ok()?, used.parse().ok()?);
        grants.push((Given { amount, used }, slot));
    }
    Some((order.parse().ok()?, grants))
}

/// What a refusal says; nothing if the answer has another shape.
pub(super) fn refused(asks: &[Ask], answer: &[String]) -> Option<Taken> {
    let [index, remaining, after, now] = answer else {
        return None;
    };
    let index: usize = index.parse().ok()?;
    let ask = asks.get(index)?;
    let now: u64 = now.parse().ok()?;
    let until = match ask.shape {
        Shape::Window { end, .. } if end != i64::MAX => u64::try_from(end).ok().map(|end| {
            let end = Duration::from_secs(end);
            end.saturating_sub(Duration::from_micros(now))
        }),
        _ => None,
    };
    Some(Taken::Refused {
        index,
        remaining: remaining.parse().ok()?,
        after: after.parse().ok().map(Duration::from_micros).or(until),
    })
}
