//! The steps of the walk, one file each, in the order [`super::pipeline`] calls them.

pub mod admit;
pub mod authenticate;
pub mod authorize;
pub mod cached;
pub mod dispatch;
pub mod guard;
pub mod receive;
pub mod relay;
pub mod reserve;
pub mod rules;
pub mod settle;
