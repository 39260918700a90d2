//! Calendar windows: from when to when, on the clocks of a zone.
//!
//! Asked once per window and count, not per request. Instances that share a count compute the same window from the moment
//! alone.

use super::rule::Period;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// The window that holds this moment: when it began and when it ends, in seconds since 1970. `total` is from 0 to the end.
pub(super) fn window(period: Period, zone: &TimeZone, now_s: i64) -> (i64, i64) {
    if period == Period::Total {
        return (0, i64::MAX);
    }
    let now_s = now_s.clamp(0, Timestamp::MAX.as_second() - 40 * 86_400);
    let Ok(at) = Timestamp::from_second(now_s) else {
        return (0, i64::MAX);
    };
    let fixed = |length: i64| {
        // By the clock on the wall, without its date: the hour that comes twice in autumn is two windows.
        let offset = i64::from(zone.to_offset(at).seconds());
        let start = (now_s + offset).div_euclid(length) * length - offset;
        (start, start + length)
    };
    match period {
        Period::Minute => fixed(60),
        Period::Hour => fixed(3600),
        _ => days(period, zone, at.to_zoned(zone.clone())).unwrap_or_else(|| fixed(86_400)),
    }
}

fn days(period: Period, zone: &TimeZone, now: Zoned) -> Option<(i64, i64)> {
    let today = now.date();
    let (first, next) = match period {
        Period::Week => {
            let monday = today
                .checked_sub(i64::from(today.weekday().to_monday_zero_offset()).days())
                .ok()?;
            (monday, monday.checked_add(7.days()).ok()?)
        }
        Period::Month => {
            let first = today.first_of_month();
            (first, first.checked_add(1.month()).ok()?)
        }
        _ => (today, today.tomorrow().ok()?),
    };
    // Where midnight does not exist (clocks go forward at midnight) the day begins with its first moment.
    let begins = |date: Date| {
        date.to_zoned(zone.clone())
            .ok()?
            .start_of_day()
            .ok()
            .map(|at| at.timestamp().as_second())
    };
    Some((begins(first)?, begins(next)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn shown(period: Period, zone_name: &str, at: &str) -> String {
        let at: Timestamp = at.parse().unwrap();
        let (start, end) = window(period, &zone(zone_name), at.as_second());
        let show = |s| Timestamp::from_second(s).unwrap().to_string();
        format!("{} {}", show(start), show(end))
    }

    #[test]
    fn windows_follow_the_calendar_of_the_zone() {
        for (period, zone, at, expected) in [
            (
                Period::Minute,
                "UTC",
                "2026-03-01T10:00:59Z",
                "2026-03-01T10:00:00Z 2026-03-01T10:01:00Z",
            ),
            (
                Period::Hour,
                "Asia/Kolkata",
                "2026-03-01T10:15:00Z",
                "2026-03-01T09:30:00Z 2026-03-01T10:30:00Z",
            ),
            (
                Period::Day,
                "Europe/Berlin",
                "2026-07-01T22:30:00Z",
                "2026-07-01T22:00:00Z 2026-07-02T22:00:00Z",
            ),
            // 23 and 25 hours.
            (
                Period::Day,
                "Europe/Berlin",
                "2026-03-29T12:00:00Z",
                "2026-03-28T23:00:00Z 2026-03-29T22:00:00Z",
            ),
            (
                Period::Day,
                "Europe/Berlin",
                "2026-10-25T12:00:00Z",
                "2026-10-24T22:00:00Z 2026-10-25T23:00:00Z",
            ),
            // The hour that comes twice is two windows.
            (
                Period::Hour,
                "Europe/Berlin",
                "2026-10-25T00:30:00Z",
                "2026-10-25T00:00:00Z 2026-10-25T01:00:00Z",
            ),
            (
                Period::Hour,
                "Europe/Berlin",
                "2026-10-25T01:30:00Z",
                "2026-10-25T01:00:00Z 2026-10-25T02:00:00Z",
            ),
            (
                Period::Week,
                "UTC",
                "2026-11-22T23:59:59Z",
                "2026-11-16T00:00:00Z 2026-11-23T00:00:00Z",
            ),
            (
                Period::Week,
                "UTC",
                "2026-11-23T00:00:00Z",
                "2026-11-23T00:00:00Z 2026-11-30T00:00:00Z",
            ),
            (
                Period::Month,
                "America/New_York",
                "2028-02-29T12:00:00Z",
                "2028-02-01T05:00:00Z 2028-03-01T05:00:00Z",
            ),
            (
                Period::Month,
                "America/New_York",
                "2026-03-15T12:00:00Z",
                "2026-03-01T05:00:00Z 2026-04-01T04:00:00Z",
            ),
            // Midnight of 29 March 2026 does not exist in Beirut.
            (
                Period::Day,
                "Asia/Beirut",
                "2026-03-29T12:00:00Z",
                "2026-03-28T22:00:00Z 2026-03-29T21:00:00Z",
            ),
        ] {
            assert_eq!(shown(period, zone, at), expected, "{period:?} {zone} {at}");
        }
        assert_eq!(window(Period::Total, &TimeZone::UTC, 5), (0, i64::MAX));
    }

    proptest::proptest! {
        #[test]
        fn a_window_holds_its_moment_and_the_next_begins_where_it_ends(now in 0..9_000_000_000i64, at in 0..5usize, which in 0..5usize) {
            let zone = zone(["UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia"][at]);
            let period = [Period::Minute, Period::Hour, Period::Day, Period::Week, Period::Month][which];
            let (start, end) = window(period, &zone, now);
            proptest::prop_assert!(start <= now && now < end);
            proptest::prop_assert!(window(period, &zone, end).0 <= end);
            if which > 1 {
                proptest::prop_assert_eq!(window(period, &zone, end).0, end);
                proptest::prop_assert_eq!(window(period, &zone, end - 1), (start, end));
            }
        }

        #[test]
        fn no_moment_panics(now: i64, which in 0..6usize) {
            let all = [Period::Minute, Period::Hour, Period::Day, Period::Week, Period::Month, Period::Total];
            window(all[which], &zone("Europe/Berlin"), now);
        }
    }
}
