//! Tokens that were verified, by their SHA-256: the second request with a token costs one hash and no signature.
//!
//! A table of fixed size that is never searched and never cleaned: a token has one place among two, and whoever comes later
//! takes it. Only what was verified gets in, so strangers cannot push anybody out. Reading takes no lock.

use super::Identity;
use arc_swap::ArcSwapOption;
use ring::digest::{SHA256, digest};
use std::sync::Arc;

/// Places; a power of two. Full of the largest identities (10 KiB) it is 80 MiB, of usual ones 8.
const PLACES: usize = 8 * 1024;
/// Longest time a token is believed without being checked again, in seconds.
pub(super) const LONGEST: i64 = 300;

/// SHA-256 of a token.
pub(super) type Fingerprint = [u8; 32];

struct Entry {
    fingerprint: Fingerprint,
    since: i64,
    until: i64,
    /// The issuer's place and the generation of its keys that the token was checked with.
    issuer: usize,
    generation: u64,
    identity: Arc<Identity>,
}

/// Verified tokens.
pub(super) struct Verified(Box<[ArcSwapOption<Entry>]>);

impl Default for Verified {
    fn default() -> Self {
        Self((0..PLACES).map(|_| ArcSwapOption::empty()).collect())
    }
}

pub(super) fn fingerprint(token: &str) -> Fingerprint {
    let mut fingerprint = [0; 32];
    let hash = digest(&SHA256, token.as_bytes());
    fingerprint.copy_from_slice(hash.as_ref().first_chunk::<32>().unwrap_or(&[0; 32]));
    fingerprint
}

impl Verified {
    /// Its two places.
    fn places(&self, fingerprint: &Fingerprint) -> [Option<&ArcSwapOption<Entry>>; 2] {
        let [a, b, c, d, ..] = *fingerprint;
        let at = |high: u8, low: u8| usize::from(u16::from_be_bytes([high, low])) % PLACES;
        [self.0.get(at(a, b)), self.0.get(at(c, d))]
    }

    /// Whose token this is, if it was verified with keys of a generation that `is_current` says still counts.
    pub fn find(
        &self,
        fingerprint: &Fingerprint,
        now: i64,
        is_current: impl Fn(usize, u64) -> bool,
    ) -> Option<Arc<Identity>> {
        for place in self.places(fingerprint).into_iter().flatten() {
            let entry = place.load();
            if let Some(entry) = entry.as_ref()
                && entry.fingerprint == *fingerprint
                && (entry.since..entry.until).contains(&now)
                && is_current(entry.issuer, entry.generation)
            {
                return Some(Arc::clone(&entry.identity));
            }
        }
        None
    }

    /// Remember a verified token until then, but not longer than [`LONGEST`].
    pub fn keep(
        &self,
        fingerprint: Fingerprint,
        (issuer, generation): (usize, u64),
        identity: &Arc<Identity>,
        now: i64,
        until: i64,
    ) {
        let [first, second] = self.places(&fingerprint);
        // The place that is free or its own, else the first.
        let free = |place: &&ArcSwapOption<Entry>| {
            let entry = place.load();
            entry
                .as_ref()
                .is_none_or(|it| it.until <= now || it.fingerprint == fingerprint)
        };
        let place = first.filter(free).or(second.filter(free)).or(first);
        if let Some(place) = place {
            place.store(Some(Arc::new(Entry {
                fingerprint,
                since: now,
                until: until.min(now.saturating_add(LONGEST)),
                issuer,
                generation,
                identity: Arc::clone(identity),
            })));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(user: &str) -> Arc<Identity> {
        Arc::new(Identity {
            issuer: "i".into(),
            user: user.to_owned(),
            subject: user.to_owned(),
            needs_tenant: false,
            organisation: None,
            team: None,
            project: None,
            roles: Vec::new(),
            claims: Default::default(),
            expires: 0,
        })
    }

    #[test]
    fn a_token_is_found_until_its_end_and_with_its_keys_only() {
        let cache = Verified::default();
        let token = fingerprint("t");
        let find = |now, generation| {
            cache
                .find(&token, now, |issuer, held| (issuer, held) == (3, generation))
                .is_some()
        };
        cache.keep(token, (3, 1), &identity("u"), 100, 150);
        assert!(find(100, 1) && find(149, 1));
        assert!(!find(150, 1) && !find(100, 2));
        assert!(!find(99, 1), "a clock that was set back");
        cache.keep(token, (3, 2), &identity("u"), 100, i64::MAX);
        assert!(find(100 + LONGEST - 1, 2) && !find(100 + LONGEST, 2));
    }

    #[test]
    fn it_stays_as_large_as_it_is_and_never_confuses_tokens() {
        let cache = Verified::default();
        for n in 0..3 * PLACES {
            cache.keep(fingerprint(&n.to_string()), (0, 0), &identity(&n.to_string()), 0, 10);
        }
        let mut found = 0;
        for n in 0..3 * PLACES {
            if let Some(who) = cache.find(&fingerprint(&n.to_string()), 0, |_, _| true) {
                assert_eq!(who.user, n.to_string());
                found += 1;
            }
        }
        assert!(found <= PLACES && found > PLACES / 2, "{found}");
    }
}
