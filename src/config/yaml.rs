//! YAML text → a tree that knows where each part of it was written.
//!
//! Built on saphyr's event stream, not on a ready-made tree, because a configuration file may come from anywhere: depth, size and
//! what aliases may copy are bounded while reading, and a key given twice is a problem, not a surprise. Only what JSON can say is
//! accepted: one document, text keys, no tags.

use super::problem::{Finding, Place, Step, quoted};
use super::tree::{Data, Entry, Node, Position};
use saphyr_parser::{Event, Parser, ScalarStyle, StrInput, Tag};
use serde_json::{Number, Value};
use std::collections::HashMap;

/// Deepest nesting. The deepest place of a valid file is 6 levels down.
const DEEPEST: usize = 32;
/// What the tree may hold, copies made by aliases included.
const MOST_NODES: usize = 400_000;
const MOST_TEXT: usize = 16 << 20;

/// What was read: the tree unless the text is not YAML at all, and what is wrong with the text.
pub(super) struct Reading {
    pub(super) root: Option<Node>,
    pub(super) findings: Vec<(Position, Finding)>,
}

/// Read a whole text.
pub(super) fn read(text: &str) -> Reading {
    let mut builder = Builder::default();
    let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    while let Some(next) = parser.next_event() {
        let proceed = match next {
            Ok((event, span)) => builder.event(event, span.start.into()),
            Err(error) => {
                let message = format!("not YAML: {}", error.info());
                builder.fatal(
                    Position::from(*error.marker()),
                    &message,
                    "mend the line or the one before it",
                )
            }
        };
        if !proceed {
            break;
        }
    }
    Reading {
        root: if builder.failed { None } else { builder.root },
        findings: builder.findings,
    }
}

/// A list or mapping whose end has not been read.
struct Frame {
    at: Position,
    anchor: usize,
    part: Part,
}

enum Part {
    List(Vec<(usize, Node)>),
    Map {
        entries: Vec<Entry>,
        seen: HashMap<String, usize>,
        pending: Option<Pending>,
    },
}

/// A key whose value has not been read.
struct Pending {
    key: String,
    at: Position,
    /// The value is read and dropped: the key was given before, or cannot be one.
    skip: bool,
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    root: Option<Node>,
    documents: usize,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    text: usize,
    findings: Vec<(Position, Finding)>,
    failed: bool,
}

impl Builder {
    /// Take one event; false when reading must stop.
    fn event(&mut self, event: Event<'_>, at: Position) -> bool {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return self.fatal(at, "a second YAML document begins here", "keep one document per file");
                }
                true
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref();
                let value = self.scalar(&text, style, tag, at);
                // An empty key (`: x`) arrives as an empty plain scalar, like an absent value; both keep their text.
                self.value(
                    Node {
                        at,
                        data: Data::Scalar(value),
                    },
                    anchor,
                    Some(&text),
                )
            }
            Event::SequenceStart(anchor, tag) => {
                self.no_tag(tag.as_deref(), at);
                self.open(Frame {
                    at,
                    anchor,
                    part: Part::List(Vec::new()),
                })
            }
            Event::MappingStart(anchor, tag) => {
                self.no_tag(tag.as_deref(), at);
                let part = Part::Map {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    pending: None,
                };
                self.open(Frame { at, anchor, part })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => true,
        }
    }

    fn open(&mut self, frame: Frame) -> bool {
        let at = frame.at;
        if self.stack.len() >= DEEPEST {
            return self.fatal(
                at,
                &format!("nested deeper than {DEEPEST} levels"),
                "no valid file is this deep",
            );
        }
        if self.expects_key() {
            return self.fatal(at, "a list or mapping cannot be a key", "write a name, then a colon");
        }
        self.stack.push(frame);
        true
    }

    fn close(&mut self) -> bool {
        let Some(Frame { at, anchor, part }) = self.stack.pop() else {
            return true;
        };
        let data = match part {
            Part::List(items) => Data::List(items),
            Part::Map { entries, .. } => Data::Map(entries),
        };
        self.value(Node { at, data }, anchor, None)
    }

    /// The anchor's value, copied. An anchor inside itself has no value yet, so that loops cannot be built.
    fn alias(&mut self, anchor: usize, at: Position) -> bool {
        if self.expects_key() {
            return self.fatal(at, "an alias cannot be a key", "write the name out");
        }
        let Some(target) = self.anchors.get(&anchor) else {
            return self.fatal(
                at,
                "this alias stands inside the value it refers to",
                "write the value out",
            );
        };
        let (mut nodes, mut text) = (0, 0);
        target.weigh(&mut nodes, &mut text);
        // Weighed before it is copied: ten lines of aliases can ask for gigabytes.
        if !self.charge(nodes, text, at) {
            return false;
        }
        let Some(copy) = self.anchors.get(&anchor).cloned() else {
            return false;
        };
        self.attach(copy)
    }

    /// A finished value: a key, an element, the value of the pending key, or the root.
    fn value(&mut self, node: Node, anchor: usize, text: Option<&str>) -> bool {
        if !self.charge(1, text.map_or(0, str::len), node.at) {
            return false;
        }
        if let (true, Some(text)) = (self.expects_key(), text) {
            self.key(text, node.at);
            return true;
        }
        if anchor > 0 {
            let (mut nodes, mut size) = (0, 0);
            node.weigh(&mut nodes, &mut size);
            if !self.charge(nodes, size, node.at) {
                return false;
            }
            self.anchors.insert(anchor, node.clone());
        }
        self.attach(node)
    }

    fn attach(&mut self, node: Node) -> bool {
        match self.stack.last_mut().map(|frame| &mut frame.part) {
            None => self.root = Some(node),
            Some(Part::List(items)) => items.push((items.len(), node)),
            Some(Part::Map { entries, pending, .. }) => {
                if let Some(Pending { key, at, skip: false }) = pending.take() {
                    entries.push(Entry { key, at, node });
                }
            }
        }
        true
    }

    fn key(&mut self, text: &str, at: Position) {
        let mut wrong = None;
        if let Some(Frame {
            part: Part::Map { seen, pending, .. },
            ..
        }) = self.stack.last_mut()
        {
            if text == "<<" {
                let message = "merge keys (`<<`) are not supported";
                wrong = Some((
                    message.to_owned(),
                    "write the keys out, or repeat the block with an alias".to_owned(),
                ));
            } else if let Some(first) = seen.get(text) {
                let message = format!("the key {} is given twice, first on line {first}", quoted(text));
                wrong = Some((message, "keep one of the two".to_owned()));
            } else {
                seen.insert(text.to_owned(), at.line);
            }
            *pending = Some(Pending {
                key: text.to_owned(),
                at,
                skip: wrong.is_some(),
            });
        }
        if let Some((message, remedy)) = wrong {
            let place = self.place();
            self.findings.push((
                at,
                Finding {
                    place,
                    at_key: true,
                    message,
                    remedy,
                },
            ));
        }
    }

    fn expects_key(&self) -> bool {
        matches!(
            self.stack.last(),
            Some(Frame {
                part: Part::Map { pending: None, .. },
                ..
            })
        )
    }

    /// Where the value being read will be.
    fn place(&self) -> Place {
        let step = |frame: &Frame| match &frame.part {
            Part::List(items) => Some(Step::Index(items.len())),
            Part::Map { pending, .. } => pending.as_ref().map(|pending| Step::Key(pending.key.clone())),
        };
        Place(self.stack.iter().filter_map(step).collect())
    }

    fn charge(&mut self, nodes: usize, text: usize, at: Position) -> bool {
        self.nodes = self.nodes.saturating_add(nodes);
        self.text = self.text.saturating_add(text);
        if self.nodes > MOST_NODES || self.text > MOST_TEXT {
            return self.fatal(
                at,
                "too many values, counting what aliases repeat",
                "split or shorten the file",
            );
        }
        true
    }

    fn fatal(&mut self, at: Position, message: &str, remedy: &str) -> bool {
        let place = self.place();
        self.findings.push((at, Finding::new(place, message, remedy)));
        self.failed = true;
        false
    }

    fn no_tag(&mut self, tag: Option<&Tag>, at: Position) {
        if tag.is_some() {
            let finding = Finding::new(
                self.place(),
                "YAML tags are not supported",
                "remove the `!…` before the value",
            );
            self.findings.push((at, finding));
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Position) -> Value {
        match tag {
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => {
                return Value::String(text.to_owned());
            }
            Some(_) => self.no_tag(tag, at),
            None => {}
        }
        if style == ScalarStyle::Plain {
            plain(text)
        } else {
            Value::String(text.to_owned())
        }
    }
}

/// What an unquoted text means, by the YAML 1.2 core schema.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    numeric
        .then(|| number(text))
        .flatten()
        .map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn number(text: &str) -> Option<Number> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return u64::from_str_radix(digits, radix).ok().map(Number::from);
        }
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if let Ok(number) = unsigned.parse::<u64>() {
        return Some(Number::from(number));
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(Number::from(number));
    }
    // Rust reads `inf`, `nan` and `1_000` differently from YAML; only digits, dot and exponent get this far.
    let allowed = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '-' | '+');
    let float: f64 = text.chars().all(allowed).then(|| text.parse().ok()).flatten()?;
    // `1e3` and `5.0` are whole numbers to JSON Schema but not to serde: settle it here.
    let whole = float.fract() == 0.0 && float.abs() < 9e15;
    if whole {
        Some(Number::from(float as i64))
    } else {
        Number::from_f64(float)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(text: &str) -> Value {
        let reading = read(text);
        assert!(reading.findings.is_empty(), "{text}: {:?}", reading.findings);
        reading.root.unwrap().to_value()
    }

    fn message(text: &str) -> String {
        let reading = read(text);
        reading
            .findings
            .iter()
            .map(|(at, finding)| format!("{}:{} {}", at.line, at.column, finding.message))
            .collect()
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        let text = "[1, -2, 0x10, 0o17, 1.5, 1e3, +7, true, no, ~, '1', 1_000, .inf, 1.2.3, 127.0.0.1:80, !!str 5]";
        let expected = json!([
            1,
            -2,
            16,
            15,
            1.5,
            1000,
            7,
            true,
            "no",
            null,
            "1",
            "1_000",
            ".inf",
            "1.2.3",
            "127.0.0.1:80",
            "5"
        ]);
        assert_eq!(value(text), expected);
    }

    #[test]
    fn aliases_copy_and_positions_are_those_of_the_text() {
        assert_eq!(value("a: &x {b: 1}\nc: *x\n"), json!({"a": {"b": 1}, "c": {"b": 1}}));
        let root = read("a:\n  - b: 1\n  - c\n").root.unwrap();
        let Data::Map(entries) = &root.data else {
            panic!("not a mapping")
        };
        assert_eq!(entries[0].at, Position { line: 1, column: 1 });
        let Data::List(items) = &entries[0].node.data else {
            panic!("not a list")
        };
        assert_eq!(items[1].1.at, Position { line: 3, column: 5 });
    }

    #[test]
    fn a_key_given_twice_is_named_with_both_lines() {
        assert_eq!(
            message("a: 1\nb: 2\na: 3\n"),
            "3:1 the key \"a\" is given twice, first on line 1"
        );
    }

    #[test]
    fn hostile_documents_are_refused_in_bounded_time() {
        for opening in ["[", "{", "{a: ", "[a, "] {
            // Ours, or saphyr's own bound while it looks ahead.
            let said = message(&opening.repeat(1 << 20));
            assert!(said.contains("nested deeper") || said.contains("not YAML"), "{said}");
        }
        assert!(message(&"- ".repeat(1 << 20)).contains("nested deeper"));
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..20 {
            let copies = vec![format!("*a{}", level - 1); 9].join(", ");
            laughs += &format!("a{level}: &a{level} [{copies}]\n");
        }
        assert!(message(&laughs).contains("too many values"));
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 1000].join(", "));
        assert!(message(&long).contains("too many values"));
        assert!(message("a: &a [*a]").contains("inside the value"));
        assert!(message("a: *nowhere").contains("not YAML"));
        assert!(message("a: 1\n---\nb: 2").contains("second YAML document"));
        assert!(message("? [a]\n: 1").contains("cannot be a key"));
        assert!(message("a: !custom 1").contains("tags"));
        assert!(message("a: {b: 1, <<: {c: 2}}").contains("merge keys"));
    }
}
