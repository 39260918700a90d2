//! Thought signatures in this dialect: base64 text, because Google's SDKs decode `thoughtSignature` to bytes.
//!
//! A native signature is base64 as the service made it and travels bare. Another vendor's, wrapped as
//! [`Signature`] says (`cirque:<origin>:<data>`), is base64-encoded on top, so that every SDK can decode and
//! re-encode it (the Python one in the other alphabet). What comes back is known by how it begins: base64 of `cirque:`
//! always begins with [`WRAPPED_BASE64`]. Redacted reasoning has no text to tell it by, so it says `cirque:redacted:` first.

use super::base64;
use crate::wire::Dialect;
use crate::wire::canonical::Signature;
use std::borrow::Cow;

/// What base64 of a wrapped signature begins with. The gateway looks for it in same-dialect requests: a conversation that
/// another vendor answered before must be translated. Holds letters only, so both alphabets write it alike.
pub const WRAPPED_BASE64: &str = "Y2lycXVlO";

const WRAPPED: &str = "cirque:";
const REDACTED: &str = "cirque:redacted:";

/// From what the client echoed; whether it stands for redacted reasoning.
pub fn read(text: &str) -> (Signature<'_>, bool) {
    let unpacked = text
        .starts_with(WRAPPED_BASE64)
        .then(|| base64::decode(text))
        .flatten()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(unpacked) = unpacked else {
        // Some applications decode the bytes themselves and send the text.
        return (Signature::from_client(Dialect::Gemini, text), false);
    };
    let (wrapped, redacted) = match unpacked.strip_prefix(REDACTED) {
        Some(rest) => (format!("{WRAPPED}{rest}"), true),
        None => (unpacked, false),
    };
    let signature = Signature::from_client(Dialect::Gemini, &wrapped);
    if signature.origin == Dialect::Gemini {
        // It only looked like one of ours: a native signature is arbitrary bytes.
        return (Signature::new(Dialect::Gemini, text), false);
    }
    (signature.to_static(), redacted)
}

/// For the client to echo.
pub fn write<'a>(signature: &'a Signature<'_>, redacted: bool) -> Cow<'a, str> {
    if signature.origin == Dialect::Gemini {
        return Cow::Borrowed(&signature.data);
    }
    let wrapped = signature.for_client(Dialect::Gemini);
    let marked = match wrapped.strip_prefix(WRAPPED) {
        Some(rest) if redacted => Cow::Owned(format!("{REDACTED}{rest}")),
        _ => wrapped,
    };
    Cow::Owned(base64::encode(marked.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_signature_is_base64_and_comes_back() {
        for redacted in [false, true] {
            for data in ["EqQB/+==", "", "ärger:§~?>", "????>>>>"] {
                let foreign = Signature::new(Dialect::Anthropic, data);
                let sent = write(&foreign, redacted).into_owned();
                assert!(
                    base64::decode(&sent).is_some() && sent.starts_with(WRAPPED_BASE64),
                    "{sent}"
                );
                assert_eq!(read(&sent), (foreign.clone(), redacted));
                let url_safe = sent.replace('+', "-").replace('/', "_");
                assert_eq!(read(&url_safe), (foreign, redacted));
            }
        }
    }

    #[test]
    fn a_native_one_travels_bare() {
        for text in ["CloBvj72+4/a", "Y2lycXVlOg", "Y2lycXVlO!", "Y2lycXVlOmdlbWluaTp4"] {
            let (native, redacted) = read(text);
            assert_eq!((native.origin, redacted), (Dialect::Gemini, false));
            assert_eq!(write(&native, false), text);
        }
    }
}
