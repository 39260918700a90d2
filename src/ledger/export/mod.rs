//! Rows as files for people and for other programs: CSV and Parquet.
//!
//! Not where rows come from: pages of them are handed in, so memory holds a page (CSV) or a row group (Parquet) however long
//! the export is. The one idea: both formats have the same columns from one table ([`columns::COLUMNS`]).

pub mod columns;
mod csv;
mod parquet;

pub use self::csv::{Csv, Formulas};
pub use self::parquet::{Parquet, ROW_GROUP};

#[cfg(test)]
mod tests;
