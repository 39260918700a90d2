//! Dollars for one token as JSON writes them (`1.25e-06`, `0.0000025`) → nano-dollars for a million, exactly: no float.

/// Most digits that are looked at; more cannot make a price.
const LONGEST: usize = 40;
/// Dollars for one token × 10⁶ tokens × 10⁹ nano-dollars.
const SHIFT: i64 = 15;
/// A million dollars per million tokens, which no model costs.
const ABSURD: u128 = 1_000_000 * 1_000_000_000;

/// What a number comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nano {
    /// Nano-dollars; for a million tokens, or for one of what is counted by the piece.
    pub(super) nano: u64,
    /// It was rounded: the number has digits below a nano-dollar.
    pub(super) rounded: bool,
}

/// Of a price for one token, per million.
pub(super) fn per_million(text: &str) -> Result<Nano, String> {
    read(text, SHIFT)
}

/// Of a price for one of something.
pub(super) fn each(text: &str) -> Result<Nano, String> {
    read(text, SHIFT - 6)
}

fn read(text: &str, shift: i64) -> Result<Nano, String> {
    let wrong = |what: &str| Err(format!("{what}: {:?}", text.chars().take(LONGEST).collect::<String>()));
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return wrong("not a number");
    }
    if text.starts_with('-') {
        return wrong("a negative price");
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let Ok(exponent) = exponent.strip_prefix('+').unwrap_or(exponent).parse::<i64>() else {
        return wrong("an exponent that cannot be read");
    };
    let digits: String = whole.chars().chain(fraction.chars()).collect();
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Ok(Nano {
            nano: 0,
            rounded: false,
        });
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.len() > LONGEST || significant.len() > 30 {
        return wrong("more digits than a price has");
    }
    let Ok(number) = significant.parse::<u128>() else {
        return wrong("not a number");
    };
    let places = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    scaled(number, exponent.saturating_sub(places).saturating_add(shift))
        .filter(|nano| u128::from(nano.nano) <= ABSURD)
        .map_or_else(|| wrong("an absurd price"), Ok)
}

/// `number × 10^power`, to the nearest whole; [`None`] when it is beyond anything.
fn scaled(number: u128, power: i64) -> Option<Nano> {
    let factor = 10u128.checked_pow(u32::try_from(power.unsigned_abs().min(60)).ok()?);
    if power >= 0 {
        let nano = number.checked_mul(factor?)?;
        return Some(Nano {
            nano: u64::try_from(nano).ok()?,
            rounded: false,
        });
    }
    let Some(factor) = factor else {
        return Some(Nano { nano: 0, rounded: true });
    };
    let (whole, rest) = (number / factor, number % factor);
    let up = u128::from(rest >= factor - factor / 2);
    Some(Nano {
        nano: u64::try_from(whole + if rest == 0 { 0 } else { up }).ok()?,
        rounded: rest != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nano(text: &str) -> u64 {
        let read = per_million(text).unwrap();
        assert!(!read.rounded, "{text}");
        read.nano
    }

    #[test]
    fn prices_are_read_exactly() {
        // 0.00000125 dollars for a token are 1.25 dollars for a million.
        for text in ["1.25e-06", "1.25e-6", "0.00000125", "125E-8", "0.125e-5", "1.250e-06"] {
            assert_eq!(nano(text), 1_250_000_000, "{text}");
        }
        assert_eq!(nano("2.5e-6"), 2_500_000_000);
        assert_eq!(nano("7.5e-08"), 75_000_000);
        assert_eq!((nano("0"), nano("0.0"), nano("0e5")), (0, 0, 0));
        assert_eq!(nano("1e0"), 1_000_000_000_000_000);
        assert_eq!(
            each("0.035"),
            Ok(Nano {
                nano: 35_000_000,
                rounded: false
            })
        );
        // What a float leaves of 0.00000025: said to be rounded.
        assert_eq!(
            per_million("2.4999999999999998e-07"),
            Ok(Nano {
                nano: 250_000_000,
                rounded: true
            })
        );
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for wrong in [
            "-1e-6",
            "NaN",
            "Infinity",
            "\"1\"",
            "null",
            "true",
            "1.1e0",
            "1e300",
            "1e99999999999999999999",
            "1e-",
            "",
            "[1]",
        ] {
            assert!(per_million(wrong).is_err(), "{wrong}");
        }
        assert!(per_million(&"9".repeat(400)).is_err());
        assert_eq!(per_million("1e-300"), Ok(Nano { nano: 0, rounded: true }));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9.eE]{0,50}") {
            let _ = per_million(&text);
        }

        /// Against arithmetic on integers: digits × 10^(power + 15).
        #[test]
        fn agrees_with_integer_arithmetic(digits in 1..1_000_000u64, power in -15i32..-9) {
            let exact = digits * 10u64.pow((power + 15) as u32);
            proptest::prop_assert_eq!(per_million(&format!("{digits}e{power}")), Ok(Nano { nano: exact, rounded: false }));
        }
    }
}
