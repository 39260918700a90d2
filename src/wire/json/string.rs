//! Past one JSON string, 64 bytes at a time.
//!
//! Most bytes of a large body are inside strings, and prose is full of `\n` and `\"`, so stopping at every escape costs
//! more than looking at the bytes. Instead each block of 64 becomes bit masks (quotes, backslashes, control characters) and
//! arithmetic on the masks tells which quotes are escaped, without a branch per escape.
//! Source of the idea: Langdale and Lemire, "Parsing Gigabytes of JSON per Second", VLDB Journal 28 (2019), section 3.1.1.

use super::JsonError;
use wide::u8x16;

const CONTROL: &str = "control character in a string";
const BAD_ESCAPE: &str = "bad escape in a string";
const BAD_UNICODE: &str = "bad \\u escape in a string";
const UNENDED: &str = "the JSON ends inside a string";

/// One bit per byte of a block, the first byte lowest.
struct Masks {
    quotes: u64,
    backslashes: u64,
    controls: u64,
}

/// The index after the closing quote of the string whose opening quote is just before `at`.
pub(super) fn skip(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    let mut at = at;
    // Keys and short values end here; starting the block machinery for them would cost more.
    if let Some(first) = bytes.get(at..).and_then(<[u8]>::first_chunk::<16>) {
        let block = u8x16::new(*first);
        let special = equal(block, b'"') | equal(block, b'\\') | below_space(block);
        if special != 0 {
            let index = special.trailing_zeros() as usize;
            if first.get(index) == Some(&b'"') {
                return Ok(at + index + 1);
            }
            return skip_blocks(bytes, at + index);
        }
        at += 16;
    }
    skip_blocks(bytes, at)
}

fn skip_blocks(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    let mut at = at;
    // Whether the block's first byte is escaped by the last byte before it.
    let mut carry = 0;
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<64>) {
        let masks = masks(block);
        let (escaped, next_carry) = escaped(masks.backslashes, carry);
        let closing = masks.quotes & !escaped;
        // Bits before the closing quote; all of them when it is not in this block.
        let inside = if closing == 0 {
            !0
        } else {
            (closing & closing.wrapping_neg()) - 1
        };
        if masks.controls & inside != 0 {
            return Err(error(at + (masks.controls & inside).trailing_zeros() as usize, CONTROL));
        }
        if escaped & inside != 0 {
            check_escapes(bytes, at, escaped & inside)?;
        }
        if closing != 0 {
            return Ok(at + closing.trailing_zeros() as usize + 1);
        }
        carry = next_carry;
        at += 64;
    }
    skip_rest(bytes, at, carry != 0)
}

/// The last bytes of the document, one by one.
fn skip_rest(bytes: &[u8], at: usize, first_is_escaped: bool) -> Result<usize, JsonError> {
    let mut escaped = first_is_escaped;
    let mut at = at;
    while let Some(&byte) = bytes.get(at) {
        if escaped {
            check_escape(bytes, at)?;
            escaped = false;
        } else {
            match byte {
                b'"' => return Ok(at + 1),
                b'\\' => escaped = true,
                0..=0x1f => return Err(error(at, CONTROL)),
                _ => {}
            }
        }
        at += 1;
    }
    Err(error(bytes.len(), UNENDED))
}

fn masks(block: &[u8; 64]) -> Masks {
    let (mut quotes, mut backslashes, mut controls) = (0, 0, 0);
    for (index, part) in block.as_chunks::<16>().0.iter().enumerate() {
        let part = u8x16::new(*part);
        let shift = index * 16;
        quotes |= u64::from(equal(part, b'"')) << shift;
        backslashes |= u64::from(equal(part, b'\\')) << shift;
        controls |= u64::from(below_space(part)) << shift;
    }
    Masks {
        quotes,
        backslashes,
        controls,
    }
}

fn equal(part: u8x16, byte: u8) -> u32 {
    part.simd_eq(u8x16::splat(byte)).to_bitmask()
}

fn below_space(part: u8x16) -> u32 {
    part.min(u8x16::splat(0x1f)).simd_eq(part).to_bitmask()
}

/// Which bytes follow an escaping backslash, and whether the block's last byte escapes the next block's first.
///
/// In a run of backslashes every second one escapes. Subtracting the run's start from alternating bits lets the borrow run
/// along it, which marks exactly those.
fn escaped(backslashes: u64, carry: u64) -> (u64, u64) {
    const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    if backslashes == 0 {
        return (carry, 0);
    }
    let starts = backslashes & !carry;
    let alternating = ((starts << 1) | ODD).wrapping_sub(starts) ^ ODD;
    let escaped = alternating ^ (backslashes | carry);
    let escaping = alternating & backslashes;
    (escaped, escaping >> 63)
}

fn check_escapes(bytes: &[u8], at: usize, escaped: u64) -> Result<(), JsonError> {
    let mut left = escaped;
    while left != 0 {
        check_escape(bytes, at + left.trailing_zeros() as usize)?;
        left &= left - 1;
    }
    Ok(())
}

/// The byte at `at` follows an escaping backslash.
fn check_escape(bytes: &[u8], at: usize) -> Result<(), JsonError> {
    match bytes.get(at) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
        Some(b'u') => {
            let digits = bytes.get(at + 1..).unwrap_or_default();
            match digits.iter().take(4).position(|digit| !digit.is_ascii_hexdigit()) {
                Some(bad) => Err(error(at + 1 + bad, BAD_UNICODE)),
                None if digits.len() < 4 => Err(error(bytes.len(), UNENDED)),
                None => Ok(()),
            }
        }
        Some(_) => Err(error(at, BAD_ESCAPE)),
        None => Err(error(bytes.len(), UNENDED)),
    }
}

fn error(offset: usize, what: &'static str) -> JsonError {
    JsonError { offset, what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The grammar, read one byte at a time.
    fn plainly(bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            match *bytes.get(at)? {
                b'"' => return Some(at + 1),
                0..=0x1f => return None,
                b'\\' => match *bytes.get(at + 1)? {
                    b'u' => {
                        let digits = bytes.get(at + 2..at + 6)?;
                        if !digits.iter().all(u8::is_ascii_hexdigit) {
                            return None;
                        }
                        at += 6;
                    }
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                    _ => return None,
                },
                _ => at += 1,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn agrees_with_the_grammar(parts in prop::collection::vec(prop_oneof![
            4 => "[a-z ]{0,40}",
            2 => Just("\\\\".to_owned()),
            2 => Just("\\\"".to_owned()),
            2 => Just("\\n".to_owned()),
            1 => Just("\\u00e9".to_owned()),
            1 => Just("\"".to_owned()),
            1 => Just("\\".to_owned()),
            1 => Just("\\u12".to_owned()),
            1 => Just("\u{1}".to_owned()),
            1 => Just("é".to_owned()),
        ], 0..40)) {
            let text = parts.concat();
            prop_assert_eq!(skip(text.as_bytes(), 0).ok(), plainly(text.as_bytes()), "{:?}", text);
        }
    }
}
