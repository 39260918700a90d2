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
}
