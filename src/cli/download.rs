//! A long answer of the admin API into a file: beside it first, renamed when it is whole, so that half a file never looks like
//! one. Progress on a terminal.

use super::client::{Client, Trouble};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;

/// Progress of something whose end is not known, or is a number of steps; nothing is drawn where nobody looks.
pub fn progress(steps: Option<u64>, template: &str) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(steps, target);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        // Without a style of its own it looks as the library has it.
        Err(_) => bar,
    }
}

/// Download to a file, or to standard output (`-`).
pub async fn download(client: &Client, path: &str, out: &Path) -> Result<(), Trouble> {
    let bar = progress(None, "{spinner} {bytes} ({bytes_per_sec}), {elapsed}");
    if out == Path::new("-") {
        let mut stdout = BufWriter::new(std::io::stdout().lock());
        client.download(path, &mut stdout, |bytes| bar.inc(bytes)).await?;
        return Ok(stdout.flush()?);
    }
    let failed = |error: std::io::Error| Trouble::input(format!("{}: {error}", out.display()));
    let Some(name) = out.file_name() else {
        return Err(Trouble::input(format!("{}: not the name of a file", out.display())));
    };
    let part = out.with_file_name(format!("{}.{}.part", name.to_string_lossy(), std::process::id()));
    let written = write(client, path, &part, &bar).await;
    bar.finish_and_clear();
    match written {
        Ok(bytes) => {
            std::fs::rename(&part, out).map_err(failed)?;
            eprintln!("{}: {bytes} bytes", out.display());
            Ok(())
        }
        Err(trouble) => {
            // What is left of it is of no use; that it could not be removed either changes nothing.
            let _ = std::fs::remove_file(&part);
            Err(trouble)
        }
    }
}

async fn write(client: &Client, path: &str, part: &Path, bar: &ProgressBar) -> Result<u64, Trouble> {
    let file =
        std::fs::File::create_new(part).map_err(|error| Trouble::input(format!("{}: {error}", part.display())))?;
    let mut out = BufWriter::new(file);
    let bytes = client.download(path, &mut out, |bytes| bar.inc(bytes)).await?;
    let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(bytes)
}
