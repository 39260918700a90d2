//! Numbers of people and companies in Asia, Australia and Africa.
//!
//! The one idea: as in [`super::europe`], a form and a check each.

use super::digits::{Digits, is_date, luhn, verhoeff};

/// An Indian's Aadhaar: Verhoeff; the first digit is no 0 or 1, and it does not read the same backwards (UIDAI).
pub fn in_aadhaar(text: &str) -> bool {
    let digits = Digits::of(text);
    let all = digits.all();
    digits.len() == 12 && digits.at(0) >= 2 && !all.iter().eq(all.iter().rev()) && verhoeff(all)
}

/// An Indian goods and services tax number: a state, a PAN, and a check in base 36 (GSTN).
pub fn in_gstin(text: &str) -> bool {
    let value = |byte: u8| match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        _ => u32::from(byte.to_ascii_uppercase().saturating_sub(b'A')) + 10,
    };
    let sum: u32 = text
        .bytes()
        .take(14)
        .zip([1, 2].into_iter().cycle())
        .map(|(byte, weight)| {
            let product = value(byte) * weight;
            product / 36 + product % 36
        })
        .sum();
    let state = Digits::of(text.get(..2).unwrap_or_default()).number(0, 2);
    text.len() == 15
        && matches!(state, 1..=38 | 97 | 99)
        && text.bytes().last().map(value) == Some((36 - sum % 36) % 36)
}

/// An Australian business number: the first digit less one, a multiple of 89 (ABR).
pub fn au_abn(text: &str) -> bool {
    let digits = Digits::of(text);
    let sum = digits.weighed(&[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
    digits.len() == 11 && digits.at(0) != 0 && (sum - 10).is_multiple_of(89)
}

/// An Australian company number: weights 8 to 1, modulo 10 (ASIC).
pub fn au_acn(text: &str) -> bool {
    let digits = Digits::of(text);
    let sum = digits.weighed(&[8, 7, 6, 5, 4, 3, 2, 1, 1]);
    digits.len() == 9 && !digits.uniform() && sum.is_multiple_of(10)
}

/// An Australian tax file number: a multiple of 11 (ATO).
pub fn au_tfn(text: &str) -> bool {
    let digits = Digits::of(text);
    let sum = digits.weighed(&[1, 4, 3, 7, 5, 8, 6, 9, 10]);
    digits.len() == 9 && !digits.uniform() && sum.is_multiple_of(11)
}

/// An Australian Medicare card: 2 to 6 first, the ninth digit from the eight before it.
pub fn au_medicare(text: &str) -> bool {
    let digits = Digits::of(text);
    let sum = digits.weighed(&[1, 3, 7, 9, 1, 3, 7, 9]);
    matches!(digits.len(), 10 | 11) && matches!(digits.at(0), 2..=6) && !digits.uniform() && sum % 10 == digits.at(8)
}

/// A Singaporean's NRIC or a foreigner's FIN: a letter for the remainder by 11, by series (ICA).
pub fn sg_nric(text: &str) -> bool {
    let series = text.bytes().next().map(|byte| byte.to_ascii_uppercase());
    let (offset, letters) = match series {
        Some(b'S') => (0, b"JZIHGFEDCBA"),
        Some(b'T') => (4, b"JZIHGFEDCBA"),
        Some(b'F') => (0, b"XWUTRQPNMLK"),
        Some(b'G') => (4, b"XWUTRQPNMLK"),
        Some(b'M') => (3, b"XWUTRQPNJLK"),
        _ => return false,
    };
    let digits = Digits::of(text);
    let sum = offset + digits.weighed(&[2, 7, 6, 5, 4, 3, 2]);
    let last = text.bytes().last().map(|byte| byte.to_ascii_uppercase());
    digits.len() == 7 && last == letters.get((sum % 11) as usize).copied()
}

/// A South Korean's resident registration number with its dash: a day of birth and a digit for century and sex. Its check digit is
/// not asked: numbers given since October 2020 have none.
pub fn kr_rrn(text: &str) -> bool {
    let digits = Digits::of(text);
    digits.len() == 13
        && (1..=8).contains(&digits.at(6))
        && is_date(digits.number(0, 2), digits.number(2, 4), digits.number(4, 6))
}

/// A mainland Chinese resident's number: a day of birth, and ISO 7064 MOD 11-2 (GB 11643-1999).
pub fn cn_id(text: &str) -> bool {
    const CHECKS: &[u8; 11] = b"10X98765432";
    let digits = Digits::of(text.get(..17).unwrap_or_default());
    let sum = digits.weighed(&[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
    let last = text.bytes().last().map(|byte| byte.to_ascii_uppercase());
    digits.len() == 17
        && text.len() == 18
        && matches!(digits.number(6, 8), 18..=20)
        && is_date(digits.number(6, 10), digits.number(10, 12), digits.number(12, 14))
        && last == CHECKS.get((sum % 11) as usize).copied()
}

/// A Thai's number: weights 13 to 2, modulo 11.
pub fn th_id(text: &str) -> bool {
    let digits = Digits::of(text);
    let sum = digits.weighed(&[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
    digits.len() == 13 && digits.at(0) != 0 && !digits.uniform() && (11 - sum % 11) % 10 == digits.at(12)
}

/// A Japanese individual number: weights 6 to 2 and 7 to 2, modulo 11 (Ministerial Ordinance 85 of 2014).
pub fn jp_my_number(text: &str) -> bool {
    let digits = Digits::of(text);
    let check = match digits.weighed(&[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    digits.len() == 12 && !digits.uniform() && check == digits.at(11)
}

/// A South African's number: a day of birth, citizenship, Luhn.
pub fn za_id(text: &str) -> bool {
    let digits = Digits::of(text);
    digits.len() == 13
        && is_date(digits.number(0, 2), digits.number(2, 4), digits.number(4, 6))
        && digits.at(10) <= 2
        && luhn(digits.all())
}

/// A Hong Kong identity card, its check in brackets: a multiple of 11, letters from A = 10 on, a blank 36 where one letter stands.
pub fn hk_id(text: &str) -> bool {
    let value = |byte: u8| match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        _ => u32::from(byte.to_ascii_uppercase().saturating_sub(b'A')) + 10,
    };
    let all = || text.bytes().filter(u8::is_ascii_alphanumeric);
    let len = all().count();
    let sum: u32 = all().rev().zip(1..).map(|(byte, weight)| value(byte) * weight).sum();
    let blank = if len == 8 { 36 * 9 } else { 0 };
    matches!(len, 8 | 9) && (sum + blank).is_multiple_of(11)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guardrails::pii::valid::one_in;

    #[test]
    fn indian() {
        assert!(one_in(in_aadhaar, "23412341234", 10));
        assert!(!in_aadhaar("222222222222"));
        assert!(in_gstin("27AAPFU0939F1ZV") && !in_gstin("27AAPFU0939F1ZW") && !in_gstin("47AAPFU0939F1ZV"));
    }

    #[test]
    fn australian() {
        assert!(au_abn("51 824 753 556") && !au_abn("51 824 753 557") && !au_abn("01 824 753 556"));
        assert!(au_acn("004 085 616") && !au_acn("004 085 617"));
        assert!(au_tfn("123 456 782") && !au_tfn("123 456 783"));
        assert!(one_in(au_medicare, "29501234", 10) || au_medicare("2428778132"));
    }

    #[test]
    fn eastern() {
        assert!(sg_nric("S1234567D") && sg_nric("F1234567N") && !sg_nric("S1234567E") && !sg_nric("A1234567D"));
        assert!(kr_rrn("900101-1234567") && !kr_rrn("901301-1234567") && !kr_rrn("900101-9234567"));
        assert!(cn_id("11010519491231002X") && !cn_id("110105194912310021"));
        assert!(one_in(th_id, "110170020345", 10) && one_in(jp_my_number, "12345678901", 10));
        assert!(hk_id("A123456(3)") && !hk_id("A123456(4)"));
        assert!(one_in(za_id, "800101500908", 10));
    }
}
