//! The audit log: a chain of hashes over entries that are never changed.
//!
//! ```text
//! hash(n) = SHA-256( hash(n-1) ‖ n ‖ at_ms ‖ for each text: length ‖ bytes )      integers of 8 bytes, big-endian
//! ```
//! Texts: actor, role, origin, action, subject, detail (JSON as stored), outcome. Who can write the database can write a whole
//! new chain; so the head's hash belongs elsewhere too (it is in every export). The one idea: `audit_head` is locked by whoever
//! appends, so numbers have no gaps, and it remembers the last entry that retention dropped, so what remains can be checked.

use super::session::{Access, Backend, Record, Session, Value};
use super::{SqlStore, kept};
use crate::hex::hex;
use crate::storage::{AuditEntry, AuditNote, StoreError, Verified};

const ENTRY: &str = "SELECT number, at_ms, actor, role, origin, action, subject, detail, outcome, hash FROM audit_log";

/// Entries looked at in one go.
const PAGE: i64 = 1000;

fn link(before: &str, number: i64, at_ms: i64, texts: &[&str]) -> String {
    let mut bytes = Vec::with_capacity(512);
    bytes.extend_from_slice(before.as_bytes());
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&at_ms.to_be_bytes());
    for text in texts {
        bytes.extend_from_slice(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    let hash = ring::digest::digest(&ring::digest::SHA256, &bytes);
    hex(hash.as_ref())
}

/// The hash that a stored entry should have.
fn expected(before: &str, record: &Record) -> Result<String, StoreError> {
    let texts: Vec<&str> = (2..9).map(|column| record.text(column)).collect::<Result<_, _>>()?;
    Ok(link(before, record.int(0)?, record.int(1)?, &texts))
}

fn entry(record: &Record) -> Result<AuditEntry, StoreError> {
    let text = |column| record.text(column).map(str::to_owned);
    Ok(AuditEntry {
        number: record.int(0)?,
        at_ms: record.int(1)?,
        actor: text(2)?,
        role: text(3)?,
        from: text(4)?,
        action: text(5)?,
        subject: text(6)?,
        detail: serde_json::from_str(record.text(7)?).unwrap_or_default(),
        outcome: text(8)?,
        hash: text(9)?,
    })
}

/// Number and hash of the last entry, and of the last one dropped.
pub(super) struct Head {
    number: i64,
    hash: String,
    dropped: i64,
    dropped_hash: String,
}

pub(super) async fn head(session: &mut dyn Session, lock: &str) -> Result<Head, StoreError> {
    let lock = lock.replace("{}", "audit_head");
    let sql = format!("SELECT number, hash, dropped, dropped_hash FROM audit_head{lock}");
    let found = session.fetch(&sql, Vec::new()).await?;
    let record = found
        .first()
        .ok_or_else(|| StoreError::Corrupt("the head of the audit log is missing".to_owned()))?;
    Ok(Head {
        number: record.int(0)?,
        hash: record.text(1)?.to_owned(),
        dropped: record.int(2)?,
        dropped_hash: record.text(3)?.to_owned(),
    })
}

impl<B: Backend> SqlStore<B> {
    pub(super) async fn append_audit(&self, note: &AuditNote) -> Result<i64, StoreError> {
        let texts = [
            kept(&note.actor),
            kept(&note.role),
            kept(&note.from),
            kept(&note.action),
            kept(&note.subject),
            note.detail.to_string().into(),
            kept(&note.outcome),
        ];
        let mut session = self.backend.begin(Access::Write).await?;
        let head = head(&mut *session, self.backend.dialect().for_update).await?;
        let number = head.number + 1;
        let hash = link(&head.hash, number, note.at_ms, &texts.each_ref().map(|text| &**text));
        let sql = "INSERT INTO audit_log (number, at_ms, actor, role, origin, action, subject, detail, outcome, hash) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let mut args = vec![Value::from(number), note.at_ms.into()];
        args.extend(texts.into_iter().map(|text| Value::from(text.into_owned())));
        args.push(hash.clone().into());
        session.run(sql, args).await?;
        session
            .run(
                "UPDATE audit_head SET number = $1, hash = $2",
                vec![number.into(), hash.into()],
            )
            .await?;
        session.commit().await?;
        Ok(number)
    }

    pub(super) async fn read_audit(&self, after: i64, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let mut session = self.backend.begin(Access::Read).await?;
        let sql = format!("{ENTRY} WHERE number > $1 ORDER BY number LIMIT $2");
        let limit = i64::from(limit.clamp(1, 10_000));
        let found = session.fetch(&sql, vec![after.into(), limit.into()]).await?;
        session.commit().await?;
        found.iter().map(entry).collect()
    }

    /// Follow the chain from the last entry that was dropped to the head.
    pub(super) async fn check_audit(&self) -> Result<Verified, StoreError> {
        let mut session = self.backend.begin(Access::Read).await?;
        session.unhurried().await?;
        let head = head(&mut *session, "").await?;
        let (mut number, mut hash, mut entries) = (head.dropped, head.dropped_hash, 0);
        let broken = |entries, number| Verified {
            entries,
            head: head.hash.clone(),
            broken: Some(number),
        };
        loop {
            let sql = format!("{ENTRY} WHERE number > $1 ORDER BY number LIMIT $2");
            let page = session.fetch(&sql, vec![number.into(), PAGE.into()]).await?;
            if page.is_empty() {
                break;
            }
            for record in &page {
                if record.int(0)? != number + 1 || expected(&hash, record)? != record.text(9)? {
                    return Ok(broken(entries, number + 1));
                }
                (number, hash, entries) = (number + 1, record.text(9)?.to_owned(), entries + 1);
            }
        }
        session.commit().await?;
        if number != head.number || hash != head.hash {
            // Entries at the end were cut off, or the head was turned back.
            return Ok(broken(entries, number.min(head.number) + 1));
        }
        Ok(Verified {
            entries,
            head: head.hash,
            broken: None,
        })
    }

    /// Drop the oldest entries up to the first that is young enough.
    pub(super) async fn drop_audit(&self, before_ms: i64) -> Result<u64, StoreError> {
        let mut session = self.backend.begin(Access::Write).await?;
        session.unhurried().await?;
        let head = head(&mut *session, self.backend.dialect().for_update).await?;
        let sql = "SELECT MIN(number) FROM audit_log WHERE at_ms >= $1";
        let kept = session.fetch(sql, vec![before_ms.into()]).await?;
        let kept = kept.first().map_or(Ok(None), |record| record.maybe_int(0))?;
        let last = kept.map_or(head.number, |number| number - 1);
        if last <= head.dropped {
            return Ok(0);
        }
        let anchor = session
            .fetch("SELECT hash FROM audit_log WHERE number = $1", vec![last.into()])
            .await?;
        let anchor = anchor
            .first()
            .ok_or_else(|| StoreError::Corrupt(format!("entry {last} of the audit log is missing")))?;
        let anchor = anchor.text(0)?.to_owned();
        let dropped = session
            .run("DELETE FROM audit_log WHERE number <= $1", vec![last.into()])
            .await?;
        let sql = "UPDATE audit_head SET dropped = $1, dropped_hash = $2";
        session.run(sql, vec![last.into(), anchor.into()]).await?;
        session.commit().await?;
        Ok(dropped)
    }
}
