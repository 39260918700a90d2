//! Images, documents, sound and films as content blocks.
//!
//! ```json
//! {"document":{"format":"pdf","name":"report","source":{"bytes":"…"},"context":"…","citations":{"enabled":true}}}
//! {"video":{"format":"mp4","source":{"s3Location":{"uri":"s3://bucket/key"}}}}
//! ```
//! Formats: API reference, ImageFormat, DocumentFormat, VideoFormat, AudioFormat, read 2026-11. Web addresses cannot be taken:
//! Bedrock fetches from S3 only, and the gateway fetches nothing.

use super::content::{At, Blocks};
use super::naming;
use super::request::Encoder;
use crate::wire::Dialect;
use crate::wire::canonical::{Media, MediaKind, Part, Source};
use crate::wire::json::JsonWriter;
use base64::Engine as _;

/// Whether something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    Yes,
    No,
}

impl Encoder<'_, '_> {
    /// What a medium is, for naming it.
    pub(super) fn kind_of(media: &Media<'_>) -> &'static str {
        match media.kind {
            MediaKind::Image => "image",
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
            MediaKind::Document => "document",
        }
    }

    /// One medium.
    pub(super) fn media(&mut self, media: &Media<'_>, at: At, blocks: &mut Blocks) -> Placed {
        let takes = self.model.takes;
        let (taken, format) = match media.kind {
            MediaKind::Image => (takes.images, image_format(media)),
            MediaKind::Audio => (takes.audio, audio_format(media)),
            MediaKind::Video => (takes.video, video_format(media)),
            MediaKind::Document => return self.document(media, at, blocks),
        };
        let kind = Self::kind_of(media);
        if !taken {
            self.drop(at, kind);
            return Placed::No;
        }
        let Some(format) = format else {
            let media_type = media.media_type.as_deref().unwrap_or("without media type");
            self.drop(at, &format!("{kind} {media_type}"));
            return Placed::No;
        };
        let Some(source) = Plain::of(&media.source) else {
            self.drop(at, &format!("{kind} by URL"));
            return Placed::No;
        };
        blocks.block(|json| {
            json.key(kind).object(|json| {
                json.field("format", format);
                json.key("source").object(|json| source.write(json));
            });
        });
        Placed::Yes
    }

    fn document(&mut self, media: &Media<'_>, at: At, blocks: &mut Blocks) -> Placed {
        if !self.model.takes.documents {
            self.drop(at, "document");
            return Placed::No;
        }
        let format = match &media.source {
            Source::Text(_) | Source::Parts(_) => Some(text_format(media)),
            _ => document_format(media),
        };
        let Some(format) = format else {
            let media_type = media.media_type.as_deref().unwrap_or("without media type");
            self.drop(at, &format!("document {media_type}"));
            return Placed::No;
        };
        let claude = self.model.is_claude();
        let Some(source) = Plain::of_document(&media.source, claude) else {
            self.drop(at, "document by URL");
            return Placed::No;
        };
        if let Source::Parts(parts) = &media.source
            && parts.iter().any(|part| !matches!(part, Part::Text { .. }))
        {
            self.drop(at, "document parts besides text");
        }
        let title = media.title.as_deref().map(without_extension);
        let name = naming::document(title, &mut self.documents);
        blocks.block(|json| {
            json.key("document").object(|json| {
                json.field("format", format);
                json.field("name", &name);
                json.key("source").object(|json| source.write(json));
                if claude {
                    json.opt("context", media.context.as_deref());
                }
                if media.citations == Some(true) && claude {
                    json.key("citations").object(|json| json.field("enabled", true));
                }
            });
        });
        if !claude && media.context.is_some() {
            self.drop(at, "context");
        }
        if !claude && media.citations == Some(true) {
            self.drop(at, "citations");
        }
        blocks.document = Some(name);
        Placed::Yes
    }
}

/// Where the bytes are, as Bedrock says it.
enum Plain<'m> {
    Bytes(&'m str),
    Owned(String),
    S3(&'m str),
    Text(&'m str),
    Pieces(Vec<&'m str>),
}

impl<'m> Plain<'m> {
    fn of(source: &'m Source<'_>) -> Option<Self> {
        match source {
            Source::Base64(data) => Some(Self::Bytes(data)),
            Source::Url(url) if url.starts_with("s3://") => Some(Self::S3(url)),
            Source::File { dialect, id } if *dialect == Dialect::Bedrock => Some(Self::S3(id)),
            _ => None,
        }
    }

    /// Anthropic's models read text as such, which citations by character need; others take only files.
    fn of_document(source: &'m Source<'_>, as_text: bool) -> Option<Self> {
        let file = |text: &str| Self::Owned(base64::prelude::BASE64_STANDARD.encode(text.as_bytes()));
        match source {
            Source::Text(text) if as_text => Some(Self::Text(text)),
            Source::Text(text) => Some(file(text)),
            Source::Parts(parts) if as_text => Some(Self::Pieces(texts(parts))),
            Source::Parts(parts) => Some(file(&texts(parts).join("\n\n"))),
            source => Self::of(source),
        }
    }

    fn write(&self, json: &mut JsonWriter) {
        match self {
            Self::Bytes(data) => json.field("bytes", data),
            Self::Owned(data) => json.field("bytes", data),
            Self::S3(uri) => json.key("s3Location").object(|json| json.field("uri", uri)),
            Self::Text(text) => json.field("text", text),
            Self::Pieces(pieces) => json.key("content").array(|json| {
                for piece in pieces {
                    json.object(|json| json.field("text", piece));
                }
            }),
        }
    }
}

fn texts<'m>(parts: &'m [Part<'_>]) -> Vec<&'m str> {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text { text, .. } => Some(text.as_ref()),
        _ => None,
    });
    texts.collect()
}

/// The media type without parameters, or what the name's or address's extension says.
fn media_type<'m>(media: &'m Media<'_>) -> (&'m str, &'m str) {
    let given = media.media_type.as_deref().unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    let named = match (&media.title, &media.source) {
        (_, Source::Url(url)) => url.as_ref(),
        (_, Source::File { id, .. }) => id.as_ref(),
        (Some(title), _) => title.as_ref(),
        _ => "",
    };
    (given, named.rsplit_once('.').map_or("", |(_, extension)| extension))
}

fn image_format(media: &Media<'_>) -> Option<&'static str> {
    Some(match media_type(media) {
        ("image/png", _) | ("", "png") => "png",
        ("image/jpeg" | "image/jpg", _) | ("", "jpg" | "jpeg") => "jpeg",
        ("image/gif", _) | ("", "gif") => "gif",
        ("image/webp", _) | ("", "webp") => "webp",
        _ => return None,
    })
}

fn video_format(media: &Media<'_>) -> Option<&'static str> {
    Some(match media_type(media) {
        ("video/mp4", _) | ("", "mp4") => "mp4",
        ("video/quicktime" | "video/mov", _) | ("", "mov") => "mov",
        ("video/x-matroska", _) | ("", "mkv") => "mkv",
        ("video/webm", _) | ("", "webm") => "webm",
        ("video/x-flv", _) | ("", "flv") => "flv",
        ("video/mpeg", _) | ("", "mpeg") => "mpeg",
        ("video/mpg", _) | ("", "mpg") => "mpg",
        ("video/x-ms-wmv" | "video/wmv", _) | ("", "wmv") => "wmv",
        ("video/3gpp", _) | ("", "3gp") => "three_gp",
        _ => return None,
    })
}

fn audio_format(media: &Media<'_>) -> Option<&'static str> {
    Some(match media_type(media) {
        ("audio/mpeg" | "audio/mp3", _) | ("", "mp3") => "mp3",
        ("audio/wav" | "audio/x-wav" | "audio/wave", _) | ("", "wav") => "wav",
        ("audio/flac" | "audio/x-flac", _) | ("", "flac") => "flac",
        ("audio/ogg", _) | ("", "ogg") => "ogg",
        ("audio/opus", _) | ("", "opus") => "opus",
        ("audio/aac", _) | ("", "aac") => "aac",
        ("audio/mp4" | "audio/m4a" | "audio/x-m4a", _) | ("", "m4a") => "m4a",
        ("audio/webm", _) | ("", "webm") => "webm",
        _ => return None,
    })
}

/// Endings that say a format, and so are no part of a name.
const EXTENSIONS: &[&str] = &["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "htm", "txt", "md"];

fn without_extension(title: &str) -> &str {
    match title.rsplit_once('.') {
        Some((name, extension)) if EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()) => name,
        _ => title,
    }
}

fn document_format(media: &Media<'_>) -> Option<&'static str> {
    let (kind, extension) = media_type(media);
    let by_type = match kind {
        "application/pdf" => Some("pdf"),
        "text/csv" => Some("csv"),
        "application/msword" => Some("doc"),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => Some("docx"),
        "application/vnd.ms-excel" => Some("xls"),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => Some("xlsx"),
        "text/html" => Some("html"),
        "text/markdown" => Some("md"),
        "text/plain" | "application/json" | "application/xml" => Some("txt"),
        _ => None,
    };
    by_type
        .or_else(|| {
            let known = EXTENSIONS.iter().find(|known| extension.eq_ignore_ascii_case(known))?;
            Some(if *known == "htm" { "html" } else { known })
        })
        .or_else(|| kind.starts_with("text/").then_some("txt"))
}

/// Of a document that is text: what it says it is, if that is text too.
fn text_format(media: &Media<'_>) -> &'static str {
    match document_format(media) {
        Some(format @ ("csv" | "html" | "md")) => format,
        _ => "txt",
    }
}
