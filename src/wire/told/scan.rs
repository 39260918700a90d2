//! One JSON document, byte by byte: the values of a few members, wherever the pieces of it are cut.
//!
//! Not validation: what is no JSON gives nothing, or what stood where a value would. The one idea: only two levels are told apart,
//! the document's own members and those of `response`, `message` and `x_groq`; below them depth is only counted.

use memchr::memchr2;

/// Longest value that is kept, in bytes; a longer one tells nothing.
const LONGEST_VALUE: usize = 8 << 10;
/// Longest key that can be one of ours.
const LONGEST_KEY: usize = 16;

/// Members of a document, as written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Values {
    pub usage: Option<Vec<u8>>,
    pub model: Option<Vec<u8>>,
    pub tier: Option<Vec<u8>>,
    /// The usage stood in `message`.
    pub message: bool,
}

/// Whose members are read beside the document's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Nothing,
    Message,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Usage,
    Model,
    Tier,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Scan {
    /// Objects and lists that are open.
    depth: u32,
    /// The one that is open on the first, on the second level is an object.
    objects: [bool; 2],
    /// The next text is a key, on the first, on the second level.
    key_next: [bool; 2],
    within: Within,
    text: bool,
    escaped: bool,
    /// The text being read is a key.
    keying: bool,
    key: Vec<u8>,
    /// What is kept, and the depth at which it ends.
    keeping: Option<(Slot, u32)>,
    kept: Vec<u8>,
    values: Values,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            depth: 0,
            objects: [false; 2],
            key_next: [false; 2],
            within: Within::Nothing,
            text: false,
            escaped: false,
            keying: false,
            key: Vec::new(),
            keeping: None,
            kept: Vec::new(),
            values: Values::default(),
        }
    }
}

impl Scan {
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while let Some(&byte) = bytes.first() {
            let taken = if self.text {
                self.in_text(bytes)
            } else {
                self.between(byte)
            };
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }

    /// What was found; then the next document begins.
    pub(super) fn end(&mut self) -> Values {
        let values = std::mem::take(&mut self.values);
        // Its vectors are kept: a stream has thousands of documents.
        let (mut key, mut kept) = (std::mem::take(&mut self.key), std::mem::take(&mut self.kept));
        key.clear();
        kept.clear();
        *self = Self {
            key,
            kept,
            ..Self::default()
        };
        values
    }

    /// Bytes that are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.key.len() + self.kept.len()
    }

    /// Bytes of a text; how many.
    fn in_text(&mut self, bytes: &[u8]) -> usize {
        let taken = if self.escaped {
            self.escaped = false;
            1
        } else {
            match memchr2(b'"', b'\\', bytes) {
                None => bytes.len(),
                Some(0) if bytes.first() == Some(&b'"') => {
                    self.text = false;
                    1
                }
                Some(0) => {
                    self.escaped = true;
                    1
                }
                Some(at) => at,
            }
        };
        let part = bytes.get(..taken).unwrap_or_default();
        if self.keying && self.text {
            // A longer one is none of ours, whatever it begins with.
            let room = (LONGEST_KEY + 1).saturating_sub(self.key.len());
            self.key
                .extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
        }
        self.keep(part);
        taken
    }

    /// One byte outside of texts.
    fn between(&mut self, byte: u8) -> usize {
        let ends = self.keeping.is_some_and(|(_, depth)| depth == self.depth) && matches!(byte, b',' | b'}' | b']');
        if ends {
            self.kept_one();
        }
        self.keep(&[byte]);
        let level = self
            .depth
            .checked_sub(1)
            .map(|level| level as usize)
            .filter(|level| *level < 2);
        match byte {
            b'"' => {
                self.text = true;
                self.keying = level.is_some_and(|level| flag(&self.key_next, level));
                if self.keying {
                    self.key.clear();
                }
            }
            b'{' | b'[' => self.opens(byte == b'{'),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth < 2 {
                    self.within = Within::Nothing;
                }
            }
            b':' => self.value(level),
            b',' => {
                if let Some(level) = level {
                    let next = flag(&self.objects, level) && self.looked_into(level);
                    set(&mut self.key_next, level, next);
                }
            }
            _ => {}
        }
        1
    }

    fn opens(&mut self, object: bool) {
        let level = self.depth as usize;
        set(&mut self.objects, level, object);
        let keys = object && self.looked_into(level);
        set(&mut self.key_next, level, keys);
        self.depth = self.depth.saturating_add(1);
    }

    /// On the second level only the members of a few are read.
    fn looked_into(&self, level: usize) -> bool {
        level == 0 || self.within != Within::Nothing
    }

    /// The value of the key that was read begins.
    fn value(&mut self, level: Option<usize>) {
        let Some(level) = level.filter(|level| flag(&self.key_next, *level)) else {
            return;
        };
        set(&mut self.key_next, level, false);
        let slot = match self.key.as_slice() {
            b"usage" => Slot::Usage,
            b"model" => Slot::Model,
            b"service_tier" => Slot::Tier,
            b"response" | b"x_groq" if level == 0 => return self.within = Within::Other,
            b"message" if level == 0 => return self.within = Within::Message,
            _ => {
                if level == 0 {
                    self.within = Within::Nothing;
                }
                return;
            }
        };
        if level == 0 {
            self.within = Within::Nothing;
        }
        self.kept.clear();
        self.keeping = Some((slot, self.depth));
    }

    fn keep(&mut self, part: &[u8]) {
        if self.keeping.is_none() {
            return;
        }
        if self.kept.len() + part.len() > LONGEST_VALUE {
            self.keeping = None;
            return;
        }
        self.kept.extend_from_slice(part);
    }

    /// A value has ended. `null` is none.
    fn kept_one(&mut self) {
        let Some((slot, _)) = self.keeping.take() else { return };
        let value = self.kept.trim_ascii();
        if value == b"null" {
            return;
        }
        let value = Some(value.to_vec());
        match slot {
            Slot::Usage => {
                self.values.message = self.within == Within::Message;
                self.values.usage = value;
            }
            Slot::Model => self.values.model = value,
            Slot::Tier => self.values.tier = value,
        }
    }
}

fn flag(flags: &[bool; 2], level: usize) -> bool {
    flags.get(level).copied().unwrap_or_default()
}

fn set(flags: &mut [bool; 2], level: usize, to: bool) {
    if let Some(flag) = flags.get_mut(level) {
        *flag = to;
    }
}
