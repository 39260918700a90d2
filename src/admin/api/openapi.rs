//! The OpenAPI 3.1 document, made from the table of routes and the structs they take and give.

use super::failure::ErrorAnswer;
use super::operators::role_name;
use super::table::{Parameter, READ_TEAM, Reply, Route, Serve, Takes, Who, routes as all_routes};
use super::{Answer, Asked, Failure};
use axum::http::{Method, StatusCode};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// The rows of these routes.
pub(super) fn routes() -> Vec<Route> {
    let serve = Serve::Api(|asked| Box::pin(serve(asked)));
    let about = "This API as OpenAPI 3.1";
    vec![Route::new::<Value>(
        Method::GET,
        "/admin/v1/openapi.json",
        Who::Unguarded(READ_TEAM),
        serve,
        about,
    )]
}

async fn serve(_: Asked) -> Result<Answer, Failure> {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    Ok(Answer::Json(StatusCode::OK, DOCUMENT.get_or_init(document).clone()))
}

/// The document.
pub(in crate::admin) fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let error = generator.subschema_for::<ErrorAnswer>().to_value();
    let mut paths: Map<String, Value> = Map::new();
    for route in all_routes() {
        let reply = match route.reply {
            Reply::Json(shape) => json!({"application/json": {"schema": shape(&mut generator).to_value()}}),
            Reply::File(kinds) => {
                let kinds = kinds
                    .iter()
                    .map(|kind| ((*kind).to_owned(), json!({"schema": {"type": "string"}})));
                Value::Object(kinds.collect())
            }
        };
        let mut operation = json!({
            "operationId": operation_id(&route),
            "summary": route.about,
            "description": description(&route),
            "tags": [tag(route.path)],
            "responses": {
                (route.status.to_string()): {"description": "Done", "content": reply},
                "default": {"description": "Not done, and why", "content": {"application/json": {"schema": error}}},
            },
        });
        let mut parameters: Vec<Value> = path_names(route.path).map(path_parameter).collect();
        parameters.extend(route.query.iter().map(query_parameter));
        if let (Some(also), Some(responses)) = (
            route.also,
            operation.get_mut("responses").and_then(Value::as_object_mut),
        ) {
            let same = responses.get(&route.status.to_string()).cloned();
            responses.insert(also.to_string(), same.unwrap_or_default());
        }
        if let Some(operation) = operation.as_object_mut() {
            if !parameters.is_empty() {
                operation.insert("parameters".to_owned(), parameters.into());
            }
            if let Some(shape) = route.body {
                let schema = shape(&mut generator).to_value();
                let body = json!({"required": true, "content": {"application/json": {"schema": schema}}});
                operation.insert("requestBody".to_owned(), body);
            }
            if route.who == Who::Everybody {
                operation.insert("security".to_owned(), json!([]));
            }
        }
        let item = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(route.method.as_str().to_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Cirque admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Tenants, keys, limits, budgets, usage, prices, targets and the audit log of one gateway.",
        },
        "servers": [{"url": "http://127.0.0.1:8081"}],
        "security": [{"operator": []}],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {"operator": {
                "type": "http",
                "scheme": "bearer",
                "description": "Token of an operator (`admin.operators`), or of an identity provider that gives operator roles",
            }},
        },
    })
}

/// `get_keys_name` for `GET /admin/v1/keys/{name}`.
fn operation_id(route: &Route) -> String {
    let path = route.path.trim_start_matches("/admin/v1");
    let mut id = route.method.as_str().to_lowercase();
    for part in path.split(['/', '.', '{', '}']).filter(|part| !part.is_empty()) {
        id.push('_');
        id.push_str(part);
    }
    id
}

fn tag(path: &'static str) -> &'static str {
    let rest = path.strip_prefix("/admin/v1/").unwrap_or("process");
    rest.split(['/', '.']).next().unwrap_or(rest)
}

fn description(route: &Route) -> String {
    let roles = || {
        route
            .who
            .roles()
            .iter()
            .map(|role| role_name(*role))
            .collect::<Vec<_>>()
            .join(", ")
    };
    match route.who {
        Who::Everybody => "For whoever reaches the listener.".to_owned(),
        Who::Unguarded(_) => format!(
            "For {}; for whoever reaches the listener as long as there are no operators.",
            roles()
        ),
        Who::Only(_) => format!("For {}.", roles()),
    }
}

fn path_names(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn path_parameter(name: &str) -> Value {
    let about = "Percent-encoded where it has odd characters";
    json!({"name": name, "in": "path", "required": true, "description": about, "schema": {"type": "string"}})
}

fn query_parameter(parameter: &Parameter) -> Value {
    let schema = match parameter.takes {
        Takes::Text => json!({"type": "string", "minLength": 1}),
        Takes::Names => json!({"type": "array", "items": {"type": "string"}}),
        Takes::Flag => json!({"type": "boolean"}),
        Takes::Number(from, to) => json!({"type": "integer", "minimum": from, "maximum": to}),
        Takes::Time => json!({"type": "string", "examples": ["2026-01-31T22:00:00Z", "2026-01-31"]}),
        Takes::Word(words) => json!({"type": "string", "enum": words}),
        Takes::Words(words, most) => {
            json!({"type": "array", "maxItems": most, "uniqueItems": true, "items": {"type": "string", "enum": words}})
        }
    };
    let mut shown = json!({"name": parameter.name, "in": "query", "description": parameter.about, "schema": schema});
    if matches!(parameter.takes, Takes::Names | Takes::Words(..)) {
        // With commas, as the query takes them.
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("style".to_owned(), "form".into());
            shown.insert("explode".to_owned(), false.into());
        }
    }
    shown
}
