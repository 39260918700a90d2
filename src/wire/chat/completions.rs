//! Legacy completions (`/v1/completions`) in front of chat models: the prompt becomes a user message.
//!
//! ```json
//! {"model":"…","prompt":"…","max_tokens":16,"stream":false}
//! {"id":"cmpl-…","object":"text_completion","created":1,"model":"…",
//!  "choices":[{"text":"…","index":0,"logprobs":null,"finish_reason":"stop"}],"usage":{…}}
//! ```
//! Source: OpenAI API reference, completions, and the types of the `openai` Python package 3.54, read 2026-11. What only a
//! model that continues text can do is refused: token arrays, several prompts, `suffix`, `echo`, `best_of` above 1. Reasoning
//! and tool calls have no place in the answer and do not appear in it. OpenAI's own default of 16 tokens is not imposed:
//! where `max_tokens` is left out, the chat model's holds.

use super::read::{chance, extras};
use super::write::{adopt, failure, finish, usage};
use crate::error::GatewayError;
use crate::units::Usage;
use crate::wire::canonical::{
    Delta, Event, Finish, Logprob, Message, Part, PartStart, Request, Response, Role, Sampling, Text,
};
use crate::wire::client::{Reply, ReplyWriter};
use crate::wire::json::{Invalid, JsonWriter, Node};

const KNOWN: &[&str] = &[
    "model",
    "prompt",
    "stream",
    "stream_options",
    "suffix",
    "echo",
    "best_of",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
    "n",
    "logprobs",
    "logit_bias",
    "user",
];

/// The request.
pub fn read<'d>(body: &'d Node<'_>, stream: bool) -> Result<Request<'d>, Invalid> {
    body.object()?;
    let prompt = body.req("prompt", prompt)?;
    let chat = "is not possible with a chat model; use /v1/chat/completions";
    if body.opt("suffix", Node::str)?.is_some_and(|suffix| !suffix.is_empty()) {
        return Err(Invalid::unsupported(chat).within("suffix"));
    }
    if body.opt("echo", Node::bool)? == Some(true) {
        return Err(Invalid::unsupported(chat).within("echo"));
    }
    let n = body.opt("n", Node::u64)?;
    if body
        .opt("best_of", Node::u64)?
        .is_some_and(|best_of| best_of > n.unwrap_or(1))
    {
        return Err(Invalid::unsupported(chat).within("best_of"));
    }
    let stream_usage = body.opt("stream_options", |options| options.opt("include_usage", Node::bool))?;
    let likeliest = body.opt("logprobs", Node::u64)?;
    Ok(Request {
        messages: vec![Message {
            role: Role::User,
            name: None,
            parts: vec![Part::text(prompt)],
        }],
        sampling: Sampling {
            max_tokens: body.opt("max_tokens", Node::u64)?,
            logprobs: likeliest.map(|_| true),
            top_logprobs: likeliest.filter(|&number| number > 0),
            ..chance(body)?
        },
        user: body.opt("user", Node::str)?.map(Into::into),
        stream,
        stream_usage: stream_usage.flatten().unwrap_or(false),
        extras: extras(body, KNOWN),
        ..Request::default()
    })
}

fn prompt<'d>(node: &'d Node<'_>) -> Result<Text<'d>, Invalid> {
    let tokens = "is token ids, which only the model they were made for understands; send the prompt as text";
    match (node.as_str(), node.as_array()) {
        (Some(text), _) => Ok(text.into()),
        (None, Some([one])) => match one.as_str() {
            Some(text) => Ok(text.into()),
            None => Err(Invalid::unsupported(tokens)),
        },
        (None, Some([first, ..])) if first.as_str().is_none() => Err(Invalid::unsupported(tokens)),
        (None, Some([])) => Err(Invalid::value("is empty")),
        (None, Some(_)) => Err(Invalid::unsupported("holds several prompts; send one request for each")),
        (None, None) => Err(Invalid::wrong_type("a string")),
    }
}

/// Writes the answer.
pub struct TextWriter {
    reply: Reply,
    /// The answer's id, whole.
    id: String,
    /// Its names are those of a stream that its provider wrote.
    adopted: bool,
    stream_usage: bool,
    usage: Option<Usage>,
    /// Letters given so far, by choice: offsets of logprobs count them.
    given: Vec<(u32, u64)>,
    /// Open parts that are text.
    open: Vec<(u32, u32)>,
}

impl TextWriter {
    /// For the answer to this request.
    pub fn new(request: &Request<'_>, reply: Reply) -> Self {
        Self {
            id: format!("cmpl-{}", reply.id),
            adopted: false,
            reply,
            stream_usage: request.stream_usage,
            usage: None,
            given: Vec::new(),
            open: Vec::new(),
        }
    }

    /// A document; a stream's events have the same shape.
    fn document(&self, json: &mut JsonWriter, choices: impl FnOnce(&mut JsonWriter), figures: Option<&Usage>) {
        json.object(|json| {
            json.field("id", &self.id);
            json.field("object", "text_completion");
            json.field("created", self.reply.created);
            json.field("model", &self.reply.model);
            json.key("choices").array(choices);
            if let Some(figures) = figures {
                json.key("usage");
                usage(json, figures);
            }
        });
    }

    fn event_of(&self, choice: impl FnOnce(&mut JsonWriter), out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        let mut json = JsonWriter::over(std::mem::take(out));
        self.document(&mut json, |json| json.object(choice), None);
        *out = json.finish();
        out.extend_from_slice(b"\n\n");
    }

    fn offset(&mut self, index: u32) -> &mut u64 {
        let at = match self.given.iter().position(|(given, _)| *given == index) {
            Some(at) => at,
            None => {
                self.given.push((index, 0));
                self.given.len() - 1
            }
        };
        #[allow(clippy::indexing_slicing, reason = "found or just pushed")]
        &mut self.given[at].1
    }

    fn text(&mut self, index: u32, text: &str, out: &mut Vec<u8>) {
        *self.offset(index) += text.chars().count() as u64;
        self.event_of(
            |json| {
                json.field("text", text);
                json.field("index", u64::from(index));
                json.key("logprobs").null();
                json.key("finish_reason").null();
            },
            out,
        );
    }

    fn done(&self, out: &mut Vec<u8>) {
        if let (true, Some(figures)) = (self.stream_usage, &self.usage) {
            out.extend_from_slice(b"data: ");
            let mut json = JsonWriter::over(std::mem::take(out));
            self.document(&mut json, |_| (), Some(figures));
            *out = json.finish();
            out.extend_from_slice(b"\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

/// Calls cannot be asked for here, and their word is not in this API's.
fn closing<'f, 'a>(given: &'f Finish<'a>) -> &'f Finish<'a> {
    match given {
        Finish::ToolCalls => &Finish::Stop,
        other => other,
    }
}

/// `{"tokens":[…],"token_logprobs":[…],"top_logprobs":[{…}],"text_offset":[…]}`
fn logprobs(json: &mut JsonWriter, given: &[Logprob<'_>], start: u64) {
    if given.is_empty() {
        return json.null();
    }
    json.object(|json| {
        json.key("tokens")
            .array(|json| given.iter().for_each(|one| json.value(&one.token)));
        json.key("token_logprobs")
            .array(|json| given.iter().for_each(|one| json.value(one.logprob)));
        json.key("top_logprobs").array(|json| {
            for one in given {
                json.object(|json| one.top.iter().for_each(|(token, logprob)| json.field(token, *logprob)));
            }
        });
        json.key("text_offset").array(|json| {
            let mut offset = start;
            for one in given {
                json.value(offset);
                offset += one.token.chars().count() as u64;
            }
        });
    });
}

impl ReplyWriter for TextWriter {
    fn whole(&mut self, response: &Response<'_>, out: &mut Vec<u8>) {
        let mut json = JsonWriter::over(std::mem::take(out));
        let choices = |json: &mut JsonWriter| {
            for candidate in &response.candidates {
                let texts = candidate.parts.iter().filter_map(|part| match part {
                    Part::Text { text, .. } | Part::Refusal(text) => Some(text.as_ref()),
                    _ => None,
                });
                json.object(|json| {
                    json.field("text", texts.collect::<String>());
                    json.field("index", u64::from(candidate.index));
                    json.key("logprobs");
                    logprobs(json, &candidate.logprobs, 0);
                    finish(json, closing(candidate.finish.as_ref().unwrap_or(&Finish::Stop)), true);
                });
            }
        };
        self.document(&mut json, choices, response.usage.as_ref());
        *out = json.finish();
    }

    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { usage, .. } => self.usage = *usage,
            Event::PartStart { candidate, part, start } => match start {
                PartStart::Text | PartStart::Refusal => self.open.push((*candidate, *part)),
                PartStart::Whole(whole) => {
                    if let Part::Text { text, .. } = whole.as_ref() {
                        self.text(*candidate, text, out);
                    }
                }
                _ => {}
            },
            Event::Delta { candidate, part, delta } if self.open.contains(&(*candidate, *part)) => match delta {
                Delta::Text(text) => self.text(*candidate, text, out),
                Delta::Logprobs(given) => {
                    let tokens: u64 = given.iter().map(|one| one.token.chars().count() as u64).sum();
                    let start = self.offset(*candidate).saturating_sub(tokens);
                    self.event_of(
                        |json| {
                            json.field("text", "");
                            json.field("index", u64::from(*candidate));
                            json.key("logprobs");
                            logprobs(json, given, start);
                            json.key("finish_reason").null();
                        },
                        out,
                    );
                }
                _ => {}
            },
            Event::PartEnd { candidate, part } => self.open.retain(|open| open != &(*candidate, *part)),
            Event::Finish {
                candidate, finish: why, ..
            } => self.event_of(
                |json| {
                    json.field("text", "");
                    json.field("index", u64::from(*candidate));
                    json.key("logprobs").null();
                    finish(json, closing(why), true);
                },
                out,
            ),
            Event::Usage(figures) => self.usage.get_or_insert_default().merge(figures),
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::End => self.done(out),
            Event::Delta { .. } | Event::Safety { .. } | Event::Error { .. } => {}
        }
    }

    fn fail(&mut self, error: &GatewayError, out: &mut Vec<u8>) {
        failure(error, out);
    }

    fn passed(&mut self, data: &[u8], max_depth: usize) {
        if !self.adopted {
            self.adopted = adopt(data, max_depth, &mut self.id, &mut self.reply);
        }
    }
}
