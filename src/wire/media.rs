//! Media in messages: base64 that is what it says, `data:` addresses, kinds by media type.

use super::canonical::{Media, MediaKind, Source};
use super::json::Invalid;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, Engine};
use std::borrow::Cow;

/// Refuse what is not standard base64 (padding optional, line breaks not allowed). Looks, does not decode.
pub fn check_base64(text: &str) -> Result<(), Invalid> {
    let body = text.trim_end_matches('=');
    let padding = text.len() - body.len();
    let odd = body
        .bytes()
        .any(|byte| !(byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'));
    if odd || padding > 2 || body.len() % 4 == 1 || (padding > 0 && !text.len().is_multiple_of(4)) {
        return Err(Invalid::value(
            "is not standard base64 (A-Z a-z 0-9 + /, no line breaks, no data: prefix)",
        ));
    }
    if body.is_empty() {
        return Err(Invalid::value("is empty"));
    }
    Ok(())
}

/// Standard base64 with padding.
pub fn encode_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of base64 in either alphabet, padded or not; nothing when it is not base64.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&alphabet::STANDARD, LENIENT)
        .decode(standard_base64(text).as_bytes())
        .ok()
}

/// The same in the standard alphabet: protobuf's JSON reads both, and Google's Python SDK writes the other one.
pub fn standard_base64(text: &str) -> Cow<'_, str> {
    if memchr::memchr2(b'-', b'_', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let changed = text.chars().map(|letter| match letter {
        '-' => '+',
        '_' => '/',
        other => other,
    });
    Cow::Owned(changed.collect())
}

/// Where `url` leads: a `data:` address becomes its bytes and media type, anything else must be `http(s)` or a vendor's URI.
pub fn source(url: &str) -> Result<(Source<'_>, Option<&str>), Invalid> {
    let Some(rest) = url.strip_prefix("data:") else {
        if url.is_empty() {
            return Err(Invalid::value("is empty"));
        }
        return Ok((Source::Url(url.into()), None));
    };
    let (head, data) = rest
        .split_once(',')
        .ok_or_else(|| Invalid::value("is a data: URL without a comma"))?;
    let media_type = head
        .strip_suffix(";base64")
        .ok_or_else(|| Invalid::value("is a data: URL that is not base64; write data:image/png;base64,…"))?;
    check_base64(data)?;
    let media_type = media_type.split(';').next().filter(|kind| !kind.is_empty());
    Ok((Source::Base64(data.into()), media_type))
}

/// What sort of medium a media type is.
pub fn kind_of(media_type: &str) -> MediaKind {
    match media_type.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::Document,
    }
}

impl Media<'_> {
    /// As one address: `data:` for bytes. Nothing for files and text.
    pub fn url(&self) -> Option<std::borrow::Cow<'_, str>> {
        match &self.source {
            Source::Url(url) => Some(url.as_ref().into()),
            Source::Base64(data) => {
                let media_type = self.media_type.as_deref().unwrap_or("application/octet-stream");
                Some(format!("data:{media_type};base64,{data}").into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_checked() {
        for good in ["aGk=", "aGk", "aGVsbG8=", "+/+/"] {
            assert!(check_base64(good).is_ok(), "{good}");
        }
        for bad in ["", "=", "a", "aGk=\n", "a-b_", "aGk===", "data:x", "aGkx="] {
            assert!(check_base64(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn base64_is_read_in_both_alphabets() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foobar", "Zm9vYmFy")] {
            assert_eq!(encode_base64(plain.as_bytes()), coded);
            assert_eq!(decode_base64(coded).unwrap(), plain.as_bytes());
        }
        assert_eq!(decode_base64("Zg").unwrap(), b"f");
        assert_eq!(decode_base64("-_8").unwrap(), [0xfb, 0xff]);
        assert_eq!((decode_base64("Z"), decode_base64("Z.==")), (None, None));
    }

    #[test]
    fn data_addresses_become_bytes() {
        let (from, media_type) = source("data:image/png;charset=x;base64,aGk=").unwrap();
        assert_eq!((from, media_type), (Source::Base64("aGk=".into()), Some("image/png")));
        assert!(source("data:image/png,abc").is_err());
        assert!(source("data:image/png;base64,###").is_err());
        assert_eq!(source("https://x/y.png").unwrap().1, None);
    }
}
