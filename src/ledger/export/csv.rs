//! Comma-separated values: RFC 4180, UTF-8, CR LF, a header line; times in ISO 8601, money in dollars, exactly.
//!
//! Spreadsheets take a cell that begins with `=`, `+`, `-`, `@`, a tab or a line end for a formula, and clients choose some of
//! these texts (their request id). The one idea: whoever opens the file in a spreadsheet is protected unless he says that a
//! program reads it: by default such cells get an apostrophe in front, with [`Formulas::Kept`] they are as they were.

use super::columns::{COLUMNS, Cell, Column, Kind};
use crate::ledger::Row;
use crate::units::usd;
use std::io::{self, Write};

/// What becomes of text that a spreadsheet would take for a formula.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Formulas {
    /// It gets an apostrophe in front: safe to open, a character more than there was.
    #[default]
    Quoted,
    /// It is left as it is: for programs.
    Kept,
}

/// Writes rows.
pub struct Csv<W> {
    out: W,
    formulas: Formulas,
    line: String,
}

impl<W: Write> Csv<W> {
    /// Write the header line.
    pub fn new(mut out: W, formulas: Formulas) -> io::Result<Self> {
        let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
        out.write_all(names.join(",").as_bytes())?;
        out.write_all(b"\r\n")?;
        Ok(Self {
            out,
            formulas,
            line: String::new(),
        })
    }

    /// Write a page of rows.
    pub fn rows(&mut self, rows: &[Row]) -> io::Result<()> {
        for row in rows {
            self.line.clear();
            for (index, column) in COLUMNS.iter().enumerate() {
                if index > 0 {
                    self.line.push(',');
                }
                self.cell(column, row);
            }
            self.line.push_str("\r\n");
            self.out.write_all(self.line.as_bytes())?;
        }
        Ok(())
    }

    /// All was written; where to.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    /// Where it is written to: for taking what is there so far.
    pub fn out(&mut self) -> &mut W {
        &mut self.out
    }

    fn cell(&mut self, column: &Column, row: &Row) {
        let plain = match ((column.of)(row), column.kind) {
            (Cell::Empty, _) => return,
            (Cell::Text(text), _) => return self.text(&text),
            (Cell::Flag(flag), _) => flag.to_string(),
            (Cell::Number(nano), Kind::Money) => usd(nano),
            (Cell::Number(ms), Kind::Time) => i64::try_from(ms)
                .ok()
                .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
                .map_or_else(|| ms.to_string(), |at| format!("{at:.3}")),
            (Cell::Number(number), _) => number.to_string(),
        };
        self.line.push_str(&plain);
    }

    fn text(&mut self, text: &str) {
        let formula = self.formulas == Formulas::Quoted && text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
        // An empty text is no missing one.
        let quoted =
            text.is_empty() || text.contains([',', '"', '\r', '\n']) || text.starts_with(' ') || text.ends_with(' ');
        if quoted {
            self.line.push('"');
        }
        if formula {
            self.line.push('\'');
        }
        for (index, part) in text.split('"').enumerate() {
            if index > 0 {
                self.line.push_str("\"\"");
            }
            self.line.push_str(part);
        }
        if quoted {
            self.line.push('"');
        }
    }
}
