//! Whether an answer follows the JSON Schema its client wanted, where the target does not guarantee it itself.
//!
//! Schemas come from clients: compiling and matching is done off the workers, with regular expressions that run in linear
//! time. Only whole answers are checked; a stream has been sent by the time its text is known.

use jsonschema::PatternOptions;

/// Check; an error says what is wrong, for the log. A schema that cannot be compiled is not held against the answer.
pub(super) async fn check(schema: String, text: String) -> Result<(), String> {
    let checked = tokio::task::spawn_blocking(move || follows(&schema, &text)).await;
    checked.map_err(|error| format!("blocking task: {error}"))?
}

fn follows(schema: &str, text: &str) -> Result<(), String> {
    let Ok(schema) = serde_json::from_str(schema) else {
        return Ok(());
    };
    let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
    let Ok(validator) = options.build(&schema) else {
        return Ok(());
    };
    let value = serde_json::from_str(text).map_err(|_| "the structured answer is not JSON".to_owned())?;
    match validator.iter_errors(&value).next() {
        None => Ok(()),
        // Where, not what: the value is the model's text.
        Some(error) => Err(format!(
            "the structured answer breaks its schema at {:?}",
            error.instance_path().as_str()
        )),
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
        for level in 0..40 {
            let next = level + 1;
            defs += &format!(r##""d{level}":{{"anyOf":[{{"$ref":"#/$defs/d{next}"}},{{"$ref":"#/$defs/d{next}"}}]}},"##);
        }
        let schema = format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{defs}"d40":{{"const":1}}}}}}"##);
        let began = std::time::Instant::now();
        let _ = follows(&schema, "2");
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    }
}
