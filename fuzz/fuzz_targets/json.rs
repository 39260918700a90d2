//! The scanner agrees with serde_json on what is JSON, and its spans hold the values.
#![no_main]

use cirque::wire::json::{scan_object, scan_value};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|bytes: &[u8]| {
    let ours = scan_value(bytes, 100);
    let mut members = Vec::new();
    let object = scan_object(bytes, 100, |member| members.push(member.value));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for at in members {
        assert!(serde_json::from_str::<&RawValue>(&text[at.clone()]).is_ok() || text[at].contains("\\u"));
    }
    // serde_json also refuses lone surrogates; its own depth limit is 128.
    match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => assert!(ours.is_ok() || ours.is_err_and(|error| error.what == "nested too deeply")),
        Err(_) => assert!(ours.is_err() || text.contains("\\u")),
    }
    if object.is_ok() {
        assert!(ours.is_ok());
    }
});
