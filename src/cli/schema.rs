//! `cirque config schema`: the JSON Schema of the configuration, for editors.

use crate::config;
use std::io::Write;

/// Print the schema to standard output.
pub fn run() -> anyhow::Result<()> {
    let schema = serde_json::to_string_pretty(&config::json_schema())?;
    writeln!(std::io::stdout().lock(), "{schema}")?;
    Ok(())
}
