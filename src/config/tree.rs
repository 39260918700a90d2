//! What a YAML text says, with the line and column of every part; and the changes the loader makes to get past broken parts.
//!
//! Not a general document model: scalars, lists and mappings with text keys, as JSON has them. Nothing here is recursive beyond the
//! depth that [`super::yaml`] lets through.

use super::problem::Step;
use saphyr_parser::Marker;
use serde_json::Value;

/// Line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Position {
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

impl From<Marker> for Position {
    fn from(marker: Marker) -> Self {
        Self {
            line: marker.line(),
            column: marker.col() + 1,
        }
    }
}

/// A value and where it begins.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) data: Data,
}

#[derive(Debug, Clone)]
pub(super) enum Data {
    /// Null, boolean, number or text.
    Scalar(Value),
    /// Elements with the index each was written at: the loader takes broken ones out and must still name the others rightly.
    List(Vec<(usize, Node)>),
    Map(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Position,
    pub(super) node: Node,
}

impl Node {
    /// Of a value that came without positions.
    pub(super) fn of(value: &Value) -> Self {
        let data = match value {
            Value::Array(items) => Data::List(items.iter().map(Self::of).enumerate().collect()),
            Value::Object(members) => {
                let entry = |(key, value): (&String, &Value)| Entry {
                    key: key.clone(),
                    at: Position::START,
                    node: Self::of(value),
                };
                Data::Map(members.iter().map(entry).collect())
            }
            scalar => Data::Scalar(scalar.clone()),
        };
        Self {
            at: Position::START,
            data,
        }
    }

    /// The same without positions.
    pub(super) fn to_value(&self) -> Value {
        match &self.data {
            Data::Scalar(value) => value.clone(),
            Data::List(items) => Value::Array(items.iter().map(|(_, node)| node.to_value()).collect()),
            Data::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.node.to_value()))
                    .collect(),
            ),
        }
    }

    /// The keys of a mapping; none for anything else.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let entries = match &self.data {
            Data::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(|entry| entry.key.as_str())
    }

    /// The value of a key of this mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match &self.data {
            Data::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node),
            _ => None,
        }
    }

    /// Count a tree's values and bytes of text.
    pub(super) fn weigh(&self, nodes: &mut usize, text: &mut usize) {
        *nodes += 1;
        match &self.data {
            Data::Scalar(Value::String(value)) => *text += value.len(),
            Data::Scalar(_) => {}
            Data::List(items) => items.iter().for_each(|(_, item)| item.weigh(nodes, text)),
            Data::Map(entries) => entries.iter().for_each(|entry| {
                *text += entry.key.len();
                entry.node.weigh(nodes, text);
            }),
        }
    }

    /// Put a stand-in value where a required key is missing; its place as written.
    pub(super) fn put_in(&mut self, steps: &[Step], value: &Value) -> Option<Vec<Step>> {
        let (Step::Key(last), above) = steps.split_last()? else {
            return None;
        };
        let mut node = self;
        let mut original = Vec::new();
        for step in above {
            node = match (&mut node.data, step) {
                (Data::Map(entries), Step::Key(key)) => {
                    original.push(step.clone());
                    entries
                        .iter_mut()
                        .find(|entry| entry.key == *key)
                        .map(|entry| &mut entry.node)?
                }
                (Data::List(items), Step::Index(index)) => {
                    let (written, item) = items.get_mut(*index)?;
                    original.push(Step::Index(*written));
                    item
                }
                _ => return None,
            };
        }
        let at = node.at;
        if let Data::Map(entries) = &mut node.data {
            entries.push(Entry {
                key: last.clone(),
                at,
                node: Node {
                    at,
                    data: Data::Scalar(value.clone()),
                },
            });
            original.push(Step::Key(last.clone()));
            return Some(original);
        }
        None
    }

    /// Remove what is at `steps`; its place as written, with the indices it had in the text.
    pub(super) fn take_out(&mut self, steps: &[Step]) -> Option<Vec<Step>> {
        let (step, rest) = steps.split_first()?;
        match (&mut self.data, step) {
            (Data::Map(entries), Step::Key(key)) => {
                let at = entries.iter().position(|entry| entry.key == *key)?;
                let below = if rest.is_empty() {
                    entries.remove(at);
                    Vec::new()
                } else {
                    entries.get_mut(at)?.node.take_out(rest)?
                };
                Some(std::iter::once(step.clone()).chain(below).collect())
            }
            (Data::List(items), Step::Index(index)) => {
                let original = items.get(*index)?.0;
                let below = if rest.is_empty() {
                    items.remove(*index);
                    Vec::new()
                } else {
                    items.get_mut(*index)?.1.take_out(rest)?
                };
                Some(std::iter::once(Step::Index(original)).chain(below).collect())
            }
            _ => None,
        }
    }
}
