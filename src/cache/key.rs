//! Names of cached answers: the partition that a request may share with, and its own key in it.
//!
//! Both are the first 128 bits of SHA-256, so that nobody can make a request whose key is another tenant's.

use std::fmt;
use std::str::FromStr;

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl FromStr for $name {
            type Err = NoDigest;

            fn from_str(text: &str) -> Result<Self, NoDigest> {
                let bits = (text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()))
                    .then(|| u128::from_str_radix(text, 16).ok())
                    .flatten();
                Ok(Self(bits.ok_or(NoDigest)?.to_be_bytes()))
            }
        }
    };
}

/// Not 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id of the cache is 32 hexadecimal digits")]
pub struct NoDigest;

digest! {
    /// Everything that decides an answer but the last user turn's text: tenant, public model, parameters, tools, earlier turns.
    Partition
}

digest! {
    /// A partition and the last user turn: one question. It is also the id of the answer that is kept for it.
    Key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read() {
        let key = Key([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff]);
        assert_eq!(key.to_string(), "010000000000000000000000000000ff");
        assert_eq!(key.to_string().parse(), Ok(key));
        for wrong in [
            "",
            "01",
            "+10000000000000000000000000000ff",
            "0x0000000000000000000000000000ff",
        ] {
            assert_eq!(wrong.parse::<Key>(), Err(NoDigest), "{wrong}");
        }
    }
}
