//! Any text is a configuration or a list of problems, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match cirque::config::parse(text, "fuzz.yaml") {
        Ok(_) => {}
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
});
