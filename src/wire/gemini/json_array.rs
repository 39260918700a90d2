//! `streamGenerateContent` without `alt=sse` answers one JSON array whose elements come as the model writes them:
//!
//! ```text
//! [{…}
//! ,
//! {…}
//! ]
//! ```
//! [`JsonArrayReader`] cuts out the elements at any split of the bytes. It only finds where they end (strings, brackets);
//! whoever takes an element parses it, and so finds what is wrong inside. The text between elements is checked here.

/// Why bytes are no array of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArrayError {
    /// Larger than the configured cap.
    #[error("an element of the array is larger than {0} bytes")]
    TooLarge(usize),
    /// Something else where a bracket, a comma or an element belongs.
    #[error("not a JSON array of objects")]
    Malformed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before `[`.
    Before,
    /// Before an element, or `]` right after `[`.
    First,
    /// Before an element, after a comma.
    Next,
    /// In an element.
    Inside,
    /// In a string of an element.
    Text,
    /// After a backslash there.
    Escape,
    /// After an element.
    After,
    /// After `]`.
    End,
}

/// Splits one JSON array of objects into its elements while it arrives.
#[derive(Debug)]
pub struct JsonArrayReader {
    /// The beginning of an element that is not complete.
    pending: Vec<u8>,
    place: Place,
    depth: usize,
    most: usize,
}

impl JsonArrayReader {
    /// One that refuses elements larger than `max_element` bytes.
    pub fn new(max_element: usize) -> Self {
        Self {
            pending: Vec::new(),
            place: Place::Before,
            depth: 0,
            most: max_element,
        }
    }

    /// Whether the closing bracket has come.
    pub fn ended(&self) -> bool {
        self.place == Place::End
    }

    /// Take more bytes in; `each` is given every element they complete.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), ArrayError> {
        let mut from = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            let (before, next) = (self.place, self.step(byte)?);
            if next == Place::Inside && matches!(before, Place::First | Place::Next) {
                from = at;
            }
            self.place = next;
            if next == Place::After && before == Place::Inside {
                let element = bytes.get(from..=at).unwrap_or_default();
                self.fits(element.len())?;
                if self.pending.is_empty() {
                    each(element);
                } else {
                    self.pending.extend_from_slice(element);
                    each(&self.pending);
                    self.pending.clear();
                }
            }
        }
        if matches!(self.place, Place::Inside | Place::Text | Place::Escape) {
            let rest = bytes.get(from..).unwrap_or_default();
            self.fits(rest.len())?;
            self.pending.extend_from_slice(rest);
        }
        Ok(())
    }

    fn fits(&self, more: usize) -> Result<(), ArrayError> {
        if self.pending.len() + more > self.most {
            return Err(ArrayError::TooLarge(self.most));
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) -> Result<Place, ArrayError> {
        let space = matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        Ok(match (self.place, byte) {
            (Place::Text, b'\\') => Place::Escape,
            (Place::Text, b'"') => Place::Inside,
            (Place::Text | Place::Escape, _) => Place::Text,
            (Place::Inside, b'"') => Place::Text,
            (Place::Inside, b'{' | b'[') => {
                self.depth += 1;
                Place::Inside
            }
            (Place::Inside, b'}' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 { Place::After } else { Place::Inside }
            }
            (Place::Inside, _) => Place::Inside,
            (place, _) if space => place,
            (Place::Before, b'[') => Place::First,
            (Place::First | Place::Next, b'{') => {
                self.depth = 1;
                Place::Inside
            }
            (Place::After, b',') => Place::Next,
            (Place::First | Place::After, b']') => Place::End,
            _ => return Err(ArrayError::Malformed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> Result<(Vec<String>, bool), ArrayError> {
        let mut reader = JsonArrayReader::new(64);
        let mut found = Vec::new();
        for piece in pieces {
            reader.push(piece, |element| {
                found.push(String::from_utf8_lossy(element).into_owned())
            })?;
        }
        Ok((found, reader.ended()))
    }

    #[test]
    fn elements_come_out_at_any_split() {
        let text = br#" [{"a":"]}\"\\{"} , {"b":[{},[]]}
,
{} ]
"#;
        let whole = all(&[text]).unwrap();
        assert_eq!(whole.0, [r#"{"a":"]}\"\\{"}"#, r#"{"b":[{},[]]}"#, "{}"]);
        assert!(whole.1);
        for size in 1..text.len() {
            let pieces: Vec<&[u8]> = text.chunks(size).collect();
            assert_eq!(all(&pieces).unwrap(), whole, "{size}");
        }
    }

    #[test]
    fn what_is_no_array_and_what_is_too_large_is_refused() {
        for bad in ["{}", "[1]", "[{}{}]", "[{},]", "[] x", "[,{}]"] {
            assert_eq!(all(&[bad.as_bytes()]), Err(ArrayError::Malformed), "{bad}");
        }
        let large = format!("[{{\"a\":\"{}", "x".repeat(70));
        assert_eq!(all(&[large.as_bytes()]), Err(ArrayError::TooLarge(64)));
        let pieces: Vec<&[u8]> = large.as_bytes().chunks(1).collect();
        assert_eq!(all(&pieces), Err(ArrayError::TooLarge(64)));
        assert_eq!(all(&[b"[]"]).unwrap(), (vec![], true));
    }
}
