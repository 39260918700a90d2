//! Passthrough routes: paths that the API lane does not serve itself, to pools that can serve them.

use super::super::model::Config;
use super::super::problem::{Finding, Place, quoted};
use super::models::unknown_remedy;
use super::{Names, is_demo};

/// What the API lane answers itself; with everything below each.
const API_LANE: [&str; 8] = [
    "/v1/chat/completions",
    "/v1/messages",
    "/v1/rerank",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/moderations",
    "/v1/models",
    // Paths below `/v1/responses` (a kept response, its items) are not: they go where the state is.
    "/v1/messages/count_tokens",
];

pub(super) fn check(config: &Config, names: &Names, out: &mut Vec<Finding>) {
    for (index, route) in config.passthrough.iter().enumerate() {
        let place = Place::root().key("passthrough").index(index);
        let at = place.key("path");
        if let Some((message, remedy)) = bad_path(&route.path) {
            out.push(Finding::new(at, message, remedy));
        } else if let Some(own) = API_LANE.iter().find(|own| covers(own, &route.path)) {
            let message = format!("{own} is served by the gateway itself");
            out.push(Finding::new(
                at,
                message,
                "remove this route; its model is chosen by the request's `model`",
            ));
        } else {
            let earlier = config
                .passthrough
                .iter()
                .take(index)
                .find(|earlier| covers(&earlier.path, &route.path));
            if let Some(earlier) = earlier {
                let message = format!("never reached: {} before it covers it", quoted(&earlier.path));
                out.push(Finding::new(at, message, "move it up, or remove it"));
            }
        }
        pool(config, names, &route.pool, place.key("pool"), out);
    }
}

fn bad_path(path: &str) -> Option<(&'static str, &'static str)> {
    let remedy = "write a path such as `/v1/files`";
    if !path.starts_with("/v1/") {
        return Some(("must begin with `/v1/`", remedy));
    }
    let segment = |part: &str| part == "." || part == "..";
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~' | ':');
    let bad = path.contains("//") || path.split('/').any(segment) || !path.chars().all(allowed);
    bad.then_some((
        "not a plain path",
        "write letters, digits, `-`, `_` and `/` only, without `//`, `.` or `..` segments",
    ))
}

/// Whether every path under `inner` is under `outer`, at segment boundaries.
fn covers(outer: &str, inner: &str) -> bool {
    let outer = outer.trim_end_matches('/');
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn pool(config: &Config, names: &Names, pool: &str, at: Place, out: &mut Vec<Finding>) {
    if !names.models.iter().any(|name| name == pool) {
        let remedy = unknown_remedy(pool, &names.models, "model", "models");
        return out.push(Finding::new(at, format!("no model {}", quoted(pool)), remedy));
    }
    let Some(model) = config.models.get(pool) else {
        return;
    };
    let mut providers = model
        .targets
        .iter()
        .map(|target| config.providers.get(&target.provider))
        .peekable();
    if providers.peek().is_some() && providers.all(|provider| provider.is_some_and(is_demo)) {
        let message = format!(
            "{} is answered by the demo provider only, to which nothing can be forwarded",
            quoted(pool)
        );
        out.push(Finding::new(at, message, "name a model with a real provider"));
    }
}
