//! Streams: cutting them into raw events the way the gateway does, decoding, writing, reading back.

use super::speakers::Client;
use cirque::providers::codec::{Codec, Expect, Framing, RawEvent, StreamDecoder, Undecodable};
use cirque::wire::canonical::{Delta, Event, Fold, PartStart, Request};
use cirque::wire::client::{Reply, ReplyWriter};
use cirque::wire::eventstream::FrameReader;
use cirque::wire::sse::{SseReader, events};

pub const DEPTH: usize = 64;
pub const MAX_EVENT: usize = 8 << 20;

/// One event off the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    pub name: String,
    pub exception: bool,
    pub data: Vec<u8>,
}

impl Cut {
    pub fn raw(&self) -> RawEvent<'_> {
        RawEvent {
            name: &self.name,
            exception: self.exception,
            data: &self.data,
            max_depth: DEPTH,
        }
    }
}

/// The events of a stream that arrives in these pieces.
pub fn cut(framing: Framing, framed: bool, pieces: &[&[u8]]) -> Result<Vec<Cut>, String> {
    let mut cuts = Vec::new();
    if framing == Framing::AwsEventStream || framed {
        let mut reader = FrameReader::new(MAX_EVENT);
        for piece in pieces {
            reader.space().extend_from_slice(piece);
            while let Some(message) = reader.take().map_err(|error| error.to_string())? {
                let name = message.event_type().or(message.exception_type()).unwrap_or_default();
                cuts.push(Cut {
                    name: name.to_owned(),
                    exception: message.message_type() != Some("event"),
                    data: message.payload.to_vec(),
                });
            }
        }
        return Ok(cuts);
    }
    let mut reader = SseReader::new(MAX_EVENT);
    let mut take = |batch: &[u8]| {
        for event in events(batch) {
            let lines = String::from_utf8_lossy(&batch[event.raw.clone()]).into_owned();
            let name = lines.split(['\n', '\r']).find_map(|line| line.strip_prefix("event:"));
            if let Some(data) = event.data {
                cuts.push(Cut {
                    name: name.unwrap_or_default().trim().to_owned(),
                    exception: false,
                    data: data.into_owned(),
                });
            }
        }
    };
    for piece in pieces {
        reader.space().extend_from_slice(piece);
        take(&reader.take().map_err(|error| error.to_string())?);
    }
    take(&reader.take_rest());
    Ok(cuts)
}

/// What a decoder made of a stream.
pub struct Decoded {
    /// The events of each raw event, and last those of the end.
    pub steps: Vec<Vec<Event<'static>>>,
    pub fold: Fold,
    /// The end was proper.
    pub end: Result<(), Undecodable>,
    /// A raw event that was none of this API.
    pub broken: Option<Undecodable>,
    /// [`Event::End`] or an error came before the end of the bytes.
    pub ended_by_itself: bool,
    /// A part began while prose of the same answer was open, which [`Event`] rules out.
    pub overlap: bool,
}

/// Decode.
pub fn decode(codec: &dyn Codec, expect: Expect, cuts: &[Cut]) -> Decoded {
    let mut decoder = codec.decoder(expect);
    decode_with(decoder.as_mut(), cuts)
}

fn decode_with(decoder: &mut dyn StreamDecoder, cuts: &[Cut]) -> Decoded {
    let mut fold = Fold::new();
    let mut steps: Vec<Vec<Event<'static>>> = Vec::new();
    let mut broken = None;
    for cut in cuts {
        let mut step = Vec::new();
        let read = decoder.event(cut.raw(), &mut |event| {
            fold.event(&event);
            step.push(own(&event));
        });
        steps.push(step);
        if let Err(error) = read {
            broken = Some(error);
            break;
        }
    }
    let ended_by_itself = fold.ended();
    let mut step = Vec::new();
    let end = decoder.finish(&mut |event| {
        fold.event(&event);
        step.push(own(&event));
    });
    steps.push(step);
    let overlap = overlaps(steps.iter().flatten());
    Decoded {
        overlap,
        steps,
        fold,
        end,
        broken,
        ended_by_itself,
    }
}

fn overlaps<'e>(events: impl Iterator<Item = &'e Event<'static>>) -> bool {
    let mut prose: Vec<(u32, u32)> = Vec::new();
    for event in events {
        match event {
            Event::PartStart { candidate, part, start } => {
                if prose.iter().any(|(of, _)| of == candidate) {
                    return true;
                }
                if !matches!(start, PartStart::ToolCall { .. } | PartStart::Whole(_)) {
                    prose.push((*candidate, *part));
                }
            }
            Event::PartEnd { candidate, part } => prose.retain(|open| open != &(*candidate, *part)),
            _ => {}
        }
    }
    false
}

/// An event that borrows nothing.
pub fn own(event: &Event<'_>) -> Event<'static> {
    let text = |text: &str| std::borrow::Cow::Owned(text.to_owned());
    match event {
        Event::Start {
            id,
            model,
            created,
            usage,
            service_tier,
            fingerprint,
        } => Event::Start {
            id: text(id),
            model: text(model),
            created: *created,
            usage: *usage,
            service_tier: service_tier.as_deref().map(text),
            fingerprint: fingerprint.as_deref().map(text),
        },
        Event::PartStart { candidate, part, start } => Event::PartStart {
            candidate: *candidate,
            part: *part,
            start: match start {
                PartStart::Text => PartStart::Text,
                PartStart::Refusal => PartStart::Refusal,
                PartStart::Thinking { id } => PartStart::Thinking {
                    id: id.as_deref().map(text),
                },
                PartStart::ToolCall {
                    id,
                    name,
                    kind,
                    signature,
                } => PartStart::ToolCall {
                    id: text(id),
                    name: text(name),
                    kind: *kind,
                    signature: signature.as_ref().map(|s| s.to_static()),
                },
                PartStart::Whole(part) => PartStart::Whole(Box::new(part.to_static())),
            },
        },
        Event::Delta { candidate, part, delta } => Event::Delta {
            candidate: *candidate,
            part: *part,
            delta: match delta {
                Delta::Text(more) => Delta::Text(text(more)),
                Delta::Thinking(more) => Delta::Thinking(text(more)),
                Delta::Signature(given) => Delta::Signature(given.to_static()),
                Delta::Arguments(more) => Delta::Arguments(text(more)),
                Delta::Citation(given) => Delta::Citation(Box::new(given.to_static())),
                Delta::Logprobs(given) => Delta::Logprobs(given.iter().map(|one| one.to_static()).collect()),
            },
        },
        Event::PartEnd { candidate, part } => Event::PartEnd {
            candidate: *candidate,
            part: *part,
        },
        Event::Finish {
            candidate,
            finish,
            stop_sequence,
        } => Event::Finish {
            candidate: *candidate,
            finish: finish.to_owned_finish(),
            stop_sequence: stop_sequence.as_deref().map(text),
        },
        Event::Safety {
            candidate,
            dialect,
            raw,
        } => Event::Safety {
            candidate: *candidate,
            dialect: *dialect,
            raw: text(raw),
        },
        Event::Usage(usage) => Event::Usage(*usage),
        Event::Ping => Event::Ping,
        Event::End => Event::End,
        Event::Error { kind, message } => Event::Error {
            kind: text(kind),
            message: text(message),
        },
    }
}

/// What the gateway says of every answer here.
pub fn reply(json_array: bool) -> Reply {
    Reply {
        id: "abc123".to_owned(),
        created: 1_700_000_000,
        model: "asked-for".to_owned(),
        json_array,
    }
}

/// A request whose answer is written: a stream with usage, and everything else unsaid.
pub fn asked() -> Request<'static> {
    Request {
        stream: true,
        stream_usage: true,
        ..Request::default()
    }
}

/// The writer of a client for such a request.
pub fn writer(client: &Client, json_array: bool) -> Box<dyn ReplyWriter> {
    client.speak.writer(&asked(), reply(json_array))
}

/// Write events; the bytes of each step.
pub fn write(writer: &mut dyn ReplyWriter, steps: &[Vec<Event<'static>>]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for step in steps {
        let mut out = Vec::new();
        for event in step {
            if !matches!(event, Event::Error { .. }) {
                writer.event(event, &mut out);
            }
        }
        all.push(out);
    }
    all
}
