//! Numbers of people in Europe.
//!
//! The one idea: nearly all are a day of birth, a count of that day and a check; each function says which arithmetic, and who decreed it.

use super::digits::{Digits, is_date, luhn, mod_11_10};

/// An English NHS number: weights 10 to 2, modulo 11 (NHS Data Dictionary).
pub fn uk_nhs(text: &str) -> bool {
    let digits = Digits::of(text);
    let check = match 11 - digits.weighed(&[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11 {
        11 => 0,
        rest => rest,
    };
    digits.len() == 10 && !digits.uniform() && check == digits.at(9)
}

/// A British national insurance number: its pattern knows the letters, this the prefixes that were never given (HMRC NIM39110).
pub fn uk_nino(text: &str) -> bool {
    let prefix = text.get(..2).unwrap_or_default();
    let never = ["BG", "GB", "KN", "NK", "NT", "TN", "ZZ"];
    !never.iter().any(|one| prefix.eq_ignore_ascii_case(one))
}

/// A Spaniard's NIF, or a foreigner's with X, Y or Z for a first digit: a letter for the remainder by 23.
pub fn es_nif(text: &str) -> bool {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let lead = match text.bytes().next() {
        Some(b'X' | b'x') => 0,
        Some(b'Y' | b'y') => 1,
        Some(b'Z' | b'z') => 2,
        _ => 0,
    };
    let digits = Digits::of(text);
    let foreign = digits.len() == 7;
    let number = digits.number(0, digits.len()) + if foreign { lead * 10_000_000 } else { 0 };
    let letter = text.bytes().last().map(|byte| byte.to_ascii_uppercase());
    let expected = LETTERS.get((number % 23) as usize).copied();
    matches!(digits.len(), 7 | 8) && number > 0 && letter == expected
}

/// An Italian's codice fiscale: letters and digits by tables for odd and even places, modulo 26 (DM 12 March 1974).
pub fn it_fiscal_code(text: &str) -> bool {
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
    ];
    let value = |byte: u8| match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        _ => u32::from(byte.to_ascii_uppercase().wrapping_sub(b'A')),
    };
    let places = text.bytes().take(15).enumerate();
    let sum: u32 = places
        .map(|(place, byte)| match place % 2 {
            0 => ODD.get(value(byte) as usize).copied().unwrap_or_default(),
            _ => value(byte),
        })
        .sum();
    text.len() == 16 && text.bytes().last().map(value) == Some(sum % 26)
}

/// A Pole's PESEL: the century in the month, weights 1, 3, 7, 9.
pub fn pl_pesel(text: &str) -> bool {
    let digits = Digits::of(text);
    let sum = digits.weighed(&[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]);
    let month = digits.number(2, 4) % 20;
    digits.len() == 11 && sum.is_multiple_of(10) && is_date(digits.number(0, 2), month, digits.number(4, 6))
}

/// A Finn's henkilötunnus: a character for the remainder by 31 (DVV).
pub fn fi_hetu(text: &str) -> bool {
    const CHECKS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let born = Digits::of(text.get(..6).unwrap_or_default());
    let count = Digits::of(text.get(7..10).unwrap_or_default());
    let number = born.number(0, 6) * 1000 + count.number(0, 3);
    let check = text.as_bytes().get(10).map(|byte| byte.to_ascii_uppercase());
    text.len() == 11
        && born.len() == 6
        && count.len() == 3
        && count.number(0, 3) >= 2
        && is_date(born.number(4, 6), born.number(2, 4), born.number(0, 2))
        && check == CHECKS.get((number % 31) as usize).copied()
}

/// A Swede's personnummer: Luhn over ten digits, whether the century is written or not; 60 more for a day of who has none.
pub fn se_personnummer(text: &str) -> bool {
    let digits = Digits::of(text);
    let from = digits.len().saturating_sub(10);
    let day = digits.number(from + 4, from + 6);
    let short = digits.all().get(from..).unwrap_or_default();
    matches!(digits.len(), 10 | 12)
        && matches!((from, digits.number(0, 2)), (0, _) | (_, 18..=20))
        && is_date(
            digits.number(from, from + 2),
            digits.number(from + 2, from + 4),
            day % 60,
        )
        && luhn(short)
}

/// A German's tax identification number: ISO 7064, one digit twice or three times among the first ten, no others more than once
/// (§ 139b AO).
pub fn de_tax_id(text: &str) -> bool {
    let digits = Digits::of(text);
    let mut counts = [0_u8; 10];
    for digit in digits.all().iter().take(10) {
        if let Some(count) = counts.get_mut(usize::from(*digit)) {
            *count += 1;
        }
    }
    let more = || counts.iter().filter(|count| **count > 1);
    let spread = more().count() == 1 && more().all(|count| *count <= 3);
    digits.len() == 11 && digits.at(0) != 0 && spread && mod_11_10(digits.all())
}

/// A Frenchman's NIR: the key is 97 less the remainder by 97; Corsica's letters count as 19 and 18 (INSEE).
pub fn fr_nir(text: &str) -> bool {
    let corsica = text
        .bytes()
        .find(u8::is_ascii_alphabetic)
        .map(|byte| byte.to_ascii_uppercase());
    let digits = Digits::of(text);
    let (number, key, month) = match corsica {
        None => (digits.number(0, 13), digits.number(13, 15), digits.number(3, 5)),
        // …2A… is …19…, …2B… is …18…, in the sixth and seventh places
        Some(letter) => {
            let department = if letter == b'A' { 19 } else { 18 };
            let number = digits.number(0, 5) * 100_000_000 + department * 1_000_000 + digits.number(6, 12);
            (number, digits.number(12, 14), digits.number(3, 5))
        }
    };
    let expected = if corsica.is_some() { 14 } else { 15 };
    digits.len() == expected
        && matches!(digits.at(0), 1 | 2)
        && matches!(month, 1..=12 | 20..=42 | 50..)
        && key == 97 - number % 97
}

/// A Dutch burgerservicenummer: weights 9 to 2, less the last, a multiple of 11.
pub fn nl_bsn(text: &str) -> bool {
    let digits = Digits::of(text);
    let sum = digits.weighed(&[9, 8, 7, 6, 5, 4, 3, 2]);
    digits.len() == 9 && !digits.uniform() && sum >= digits.at(8) && (sum - digits.at(8)).is_multiple_of(11)
}

/// A Belgian's national register number: 97 less the remainder by 97, a 2 before it from 2000 on.
pub fn be_rrn(text: &str) -> bool {
    let digits = Digits::of(text);
    let (number, key) = (digits.number(0, 9), digits.number(9, 11));
    let month = digits.number(2, 4) % 20; // 20 or 40 more for who is not registered
    digits.len() == 11
        && is_date(digits.number(0, 2), month, digits.number(4, 6))
        && (key == 97 - number % 97 || key == 97 - (2_000_000_000 + number) % 97)
}

/// A Norwegian's fødselsnummer: two checks modulo 11; 40 more for the day of who has no residence.
pub fn no_fnr(text: &str) -> bool {
    let digits = Digits::of(text);
    let first = digits.weighed(&[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]);
    let second = digits.weighed(&[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]);
    digits.len() == 11
        && is_date(digits.number(4, 6), digits.number(2, 4) % 40, digits.number(0, 2) % 40)
        && first.is_multiple_of(11)
        && second.is_multiple_of(11)
}

/// A Swiss AHV number: 756, and the check of a bar code.
pub fn ch_ahv(text: &str) -> bool {
    let digits = Digits::of(text);
    let sum = digits.weighed(&[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]);
    digits.len() == 13 && digits.number(0, 3) == 756 && sum.is_multiple_of(10)
}

/// A Turk's kimlik number: the tenth digit from odd and even places, the eleventh from the sum.
pub fn tr_kimlik(text: &str) -> bool {
    let digits = Digits::of(text);
    let odd = digits.weighed(&[1, 0, 1, 0, 1, 0, 1, 0, 1]);
    let even = digits.weighed(&[0, 1, 0, 1, 0, 1, 0, 1]);
    let sum = digits.weighed(&[1; 10]);
    digits.len() == 11
        && digits.at(0) != 0
        && !digits.uniform()
        && (odd * 7 + 100 - even) % 10 == digits.at(9)
        && sum % 10 == digits.at(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guardrails::pii::valid::one_in;

    #[test]
    fn british() {
        assert!(uk_nhs("943 476 5919") && !uk_nhs("943 476 5918") && !uk_nhs("0000000000"));
        assert!(uk_nino("JG103759A") && !uk_nino("gb103759A"));
    }

    #[test]
    fn southern() {
        assert!(es_nif("12345678Z") && es_nif("X1234567L") && !es_nif("12345678A") && !es_nif("00000000T"));
        assert!(it_fiscal_code("RSSMRA80A01H501U") && !it_fiscal_code("RSSMRA80A01H501V") && !it_fiscal_code("RSSMRA"));
        assert!(tr_kimlik("10000000146") && !tr_kimlik("10000000147"));
        assert!(one_in(tr_kimlik, "100000001", 100));
    }

    #[test]
    fn northern() {
        assert!(fi_hetu("131052-308T") && !fi_hetu("131052-308U") && !fi_hetu("321052-308T"));
        assert!(se_personnummer("811218-9876") && se_personnummer("19811218-9876") && !se_personnummer("811218-9875"));
        assert!(!se_personnummer("29811218-9876"));
        assert!(one_in(pl_pesel, "4405140135", 10) && !pl_pesel("44951401359"));
        let born = "010190123";
        let good: Vec<_> = (0..100)
            .map(|check| format!("{born}{check:02}"))
            .filter(|text| no_fnr(text))
            .collect();
        assert!(good.len() <= 1, "{good:?}");
        let one = |count: u32| (0..100).any(|check| no_fnr(&format!("010190{count:03}{check:02}")));
        assert!((100..110).any(one));
    }

    #[test]
    fn western() {
        assert!(de_tax_id("86095742719") && !de_tax_id("86095742710") && !de_tax_id("12345678903"));
        assert!(one_in(nl_bsn, "11122233", 10) && !nl_bsn("000000000"));
        assert!(one_in(ch_ahv, "756921700105", 10) && !ch_ahv("4006381333931"));
        assert!(one_in(fr_nir, "1850578006084", 100) && one_in(fr_nir, "185052A006084", 100));
        assert!(
            one_in(be_rrn, "850730033", 100)
                || (0..100).filter(|key| be_rrn(&format!("850730033{key:02}"))).count() == 2
        );
    }
}
