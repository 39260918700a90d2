//! Telephone numbers, by form and by how long they are where they belong.
//!
//! Not libphonenumber: the `phonenumber` crate (0.3.10) costs 20 MB once forty regions were seen, up to 170 ms at the first number of a
//! process, 2 to 13 ms at the first of each country and 32 µs at each (measured 2026-11-22), in a gateway whose idle memory is a goal.
//! What it knows more, which ranges are assigned, says little about what people write: a number that is not assigned is still meant
//! as one. The one idea: the less a form says by itself, the more must stand beside it: `+` or `00` and a country, a trunk 0 and groups,
//! the American 3-3-4; everything else needs a word such as `phone` before it.

use super::digits::{Digits, is_date};

/// Country codes whose numbers have other lengths than 7 to 11 digits behind them, or are wrong more often than not: least and most
/// (ITU E.164 national numbering plans, read 2026-11).
const LENGTHS: [(u64, usize, usize); 68] = [
    (1, 10, 10),
    (7, 10, 10),
    (20, 8, 10),
    (27, 9, 9),
    (30, 10, 10),
    (31, 9, 9),
    (32, 8, 9),
    (33, 9, 9),
    (34, 9, 9),
    (36, 8, 9),
    (39, 6, 11),
    (40, 9, 9),
    (41, 9, 9),
    (43, 6, 13),
    (44, 9, 10),
    (45, 8, 8),
    (46, 7, 10),
    (47, 8, 8),
    (48, 9, 9),
    (49, 6, 12),
    (51, 8, 9),
    (52, 10, 11),
    (53, 6, 8),
    (54, 10, 11),
    (55, 10, 11),
    (56, 9, 9),
    (57, 8, 10),
    (58, 10, 10),
    (60, 8, 10),
    (61, 9, 9),
    (62, 8, 12),
    (63, 8, 10),
    (64, 8, 10),
    (65, 8, 8),
    (66, 8, 9),
    (81, 9, 10),
    (82, 8, 10),
    (84, 9, 10),
    (86, 9, 11),
    (90, 10, 10),
    (91, 10, 10),
    (92, 9, 10),
    (93, 9, 9),
    (94, 9, 9),
    (95, 7, 10),
    (98, 10, 10),
    (212, 9, 9),
    (213, 8, 9),
    (216, 8, 8),
    (234, 8, 10),
    (254, 9, 9),
    (351, 9, 9),
    (352, 6, 11),
    (353, 7, 9),
    (354, 7, 7),
    (357, 8, 8),
    (358, 6, 11),
    (370, 8, 8),
    (371, 8, 8),
    (372, 7, 8),
    (380, 9, 9),
    (385, 8, 9),
    (386, 8, 8),
    (420, 9, 9),
    (421, 9, 9),
    (852, 8, 8),
    (971, 8, 9),
    (972, 8, 9),
];

/// Whether digits are a country code and a number as long as they are there.
fn abroad(digits: &Digits, from: usize) -> bool {
    let code = match digits.number(from, from + 2) {
        10..=19 | 70..=79 => 1,
        20 | 27 | 30..=34 | 36 | 39..=41 | 43..=49 | 51..=58 | 60..=66 | 81 | 82 | 84 | 86 | 90..=95 | 98 => 2,
        _ => 3,
    };
    let country = digits.number(from, from + code);
    let rest = digits.len().saturating_sub(from + code);
    // A trunk 0 may be written in brackets: +46 (0)8 …
    let trunk = usize::from(digits.at(from + code) == 0 && country != 39);
    let (least, most) = LENGTHS
        .iter()
        .find(|(one, _, _)| *one == country)
        .map_or((7, 11), |(_, least, most)| (*least, *most));
    (code < 3 || assigned(country)) && (least..=most + trunk).contains(&rest) && digits.len() <= 16
}

/// What stands before an extension: `x12`, `ext. 12`.
fn line(text: &str) -> &str {
    let end = text.find(|one: char| one.is_ascii_alphabetic()).unwrap_or(text.len());
    text.get(..end).unwrap_or_default().trim_ascii_end()
}

/// Whether a code of three digits is a country's or a service's (ITU E.164, 2026-11).
const fn assigned(code: u64) -> bool {
    match code {
        211 | 212 | 213 | 216 | 218 | 220..=258 | 260..=269 | 290 | 291 | 297..=299 => true,
        350..=359 | 370..=378 | 380..=383 | 385..=387 | 389 | 420 | 421 | 423 => true,
        500..=509 | 590..=599 | 670 | 672..=683 | 685..=692 => true,
        800 | 808 | 850 | 852 | 853 | 855 | 856 | 870 | 878 | 880..=883 | 886 | 888 => true,
        960..=968 | 970..=977 | 979 | 992..=996 | 998 => true,
        _ => false,
    }
}

/// `+`, a country code, a number.
pub fn international(text: &str) -> bool {
    let text = line(text);
    // A place on earth (ISO 6709): degrees and minutes north and west.
    let (groups, len) = groups(text);
    let place = text.contains('-') && matches!((len, groups), (2, [(_, 4), (_, 5), ..] | [(_, 6), (_, 7), ..]));
    balanced(text) && !place && !dated(text) && abroad(&Digits::of(text), 0)
}

/// `00`, a country code, a number.
pub fn dialled(text: &str) -> bool {
    let (groups, len) = groups(text);
    let columns = len > 1 && groups.iter().take(len).all(|(_, len)| *len == 4);
    balanced(text) && !columns && !dated(text) && abroad(&Digits::of(text), 2)
}

/// Three, three and four digits, the first of them no 0 or 1 (North American numbering plan), with one separator between, or with
/// brackets.
pub fn american(text: &str) -> bool {
    let text = line(text);
    let digits = Digits::of(text);
    let area = digits.len().saturating_sub(10);
    let bracket = text.contains('(');
    let mut separators = text.bytes().filter(|byte| matches!(byte, b'-' | b'.' | b' '));
    let even = separators
        .next()
        .is_none_or(|first| separators.all(|byte| byte == first));
    (bracket || even) && digits.at(area) >= 2 && !digits.uniform() && prefix(&digits, area)
}

/// What may stand before an American number: nothing, or a country code.
fn prefix(digits: &Digits, len: usize) -> bool {
    match len {
        0 => true,
        1 => digits.at(0) == 1,
        2 => !matches!(digits.number(0, 2), 0..=19),
        3 => digits.number(0, 3) == 1 || digits.at(0) >= 2,
        _ => false,
    }
}

/// A trunk 0, an area, groups: `089 1234567`, `01.84.17.61.18`, `(0490) 75 40 81`.
pub fn trunk(text: &str) -> bool {
    let digits = Digits::of(text);
    let mut separators = text
        .bytes()
        .filter(|byte| !byte.is_ascii_digit() && !matches!(byte, b'(' | b')'));
    // Behind the area code another separator may follow: 0961-759 62 16.
    let first = separators.next();
    let second = separators.next().or(first);
    let even = separators.all(|byte| Some(byte) == second);
    // The American ZIP+4 of Boston is no area code.
    let zip = text.len() == 10 && text.as_bytes().get(5) == Some(&b'-');
    (9..=11).contains(&digits.len())
        && !zip
        && digits.at(1) != 0
        && even
        && balanced(text)
        && !dated(text)
        && !counted(text)
        && digits.all().iter().any(|digit| *digit > 1)
}

/// Anything that somebody calls a telephone number.
pub fn named(text: &str) -> bool {
    let text = line(text);
    let digits = Digits::of(text);
    let international = text.starts_with('+') || text.starts_with("00");
    let plausible = (7..=12).contains(&digits.len()) || international && (9..=16).contains(&digits.len());
    let day = digits.len() == 8 && matches!(digits.number(0, 2), 19 | 20) && {
        is_date(digits.number(0, 4), digits.number(4, 6), digits.number(6, 8))
    };
    let round = digits.number(digits.len().saturating_sub(5), digits.len()) == 0;
    plausible && balanced(text) && !dated(text) && !day && !round && !digits.uniform()
}

/// A mobile number of mainland China.
pub fn chinese(text: &str) -> bool {
    let digits = Digits::of(text);
    digits.len() == 11
        && digits.at(0) == 1
        && digits.at(1) >= 3
        && !Digits::of(text.get(2..).unwrap_or_default()).uniform()
}

/// Whether every bracket that opens closes, in order.
fn balanced(text: &str) -> bool {
    let mut open = false;
    for byte in text.bytes() {
        match byte {
            b'(' if open => return false,
            b'(' => open = true,
            b')' if !open => return false,
            b')' => open = false,
            _ => {}
        }
    }
    !open
}

/// Groups of digits, at most eight, as number and length.
fn groups(text: &str) -> ([(u64, usize); 8], usize) {
    let mut out = [(0, 0); 8];
    let mut len = 0;
    for part in text
        .split(|one: char| !one.is_ascii_digit())
        .filter(|part| !part.is_empty())
    {
        let Some(slot) = out.get_mut(len) else { break };
        *slot = (Digits::of(part).number(0, part.len()), part.len());
        len += 1;
    }
    (out, len)
}

/// Whether a day stands in it: `2024-05-01`, `01.02.2024`, `02/28/1999`, `+262142-12-31`.
fn dated(text: &str) -> bool {
    let (groups, len) = groups(text);
    let year = |year: u64| (1800..2200).contains(&year);
    let far = text.starts_with('+');
    let day = |three: &[(u64, usize)]| match three {
        [(a, 4..), (b, 2), (c, 2)] => (far || *a > 9999 || year(*a)) && is_date(*a, *b, *c),
        [(a, 2), (b, 2), (c, 4)] => year(*c) && (is_date(*c, *b, *a) || is_date(*c, *a, *b)),
        _ => false,
    };
    groups.get(..len).unwrap_or_default().windows(3).any(day)
}

/// Whether it counts, or is drawn: `01 02 03 04 05`, `03 11 19 24 35`. One French number in 24 does too.
fn counted(text: &str) -> bool {
    let (groups, len) = groups(text);
    let groups = groups.get(..len).unwrap_or_default();
    len > 3
        && groups.windows(2).all(|pair| match pair {
            [(a, 2), (b, 2)] => a < b,
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_other_countries() {
        for good in [
            "+49 89 1234567",
            "+1 212-555-0147",
            "+46 (0)8 123 456 78",
            "+972-3-123-4567",
            "+39 06 1234567",
            "+81 90 1234 5678",
        ] {
            assert!(international(good), "{good}");
        }
        for bad in [
            "+1 212 555 014",
            "+49 (89 1234567",
            "+19 1234",
            "+28 123456789",
            "+33 1 23 45 67 89 01",
            "+0 1234567890",
        ] {
            assert!(!international(bad), "{bad}");
        }
        assert!(dialled("0049 89 1234567") && dialled("001-212-555-0147"));
        assert!(!dialled("0010-01-01"));
    }

    #[test]
    fn of_this_country() {
        for good in [
            "(212) 555-0147",
            "212-555-0147",
            "212.555.0147",
            "1-212-555-0147",
            "001-212-555-0147",
        ] {
            assert!(american(good), "{good}");
        }
        for bad in [
            "112-555-0147",
            "212-555.0147",
            "222-222-2222",
            "212 555-0147",
            "9-212-555-0147",
        ] {
            assert!(!american(bad), "{bad}");
        }
        for good in [
            "089 1234567",
            "01 42 68 53 00",
            "(0490) 12 34 56",
            "0961-123 45 67",
            "07700 900 123",
        ] {
            assert!(trunk(good), "{good}");
        }
        for bad in [
            "01.02.2024 10",
            "01 02 03 04 05",
            "089 123",
            "001 123 456 78",
            "01.02-2024.11",
            "000 000 0000",
        ] {
            assert!(!trunk(bad), "{bad}");
        }
        assert!(chinese("13912345678") && !chinese("12012345678") && !chinese("15555555555") && !chinese("1391234567"));
    }

    #[test]
    fn called_one() {
        for good in [
            "467 3395",
            "(99) 645-791",
            "60-56-85-91",
            "212 555 0147",
            "+44 7700 900123",
        ] {
            assert!(named(good), "{good}");
        }
        for bad in [
            "2024-05-01",
            "02/28/1999",
            "123456",
            "1234567890123",
            "0000000",
            "(99 645-791",
        ] {
            assert!(!named(bad), "{bad}");
        }
    }
}
