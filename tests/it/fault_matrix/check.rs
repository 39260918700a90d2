//! Saying what is not as it should be, for whoever collects failures instead of panicking; and waiting for it.

use super::row::Expected;
use super::voice::Lane;
use crate::support::PATIENCE;
use serde_json::Value;
use std::fmt;
use std::time::{Duration, Instant};

/// As [`crate::support::PATIENCE`], for a machine on which all cells and scenes run at once.
pub const LONG: Duration = Duration::from_secs(30);

/// Whether an error says this in the form of the lane's client.
pub fn is_in_form(lane: Lane, json: &Value, expected: &Expected) -> Result<(), String> {
    let error = &json["error"];
    ensure(error["message"].as_str().is_some_and(|text| !text.is_empty()), || {
        "no text".to_owned()
    })?;
    if lane == Lane::Chat {
        let keys: Vec<_> = error
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key.as_str())
            .collect();
        ensure(keys.len() == 4 && error.get("param").is_some(), || {
            format!("not the four keys: {keys:?}")
        })?;
        return same("type and code", (error["type"].as_str(), error["code"].as_str()), {
            (Some(expected.openai.0), Some(expected.openai.1))
        });
    }
    same("outer type", json["type"].as_str(), Some("error"))?;
    same("type", error["type"].as_str(), Some(expected.anthropic))?;
    ensure(json.get("request_id").is_none_or(|id| id.is_string()), || {
        "request_id is no text".to_owned()
    })
}

pub fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

pub fn same<T: PartialEq + fmt::Debug>(what: &str, is: T, wanted: T) -> Result<(), String> {
    ensure(is == wanted, || format!("{what} is {is:?}, not {wanted:?}"))
}

pub fn clipped(text: &str) -> String {
    text.chars().take(240).collect()
}

/// As [`crate::support::eventually`]; nothing when it does not happen.
pub fn eventually_some<T>(condition: impl FnMut() -> Option<T>) -> Option<T> {
    within(PATIENCE, condition)
}

/// The same with another patience.
pub fn within<T>(patience: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        let found = condition();
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
