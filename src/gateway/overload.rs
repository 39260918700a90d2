//! How much of the gateway a request may use by its priority, and what it is told beyond that.
//!
//! Not for counting (that is `telemetry/in_flight.rs` and [`super::buffers`]) and not for when to ask (`stages/admit.rs`).
//! The one idea: every priority has a share of each cap, so that what is least important is refused first, while there is
//! still room for the rest, and no queue or second pass is needed:
//!
//! ```text
//! priority   0     1     2     3     4     5 (default)   6       7       8       9
//! share    50 %  59 %  68 %  77 %  86 %  95 %          96.25   97.5    98.75   100 %
//! ```

use crate::error::{ErrorKind, GatewayError};
use http::HeaderMap;
use http::header::HeaderName;
use std::time::Duration;

const PRIORITY: HeaderName = HeaderName::from_static("x-cirque-priority");

/// How important a request is: 0 is refused first, 9 last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(u8);

impl Priority {
    /// Of a request of which nothing else is known.
    pub const DEFAULT: Self = Self(5);
    /// The last to be refused.
    pub const HIGHEST: Self = Self(9);

    /// 9 for anything above it.
    pub fn new(priority: u8) -> Self {
        Self(priority.min(9))
    }

    /// 0 to 9.
    pub fn get(self) -> u8 {
        self.0
    }

    /// How much of `cap` is for this priority and those below it. Rounded up: at least 1 of any cap.
    pub fn share_of(self, cap: usize) -> usize {
        const WHOLE: usize = 10_000;
        let priority = usize::from(self.0);
        let share = if self.0 <= 5 {
            5_000 + 900 * priority
        } else {
            9_500 + 125 * (priority - 5)
        };
        // In two parts, because a cap of bytes times ten thousand may not fit.
        (cap / WHOLE) * share + ((cap % WHOLE) * share).div_ceil(WHOLE)
    }
}

/// `x-cirque-priority`: a client may call its request less important than others, never more. `None`: it does not.
pub fn lowered(headers: &HeaderMap) -> Result<Option<Priority>, GatewayError> {
    let Some(value) = headers.get(PRIORITY) else {
        return Ok(None);
    };
    match value.as_bytes().trim_ascii() {
        [digit @ b'0'..=b'9'] => {
            let asked = Priority::new(digit - b'0');
            Ok((asked < Priority::DEFAULT).then_some(asked))
        }
        _ => Err(
            GatewayError::invalid("invalid_header", "x-cirque-priority must be one digit, 0 to 9")
                .param("x-cirque-priority"),
        ),
    }
}

/// No place for this request now. Clients that are refused in the same moment are told to come back at different ones.
pub fn refusal() -> GatewayError {
    GatewayError::new(
        ErrorKind::Overloaded,
        "the gateway is as full as it may be for a request of this priority; try again shortly",
    )
    .retry_after(Duration::from_secs(fastrand::u64(1..=3)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn shares_are_linear_between_their_corners_and_small_caps_work() {
        let of = |priority: u8, cap| Priority::new(priority).share_of(cap);
        assert_eq!([of(0, 20_000), of(5, 20_000), of(9, 20_000)], [10_000, 19_000, 20_000]);
        assert_eq!([of(1, 10_000), of(6, 10_000), of(8, 10_000)], [5_900, 9_625, 9_875]);
        for priority in 0..=9 {
            assert_eq!(of(priority, 1), 1);
            assert!(of(priority, usize::MAX) >= usize::MAX / 2);
            for cap in [1, 2, 3, 10, 999, 1 << 30] {
                assert!((1..=cap).contains(&of(priority, cap)));
                assert!(priority == 0 || of(priority - 1, cap) <= of(priority, cap));
            }
        }
        assert_eq!([of(0, 2), of(5, 2)], [1, 2]);
        assert_eq!(of(200, 7), 7);
    }

    #[test]
    fn the_header_only_lowers() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-cirque-priority", HeaderValue::from_str(text).unwrap());
            lowered(&headers)
        };
        assert_eq!(lowered(&HeaderMap::new()).unwrap(), None);
        assert_eq!(read("0").unwrap(), Some(Priority::new(0)));
        assert_eq!(read(" 4 ").unwrap(), Some(Priority::new(4)));
        for high in ["5", "9"] {
            assert_eq!(read(high).unwrap(), None);
        }
        for wrong in ["", "10", "-1", "high", "1.0", "٣"] {
            let error = read(wrong).unwrap_err();
            assert_eq!(error.error_code(), Some("invalid_header"), "{wrong}");
        }
    }

    #[test]
    fn clients_are_sent_away_for_one_to_three_seconds() {
        let seconds: std::collections::BTreeSet<u64> =
            (0..200).map(|_| refusal().retry_after.unwrap().as_secs()).collect();
        assert_eq!(seconds.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
    }
}
