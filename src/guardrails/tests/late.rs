//! Time that is up.

use super::*;
use std::time::{Duration, Instant};

#[test]
fn what_takes_too_long_is_judged_no_further_and_says_so() {
    let policy = Policy::new(vec![rail(
        "words",
        Action::Redact,
        finds(keywords(&["word"], false, true)),
    )]);
    let text = "a word and more. ".repeat(50_000);
    let now = Instant::now();
    let mut late = Judge::new(&policy, Direction::Input).until(now);
    std::hint::black_box(&late);
    while Instant::now() <= now {}
    late.text(&text);
    assert!(late.is_late());
    let mut in_time = Judge::new(&policy, Direction::Input).until(now + Duration::from_secs(3600));
    let judged = in_time.text(&text).unwrap();
    assert!(!in_time.is_late() && !judged.contains("word"));
    // What is short is judged without asking the clock.
    let mut short = Judge::new(&policy, Direction::Input).until(now);
    assert!(short.text("a word").is_some() && !short.is_late());
}
