//! What the mock reads out of a request: the few JSON members that change the answer, and the directives that a
//! model name may carry in front (`stamp-`, `pace-MS-`, `numbered-`, `fault-NAME`), because a gateway passes the model name on
//! where it drops unknown headers.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fault::Fault;

#[derive(Deserialize)]
pub struct Ask<'a> {
    #[serde(borrow)]
    pub model: Cow<'a, str>,
    #[serde(default)]
    pub stream: Option<bool>,
    #[serde(default)]
    pub stream_options: Option<StreamOptions>,
    #[serde(borrow, default)]
    pub tools: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub tool_choice: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub messages: Option<&'a RawValue>,
    /// vLLM and SGLang: the last message is to be gone on with.
    #[serde(default)]
    pub continue_final_message: bool,
    #[serde(borrow, default)]
    pub input: Option<&'a RawValue>,
    #[serde(default)]
    pub dimensions: Option<usize>,
    #[serde(borrow, default)]
    pub encoding_format: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub struct StreamOptions {
    #[serde(default)]
    pub include_usage: bool,
}

impl Ask<'_> {
    pub fn streams(&self) -> bool {
        self.stream.unwrap_or(false)
    }

    pub fn wants_usage(&self) -> bool {
        self.stream_options
            .as_ref()
            .is_some_and(|options| options.include_usage)
    }

    /// The function to call: the first of `tools`, unless `tool_choice` forbids it or a tool has answered already.
    pub fn tool(&self) -> Option<String> {
        /// OpenAI's has a `function`, Anthropic's a `name`.
        #[derive(Deserialize)]
        struct Tool {
            #[serde(default)]
            function: Option<Function>,
            #[serde(default)]
            name: Option<String>,
        }
        #[derive(Deserialize)]
        struct Function {
            name: String,
        }
        #[derive(Deserialize)]
        struct Message<'a> {
            #[serde(borrow)]
            role: Cow<'a, str>,
        }
        let tools = self.tools?;
        if self.tool_choice.is_some_and(|choice| choice.get() == "\"none\"") {
            return None;
        }
        if let Some(messages) = self.messages {
            let messages: Vec<Message> = serde_json::from_str(messages.get()).ok()?;
            if messages.last().is_some_and(|last| last.role == "tool") {
                return None;
            }
        }
        let tools: Vec<Tool> = serde_json::from_str(tools.get()).ok()?;
        let first = tools.into_iter().next()?;
        first.function.map(|function| function.name).or(first.name)
    }

    /// What the assistant has said of the answer that it is to go on with: the last message, if it is the assistant's
    /// and the request says so (`prefix`, `partial`, `continue_final_message`; in Messages its place says so).
    pub fn said(&self, messages_api: bool) -> Option<String> {
        #[derive(Deserialize)]
        struct Message<'a> {
            #[serde(borrow)]
            role: Cow<'a, str>,
            #[serde(borrow, default)]
            content: Option<&'a RawValue>,
            #[serde(default)]
            prefix: bool,
            #[serde(default)]
            partial: bool,
        }
        #[derive(Deserialize)]
        struct Part {
            #[serde(default)]
            text: String,
        }
        let text = self.messages?.get();
        // A request without any word of the assistant's, which is most, is not read again.
        memchr::memmem::find(text.as_bytes(), b"assistant")?;
        let messages: Vec<Message> = serde_json::from_str(text).ok()?;
        let last = messages.last().filter(|last| last.role == "assistant")?;
        if !(messages_api || last.prefix || last.partial || self.continue_final_message) {
            return None;
        }
        let content = last.content?.get();
        match serde_json::from_str::<String>(content) {
            Ok(text) => Some(text),
            Err(_) => {
                let parts: Vec<Part> = serde_json::from_str(content).ok()?;
                Some(parts.into_iter().map(|part| part.text).collect())
            }
        }
    }

    /// How many inputs `/embeddings` and `/moderations` were given: one string, or as many as the array has; an
    /// array of numbers is one tokenised input.
    pub fn inputs(&self) -> usize {
        let Some(input) = self.input else { return 1 };
        match serde_json::from_str::<Vec<&RawValue>>(input.get()) {
            Ok(list) => match list.first() {
                Some(first) if first.get().starts_with(|c: char| c.is_ascii_digit()) => 1,
                _ => list.len(),
            },
            Err(_) => 1,
        }
    }

    pub fn wants_base64(&self) -> bool {
        self.encoding_format.is_some_and(|format| format.get() == "\"base64\"")
    }
}

/// The directives at the front of a model name, in any order; the rest of the name means nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Directives {
    pub stamp: bool,
    pub pace: Option<Duration>,
    /// The text is one that repeats nothing.
    pub numbered: bool,
    pub fault: Option<Fault>,
}

impl Directives {
    /// Fails on a `fault-` that does not exist, so that a typing error in a test cannot pass as success.
    pub fn of(model: &str) -> Result<Self, String> {
        let mut found = Self::default();
        let mut rest = model;
        loop {
            if let Some(after) = rest.strip_prefix("stamp-") {
                found.stamp = true;
                rest = after;
            } else if let Some(after) = rest.strip_prefix("numbered-") {
                found.numbered = true;
                rest = after;
            } else if let Some((ms, after)) = rest.strip_prefix("pace-").and_then(|after| after.split_once('-')) {
                let ms = ms.parse().map_err(|e| format!("pace-{ms}: {e}"))?;
                found.pace = Some(Duration::from_millis(ms));
                rest = after;
            } else if let Some(name) = rest.strip_prefix("fault-") {
                found.fault = Some(name.parse()?);
                return Ok(found);
            } else {
                return Ok(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_stack() {
        let found = Directives::of("stamp-pace-20-mock").unwrap();
        assert!(found.stamp);
        assert_eq!(found.pace, Some(Duration::from_millis(20)));
        assert!(Directives::of("numbered-fault-reset-after-3").unwrap().numbered);
        let found = Directives::of("pace-5-fault-hang-mid-stream").unwrap();
        assert_eq!(found.fault, Some(Fault::HangMidStream));
        assert_eq!(Directives::of("gpt-4o"), Ok(Directives::default()));
        assert!(Directives::of("fault-nothing").is_err());
    }

    #[test]
    fn a_tool_is_called_once() {
        let ask = |text: &'static str| serde_json::from_str::<Ask>(text).unwrap().tool();
        let tools = r#""tools":[{"type":"function","function":{"name":"weather"}}]"#;
        let request = |more: &str| -> &'static str { format!(r#"{{"model":"m",{tools}{more}}}"#).leak() };
        assert_eq!(ask(request("")), Some("weather".to_owned()));
        assert_eq!(ask(request(r#","tool_choice":"none""#)), None);
        assert_eq!(ask(request(r#","messages":[{"role":"user"},{"role":"tool"}]"#)), None);
        let anthropic = r#"{"model":"m","tools":[{"name":"weather","input_schema":{}}]}"#;
        assert_eq!(ask(anthropic), Some("weather".to_owned()));
    }

    #[test]
    fn what_was_said_is_gone_on_with_only_when_asked() {
        let said = |text: &'static str, messages_api| serde_json::from_str::<Ask>(text).unwrap().said(messages_api);
        let request = |message: &str, more: &str| -> &'static str {
            format!(r#"{{"model":"m","messages":[{{"role":"user"}},{message}]{more}}}"#).leak()
        };
        let plain = r#"{"role":"assistant","content":"One"}"#;
        assert_eq!(said(request(plain, ""), false), None);
        assert_eq!(said(request(plain, ""), true), Some("One".to_owned()));
        let going_on = request(plain, r#","continue_final_message":true"#);
        assert_eq!(said(going_on, false), Some("One".to_owned()));
        let parts = r#"{"role":"assistant","prefix":true,"content":[{"type":"text","text":"One"},{"text":" two"}]}"#;
        assert_eq!(said(request(parts, ""), false), Some("One two".to_owned()));
        let user = request(r#"{"role":"user","content":"assistant"}"#, "");
        assert_eq!(said(user, true), None);
    }

    #[test]
    fn inputs_are_counted() {
        let inputs = |text: &'static str| serde_json::from_str::<Ask>(text).unwrap().inputs();
        assert_eq!(inputs(r#"{"model":"m","input":"one"}"#), 1);
        assert_eq!(inputs(r#"{"model":"m","input":["a","b","c"]}"#), 3);
        assert_eq!(inputs(r#"{"model":"m","input":[1,2,3]}"#), 1);
        assert_eq!(inputs(r#"{"model":"m","input":[[1,2],[3]]}"#), 2);
    }
}
