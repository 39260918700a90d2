//! Reaching a target: its address, the connection to it, one HTTP exchange on that connection.
//!
//! A [`Target`] joins what the rooms know separately: an id and a breaker (balance), a dialect (providers), a site (base
//! URL, addresses, credential). An [`Exchange`] is one request and its response on Pingora's pooled connectors.

pub mod address;
pub mod credential;
pub mod exchange;
pub mod gather;
pub mod side_calls;
pub mod site;
pub mod target;

pub use address::AddressBook;
pub use credential::{Credential, CredentialFault};
pub use exchange::{Exchange, Fault, Transport};
pub use side_calls::SideCalls;
pub use site::{BaseUrl, Site};
pub use target::{Backend, BreakerTerms, Deadlines, ModelName, Target};
