//! Time as rules speak of it: fields of the clock in a zone, and windows of the week.
//!
//! The idea: a zone is looked up once, at load; at run time it gives the offset of an instant, and everything else is
//! arithmetic on local seconds. So daylight saving needs no care of its own: 22:00 is 22:00 by the clock on the wall.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

const DAY: i64 = 86_400;

/// A time zone; equal when written alike.
#[derive(Debug, Clone)]
pub(super) struct Zone {
    name: Box<str>,
    zone: TimeZone,
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Zone {
    pub(super) fn utc() -> Self {
        Self {
            name: "UTC".into(),
            zone: TimeZone::UTC,
        }
    }

    /// By its IANA name, `UTC`, or an offset as `+02:00`.
    pub(super) fn named(name: &str) -> Option<Self> {
        let zone = match (name, fixed(name)) {
            ("UTC", _) => TimeZone::UTC,
            (_, Some(seconds)) => TimeZone::fixed(Offset::from_seconds(seconds).ok()?),
            _ => jiff::tz::db().get(name).ok()?,
        };
        Some(Self {
            name: name.into(),
            zone,
        })
    }

    /// A zone whose name is nearest.
    pub(super) fn nearest(name: &str) -> Option<String> {
        let wanted = name.to_ascii_lowercase();
        jiff::tz::db()
            .available()
            .map(|known| {
                let known = known.as_str().to_owned();
                (strsim::damerau_levenshtein(&wanted, &known.to_ascii_lowercase()), known)
            })
            .min()
            .filter(|(distance, _)| *distance <= 3)
            .map(|(_, known)| known)
    }

    /// Seconds on the wall since 1970-01-01 00:00 on the wall.
    fn local(&self, now: i64) -> i64 {
        let now = now.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
        let offset = Timestamp::from_second(now).map_or(0, |at| self.zone.to_offset(at).seconds());
        now + i64::from(offset)
    }
}

/// Seconds of `+02:00`.
fn fixed(name: &str) -> Option<i32> {
    let (sign, rest) = match name.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let minutes = clock(rest)?;
    Some(sign * i32::try_from(minutes * 60).ok()?)
}

/// Minutes of `hh:mm`, at most 24:00.
fn clock(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= 24 * 60).then_some(total)
}

/// Seconds since the epoch of an RFC 3339 time; `None` also when it is not a whole second.
pub(super) fn instant(text: &str) -> Option<i64> {
    let at: Timestamp = text.parse().ok()?;
    (at.subsec_nanosecond() == 0).then_some(at.as_second())
}

/// What can be read from a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Year,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
}

impl Field {
    /// By CEL's name.
    pub(super) const ALL: [(&'static str, Self); 9] = [
        ("getFullYear", Self::Year),
        ("getMonth", Self::Month),
        ("getDate", Self::Date),
        ("getDayOfMonth", Self::DayOfMonth),
        ("getDayOfWeek", Self::DayOfWeek),
        ("getDayOfYear", Self::DayOfYear),
        ("getHours", Self::Hours),
        ("getMinutes", Self::Minutes),
        ("getSeconds", Self::Seconds),
    ];

    /// Least and greatest value.
    pub(super) fn range(self) -> (i64, i64) {
        match self {
            Self::Year => (-9999, 9999),
            Self::Month => (0, 11),
            Self::Date => (1, 31),
            Self::DayOfMonth => (0, 30),
            Self::DayOfWeek => (0, 6),
            Self::DayOfYear => (0, 365),
            Self::Hours => (0, 23),
            Self::Minutes | Self::Seconds => (0, 59),
        }
    }

    /// As CEL counts: months, days of the month and of the year from 0, the date from 1, Sunday is 0.
    pub(super) fn of(self, zone: &Zone, now: i64) -> i64 {
        let local = zone.local(now);
        let second = local.rem_euclid(DAY);
        match self {
            Self::Hours => second / 3600,
            Self::Minutes => second / 60 % 60,
            Self::Seconds => second % 60,
            Self::DayOfWeek => weekday(local),
            Self::Year | Self::Month | Self::Date | Self::DayOfMonth | Self::DayOfYear => {
                let local = local.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
                let date = Timestamp::from_second(local).map_or_else(
                    |_| jiff::civil::Date::constant(1970, 1, 1),
                    |at| Offset::UTC.to_datetime(at).date(),
                );
                match self {
                    Self::Year => i64::from(date.year()),
                    Self::Month => i64::from(date.month()) - 1,
                    Self::Date => i64::from(date.day()),
                    Self::DayOfMonth => i64::from(date.day()) - 1,
                    _ => i64::from(date.day_of_year()) - 1,
                }
            }
        }
    }
}

/// Sunday is 0. The epoch was a Thursday.
fn weekday(local: i64) -> i64 {
    (local.div_euclid(DAY) + 4).rem_euclid(7)
}

const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A window of the week: `22:00-06:00`, `mon-fri 08:00-18:00`, `sat,sun`. A window past midnight belongs to the day it
/// begins on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    zone: Zone,
    /// A bit for each day, Sunday the lowest.
    days: u8,
    /// Seconds of the day.
    from: i64,
    to: i64,
}

impl Window {
    /// As written; on error, what is wrong with it.
    pub(super) fn read(text: &str, zone: Zone) -> Result<Self, String> {
        let (mut days, mut hours) = (None, None);
        for part in text.split_ascii_whitespace() {
            let timed = part.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
            if timed && hours.is_none() {
                hours = Some(Self::hours(part)?);
            } else if !timed && days.is_none() && hours.is_none() {
                days = Some(Self::days(part)?);
            } else {
                return Err(format!("`{part}` is one part too many"));
            }
        }
        if days.is_none() && hours.is_none() {
            return Err("it is empty".to_owned());
        }
        let (from, to) = hours.unwrap_or((0, 24 * 60));
        Ok(Self {
            zone,
            days: days.unwrap_or(0x7f),
            from: from * 60,
            to: to * 60,
        })
    }

    fn hours(part: &str) -> Result<(i64, i64), String> {
        let ends = part
            .split_once('-')
            .and_then(|(from, to)| Some((clock(from)?, clock(to)?)));
        match ends {
            None => Err(format!("`{part}` is not two times of day")),
            Some((from, to)) if from == to => Err(format!("`{part}` is empty; the whole day is 00:00-24:00")),
            Some((1440, _)) => Err(format!("`{part}` begins at 24:00; that is 00:00 of the next day")),
            Some(ends) => Ok(ends),
        }
    }

    fn days(part: &str) -> Result<u8, String> {
        let day = |name: &str| {
            DAYS.iter()
                .position(|day| name.eq_ignore_ascii_case(day))
                .ok_or_else(|| format!("`{name}` is not a day; days are {}", DAYS.join(", ")))
        };
        let mut set = 0u8;
        for range in part.split(',') {
            let (first, last) = match range.split_once('-') {
                Some((first, last)) => (day(first)?, day(last)?),
                None => (day(range)?, day(range)?),
            };
            let length = (last + 7 - first) % 7;
            for step in 0..=length {
                set |= 1 << ((first + step) % 7);
            }
        }
        Ok(set)
    }

    pub(super) fn holds(&self, now: i64) -> bool {
        let local = self.zone.local(now);
        let second = local.rem_euclid(DAY);
        let on = |day: i64| self.days & (1 << day.rem_euclid(7)) != 0;
        let today = weekday(local);
        if self.from < self.to {
            return on(today) && (self.from..self.to).contains(&second);
        }
        (second >= self.from && on(today)) || (second < self.to && on(today - 1))
    }
}
