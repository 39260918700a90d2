//! What a caller asks of the cache with its headers: less than its policy allows, never more.
//!
//! ```text
//! x-cirque-cache: no-store      the answer is not kept (one that is kept may be served)
//!                 refresh       what is kept is not served; the new answer takes its place
//!                 off           neither, and the call is nobody else's
//! x-cirque-cache-ttl: 60 | 5m   nothing older is served, nor kept for longer
//! ```
//! There is no header for the threshold, the scope or the mode, on purpose: whoever could lower a threshold could fetch answers to
//! other questions. The one idea: a wish is applied by [`Wish::narrow`], which only ever takes the smaller of two.

use super::{Mode, Policy};
use crate::error::GatewayError;
use http::HeaderMap;
use std::time::Duration;

/// How answers are looked for and kept.
pub const CACHE: &str = "x-cirque-cache";
/// How long.
pub const CACHE_TTL: &str = "x-cirque-cache-ttl";

/// What a caller asks of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Kept answers may be served.
    pub serve: bool,
    /// The answer may be kept.
    pub store: bool,
    /// The call may be shared with others who ask the same, and the cache looked at at all.
    pub share: bool,
    /// Nothing older is served, nor kept for longer.
    pub ttl: Option<Duration>,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            serve: true,
            store: true,
            share: true,
            ttl: None,
        }
    }
}

impl Wish {
    /// Read the headers of a request. Several values, in one header or more, all count.
    pub fn read(headers: &HeaderMap) -> Result<Self, GatewayError> {
        let mut wish = Self::default();
        for value in headers.get_all(CACHE) {
            let Ok(text) = value.to_str() else {
                return Err(bad_word());
            };
            for word in text.split(',').map(str::trim) {
                match () {
                    () if word.eq_ignore_ascii_case("no-store") => wish.store = false,
                    () if word.eq_ignore_ascii_case("refresh") => wish.serve = false,
                    () if word.eq_ignore_ascii_case("off") => {
                        wish = Self {
                            ttl: wish.ttl,
                            ..NOTHING
                        }
                    }
                    () => return Err(bad_word()),
                }
            }
        }
        for value in headers.get_all(CACHE_TTL) {
            let ttl = value
                .to_str()
                .ok()
                .and_then(|text| time(text.trim()))
                .ok_or_else(bad_time)?;
            wish.ttl = Some(wish.ttl.map_or(ttl, |known| known.min(ttl)));
        }
        if wish.ttl == Some(Duration::ZERO) {
            wish.serve = false;
            wish.store = false;
        }
        Ok(wish)
    }

    /// Whether the cache has nothing to do with the request.
    pub fn is_off(&self) -> bool {
        !self.serve && !self.store && !self.share
    }

    /// Take from a policy what the caller does not want. A caller that bounds the age gets nothing stale either.
    pub fn narrow(&self, policy: &mut Policy) {
        if self.is_off() {
            policy.mode = Mode::Off;
        }
        if !self.share {
            policy.singleflight = false;
        }
        if let Some(ttl) = self.ttl {
            policy.ttl = policy.ttl.min(ttl);
            policy.stale_while_revalidate = Duration::ZERO;
            policy.stale_if_error = Duration::ZERO;
        }
    }

    /// Whether an answer of this age may be served.
    pub fn takes(&self, age_ms: u64) -> bool {
        self.serve && self.ttl.is_none_or(|ttl| u128::from(age_ms) < ttl.as_millis())
    }
}

const NOTHING: Wish = Wish {
    serve: false,
    store: false,
    share: false,
    ttl: None,
};

fn bad_word() -> GatewayError {
    GatewayError::invalid(
        "invalid_header",
        "x-cirque-cache must be no-store (the answer is not kept), refresh (it is fetched anew) or off; without it the key's own \
         policy holds",
    )
    .param(CACHE)
}

fn bad_time() -> GatewayError {
    GatewayError::invalid(
        "invalid_header",
        "x-cirque-cache-ttl must be a whole number of seconds, or a number and ms, s, m or h, such as 5m",
    )
    .param(CACHE_TTL)
}

/// `60`, `500ms`, `60s`, `5m`, `1h`.
fn time(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let number: u64 = number.parse().ok()?;
    let ms = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.saturating_mul(ms)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(pairs: &[(&'static str, &str)]) -> Result<Wish, GatewayError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        Wish::read(&headers)
    }

    #[test]
    fn words_and_times() {
        let all = Wish::default();
        for (pairs, expected) in [
            (&[][..], all),
            (&[(CACHE, "no-store")][..], Wish { store: false, ..all }),
            (&[(CACHE, " Refresh ")][..], Wish { serve: false, ..all }),
            (&[(CACHE, "off")][..], NOTHING),
            (
                &[(CACHE, "no-store"), (CACHE, "refresh")][..],
                Wish {
                    store: false,
                    serve: false,
                    ..all
                },
            ),
            (
                &[(CACHE, "off, no-store"), (CACHE_TTL, "60")][..],
                Wish {
                    ttl: Some(Duration::from_secs(60)),
                    ..NOTHING
                },
            ),
            (
                &[(CACHE_TTL, "5m")][..],
                Wish {
                    ttl: Some(Duration::from_secs(300)),
                    ..all
                },
            ),
            (
                &[(CACHE_TTL, "60"), (CACHE_TTL, "500ms")][..],
                Wish {
                    ttl: Some(Duration::from_millis(500)),
                    ..all
                },
            ),
            (
                &[(CACHE_TTL, "0")][..],
                Wish {
                    ttl: Some(Duration::ZERO),
                    serve: false,
                    store: false,
                    ..all
                },
            ),
        ] {
            assert_eq!(read(pairs).unwrap(), expected, "{pairs:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_with_a_remedy() {
        for (name, value) in [
            (CACHE, ""),
            (CACHE, "on"),
            (CACHE, "semantic"),
            (CACHE, "no-store;off"),
            (CACHE, "\u{e9}"),
            (CACHE_TTL, ""),
            (CACHE_TTL, "-1"),
            (CACHE_TTL, "1d"),
            (CACHE_TTL, "1.5"),
            (CACHE_TTL, "s"),
            (CACHE_TTL, "99999999999999999999999"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert_eq!(error.kind.status(), 400, "{name}: {value}");
            assert_eq!(error.param.as_deref(), Some(name));
            assert!(error.message.contains("must be"), "{}", error.message);
        }
    }

    #[test]
    fn an_answer_as_old_as_allowed_is_too_old() {
        let wish = read(&[(CACHE_TTL, "1")]).unwrap();
        assert!(wish.takes(999) && !wish.takes(1000));
        assert!(Wish::default().takes(u64::MAX));
        assert!(!read(&[(CACHE, "refresh")]).unwrap().takes(0));
    }

    proptest! {
        /// Whatever a caller writes into whatever header, nothing of its policy gets wider.
        #[test]
        fn headers_only_narrow(
            words in proptest::collection::vec("no-store|refresh|off", 0..3),
            ttl in proptest::option::of("[0-9]{1,8}(ms|s|m|h)?"),
            ours in 0u64..100_000,
            stale in 0u64..100_000,
        ) {
            let mut pairs: Vec<(&'static str, &str)> = words.iter().map(|word| (CACHE, word.as_str())).collect();
            pairs.extend(ttl.iter().map(|ttl| (CACHE_TTL, ttl.as_str())));
            pairs.extend([("x-cirque-cache-threshold", "0.1"), ("x-cirque-cache-scope", "organisation"), ("x-cirque-cache-mode", "semantic")]);
            let policy = Policy {
                mode: Mode::Exact,
                ttl: Duration::from_secs(ours),
                stale_if_error: Duration::from_secs(stale),
                stale_while_revalidate: Duration::from_secs(stale),
                ..Policy::default()
            };
            let mut narrowed = policy.clone();
            read(&pairs).unwrap().narrow(&mut narrowed);
            prop_assert!(narrowed.mode <= policy.mode && narrowed.ttl <= policy.ttl);
            prop_assert!(narrowed.stale_if_error <= policy.stale_if_error);
            prop_assert!(narrowed.stale_while_revalidate <= policy.stale_while_revalidate);
            prop_assert!(narrowed.singleflight <= policy.singleflight);
            let rest = Policy {
                mode: policy.mode,
                ttl: policy.ttl,
                stale_if_error: policy.stale_if_error,
                stale_while_revalidate: policy.stale_while_revalidate,
                singleflight: policy.singleflight,
                ..narrowed
            };
            prop_assert_eq!(rest, policy);
        }
    }
}
