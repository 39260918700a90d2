//! What stands behind the `?` of a path: known names only, each once, each read as what it is.

use super::super::tenancy::Problem;
use super::Failure;
use super::table::{Parameter, Takes};
use axum::http::Uri;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeMap;

/// Longest text of one parameter.
const LONGEST: usize = 1024;
/// Values of one list.
const MOST_VALUES: usize = 100;

/// The parameters of one request, checked against those its route knows.
#[derive(Debug, Default)]
pub(super) struct Query(BTreeMap<&'static str, String>);

impl Query {
    /// Read and check. Every problem at once.
    pub fn read(uri: &Uri, known: &[Parameter]) -> Result<Self, Failure> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Failure::invalid("the query cannot be read"))?
            .0;
        let mut read = BTreeMap::new();
        let mut problems = Vec::new();
        let mut wrong = |name: &str, message: String| {
            let path: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            problems.push(Problem { path, message });
        };
        for (name, value) in pairs.into_iter().take(64) {
            let Some(parameter) = known.iter().find(|parameter| parameter.name == name) else {
                let names: Vec<&str> = known.iter().map(|parameter| parameter.name).collect();
                wrong(
                    &name,
                    match names.as_slice() {
                        [] => "this path takes no parameters".to_owned(),
                        names => format!("not a parameter of this path; known: {}", names.join(", ")),
                    },
                );
                continue;
            };
            if let Err(message) = parameter.takes.check(&value) {
                wrong(&name, message);
            } else if read.insert(parameter.name, value).is_some() {
                wrong(&name, "given twice; write several values with commas".to_owned());
            }
        }
        if problems.is_empty() {
            Ok(Self(read))
        } else {
            Err(Failure::invalid_parts(problems))
        }
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Values with commas between them.
    pub fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',')
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
            .collect()
    }

    pub fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// A number that was checked; `default` when there is none.
    pub fn number(&self, name: &str, default: u32) -> u32 {
        self.text(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    /// A time that was checked, in milliseconds since 1970.
    pub fn time_ms(&self, name: &str) -> Option<i64> {
        self.text(name).and_then(read_time)
    }

    /// The name that the page before ended with.
    pub fn after(&self) -> Result<Option<String>, Failure> {
        let Some(cursor) = self.text("cursor") else {
            return Ok(None);
        };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
        let name = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        name.map(Some)
            .ok_or_else(|| Failure::invalid("`cursor` is not one that an earlier answer gave as `next_cursor`"))
    }
}

/// Where the next page begins, for [`Query::after`].
pub(super) fn cursor(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

/// RFC 3339, or a day, which means its beginning in UTC.
pub(super) fn read_time(text: &str) -> Option<i64> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_millisecond());
    }
    let day: jiff::civil::Date = (text.len() == 10).then(|| text.parse().ok())??;
    let at = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(at.timestamp().as_millisecond())
}

impl Takes {
    /// What is wrong with a value.
    fn check(self, value: &str) -> Result<(), String> {
        if value.len() > LONGEST || value.chars().any(char::is_control) {
            return Err(format!("longer than {LONGEST} bytes, or with control characters"));
        }
        let good = match self {
            Self::Text => !value.is_empty(),
            Self::Names => {
                let names = value.split(',').count();
                !value.is_empty() && names <= MOST_VALUES
            }
            Self::Flag => matches!(value, "true" | "false"),
            Self::Number(from, to) => {
                value.bytes().all(|byte| byte.is_ascii_digit())
                    && value.parse::<u32>().is_ok_and(|number| (from..=to).contains(&number))
            }
            Self::Time => read_time(value).is_some(),
            Self::Word(words) => words.contains(&value),
            Self::Words(words, most) => {
                let given: Vec<&str> = value.split(',').collect();
                let known = given.iter().all(|word| words.contains(word));
                known
                    && given.len() <= most
                    && given
                        .iter()
                        .enumerate()
                        .all(|(at, word)| !given.iter().take(at).any(|w| w == word))
            }
        };
        if good {
            Ok(())
        } else {
            Err(format!("not {}", self.wanted()))
        }
    }

    /// What it takes, in words.
    fn wanted(self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Names => format!("a name, or at most {MOST_VALUES} with commas between them"),
            Self::Flag => "true or false".to_owned(),
            Self::Number(from, to) => format!("a number from {from} to {to}"),
            Self::Time => "a time such as 2026-01-31T22:00:00Z, or a day such as 2026-01-31".to_owned(),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Words(words, most) => format!("at most {most} of {}, each once", words.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Parameter] = &[
        Parameter::new("from", Takes::Time, "…"),
        Parameter::new("limit", Takes::Number(1, 1000), "…"),
        Parameter::new("group_by", Takes::Words(&["team", "model"], 2), "…"),
        Parameter::new("team", Takes::Names, "…"),
    ];

    fn read(query: &str) -> Result<Query, Failure> {
        Query::read(&format!("/x?{query}").parse().unwrap(), KNOWN)
    }

    #[test]
    fn values_are_read() {
        let query = read("from=2026-01-31&limit=7&group_by=team,model&team=a%20b,c").unwrap();
        assert_eq!(query.time_ms("from"), Some(1_769_817_600_000));
        assert_eq!(query.number("limit", 1), 7);
        assert_eq!(query.list("team"), ["a b", "c"]);
        assert_eq!(
            read("from=2026-01-31T01:00:00%2B01:00").unwrap().time_ms("from"),
            Some(1_769_817_600_000)
        );
        assert!(read("").unwrap().time_ms("from").is_none());
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        for (query, part) in [
            ("form=2026", "known: from, limit, group_by, team"),
            ("from=yesterday", "2026-01-31T22:00:00Z"),
            ("from=2026-13-01", "2026-01-31T22:00:00Z"),
            ("from=2026-01-31T22:00:00", "2026-01-31T22:00:00Z"),
            ("limit=0", "from 1 to 1000"),
            ("limit=-1", "from 1 to 1000"),
            ("limit=99999999999", "from 1 to 1000"),
            ("limit=1&limit=2", "twice"),
            ("group_by=team,team", "each once"),
            ("group_by=colour", "team, model"),
            ("team=a%00b", "control characters"),
        ] {
            let failure = read(query).unwrap_err();
            assert!(failure.message.contains(part), "{query}: {}", failure.message);
        }
    }
}
