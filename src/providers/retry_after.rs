//! When a provider says to try again.
//!
//! `retry-after-ms: 1500` (OpenAI) · `retry-after: 20` or an HTTP date (RFC 9110 10.2.3) ·
//! `x-ratelimit-reset-requests: 1m20s` / `6ms` (OpenAI "Rate limits", read 2026-11). The first that can be read counts.

use http::HeaderMap;
use std::time::{Duration, SystemTime};

/// Read it from a response's headers.
pub fn read(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(ms) = text("retry-after-ms").and_then(|t| t.parse::<f64>().ok()) {
        return seconds(ms / 1000.0);
    }
    if let Some(value) = text("retry-after") {
        if let Ok(number) = value.parse::<f64>() {
            return seconds(number);
        }
        if let Ok(date) = httpdate::parse_http_date(value) {
            let wait = date.duration_since(now).unwrap_or(Duration::ZERO);
            return seconds(wait.as_secs_f64());
        }
    }
    let exhausted = |kind: &str| text(&format!("x-ratelimit-remaining-{kind}")) == Some("0");
    ["requests", "tokens"]
        .into_iter()
        .filter(|kind| exhausted(kind))
        .find_map(|kind| go_duration(text(&format!("x-ratelimit-reset-{kind}"))?))
}

fn seconds(number: f64) -> Option<Duration> {
    (number.is_finite() && number >= 0.0).then(|| Duration::from_secs_f64(number.min(86_400.0)))
}

/// `1h2m3.5s`, `20ms`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * scale;
        rest = tail;
    }
    seconds(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&'static str, &'static str)]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, http::HeaderValue::from_static(value));
        }
        read(&headers, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(
            parse(&[("retry-after-ms", "1500"), ("retry-after", "9")]),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(
            parse(&[("retry-after", "Thu, 01 Jan 1970 00:00:30 GMT")]),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            parse(&[
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "1m0.5s")
            ]),
            Some(Duration::from_millis(60_500))
        );
        assert_eq!(parse(&[("x-ratelimit-reset-tokens", "1m")]), None);
        assert_eq!(parse(&[("retry-after", "-3")]), None);
        assert_eq!(parse(&[("retry-after", "nonsense")]), None);
    }

    #[test]
    fn no_date_closes_a_target_for_ever() {
        let far = parse(&[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")]);
        assert_eq!(far, Some(Duration::from_secs(86_400)));
    }
}
