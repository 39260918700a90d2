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
    /// Bytes beyond ASCII.
    high: u64,
}

/// Which bytes of a block may follow an escaping backslash, and which of them start `\uXXXX`.
struct Letters {
    allowed: u64,
    unicode: u64,
}

/// A string that was passed.
pub(super) struct Passed {
    /// The index after its closing quote.
    pub end: usize,
    /// It has only ASCII bytes: the caller need not check that it is UTF-8.
    pub ascii: bool,
}

/// Past the string whose opening quote is just before `at`.
pub(super) fn skip(bytes: &[u8], at: usize) -> Result<Passed, JsonError> {
    // Keys and short values end here; starting the block machinery for them would cost more.
    let Some(first) = bytes.get(at..).and_then(<[u8]>::first_chunk::<16>) else {
        return skip_rest(bytes, at, false, true);
    };
    let block = u8x16::new(*first);
    let special = equal(block, b'"') | equal(block, b'\\') | below_space(block);
    let plain = special.trailing_zeros().min(16) as usize;
    // Bits before the first special byte.
    let ascii = block.to_bitmask() & ((1 << plain) - 1) == 0;
    if first.get(plain) == Some(&b'"') {
        return Ok(Passed {
            end: at + plain + 1,
            ascii,
        });
    }
    let rest = skip_blocks(bytes, at + plain)?;
    Ok(Passed {
        ascii: rest.ascii && ascii,
        ..rest
    })
}

#[cfg(target_arch = "x86_64")]
fn skip_blocks(bytes: &[u8], at: usize) -> Result<Passed, JsonError> {
    if std::arch::is_x86_feature_detected!("avx2") {
        #[allow(
            unsafe_code,
            reason = "calling a function compiled for AVX2 is safe once AVX2 was detected, on the line above; it halves \
                      what a 1 MB body costs here"
        )]
        return unsafe { avx2::skip_blocks(bytes, at) };
    }
    blocks(bytes, at, masks, letters)
}

#[cfg(not(target_arch = "x86_64"))]
fn skip_blocks(bytes: &[u8], at: usize) -> Result<Passed, JsonError> {
    blocks(bytes, at, masks, letters)
}

#[inline(always)]
fn blocks(
    bytes: &[u8],
    at: usize,
    masks: impl Fn(&[u8; 64]) -> Masks,
    letters: impl Fn(&[u8; 64]) -> Letters,
) -> Result<Passed, JsonError> {
    let mut at = at;
    // Whether the block's first byte is escaped by the last byte before it.
    let mut carry = 0;
    let mut high = 0;
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<64>) {
        let masks = masks(block);
        let (escaped, next_carry) = escaped(masks.backslashes, carry);
        let closing = masks.quotes & !escaped;
        // Bits before the closing quote; all of them when it is not in this block.
        let inside = (closing & closing.wrapping_neg()).wrapping_sub(1);
        high |= masks.high & inside;
        if masks.controls & inside != 0 {
            return Err(error(at + (masks.controls & inside).trailing_zeros() as usize, CONTROL));
        }
        if escaped & inside != 0 {
            let letters = letters(block);
            let bad = escaped & inside & !letters.allowed;
            if bad != 0 {
                return Err(error(at + bad.trailing_zeros() as usize, BAD_ESCAPE));
            }
            check_unicode(bytes, at, escaped & inside & letters.unicode)?;
        }
        if closing != 0 {
            return Ok(Passed {
                end: at + closing.trailing_zeros() as usize + 1,
                ascii: high == 0,
            });
        }
        carry = next_carry;
        at += 64;
    }
    skip_rest(bytes, at, carry != 0, high == 0)
}

/// The same for processors with AVX2: 32 bytes an instruction.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{JsonError, Letters, Masks, Passed, blocks};
    use std::arch::x86_64::{
        __m256i, _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_set_epi64x,
        _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
    };

    #[target_feature(enable = "avx2")]
    pub(super) fn skip_blocks(bytes: &[u8], at: usize) -> Result<Passed, JsonError> {
        blocks(bytes, at, |block| masks(block), |block| letters(block))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn masks(block: &[u8; 64]) -> Masks {
        let [a, b, c, d, e, f, g, h] = words(block);
        let (low, high) = (_mm256_set_epi64x(d, c, b, a), _mm256_set_epi64x(h, g, f, e));
        let both = |mask: fn(__m256i) -> u32| u64::from(mask(low)) | u64::from(mask(high)) << 32;
        Masks {
            quotes: both(|part| bits(_mm256_cmpeq_epi8(part, _mm256_set1_epi8(b'"' as i8)))),
            backslashes: both(|part| bits(_mm256_cmpeq_epi8(part, _mm256_set1_epi8(b'\\' as i8)))),
            controls: both(|part| bits(_mm256_cmpeq_epi8(_mm256_min_epu8(part, _mm256_set1_epi8(0x1f)), part))),
            high: both(|part| bits(part)),
        }
    }

    /// A byte is allowed when the sets that its two halves name have a member in common: one bit per high half that
    /// occurs among `" \ / b f n r t u` (2, 5, 6, 7).
    #[target_feature(enable = "avx2")]
    #[inline]
    fn letters(block: &[u8; 64]) -> Letters {
        let [a, b, c, d, e, f, g, h] = words(block);
        let low_halves = sixteen([0, 0, 13, 0, 8, 8, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1]);
        let high_halves = sixteen([0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
        let refused = |part| {
            let half = _mm256_set1_epi8(0x0f);
            let low = _mm256_shuffle_epi8(low_halves, _mm256_and_si256(part, half));
            let high = _mm256_shuffle_epi8(high_halves, _mm256_and_si256(_mm256_srli_epi16::<4>(part), half));
            bits(_mm256_cmpeq_epi8(_mm256_and_si256(low, high), _mm256_setzero_si256()))
        };
        let unicode = |part| bits(_mm256_cmpeq_epi8(part, _mm256_set1_epi8(b'u' as i8)));
        let (low, high) = (_mm256_set_epi64x(d, c, b, a), _mm256_set_epi64x(h, g, f, e));
        Letters {
            allowed: !(u64::from(refused(low)) | u64::from(refused(high)) << 32),
            unicode: u64::from(unicode(low)) | u64::from(unicode(high)) << 32,
        }
    }

    /// The same sixteen bytes in both halves, as the shuffle looks them up per half.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn sixteen(bytes: [u8; 16]) -> __m256i {
        let word = |half: &[u8]| half.iter().rev().fold(0_i64, |word, &byte| word << 8 | i64::from(byte));
        let (low, high) = bytes.split_at(8);
        let (low, high) = (word(low), word(high));
        _mm256_set_epi64x(high, low, high, low)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn bits(part: __m256i) -> u32 {
        _mm256_movemask_epi8(part).cast_unsigned()
    }

    /// The compiler makes two plain vector loads of this.
    #[inline(always)]
    fn words(block: &[u8; 64]) -> [i64; 8] {
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(block.as_chunks::<8>().0) {
            *word = i64::from_le_bytes(*bytes);
        }
        words
    }
}

/// The last bytes of the document, one by one.
fn skip_rest(bytes: &[u8], at: usize, first_is_escaped: bool, ascii_before: bool) -> Result<Passed, JsonError> {
    let mut escaped = first_is_escaped;
    let mut ascii = ascii_before;
    let mut at = at;
    while let Some(&byte) = bytes.get(at) {
        if escaped {
            check_escape(bytes, at)?;
            escaped = false;
        } else {
            match byte {
                b'"' => return Ok(Passed { end: at + 1, ascii }),
                b'\\' => escaped = true,
                0..=0x1f => return Err(error(at, CONTROL)),
                0x80.. => ascii = false,
                _ => {}
            }
        }
        at += 1;
    }
    Err(error(bytes.len(), UNENDED))
}

fn masks(block: &[u8; 64]) -> Masks {
    let (mut quotes, mut backslashes, mut controls, mut high) = (0, 0, 0, 0);
    for (index, part) in block.as_chunks::<16>().0.iter().enumerate() {
        let part = u8x16::new(*part);
        let shift = index * 16;
        quotes |= u64::from(equal(part, b'"')) << shift;
        backslashes |= u64::from(equal(part, b'\\')) << shift;
        controls |= u64::from(below_space(part)) << shift;
        high |= u64::from(part.to_bitmask()) << shift;
    }
    Masks {
        quotes,
        backslashes,
        controls,
        high,
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

fn letters(block: &[u8; 64]) -> Letters {
    let (mut allowed, mut unicode) = (0, 0);
    for (index, part) in block.as_chunks::<16>().0.iter().enumerate() {
        let part = u8x16::new(*part);
        let shift = index * 16;
        unicode |= u64::from(equal(part, b'u')) << shift;
        for letter in *b"\"\\/bfnrtu" {
            allowed |= u64::from(equal(part, letter)) << shift;
        }
    }
    Letters { allowed, unicode }
}

/// Four hexadecimal digits after each of these.
fn check_unicode(bytes: &[u8], at: usize, starts: u64) -> Result<(), JsonError> {
    let mut left = starts;
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
            1 => Just("\\/".to_owned()),
            1 => Just("\u{1}".to_owned()),
            1 => Just("é".to_owned()),
        ], 0..40)) {
            let text = parts.concat();
            let bytes = text.as_bytes();
            let expected = plainly(bytes);
            for passed in [skip(bytes, 0), skip_blocks(bytes, 0), blocks(bytes, 0, masks, letters)] {
                prop_assert_eq!(passed.as_ref().ok().map(|p| p.end), expected, "{:?}", text);
                if let Ok(passed) = passed {
                    prop_assert_eq!(passed.ascii, bytes[..passed.end].is_ascii(), "{:?}", text);
                }
            }
        }
    }
}
