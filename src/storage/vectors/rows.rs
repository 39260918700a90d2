//! A question as a row, and a row as a question.
//!
//! Rows are hostile: whatever is not what this version writes is no question.

use crate::cache::semantic::vectors::{Label, Near, PLACE, Place, Point};
use crate::cache::{Key, Owner, Partition, Selection};
use crate::storage::sealed::Keyring;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use std::sync::Arc;

const PLAIN: u8 = 1;
const SEALED: u8 = 2;

/// Longest question and meaning that are read.
const LONGEST: usize = 1 << 20;

/// A row.
#[derive(FromRow)]
pub(super) struct Read {
    pub(super) key: Vec<u8>,
    partition: Vec<u8>,
    made_ms: i64,
    ends_ms: i64,
    names: Vec<Vec<u8>>,
    question: Vec<u8>,
    meaning: Option<Vec<u8>>,
    place: Vec<u8>,
}

/// What a row is read from. `vector_send`: the number of dimensions, a zero, and big-endian `f32`.
pub(super) const COLUMNS: &str =
    "key, partition, made_ms, ends_ms, names, question, meaning, vector_send(place) AS place";

/// Text or meaning of a key, as it is written; none: the system gives no random numbers.
pub(super) fn write(ring: Option<&Keyring>, kind: &str, key: Key, bytes: &[u8]) -> Option<Vec<u8>> {
    Some(match ring {
        None => [&[PLAIN], bytes].concat(),
        Some(ring) => [
            &[SEALED],
            ring.seal_bytes(kind, &key.to_string(), bytes).ok()?.as_slice(),
        ]
        .concat(),
    })
}

/// What [`write`] wrote. What is not sealed is not read where there are keys.
fn read(ring: Option<&Keyring>, kind: &str, key: Key, written: &[u8]) -> Option<Vec<u8>> {
    if written.len() > LONGEST {
        return None;
    }
    match (ring, written.split_first()?) {
        (None, (&PLAIN, bytes)) => Some(bytes.to_vec()),
        (Some(ring), (&SEALED, sealed)) => ring.open_bytes(kind, &key.to_string(), sealed).ok(),
        _ => None,
    }
}

/// Kinds of the text and of what the verifier compares, when sealed.
pub(super) const QUESTION: &str = "vectors question";
pub(super) const MEANING: &str = "vectors meaning";

/// Bytes of whole numbers from -127 to 127, and back.
pub(super) fn bytes_of(numbers: &[i8]) -> Vec<u8> {
    numbers.iter().map(|number| number.to_ne_bytes()[0]).collect()
}

fn numbers_of(bytes: &[u8]) -> Box<[i8]> {
    bytes.iter().map(|byte| i8::from_ne_bytes([*byte])).collect()
}

/// A place as PostgreSQL reads it.
pub(super) fn written(place: &Place) -> String {
    let mut text = String::with_capacity(4 * PLACE + 2);
    let mut figures = itoa::Buffer::new();
    for (index, number) in place.iter().enumerate() {
        text.push(if index == 0 { '[' } else { ',' });
        text.push_str(figures.format(*number));
    }
    text.push(']');
    text
}

fn place(sent: &[u8]) -> Option<Box<Place>> {
    let figures = sent.get(4..)?;
    if figures.len() != 4 * PLACE {
        return None;
    }
    let mut place = Box::new([0; PLACE]);
    for (number, bytes) in place.iter_mut().zip(figures.chunks_exact(4)) {
        let value = f32::from_be_bytes(bytes.try_into().ok()?);
        // Nothing else is ever written.
        let whole = value as i8;
        *number = (f32::from(whole) == value && whole != i8::MIN).then_some(whole)?;
    }
    Some(place)
}

/// What deletions choose by.
pub(super) fn names(label: &Label) -> Vec<Vec<u8>> {
    let Owner {
        organisation,
        team,
        project,
        user,
        key,
    } = &label.owner;
    let one = [
        ("organisation", organisation.as_deref()),
        ("team", team.as_deref()),
        ("project", project.as_deref()),
        ("user", user.as_deref()),
        ("key", key.as_deref()),
        ("model", Some(&*label.model)),
    ];
    let tags = label.tags.iter().map(|tag| ("tag", Some(&**tag)));
    one.into_iter()
        .chain(tags)
        .filter_map(|(kind, value)| name(kind, value))
        .collect()
}

/// The names that everything chosen has; ids and partition are chosen apart.
pub(super) fn chosen(selection: &Selection) -> Vec<Vec<u8>> {
    [
        ("organisation", &selection.organisation),
        ("team", &selection.team),
        ("project", &selection.project),
        ("user", &selection.user),
        ("key", &selection.key),
        ("model", &selection.model),
        ("tag", &selection.tag),
    ]
    .into_iter()
    .filter_map(|(kind, value)| name(kind, value.as_deref()))
    .collect()
}

fn name(kind: &str, value: Option<&str>) -> Option<Vec<u8>> {
    Some([kind.as_bytes(), b"=", value?.as_bytes()].concat())
}

fn label(names: &[Vec<u8>]) -> Option<Label> {
    let (mut owner, mut model, mut tags) = (Owner::default(), None, Vec::new());
    for name in names {
        let (kind, value) = std::str::from_utf8(name).ok()?.split_once('=')?;
        match kind {
            "organisation" => owner.organisation = Some(value.into()),
            "team" => owner.team = Some(value.into()),
            "project" => owner.project = Some(value.into()),
            "user" => owner.user = Some(value.into()),
            "key" => owner.key = Some(value.into()),
            "model" => model = Some(Arc::from(value)),
            "tag" => tags.push(Box::from(value)),
            _ => return None,
        }
    }
    Some(Label {
        owner,
        model: model?,
        tags: tags.into(),
    })
}

/// A question's text, and what the verifier compares.
type Texts = (Box<str>, Option<Box<[i8]>>);

impl Read {
    /// The question; none: it is not one of ours.
    pub(super) fn point(&self, ring: Option<&Keyring>) -> Option<Point> {
        let key = Key(self.key.as_slice().try_into().ok()?);
        let (question, meaning) = self.texts(ring, key)?;
        Some(Point {
            key,
            partition: Partition(self.partition.as_slice().try_into().ok()?),
            label: Arc::new(label(&self.names)?),
            made_ms: u64::try_from(self.made_ms).ok()?,
            ends_ms: u64::try_from(self.ends_ms).ok()?,
            question,
            place: place(&self.place)?,
            meaning,
        })
    }

    /// As one that lies near.
    fn near(&self, ring: Option<&Keyring>, cosine: f64) -> Option<Near> {
        let key = Key(self.key.as_slice().try_into().ok()?);
        let (question, meaning) = self.texts(ring, key)?;
        Some(Near {
            key,
            question: question.into(),
            cosine: cosine as f32,
            place: place(&self.place)?,
            meaning,
        })
    }

    fn texts(&self, ring: Option<&Keyring>, key: Key) -> Option<Texts> {
        let question = String::from_utf8(read(ring, QUESTION, key, &self.question)?).ok()?;
        let meaning = match &self.meaning {
            Some(written) => Some(numbers_of(&read(ring, MEANING, key, written)?)),
            None => None,
        };
        Some((question.into(), meaning))
    }
}

/// A row of a search: what lies near, or the key of what is none of ours.
pub(super) fn found(row: &PgRow, ring: Option<&Keyring>) -> Result<Result<Near, Vec<u8>>, sqlx::Error> {
    let read = Read::from_row(row)?;
    let cosine: f64 = row.try_get("cosine")?;
    Ok(read.near(ring, cosine).ok_or(read.key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_back_whatever_is_in_them() {
        let label_of = Label {
            owner: Owner {
                organisation: Some("a=b".into()),
                user: Some("".into()),
                ..Owner::default()
            },
            model: "m\0=".into(),
            tags: ["".into(), "team=x".into()].into(),
        };
        assert!(label(&names(&label_of)) == Some(label_of));
        assert!(label(&[b"model=m".to_vec(), b"other=x".to_vec()]).is_none());
        assert!(label(&[b"tag=m".to_vec()]).is_none() && label(&[vec![0xff]]).is_none());
    }

    #[test]
    fn places_are_written_and_read() {
        let mut here = [0_i8; PLACE];
        here[0] = -127;
        here[255] = 127;
        assert!(written(&here).starts_with("[-127,0,") && written(&here).ends_with(",0,127]"));
        let sent: Vec<u8> = [1, 0, 0, 0]
            .into_iter()
            .chain(here.iter().flat_map(|n| f32::from(*n).to_be_bytes()))
            .collect();
        assert_eq!(place(&sent).as_deref(), Some(&here));
        assert_eq!(place(&sent[..1000]), None);
        assert_eq!(place(b""), None);
    }
}
