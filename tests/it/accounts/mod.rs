//! Keys, limits and money of the whole process: who is let in, how much of what, what is written down of it.
//!
//! Every part is tested beside it; here it is one process with a store in a directory of its own, asked over its two listeners.
//! Prices are chosen so that sums can be done in the head: a token in costs 0.001 dollars, one out 0.002, and an answer of
//! `Upstream::ok()` 0.033.

mod bad_input;
mod beyond;
mod budgets;
mod canary;
mod crowd;
mod keys;
mod limits;
mod records;
mod routes;
mod scopes;
mod tags;
mod tokens;

use crate::support::client::{Client, Response, chat, chat_stream};
use crate::support::gateway::{Builder, TIMEOUTS};
use crate::support::{Gateway, Upstream, eventually};
use serde_json::{Value, json};

/// The token of an operator who may do everything.
pub const OWNER: &str = "owner-0123456789-0123456789-0123456789";
/// Of a key that is declared in the file.
pub const KEY: &str = "file-key-0123456789-0123456789";
/// What `Upstream::ok()` costs, in dollars: 9 tokens in, 12 out.
pub const COST: &str = "0.033";

/// One provider `p`, and the model `m` of it with a price.
pub fn priced(upstream: &Upstream) -> String {
    format!(
        "{TIMEOUTS}providers:\n  p: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }}\nmodels:\n  \
         m: {{ targets: [ {{ provider: p, model: up, price: {{ input: \"1000\", output: \"2000\" }} }} ] }}\n",
        upstream.url()
    )
}

/// To a gateway with an operator, into which nobody comes who is not known.
pub fn builder(body: impl Into<String>) -> Builder {
    Builder::new(body)
        .closed()
        .admin("operators: { root: { role: owner, token: env:OWNER } }")
        .env("OWNER", OWNER)
        .env("KEY", KEY)
}

/// `priced` with more blocks, such as `keys: { k: { secret: env:KEY } }`.
pub fn gateway(upstream: &Upstream, more: &str) -> Gateway {
    builder(format!("{}{more}\n", priced(upstream))).start()
}

/// The header of a key.
pub fn bearer(key: &str) -> String {
    format!("authorization: Bearer {key}\r\n")
}

/// The operator asks.
#[track_caller]
pub fn admin(gateway: &Gateway, method: &str, path: &str, body: &Value) -> Response {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let mut client = Client::connect(gateway.admin);
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\n{}content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        gateway.admin,
        bearer(OWNER),
        body.len()
    ));
    client.response()
}

#[track_caller]
pub fn read(gateway: &Gateway, path: &str) -> Value {
    admin(gateway, "GET", path, &Value::Null).ok().json()
}

/// Make a key; its secret.
#[track_caller]
pub fn make_key(gateway: &Gateway, name: &str, settings: Value) -> String {
    let made = admin(
        gateway,
        "POST",
        "/admin/v1/keys",
        &json!({"name": name, "settings": settings}),
    );
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()["secret"].as_str().unwrap().to_owned()
}

/// What a key is answered with that asks for the model.
#[track_caller]
pub fn chat_as(gateway: &Gateway, key: &str) -> Response {
    gateway.post_with("/v1/chat/completions", &bearer(key), chat("m"))
}

#[track_caller]
pub fn stream_as(gateway: &Gateway, key: &str) -> Response {
    gateway.post_with("/v1/chat/completions", &bearer(key), chat_stream("m"))
}

#[track_caller]
pub fn get_as(gateway: &Gateway, key: &str, path: &str) -> Response {
    let mut client = gateway.client();
    client.send(format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n{}\r\n", bearer(key)));
    client.response()
}

/// A chat request with these members.
pub fn body(members: Value) -> String {
    let mut all = json!({"model": "m", "messages": [{"role": "user", "content": "Hello there"}]});
    for (name, value) in members.as_object().unwrap() {
        all[name] = value.clone();
    }
    all.to_string()
}

/// The newest records, once there are so many; oldest first, as far as milliseconds tell.
#[track_caller]
pub fn records(gateway: &Gateway, count: usize, filter: &str) -> Vec<Value> {
    let mut last = Vec::new();
    let path = format!("/admin/v1/usage/records?limit=500{filter}");
    eventually_or(&format!("{count} records {filter}"), || {
        last = read(gateway, &path)["items"].as_array().unwrap().clone();
        last.reverse();
        (last.len() >= count).then_some(())
    });
    assert_eq!(last.len(), count, "{last:#?}");
    last
}

#[track_caller]
fn eventually_or(what: &str, condition: impl FnMut() -> Option<()>) {
    eventually(what, condition);
}

/// How a budget stands.
#[track_caller]
pub fn budget(gateway: &Gateway, scope: &str, name: &str) -> Value {
    let all = read(gateway, &format!("/admin/v1/budgets?scope={scope}&name={name}"));
    let items = all["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{all}");
    items[0].clone()
}

/// Wait until nothing is reserved of a budget; what was used.
#[track_caller]
pub fn settled(gateway: &Gateway, scope: &str, name: &str) -> String {
    eventually("everything is settled", || {
        let standing = budget(gateway, scope, name);
        (standing["reserved_usd"] == "0").then(|| standing["used_usd"].as_str().unwrap().to_owned())
    })
}

/// Dollars as text in nano-dollars.
pub fn nano(text: &str) -> u64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = format!("{part:0<9}");
    whole.parse::<u64>().unwrap() * 1_000_000_000 + part.parse::<u64>().unwrap()
}
