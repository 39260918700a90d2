//! Which indexes an answer is in, and which ones a deletion names.
//!
//! The one idea: a property (kind and value) is 32 hexadecimal digits of its SHA-256, so that names are of one length whatever
//! a caller put into a tag, and say nothing to who reads only names. Not a secret: whoever knows a tag finds its index.

use crate::cache::{Entry, Selection};
use ring::digest::{Context, SHA256};

/// Most properties of one answer; with more it is not shared, for it could not be deleted by all of them.
pub(super) const MOST: usize = 64;

/// Length of one.
const LENGTH: usize = 32;

/// The indexes of an answer, one after another; none: too many.
pub(super) fn of_entry(entry: &Entry) -> Option<String> {
    let owner = &entry.owner;
    let partition = entry.partition.to_string();
    let one = [
        ("partition", Some(partition.as_str())),
        ("organisation", owner.organisation.as_deref()),
        ("team", owner.team.as_deref()),
        ("project", owner.project.as_deref()),
        ("user", owner.user.as_deref()),
        ("key", owner.key.as_deref()),
        ("model", Some(&*entry.model)),
    ];
    let tags = entry.tags.iter().map(|tag| ("tag", Some(&**tag)));
    let names = collect(one.into_iter().chain(tags));
    (names.len() <= MOST * LENGTH).then_some(names)
}

/// The indexes whose common answers a deletion is of; empty: of all. Its ids are not among them.
pub(super) fn of_selection(selection: &Selection) -> String {
    let partition = selection.partition.map(|partition| partition.to_string());
    collect([
        ("partition", partition.as_deref()),
        ("organisation", selection.organisation.as_deref()),
        ("team", selection.team.as_deref()),
        ("project", selection.project.as_deref()),
        ("user", selection.user.as_deref()),
        ("key", selection.key.as_deref()),
        ("model", selection.model.as_deref()),
        ("tag", selection.tag.as_deref()),
    ])
}

/// Whether `index` is one of them, or empty.
pub(super) fn contain(names: &str, index: &str) -> bool {
    index.is_empty() || names.as_bytes().chunks(LENGTH).any(|name| name == index.as_bytes())
}

fn collect<'a>(properties: impl IntoIterator<Item = (&'static str, Option<&'a str>)>) -> String {
    let mut names = String::with_capacity(8 * LENGTH);
    for (kind, value) in properties {
        let Some(value) = value else { continue };
        let mut hash = Context::new(&SHA256);
        hash.update(kind.as_bytes());
        hash.update(&[0]);
        hash.update(value.as_bytes());
        for byte in hash.finish().as_ref().iter().take(LENGTH / 2) {
            names.push_str(&format!("{byte:02x}"));
        }
    }
    names
}
