//! Who is calling: what a credential proves, and nothing about what the caller may do.

pub mod certificate;
pub mod jwt;
pub mod pattern;
