//! One tenant or key of the admin API, checked as if it stood in a file.
//!
//! Hostile: size and depth are bounded before anything else looks. The one idea: shape and meaning are checked by what checks
//! files; places are JSON paths from the object on.

use super::super::model::{Tenant, TenantKind};
use super::super::problem::{Finding, Place, Problem, Problems};
use super::super::structure::Structure;
use super::super::tree::Node;
use super::{Names, tags, tenancy};
use serde_json::Value;

/// Largest object: values and bytes of text.
const MOST_NODES: usize = 20_000;
const MOST_TEXT: usize = 256 << 10;
/// Deepest.
const DEEPEST: usize = 16;

/// Check an object of the admin API and read it. `names` are those of file and store together. Every problem at once.
pub fn tenant(kind: TenantKind, name: &str, document: &Value, names: &Names) -> Result<Tenant, Vec<Problem>> {
    let mut findings = Vec::new();
    if let Some(message) = tenancy::bad_name(name) {
        let remedy = "use 1 to 128 visible characters without `/`";
        findings.push(Finding::new(Place::root(), message, remedy));
    }
    let read = read(kind, document, names, &mut findings);
    match read {
        Some(tenant) if findings.is_empty() => Ok(tenant),
        _ => {
            let problems = findings.into_iter().map(Finding::unplaced).collect();
            Err(Problems::new(problems).0)
        }
    }
}

fn read(kind: TenantKind, document: &Value, names: &Names, out: &mut Vec<Finding>) -> Option<Tenant> {
    let (mut nodes, mut text) = (MOST_NODES, MOST_TEXT);
    if !fits(document, DEEPEST, &mut nodes, &mut text) {
        let message = "too large, or nested too deeply";
        let remedy = "at most 256 KiB of text, 20 000 values, and 16 levels are taken";
        out.push(Finding::new(Place::root(), message, remedy));
        return None;
    }
    let structure = match Structure::of(kind) {
        Ok(structure) => structure,
        Err(message) => {
            out.push(Finding::new(Place::root(), message, "report this as a bug"));
            return None;
        }
    };
    let faults = structure.check(&Node::of(document));
    if !faults.is_empty() {
        out.extend(faults.into_iter().map(|fault| fault.finding));
        return None;
    }
    let tenant = match Tenant::read(kind, document) {
        Ok(tenant) => tenant,
        Err(error) => {
            out.push(Finding::new(
                Place::root(),
                error.to_string(),
                "see the API's description",
            ));
            return None;
        }
    };
    if let Tenant::Key(key) = &tenant {
        for (field, given) in [("secret", key.secret.is_some()), ("hash", key.hash.is_some())] {
            if given {
                let message = "the gateway makes the secrets of these keys";
                out.push(Finding::new(Place::root().key(field), message, "remove it"));
            }
        }
    }
    tenancy::one(&tenant, names, &Place::root(), out);
    tags::unvouched(&tenant, names, out);
    Some(tenant)
}

/// Whether a document stays within bounds; stops as soon as it does not.
fn fits(value: &Value, depth: usize, nodes: &mut usize, text: &mut usize) -> bool {
    let Some(left) = nodes.checked_sub(1) else { return false };
    *nodes = left;
    match value {
        Value::String(string) => take(text, string.len()),
        Value::Array(items) => depth > 0 && items.iter().all(|item| fits(item, depth - 1, nodes, text)),
        Value::Object(members) => {
            depth > 0
                && members
                    .iter()
                    .all(|(key, value)| take(text, key.len()) && fits(value, depth - 1, nodes, text))
        }
        _ => true,
    }
}

fn take(left: &mut usize, amount: usize) -> bool {
    let rest = left.checked_sub(amount);
    *left = rest.unwrap_or_default();
    rest.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names() -> Names {
        let mut names = Names {
            providers: vec!["openai".to_owned()],
            models: vec!["gpt-4o".to_owned(), "claude-*".to_owned()],
            ..Names::default()
        };
        names.add(TenantKind::Team, "search");
        names
    }

    fn problems(kind: TenantKind, document: &Value) -> Vec<String> {
        let result = tenant(kind, "ci", document, &names());
        let problems = result.err().unwrap_or_default();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_object_is_read() {
        let document = json!({
            "team": "search", "models": ["gpt-4o", "claude-5", "x-*"], "expires": "2027-01-31T00:00:00Z",
            "limits": [{"requests": 10, "per": "1m"}], "budgets": [{"usd": "2.50", "downgrade_to": "gpt-4o"}],
            "defaults": {"temperature": 0.5},
        });
        assert_eq!(problems(TenantKind::Key, &document), Vec::<String>::new());
        let read = tenant(TenantKind::Key, "ci", &document, &names()).unwrap();
        let again = serde_json::to_value(&read).unwrap();
        assert_eq!(Tenant::read(TenantKind::Key, &again).unwrap(), read);
    }

    #[test]
    fn every_problem_has_a_json_path() {
        let document = json!({
            "team": "serch", "model": ["gpt-4o"], "limits": [{"requests": -1}], "budgets": [{"usd": 12}],
        });
        let found = problems(TenantKind::Key, &document);
        assert_eq!(found.len(), 3, "{found:#?}");
        for (found, start) in found.iter().zip([
            "budgets[0].usd: ",
            "limits[0].requests: too small",
            "model: unknown key",
        ]) {
            assert!(found.starts_with(start), "{found}");
        }
        let document = json!({
            "team": "serch", "secret": "env:X", "limits": [{"requests": 1, "tokens": 2}, {"per": "2d"}],
            "budgets": [{"usd": "1", "time_zone": "Mars/X"}],
        });
        let found = problems(TenantKind::Key, &document);
        assert!(
            found.iter().any(|found| found.starts_with("limits[1].per: \"2d\"")),
            "{found:#?}"
        );
    }

    #[test]
    fn hostile_objects_are_refused_at_once() {
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep]);
        }
        let wide = json!({ "tags": vec!["x"; 30_000] });
        let long = json!({ "description": "x".repeat(300_000) });
        for document in [json!({ "defaults": { "x": deep } }), wide, long] {
            let found = problems(TenantKind::User, &document);
            assert_eq!(found.len(), 1);
            assert!(found[0].starts_with("too large, or nested too deeply"), "{}", found[0]);
        }
        for document in [
            json!(null),
            json!([]),
            json!("x"),
            json!({"metadata": {"a\u{0}": "b\n"}}),
        ] {
            assert!(!problems(TenantKind::Team, &document).is_empty(), "{document}");
        }
        for name in ["", "a/b", "a\u{202e}b", " a", "a\n", &"a".repeat(129)] {
            assert!(tenant(TenantKind::Team, name, &json!({}), &names()).is_err(), "{name}");
        }
    }
}
