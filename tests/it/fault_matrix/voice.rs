//! Chat Completions and Messages: what the scripted provider says in each, and what a client hears.
//!
//! Scripts and expectations are written once, in terms of a [`Voice`]; the bytes of a dialect are known only here.

use crate::support::Conn;
use crate::support::upstream::{CHAT, CHUNK, DONE, FINISH, MESSAGE, MESSAGE_EVENTS, json_answer, stream_answer};
use serde_json::{Value, json};

/// Stands for what a provider says in confidence or by mistake; no client and no log may ever see it.
pub const INTERNAL: &str = "INTERNAL-DETAIL";

/// An API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Chat,
    Messages,
}

/// Who speaks what: the client, and the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Chat to a chat provider.
    Chat,
    /// Messages to Anthropic.
    Messages,
    /// Messages to a chat provider: every byte is translated.
    Crossed,
}

impl Lane {
    pub const ALL: [Self; 3] = [Self::Chat, Self::Messages, Self::Crossed];

    pub fn client(self) -> Dialect {
        if self == Self::Chat {
            Dialect::Chat
        } else {
            Dialect::Messages
        }
    }

    pub fn provider(self) -> Dialect {
        if self == Self::Messages {
            Dialect::Messages
        } else {
            Dialect::Chat
        }
    }

    /// `kind:` of the provider.
    pub fn kind(self) -> &'static str {
        if self == Self::Messages { "anthropic" } else { "openai" }
    }

    /// The provider's bytes reach the client as they are.
    pub fn native(self) -> bool {
        self != Self::Crossed
    }
}

/// One request as the provider has to answer it.
#[derive(Clone, Copy, Debug)]
pub struct Voice {
    pub dialect: Dialect,
    pub stream: bool,
}

impl Dialect {
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
        }
    }

    /// A request whose text is this.
    pub fn request(self, model: &str, stream: bool, text: &str) -> String {
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": text}]});
        if stream {
            body["stream"] = true.into();
        }
        if self == Self::Messages {
            body["max_tokens"] = 50.into();
        }
        body.to_string()
    }

    pub fn whole(self) -> &'static str {
        match self {
            Self::Chat => CHAT,
            Self::Messages => MESSAGE,
        }
    }

    /// A stream up to its first text, which is one.
    pub fn opening(self) -> String {
        match self {
            Self::Chat => CHUNK.to_owned(),
            Self::Messages => MESSAGE_EVENTS[..3].concat(),
        }
    }

    /// One more text.
    pub fn text(self) -> &'static str {
        match self {
            Self::Chat => CHUNK,
            Self::Messages => MESSAGE_EVENTS[2],
        }
    }

    /// A text of this length.
    pub fn long_text(self, length: usize) -> String {
        self.text().replace("Hi", &"x".repeat(length))
    }

    /// From the last text to the end.
    pub fn ending(self) -> String {
        match self {
            Self::Chat => [FINISH, DONE].concat(),
            Self::Messages => MESSAGE_EVENTS[3..].concat(),
        }
    }

    /// An error body in the provider's form.
    pub fn error(self, r#type: &str, message: &str) -> String {
        match self {
            Self::Chat => json!({"error": {"message": message, "type": r#type, "param": null, "code": null}}),
            Self::Messages => json!({"type": "error", "error": {"type": r#type, "message": message}}),
        }
        .to_string()
    }
}

impl Voice {
    /// The answer that was asked for.
    pub fn good(self) -> Vec<u8> {
        if self.stream {
            stream_answer(&[&self.dialect.opening(), &self.dialect.ending()])
        } else {
            json_answer(200, self.dialect.whole())
        }
    }

    /// The head of a stream and its first text.
    pub fn begin(self, conn: &mut Conn) {
        conn.stream_head();
        conn.chunk(self.dialect.opening());
    }
}

/// What a client made of a stream.
#[derive(Debug, Default)]
pub struct Heard {
    pub texts: usize,
    /// A finish or stop reason.
    pub stop: bool,
    /// The end marker.
    pub done: bool,
    pub errors: Vec<Value>,
    /// Nothing followed the error.
    pub error_is_last: bool,
}

impl Heard {
    /// Read a stream as the dialect's SDKs do. Fails on an event that is none.
    pub fn of(dialect: Dialect, body: &str) -> Result<Self, String> {
        let mut heard = Self::default();
        for event in body.split("\n\n").filter(|event| !event.trim().is_empty()) {
            let data = event.lines().find_map(|line| line.strip_prefix("data: "));
            let Some(data) = data else { continue };
            heard.error_is_last = false;
            if data == "[DONE]" {
                heard.done = true;
                continue;
            }
            let json: Value = serde_json::from_str(data).map_err(|_| format!("no event: {event:?}"))?;
            match dialect {
                Dialect::Chat => heard.chat(json),
                Dialect::Messages => heard.messages(json),
            }
        }
        Ok(heard)
    }

    fn error(&mut self, json: Value) {
        self.errors.push(json);
        self.error_is_last = true;
    }

    fn chat(&mut self, json: Value) {
        if json.get("error").is_some() {
            return self.error(json);
        }
        let choice = &json["choices"][0];
        self.texts += usize::from(choice["delta"]["content"].as_str().is_some_and(|text| !text.is_empty()));
        self.stop |= choice["finish_reason"].is_string();
    }

    fn messages(&mut self, json: Value) {
        match json["type"].as_str() {
            Some("error") => self.error(json),
            Some("content_block_delta") => self.texts += usize::from(json["delta"]["text"].is_string()),
            Some("message_delta") => self.stop |= json["delta"]["stop_reason"].is_string(),
            Some("message_stop") => self.done = true,
            _ => {}
        }
    }
}
