//! Where money is: payment cards, IBANs, American routing numbers, wallets.
//!
//! The one idea: a check digit alone lets a tenth of all numbers pass, so who issues what, and how long it is then, is asked too.

use super::digits::{Digits, luhn, mod_97};
use ring::digest::{SHA256, digest};

/// A card in the form that it is written in bare: issuer, length and check digit. What has twelve or thirteen digits is as often an
/// article's bar code or a milliseconds' clock, and what has seventeen to nineteen a hash or a record's number, so that needs a word
/// before it ([`card_named`]).
pub fn card(text: &str) -> bool {
    let digits = Digits::of(text);
    digits.len() >= 14 && even(text) && !column(text) && issued(&digits) && luhn(digits.all())
}

/// A card that is called one: any length of ISO/IEC 7812, any issuer.
pub fn card_named(text: &str) -> bool {
    let digits = Digits::of(text);
    (12..=19).contains(&digits.len()) && even(text) && !digits.uniform() && luhn(digits.all())
}

/// Whether all groups begin with one digit, as numbers in a column do and a card in a thousand.
fn column(text: &str) -> bool {
    let mut groups = text.split(|one: char| !one.is_ascii_digit());
    let first = groups.next().and_then(|group| group.bytes().next());
    let mut others = groups.peekable();
    others.peek().is_some() && others.all(|group| group.bytes().next() == first)
}

/// Whether one separator separates all, or none.
fn even(text: &str) -> bool {
    let mut others = text.bytes().filter(|byte| !byte.is_ascii_digit());
    others.next().is_none_or(|first| others.all(|byte| byte == first))
}

/// Whether somebody issues cards of this prefix and length (ISO/IEC 7812 ranges as the networks publish them, read 2026-11).
fn issued(digits: &Digits) -> bool {
    let (two, four) = (digits.number(0, 2), digits.number(0, 4));
    match digits.len() {
        14 => matches!(two, 36 | 38 | 39) || matches!(four, 3000..=3059 | 3090..=3099), // Diners
        // American Express; UATP, enRoute, JCB as it once was
        15 => matches!(two, 34 | 37 | 10..=19) || matches!(four, 2014 | 2131 | 2149),
        16 => match two {
            22..=27 => matches!(four, 2200..=2205 | 2221..=2720), // Mir, Mastercard
            35 => (3528..=3589).contains(&four),                  // JCB
            30 | 36 | 38 | 39 => true,                            // Diners
            40..=49 | 51..=55 => true,                            // Visa, Mastercard
            50 | 56..=58 | 60..=69 => true, // Maestro, Discover, UnionPay, RuPay, Dankort, Elo, Verve
            81 => true,                     // RuPay, UnionPay
            97 => four == 9792,             // Troy
            _ => false,
        },
        _ => false,
    }
}

/// Two letters, two check digits, an account (ISO 13616); its pattern knows how long it is in each country.
pub fn iban(text: &str) -> bool {
    let mut bytes = text.bytes().filter(u8::is_ascii_alphanumeric);
    let mut head = [0; 4];
    for slot in &mut head {
        *slot = bytes.next().unwrap_or_default();
    }
    mod_97(bytes.chain(head)) == 1
}

/// Nine digits of a Federal Reserve district with their check digit (American Bankers Association).
pub fn routing(text: &str) -> bool {
    let digits = Digits::of(text);
    let district = matches!(digits.number(0, 2), 1..=12 | 21..=32 | 61..=72 | 80);
    digits.len() == 9
        && district
        && !digits.uniform()
        && digits.weighed(&[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
}

const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Bytes of an address in base58check: version, hash, check.
const DECODED: usize = 25;

/// An address in base58check of Bitcoin, Litecoin, Dogecoin, Dash or Tron: 21 bytes, and the first four of their hash's hash.
pub fn base58check(text: &str) -> bool {
    let Some(bytes) = decode58(text) else { return false };
    let Some((body, check)) = bytes.split_last_chunk::<4>() else {
        return false;
    };
    let hash = digest(&SHA256, digest(&SHA256, body).as_ref());
    // P2PKH and P2SH of Bitcoin, Litecoin, Dogecoin, Dash; Tron
    let version = matches!(
        body.first(),
        Some(0x00 | 0x05 | 0x30 | 0x32 | 0x1e | 0x16 | 0x4c | 0x10 | 0x41)
    );
    version && hash.as_ref().starts_with(check)
}

/// A number in base 58 of exactly as many bytes; every leading `1` is a byte of zero.
fn decode58(text: &str) -> Option<[u8; DECODED]> {
    let mut out = [0_u8; DECODED];
    for symbol in text.bytes() {
        let mut carry = BASE58.iter().position(|one| *one == symbol)?;
        for byte in out.iter_mut().rev() {
            carry += usize::from(*byte) * 58;
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
        if carry > 0 {
            return None;
        }
    }
    let ones = text.bytes().take_while(|symbol| *symbol == b'1').count();
    let zeros = out.iter().take_while(|byte| **byte == 0).count();
    (ones == zeros).then_some(out)
}

/// A segregated-witness address of Bitcoin or Litecoin (BIP 173, BIP 350): one case, and a checksum of either kind.
pub fn bech32(text: &str) -> bool {
    const SYMBOLS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const TAPROOT: u32 = 0x2bc8_30a3;
    let lower = text.bytes().any(|byte| byte.is_ascii_lowercase());
    if lower && text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return false;
    }
    let Some((prefix, data)) = text.split_once('1') else {
        return false;
    };
    let mut check = 1;
    let prefix = || prefix.bytes().map(|byte| byte.to_ascii_lowercase());
    for byte in prefix() {
        check = polymod(check, u32::from(byte >> 5));
    }
    check = polymod(check, 0);
    for byte in prefix() {
        check = polymod(check, u32::from(byte & 31));
    }
    for byte in data.bytes() {
        let Some(value) = SYMBOLS.iter().position(|one| *one == byte.to_ascii_lowercase()) else {
            return false;
        };
        check = polymod(check, u32::try_from(value).unwrap_or_default());
    }
    matches!(check, 1 | TAPROOT)
}

/// One step of BIP 173's checksum.
fn polymod(check: u32, value: u32) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let top = check >> 25;
    let next = (check & 0x01ff_ffff) << 5 ^ value;
    let bits = GENERATOR.iter().enumerate().filter(|(bit, _)| top >> bit & 1 == 1);
    bits.fold(next, |next, (_, generator)| next ^ generator)
}

/// `0x` and forty hex digits, not all the same: nobody owns `0x000…`.
pub fn ethereum(text: &str) -> bool {
    let body = text.get(2..).unwrap_or_default().as_bytes();
    let varied = |bytes: &[u8]| bytes.windows(2).any(|pair| pair.first() != pair.last());
    // The last may differ: precompiled contracts are 0x00…01 and so on.
    body.split_last_chunk::<2>().is_some_and(|(body, _)| varied(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `body` with the check digit that makes it pass.
    fn checked(body: &str) -> String {
        (0..10)
            .map(|digit| format!("{body}{digit}"))
            .find(|text| luhn(Digits::of(text).all()))
            .unwrap()
    }

    #[test]
    fn cards_by_issuer_and_length() {
        for body in [
            "453201511283036",
            "37828224631000",
            "555555555555444",
            "3056930902590",
            "622126000000000",
            "220220000000000",
        ] {
            let good = checked(body);
            assert!(card(&good), "{good}");
            let last = good.pop_last();
            assert!(!card(&format!("{body}{}", (last + 1) % 10)), "{good}");
        }
        // The right check digit, and nobody's
        for body in [
            "400000000000",
            "99999999999999",
            "171234567890123",
            "50000000000",
            "453201511283036621",
        ] {
            assert!(!card(&checked(body)), "{body}");
        }
        assert!(card_named(&checked("400000000000")));
        assert!(!card_named("0000000000000000"));
        assert!(!card("4532 0151-1283 0366"));
        assert!(card("4532 0151 1283 0366") && !card("6664 6665 6666 6667"));
    }

    trait Last {
        fn pop_last(&self) -> u8;
    }

    impl Last for String {
        fn pop_last(&self) -> u8 {
            self.bytes().last().unwrap() - b'0'
        }
    }

    #[test]
    fn ibans() {
        assert!(iban("GB82 WEST 1234 5698 7654 32"));
        assert!(iban("de75512108001245126199"));
        assert!(!iban("DE75512108001245126198"));
        assert!(!iban("ED75512108001245126199"));
    }

    #[test]
    fn routing_numbers() {
        assert!(routing("021000021") && routing("011401533"));
        assert!(!routing("021000022") && !routing("000000000") && !routing("991000029"));
    }

    #[test]
    fn wallets() {
        // The address of Bitcoin's first block, and one digit off
        assert!(base58check("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"));
        assert!(!base58check("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb"));
        assert!(!base58check("111111111111111111111111111") && !base58check("0OIl"));
        // The examples of BIP 173 and BIP 350
        assert!(bech32("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"));
        assert!(bech32("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4"));
        assert!(bech32("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"));
        assert!(!bech32("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5"));
        assert!(!bech32("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3T4") && !bech32("bc"));
        assert!(ethereum("0x52908400098527886E0F7030069857D2E4169EE7"));
        assert!(!ethereum("0x0000000000000000000000000000000000000001"));
    }
}
