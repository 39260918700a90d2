//! Records of a time as one file, in pieces as they come from the store: memory holds a page, however long it is.
//!
//! Not the formats ([`RowWriter`]). When the store fails on the way, the connection breaks before its end, so that nobody takes
//! half a file for a whole one.

use super::super::tenancy::{Format, RowWriter};
use super::audit::Begun;
use super::usage::filter;
use super::{Answer, Api, Asked, Failure};
use crate::storage::Records;
use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use futures::stream::try_unfold;
use serde_json::json;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::OwnedSemaphorePermit;

/// Rows read at one time.
const PAGE: u32 = 1000;

/// An export under way.
struct Export {
    api: Arc<Api>,
    /// None: nothing is left to ask for.
    query: Option<Records>,
    /// None: the end of the file was written.
    writer: Option<Box<dyn RowWriter>>,
    rows: u64,
    begun: Begun,
    _place: OwnedSemaphorePermit,
}

/// `GET /admin/v1/usage/export`
pub(super) async fn export(asked: Asked) -> Result<Answer, Failure> {
    asked.api.store()?;
    let (format, kind, ending) = match asked.query.text("format") {
        Some("parquet") => (Format::Parquet, "application/vnd.apache.parquet", "parquet"),
        _ => (Format::Csv, "text/csv", "csv"),
    };
    let filter = filter(&asked)?;
    let Some(writer) = asked.api.tenancy.export(format) else {
        let message = format!("{ending} is not built into this process");
        return Err(Failure::new(StatusCode::NOT_IMPLEMENTED, "not_implemented", message));
    };
    let place = Arc::clone(&asked.api.exports).try_acquire_owned();
    let place = place.map_err(|_| Failure::too_many("other exports are under way", 30))?;
    let query = filter.map(|filter| Records {
        filter,
        attempts: asked.query.flag("attempts"),
        limit: PAGE,
        cursor: None,
    });
    let what = query.as_ref().map(|query| {
        let only = query
            .filter
            .only
            .iter()
            .map(|(by, values)| (format!("{by:?}").to_lowercase(), values.clone()));
        json!({"from_ms": query.filter.from_ms, "to_ms": query.filter.to_ms, "attempts": query.attempts,
               "only": only.collect::<std::collections::BTreeMap<_, _>>(), "format": ending})
    });
    let begun = asked
        .api
        .begin(
            &asked.who,
            asked.from,
            ("usage.export", "usage"),
            what.unwrap_or_default(),
        )
        .await?;
    if let Some(connection) = &asked.connection {
        connection.long.store(true, Ordering::Relaxed);
    }
    let export = Export {
        api: Arc::clone(&asked.api),
        query,
        writer: Some(writer),
        rows: 0,
        begun,
        _place: place,
    };
    Ok(Answer::File {
        kind,
        name: format!("usage.{ending}"),
        body: Body::from_stream(try_unfold(export, Export::next)),
    })
}

impl Export {
    /// The next piece that is not empty.
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        while let Some(mut writer) = self.writer.take() {
            let rows = match &mut self.query {
                None => Vec::new(),
                Some(query) => {
                    let failed = |_| io::Error::other("the store failed");
                    let store = self.api.store().map_err(failed)?;
                    let page = self.api.summed(store.records(query)).await.map_err(failed)?;
                    match page.next {
                        Some(next) if query.cursor.as_ref() != Some(&next) => query.cursor = Some(next),
                        _ => self.query = None,
                    }
                    page.items
                }
            };
            self.rows += rows.len() as u64;
            let last = self.query.is_none();
            // Compressing a row group takes a while: not on a thread that serves others meanwhile.
            let written = tokio::task::spawn_blocking(move || {
                let mut out = Vec::new();
                writer.write(&rows, &mut out)?;
                if last {
                    writer.finish(&mut out)?;
                }
                Ok::<_, String>((writer, out))
            });
            let (writer, out) = written.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
            if last {
                self.api
                    .complete(self.begun.clone(), "done", json!({"rows": self.rows}))
                    .await;
            } else {
                self.writer = Some(writer);
            }
            if !out.is_empty() {
                return Ok(Some((Bytes::from(out), self)));
            }
        }
        Ok(None)
    }
}
