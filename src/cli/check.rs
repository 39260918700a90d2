//! `cirque check FILE…`: everything that is wrong with configuration files, without serving.
//!
//! Beyond what loading checks it reads every secret, so that a missing variable is found here and not by the first request.

use crate::config::{Located, Problems};
use anyhow::Context;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Check each file and print the verdicts to standard output. False when any file has a problem.
///
/// With `file_only`, secrets and files that a configuration names are not looked at: for checking it where they are not.
pub fn run(files: &[PathBuf], file_only: bool) -> anyhow::Result<bool> {
    let mut out = std::io::stdout().lock();
    let mut good = true;
    for file in files {
        good &= check(file, file_only, &mut out)?;
    }
    Ok(good)
}

fn check(file: &Path, file_only: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    let loaded = if file_only {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        Located::parse(&text, &file.display().to_string())
    } else {
        Located::load(file)
    };
    let located = match loaded {
        Ok(located) => located,
        Err(problems) => {
            writeln!(out, "{problems}")?;
            writeln!(out, "{}: {}", file.display(), count(&problems))?;
            return Ok(false);
        }
    };
    for warning in located.warnings().0 {
        writeln!(out, "warning: {warning}")?;
    }
    let secrets = located.check_secrets();
    if !file_only && !secrets.0.is_empty() {
        writeln!(out, "{secrets}")?;
        writeln!(out, "{}: {}", file.display(), count(&secrets))?;
        return Ok(false);
    }
    let (models, providers) = (located.config.models.len(), located.config.providers.len());
    writeln!(
        out,
        "{}: ok ({}, {})",
        file.display(),
        plural(models, "model"),
        plural(providers, "provider")
    )?;
    Ok(true)
}

fn count(problems: &Problems) -> String {
    plural(problems.0.len(), "problem")
}

fn plural(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> (bool, String) {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "cirque-check-{}-{}.yaml",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        let mut out = Vec::new();
        let good = check(&path, false, &mut out).unwrap();
        std::fs::remove_file(&path).unwrap();
        (
            good,
            String::from_utf8(out)
                .unwrap()
                .replace(&path.display().to_string(), "FILE"),
        )
    }

    #[test]
    fn a_good_file_is_counted() {
        let text = "listen: 127.0.0.1:0\ninsecure: { open_access: true }\nproviders: { d: { kind: demo } }\n\
                    models: { demo: { targets: [ { provider: d } ] } }\n";
        assert_eq!(checked(text), (true, "FILE: ok (1 model, 1 provider)\n".to_owned()));
    }

    #[test]
    fn a_secret_that_is_not_there_is_a_problem_with_a_line() {
        let text = "listen: 127.0.0.1:0\ninsecure: { open_access: true }\nproviders:\n  p:\n    kind: openai\n    \
                    api_key: env:CIRQUE_TEST_SURELY_UNSET\nmodels: { m: { targets: [ { provider: p } ] } }\n";
        let (good, out) = checked(text);
        assert!(!good);
        let line = "FILE:6:14  providers.p.api_key: environment variable CIRQUE_TEST_SURELY_UNSET is not set — ";
        assert!(out.starts_with(line), "{out}");
        assert!(out.ends_with("FILE: 1 problem\n"), "{out}");
    }
}
