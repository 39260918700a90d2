//! Sealed secrets: what is written here was sealed elsewhere (`sealed.rs`) and is handed back as it is.

use super::objects::advance;
use super::session::{Access, Backend, Value};
use super::{SqlStore, exact};
use crate::clock;
use crate::storage::sealed::Sealed;
use crate::storage::{SecretName, StoreError};
use std::collections::BTreeMap;

impl<B: Backend> SqlStore<B> {
    pub(super) async fn write_secret(&self, kind: &str, name: &str, sealed: &Sealed) -> Result<(), StoreError> {
        let sql = "INSERT INTO secrets (kind, name, sealing_key, sealed, changed_at) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (kind, name) DO UPDATE SET sealing_key = excluded.sealing_key, sealed = excluded.sealed, \
                   changed_at = excluded.changed_at";
        let args = vec![
            exact(kind)?,
            exact(name)?,
            exact(&sealed.key)?,
            Value::Blob(Some(sealed.bytes.clone())),
            clock::now().into(),
        ];
        let mut session = self.backend.begin(Access::Write).await?;
        advance(&mut *session).await?;
        session.run(sql, args).await?;
        session.commit().await
    }

    pub(super) async fn read_secret(&self, kind: &str, name: &str) -> Result<Option<Sealed>, StoreError> {
        let sql = "SELECT sealing_key, sealed FROM secrets WHERE kind = $1 AND name = $2";
        let mut session = self.backend.begin(Access::Read).await?;
        let found = session.fetch(sql, vec![exact(kind)?, exact(name)?]).await?;
        session.commit().await?;
        let sealed = found.first().map(|record| {
            Ok(Sealed {
                key: record.text(0)?.to_owned(),
                bytes: record.blob(1)?.to_vec(),
            })
        });
        sealed.transpose()
    }

    pub(super) async fn read_secrets(&self, kind: &str) -> Result<BTreeMap<String, Sealed>, StoreError> {
        let sql = "SELECT name, sealing_key, sealed FROM secrets WHERE kind = $1";
        let mut session = self.backend.begin(Access::Read).await?;
        let found = session.fetch(sql, vec![exact(kind)?]).await?;
        session.commit().await?;
        let secrets = found.iter().map(|record| {
            let sealed = Sealed::kept(record.text(1)?.to_owned(), record.blob(2)?.to_vec());
            Ok((record.text(0)?.to_owned(), sealed))
        });
        secrets.collect()
    }

    pub(super) async fn list_secrets(&self) -> Result<Vec<SecretName>, StoreError> {
        let mut session = self.backend.begin(Access::Read).await?;
        let found = session
            .fetch(
                "SELECT kind, name, sealing_key, changed_at FROM secrets ORDER BY kind, name",
                Vec::new(),
            )
            .await?;
        session.commit().await?;
        let names = found.iter().map(|record| {
            Ok(SecretName {
                kind: record.text(0)?.to_owned(),
                name: record.text(1)?.to_owned(),
                sealing_key: record.text(2)?.to_owned(),
                changed_at: record.int(3)?,
            })
        });
        names.collect()
    }

    pub(super) async fn remove_secret(&self, kind: &str, name: &str) -> Result<bool, StoreError> {
        let mut session = self.backend.begin(Access::Write).await?;
        let sql = "DELETE FROM secrets WHERE kind = $1 AND name = $2";
        advance(&mut *session).await?;
        let removed = session.run(sql, vec![exact(kind)?, exact(name)?]).await?;
        // Nothing changed: no instance need look.
        if removed > 0 {
            session.commit().await?;
        }
        Ok(removed > 0)
    }
}
