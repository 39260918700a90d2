//! Numbers of people and practitioners in the Americas.
//!
//! The one idea: a form and a check; of those without a check digit the ranges that were never given out.

use super::digits::{Digits, is_date, luhn};

/// A Social Security number as it is written, one separator throughout: area, group and serial are none of them zero, the area is neither
/// 666 nor of the nine hundreds, and it is none of the two that the administration calls out (a wallet's insert, a pamphlet's
/// example; ssa.gov, read 2026-11).
pub fn ssn(text: &str) -> bool {
    let digits = Digits::of(text);
    let (area, group, serial) = (digits.number(0, 3), digits.number(3, 5), digits.number(5, 9));
    let known = matches!((area, group, serial), (78, 5, 1120) | (219, 9, 9999));
    digits.len() == 9
        && even(text)
        && !matches!(area, 0 | 666 | 900..)
        && group != 0
        && serial != 0
        && !known
        && !digits.uniform()
}

/// An individual taxpayer's number: as [`ssn`], in the ranges that are set aside for it.
pub fn itin(text: &str) -> bool {
    let digits = Digits::of(text);
    let group = matches!(digits.number(3, 5), 50..=65 | 70..=88 | 90..=92 | 94..=99);
    digits.len() == 9 && even(text) && digits.at(0) == 9 && group
}

/// Whether all separators are one.
fn even(text: &str) -> bool {
    let mut others = text.bytes().filter(|byte| !byte.is_ascii_digit());
    others.next().is_none_or(|first| others.all(|byte| byte == first))
}

/// A national provider's identifier: Luhn with the prefix of American health care before it (45 CFR 162.406).
pub fn npi(text: &str) -> bool {
    let digits = Digits::of(text);
    let mut all = [8, 0, 8, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (slot, digit) in all.iter_mut().skip(5).zip(digits.all()) {
        *slot = *digit;
    }
    digits.len() == 10 && matches!(digits.at(0), 1 | 2) && !digits.uniform() && luhn(&all)
}

/// A prescriber's registration with the DEA: two letters and seven digits, the last from the six others (21 CFR 1301).
pub fn dea(text: &str) -> bool {
    let digits = Digits::of(text.get(2..).unwrap_or_default());
    digits.len() == 7 && !digits.uniform() && digits.weighed(&[1, 2, 1, 2, 1, 2]) % 10 == digits.at(6)
}

/// A Canadian social insurance number: Luhn, and no 0 or 8 first.
pub fn ca_sin(text: &str) -> bool {
    let digits = Digits::of(text);
    digits.len() == 9 && even(text) && !matches!(digits.at(0), 0 | 8) && !digits.uniform() && luhn(digits.all())
}

/// What completes a sum to a multiple of 11, 0 where that would be two digits.
const fn eleventh(sum: u32) -> u32 {
    match sum % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    }
}

/// A Brazilian's tax number: two check digits (Receita Federal, CPF).
pub fn br_cpf(text: &str) -> bool {
    let digits = Digits::of(text);
    digits.len() == 11
        && !digits.uniform()
        && eleventh(digits.weighed(&[10, 9, 8, 7, 6, 5, 4, 3, 2])) == digits.at(9)
        && eleventh(digits.weighed(&[11, 10, 9, 8, 7, 6, 5, 4, 3, 2])) == digits.at(10)
}

/// A Brazilian company's (CNPJ), of digits only.
pub fn br_cnpj(text: &str) -> bool {
    let digits = Digits::of(text);
    digits.len() == 14
        && !digits.uniform()
        && eleventh(digits.weighed(&[5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])) == digits.at(12)
        && eleventh(digits.weighed(&[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])) == digits.at(13)
}

/// A Chilean's RUT: weights 2 to 7 from the right, the check a digit or K.
pub fn cl_rut(text: &str) -> bool {
    let Some((body, check)) = text.rsplit_once('-') else {
        return false;
    };
    let digits = Digits::of(body);
    let weights = [2, 3, 4, 5, 6, 7, 2, 3];
    let pairs = digits.all().iter().rev().zip(weights);
    let sum: u32 = pairs.map(|(digit, weight)| u32::from(*digit) * weight).sum();
    let expected = match 11 - sum % 11 {
        11 => b'0',
        10 => b'K',
        rest => b'0' + rest as u8,
    };
    (7..=8).contains(&digits.len())
        && !digits.uniform()
        && check.bytes().map(|byte| byte.to_ascii_uppercase()).eq([expected])
}

/// A Mexican's CURP: a day of birth, and a check digit over all 17 characters before it, Ñ counted between N and O (RENAPO).
pub fn mx_curp(text: &str) -> bool {
    let value = |byte: u8| match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        b'A'..=b'N' => u32::from(byte - b'A') + 10,
        _ => u32::from(byte.saturating_sub(b'A')) + 11,
    };
    let sum: u32 = text
        .bytes()
        .take(17)
        .zip((2..=18).rev())
        .map(|(byte, weight)| value(byte) * weight)
        .sum();
    let born = Digits::of(text.get(4..10).unwrap_or_default());
    let check = Digits::of(text.get(17..).unwrap_or_default());
    text.len() == 18
        && is_date(born.number(0, 2), born.number(2, 4), born.number(4, 6))
        && check.len() == 1
        && (10 - sum % 10) % 10 == check.at(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guardrails::pii::valid::one_in;

    #[test]
    fn social_security() {
        for good in ["123-45-6789", "531 02 4417", "531.02.4417", "531024417"] {
            assert!(ssn(good), "{good}");
        }
        for bad in [
            "000-12-3456",
            "666-12-3456",
            "900-12-3456",
            "531-00-4417",
            "531-02-0000",
            "219-09-9999",
            "531-02.4417",
            "111111111",
        ] {
            assert!(!ssn(bad), "{bad}");
        }
        assert!(itin("912-71-3456") && itin("912713456"));
        assert!(!itin("912-66-3456") && !itin("812-71-3456") && !itin("912-93-3456"));
    }

    #[test]
    fn health() {
        assert!(npi("1234567893"));
        assert!(one_in(npi, "123456789", 10));
        assert!(dea("AB1234563") && !dea("AB1234564") && !dea("AB0000000"));
    }

    #[test]
    fn others() {
        assert!(one_in(ca_sin, "13069254", 10) && ca_sin("130-692-544"));
        assert!(!ca_sin("046-454-286"));
        assert!(br_cpf("529.982.247-25") && !br_cpf("529.982.247-24") && !br_cpf("111.111.111-11"));
        assert!(br_cnpj("11.222.333/0001-81") && !br_cnpj("11.222.333/0001-82"));
        assert!(cl_rut("12.345.678-5") && !cl_rut("12.345.678-K") && !cl_rut("11.111.111-1"));
        assert!(one_in(mx_curp, "GOMC850317HDFRRL0", 10) && !mx_curp("GOMC851317HDFRRL01"));
    }
}
