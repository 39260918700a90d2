//! What `cirque serve` says to a person in a terminal: what is reachable, and lines to paste.

use crate::config::{self, Config};
use crate::snapshot::Snapshot;
use std::fmt::Write;

/// Print it to standard error.
pub(super) fn print(config: &Config, snapshot: &Snapshot) {
    eprint!("{}", text(config, snapshot));
}

fn text(config: &Config, snapshot: &Snapshot) -> String {
    let mut out = String::new();
    let listeners = config.listen.listeners();
    for listener in &listeners {
        let scheme = if listener.tls.is_some() { "https" } else { "http" };
        let _ = writeln!(
            out,
            "\nCirque {} serves {scheme}://{}",
            env!("CARGO_PKG_VERSION"),
            listener.address
        );
    }
    let _ = writeln!(out, "metrics and health on http://{}", config.admin.listen);
    let _ = writeln!(out, "\nreachable:");
    for model in &snapshot.models {
        let providers: Vec<&str> = model.targets.iter().map(|target| target.provider_name()).collect();
        let _ = writeln!(out, "  {:<24} {}", model.name, providers.join(", "));
    }
    for (name, provider) in &config.providers {
        if !config::enabled(provider) {
            let why = provider.enabled_if.as_deref().unwrap_or_default();
            let hint = match why.split_once(':') {
                Some(("env", variable)) => format!("set {variable} to use it"),
                Some(("tcp", address)) => format!("nothing listens on {address}"),
                _ => "switched off".to_owned(),
            };
            let _ = writeln!(out, "  ({name}: {hint})");
        }
    }
    if let (Some(listener), Some(model)) = (listeners.first(), snapshot.listed().next()) {
        let scheme = if listener.tls.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{}/v1", listener.address);
        let (header, key) = if config.insecure.open_access {
            ("", "none")
        } else {
            let _ = writeln!(
                out,
                "\nclients need a key: declare one under `keys`, or make one with `cirque key create NAME`, and put it in place of KEY"
            );
            (" -H 'authorization: Bearer KEY'", "KEY")
        };
        let _ = writeln!(
            out,
            r#"
try it:
  curl {base}/chat/completions{header} -H 'content-type: application/json' -d '{{"model":"{model}","messages":[{{"role":"user","content":"Hello"}}]}}'
  curl {base}/messages{header} -H 'content-type: application/json' -d '{{"model":"{model}","max_tokens":100,"messages":[{{"role":"user","content":"Hello"}}]}}'   # Anthropic's dialect
  python3 -c "from openai import OpenAI; print(OpenAI(base_url='{base}', api_key='{key}').chat.completions.create(model='{model}', messages=[{{'role': 'user', 'content': 'Hello'}}]).choices[0].message.content)"
  node -e "new (require('openai'))({{baseURL: '{base}', apiKey: '{key}'}}).chat.completions.create({{model: '{model}', messages: [{{role: 'user', content: 'Hello'}}]}}).then(r => console.log(r.choices[0].message.content))"
"#
        );
    }
    out
}
