//! Content blocks for a target, and which parts it cannot take.
//!
//! The API refuses blank text, documents and images of the assistant, thinking it did not sign, and media other than images,
//! PDFs and plain text: such parts are left out and named. Deciding ([`Blocks::takes`]) and writing ([`Blocks::write`]) are two
//! steps, because a message whose parts are all left out must not be written at all.

use super::names;
use crate::wire::Dialect;
use crate::wire::canonical::{Cache, Dropped, Media, MediaKind, Part, Source, ToolCallKind, ToolResult};
use crate::wire::json::JsonWriter;
use crate::wire::messages::blocks::{input, write_cache, write_redacted, write_text, write_thinking};
use std::borrow::Cow;

/// Where a part stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a user message.
    User,
    /// In an assistant message.
    Assistant,
    /// In a tool result or a document.
    Inner,
    /// In a system message within the conversation: text only.
    System,
}

/// Path of a part, for naming it.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// Index of the message.
    pub message: usize,
    /// Index of the part in it.
    pub part: usize,
    /// Index of the part in that part.
    pub inner: Option<usize>,
}

impl At {
    fn name(self, why: &str) -> String {
        let Self { message, part, inner } = self;
        match inner {
            None => format!("messages[{message}].content[{part}] ({why})"),
            Some(inner) => format!("messages[{message}].content[{part}].content[{inner}] ({why})"),
        }
    }
}

/// What is noted while blocks are written.
#[derive(Debug, Default)]
pub struct Blocks {
    /// Parts left out.
    pub dropped: Dropped,
    /// Changed names of tools.
    pub names: names::Names,
    /// A file uploaded before is referred to, for which the API wants a beta header.
    pub files: bool,
    /// Media must come as bytes: Bedrock and Vertex fetch nothing and keep no files.
    pub bytes_only: bool,
}

/// A medium in the API's terms.
enum Form<'m> {
    Base64(&'static str, &'m str, Cow<'m, str>),
    Url(&'static str, &'m str),
    File(&'static str, &'m str),
    Text(Cow<'m, str>),
    Parts(&'m [Part<'m>]),
}

impl Blocks {
    fn drop(&mut self, at: At, why: &str) -> bool {
        self.dropped.push(at.name(why));
        false
    }

    /// Whether the part has a block at this place; names it if it has not and something is lost.
    pub fn takes(&mut self, part: &Part<'_>, place: Place, at: At) -> bool {
        match part {
            // Nothing is lost with blank text.
            Part::Text { text, .. } | Part::Refusal(text) => !text.trim().is_empty(),
            Part::Media(media) => {
                if place == Place::Assistant {
                    let words = media
                        .transcript
                        .as_deref()
                        .is_some_and(|words| !words.trim().is_empty());
                    return words || self.drop(at, kind(media.kind));
                }
                match form(media) {
                    Ok(Form::Url(block, _)) if self.bytes_only => self.drop(at, &format!("{block} by address")),
                    Ok(Form::File(block, _)) if self.bytes_only => self.drop(at, &format!("{block} by file id")),
                    Ok(_) => true,
                    Err(why) => self.drop(at, &why),
                }
            }
            Part::Thinking(thinking) => match &thinking.signature {
                Some(signature) if signature.for_target(Dialect::Anthropic).is_some() => place == Place::Assistant,
                Some(_) => {
                    let message = at.message;
                    self.dropped
                        .push(format!("messages[{message}] (thinking of another vendor)"));
                    false
                }
                None => {
                    let message = at.message;
                    self.dropped
                        .push(format!("messages[{message}] (thinking without a signature)"));
                    false
                }
            },
            Part::ToolCall(_) => place == Place::Assistant,
            Part::ToolResult(_) => place == Place::User,
            Part::Opaque {
                dialect: Dialect::Anthropic,
                ..
            } => true,
            Part::Opaque { kind, .. } => self.drop(at, kind),
        }
    }

    /// Write the block of a part that [`Self::takes`] took. `mark`: a cache marker if it has none of its own.
    pub fn write(&mut self, part: &Part<'_>, place: Place, at: At, mark: Option<Cache>, json: &mut JsonWriter) {
        match part {
            Part::Text {
                text, cache, citations, ..
            } => {
                // Citations in what the user says are refused.
                let citations = if place == Place::Assistant {
                    citations.as_slice()
                } else {
                    &[]
                };
                write_text(text, citations, cache.or(mark), true, json);
            }
            Part::Refusal(text) => write_text(text, &[], mark, true, json),
            Part::Media(media) if place == Place::Assistant => {
                write_text(media.transcript.as_deref().unwrap_or_default(), &[], mark, true, json);
            }
            Part::Media(media) => self.media(media, at, mark, json),
            Part::Thinking(thinking) => {
                let signature = thinking.signature.as_ref();
                let data = signature.and_then(|signature| signature.for_target(Dialect::Anthropic));
                let data = data.unwrap_or_default();
                if thinking.redacted {
                    write_redacted(data, json);
                } else {
                    write_thinking(&thinking.text, data, json);
                }
            }
            Part::ToolCall(call) => {
                let name = match call.kind {
                    ToolCallKind::Function => self.names.function(&call.name),
                    ToolCallKind::Custom => self.names.free_text(&call.name),
                };
                json.object(|json| {
                    json.field("type", "tool_use");
                    json.field("id", names::id(&call.id));
                    json.field("name", name);
                    json.raw_field("input", &input(call));
                    write_cache(call.cache.or(mark), json);
                });
            }
            Part::ToolResult(result) => self.result(result, at, mark, json),
            Part::Opaque { raw, .. } => json.raw(raw),
        }
    }

    fn result(&mut self, result: &ToolResult<'_>, at: At, mark: Option<Cache>, json: &mut JsonWriter) {
        json.begin_object();
        json.field("type", "tool_result");
        json.field("tool_use_id", names::id(&result.call_id));
        self.inner(&result.parts, at, json);
        if result.is_error {
            json.field("is_error", true);
        }
        write_cache(result.cache.or(mark), json);
        json.end_object();
    }

    /// `"content":[…]` of those parts that can be taken, if any.
    fn inner(&mut self, parts: &[Part<'_>], at: At, json: &mut JsonWriter) {
        let mut any = false;
        for (index, part) in parts.iter().enumerate() {
            let at = At {
                inner: Some(index),
                ..at
            };
            // Parts nest through documents in results; each level was read from a bounded document.
            if !self.takes(part, Place::Inner, at) {
                continue;
            }
            if !std::mem::replace(&mut any, true) {
                json.key("content").begin_array();
            }
            self.write(part, Place::Inner, at, None, json);
        }
        if any {
            json.end_array();
        }
    }

    fn media(&mut self, media: &Media<'_>, at: At, mark: Option<Cache>, json: &mut JsonWriter) {
        let Ok(form) = form(media) else { return };
        let block = match &form {
            Form::Base64(block, ..) | Form::Url(block, _) | Form::File(block, _) => *block,
            Form::Text(_) | Form::Parts(_) => "document",
        };
        self.files |= matches!(form, Form::File(..));
        json.begin_object();
        json.field("type", block);
        json.key("source").begin_object();
        match form {
            Form::Base64(_, data, media_type) => {
                json.field("type", "base64");
                json.field("media_type", media_type);
                json.field("data", data);
            }
            Form::Url(_, url) => {
                json.field("type", "url");
                json.field("url", url);
            }
            Form::File(_, id) => {
                json.field("type", "file");
                json.field("file_id", id);
            }
            Form::Text(text) => {
                json.field("type", "text");
                json.field("media_type", "text/plain");
                json.field("data", text);
            }
            Form::Parts(parts) => {
                json.field("type", "content");
                self.inner(parts, at, json);
            }
        }
        json.end_object();
        if block == "document" {
            json.opt("title", media.title.as_deref());
            json.opt("context", media.context.as_deref());
            if let Some(enabled) = media.citations {
                json.key("citations").object(|json| json.field("enabled", enabled));
            }
        }
        write_cache(media.cache.or(mark), json);
        json.end_object();
    }
}

fn kind(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image",
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
        MediaKind::Document => "document",
    }
}

/// The block for a medium, or why there is none.
fn form<'m>(media: &'m Media<'m>) -> Result<Form<'m>, String> {
    let block = match media.kind {
        MediaKind::Image => "image",
        MediaKind::Document => "document",
        other => return Err(kind(other).to_owned()),
    };
    match &media.source {
        Source::Url(url) if url.starts_with("https://") || url.starts_with("http://") => Ok(Form::Url(block, url)),
        Source::Url(_) => Err(format!("{block} at an address that is not http")),
        Source::File {
            dialect: Dialect::Anthropic,
            id,
        } => Ok(Form::File(block, id)),
        Source::File { .. } => Err("file of another vendor".to_owned()),
        Source::Text(text) if text.trim().is_empty() => Err("empty document".to_owned()),
        Source::Text(text) => Ok(Form::Text(Cow::Borrowed(text))),
        Source::Parts(parts) => Ok(Form::Parts(parts)),
        Source::Base64(data) => {
            let given = media
                .media_type
                .as_deref()
                .map(|kind| kind.split(';').next().unwrap_or(kind).trim());
            let media_type = given.or_else(|| sniff(data)).unwrap_or("application/octet-stream");
            match media_type {
                "image/png" | "image/jpeg" | "image/gif" | "image/webp" | "application/pdf" => {
                    let block = if media_type == "application/pdf" {
                        "document"
                    } else {
                        "image"
                    };
                    Ok(Form::Base64(block, data, Cow::Borrowed(media_type)))
                }
                "image/jpg" => Ok(Form::Base64("image", data, Cow::Borrowed("image/jpeg"))),
                text if text.starts_with("text/") || text == "application/json" => {
                    let words = decode_base64(data).and_then(|bytes| String::from_utf8(bytes).ok());
                    words
                        .filter(|words| !words.trim().is_empty())
                        .map(|words| Form::Text(Cow::Owned(words)))
                        .ok_or_else(|| format!("{text} that is not UTF-8 text"))
                }
                other => Err(other.to_owned()),
            }
        }
    }
}

/// The media type, by the first bytes.
fn sniff(data: &str) -> Option<&'static str> {
    const BEGINNINGS: [(&str, &str); 5] = [
        ("iVBORw0KGgo", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGOD", "image/gif"),
        ("UklGR", "image/webp"),
        ("JVBERi0", "application/pdf"),
    ];
    let known = BEGINNINGS.iter().find(|(beginning, _)| data.starts_with(beginning));
    known.map(|(_, media_type)| *media_type)
}

/// Standard base64, padded or not.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut held, mut bits) = (0u32, 0u32);
    for byte in text.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = (held << 6) | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    (bits < 6).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded() {
        assert_eq!(decode_base64("aGVsbG8=").as_deref(), Some(&b"hello"[..]));
        assert_eq!(decode_base64("aGVsbG8h").as_deref(), Some(&b"hello!"[..]));
        assert_eq!(decode_base64("a"), None);
        assert_eq!(decode_base64("a-b_"), None);
    }

    #[test]
    fn media_that_has_no_block_says_why() {
        let base64 = |kind, data: &'static str, media_type: Option<&'static str>| {
            Media::new(kind, Source::Base64(data.into()), media_type.map(Cow::Borrowed))
        };
        let why = |media: &Media<'_>| form(media).err();
        assert_eq!(why(&base64(MediaKind::Image, "iVBORw0KGgoA", None)), None);
        assert_eq!(
            why(&base64(MediaKind::Image, "AAAA", Some("image/tiff"))).as_deref(),
            Some("image/tiff")
        );
        assert_eq!(why(&base64(MediaKind::Audio, "AAAA", None)).as_deref(), Some("audio"));
        assert_eq!(
            why(&base64(MediaKind::Document, "aGVsbG8=", Some("text/markdown"))),
            None
        );
        assert!(why(&base64(MediaKind::Document, "/w==", Some("text/plain"))).is_some());
        let gs = Media::new(MediaKind::Image, Source::Url("gs://b/x.png".into()), None);
        assert!(why(&gs).is_some());
    }
}
