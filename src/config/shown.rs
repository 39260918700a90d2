//! A configuration as it may be shown to an operator: as written, without what may be a secret.
//!
//! Secrets are references and stay; what may hold one where text is allowed (a URL with a password, a header's value) is left out.

use super::scalars::is_reference;
use super::yaml;
use serde_json::Value;

/// What stands for what is left out.
const HIDDEN: &str = "…";

/// A whole file as a document; null when it is no YAML.
pub fn shown(text: &str) -> Value {
    let mut value = yaml::read(text).root.map(|root| root.to_value()).unwrap_or_default();
    let providers = value.get_mut("providers").and_then(Value::as_object_mut);
    for provider in providers.into_iter().flat_map(|all| all.values_mut()) {
        let headers = provider.get_mut("headers").and_then(Value::as_object_mut);
        for header in headers.into_iter().flat_map(|all| all.values_mut()) {
            if !header.as_str().is_some_and(is_reference) {
                *header = HIDDEN.into();
            }
        }
    }
    let keys = value.get_mut("keys").and_then(Value::as_object_mut);
    for hash in keys
        .into_iter()
        .flat_map(|all| all.values_mut())
        .filter_map(|key| key.get_mut("hash"))
    {
        *hash = HIDDEN.into();
    }
    let urls = value.pointer_mut("/redis/urls").and_then(Value::as_array_mut);
    for url in urls.into_iter().flatten() {
        if let Some(hidden) = url.as_str().and_then(without_password) {
            *url = hidden.into();
        }
    }
    value
}

/// A URL without what stands before its host.
fn without_password(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (_, host) = rest.rsplit_once('@')?;
    Some(format!("{scheme}://{HIDDEN}@{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_left_out() {
        let text = "
redis: { urls: [ 'redis://me:hunter2@h:1/0', env:REDIS ] }
providers: { a: { kind: openai, api_key: env:KEY, headers: { x-token: tiger, x-ref: file:/a } } }
keys: { ci: { hash: 0badc0de, team: search }, b: { secret: env:B } }
";
        let value = shown(text);
        let all = value.to_string();
        assert!(
            !all.contains("hunter2") && !all.contains("tiger") && !all.contains("0badc0de"),
            "{all}"
        );
        assert_eq!(value["keys"]["ci"]["team"], "search");
        assert_eq!(value["keys"]["b"]["secret"], "env:B");
        assert_eq!(value["providers"]["a"]["api_key"], "env:KEY");
        assert_eq!(value["providers"]["a"]["headers"]["x-ref"], "file:/a");
        assert_eq!(value["redis"]["urls"][1], "env:REDIS");
        assert_eq!(shown("{"), Value::Null);
    }
}

// Written as they are read.
macro_rules! written_as_shown {
    ($($name:ty),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

written_as_shown!(crate::config::scalars::Interval, crate::config::scalars::ByteSize);
