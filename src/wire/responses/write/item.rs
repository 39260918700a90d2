//! Output items, whole or as far as they have come.
//!
//! ```json
//! {"id":"msg_…","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"…"}]}
//! {"id":"rs_…","type":"reasoning","summary":[{"type":"summary_text","text":"…"}],"encrypted_content":"…"}
//! {"id":"fc_…","type":"function_call","status":"completed","call_id":"…","name":"…","arguments":"{…}"}
//! {"id":"ctc_…","type":"custom_tool_call","status":"completed","call_id":"…","name":"…","input":"…"}
//! {"id":"ig_…","type":"image_generation_call","status":"completed","result":"<base64>","output_format":"png"}
//! ```

use crate::wire::Dialect;
use crate::wire::canonical::{Citation, Logprob, Text};
use crate::wire::json::JsonWriter;
use crate::wire::responses::own::Own;
use crate::wire::responses::tools::IN;
use std::borrow::Cow;

/// One item.
pub(super) struct Item<'a> {
    pub(super) id: String,
    pub(super) body: Body<'a>,
}

/// What it is.
pub(super) enum Body<'a> {
    Message(Vec<Content<'a>>),
    Reasoning {
        text: Text<'a>,
        encrypted: Option<Text<'a>>,
    },
    Call {
        call_id: Text<'a>,
        name: Text<'a>,
        arguments: Text<'a>,
        custom: bool,
    },
    /// Of one of this API's own tools, with what it is to do as JSON.
    Own {
        own: &'static Own,
        call_id: Text<'a>,
        doing: String,
    },
    Image {
        data: Text<'a>,
        format: &'static str,
    },
    /// As its own API wrote it.
    Raw(Text<'a>),
}

/// A part of a message. Annotations and logprobs are JSON already.
pub(super) enum Content<'a> {
    Text {
        text: Text<'a>,
        annotations: Vec<String>,
        logprobs: Vec<String>,
    },
    Refusal(Text<'a>),
}

impl Body<'_> {
    /// What its id starts with.
    pub(super) fn prefix(&self) -> &'static str {
        match self {
            Self::Message(_) => "msg_",
            Self::Reasoning { .. } => "rs_",
            Self::Call { custom: false, .. } => "fc_",
            Self::Call { custom: true, .. } => "ctc_",
            Self::Own { own, .. } => own.prefix,
            Self::Image { .. } => "ig_",
            Self::Raw(_) => "item_",
        }
    }
}

impl Item<'_> {
    /// Write it.
    pub(super) fn put(&self, json: &mut JsonWriter, status: &str) {
        if let Body::Raw(raw) = &self.body {
            return json.raw(&one_line(raw));
        }
        json.object(|json| {
            json.field("id", &self.id);
            match &self.body {
                Body::Message(content) => {
                    json.field("type", "message");
                    json.field("status", status);
                    json.field("role", "assistant");
                    json.key("content").array(|json| {
                        for part in content {
                            part.put(json);
                        }
                    });
                }
                Body::Reasoning { text, encrypted } => {
                    json.field("type", "reasoning");
                    json.key("summary").array(|json| {
                        if !text.is_empty() {
                            put_summary(json, text);
                        }
                    });
                    json.opt("encrypted_content", encrypted.as_deref());
                }
                Body::Call {
                    call_id,
                    name,
                    arguments,
                    custom,
                } => {
                    json.field("type", if *custom { "custom_tool_call" } else { "function_call" });
                    json.field("status", status);
                    json.field("call_id", call_id);
                    match name.split_once(IN) {
                        Some((namespace, name)) => {
                            json.field("namespace", namespace);
                            json.field("name", name);
                        }
                        None => json.field("name", name),
                    }
                    json.field(if *custom { "input" } else { "arguments" }, arguments);
                }
                Body::Own { own, call_id, doing } => {
                    // It is complete, or it would be none; `apply_patch_call` has no other word.
                    let status = if status == "incomplete" { "completed" } else { status };
                    json.field("type", own.call);
                    json.field("status", status);
                    json.field("call_id", call_id);
                    json.raw_field(own.member, doing);
                }
                Body::Image { data, format } => {
                    json.field("type", "image_generation_call");
                    json.field("status", status);
                    json.field("result", data);
                    json.field("output_format", *format);
                }
                Body::Raw(_) => {}
            }
        });
    }
}

/// One part of a summary.
pub(super) fn put_summary(json: &mut JsonWriter, text: &str) {
    json.object(|json| {
        json.field("type", "summary_text");
        json.field("text", text);
    });
}

impl Content<'_> {
    /// Write it.
    pub(super) fn put(&self, json: &mut JsonWriter) {
        json.object(|json| match self {
            Self::Text {
                text,
                annotations,
                logprobs,
            } => {
                json.field("type", "output_text");
                json.key("annotations").array(|json| put_all(json, annotations));
                json.key("logprobs").array(|json| put_all(json, logprobs));
                json.field("text", text);
            }
            Self::Refusal(text) => {
                json.field("type", "refusal");
                json.field("refusal", text);
            }
        });
    }
}

/// JSON values, one after another.
pub(super) fn put_all(json: &mut JsonWriter, values: &[String]) {
    for value in values {
        json.raw(value);
    }
}

/// JSON without line breaks, which would end the line of an event. Inside strings there are none.
pub(super) fn one_line(json: &str) -> Cow<'_, str> {
    if memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_none() {
        return json.into();
    }
    json.chars()
        .filter(|c| !matches!(c, '\n' | '\r'))
        .collect::<String>()
        .into()
}

/// A citation as an annotation; nothing when it names neither an address nor a document. `length`: of the text it is about so
/// far, in characters. The API insists on a place; a vendor that gives none means the text so far.
pub(super) fn annotation(citation: &Citation<'_>, length: u64) -> Option<String> {
    if let Some((Dialect::Responses, raw)) = &citation.raw {
        return Some(one_line(raw).into_owned());
    }
    let mut json = JsonWriter::new();
    let (start, end) = citation.span.unwrap_or((0, length));
    match (&citation.url, &citation.title, citation.document) {
        (Some(url), title, _) => json.object(|json| {
            json.field("type", "url_citation");
            json.field("start_index", start);
            json.field("end_index", end);
            json.field("title", title.as_deref().unwrap_or_default());
            json.field("url", url);
        }),
        (None, None, None) => return None,
        (None, title, document) => json.object(|json| {
            json.field("type", "file_citation");
            json.field("file_id", format!("document_{}", document.unwrap_or(0)));
            json.field("filename", title.as_deref().unwrap_or_default());
            json.field("index", start);
        }),
    }
    String::from_utf8(json.finish()).ok()
}

/// One token's likelihood.
pub(super) fn logprob(token: &Logprob<'_>) -> String {
    fn members(json: &mut JsonWriter, token: &str, logprob: f64) {
        json.field("token", token);
        json.key("bytes").array(|json| {
            for byte in token.bytes() {
                json.value(u64::from(byte));
            }
        });
        json.field("logprob", logprob);
    }
    let mut json = JsonWriter::new();
    json.object(|json| {
        members(json, &token.token, token.logprob);
        json.key("top_logprobs").array(|json| {
            for (token, logprob) in &token.top {
                json.object(|json| members(json, token, *logprob));
            }
        });
    });
    String::from_utf8(json.finish()).unwrap_or_default()
}

impl Body<'_> {
    /// A copy that borrows nothing.
    pub(super) fn into_static(self) -> Body<'static> {
        match self {
            Self::Message(contents) => Body::Message(
                contents
                    .into_iter()
                    .map(|content| match content {
                        Content::Text {
                            text,
                            annotations,
                            logprobs,
                        } => Content::Text {
                            text: kept(text),
                            annotations,
                            logprobs,
                        },
                        Content::Refusal(text) => Content::Refusal(kept(text)),
                    })
                    .collect(),
            ),
            Self::Reasoning { text, encrypted } => Body::Reasoning {
                text: kept(text),
                encrypted: encrypted.map(kept),
            },
            Self::Call {
                call_id,
                name,
                arguments,
                custom,
            } => Body::Call {
                call_id: kept(call_id),
                name: kept(name),
                arguments: kept(arguments),
                custom,
            },
            Self::Own { own, call_id, doing } => Body::Own {
                own,
                call_id: kept(call_id),
                doing,
            },
            Self::Image { data, format } => Body::Image {
                data: kept(data),
                format,
            },
            Self::Raw(raw) => Body::Raw(kept(raw)),
        }
    }
}

fn kept(text: Text<'_>) -> Text<'static> {
    Text::Owned(text.into_owned())
}
