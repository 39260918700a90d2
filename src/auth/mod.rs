//! Who is calling: what a credential proves, and nothing about what the caller may do.

pub mod certificate;
pub mod jwt;
pub mod pattern;
//! Who is calling: where a request says so, what its credential is worth, and what who holds it may do.
//!
//! Not which tenants there are (`directory` puts file and store together) and not how much they may use (`limits`). The one
//! idea: everything here is pure over bytes, addresses and moments; nothing reads a store, a clock or the network except
//! `jwt`'s fetching of an identity provider's keys, which no request waits for.

pub mod access;
pub mod credential;
pub mod glob;
pub mod hours;
pub mod network;
pub mod token;

pub use access::{Access, Block, Denied, Question, Reason};
pub use credential::{Credential, CredentialError};
pub use network::{Networks, client_ip};
pub use token::{Digest, KeyHasher, Malformed};
