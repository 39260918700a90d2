//! Check digits: the arithmetic that tells a number somebody was given from any other.
//!
//! Not which number is which: see the files beside it. The one idea: a candidate is read as the digits in it, whatever separates
//! them; no check here allocates.

/// The most digits that any number here has, an IBAN's letters included.
const MOST: usize = 40;

/// The digits of a candidate, in order.
#[derive(Debug, Clone, Copy)]
pub struct Digits {
    digits: [u8; MOST],
    len: usize,
}

impl Digits {
    /// Those of `text`; more than [`MOST`] are none.
    pub fn of(text: &str) -> Self {
        let mut out = Self {
            digits: [0; MOST],
            len: 0,
        };
        for byte in text.bytes().filter(u8::is_ascii_digit) {
            let Some(slot) = out.digits.get_mut(out.len) else {
                out.len = 0;
                return out;
            };
            *slot = byte - b'0';
            out.len += 1;
        }
        out
    }

    /// They.
    pub fn all(&self) -> &[u8] {
        self.digits.get(..self.len).unwrap_or_default()
    }

    /// How many.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Those from one place to before another, as a number; 0 where there are none.
    pub fn number(&self, from: usize, to: usize) -> u64 {
        let digits = self.all().get(from..to).unwrap_or_default();
        digits.iter().take(19).fold(0, |sum: u64, digit| {
            sum.wrapping_mul(10).wrapping_add(u64::from(*digit))
        })
    }

    /// One; 0 beyond the end.
    pub fn at(&self, index: usize) -> u32 {
        self.all().get(index).copied().map_or(0, u32::from)
    }

    /// Whether all are the same one: what a form is filled with, and what passes many a check.
    pub fn uniform(&self) -> bool {
        self.all().windows(2).all(|pair| pair.first() == pair.last())
    }

    /// The sum of the first digits, each by its weight.
    pub fn weighed(&self, weights: &[u32]) -> u32 {
        let pairs = self.all().iter().zip(weights);
        pairs.map(|(digit, weight)| u32::from(*digit) * weight).sum()
    }
}

/// Luhn's check (ISO/IEC 7812-1, annex B) over digits.
pub fn luhn(digits: &[u8]) -> bool {
    let mut sum = 0_u32;
    for (index, digit) in digits.iter().rev().enumerate() {
        let digit = u32::from(*digit);
        sum += match index % 2 {
            0 => digit,
            _ if digit > 4 => digit * 2 - 9,
            _ => digit * 2,
        };
    }
    !digits.is_empty() && sum.is_multiple_of(10)
}

/// Verhoeff's check (Error Detecting Decimal Codes, 1969): products in the dihedral group of the pentagon.
pub fn verhoeff(digits: &[u8]) -> bool {
    // (1 5 8 9 4 2 7 0)(3 6), applied once for every place.
    const PERMUTED: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let mut check = 0;
    for (index, digit) in digits.iter().rev().enumerate() {
        let mut digit = u32::from(*digit);
        for _ in 0..index % 8 {
            digit = PERMUTED.get(digit as usize).copied().unwrap_or_default();
        }
        check = dihedral(check, digit);
    }
    !digits.is_empty() && check == 0
}

/// The product of two symmetries of a pentagon: 0 to 4 turn it, 5 to 9 turn it over.
const fn dihedral(a: u32, b: u32) -> u32 {
    match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => 5 + (a + b - 5) % 5,
        (false, true) => 5 + (a - b) % 5,
        (false, false) => (a + 5 - b) % 5,
    }
}

/// ISO 7064 MOD 11,10.
pub fn mod_11_10(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else {
        return false;
    };
    let product = body.iter().fold(10, |product, digit| {
        let sum = (u32::from(*digit) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == u32::from(*check)
}

/// The remainder by 97 of what letters and digits spell, a letter as two digits from A = 10 on (ISO 7064 MOD 97-10).
pub fn mod_97(bytes: impl Iterator<Item = u8>) -> u32 {
    bytes.fold(0, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        b'a'..=b'z' => (rest * 100 + u32::from(byte - b'a') + 10) % 97,
        b'A'..=b'Z' => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
        _ => rest,
    })
}

/// Whether a year, a month and a day are a day; the year may be of two digits, and then any leap day is one.
pub const fn is_date(year: u64, month: u64, day: u64) -> bool {
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) => 29,
        2 => 28,
        _ => 0,
    };
    day >= 1 && day <= days
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str) -> Vec<u8> {
        Digits::of(text).all().to_vec()
    }

    #[test]
    fn luhn_finds_one_wrong_digit() {
        assert!(luhn(&digits("79927398713")));
        for wrong in 0..10 {
            let mut all = digits("79927398713");
            all[4] = wrong;
            assert_eq!(luhn(&all), wrong == 7);
        }
        assert!(!luhn(&[]));
    }

    #[test]
    fn verhoeff_finds_wrong_and_swapped_digits() {
        assert!(verhoeff(&digits("2363")));
        assert!(verhoeff(&digits("758722")));
        let good = digits("1428570");
        let good = (0..10)
            .map(|check| [&good[..], &[check]].concat())
            .find(|all| verhoeff(all))
            .unwrap();
        for place in 0..good.len() {
            for wrong in 0..10 {
                let mut all = good.clone();
                all[place] = wrong;
                assert_eq!(verhoeff(&all), all == good);
            }
            if place + 1 < good.len() {
                let mut all = good.clone();
                all.swap(place, place + 1);
                assert_eq!(verhoeff(&all), all == good);
            }
        }
    }

    #[test]
    fn pure_systems() {
        assert!(mod_11_10(&digits("86095742719")));
        assert!(!mod_11_10(&digits("86095742710")));
        assert_eq!(mod_97("3214282912345698765432161182".bytes()), 1);
        assert_eq!(mod_97("WEST12345698765432GB82".bytes()), 1);
    }

    #[test]
    fn too_many_digits_are_none() {
        assert_eq!(Digits::of(&"1".repeat(41)).len(), 0);
        assert_eq!(Digits::of("a-1 2.").number(0, 2), 12);
        assert_eq!(Digits::of("12").number(1, 9), 0);
        assert!(Digits::of("111").uniform() && !Digits::of("112").uniform());
    }

    #[test]
    fn days() {
        assert!(is_date(2024, 2, 29) && !is_date(2023, 2, 29) && !is_date(2024, 4, 31) && !is_date(2024, 13, 1));
        assert!(!is_date(2024, 1, 0));
    }
}
