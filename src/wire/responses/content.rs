//! Content parts of messages and tool outputs.
//!
//! ```json
//! {"type":"input_text","text":"…","prompt_cache_breakpoint":{"mode":"explicit","ttl":"30m"}}
//! {"type":"input_image","image_url":"https… | data:…","file_id":"file-…","detail":"auto"}
//! {"type":"input_file","file_data":"data:…","file_url":"https…","file_id":"file-…","filename":"a.pdf"}
//! {"type":"input_audio","input_audio":{"data":"…","format":"wav"}}
//! {"type":"output_text","text":"…","annotations":[…]}    {"type":"refusal","refusal":"…"}
//! ```

use crate::wire::Dialect;
use crate::wire::canonical::{Cache, Citation, Media, MediaKind, Part, Source};
use crate::wire::json::{Invalid, Node};
use crate::wire::media;

/// A string, or a list of parts.
pub(super) fn read<'d>(content: &'d Node<'_>) -> Result<Vec<Part<'d>>, Invalid> {
    if let Some(text) = content.as_str() {
        return Ok(vec![Part::text(text)]);
    }
    if content.as_array().is_none() {
        return Err(Invalid::wrong_type("a string or an array of content parts"));
    }
    content.each(part)
}

fn part<'d>(node: &'d Node<'_>) -> Result<Part<'d>, Invalid> {
    node.object()?;
    match node.req("type", Node::str)? {
        "input_text" => Ok(Part::Text {
            text: node.req("text", Node::str)?.into(),
            cache: cache(node),
            citations: Vec::new(),
            signature: None,
        }),
        "output_text" => Ok(Part::Text {
            text: node.req("text", Node::str)?.into(),
            cache: None,
            citations: node
                .opt("annotations", |list| list.each(|one| Ok(citation(one))))?
                .unwrap_or_default(),
            signature: None,
        }),
        "refusal" => Ok(Part::Refusal(node.req("refusal", Node::str)?.into())),
        "input_image" => image(node),
        "input_file" => file(node),
        "input_audio" => audio(node),
        other => Err(Invalid::value(format!(
            "is {:?}, which is none of input_text, input_image, input_file, input_audio, output_text, refusal",
            clip(other)
        ))
        .within("type")),
    }
}

/// What a client wrote, short enough to say back.
pub(super) fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

fn cache(node: &Node<'_>) -> Option<Cache> {
    let marker = node.get("prompt_cache_breakpoint")?;
    Some(match marker.get_str("ttl") {
        Some("12h") => Cache::OneHour,
        _ => Cache::Default,
    })
}

/// An annotation of a text.
pub(crate) fn citation<'d>(node: &'d Node<'_>) -> Citation<'d> {
    Citation {
        url: node.get_str("url").map(Into::into),
        title: node
            .get_str("title")
            .or_else(|| node.get_str("filename"))
            .map(Into::into),
        cited_text: None,
        span: node.get_u64("start_index").zip(node.get_u64("end_index")),
        document: None,
        raw: Some((Dialect::Responses, node.raw.into())),
    }
}

fn own_file<'d>(node: &'d Node<'_>) -> Result<Option<Source<'d>>, Invalid> {
    let id = node.opt("file_id", Node::str)?;
    Ok(id.map(|id| Source::File {
        dialect: Dialect::Responses,
        id: id.into(),
    }))
}

fn image<'d>(node: &'d Node<'_>) -> Result<Part<'d>, Invalid> {
    let (source, media_type) = match node.opt("image_url", |url| media::source(url.str()?))? {
        Some(found) => found,
        None => match own_file(node)? {
            Some(source) => (source, None),
            None => return Err(Invalid::missing().within("image_url")),
        },
    };
    let mut image = Media::new(MediaKind::Image, source, media_type.map(Into::into));
    image.detail = node.opt("detail", Node::str)?.map(Into::into);
    image.cache = cache(node);
    Ok(Part::Media(image))
}

fn file<'d>(node: &'d Node<'_>) -> Result<Part<'d>, Invalid> {
    let title = node.opt("filename", Node::str)?;
    let (source, media_type) = if let Some(found) = node.opt("file_data", |data| file_data(data.str()?))? {
        found
    } else if let Some(found) = node.opt("file_url", |url| media::source(url.str()?))? {
        found
    } else if let Some(source) = own_file(node)? {
        (source, None)
    } else {
        return Err(Invalid::missing().within("file_data"));
    };
    let media_type = media_type.or_else(|| title.and_then(type_of_name));
    let kind = media_type.map_or(MediaKind::Document, media::kind_of);
    let mut file = Media::new(kind, source, media_type.map(Into::into));
    file.title = title.map(Into::into);
    file.detail = node.opt("detail", Node::str)?.map(Into::into);
    file.cache = cache(node);
    Ok(Part::Media(file))
}

/// The API wants a `data:` address; bare base64 is what many clients send.
fn file_data(data: &str) -> Result<(Source<'_>, Option<&str>), Invalid> {
    if data.starts_with("data:") {
        return media::source(data);
    }
    media::check_base64(data)?;
    Ok((Source::Base64(data.into()), None))
}

fn type_of_name(name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "json" => "application/json",
        _ => return None,
    })
}

fn audio<'d>(node: &'d Node<'_>) -> Result<Part<'d>, Invalid> {
    node.req("input_audio", |audio| {
        let data = audio.req("data", |data| {
            let data = data.str()?;
            media::check_base64(data)?;
            Ok(data)
        })?;
        let media_type = audio.req("format", |format| match format.str()? {
            "wav" => Ok("audio/wav"),
            "mp3" => Ok("audio/mpeg"),
            _ => Err(Invalid::value("must be wav or mp3")),
        })?;
        Ok(Part::Media(Media::new(
            MediaKind::Audio,
            Source::Base64(data.into()),
            Some(media_type.into()),
        )))
    })
}
