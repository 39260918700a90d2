//! Who is calling: where a request says so, what its credential is worth, and what who holds it may do.
//!
//! Not which tenants there are (`directory` puts file and store together) and not how much they may use (`limits`). The one
//! idea: everything here is pure over bytes, addresses and moments; nothing reads a store, a clock or the network except
//! `jwt`'s fetching of an identity provider's keys, which no request waits for.

pub mod access;
pub mod certificate;
pub mod credential;
pub mod glob;
pub mod hours;
pub mod jwt;
pub mod network;
pub mod pattern;
pub mod token;

pub use access::{Access, Block, Denied, Question, Reason};
pub use credential::{Credential, CredentialError};
pub use network::{Networks, client_ip};
pub use token::{Digest, KeyHasher, Malformed};
