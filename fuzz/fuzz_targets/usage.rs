//! What is read in passing agrees with a full parse.
#![no_main]

use cirque::wire::usage::read;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(facts) = read(bytes, 64) else { return };
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    assert!(document.is_object());
    if facts.error {
        let text = String::from_utf8_lossy(bytes);
        assert!(
            document["error"].is_object()
                || document["error"].is_string()
                || text.matches("err").count() > 1
                || text.contains("\\u")
        );
    }
    if let Some(usage) = facts.usage {
        let text = String::from_utf8_lossy(bytes);
        assert!(text.contains(&usage.input.to_string()) || text.contains("-0"));
    }
});
