//! Does the file have the right shape: known keys, right types, nothing missing, well-formed durations and sizes?
//!
//! The JSON Schema decides; this file only turns its verdicts (`anyOf`, `oneOf`, `pattern`, …) into sentences about the file.
//! Every fault also says how to get past it, so that the rest of the file can still be checked for meaning.

use super::model::TenantKind;
use super::money::{Usd, UsdPerMillion};
use super::problem::{Finding, Place, Step, nearest, quoted};
use super::scalars::{self, ByteSize, Interval, SecretRef};
use super::tree::{Data, Node};
use jsonschema::{ValidationError, Validator, error::ValidationErrorKind as Kind};
use serde_json::{Value, json};
use std::sync::OnceLock;

/// Most faults taken from one check: a flood tells nobody anything.
pub(super) const MOST_FAULTS: usize = 500;

/// Where the schema keeps the rules of sizes.
const SIZE: &str = "/$defs/ByteSize/";
/// Where it keeps those of prices.
const PRICE: &str = "/$defs/UsdPerMillion/";

/// What is wrong with the shape, and how to get past it.
pub(super) struct Fault {
    pub(super) finding: Finding,
    pub(super) detour: Detour,
}

/// A change to the tree that makes the rest of it readable. Never seen by the user.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Detour {
    /// Take out what is there.
    Remove(Place),
    /// Put a stand-in value there.
    Insert(Place, Value),
}

impl Detour {
    pub(super) fn place(&self) -> &Place {
        match self {
            Self::Remove(place) | Self::Insert(place, _) => place,
        }
    }
}

/// The schema, compiled once per load.
pub(super) struct Structure {
    schema: Value,
    validator: Validator,
}

impl Structure {
    pub(super) fn new() -> Result<Self, String> {
        Self::with(super::schema::json_schema())
    }

    /// That of one tenant or key, built once for each kind.
    pub(super) fn of(kind: TenantKind) -> Result<&'static Self, String> {
        static ALL: [OnceLock<Result<Structure, String>>; 5] = [const { OnceLock::new() }; 5];
        let build = || {
            let mut schema = super::schema::json_schema();
            let name = match kind {
                TenantKind::Organisation => "Organisation",
                TenantKind::Team => "Team",
                TenantKind::Project => "Project",
                TenantKind::User => "User",
                TenantKind::Key => "Key",
            };
            let definitions = schema.get_mut("$defs").map(Value::take).unwrap_or_default();
            Self::with(json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$ref": format!("#/$defs/{name}"),
                "$defs": definitions,
            }))
        };
        let kept = ALL.get(kind as usize).ok_or("no such kind")?;
        kept.get_or_init(build).as_ref().map_err(Clone::clone)
    }

    fn with(schema: Value) -> Result<Self, String> {
        let validator = jsonschema::options()
            .with_format(scalars::INTERVAL_FORMAT, |text| Interval::parse(text).is_ok())
            .with_format(scalars::SIZE_FORMAT, |text| ByteSize::parse(text).is_ok())
            .with_format(scalars::SECRET_FORMAT, |text| SecretRef::parse(text).is_ok())
            .should_validate_formats(true)
            .build(&schema)
            .map_err(|error| error.to_string())?;
        Ok(Self { schema, validator })
    }

    /// Every fault of the tree, at most [`MOST_FAULTS`].
    pub(super) fn check(&self, root: &Node) -> Vec<Fault> {
        let value = root.to_value();
        let mut faults = Vec::new();
        for error in self.validator.iter_errors(&value) {
            if faults.len() >= MOST_FAULTS {
                break;
            }
            Reader {
                schema: &self.schema,
                root,
            }
            .error(&error, &mut faults);
        }
        faults.truncate(MOST_FAULTS);
        // `pattern` and `format` say the same thing of the same text.
        let mut seen: Vec<(Place, String)> = Vec::new();
        faults.retain(|fault: &Fault| {
            let key = (fault.finding.place.clone(), fault.finding.message.clone());
            let new = !seen.contains(&key);
            if new {
                seen.push(key);
            }
            new
        });
        faults
    }
}

struct Reader<'a> {
    schema: &'a Value,
    root: &'a Node,
}

impl Reader<'_> {
    fn error(&self, error: &ValidationError<'_>, out: &mut Vec<Fault>) {
        let place = resolve(self.root, error.instance_path().as_str());
        let rule = error.schema_path().as_str();
        let (parent, _) = rule.rsplit_once('/').unwrap_or((rule, ""));
        let found = error.instance().as_ref();
        match error.kind() {
            Kind::AdditionalProperties { unexpected } => {
                let keys = unexpected.iter().take(MOST_FAULTS);
                out.extend(keys.map(|key| self.unknown_key(&place, parent, key)));
            }
            Kind::Required { property } => out.push(missing(place, property.as_str().unwrap_or_default())),
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => self.branches(&place, found, context, out),
            Kind::Constant { expected_value } => {
                out.push(not_one_of(place, found, &[expected_value.as_str().unwrap_or_default()]));
            }
            Kind::Enum { options } => {
                let options: Vec<&str> = options
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                out.push(not_one_of(place, found, &options));
            }
            Kind::Minimum { .. } | Kind::Maximum { .. } if rule.contains(SIZE) => {
                out.push(self.wrong_value(place, rule, found))
            }
            Kind::Minimum { limit } => out.push(fault(place, "too small", format!("write at least {limit}"))),
            Kind::Maximum { limit } => out.push(fault(place, "too large", format!("write at most {limit}"))),
            Kind::MinProperties { .. } => out.push(fault(place, "nothing is below it", "add at least one line")),
            Kind::MinItems { .. } => out.push(fault(place, "the list is empty", "add at least one element")),
            Kind::Type { .. } | Kind::Pattern { .. } | Kind::Format { .. } => {
                out.push(self.wrong_value(place, rule, found))
            }
            other => out.push(fault(
                place,
                format!("not allowed here ({})", other.keyword()),
                "see `cirque config schema`",
            )),
        }
    }

    fn unknown_key(&self, place: &Place, parent: &str, key: &str) -> Fault {
        let known = self
            .schema
            .pointer(&format!("{parent}/properties"))
            .and_then(Value::as_object);
        let known: Vec<&str> = known
            .into_iter()
            .flat_map(|map| map.keys().map(String::as_str))
            .collect();
        let remedy = match nearest(key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("remove it; known here: {}", known.join(", ")),
        };
        let place = place.key(key);
        let finding = Finding {
            place: place.clone(),
            at_key: true,
            message: "unknown key".to_owned(),
            remedy,
        };
        Fault {
            finding,
            detour: Detour::Remove(place),
        }
    }

    /// A value that fits none of several shapes: speak of the one that was meant.
    fn branches(&self, place: &Place, found: &Value, context: &[Vec<ValidationError<'static>>], out: &mut Vec<Fault>) {
        let at = |error: &ValidationError<'_>| resolve(self.root, error.instance_path().as_str());
        let tag = place.key("kind");
        // A branch is out when the value has another type or another tag altogether.
        let excluded = |errors: &&Vec<ValidationError<'static>>| {
            errors.iter().any(|error| match error.kind() {
                Kind::Type { .. } => at(error) == *place,
                Kind::Constant { .. } | Kind::Enum { .. } => at(error) == *place || at(error) == tag,
                Kind::Required { property } => property == "kind" && at(error) == *place,
                _ => false,
            })
        };
        let meant: Vec<_> = context.iter().filter(|errors| !excluded(errors)).collect();
        if let [only] = meant.as_slice() {
            return only.iter().for_each(|error| self.error(error, out));
        }
        let mut options = Vec::new();
        for error in context.iter().flatten() {
            match error.kind() {
                Kind::Constant { expected_value } => options.extend(expected_value.as_str()),
                Kind::Enum { options: several } => {
                    options.extend(several.as_array().into_iter().flatten().filter_map(Value::as_str));
                }
                _ => {}
            }
        }
        let untagged = context
            .iter()
            .flatten()
            .any(|error| matches!(error.kind(), Kind::Required { property } if property == "kind"));
        if found.is_object() && untagged {
            return out.push(missing(place.clone(), "kind"));
        }
        if !options.is_empty() && !found.is_object() {
            return out.push(not_one_of(place.clone(), found, &options));
        }
        if let (false, Some(kind)) = (options.is_empty(), found.get("kind")) {
            return out.push(not_one_of(tag, kind, &options));
        }
        let not_null = |error: &&ValidationError<'static>| {
            self.schema
                .pointer(error.schema_path().as_str())
                .and_then(Value::as_str)
                != Some("null")
        };
        let mut real = context
            .iter()
            .filter(|errors| errors.iter().all(|error| not_null(&error)));
        match (real.next(), real.next()) {
            (Some(only), None) => only.iter().for_each(|error| self.error(error, out)),
            _ => out.push(shape(place.clone(), found)),
        }
    }

    /// A scalar of the wrong type or form.
    fn wrong_value(&self, place: Place, rule: &str, found: &Value) -> Fault {
        let text = found.as_str();
        if rule.contains("/$defs/Interval/") {
            let why = text.map_or_else(
                || format!("{} is not a duration", kind_of(found)),
                |text| {
                    let why = Interval::parse(text)
                        .err()
                        .unwrap_or_else(|| "not a duration".to_owned());
                    format!("{}: {why}", quoted(text))
                },
            );
            return fault(place, why, "write a whole number and ms, s, m or h, for example `30s`");
        }
        if rule.contains(SIZE) {
            let number = found.as_u64().map(|number| number.to_string());
            let why = text.or(number.as_deref()).map_or_else(
                || format!("{} is not a size", kind_of(found)),
                |text| {
                    let why = ByteSize::parse(text).err().unwrap_or_else(|| "not a size".to_owned());
                    format!("{}: {why}", quoted(text))
                },
            );
            return fault(
                place,
                why,
                "write a whole number and KiB, MiB or GiB, for example `32MiB`",
            );
        }
        if rule.contains(PRICE) {
            let why = match found {
                Value::Number(_) => "a price is text, so that no rounding comes between it and a bill".to_owned(),
                Value::String(text) => format!("{}: not a price", quoted(text)),
                other => format!("{} is not a price", kind_of(other)),
            };
            return fault(place, why, price_remedy(found));
        }
        if let Some(fault) = amount(&place, rule, found) {
            return fault;
        }
        if rule.contains("/$defs/SecretRef/") {
            let why = text.and_then(|text| SecretRef::parse(text).err());
            let why = why.unwrap_or_else(|| format!("{} is not a reference to a secret", kind_of(found)));
            return fault(
                place,
                why,
                "put it into the environment or a file and write `env:NAME` or `file:PATH`",
            );
        }
        let expected = match self.schema.pointer(rule) {
            Some(Value::String(one)) => one.clone(),
            Some(Value::Array(several)) => several
                .iter()
                .filter_map(Value::as_str)
                .find(|one| *one != "null")
                .unwrap_or_default()
                .to_owned(),
            _ => String::new(),
        };
        wrong_type(place, &expected, found)
    }
}

/// An amount of money, a share or a moment that is none.
fn amount(place: &Place, rule: &str, found: &Value) -> Option<Fault> {
    let is = |name: &str| rule.contains(&format!("/$defs/{name}/"));
    let text = found.as_str();
    let (what, remedy) = if is("Usd") {
        let number = found.as_number().map(ToString::to_string).unwrap_or_default();
        let remedy = if Usd::parse(&number).is_ok() {
            format!("put it in quotes: `\"{number}\"`")
        } else {
            "write US dollars, digits and at most one point, without sign or currency, in quotes: `\"250.00\"`"
                .to_owned()
        };
        ("an amount of US dollars", remedy)
    } else if is("Percent") {
        (
            "a share in percent",
            "write a number and `%`, in quotes: `\"10%\"`".to_owned(),
        )
    } else if is("Moment") {
        ("a moment", "write it as `2027-01-31T00:00:00Z`".to_owned())
    } else {
        return None;
    };
    let why = text.map_or_else(
        || format!("{} is not {what}", kind_of(found)),
        |text| format!("{}: not {what}", quoted(text)),
    );
    Some(fault(place.clone(), why, remedy))
}

/// How to write a price. A number that would be one in quotes is repeated in them.
fn price_remedy(found: &Value) -> String {
    let text = found.as_number().map(ToString::to_string).unwrap_or_default();
    if UsdPerMillion::parse(&text).is_ok() {
        return format!("put it in quotes: `\"{text}\"`");
    }
    "write US dollars per million tokens, digits and at most one point, in quotes: `\"2.50\"`".to_owned()
}

fn fault(place: Place, message: impl Into<String>, remedy: impl Into<String>) -> Fault {
    Fault {
        finding: Finding::new(place.clone(), message, remedy),
        detour: Detour::Remove(place),
    }
}

fn wrong_type(place: Place, expected: &str, found: &Value) -> Fault {
    let (what, remedy) = match (expected, found) {
        ("string", Value::Number(_) | Value::Bool(_)) => ("text", "put it in quotes"),
        ("string", Value::Null) => ("text", "write a value, or remove the key"),
        ("string", _) => ("text", "write one value"),
        ("boolean", _) => ("true or false", "write `true` or `false`, without quotes"),
        ("integer", Value::String(_)) => ("a whole number", "write digits only, without quotes or unit"),
        ("integer", _) => ("a whole number", "write digits only"),
        ("number", Value::String(_)) => ("a number", "write digits, without quotes or unit: `1.5`"),
        ("number", _) => ("a number", "write digits: `1.5`"),
        ("array", Value::Object(_)) => ("a list", "begin each element with `- `"),
        ("array", _) => ("a list", "write `[ … ]`, or one line with `- ` per element"),
        ("object", Value::Null) => ("keys and values", "write its keys below it, indented, or remove it"),
        ("object", Value::Array(_)) => ("keys and values", "remove the `- `: this is not a list"),
        _ => ("keys and values", "write `key: value` lines below it, indented"),
    };
    fault(place, format!("expected {what}, found {}", kind_of(found)), remedy)
}

fn not_one_of(place: Place, found: &Value, options: &[&str]) -> Fault {
    let all = options
        .iter()
        .map(|option| format!("`{option}`"))
        .collect::<Vec<_>>()
        .join(", ");
    let Some(text) = found.as_str() else {
        return fault(
            place,
            format!("expected one of {all}, found {}", kind_of(found)),
            "write one of these",
        );
    };
    let remedy = match nearest(text, options.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? Possible: {all}"),
        None => format!("write one of {all}"),
    };
    fault(place, format!("{} is not known", quoted(text)), remedy)
}

fn missing(place: Place, key: &str) -> Fault {
    let probe = place.0.last() == Some(&Step::Key("health_check".to_owned()));
    // What to write, and a stand-in that no check of meaning trips over elsewhere.
    let (example, stand_in) = match key {
        "listen" => ("listen: 127.0.0.1:8080", json!("127.0.0.1:0")),
        "address" => ("address: 127.0.0.1:8080", json!("127.0.0.1:0")),
        "targets" => ("targets: [ { provider: NAME } ]", json!([{ "provider": "" }])),
        "provider" => ("provider: NAME", json!("")),
        "kind" if probe => ("kind: tcp", json!("tcp")),
        "kind" => ("kind: openai", json!("openai")),
        "path" if probe => ("path: /health", json!("/")),
        "path" => ("path: /v1/files", json!("/v1/-")),
        "name" => ("name: NAME-OF-THE-RULE", json!("")),
        "on" => ("on: metadata.region", json!("")),
        "cases" => ("cases: { VALUE: NAME-OF-A-MODEL }", json!({})),
        "to" => ("to: NAME-OF-A-MODEL", json!("")),
        "input" => ("input: \"2.50\"", json!("0")),
        "output" => ("output: \"10.00\"", json!("0")),
        "pool" => ("pool: NAME-OF-A-MODEL", json!("")),
        "cert" => ("cert: /etc/cirque/cert.pem", json!("")),
        "key" => ("key: /etc/cirque/key.pem", json!("")),
        "access_key_id" => ("access_key_id: env:AWS_ACCESS_KEY_ID", json!("env:STAND_IN")),
        "secret_access_key" => ("secret_access_key: env:AWS_SECRET_ACCESS_KEY", json!("env:STAND_IN")),
        "usd" => ("usd: \"250.00\"", json!("0")),
        "issuer" => ("issuer: https://ISSUER", json!("https://stand-in.invalid")),
        "audiences" => ("audiences: [ NAME-OF-THIS-GATEWAY ]", json!(["-"])),
        "claim" => ("claim: groups", json!("-")),
        "value" => ("value: NAME", json!("-")),
        "url" => ("url: env:DATABASE_URL", json!("env:STAND_IN")),
        "urls" => (
            "urls: [ \"redis://127.0.0.1:6379\" ]",
            json!(["redis://127.0.0.1:6379"]),
        ),
        "token" => ("token: env:NAME", json!("env:STAND_IN")),
        "role" => ("role: read-only", json!("read-only")),
        "client_id" => ("client_id: ID-OF-THE-APPLICATION", json!("-")),
        "client_secret" => ("client_secret: env:AZURE_CLIENT_SECRET", json!("env:STAND_IN")),
        other => (other, Value::Null),
    };
    let detour = Detour::Insert(place.key(key), stand_in);
    let finding = Finding::new(place, format!("the key `{key}` is missing"), format!("add `{example}`"));
    Fault { finding, detour }
}

/// A value where several shapes are allowed and it has none of them.
fn shape(place: Place, found: &Value) -> Fault {
    let listen = place.0.first() == Some(&Step::Key("listen".to_owned()));
    if !listen {
        return fault(
            place,
            format!("{} does not fit here", kind_of(found)),
            "see `cirque config schema`",
        );
    }
    let message = format!(
        "expected an address, a listener or a list of them, found {}",
        kind_of(found)
    );
    let remedy =
        "write `127.0.0.1:8080`, or `{ address: 127.0.0.1:8443, tls: { cert: FILE, key: FILE } }`, or a list of either";
    fault(place, message, remedy)
}

/// The type of a value in plain words; never the value.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "keys and values",
    }
}

/// A JSON pointer as a place. The tree decides what is an index: a model may well be called `0`.
fn resolve(root: &Node, pointer: &str) -> Place {
    let mut steps = Vec::new();
    let mut node = Some(root);
    for part in pointer.split('/').skip(1) {
        let name = part.replace("~1", "/").replace("~0", "~");
        match (node.map(|node| &node.data), name.parse::<usize>()) {
            (Some(Data::List(items)), Ok(index)) => {
                node = items.get(index).map(|(_, item)| item);
                steps.push(Step::Index(index));
            }
            _ => {
                node = node.and_then(|node| node.get(&name));
                steps.push(Step::Key(name));
            }
        }
    }
    Place(steps)
}
