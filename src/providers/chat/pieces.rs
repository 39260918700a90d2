//! Content parts for a target: what of a message it can take, in its own form.
//!
//! ```json
//! {"type":"text","text":"…","cache_control":{"type":"ephemeral"}}   {"type":"image_url","image_url":{"url":"…","detail":"low"}}
//! {"type":"input_audio","input_audio":{"data":"…","format":"wav"}}  {"type":"video_url","video_url":{"url":"…"}}
//! {"type":"file","file":{"filename":"…","file_data":"…"}}           {"type":"document_url","document_url":"…"}   (Mistral)
//! ```

use super::quirks::{Echo, Quirks};
use crate::wire::Dialect;
use crate::wire::canonical::{Cache, Dropped, Media, MediaKind, Part, Source};
use crate::wire::json::JsonWriter;
use crate::wire::media;
use std::borrow::Cow;

/// One part, made.
pub enum Piece<'p> {
    /// Text, and its cache marker.
    Text(Cow<'p, str>, Option<Cache>),
    /// A medium the target takes.
    Media(&'p Media<'p>),
    /// As it was written.
    Raw(&'p str),
}

/// Part by part what the target takes; the rest is named.
pub fn collect<'p>(
    parts: impl Iterator<Item = (usize, &'p Part<'p>)>,
    message: usize,
    quirks: &Quirks,
    dropped: &mut Dropped,
) -> Vec<Piece<'p>> {
    let mut pieces = Vec::new();
    for (at, part) in parts {
        let path = |what: &str| format!("messages[{message}].content[{at}] ({what})");
        match part {
            Part::Text { text, cache, .. } => pieces.push(Piece::Text(text.as_ref().into(), *cache)),
            Part::Refusal(text) => pieces.push(Piece::Text(text.as_ref().into(), None)),
            Part::Media(given) => media(given, &path, quirks, dropped, &mut pieces),
            Part::Opaque {
                dialect: Dialect::OpenAi,
                raw,
                ..
            } => pieces.push(Piece::Raw(raw)),
            Part::Opaque { kind, .. } => dropped.push(path(kind)),
            Part::Thinking(_) => dropped.push(format!("messages[{message}] (thinking)")),
            // Written elsewhere.
            Part::ToolCall(_) | Part::ToolResult(_) => {}
        }
    }
    pieces
}

fn media<'p>(
    given: &'p Media<'p>,
    path: &dyn Fn(&str) -> String,
    quirks: &Quirks,
    dropped: &mut Dropped,
    pieces: &mut Vec<Piece<'p>>,
) {
    let text = |text: Cow<'p, str>| {
        let titled = given.title.as_ref().map(|title| format!("{title}\n\n{text}"));
        Piece::Text(titled.map_or(text, Into::into), given.cache)
    };
    match (&given.source, given.kind) {
        (Source::Text(plain), _) => pieces.push(text(plain.as_ref().into())),
        (Source::Parts(parts), _) => {
            for part in parts {
                match part {
                    Part::Text { text, cache, .. } => pieces.push(Piece::Text(text.as_ref().into(), *cache)),
                    // As deep as media go: the parts of a document hold none.
                    Part::Media(inner) if takes(inner, quirks) => pieces.push(Piece::Media(inner)),
                    _ => dropped.push(path("part of a document")),
                }
            }
        }
        _ if takes(given, quirks) => pieces.push(Piece::Media(given)),
        // What the model said aloud, in words.
        (_, MediaKind::Audio) if given.transcript.is_some() => {
            pieces.push(text(given.transcript.as_deref().unwrap_or_default().into()));
        }
        (Source::Base64(data), MediaKind::Document) if is_text(given) => {
            match media::decode_base64(data).and_then(|bytes| String::from_utf8(bytes).ok()) {
                Some(plain) => pieces.push(text(plain.into())),
                None => dropped.push(path("document")),
            }
        }
        (_, kind) => dropped.push(path(match kind {
            MediaKind::Image => "image",
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
            MediaKind::Document => "document",
        })),
    }
}

fn is_text(media: &Media<'_>) -> bool {
    let kind = media.media_type.as_deref().unwrap_or_default();
    kind.starts_with("text/") || kind == "application/json"
}

/// Whether the target takes this medium.
fn takes(media: &Media<'_>, quirks: &Quirks) -> bool {
    let own_file = matches!(
        &media.source,
        Source::File {
            dialect: Dialect::OpenAi | Dialect::Responses,
            ..
        }
    );
    let bytes = matches!(media.source, Source::Base64(_));
    let url = matches!(media.source, Source::Url(_));
    match media.kind {
        MediaKind::Image => quirks.images && (bytes || url),
        MediaKind::Video => quirks.video && (bytes || url),
        MediaKind::Audio => {
            let format = audio_format(media);
            let common = matches!(format, Some("wav" | "mp3"));
            quirks.audio && bytes && (common || (format.is_some() && !quirks.openai))
        }
        MediaKind::Document => {
            let pdf = !is_text(media) && bytes;
            quirks.files && (pdf || own_file || (url && quirks.file_urls))
        }
    }
}

/// `wav` or `mp3`: the only ones of OpenAI's; others that OpenRouter and Gemini's models behind it know.
fn audio_format<'m>(media: &'m Media<'_>) -> Option<&'m str> {
    let kind = media.media_type.as_deref()?.strip_prefix("audio/")?;
    Some(match kind {
        "wav" | "x-wav" | "wave" | "vnd.wave" => "wav",
        "mpeg" | "mp3" => "mp3",
        "ogg" | "flac" | "aac" | "m4a" | "aiff" | "pcm16" | "pcm24" | "webm" => kind,
        _ => return None,
    })
}

/// A marker, where the target knows them.
pub fn cache_control(json: &mut JsonWriter, cache: Option<Cache>, quirks: &Quirks) {
    let Some(cache) = cache.filter(|_| quirks.cache_control) else {
        return;
    };
    json.key("cache_control").object(|json| {
        json.field("type", "ephemeral");
        match cache {
            Cache::OneHour => json.field("ttl", "1h"),
            Cache::FiveMinutes => json.field("ttl", "5m"),
            Cache::Default => {}
        }
    });
}

/// `content`: a string where one says it all.
pub fn content(json: &mut JsonWriter, pieces: &[Piece<'_>], quirks: &Quirks) {
    let marked = |cache: &Option<Cache>| cache.is_some() && quirks.cache_control;
    let plain = pieces
        .iter()
        .all(|piece| matches!(piece, Piece::Text(_, cache) if !marked(cache)));
    json.key("content");
    match pieces {
        [] => json.value(""),
        [Piece::Text(text, _)] if plain => json.value(text),
        // Servers without images often take strings only.
        _ if plain && !quirks.images => json.value(joined(pieces, "\n\n")),
        _ => json.array(|json| {
            for piece in pieces {
                write(json, piece, quirks);
            }
        }),
    }
}

/// The texts as one.
pub fn joined(pieces: &[Piece<'_>], between: &str) -> String {
    let texts = pieces.iter().filter_map(|piece| match piece {
        Piece::Text(text, _) => Some(text.as_ref()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join(between)
}

/// One part.
pub fn write(json: &mut JsonWriter, piece: &Piece<'_>, quirks: &Quirks) {
    match piece {
        Piece::Text(text, cache) => json.object(|json| {
            json.field("type", "text");
            json.field("text", text);
            cache_control(json, *cache, quirks);
        }),
        Piece::Raw(raw) => json.raw(raw),
        Piece::Media(media) => json.object(|json| medium(json, media, quirks)),
    }
}

fn medium(json: &mut JsonWriter, media: &Media<'_>, quirks: &Quirks) {
    let mistral = quirks.echo == Echo::Chunks;
    let url = media.url();
    let url = url.as_deref().unwrap_or_default();
    match media.kind {
        MediaKind::Image => {
            json.field("type", "image_url");
            json.key("image_url").object(|json| {
                json.field("url", url);
                json.opt("detail", media.detail.as_ref());
            });
        }
        MediaKind::Video => {
            json.field("type", "video_url");
            json.key("video_url").object(|json| json.field("url", url));
        }
        MediaKind::Audio => {
            let data = match &media.source {
                Source::Base64(data) => data.as_ref(),
                _ => "",
            };
            json.field("type", "input_audio");
            if mistral {
                json.field("input_audio", data);
            } else {
                json.key("input_audio").object(|json| {
                    json.field("data", data);
                    json.field("format", audio_format(media).unwrap_or("wav"));
                });
            }
        }
        MediaKind::Document => document(json, media, url, mistral),
    }
    cache_control(json, media.cache, quirks);
}

fn document(json: &mut JsonWriter, media: &Media<'_>, url: &str, mistral: bool) {
    let id = match &media.source {
        Source::File { id, .. } => Some(id.as_ref()),
        _ => None,
    };
    match (id, mistral) {
        (Some(id), true) => {
            json.field("type", "file");
            json.field("file_id", id);
        }
        (None, true) => {
            json.field("type", "document_url");
            json.field("document_url", url);
            json.opt("document_name", media.title.as_ref());
        }
        (Some(id), false) => {
            json.field("type", "file");
            json.key("file").object(|json| json.field("file_id", id));
        }
        (None, false) => {
            json.field("type", "file");
            json.key("file").object(|json| {
                // Bytes must have a name.
                json.field("filename", media.title.as_deref().unwrap_or("document.pdf"));
                json.field("file_data", url);
            });
        }
    }
}
