//! Thought signatures in this dialect: base64 text, because Google's SDKs decode `thoughtSignature` to bytes.
//!
//! A native signature is base64 as the service made it and travels bare. Another vendor's, wrapped as
//! [`Signature`] says (`cirque:<origin>:<data>`), is base64-encoded on top, so that every SDK can decode and
//! re-encode it (the Python one in the other alphabet). What comes back is known by how it begins: base64 of `cirque:`
//! always begins with [`WRAPPED_BASE64`]. Reasoning that takes another part's place for it is in [`super::carried`].

use super::carried::{self, Carried};
use crate::wire::Dialect;
use crate::wire::canonical::Signature;
use crate::wire::media;
use std::borrow::Cow;

/// What base64 of a wrapped signature begins with. The gateway looks for it in same-dialect requests: a conversation that
/// another vendor answered before must be translated. Holds letters only, so both alphabets write it alike.
pub const WRAPPED_BASE64: &str = "Y2lycXVlO";

/// From what the client echoed: the part's own signature, and what else it took along.
pub fn read(text: &str) -> Carried<'_> {
    let own = |signature| Carried {
        own: Some(signature),
        thoughts: Vec::new(),
    };
    let unpacked = text
        .starts_with(WRAPPED_BASE64)
        .then(|| media::decode_base64(text))
        .flatten()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    // Some applications decode the bytes themselves and send the text.
    if let Some(carried) = carried::read(unpacked.as_deref().unwrap_or(text)) {
        return carried;
    }
    let Some(unpacked) = unpacked else {
        return own(Signature::from_client(Dialect::Gemini, text));
    };
    let signature = Signature::from_client(Dialect::Gemini, &unpacked);
    if signature.origin == Dialect::Gemini {
        // It only looked like one of ours: a native signature is arbitrary bytes.
        return own(Signature::new(Dialect::Gemini, text));
    }
    own(signature.to_static())
}

/// For the client to echo.
pub fn write<'a>(signature: &'a Signature<'_>) -> Cow<'a, str> {
    if signature.origin == Dialect::Gemini {
        return Cow::Borrowed(&signature.data);
    }
    Cow::Owned(media::encode_base64(signature.for_client(Dialect::Gemini).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_signature_is_base64_and_comes_back() {
        for data in ["EqQB/+==", "", "ärger:§~?>", "????>>>>"] {
            let foreign = Signature::new(Dialect::Anthropic, data);
            let sent = write(&foreign).into_owned();
            assert!(
                media::decode_base64(&sent).is_some() && sent.starts_with(WRAPPED_BASE64),
                "{sent}"
            );
            assert_eq!(read(&sent).own, Some(foreign.clone()));
            let url_safe = sent.replace('+', "-").replace('/', "_");
            assert_eq!(read(&url_safe).own, Some(foreign));
        }
    }

    #[test]
    fn a_native_one_travels_bare() {
        for text in ["CloBvj72+4/a", "Y2lycXVlOg", "Y2lycXVlO!", "Y2lycXVlOmdlbWluaTp4"] {
            let native = read(text).own.unwrap();
            assert_eq!(native.origin, Dialect::Gemini);
            assert_eq!(write(&native), text);
        }
    }
}
