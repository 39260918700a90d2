//! Writing answers: whole here, event by event in `stream`.

mod ending;
mod envelope;
mod item;
mod passed;
mod running;
mod stream;

use self::ending::Ending;
use self::envelope::{Envelope, State};
use self::item::{Body, Content, Item, annotation, logprob};
use super::items::{OF_CALL, OF_PART, OF_TEXT, OF_THOUGHT, WRAPPED};
use super::own::{self, Own};
use crate::error::GatewayError;
use crate::units::Usage;
use crate::wire::Dialect;
use crate::wire::canonical::{Event, MediaKind, Part, Request, Response, Signature, Source, Text, ToolCallKind};
use crate::wire::client::{Reply, ReplyWriter};
use crate::wire::json::JsonWriter;

/// Writes one answer.
pub(super) struct Writer {
    envelope: Envelope,
    /// What ids are made from.
    seed: String,
    /// The response's id.
    id: String,
    /// This API's own tools on offer: a target without them was given functions instead.
    own: Vec<&'static Own>,
    tier: Option<String>,
    usage: Option<Usage>,
    stream: stream::Stream,
}

impl Writer {
    pub(super) fn new(request: &Request<'_>, reply: Reply) -> Self {
        Self {
            envelope: Envelope::new(request, &reply),
            id: format!("resp_{}", reply.id),
            seed: reply.id,
            own: own::offered(&request.tools),
            tier: None,
            usage: None,
            stream: stream::Stream::default(),
        }
    }

    /// The vendor's own id when it is one of this API: only by that can the answer be continued where it is kept.
    fn adopt(&mut self, id: &str, tier: Option<&str>) {
        if id.starts_with("resp_") {
            id.clone_into(&mut self.id);
        }
        // The SDKs' types know these words only; other vendors' usual tiers are this API's usual one.
        let known = match tier {
            Some(tier @ ("auto" | "default" | "flex" | "scale" | "priority" | "fast" | "ultrafast")) => Some(tier),
            Some("standard" | "on_demand") => Some("default"),
            _ => None,
        };
        self.tier = known.map(str::to_owned);
    }

    /// The tool of this API that a call of a function stands for.
    fn own(&self, name: &str, kind: ToolCallKind) -> Option<&'static Own> {
        let mut all = self.own.iter().filter(|_| kind == ToolCallKind::Function);
        all.find(|own| own.tool == name).copied()
    }

    fn item_id(&self, body: &Body<'_>, index: usize) -> String {
        format!("{}{}{index}", body.prefix(), self.seed)
    }
}

/// The signature of a thought. `withheld`: its vendor shows no text of it.
fn sealed<'s>(signature: &'s Signature<'_>, withheld: bool) -> Text<'s> {
    let mut encrypted = signature.for_client(Dialect::Responses);
    if withheld && signature.origin != Dialect::Responses {
        encrypted.to_mut().push_str(OF_THOUGHT);
    }
    encrypted
}

/// A foreign signature of a call or a text, as the content of a reasoning item of its own.
fn aside(signature: &Signature<'_>, mark: &str) -> Body<'static> {
    let mut encrypted = signature.for_client(Dialect::Responses).into_owned();
    encrypted.push_str(mark);
    Body::Reasoning {
        text: "".into(),
        encrypted: Some(encrypted.into()),
    }
}

/// A part of another API, which must come back with the next turn (its own web search, its results), as the content of a
/// reasoning item of its own.
fn carried(dialect: Dialect, kind: &str, raw: &str) -> Body<'static> {
    let encrypted = format!("{WRAPPED}{}:{kind}:{raw}{OF_PART}", dialect.as_str());
    Body::Reasoning {
        text: "".into(),
        encrypted: Some(encrypted.into()),
    }
}

/// A call of one of this API's own tools; of a function when its arguments do not say what that tool is to do.
fn own_call<'c>(own: &'static Own, call_id: &'c str, arguments: &'c str) -> Body<'c> {
    match own.doing(arguments) {
        Some(doing) => Body::Own {
            own,
            call_id: call_id.into(),
            doing,
        },
        None => Body::Call {
            call_id: call_id.into(),
            name: own.tool.into(),
            arguments: arguments.into(),
            custom: false,
        },
    }
}

fn format_of(media_type: Option<&str>) -> &'static str {
    match media_type {
        Some("image/jpeg") => "jpeg",
        Some("image/webp") => "webp",
        _ => "png",
    }
}

/// A part that is an item by itself, as far as it has a form here.
fn lone<'p>(part: &'p Part<'_>) -> Option<Body<'p>> {
    match part {
        Part::Opaque {
            dialect: Dialect::Responses,
            raw,
            ..
        } => Some(Body::Raw(raw.as_ref().into())),
        Part::Opaque { dialect, kind, raw } => Some(carried(*dialect, kind, raw)),
        Part::Thinking(thinking) => Some(Body::Reasoning {
            text: thinking.text.as_ref().into(),
            encrypted: thinking
                .signature
                .as_ref()
                .map(|signature| sealed(signature, thinking.text.is_empty() && !thinking.redacted)),
        }),
        Part::Media(media) => match (&media.source, media.kind) {
            (Source::Base64(data), MediaKind::Image) => Some(Body::Image {
                data: data.as_ref().into(),
                format: format_of(media.media_type.as_deref()),
            }),
            _ => None,
        },
        _ => None,
    }
}

/// What is said in a sound: this API answers in text only.
fn transcript<'p>(part: &'p Part<'_>) -> Option<&'p str> {
    match part {
        Part::Media(media) if media.kind == MediaKind::Audio => media.transcript.as_deref(),
        _ => None,
    }
}

fn plain(text: &str) -> Content<'_> {
    Content::Text {
        text: text.into(),
        annotations: Vec::new(),
        logprobs: Vec::new(),
    }
}

impl Writer {
    /// The items of an answer. Texts that follow each other are one message.
    fn items<'r>(&self, response: &'r Response<'_>) -> (Vec<Item<'r>>, bool) {
        let mut bodies: Vec<(Option<&str>, Body<'r>)> = Vec::new();
        let mut refused = false;
        let Some(candidate) = response.candidates.first() else {
            return (Vec::new(), false);
        };
        let mut logprobs: Vec<String> = candidate.logprobs.iter().map(logprob).collect();
        for part in &candidate.parts {
            match part {
                Part::Text {
                    text,
                    citations,
                    signature,
                    ..
                } => {
                    let length = text.chars().count() as u64;
                    let content = Content::Text {
                        text: text.as_ref().into(),
                        annotations: citations.iter().filter_map(|c| annotation(c, length)).collect(),
                        logprobs: std::mem::take(&mut logprobs),
                    };
                    say(&mut bodies, content);
                    if let Some(signature) = signature {
                        bodies.push((None, aside(signature, OF_TEXT)));
                    }
                }
                Part::Refusal(text) => {
                    refused = true;
                    say(&mut bodies, Content::Refusal(text.as_ref().into()));
                }
                Part::ToolCall(call) => {
                    if let Some(own) = self.own(&call.name, call.kind) {
                        bodies.push((None, own_call(own, &call.id, &call.arguments)));
                        continue;
                    }
                    if let Some(signature) = &call.signature {
                        bodies.push((None, aside(signature, OF_CALL)));
                    }
                    let body = Body::Call {
                        call_id: call.id.as_ref().into(),
                        name: call.name.as_ref().into(),
                        arguments: call.arguments.as_ref().into(),
                        custom: call.kind == ToolCallKind::Custom,
                    };
                    bodies.push((None, body));
                }
                Part::Thinking(thinking) => bodies.extend(lone(part).map(|body| (thinking.id.as_deref(), body))),
                _ => match transcript(part) {
                    Some(said) => say(&mut bodies, plain(said)),
                    None => bodies.extend(lone(part).map(|body| (None, body))),
                },
            }
        }
        let item = |(index, (id, body)): (usize, (Option<&str>, Body<'r>))| Item {
            id: own_id(id).unwrap_or_else(|| self.item_id(&body, index)),
            body,
        };
        (bodies.into_iter().enumerate().map(item).collect(), refused)
    }
}

/// A reasoning item keeps the id its own vendor gave it.
fn own_id(id: Option<&str>) -> Option<String> {
    id.filter(|id| id.starts_with("rs_")).map(str::to_owned)
}

/// Add to the message under way, or begin one.
fn say<'r>(bodies: &mut Vec<(Option<&'r str>, Body<'r>)>, content: Content<'r>) {
    match bodies.last_mut() {
        Some((_, Body::Message(contents))) => contents.push(content),
        _ => bodies.push((None, Body::Message(vec![content]))),
    }
}

impl ReplyWriter for Writer {
    fn whole(&mut self, response: &Response<'_>, out: &mut Vec<u8>) {
        self.adopt(&response.id, response.service_tier.as_deref());
        let (items, refused) = self.items(response);
        let finish = response.candidates.first().and_then(|c| c.finish.as_ref());
        let ending = Ending::of(finish, refused);
        let state = State {
            id: &self.id,
            status: ending.status(),
            error: ending.error(),
            incomplete: ending.incomplete(),
            tier: self.tier.as_deref(),
            usage: response.usage,
        };
        let mut json = JsonWriter::over(std::mem::take(out));
        self.envelope.put(&mut json, &state, |json| {
            for (at, item) in items.iter().enumerate() {
                let last = at + 1 == items.len();
                item.put(json, if last { ending.last_item() } else { "completed" });
            }
        });
        *out = json.finish();
    }

    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        self.on_event(event, out);
    }

    fn fail(&mut self, error: &GatewayError, out: &mut Vec<u8>) {
        self.on_failure(ending::code(error), &error.message, out);
    }

    fn passed(&mut self, data: &[u8], max_depth: usize) {
        self.on_passed(data, max_depth);
    }
}
