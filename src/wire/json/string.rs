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

/// How far a string was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skipped {
    /// To its end.
    All {
        /// The index after its closing quote.
        end: usize,
        /// It has only ASCII bytes: the caller need not check that it is UTF-8.
        ascii: bool,
    },
    /// As far as there are bytes.
    Some {
        /// Where to go on.
        at: usize,
        /// The byte there is escaped by the one before it.
        carry: bool,
        /// Only ASCII up to there.
        ascii: bool,
    },
}

/// Where in a string we are, and what there is of it.
#[derive(Clone, Copy)]
struct Place<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The byte at `at` is escaped by the one before it.
    carry: bool,
    /// Only ASCII so far.
    ascii: bool,
    /// No more bytes will come.
    last: bool,
}

/// Past the string that `at` is inside of. `last`: `bytes` is the whole document.
pub(super) fn skip(bytes: &[u8], at: usize, carry: bool, last: bool) -> Result<Skipped, JsonError> {
    let mut place = Place {
        bytes,
        at,
        carry,
        ascii: true,
        last,
    };
    // Keys and short values end here; starting the block machinery for them would cost more.
    let first = bytes.get(at..).and_then(<[u8]>::first_chunk::<16>);
    let Some(first) = first.filter(|_| !carry) else {
        return skip_blocks(place);
    };
    let block = u8x16::new(*first);
    let special = equal(block, b'"') | equal(block, b'\\') | below_space(block);
    let plain = special.trailing_zeros().min(16) as usize;
    // Bits before the first special byte.
    place.ascii = block.to_bitmask() & ((1 << plain) - 1) == 0;
    if first.get(plain) == Some(&b'"') {
        return Ok(Skipped::All {
            end: at + plain + 1,
            ascii: place.ascii,
        });
    }
    place.at += plain;
    skip_blocks(place)
}

#[cfg(target_arch = "x86_64")]
fn skip_blocks(place: Place<'_>) -> Result<Skipped, JsonError> {
    if std::arch::is_x86_feature_detected!("avx2") {
        #[allow(
            unsafe_code,
            reason = "calling a function compiled for AVX2 is safe once AVX2 was detected, on the line above; it halves \
                      what a 1 MB body costs here"
        )]
        return unsafe { avx2::skip_blocks(place) };
    }
    blocks(place, masks, letters)
}

#[cfg(not(target_arch = "x86_64"))]
fn skip_blocks(place: Place<'_>) -> Result<Skipped, JsonError> {
    blocks(place, masks, letters)
}

#[inline(always)]
fn blocks(
    place: Place<'_>,
    masks: impl Fn(&[u8; 64]) -> Masks,
    letters: impl Fn(&[u8; 64]) -> Letters,
) -> Result<Skipped, JsonError> {
    let Place { bytes, mut at, .. } = place;
    // Whether the block's first byte is escaped by the last byte before it.
    let mut carry = u64::from(place.carry);
    let mut high = u64::from(!place.ascii);
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<64>) {
        let masks = masks(block);
        let (escaped, next_carry) = escaped(masks.backslashes, carry);
        let closing = masks.quotes & !escaped;
        // Bits before the closing quote; all of them when it is not in this block.
        let inside = (closing & closing.wrapping_neg()).wrapping_sub(1);
        let mut sound = masks.controls & inside == 0;
        if escaped & inside != 0 {
            let letters = letters(block);
            sound &= escaped & inside & !letters.allowed == 0;
            sound &= have_digits(bytes, at, escaped & inside & letters.unicode);
        }
        if !sound {
            // There is a fault in this block, or digits of an escape have not arrived: byte by byte is where it shows.
            return skip_rest(Place {
                at,
                carry: carry != 0,
                ascii: high == 0,
                ..place
            });
        }
        high |= masks.high & inside;
        if closing != 0 {
            return Ok(Skipped::All {
                end: at + closing.trailing_zeros() as usize + 1,
                ascii: high == 0,
            });
        }
        carry = next_carry;
        at += 64;
    }
    skip_rest(Place {
        at,
        carry: carry != 0,
        ascii: high == 0,
        ..place
    })
}

/// The same for processors with AVX2: 32 bytes an instruction.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{JsonError, Letters, Masks, Place, Skipped, blocks};
    use std::arch::x86_64::{
        __m256i, _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_set_epi64x,
        _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
    };

    #[target_feature(enable = "avx2")]
    pub(super) fn skip_blocks(place: Place<'_>) -> Result<Skipped, JsonError> {
        blocks(place, |block| masks(block), |block| letters(block))
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

/// The last bytes there are, one by one.
fn skip_rest(place: Place<'_>) -> Result<Skipped, JsonError> {
    let Place {
        bytes,
        mut at,
        mut carry,
        mut ascii,
        last,
    } = place;
    while let Some(&byte) = bytes.get(at) {
        if carry {
            if !check_escape(place, at)? {
                break;
            }
            carry = false;
        } else {
            match byte {
                b'"' => return Ok(Skipped::All { end: at + 1, ascii }),
                b'\\' => carry = true,
                0..=0x1f => return Err(error(at, CONTROL)),
                0x80.. => ascii = false,
                _ => {}
            }
        }
        at += 1;
    }
    if last {
        return Err(error(bytes.len(), UNENDED));
    }
    Ok(Skipped::Some { at, carry, ascii })
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

/// Whether four hexadecimal digits are after each of these.
fn have_digits(bytes: &[u8], at: usize, starts: u64) -> bool {
    let mut left = starts;
    while left != 0 {
        let start = at + left.trailing_zeros() as usize + 1;
        let digits = bytes.get(start..start + 4);
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return false;
        }
        left &= left - 1;
    }
    true
}

/// The byte at `at` follows an escaping backslash; `false` when what belongs to it has not all arrived.
fn check_escape(place: Place<'_>, at: usize) -> Result<bool, JsonError> {
    match place.bytes.get(at) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(true),
        Some(b'u') => {
            let digits = place.bytes.get(at + 1..).unwrap_or_default();
            match digits.iter().take(4).position(|digit| !digit.is_ascii_hexdigit()) {
                Some(bad) => Err(error(at + 1 + bad, BAD_UNICODE)),
                None if digits.len() >= 4 => Ok(true),
                None if place.last => Err(error(place.bytes.len(), UNENDED)),
                None => Ok(false),
            }
        }
        _ => Err(error(at, BAD_ESCAPE)),
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
            let place = Place { bytes, at: 0, carry: false, ascii: true, last: true };
            for skipped in [skip(bytes, 0, false, true), skip_blocks(place), blocks(place, masks, letters)] {
                let ended = skipped.ok().map(|skipped| match skipped {
                    Skipped::All { end, ascii } => (end, ascii),
                    Skipped::Some { .. } => panic!("the bytes were the last"),
                });
                prop_assert_eq!(ended, expected.map(|end| (end, bytes[..end].is_ascii())), "{:?}", text);
            }
        }
    }
}
