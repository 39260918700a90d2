//! Objects, their hashes, and settings.
//!
//! The one idea: a change takes the lock of the one row of `clock` first and keeps it until it is committed. So changes become
//! visible in the order of their revisions, and who reads "after 7" never misses a 6 that was committed late.

use super::session::{Access, Backend, Record, Session, Value};
use super::{SqlStore, exact};
use crate::clock;
use crate::storage::{Change, Document, KeyHashRow, Kind, Object, Revision, StoreError};

fn kind(word: &str) -> Result<Kind, StoreError> {
    let known = Kind::ALL.into_iter().find(|known| known.as_str() == word);
    known.ok_or_else(|| StoreError::Corrupt("an object of an unknown kind".to_owned()))
}

const OBJECT: &str = "SELECT kind, name, document, revision, created_at, updated_at, deleted FROM objects";

fn object(record: &Record) -> Result<Object, StoreError> {
    let document = Document::read(record.text(2)?);
    Ok(Object {
        kind: kind(record.text(0)?)?,
        name: record.text(1)?.to_owned(),
        document: document.map_err(|error| StoreError::Corrupt(format!("a document: {error}")))?,
        hashes: Vec::new(),
        revision: record.int(3)?,
        created_at: record.int(4)?,
        updated_at: record.int(5)?,
        deleted: record.int(6)? != 0,
    })
}

/// Columns from the one given on: hash, shown, until.
fn hash(record: &Record, from: usize) -> Result<KeyHashRow, StoreError> {
    Ok(KeyHashRow {
        hash: record.text(from)?.to_owned(),
        shown: record.text(from + 1)?.to_owned(),
        until: record.maybe_int(from + 2)?,
    })
}

/// The revision of a change: takes the lock that orders changes.
pub(super) async fn advance(session: &mut dyn Session) -> Result<Revision, StoreError> {
    let sql = "UPDATE clock SET revision = revision + 1 RETURNING revision";
    let next = session.fetch(sql, Vec::new()).await?;
    let next = next.first();
    next.ok_or_else(|| StoreError::Corrupt("the clock is missing".to_owned()))?
        .int(0)
}

impl<B: Backend> SqlStore<B> {
    pub(super) async fn read_revision(&self) -> Result<Revision, StoreError> {
        let mut session = self.backend.begin(Access::Read).await?;
        let records = session.fetch("SELECT revision FROM clock", Vec::new()).await?;
        session.commit().await?;
        let record = records
            .first()
            .ok_or_else(|| StoreError::Corrupt("the clock is missing".to_owned()))?;
        record.int(0)
    }

    pub(super) async fn read_changes(&self, after: Revision) -> Result<Vec<Object>, StoreError> {
        let mut session = self.backend.begin(Access::Read).await?;
        let only = if after == 0 { "AND deleted = 0" } else { "" };
        let sql = format!("{OBJECT} WHERE revision > $1 {only} ORDER BY revision, kind, name");
        let mut objects = Vec::new();
        let mut look = |record: &Record| {
            objects.push(object(record)?);
            Ok(())
        };
        session.each(&sql, vec![after.into()], &mut look).await?;
        let mut keys: Vec<&mut Object> = objects.iter_mut().filter(|object| object.kind == Kind::Key).collect();
        keys.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let sql = "SELECT h.name, h.hash, h.shown, h.until FROM key_hashes h JOIN objects o ON o.kind = 'key' AND o.name = h.name \
                   WHERE o.revision > $1 ORDER BY h.name, h.place";
        let mut look = |record: &Record| {
            let name = record.text(0)?;
            let at = keys.binary_search_by(|key| key.name.as_str().cmp(name));
            if let Some(key) = at.ok().and_then(|at| keys.get_mut(at)) {
                // Nearly all have one.
                key.hashes.reserve_exact(1);
                key.hashes.push(hash(record, 1)?);
            }
            Ok(())
        };
        session.each(sql, vec![after.into()], &mut look).await?;
        session.commit().await?;
        Ok(objects)
    }

    pub(super) async fn read_object(&self, kind: Kind, name: &str) -> Result<Option<Object>, StoreError> {
        if name.contains('\0') {
            return Ok(None);
        }
        let mut session = self.backend.begin(Access::Read).await?;
        let sql = format!("{OBJECT} WHERE kind = $1 AND name = $2 AND deleted = 0");
        let records = session.fetch(&sql, vec![kind.as_str().into(), name.into()]).await?;
        let Some(record) = records.first() else {
            return Ok(None);
        };
        let mut object = object(record)?;
        if kind == Kind::Key {
            let sql = "SELECT hash, shown, until FROM key_hashes WHERE name = $1 ORDER BY place";
            let hashes = session.fetch(sql, vec![name.into()]).await?;
            object.hashes = hashes.iter().map(|record| hash(record, 0)).collect::<Result<_, _>>()?;
        }
        session.commit().await?;
        Ok(Some(object))
    }

    pub(super) async fn write_changes(&self, changes: &[Change]) -> Result<Revision, StoreError> {
        if changes.is_empty() {
            return self.read_revision().await;
        }
        let mut session = self.backend.begin(Access::Write).await?;
        let (revision, now) = (advance(&mut *session).await?, clock::now());
        for change in changes {
            write(&mut *session, change, revision, now).await?;
        }
        // After all old ones are gone: a hash may move from one key to another.
        for change in changes
            .iter()
            .filter(|change| change.kind == Kind::Key && change.document.is_some())
        {
            for (place, hash) in (0_i64..).zip(&change.hashes) {
                let sql = "INSERT INTO key_hashes (hash, name, place, shown, until) VALUES ($1, $2, $3, $4, $5)";
                let place = place.min(i64::from(i16::MAX));
                let args = vec![
                    exact(&hash.hash)?,
                    exact(&change.name)?,
                    place.into(),
                    exact(&hash.shown)?,
                    Value::Int(hash.until),
                ];
                session.run(sql, args).await?;
            }
        }
        session.commit().await?;
        Ok(revision)
    }

    pub(super) async fn settle_setting(&self, name: &str, propose: &str) -> Result<String, StoreError> {
        let sql = "SELECT content FROM settings WHERE name = $1";
        let mut session = self.backend.begin(Access::Read).await?;
        let found = session.fetch(sql, vec![exact(name)?]).await?;
        session.commit().await?;
        if let Some(record) = found.first() {
            return Ok(record.text(0)?.to_owned());
        }
        let mut session = self.backend.begin(Access::Write).await?;
        let make = "INSERT INTO settings (name, content) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        session.run(make, vec![exact(name)?, exact(propose)?]).await?;
        let found = session.fetch(sql, vec![exact(name)?]).await?;
        session.commit().await?;
        let record = found
            .first()
            .ok_or_else(|| StoreError::Corrupt("a setting vanished".to_owned()))?;
        record.text(0).map(str::to_owned)
    }
}

/// One change, if it is still what was read.
async fn write(session: &mut dyn Session, change: &Change, revision: Revision, now: i64) -> Result<(), StoreError> {
    let (kind, name) = (Value::from(change.kind.as_str()), exact(&change.name)?);
    let sql = "SELECT revision, created_at, document FROM objects WHERE kind = $1 AND name = $2 AND deleted = 0";
    let found = session.fetch(sql, vec![kind.clone(), name.clone()]).await?;
    let created = match (found.first(), change.expected) {
        (None, None) => now,
        (Some(record), Some(expected)) if record.int(0)? == expected => record.int(1)?,
        (None, Some(_)) => return Err(StoreError::Conflict("it is gone")),
        (Some(_), None) => return Err(StoreError::Conflict("it exists already")),
        (Some(_), Some(_)) => {
            return Err(StoreError::Conflict(
                "it was changed by somebody else since it was read",
            ));
        }
    };
    if change.kind == Kind::Key {
        session
            .run("DELETE FROM key_hashes WHERE name = $1", vec![name.clone()])
            .await?;
    }
    let document = match &change.document {
        Some(document) => Value::from(document.to_string()),
        // What it was stays readable to whoever follows the changes.
        None => found.first().map_or(Ok("null"), |record| record.text(2))?.into(),
    };
    let deleted = i64::from(change.document.is_none());
    let sql = "INSERT INTO objects (kind, name, document, revision, created_at, updated_at, deleted) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (kind, name) DO UPDATE SET document = excluded.document, \
               revision = excluded.revision, created_at = excluded.created_at, updated_at = excluded.updated_at, \
               deleted = excluded.deleted";
    let args = vec![
        kind,
        name,
        document,
        revision.into(),
        created.into(),
        now.into(),
        deleted.into(),
    ];
    session.run(sql, args).await.map(drop)
}
