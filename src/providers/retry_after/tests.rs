//! Every form of every vendor, and what nobody should believe.

use super::*;
use http::HeaderValue;
use proptest::prelude::*;

/// 2026-11-22T03:12:00Z
const NOW: u64 = 1_795_317_120;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn parse(pairs: &[(&'static str, &'static str)]) -> Option<Duration> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    read(&headers, now())
}

#[test]
fn what_is_said_outright_comes_first() {
    let ms = |ms| Some(Duration::from_millis(ms));
    assert_eq!(parse(&[("retry-after-ms", "1500"), ("retry-after", "9")]), ms(1500));
    assert_eq!(parse(&[("retry-after-ms", "soon"), ("retry-after", "9")]), ms(9000));
    assert_eq!(parse(&[("retry-after", "0.25")]), ms(250));
    assert_eq!(parse(&[("retry-after", "Sun, 22 Nov 2026 03:12:30 GMT")]), ms(30_000));
    assert_eq!(parse(&[("retry-after", "Sun, 22 Nov 2020 03:12:30 GMT")]), ms(0));
    let used_up = [
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "1m0.5s"),
    ];
    assert_eq!(parse(&used_up), ms(60_500));
    assert_eq!(parse(&[used_up.as_slice(), &[("retry-after", "2")]].concat()), ms(2000));
}

#[test]
fn of_limits_that_are_used_up_the_longest_counts() {
    for (pairs, seconds) in [
        (
            &[
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "2m59.56s"),
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "7.66s"),
            ][..],
            179.56,
        ),
        (
            &[
                ("x-ratelimit-remaining-requests", "12"),
                ("x-ratelimit-reset-requests", "5m"),
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "6ms"),
            ],
            0.006,
        ),
        // Anthropic
        (
            &[
                ("anthropic-ratelimit-requests-remaining", "49"),
                ("anthropic-ratelimit-requests-reset", "2026-11-22T04:12:00Z"),
                ("anthropic-ratelimit-input-tokens-remaining", "0"),
                ("anthropic-ratelimit-input-tokens-reset", "2026-11-22T03:12:40Z"),
            ],
            40.0,
        ),
        // Cerebras: seconds
        (
            &[
                ("x-ratelimit-remaining-requests-day", "0"),
                ("x-ratelimit-reset-requests-day", "33011.382867"),
            ],
            33_011.382_867,
        ),
        // OpenRouter: ms since 1970; SambaNova and others: s since 1970
        (
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795317150000")],
            30.0,
        ),
        (
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795317135")],
            15.0,
        ),
        // Together
        (&[("x-ratelimit-remaining", "0.0"), ("x-ratelimit-reset", "1")], 1.0),
    ] {
        assert_eq!(parse(pairs), Some(Duration::from_secs_f64(seconds)), "{pairs:?}");
    }
    assert_eq!(parse(&[("x-ratelimit-reset-tokens", "1m")]), None);
    assert_eq!(parse(&[("x-ratelimit-remaining-tokens", "0")]), None);
}

#[test]
fn hostile_values_say_nothing_or_little() {
    for value in ["-3", "NaN", "-inf", "inf", "nonsense", "", "1e400", "9s9", "٣"] {
        assert_eq!(parse(&[("retry-after", "x")]), None);
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_bytes(value.as_bytes()).unwrap());
        headers.insert("retry-after-ms", HeaderValue::from_bytes(value.as_bytes()).unwrap());
        assert_eq!(read(&headers, now()), None, "{value}");
    }
    let day = Some(Duration::from_secs(86_400));
    assert_eq!(parse(&[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")]), day);
    assert_eq!(parse(&[("retry-after", "1e300")]), day);
    assert_eq!(reset("9999-12-31T23:59:59Z", now()), day);
    assert_eq!(reset("99999999999999999999", now()), day);
    assert_eq!(reset("9999999999999h", now()), day);
}

#[test]
fn rfc3339_is_read_with_zones_and_fractions() {
    let unix = |text| rfc3339(text).map(|at| at.duration_since(UNIX_EPOCH).unwrap().as_secs());
    for (text, wanted) in [
        ("1970-01-01T00:00:00Z", Some(0)),
        ("2026-11-22T03:12:00Z", Some(NOW)),
        ("2026-11-22T03:12:00.999Z", Some(NOW)),
        ("2026-11-22T04:12:00+01:00", Some(NOW)),
        ("2026-11-21T22:12:00-05:00", Some(NOW)),
        ("2024-02-29T00:00:00Z", Some(1_709_164_800)),
        ("2000-03-01T00:00:00Z", Some(951_868_800)),
        ("1960-01-01T00:00:00Z", Some(0)),
        ("2026-13-22T03:12:00Z", None),
        ("2026-11-22T03:12:00", None),
        ("2026-11-22", None),
        ("-1-1-1T1:1:1Z", None),
    ] {
        assert_eq!(unix(text), wanted, "{text}");
    }
}

#[test]
fn messages_are_read() {
    for (message, wanted) in [
        ("Limit 30000, Used 1. Please try again in 6ms. Visit https://x", Some(6)),
        (
            "… on tokens per day (TPD). Please try again in 7m12.5s. Need more?",
            Some(432_500),
        ),
        (
            "pricing tier. Please retry after 20 seconds. Please go here",
            Some(20_000),
        ),
        ("…\nPlease retry in 34.074824224s.", Some(34_074)),
        ("please try again in 1s", Some(1000)),
        ("Please try again in a moment.", None),
        ("Please retry after 20 years", None),
        ("Please try again in ", None),
    ] {
        let found = in_message(message).map(|wait| wait.as_millis());
        assert_eq!(found, wanted, "{message}");
    }
}

proptest! {
    #[test]
    fn nothing_panics_and_nothing_is_longer_than_a_day(text in "[ -~]{0,40}", at in 0_u64..4_000_000_000) {
        let now = UNIX_EPOCH + Duration::from_secs(at);
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&text).unwrap();
        for name in ["retry-after", "retry-after-ms", "x-ratelimit-reset"] {
            headers.insert(name, value.clone());
        }
        headers.insert("x-ratelimit-remaining", HeaderValue::from_static("0"));
        let longest = Duration::from_secs(86_400);
        for wait in [read(&headers, now), in_message(&text), in_message(&format!("please retry in {text}")), reset(&text, now)] {
            prop_assert!(wait.is_none_or(|wait| wait <= longest));
        }
    }

    #[test]
    fn dates_of_any_digits_do_not_panic(text in "[0-9]{1,5}-[0-9]{1,3}-[0-9]{1,3}T[0-9]{1,3}:[0-9]{1,3}:[0-9.]{1,6}(Z|[+-][0-9]{1,3}:[0-9]{1,3})") {
        let _ = rfc3339(&text);
    }
}
