//! Parquet: columns, dictionaries and Snappy, row groups of [`ROW_GROUP`] rows.
//!
//! Times are `TIMESTAMP(MILLIS, UTC)` on INT64. Money is nano-dollars on INT64 and says so: `DECIMAL(18, 9)`, which readers show
//! as exact dollars; a figure above 999 999 999.999999999 dollars is written as that. Counts above 2⁶³ − 1 are written as that.
//! Format: apache/parquet-format, `LogicalTypes.md`. The one idea: a row group is what memory holds, so it is bounded in rows.

use super::columns::{COLUMNS, Cell, Column, Kind};
use crate::ledger::Row;
use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

/// Rows of a group: some ten megabytes while it is being filled.
pub const ROW_GROUP: usize = 16 * 1024;
/// The largest figure that `DECIMAL(18, 9)` holds.
const MOST_MONEY: i64 = 999_999_999_999_999_999;

/// Writes rows.
pub struct Parquet<W: Write + Send> {
    out: SerializedFileWriter<W>,
    waiting: Vec<Row>,
}

impl<W: Write + Send> Parquet<W> {
    /// Begin a file.
    pub fn new(out: W) -> io::Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_dictionary_enabled(true)
            // Of each column chunk, for readers that skip groups; pages are too small to be worth an index.
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .build();
        let schema = Arc::new(parse_message_type(&schema()).map_err(io::Error::other)?);
        let out = SerializedFileWriter::new(out, schema, Arc::new(properties)).map_err(io::Error::other)?;
        Ok(Self {
            out,
            waiting: Vec::new(),
        })
    }

    /// Add a page of rows.
    pub fn rows(&mut self, rows: &[Row]) -> io::Result<()> {
        let mut rows = rows;
        while !rows.is_empty() {
            let room = (ROW_GROUP - self.waiting.len()).min(rows.len());
            let (now, later) = rows.split_at(room);
            self.waiting.extend_from_slice(now);
            rows = later;
            if self.waiting.len() >= ROW_GROUP {
                self.group().map_err(io::Error::other)?;
            }
        }
        Ok(())
    }

    /// Write what waits and the footer; where to.
    pub fn finish(mut self) -> io::Result<W> {
        self.group().map_err(io::Error::other)?;
        self.out.into_inner().map_err(io::Error::other)
    }

    /// Where it is written to: for taking what is there so far, which must not be added to.
    pub fn out(&mut self) -> &mut W {
        self.out.inner_mut()
    }

    fn group(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut group = self.out.next_row_group()?;
        for column in &COLUMNS {
            let mut writer = group
                .next_column()?
                .ok_or_else(|| ParquetError::General("a column is missing in the schema".to_owned()))?;
            write(column, &self.waiting, &mut writer)?;
            writer.close()?;
        }
        group.close()?;
        self.waiting.clear();
        self.out.flush()?;
        Ok(())
    }
}

fn schema() -> String {
    let mut schema = "message usage {\n".to_owned();
    for column in &COLUMNS {
        let kind = if column.optional { "optional" } else { "required" };
        let (physical, logical) = match column.kind {
            Kind::Text => ("BYTE_ARRAY", " (STRING)"),
            Kind::Number => ("INT64", ""),
            Kind::Money => ("INT64", " (DECIMAL(18,9))"),
            Kind::Time => ("INT64", " (TIMESTAMP(MILLIS,true))"),
            Kind::Flag => ("BOOLEAN", ""),
        };
        let _ = writeln!(schema, "  {kind} {physical} {}{logical};", column.name);
    }
    schema.push('}');
    schema
}

fn write(column: &Column, rows: &[Row], writer: &mut SerializedColumnWriter<'_>) -> Result<()> {
    let levels: Vec<i16> = if column.optional {
        rows.iter()
            .map(|row| i16::from((column.of)(row) != Cell::Empty))
            .collect()
    } else {
        Vec::new()
    };
    let levels = column.optional.then_some(levels.as_slice());
    let cells = rows.iter().map(column.of);
    match column.kind {
        Kind::Text => {
            let values: Vec<ByteArray> = cells.filter_map(text).collect();
            writer.typed::<ByteArrayType>().write_batch(&values, levels, None)?;
        }
        Kind::Flag => {
            let values: Vec<bool> = cells.map(|cell| cell == Cell::Flag(true)).collect();
            writer.typed::<BoolType>().write_batch(&values, levels, None)?;
        }
        kind => {
            let most = if kind == Kind::Money { MOST_MONEY } else { i64::MAX };
            let values: Vec<i64> = cells.filter_map(|cell| number(cell, most)).collect();
            writer.typed::<Int64Type>().write_batch(&values, levels, None)?;
        }
    }
    Ok(())
}

fn text(cell: Cell<'_>) -> Option<ByteArray> {
    match cell {
        Cell::Text(text) => Some(ByteArray::from(text.into_owned().into_bytes())),
        _ => None,
    }
}

fn number(cell: Cell<'_>, most: i64) -> Option<i64> {
    match cell {
        Cell::Number(number) => Some(i64::try_from(number).unwrap_or(i64::MAX).min(most)),
        _ => None,
    }
}
