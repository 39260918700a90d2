//! When a provider says to try again.
//!
//! ```text
//! retry-after-ms: 1500 · retry-after: 20 | 0.5 | <HTTP date>            said outright (OpenAI, Azure, Anthropic, Bedrock …)
//! x-ratelimit-remaining-tokens: 0, x-ratelimit-reset-tokens: 1m20s       a limit that is used up; the longest of them counts
//! anthropic-ratelimit-input-tokens-reset: 2026-11-22T03:12:00Z
//! "retryDelay": "34.07s" · "Please try again in 7m12s."                  in the body, when no header says it
//! ```
//! Bare numbers are told apart by size: a time since 1970 in ms, in s, else seconds from now. Nothing closes a target for more
//! than a day, and what is negative, endless or no time at all is not said.
//! Sources, 2026-11: RFC 9110 10.2.3; the rate-limit pages of OpenAI, Anthropic, Groq, Cerebras, SambaNova, Together, OpenRouter;
//! google.rpc.RetryInfo.

use http::HeaderMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest wait that is believed.
const LONGEST: f64 = 86_400.0;

/// Names of limits: what is left of one, and when it is whole again.
const LIMITS: &[(&str, &str)] = &[
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    (
        "x-ratelimit-remaining-project-requests",
        "x-ratelimit-reset-project-requests",
    ),
    (
        "x-ratelimit-remaining-project-tokens",
        "x-ratelimit-reset-project-tokens",
    ),
    // Cerebras, SambaNova
    ("x-ratelimit-remaining-requests-day", "x-ratelimit-reset-requests-day"),
    (
        "x-ratelimit-remaining-requests-minute",
        "x-ratelimit-reset-requests-minute",
    ),
    ("x-ratelimit-remaining-tokens-minute", "x-ratelimit-reset-tokens-minute"),
    ("x-ratelimit-remaining-tokens-day", "x-ratelimit-reset-tokens-day"),
    // OpenRouter, Together
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("x-tokenlimit-remaining", "x-tokenlimit-reset"),
    // Mistral, and whoever follows the IETF's draft
    ("ratelimitbysize-remaining", "ratelimitbysize-reset"),
    ("ratelimit-remaining", "ratelimit-reset"),
    (
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ),
    (
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ),
    (
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-reset",
    ),
    (
        "anthropic-ratelimit-output-tokens-remaining",
        "anthropic-ratelimit-output-tokens-reset",
    ),
];

/// From the headers of a rate-limited answer.
pub fn read(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    explicit(headers, now).or_else(|| {
        let used_up = |name: &str| text(headers, name).and_then(|left| left.parse::<f64>().ok()) == Some(0.0);
        LIMITS
            .iter()
            .filter(|(left, _)| used_up(left))
            .filter_map(|(_, whole)| reset(text(headers, whole)?, now))
            .max()
    })
}

/// From the headers that say nothing else.
pub fn explicit(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let ms = || seconds(text(headers, "retry-after-ms")?.parse::<f64>().ok()? / 1000.0);
    let whole = || {
        let value = text(headers, "retry-after")?;
        if let Ok(number) = value.parse::<f64>() {
            return seconds(number);
        }
        until(httpdate::parse_http_date(value).ok()?, now)
    };
    ms().or_else(whole)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// A time or a duration, in any of the forms of reset headers.
pub fn reset(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(number) = value.parse::<f64>() {
        let epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        return match number {
            at if at >= 1e11 => seconds((at / 1000.0 - epoch).max(0.0)),
            at if at >= 1e9 => seconds((at - epoch).max(0.0)),
            wait => seconds(wait),
        };
    }
    duration(value).or_else(|| until(rfc3339(value)?, now))
}

fn until(at: SystemTime, now: SystemTime) -> Option<Duration> {
    seconds(at.duration_since(now).unwrap_or_default().as_secs_f64())
}

/// So many seconds, if that is a wait.
pub fn seconds(number: f64) -> Option<Duration> {
    (number.is_finite() && number >= 0.0).then(|| Duration::from_secs_f64(number.min(LONGEST)))
}

/// `1h2m3.5s`, `20ms`, `34.074824224s`, `1d`.
pub fn duration(value: &str) -> Option<Duration> {
    let (wait, rest) = leading_duration(value)?;
    rest.is_empty().then_some(wait)
}

/// The duration a text begins with, and what follows.
fn leading_duration(value: &str) -> Option<(Duration, &str)> {
    let mut total = 0.0;
    let mut rest = value;
    loop {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let scale = match unit {
            "d" => 86_400.0,
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            "us" | "ns" => 0.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * scale;
        rest = tail;
        if !rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Some((seconds(total)?, rest));
        }
    }
}

/// In the message of a rate-limited answer: `… Please try again in 1m2.5s. …` (OpenAI, Groq), `… Please retry after 20
/// seconds. …` (Azure), `… Please retry in 34.07s.` (Google).
pub fn in_message(message: &str) -> Option<Duration> {
    // Without their first letter, which is large or small.
    let after = |words: &str| Some(message.split_once(words)?.1);
    if let Some(rest) = after("lease try again in ").or_else(|| after("lease retry in ")) {
        // The full stop that ends the sentence.
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '.')
            .unwrap_or(rest.len());
        return duration(rest.get(..end)?.trim_end_matches('.'));
    }
    let rest = after("lease retry after ")?;
    let (number, unit) = rest.split_once(' ')?;
    unit.starts_with("second").then(|| seconds(number.parse().ok()?))?
}

/// `2026-11-22T03:12:00Z`, `2026-11-22T03:12:00.5+01:00`, as Unix time.
fn rfc3339(value: &str) -> Option<SystemTime> {
    let (date, clock) = value.split_once(['T', 't', ' '])?;
    let zone = clock.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = clock.split_at(zone);
    let [year, month, day] = numbers(date, '-')?;
    let whole = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    let [hour, minute, second] = numbers(whole, ':')?;
    let offset = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign, ahead) => {
            let (hours, minutes) = ahead.split_once(':')?;
            let hours = i64::from(hours.parse::<u8>().ok()?);
            let minutes = hours * 60 + i64::from(minutes.parse::<u8>().ok()?);
            if sign == "-" { -minutes } else { minutes }
        }
    };
    let sane =
        year <= 9999 && (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 25 && minute < 61 && second < 62;
    if !sane {
        return None;
    }
    // Days since 1970, the year beginning in March so that the leap day is its last.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days =
        365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 1 - 719_468;
    let at = ((days * 24 + hour) * 60 + minute - offset) * 60 + second;
    UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(at).unwrap_or(0)))
}

fn numbers(text: &str, between: char) -> Option<[i64; 3]> {
    let mut parts = text
        .splitn(3, between)
        .map(|part| part.parse::<u16>().ok().map(i64::from));
    Some([parts.next()??, parts.next()??, parts.next()??])
}

#[cfg(test)]
mod tests;
