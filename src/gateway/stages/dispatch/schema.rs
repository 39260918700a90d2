//! Whether an answer follows the JSON Schema its client wanted, where the target does not guarantee it itself.
//!
//! Schemas come from clients, and answers say what clients make models say: compiling and matching is done off the workers,
//! with regular expressions that run in linear time. References can double the work with every level, and a match under way
//! cannot be stopped, so [`Cost`] is reckoned first: what would take too long is not checked, and its answer passes as it
//! would from a target without the check. Only whole answers are checked; a stream has been sent by the time its text is
//! known.

use jsonschema::PatternOptions;
use serde_json::Value;

/// Largest schema that is checked, in bytes.
const LONGEST: usize = 256 * 1024;
/// Sub-schemas looked at, references followed: what a schema would be if it were written out.
const MOST_PIECES: u64 = 20_000;
/// References followed into one another.
const MOST_NESTED: usize = 64;
/// Regular expressions, and bytes that each may be compiled to.
const MOST_PATTERNS: usize = 64;
const PATTERN_BYTES: usize = 1 << 20;
/// Steps of matching, each some ten nanoseconds.
const MOST_STEPS: u64 = 20_000_000;

/// Check; an error says what is wrong, for the log. A schema that cannot be compiled is not held against the answer.
pub(super) async fn check(schema: String, text: String) -> Result<(), String> {
    let checked = tokio::task::spawn_blocking(move || follows(&schema, &text)).await;
    checked.map_err(|error| format!("blocking task: {error}"))?
}

fn follows(schema: &str, text: &str) -> Result<(), String> {
    let Some(mut schema) = read(schema) else {
        return Ok(());
    };
    let value: Value = serde_json::from_str(text).map_err(|_| "the structured answer is not JSON".to_owned())?;
    // Of other drafts references may mean something else than what was reckoned.
    if let Some(members) = schema.as_object_mut() {
        members.remove("$schema");
    }
    if Cost::of(&schema).is_none_or(|cost| cost.steps(&value, text.len()) > MOST_STEPS) {
        return Ok(());
    }
    let patterns = PatternOptions::regex()
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES);
    let Ok(validator) = jsonschema::options().with_pattern_options(patterns).build(&schema) else {
        return Ok(());
    };
    match validator.iter_errors(&value).next() {
        None => Ok(()),
        // Where, not what: the value is the model's text.
        Some(error) => Err(format!(
            "the structured answer breaks its schema at {:?}",
            error.instance_path().as_str()
        )),
    }
}

fn read(schema: &str) -> Option<Value> {
    (schema.len() <= LONGEST).then(|| serde_json::from_str(schema).ok())?
}

/// What matching a schema takes at most.
struct Cost<'s> {
    root: &'s Value,
    /// Its pieces when it is written out, up to where it refers back to itself.
    pieces: u64,
    patterns: usize,
    /// Places where it refers back: it is matched so often again with every level of the value.
    back: u64,
    /// References being followed.
    within: Vec<&'s str>,
}

impl<'s> Cost<'s> {
    /// Nothing when it cannot be told, or is too much whatever the value.
    fn of(schema: &'s Value) -> Option<Self> {
        let mut cost = Self {
            root: schema,
            pieces: 0,
            patterns: 0,
            back: 0,
            within: vec!["#"],
        };
        cost.add(schema)?;
        Some(cost)
    }

    fn add(&mut self, node: &'s Value) -> Option<()> {
        self.pieces += 1;
        if self.pieces > MOST_PIECES || self.patterns > MOST_PATTERNS {
            return None;
        }
        match node {
            Value::Array(items) => items.iter().try_for_each(|item| self.add(item)),
            Value::Object(members) => members.iter().try_for_each(|(key, member)| self.member(key, member)),
            _ => Some(()),
        }
    }

    fn member(&mut self, key: &str, member: &'s Value) -> Option<()> {
        match (key, member) {
            ("$ref", Value::String(to)) => return self.follow(to),
            // Other ways to name a schema.
            ("$id" | "$anchor" | "$dynamicAnchor" | "$dynamicRef" | "$recursiveRef" | "$recursiveAnchor", _) => {
                return None;
            }
            // Looked at where they are used.
            ("$defs" | "definitions", Value::Object(_)) => return Some(()),
            // Their keys are names, whatever they are.
            ("properties" | "dependentSchemas" | "dependencies", Value::Object(schemas)) => {
                return schemas.values().try_for_each(|schema| self.add(schema));
            }
            ("patternProperties", Value::Object(schemas)) => {
                self.patterns += schemas.len();
                return schemas.values().try_for_each(|schema| self.add(schema));
            }
            ("pattern", _) => self.patterns += 1,
            _ => {}
        }
        self.add(member)
    }

    fn follow(&mut self, to: &'s str) -> Option<()> {
        if self.within.contains(&to) {
            self.back += 1;
            return Some(());
        }
        let target = match to.strip_prefix('#')? {
            "" => self.root,
            path if path.starts_with('/') && !path.contains('%') => self.root.pointer(path)?,
            _ => return None,
        };
        if self.within.len() > MOST_NESTED {
            return None;
        }
        self.within.push(to);
        let added = self.add(target);
        self.within.pop();
        added
    }

    /// For this value, whose text is so long.
    fn steps(&self, value: &Value, length: usize) -> u64 {
        let again = self.back.max(1).saturating_pow(depth(value));
        // A value takes four bytes or so.
        let values = length as u64 / 4 + 1;
        self.pieces.saturating_mul(again).saturating_mul(values)
    }
}

/// How deep a value nests; it was read by a parser that bounds it.
fn depth(value: &Value) -> u32 {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_held_to_their_schema() {
        let schema =
            r#"{"type":"object","properties":{"n":{"type":"integer"},"s":{"pattern":"^a+$"}},"required":["n"]}"#;
        assert_eq!(follows(schema, r#"{"n":1,"s":"aa"}"#), Ok(()));
        let wrong = follows(schema, r#"{"n":"SECRET"}"#).unwrap_err();
        assert!(wrong.contains("/n") && !wrong.contains("SECRET"), "{wrong}");
        assert!(follows(schema, "{}").is_err() && follows(schema, "I think").is_err());
        assert_eq!(
            follows(r#"{"$ref":"http://127.0.0.1:1/x"}"#, "{}"),
            Ok(()),
            "nothing is fetched"
        );
    }

    #[test]
    fn schemas_that_never_end_do() {
        for schema in [
            r##"{"$ref":"#"}"##,
            r##"{"allOf":[{"$ref":"#"}]}"##,
            r##"{"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"}]},"b":{"not":{"$ref":"#/$defs/a"}}},"$ref":"#/$defs/a"}"##,
            r##"{"properties":{"a":{"$ref":"#"}},"if":{"$ref":"#"},"then":false}"##,
            r##"{"$dynamicRef":"#x","$dynamicAnchor":"x"}"##,
        ] {
            let _ = follows(schema, r#"{"a":{"a":1}}"#);
        }
    }

    #[test]
    fn schemas_that_double_with_every_level_are_given_up() {
        let mut defs = String::new();
        let began = std::time::Instant::now();
        for level in 0..40 {
            let next = level + 1;
            defs +=
                &format!(r##""d{level}":{{"anyOf":[{{"$ref":"#/$defs/d{next}"}},{{"$ref":"#/$defs/d{next}"}}]}},"##);
        }
        let schema = format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{defs}"d40":{{"const":1}}}}}}"##);
        assert_eq!(follows(&schema, "2"), Ok(()), "not checked");
        let hidden =
            format!(r##"{{"properties":{{"$defs":{{"$ref":"#/$defs/d0"}}}},"$defs":{{{defs}"d40":{{"const":1}}}}}}"##);
        assert_eq!(follows(&hidden, r#"{"$defs":2}"#), Ok(()), "not checked");
        // The same by way of the value's depth.
        let twice = r##"{"anyOf":[{"required":["a"],"properties":{"a":{"$ref":"#"}}},{"required":["a"],"properties":{"a":{"$ref":"#"}}}]}"##;
        let deep = format!("{}1{}", r#"{"a":"#.repeat(60), "}".repeat(60));
        assert_eq!(follows(twice, &deep), Ok(()), "not checked");
        let patterns: Vec<String> = (0..1000)
            .map(|at| format!(r#""p{at}":{{"pattern":"\\w{{200}}"}}"#))
            .collect();
        let patterns = format!(r#"{{"properties":{{{}}}}}"#, patterns.join(","));
        assert_eq!(follows(&patterns, r#"{"p1":"x"}"#), Ok(()), "not checked");
        assert!(
            began.elapsed() < std::time::Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
    }

    #[test]
    fn recursive_schemas_of_usual_answers_are_checked() {
        let tree = r##"{"$ref":"#/$defs/node","$defs":{"node":{"type":"object","required":["v"],
            "properties":{"v":{"type":"integer"},"left":{"$ref":"#/$defs/node"},"right":{"$ref":"#/$defs/node"}}}}}"##;
        assert_eq!(follows(tree, r#"{"v":1,"left":{"v":2,"right":{"v":3}}}"#), Ok(()));
        assert!(follows(tree, r#"{"v":1,"left":{"v":2,"right":{"w":3}}}"#).is_err());
        let list = r##"{"type":"object","properties":{"next":{"$ref":"#"},"n":{"type":"integer"}},"$schema":"https://json-schema.org/draft/2020-12/schema"}"##;
        let long = format!("{}{{\"n\":1.5}}{}", r#"{"next":"#.repeat(100), "}".repeat(100));
        assert!(follows(list, &long).is_err());
    }
}
