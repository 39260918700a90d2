//! The scripts, and one call of one: by its hash, with the text when Redis does not have it yet.
//!
//! Not what they mean (`lua/*.lua` say that) and no time limit. The one idea: whatever comes back becomes a list of texts or a
//! failure; nothing that Redis says can be more than wrong.

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use std::sync::LazyLock;

/// A script.
pub(super) struct Script {
    pub(super) source: &'static str,
    pub(super) hash: LazyLock<String>,
}

impl Script {
    /// Run it: by its hash, with its text where Redis does not have it yet. `fill` adds the number of keys, keys and arguments.
    pub(super) async fn run(
        &self,
        connection: &mut MultiplexedConnection,
        fill: impl Fn(&mut redis::Cmd),
    ) -> redis::RedisResult<Value> {
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            fill(command.arg(script));
            command
        };
        match command("EVALSHA", &self.hash).query_async::<Value>(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                command("EVAL", self.source).query_async::<Value>(connection).await
            }
            other => other,
        }
    }
}

macro_rules! script {
    ($(#[$what:meta])* $name:ident, $file:literal) => {
        $(#[$what])*
        pub(super) static $name: Script = Script {
            source: concat!(include_str!("lua/prelude.lua"), include_str!($file)),
            hash: LazyLock::new(|| redis::Script::new($name.source).get_hash().to_owned()),
        };
    };
}

script!(
    /// Room in several counts, all or nothing.
    TAKE, "lua/take.lua");
script!(
    /// Spent, given back, beyond.
    REPORT, "lua/report.lua");
script!(
    /// The truth about what is out with this instance, and what it knows.
    TELL, "lua/tell.lua");
script!(
    /// A generation of this instance begins; perhaps an epoch.
    HELLO, "lua/hello.lua");
script!(
    /// Alive; the dead are reaped.
    BEAT, "lua/beat.lua");

/// Why there is no answer. No text of Redis is in it: it could quote what is in its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Another node of the cluster has the names: `host:port`.
    Moved(String),
    /// Anything else, in a word or two.
    Broken(String),
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        match (error.kind(), error.redirect_node()) {
            (ErrorKind::Server(ServerErrorKind::Moved), Some((node, _))) => Self::Moved(node.to_owned()),
            _ => Self::Broken(match error.code() {
                Some(code) if code.bytes().all(|b| b.is_ascii_uppercase()) && code.len() < 20 => code.to_owned(),
                _ => error.category().to_owned(),
            }),
        }
    }
}

/// Run a script.
pub(super) async fn call(
    connection: &mut MultiplexedConnection,
    script: &Script,
    keys: &[&str],
    arguments: &[String],
) -> Result<Vec<String>, Failure> {
    let answer = script.run(connection, |command| {
        command.arg(keys.len()).arg(keys).arg(arguments);
    });
    texts(answer.await?).ok_or_else(|| Failure::Broken("an answer of another shape".to_owned()))
}

fn texts(value: Value) -> Option<Vec<String>> {
    let Value::Array(items) = value else { return None };
    let text = |item| match item {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    };
    items.into_iter().map(text).collect()
}
