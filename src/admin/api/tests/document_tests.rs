//! The OpenAPI document: sound, complete, and true of the answers.

use super::*;
use crate::admin::api::openapi::document;
use jsonschema::Validator;

fn the_document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(document)
}

/// The templated path of a path, an exact one before one with a name.
fn template(path: &str) -> Option<&'static str> {
    let path = path.split('?').next().unwrap();
    let paths = the_document()["paths"].as_object().unwrap();
    if let Some((exact, _)) = paths.get_key_value(path) {
        return Some(exact);
    }
    let fits = |template: &str| match template.split_once("{name}").or_else(|| template.split_once("{id}")) {
        None => false,
        Some((before, after)) => {
            let middle = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            let slashes = ["prices", "targets"].iter().any(|part| before.contains(part));
            middle.is_some_and(|name| !name.is_empty() && (slashes || !name.contains('/')))
        }
    };
    paths
        .keys()
        .filter(|template| fits(template))
        .max_by_key(|template| template.len())
        .map(String::as_str)
}

/// Check an answer against what the document says of it.
#[track_caller]
pub fn fits(method: &str, path: &str, status: u16, answer: &Value) {
    static VALIDATORS: OnceLock<Mutex<HashMap<String, Arc<Validator>>>> = OnceLock::new();
    let Some(template) = template(path) else {
        assert_eq!(status, 404, "{method} {path} is not in the document: {answer}");
        return;
    };
    let operation = &the_document()["paths"][template][method.to_lowercase()];
    if operation.is_null() {
        assert_eq!(status, 405, "{method} {path} is not in the document: {answer}");
        return;
    }
    let declared = &operation["responses"][status.to_string()];
    assert!(
        status >= 400 || !declared.is_null(),
        "{method} {path}: {status} is not in the document"
    );
    let response = if declared.is_null() {
        &operation["responses"]["default"]
    } else {
        declared
    };
    let schema = &response["content"]["application/json"]["schema"];
    assert!(!schema.is_null(), "{method} {path} {status}: no schema");
    let mut validators = VALIDATORS
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(|e| e.into_inner());
    let validator = validators.entry(schema.to_string()).or_insert_with(|| {
        let mut root = schema.clone();
        if let Some(root) = root.as_object_mut() {
            root.insert("components".to_owned(), the_document()["components"].clone());
        }
        Arc::new(jsonschema::validator_for(&root).unwrap())
    });
    let validator = Arc::clone(validator);
    drop(validators);
    let wrong: Vec<String> = validator
        .iter_errors(answer)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(
        wrong.is_empty(),
        "{method} {path} {status}: {answer}\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_document_is_sound() {
    let document = the_document();
    assert_eq!(document["openapi"], "3.1.0");
    // Every reference leads somewhere.
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(document, &mut found);
    assert!(found.len() > 50);
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("a local reference");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(jsonschema::meta::is_valid(schema), "{name}");
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        assert!(name.chars().all(plain), "{name} is no name of a component");
        assert!(schema.get("description").is_some(), "{name} has no description");
    }
    let mut ids = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let named = path.matches('{').count();
        for operation in item.as_object().unwrap().values() {
            ids.push(operation["operationId"].as_str().unwrap());
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{path}");
            let empty = Vec::new();
            let parameters = operation["parameters"].as_array().unwrap_or(&empty);
            let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
            assert_eq!(in_path, named, "{path}");
            assert!(
                parameters
                    .iter()
                    .all(|parameter| parameter["description"].is_string() && parameter["schema"].is_object())
            );
        }
    }
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "operation ids repeat");
}

#[test]
fn nothing_is_mounted_but_by_the_table() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin");
    let mut folders = vec![here];
    let mut mounts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.display().to_string().contains("tests") {
                let text = std::fs::read_to_string(&path).unwrap();
                mounts.extend(text.matches(".route(").map(|_| path.display().to_string()));
            }
        }
    }
    assert_eq!(mounts.len(), 1, "{mounts:?}");
}

#[tokio::test]
async fn every_path_and_method_of_the_document_is_served() {
    let world = World::peopled();
    for (path, item) in the_document()["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            let id = if path.contains("/cache/") {
                "ab"
            } else {
                "openai/gpt-4o"
            };
            let concrete = path.replace("{id}", id).replace("{name}", "ci");
            let (status, answer) = world.ask("owner", &method, &concrete, Value::Null).await;
            let unserved = status == 405 || answer["error"]["message"] == "no such path";
            assert!(!unserved, "{method} {path}: {status} {answer}");
        }
    }
    let (status, served) = world.get("owner", "/admin/v1/openapi.json").await;
    assert_eq!((status, &served), (200, the_document()));
}
