//! The columns of an export, in their order.
//!
//! Not how a cell is written. The one idea: a column is a name, a kind, whether it may be empty, and how it is read from a
//! row. New ones are appended; none changes its meaning.

use crate::ledger::Row;
use serde_json::Value;
use std::borrow::Cow;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// A count.
    Number,
    /// Nano-dollars.
    Money,
    /// Milliseconds since 1970, UTC.
    Time,
    /// Yes or no.
    Flag,
}

/// What a row has in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Nothing.
    Empty,
    /// Of [`Kind::Text`].
    Text(Cow<'a, str>),
    /// Of [`Kind::Number`], [`Kind::Money`] and [`Kind::Time`].
    Number(u64),
    /// Of [`Kind::Flag`].
    Flag(bool),
}

/// A column.
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Some rows may have nothing there.
    pub optional: bool,
    /// What a row has there.
    pub of: fn(&Row) -> Cell<'_>,
}

const fn column(name: &'static str, kind: Kind, of: fn(&Row) -> Cell<'_>) -> Column {
    Column {
        name,
        kind,
        optional: false,
        of,
    }
}

const fn optional(name: &'static str, kind: Kind, of: fn(&Row) -> Cell<'_>) -> Column {
    Column {
        name,
        kind,
        optional: true,
        of,
    }
}

fn text(value: &str) -> Cell<'_> {
    Cell::Text(Cow::Borrowed(value))
}

fn maybe<T: AsRef<str>>(value: &Option<T>) -> Cell<'_> {
    value.as_ref().map_or(Cell::Empty, |value| text(value.as_ref()))
}

fn amount(value: Option<u64>) -> Cell<'static> {
    value.map_or(Cell::Empty, Cell::Number)
}

/// Tags as a JSON array: they may hold any character.
fn tags(row: &Row) -> Cell<'_> {
    let tags: Vec<Value> = row.tags.iter().map(|tag| Value::from(&**tag)).collect();
    Cell::Text(Value::from(tags).to_string().into())
}

/// All of them. Charges are left out: they are how budgets count, not what was used.
pub static COLUMNS: [Column; 42] = [
    column("id", Kind::Text, |row| Cell::Text(row.id.to_string().into())),
    column("attempt", Kind::Number, |row| Cell::Number(row.attempt.into())),
    column("at", Kind::Time, |row| Cell::Number(row.at_ms)),
    optional("organisation", Kind::Text, |row| maybe(&row.tenant.organisation)),
    optional("team", Kind::Text, |row| maybe(&row.tenant.team)),
    optional("project", Kind::Text, |row| maybe(&row.tenant.project)),
    optional("user", Kind::Text, |row| maybe(&row.tenant.user)),
    optional("key", Kind::Text, |row| maybe(&row.tenant.key)),
    column("tags", Kind::Text, tags),
    optional("metadata", Kind::Text, |row| maybe(&row.metadata)),
    column("request_id", Kind::Text, |row| text(&row.request_id)),
    column("operation", Kind::Text, |row| text(row.operation)),
    optional("model", Kind::Text, |row| maybe(&row.model)),
    optional("target", Kind::Text, |row| maybe(&row.target)),
    optional("provider", Kind::Text, |row| maybe(&row.provider)),
    column("purpose", Kind::Text, |row| text(row.purpose)),
    column("status", Kind::Number, |row| Cell::Number(row.status.into())),
    column("outcome", Kind::Text, |row| text(row.outcome)),
    column("cache", Kind::Text, |row| text(row.cache)),
    column("stream", Kind::Flag, |row| Cell::Flag(row.stream)),
    column("latency_ms", Kind::Number, |row| Cell::Number(row.latency_ms.into())),
    optional("ttft_ms", Kind::Number, |row| amount(row.ttft_ms.map(u64::from))),
    column("input_tokens", Kind::Number, |row| Cell::Number(row.usage.input)),
    column("output_tokens", Kind::Number, |row| Cell::Number(row.usage.output)),
    column("cached_tokens", Kind::Number, |row| Cell::Number(row.usage.cached)),
    column("cache_write_tokens", Kind::Number, |row| {
        Cell::Number(row.usage.cache_write)
    }),
    column("cache_write_1h_tokens", Kind::Number, |row| {
        Cell::Number(row.usage.cache_write_1h)
    }),
    column("reasoning_tokens", Kind::Number, |row| {
        Cell::Number(row.usage.reasoning)
    }),
    column("audio_input_tokens", Kind::Number, |row| {
        Cell::Number(row.usage.audio_input)
    }),
    column("audio_output_tokens", Kind::Number, |row| {
        Cell::Number(row.usage.audio_output)
    }),
    column("estimated", Kind::Flag, |row| Cell::Flag(row.estimated)),
    optional("input_usd", Kind::Money, |row| amount(row.cost.map(|cost| cost.input))),
    optional("cached_usd", Kind::Money, |row| {
        amount(row.cost.map(|cost| cost.cached))
    }),
    optional("cache_write_usd", Kind::Money, |row| {
        amount(row.cost.map(|cost| cost.cache_write))
    }),
    optional("output_usd", Kind::Money, |row| {
        amount(row.cost.map(|cost| cost.output))
    }),
    optional("reasoning_usd", Kind::Money, |row| {
        amount(row.cost.map(|cost| cost.reasoning))
    }),
    optional("audio_usd", Kind::Money, |row| amount(row.cost.map(|cost| cost.audio))),
    optional("request_usd", Kind::Money, |row| {
        amount(row.cost.map(|cost| cost.request))
    }),
    optional("cost_usd", Kind::Money, |row| amount(row.cost.map(|cost| cost.total()))),
    optional("billed_usd", Kind::Money, |row| amount(row.billed)),
    column("saved_usd", Kind::Money, |row| Cell::Number(row.saved)),
    optional("guardrails", Kind::Text, |row| maybe(&row.guardrails)),
];
