//! Money as it is written in a configuration file: text, so that no float comes between a price and the ledger.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use std::borrow::Cow;

const PATTERN: &str = r"^[0-9]{1,6}(\.[0-9]{1,9})?$";
const NANO: u64 = 1_000_000_000;

/// A price in US dollars per million tokens, as text: `"2.50"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsdPerMillion(u64);

impl UsdPerMillion {
    /// In nano-dollars per million tokens.
    pub const fn nano(self) -> u64 {
        self.0
    }

    /// Read `2.50`. The error says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "not a price: write dollars per million tokens, such as \"2.50\"".to_owned();
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str, most: usize| {
            (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole, 6) || !digits(fraction, 9) {
            return Err(wrong());
        }
        let whole: u64 = whole.parse().map_err(|_| wrong())?;
        let nano: u64 = format!("{fraction:0<9}").parse().map_err(|_| wrong())?;
        Ok(Self(whole * NANO + nano))
    }
}

impl<'de> Deserialize<'de> for UsdPerMillion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl JsonSchema for UsdPerMillion {
    fn schema_name() -> Cow<'static, str> {
        "UsdPerMillion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "US dollars per million tokens, as text: \"2.50\".",
            "pattern": PATTERN,
            "examples": ["2.50", "0.15"],
        })
    }
}

/// An amount of US dollars, as text: `"250.00"`. Less than ten million, to the nano-dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(u64);

impl Usd {
    /// In nano-dollars.
    pub const fn nano(self) -> u64 {
        self.0
    }

    /// Read `250.00`. The error says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || "not an amount: write US dollars as text, without a sign or a currency, such as \"250.00\"".to_owned();
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str, most: usize| {
            (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole, 7) || !digits(fraction, 9) {
            return Err(wrong());
        }
        let whole: u64 = whole.parse().map_err(|_| wrong())?;
        let nano: u64 = format!("{fraction:0<9}").parse().map_err(|_| wrong())?;
        Ok(Self(whole * NANO + nano))
    }
}

impl std::fmt::Display for Usd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::units::usd(self.0))
    }
}

impl serde::Serialize for Usd {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl JsonSchema for Usd {
    fn schema_name() -> Cow<'static, str> {
        "Usd".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "US dollars, as text: \"250.00\".",
            "pattern": r"^[0-9]{1,7}(\.[0-9]{1,9})?$",
            "examples": ["250.00", "0.50"],
        })
    }
}

/// A share of a price: `10%`, `12.5%`. In hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u32);

impl Percent {
    /// In hundredths of a percent.
    pub const fn basis_points(self) -> u32 {
        self.0
    }

    /// Read `12.5%`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "not a share: write it in percent, from \"0%\" to \"1000%\", such as \"10%\"".to_owned();
        let number = text.strip_suffix('%').ok_or_else(wrong)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str, most: usize| {
            (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole, 4) || !digits(fraction, 2) {
            return Err(wrong());
        }
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let part: u32 = format!("{fraction:0<2}").parse().map_err(|_| wrong())?;
        Some(whole * 100 + part)
            .filter(|points| *points <= 100_000)
            .map(Self)
            .ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A share in percent, as text: \"10%\".",
            "pattern": r"^[0-9]{1,4}(\.[0-9]{1,2})?%$",
            "examples": ["10%", "12.5%"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact() {
        assert_eq!(UsdPerMillion::parse("2.50").map(UsdPerMillion::nano), Ok(2_500_000_000));
        assert_eq!(UsdPerMillion::parse("0.000000001").map(UsdPerMillion::nano), Ok(1));
        assert_eq!(UsdPerMillion::parse("15").map(UsdPerMillion::nano), Ok(15_000_000_000));
        for wrong in ["", ".5", "1.", "-1", "1e3", "1,5", "12345678", "0.0000000001", " 1"] {
            assert!(UsdPerMillion::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
