//! What tells a number that somebody was given from one that only looks like it.
//!
//! Not where candidates are found: [`super::rules`]. The one idea: pure functions of a candidate's text, which a pattern has cut
//! already; none allocates, none panics whatever the text.

pub mod americas;
pub mod digits;
pub mod europe;
pub mod money;
pub mod net;
pub mod pacific;
pub mod phone;

/// Whether exactly one of the endings (`0` to `9`, or `00` to `99`) makes a number of a body: what a check digit is.
#[cfg(test)]
fn one_in(valid: fn(&str) -> bool, body: &str, of: u32) -> bool {
    let ending = |end: u32| {
        if of == 10 {
            format!("{body}{end}")
        } else {
            format!("{body}{end:02}")
        }
    };
    (0..of).filter(|end| valid(&ending(*end))).count() == 1
}
