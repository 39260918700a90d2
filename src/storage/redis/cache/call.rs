//! The cache's scripts and one call of one. Bytes in, bytes out.
//!
//! Not what they mean (`lua/*.lua`), and no time limit. The one idea: an answer that says the link is of no use (another node has
//! the names, it only reads, it loads) is told apart from one that says so of this call (memory used up, rubbish under a name).

use super::super::script::Script;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use std::sync::LazyLock;

macro_rules! script {
    ($(#[$what:meta])* $name:ident, $($file:literal),+) => {
        $(#[$what])*
        pub(super) static $name: Script = Script {
            source: concat!(include_str!("lua/prelude.lua"), $(include_str!($file)),+),
            hash: LazyLock::new(|| redis::Script::new($name.source).get_hash().to_owned()),
        };
    };
}

script!(
    /// The epoch; perhaps a new one.
    HELLO, "lua/hello.lua");
script!(
    /// An answer.
    GET, "lua/gate.lua", "lua/get.lua");
script!(
    /// Keep an answer.
    PUT, "lua/gate.lua", "lua/put.lua");
script!(
    /// What has these properties is deleted.
    MARK, "lua/gate.lua", "lua/mark.lua");
script!(
    /// Some of it is taken out.
    SWEEP, "lua/gate.lua", "lua/sweep.lua");
script!(
    /// Answers are deleted by their ids, or only something is told.
    REMOVE, "lua/gate.lua", "lua/remove.lua");
script!(
    /// What cannot be read goes.
    REFUSE, "lua/gate.lua", "lua/refuse.lua");

/// Why there is no answer. No text of Redis is in it: it could quote what is in its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The connection, or the node, is of no use.
    Link(String),
    /// This call failed; another may not.
    Call(String),
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        let why = match error.code() {
            Some(code) if code.bytes().all(|b| b.is_ascii_uppercase()) && code.len() < 20 => code.to_owned(),
            _ => error.category().to_owned(),
        };
        match error.kind() {
            ErrorKind::Server(
                ServerErrorKind::ResponseError | ServerErrorKind::ExecAbort | ServerErrorKind::NoPerm,
            )
            | ErrorKind::Extension => Self::Call(why),
            _ => Self::Link(why),
        }
    }
}

/// Run a script. The first thing in what it answers is a word.
pub(super) async fn call(
    connection: &mut MultiplexedConnection,
    script: &Script,
    state: &str,
    arguments: &[&[u8]],
) -> Result<Vec<Value>, Failure> {
    let answer = script.run(connection, |command| {
        command.arg(1).arg(state).arg(arguments);
    });
    match answer.await? {
        Value::Array(items) if !items.is_empty() => Ok(items),
        _ => Err(rubbish()),
    }
}

/// An answer of another shape.
pub(super) fn rubbish() -> Failure {
    Failure::Link("it holds something else under our names".to_owned())
}

/// Bytes of an answer.
pub(super) fn bytes(value: Option<&Value>) -> Option<&[u8]> {
    match value? {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

/// Text of an answer.
pub(super) fn text(value: Option<&Value>) -> Option<&str> {
    std::str::from_utf8(bytes(value)?).ok()
}

/// A number of an answer.
pub(super) fn number(value: Option<&Value>) -> Option<u64> {
    text(value)?.parse().ok()
}
