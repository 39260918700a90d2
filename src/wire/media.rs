//! Media in messages: base64 that is what it says, `data:` addresses, kinds by media type.

use super::canonical::{Media, MediaKind, Source};
use super::json::Invalid;

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
    fn data_addresses_become_bytes() {
        let (from, media_type) = source("data:image/png;charset=x;base64,aGk=").unwrap();
        assert_eq!((from, media_type), (Source::Base64("aGk=".into()), Some("image/png")));
        assert!(source("data:image/png,abc").is_err());
        assert!(source("data:image/png;base64,###").is_err());
        assert_eq!(source("https://x/y.png").unwrap().1, None);
    }
}
