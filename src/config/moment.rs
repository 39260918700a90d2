//! A moment as it is written in a configuration file: RFC 3339, with its offset from UTC.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;

/// A moment, as `2027-01-31T00:00:00Z`, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i64);

impl Moment {
    /// Seconds since 1970.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// Of seconds since 1970.
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Read RFC 3339. The error says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let read = text.parse::<jiff::Timestamp>();
        read.map(|at| Self(at.as_second()))
            .map_err(|_| "not a moment: write 2027-01-31T00:00:00Z".to_owned())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(at) => at.fmt(f),
            Err(_) => f.write_str("never"),
        }
    }
}

impl serde::Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A moment with its offset from UTC, as RFC 3339 has it: 2027-01-31T00:00:00Z.",
            "pattern": r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$",
            "format": "date-time",
            "examples": ["2027-01-31T00:00:00Z"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_with_their_offset() {
        assert_eq!(Moment::parse("1970-01-01T01:00:10+01:00").map(Moment::unix), Ok(10));
        assert_eq!(Moment::from_unix(10).to_string(), "1970-01-01T00:00:10Z");
        for bad in [
            "",
            "2027-01-31",
            "2027-13-01T00:00:00Z",
            "2027-01-31T00:00:00",
            "tomorrow",
        ] {
            assert!(Moment::parse(bad).is_err(), "{bad}");
        }
    }
}
