//! Hours of days of the week, on the clock of a time zone.
//!
//! A time is civil: what a clock on the wall shows. Where clocks are set forward, times that never show are never in; where they
//! are set back, times that show twice are in twice. The one idea: what goes over midnight belongs to the day it begins on.

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const ALL_DAYS: u8 = 0b111_1111;
const DAY: u16 = 24 * 60;

/// When something is allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Hours {
    /// Bit 0: Monday.
    days: u8,
    /// Minutes from midnight; `to` < `from` is over midnight.
    from: u16,
    to: u16,
    zone: TimeZone,
}

/// Which part of it is wrong, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadHours {
    /// `days`, `time` or `time_zone`.
    pub part: &'static str,
    /// What is wrong.
    pub message: &'static str,
    /// How to mend it.
    pub remedy: &'static str,
}

impl Hours {
    /// Of its parts as written; every part that is wrong.
    pub fn parse(days: Option<&str>, time: Option<&str>, zone: Option<&str>) -> Result<Self, Vec<BadHours>> {
        let mut bad = Vec::new();
        let days = days.map_or(Some(ALL_DAYS), read_days).unwrap_or_else(|| {
            bad.push(BadHours {
                part: "days",
                message: "not days of the week",
                remedy: "write `mon-fri`, or `sat,sun`",
            });
            0
        });
        let (from, to) = time.map_or(Some((0, DAY)), read_times).unwrap_or_else(|| {
            bad.push(BadHours {
                part: "time",
                message: "not two different times of a day",
                remedy: "write `08:00-18:00`; `22:00-06:00` goes over midnight, and the end of a day is `24:00`",
            });
            (0, 0)
        });
        let zone = time_zone(zone).unwrap_or_else(|| {
            bad.push(BAD_ZONE);
            TimeZone::UTC
        });
        if bad.is_empty() {
            Ok(Self { days, from, to, zone })
        } else {
            Err(bad)
        }
    }

    /// Whether a moment (seconds since 1970) is in.
    pub fn has(&self, now: i64) -> bool {
        let Ok(now) = Timestamp::from_second(now) else {
            return false;
        };
        let civil = self.zone.to_datetime(now);
        let minute = u16::from(civil.hour().unsigned_abs()) * 60 + u16::from(civil.minute().unsigned_abs());
        let on = |day: Weekday| self.days >> day.to_monday_zero_offset().unsigned_abs() & 1 == 1;
        let today = civil.weekday();
        if self.from < self.to {
            return on(today) && (self.from..self.to).contains(&minute);
        }
        (minute >= self.from && on(today)) || (minute < self.to && on(today.previous()))
    }
}

/// What is said of a time zone that does not exist.
pub const BAD_ZONE: BadHours = BadHours {
    part: "time_zone",
    message: "no time zone of that name",
    remedy: "write one of the IANA names, such as `Europe/Berlin`, or `UTC`",
};

/// A time zone by its IANA name; UTC without one.
pub fn time_zone(name: Option<&str>) -> Option<TimeZone> {
    match name {
        None | Some("UTC") => Some(TimeZone::UTC),
        Some(name) if name.len() > 64 => None,
        Some(name) => TimeZone::get(name).ok(),
    }
}

fn read_days(text: &str) -> Option<u8> {
    let day = |name: &str| {
        let name = name.trim();
        DAYS.iter().position(|day| day.eq_ignore_ascii_case(name))
    };
    let mut days = 0_u8;
    // Seven days need no more than seven parts; the rest of a long text is not read.
    for (index, part) in text.split(',').enumerate() {
        if index >= DAYS.len() {
            return None;
        }
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let length = (last + 7 - first) % 7;
        for offset in 0..=length {
            days |= 1 << ((first + offset) % 7);
        }
    }
    Some(days)
}

fn read_times(text: &str) -> Option<(u16, u16)> {
    let time = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(hour) || !digits(minute) {
            return None;
        }
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (time(from)?, time(to)?);
    (from != to && from < DAY).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hours(days: &str, time: &str, zone: &str) -> Hours {
        let some = |text: &'static str| (!text.is_empty()).then_some(text);
        let leak = |text: &str| some(Box::leak(text.to_owned().into_boxed_str()));
        Hours::parse(leak(days), leak(time), leak(zone)).unwrap()
    }

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn working_hours_are_civil() {
        let work = hours("mon-fri", "08:00-18:00", "Europe/Berlin");
        // 2026-11-23 is a Monday, in winter time (UTC+1).
        assert!(!work.has(at("2026-11-23T06:59:59Z")));
        assert!(work.has(at("2026-11-23T07:00:00Z")));
        assert!(work.has(at("2026-11-23T16:59:59Z")));
        assert!(!work.has(at("2026-11-23T17:00:00Z")));
        assert!(!work.has(at("2026-11-22T10:00:00Z")), "a Sunday");
        // In summer the same hours are an hour earlier.
        assert!(work.has(at("2026-07-01T06:00:00Z")));
        assert!(!work.has(at("2026-07-01T16:00:00Z")));
    }

    #[test]
    fn nights_belong_to_the_day_they_begin_on() {
        let night = hours("fri", "22:00-06:00", "");
        assert!(night.has(at("2026-11-27T22:00:00Z")));
        assert!(night.has(at("2026-11-28T05:59:59Z")));
        assert!(!night.has(at("2026-11-28T06:00:00Z")));
        assert!(!night.has(at("2026-11-27T05:00:00Z")), "Thursday's night");
        assert!(!night.has(at("2026-11-28T22:00:00Z")));
        assert!(hours("", "18:00-24:00", "").has(at("2026-11-27T23:59:59Z")));
        assert!(!hours("", "18:00-24:00", "").has(at("2026-11-28T00:00:00Z")));
        assert!(hours("", "18:00-00:00", "").has(at("2026-11-27T23:59:59Z")));
    }

    #[test]
    fn clocks_that_are_set_skip_and_repeat() {
        // Berlin, 2026-03-29: 02:00 → 03:00. 2026-10-25: 03:00 → 02:00.
        let hour = hours("", "02:00-03:00", "Europe/Berlin");
        let within = |day: &str| (0..24 * 60).filter(|minute| hour.has(at(day) + minute * 60)).count();
        assert_eq!(within("2026-03-28T23:00:00Z"), 0);
        assert_eq!(within("2026-10-24T22:00:00Z"), 120);
        assert_eq!(within("2026-11-23T23:00:00Z"), 60);
    }

    #[test]
    fn every_bad_part_is_named() {
        let parts = |days, time, zone| -> Vec<&str> {
            Hours::parse(Some(days), Some(time), Some(zone))
                .map_or_else(|bad| bad.iter().map(|bad| bad.part).collect(), |_| Vec::new())
        };
        assert_eq!(parts("mo-fr", "8-18", "Mars/Olympus"), ["days", "time", "time_zone"]);
        for time in [
            "08:00",
            "08:00-08:00",
            "24:00-06:00",
            "08:60-09:00",
            "25:00-26:00",
            "8:00-9:00",
            "+8:00-09:00",
            "-",
        ] {
            assert_eq!(parts("mon", time, "UTC"), ["time"], "{time}");
        }
        assert!(parts("Sat, SUN", "00:00-24:00", "America/New_York").is_empty());
        assert_eq!(read_days("fri-mon"), Some(0b111_0001));
        assert_eq!(read_days("mon-sun"), Some(ALL_DAYS));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[a-z0-9:, -]{0,20}", now in any::<i64>()) {
            if let Ok(hours) = Hours::parse(Some(&text), Some(&text), Some(&text)) {
                hours.has(now);
            }
            hours("sat", "22:00-06:00", "Asia/Kolkata").has(now);
        }
    }
}
