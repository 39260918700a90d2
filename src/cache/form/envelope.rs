//! An entry as bytes, for a tier outside of this process.

use super::codec::{Reader, Stored};
use super::{Damaged, LONGEST};
use crate::cache::{Answer, Entry, Form, Key, Owner, Partition};
use crate::wire::{Dialect, Operation};
use bytes::Bytes;

/// What an envelope begins with; the last byte is its version.
const MARK: [u8; 4] = *b"cqE\x01";

/// Mark, length and sum.
const HEAD: usize = 12;

impl Entry {
    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.wrapped(&self.answer.bytes)
    }

    /// As bytes, without those of the answer: for the log, where an index wants to know that there is one.
    pub fn to_head_bytes(&self) -> Vec<u8> {
        self.wrapped(&[])
    }

    fn wrapped(&self, answer: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(answer.len() + 512);
        out.extend_from_slice(&MARK);
        out.extend_from_slice(&[0; HEAD - MARK.len()]);
        self.put(answer, &mut out);
        let (head, rest) = out.split_at_mut(HEAD);
        let length = u32::try_from(rest.len()).unwrap_or(u32::MAX).to_le_bytes();
        let sum = crc32fast::hash(rest).to_le_bytes();
        for (to, from) in head.iter_mut().skip(MARK.len()).zip(length.into_iter().chain(sum)) {
            *to = from;
        }
        out
    }

    fn put(&self, answer: &[u8], out: &mut Vec<u8>) {
        let Self {
            key,
            partition,
            made_ms,
            fresh_ms,
            stale_ms,
            spare_ms,
            owner,
            model,
            target,
            tags,
            question,
            semantic,
            usage,
            cost,
            answer: Answer { form, zstd, length, .. },
        } = self;
        out.extend_from_slice(&key.0);
        out.extend_from_slice(&partition.0);
        for time in [made_ms, fresh_ms, stale_ms, spare_ms] {
            time.put(out);
        }
        let Owner {
            organisation,
            team,
            project,
            user,
            key,
        } = owner;
        for name in [organisation, team, project, user, key] {
            name.put(out);
        }
        model.put(out);
        target.put(out);
        (tags.len() as u64).put(out);
        tags.iter().for_each(|tag| tag.put(out));
        question.put(out);
        semantic.put(out);
        usage.put(out);
        cost.put(out);
        match form {
            Form::Canonical => None,
            Form::Verbatim(dialect, operation) => Some((*dialect, *operation)),
        }
        .put(out);
        zstd.put(out);
        length.put(out);
        (answer.len() as u64).put(out);
        out.extend_from_slice(answer);
    }

    /// From bytes that [`Self::to_bytes`] or [`Self::to_head_bytes`] made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        if bytes.len() > LONGEST {
            return Err(Damaged("too long"));
        }
        let mut head = Reader::new(bytes);
        if head.fixed()? != MARK {
            return Err(Damaged("no entry, or of another version"));
        }
        let length = u32::from_le_bytes(head.fixed()?);
        let sum = u32::from_le_bytes(head.fixed()?);
        let rest = bytes.get(HEAD..).unwrap_or_default();
        if rest.len() as u64 != u64::from(length) {
            return Err(Damaged("another length than it says"));
        }
        if crc32fast::hash(rest) != sum {
            return Err(Damaged("its sum is wrong"));
        }
        let mut reader = Reader::new(rest);
        let entry = Self::read(&mut reader)?;
        reader.end()?;
        Ok(entry)
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Damaged> {
        Ok(Self {
            key: Key(from.fixed()?),
            partition: Partition(from.fixed()?),
            made_ms: Stored::read(from)?,
            fresh_ms: Stored::read(from)?,
            stale_ms: Stored::read(from)?,
            spare_ms: Stored::read(from)?,
            owner: Owner {
                organisation: Stored::read(from)?,
                team: Stored::read(from)?,
                project: Stored::read(from)?,
                user: Stored::read(from)?,
                key: Stored::read(from)?,
            },
            model: Stored::read(from)?,
            target: Stored::read(from)?,
            tags: <Vec<Box<str>>>::read(from)?.into(),
            question: Stored::read(from)?,
            semantic: Stored::read(from)?,
            usage: Stored::read(from)?,
            cost: Stored::read(from)?,
            answer: answer(from)?,
        })
    }
}

fn answer(from: &mut Reader<'_>) -> Result<Answer, Damaged> {
    let form = match <Option<(Dialect, Operation)>>::read(from)? {
        None => Form::Canonical,
        Some((dialect, operation)) => Form::Verbatim(dialect, operation),
    };
    let zstd = Stored::read(from)?;
    let length = Stored::read(from)?;
    let kept = usize::try_from(u64::read(from)?).map_err(|_| Damaged("too long"))?;
    Ok(Answer {
        form,
        zstd,
        length,
        bytes: Bytes::copy_from_slice(from.bytes(kept)?),
    })
}
