//! Writing JSON straight into a buffer: commas placed by themselves, strings escaped, pieces of other documents as they are.
//!
//! ```
//! use cirque::wire::json::JsonWriter;
//! let mut json = JsonWriter::new();
//! json.object(|json| {
//!     json.field("model", "m\n");
//!     json.key("messages").array(|json| json.value(1u64));
//! });
//! assert_eq!(json.finish(), br#"{"model":"m\n","messages":[1]}"#);
//! ```
//! Not checked: a key must be followed by one value, and raw text must be JSON.

/// A document being written.
#[derive(Debug, Default)]
pub struct JsonWriter {
    out: Vec<u8>,
    /// The next value or key is the first of its container, follows its key, or starts the document.
    first: bool,
}

/// What can be written as one value.
pub trait Put {
    /// Append it.
    fn put(&self, out: &mut Vec<u8>);
}

impl JsonWriter {
    /// Nothing written.
    pub fn new() -> Self {
        Self::over(Vec::with_capacity(1024))
    }

    /// Go on after what is in this buffer (the `data: ` of an event).
    pub fn over(out: Vec<u8>) -> Self {
        Self { out, first: true }
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    fn separate(&mut self) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
    }

    /// An object; `members` writes its fields.
    pub fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.begin_object();
        members(self);
        self.end_object();
    }

    /// An array; `items` writes its values.
    pub fn array(&mut self, items: impl FnOnce(&mut Self)) {
        self.begin_array();
        items(self);
        self.end_array();
    }

    /// `{`
    pub fn begin_object(&mut self) {
        self.separate();
        self.out.push(b'{');
        self.first = true;
    }

    /// `}`
    pub fn end_object(&mut self) {
        self.out.push(b'}');
        self.first = false;
    }

    /// `[`
    pub fn begin_array(&mut self) {
        self.separate();
        self.out.push(b'[');
        self.first = true;
    }

    /// `]`
    pub fn end_array(&mut self) {
        self.out.push(b']');
        self.first = false;
    }

    /// `"key":`, to be followed by one value.
    pub fn key(&mut self, key: &str) -> &mut Self {
        self.separate();
        key.put(&mut self.out);
        self.out.push(b':');
        self.first = true;
        self
    }

    /// A value: an element, or what follows a key.
    pub fn value(&mut self, value: impl Put) {
        self.separate();
        value.put(&mut self.out);
    }

    /// JSON text as it is, on one line: it may stand in a server-sent event, which a line end would cut. Inside a JSON
    /// string there is none, so a space in its place means the same.
    pub fn raw(&mut self, json: &str) {
        self.separate();
        let start = self.out.len();
        self.out.extend_from_slice(json.as_bytes());
        let written = self.out.get_mut(start..).unwrap_or_default();
        let mut from = 0;
        while let Some(at) = memchr::memchr2(b'\n', b'\r', written.get(from..).unwrap_or_default()) {
            from += at;
            if let Some(byte) = written.get_mut(from) {
                *byte = b' ';
            }
        }
    }

    /// `null`
    pub fn null(&mut self) {
        self.raw("null");
    }

    /// A key and its value.
    pub fn field(&mut self, key: &str, value: impl Put) {
        self.key(key).value(value);
    }

    /// A key and its value, if there is one.
    pub fn opt(&mut self, key: &str, value: Option<impl Put>) {
        if let Some(value) = value {
            self.field(key, value);
        }
    }

    /// A key and its value, `null` if there is none.
    pub fn or_null(&mut self, key: &str, value: Option<impl Put>) {
        match value {
            Some(value) => self.field(key, value),
            None => self.key(key).null(),
        }
    }

    /// A key and JSON text as it is.
    pub fn raw_field(&mut self, key: &str, json: &str) {
        self.key(key).raw(json);
    }
}

/// Bytes that must be escaped in a string.
fn is_escaped(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Append a string without its quotes: a text may be written in pieces.
pub fn escape_into(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !is_escaped(byte) {
            continue;
        }
        out.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        from = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0') as u8;
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(control >> 4), digit(control & 15)]);
            }
        }
    }
    out.extend_from_slice(bytes.get(from..).unwrap_or_default());
}

impl Put for str {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        escape_into(self, out);
        out.push(b'"');
    }
}

impl Put for String {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_str().put(out);
    }
}

impl Put for std::borrow::Cow<'_, str> {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_ref().put(out);
    }
}

impl Put for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl Put for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
    }
}

impl Put for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
    }
}

impl Put for f64 {
    fn put(&self, out: &mut Vec<u8>) {
        // A number that is not finite has no JSON; readers never make one.
        if self.is_finite() {
            out.extend_from_slice(serde_json::to_string(self).unwrap_or_default().as_bytes());
        } else {
            out.extend_from_slice(b"null");
        }
    }
}

impl<T: Put + ?Sized> Put for &T {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commas_fall_where_they_belong() {
        let mut json = JsonWriter::over(b"data: ".to_vec());
        json.object(|json| {
            json.key("a").array(|json| {
                json.object(|_| ());
                json.value("x");
                json.array(|json| json.value(true));
            });
            json.opt("none", None::<u64>);
            json.or_null("n", None::<u64>);
            json.raw_field("r", "{\"y\": 1}");
            json.field("f", 1.5);
            json.field("i", -3i64);
        });
        assert_eq!(
            json.finish(),
            br#"data: {"a":[{},"x",[true]],"n":null,"r":{"y": 1},"f":1.5,"i":-3}"#
        );
    }

    #[test]
    fn raw_json_stays_on_one_line() {
        let mut json = JsonWriter::new();
        json.raw("{\n\"a\":\r\n[1,\n\n2]}");
        assert_eq!(json.finish(), b"{ \"a\":  [1,  2]}");
    }

    proptest! {
        #[test]
        fn any_string_reads_back(text in ".{0,60}", control in "[\\x00-\\x1f\"\\\\]{0,4}") {
            let text = text + &control;
            let mut json = JsonWriter::new();
            json.value(&text);
            let back: String = serde_json::from_slice(&json.finish()).unwrap();
            prop_assert_eq!(back, text);
        }
    }
}
