//! A whole `GenerateContentResponse`, and the reading of its pieces that streams share.
//!
//! ```json
//! {"candidates":[{"content":{"parts":[…],"role":"model"},"finishReason":"STOP","index":0,"safetyRatings":[…],
//!    "groundingMetadata":{…},"citationMetadata":{"citationSources":[{"startIndex":0,"endIndex":9,"uri":"…"}]},
//!    "logprobsResult":{…}}],
//!  "promptFeedback":{"blockReason":"SAFETY","safetyRatings":[…]},"usageMetadata":{…},"modelVersion":"…","responseId":"…"}
//! ```
//! Calls without an id (all but generation 3's) get one made of the answer's id and the call's number. A prompt that was
//! blocked is an answer without parts that ended by a filter. The ratings travel as Google writes them; what grounds the
//! answer becomes citations, and the whole of it travels on the first. Source: ai.google.dev/api/generate-content, read 2026-11.

use super::tools::hash;
use crate::providers::codec::{Expect, Undecodable};
use crate::providers::free_text;
use crate::wire::Dialect;
use crate::wire::canonical::{
    Candidate, Citation, Finish, Logprob, Media, Part, Response, Signature, Source, Text, Thinking, ToolCall,
    ToolCallKind,
};
use crate::wire::gemini::{Offsets, finish_in, media_at, read_usage};
use crate::wire::json::Node;
use crate::wire::media::standard_base64;
use crate::wire::media::{check_base64, kind_of};
use std::borrow::Cow;

/// Most citations read.
const MOST_CITATIONS: usize = 1000;

/// A whole answer.
pub fn response<'d>(body: &'d Node<'_>, expect: &'d Expect) -> Result<Response<'d>, Undecodable> {
    body.object()?;
    if body.get("error").is_some() {
        return Err(Undecodable("an error in an answer of status 200".to_owned()));
    }
    let ids = Ids::of(body);
    let mut candidates = Vec::new();
    let list = body.get("candidates").and_then(Node::as_array).unwrap_or_default();
    for (position, node) in list.iter().enumerate() {
        candidates.push(candidate(node, position, &ids, expect));
    }
    if candidates.is_empty() {
        let Some(blocked) = blocked(body) else {
            return Err(Undecodable(
                "neither candidates nor a reason why there are none".to_owned(),
            ));
        };
        candidates.push(blocked);
    }
    let usage = body.get("usageMetadata");
    Ok(Response {
        id: body.get_str("responseId").unwrap_or_default().into(),
        model: body.get_str("modelVersion").unwrap_or(&expect.model).into(),
        created: None,
        candidates,
        usage: usage.and_then(|usage| read_usage(usage.raw.as_bytes())),
        service_tier: usage.and_then(|usage| usage.get_str("serviceTier")).map(tier),
        fingerprint: None,
    })
}

/// Google's word for the usual tier is everybody else's `default`.
pub fn tier(word: &str) -> Text<'_> {
    if word.eq_ignore_ascii_case("standard") {
        "default".into()
    } else {
        word.into()
    }
}

/// A prompt that was blocked.
fn blocked<'d>(body: &'d Node<'_>) -> Option<Candidate<'d>> {
    let feedback = body.get("promptFeedback")?;
    feedback.get_str("blockReason")?;
    Some(Candidate {
        finish: Some(Finish::ContentFilter),
        safety: feedback
            .get("safetyRatings")
            .map(|raw| (Dialect::Gemini, raw.raw.into())),
        ..Candidate::default()
    })
}

fn candidate<'d>(node: &'d Node<'_>, position: usize, ids: &Ids, expect: &'d Expect) -> Candidate<'d> {
    let index = index(node, position);
    let mut parts = Vec::new();
    let mut calls = 0;
    for part in content(node) {
        match piece(part) {
            Some(Piece::Call {
                id,
                name,
                args,
                signature,
            }) => {
                let id = id.map_or_else(|| Cow::Owned(ids.make(index, calls)), Cow::Borrowed);
                calls += 1;
                let (name, kind, arguments) = called(name, args, expect);
                parts.push(Part::ToolCall(ToolCall {
                    id,
                    name: name.into(),
                    arguments,
                    kind,
                    signature,
                    cache: None,
                }));
            }
            Some(Piece::Prose {
                text,
                thought: true,
                signature,
            }) => parts.push(Part::Thinking(Thinking {
                text: text.into(),
                signature,
                ..Thinking::default()
            })),
            Some(Piece::Prose { text, signature, .. }) => parts.push(Part::Text {
                text: text.into(),
                cache: None,
                citations: Vec::new(),
                signature,
            }),
            Some(Piece::Whole(part)) => parts.push(*part),
            None => {}
        }
    }
    cite(node, &mut parts);
    Candidate {
        index,
        parts,
        finish: node.get_str("finishReason").map(|word| finish_in(word, calls > 0)),
        stop_sequence: None,
        logprobs: logprobs(node),
        safety: node.get("safetyRatings").map(|raw| (Dialect::Gemini, raw.raw.into())),
    }
}

/// Which candidate a node is.
pub fn index(node: &Node<'_>, position: usize) -> u32 {
    let index = node.get_u64("index").unwrap_or(position as u64);
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// The parts of a candidate.
pub fn content<'n, 'a>(candidate: &'n Node<'a>) -> &'n [Node<'a>] {
    let parts = candidate.get("content").and_then(|content| content.get("parts"));
    parts.and_then(Node::as_array).unwrap_or_default()
}

/// Made ids of calls: unique in a conversation, the same whenever the answer is read.
#[derive(Debug, Default, Clone)]
pub struct Ids {
    answer: String,
}

impl Ids {
    /// For the answer this document belongs to.
    pub fn of(body: &Node<'_>) -> Self {
        let given = body.get_str("responseId").unwrap_or_default();
        let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let answer: String = given.chars().filter(fits).take(40).collect();
        Self {
            answer: match answer.as_str() {
                "" => format!("{:016x}", hash(body.raw.as_bytes())),
                _ => answer,
            },
        }
    }

    /// The id of a candidate's call.
    pub fn make(&self, candidate: u32, number: usize) -> String {
        match candidate {
            0 => format!("call_{}_{number}", self.answer),
            _ => format!("call_{}_{candidate}_{number}", self.answer),
        }
    }
}

/// A part of an answer.
pub enum Piece<'d> {
    /// Text or a thought.
    Prose {
        /// It.
        text: &'d str,
        /// A thought.
        thought: bool,
        /// Its signature.
        signature: Option<Signature<'d>>,
    },
    /// A call.
    Call {
        /// Its id, where Google gives one.
        id: Option<&'d str>,
        /// Google's name of the function.
        name: &'d str,
        /// Its arguments, if they are an object.
        args: Option<&'d Node<'d>>,
        /// Its signature.
        signature: Option<Signature<'d>>,
    },
    /// Anything that comes whole.
    Whole(Box<Part<'d>>),
}

/// Read a part; nothing when it holds nothing that is known.
pub fn piece<'d>(part: &'d Node<'_>) -> Option<Piece<'d>> {
    let signature = part
        .get_str("thoughtSignature")
        .map(|data| Signature::new(Dialect::Gemini, data));
    if let Some(text) = part.get_str("text") {
        let thought = part.get("thought").is_some_and(|thought| thought.bool() == Ok(true));
        if text.is_empty() && signature.is_none() {
            return None;
        }
        return Some(Piece::Prose {
            text,
            thought,
            signature,
        });
    }
    if let Some(call) = part.get("functionCall") {
        return Some(Piece::Call {
            id: call.get_str("id").filter(|id| !id.is_empty()),
            name: call.get_str("name")?,
            args: call.get("args").filter(|args| args.as_object().is_some()),
            signature,
        });
    }
    if let Some(mut media) = media(part) {
        media.signature = signature;
        return Some(Piece::Whole(Box::new(Part::Media(media))));
    }
    for kind in ["executableCode", "codeExecutionResult", "toolCall", "toolResponse"] {
        if part.get(kind).is_some() {
            return Some(Piece::Whole(Box::new(Part::Opaque {
                dialect: Dialect::Gemini,
                kind: kind.into(),
                raw: part.raw.into(),
            })));
        }
    }
    signature.map(|signature| Piece::Prose {
        text: "",
        thought: false,
        signature: Some(signature),
    })
}

/// A call as the client knows it: the tool's name and sort, and its arguments.
pub fn called<'d>(name: &'d str, args: Option<&'d Node<'_>>, expect: &'d Expect) -> (&'d str, ToolCallKind, Text<'d>) {
    let (name, kind) = free_text::tool(name, expect);
    let arguments = args.map_or("{}", |args| args.raw);
    let arguments = match kind {
        ToolCallKind::Function => arguments.into(),
        ToolCallKind::Custom => free_text::whole(arguments),
    };
    (name, kind, arguments)
}

fn media<'d>(part: &'d Node<'_>) -> Option<Media<'d>> {
    if let Some(blob) = part.get("inlineData") {
        let data = standard_base64(blob.get_str("data")?);
        check_base64(&data).ok()?;
        let media_type = blob.get_str("mimeType").unwrap_or("application/octet-stream");
        return Some(Media::new(
            kind_of(media_type),
            Source::Base64(data),
            Some(media_type.into()),
        ));
    }
    let file = part.get("fileData")?;
    let uri = file.get_str("fileUri").filter(|uri| !uri.is_empty())?;
    Some(media_at(uri, file.get_str("mimeType")))
}

/// Put a candidate's citations onto its last text part.
fn cite<'d>(node: &'d Node<'_>, parts: &mut [Part<'d>]) {
    let last = parts.iter_mut().rev().find_map(|part| match part {
        Part::Text { text, citations, .. } => Some((text, citations)),
        _ => None,
    });
    if let Some((text, citations)) = last
        && is_grounded(node)
    {
        let mut offsets = Offsets::default();
        offsets.push(text);
        *citations = self::citations(node, &offsets);
    }
}

/// Whether a candidate says what it relies on.
pub fn is_grounded(candidate: &Node<'_>) -> bool {
    candidate.get("groundingMetadata").is_some() || candidate.get("citationMetadata").is_some()
}

/// What a candidate relies on. Positions are of its text, which `offsets` has seen.
pub fn citations<'d>(candidate: &'d Node<'_>, offsets: &Offsets) -> Vec<Citation<'d>> {
    let mut all = Vec::new();
    if let Some(grounding) = candidate.get("groundingMetadata") {
        grounded(grounding, offsets, &mut all);
        if let Some(first) = all.first_mut() {
            first.raw = Some((Dialect::Gemini, grounding.raw.into()));
        }
    }
    let recited = candidate.get("citationMetadata");
    // AI Studio says `citationSources`, Vertex `citations`.
    let sources = recited.and_then(|node| node.get("citationSources").or_else(|| node.get("citations")));
    for source in sources
        .and_then(Node::as_array)
        .unwrap_or_default()
        .iter()
        .take(MOST_CITATIONS)
    {
        all.push(Citation {
            url: source.get_str("uri").map(Into::into),
            title: source.get_str("title").map(Into::into),
            span: span(source, offsets),
            ..Citation::default()
        });
    }
    all.truncate(MOST_CITATIONS);
    all
}

fn grounded<'d>(grounding: &'d Node<'_>, offsets: &Offsets, all: &mut Vec<Citation<'d>>) {
    let list = |key: &str| grounding.get(key).and_then(Node::as_array).unwrap_or_default();
    let chunks = list("groundingChunks");
    let mut used = vec![false; chunks.len()];
    for support in list("groundingSupports").iter().take(MOST_CITATIONS) {
        let place = support.get("segment").and_then(|segment| span(segment, offsets));
        let indices = support
            .get("groundingChunkIndices")
            .and_then(Node::as_array)
            .unwrap_or_default();
        for at in indices.iter().filter_map(|index| usize::try_from(index.as_u64()?).ok()) {
            let Some(chunk) = chunks.get(at) else { continue };
            if all.len() >= MOST_CITATIONS {
                return;
            }
            if let Some(used) = used.get_mut(at) {
                *used = true;
            }
            all.extend(source(chunk).map(|citation| Citation {
                span: place,
                ..citation
            }));
        }
    }
    for (chunk, _) in chunks.iter().zip(used).filter(|(_, used)| !used).take(MOST_CITATIONS) {
        all.extend(source(chunk));
    }
}

fn source<'d>(chunk: &'d Node<'_>) -> Option<Citation<'d>> {
    let kinds = ["web", "retrievedContext", "maps", "image"];
    let found = kinds.into_iter().find_map(|kind| chunk.get(kind))?;
    Some(Citation {
        url: found
            .get_str("uri")
            .or_else(|| found.get_str("sourceUri"))
            .map(Into::into),
        title: found.get_str("title").map(Into::into),
        cited_text: found.get_str("text").map(Into::into),
        ..Citation::default()
    })
}

/// `startIndex` (0 is left out) and `endIndex`, in bytes, as characters.
fn span(segment: &Node<'_>, offsets: &Offsets) -> Option<(u64, u64)> {
    let start = offsets.chars(segment.get_u64("startIndex").unwrap_or(0))?;
    let end = offsets.chars(segment.get_u64("endIndex")?)?;
    (start <= end).then_some((start, end))
}

/// How likely the tokens of a candidate were.
pub fn logprobs<'d>(candidate: &'d Node<'_>) -> Vec<Logprob<'d>> {
    let Some(result) = candidate.get("logprobsResult") else {
        return Vec::new();
    };
    let list = |key: &str| result.get(key).and_then(Node::as_array).unwrap_or_default();
    let one = |node: &'d Node<'_>| -> Option<(Text<'d>, f64)> {
        let logprob = node.get("logProbability").and_then(Node::as_f64).unwrap_or(0.0);
        Some((node.get_str("token")?.into(), logprob))
    };
    let tops = list("topCandidates");
    let chosen = list("chosenCandidates").iter().enumerate();
    chosen
        .filter_map(|(at, node)| {
            let (token, logprob) = one(node)?;
            let top = tops
                .get(at)
                .and_then(|top| top.get("candidates"))
                .and_then(Node::as_array);
            Some(Logprob {
                token,
                logprob,
                top: top.unwrap_or_default().iter().filter_map(one).collect(),
            })
        })
        .collect()
}
