//! What is done to virtual keys beyond changing their settings: another secret, off, on, never again.
//!
//! ```text
//! live ◄─enable── disabled        rotate: another secret; the old one works until the overlap is over
//!   └──disable──►                 revoke: no secret is left; only a rotation gives it one again
//! ```

use super::change::{body, changed, merge, new_key, since};
use super::table::{Route, Serve, WRITE_TEAM, Who};
use super::views::{KeyObject, MadeKey, Rotate, show};
use super::{Answer, Asked, Failure};
use crate::config::Interval;
use crate::storage::{KeyHashRow, Kind, Object};
use axum::http::Method;
use serde_json::{Value, json};

/// Secrets that open one key at one time.
const MOST_SECRETS: usize = 5;
/// Overlap of a rotation that says nothing.
const OVERLAP_SECONDS: i64 = 24 * 60 * 60;

/// The rows of these routes.
pub(super) fn routes() -> Vec<Route> {
    let who = Who::Only(WRITE_TEAM);
    let rotate = Serve::Api(|asked| Box::pin(rotate(asked)));
    let disable = Serve::Api(|asked| Box::pin(switch(asked, "disable")));
    let enable = Serve::Api(|asked| Box::pin(switch(asked, "enable")));
    let revoke = Serve::Api(|asked| Box::pin(switch(asked, "revoke")));
    vec![
        Route::new::<MadeKey>(
            Method::POST,
            "/admin/v1/keys/{name}/rotate",
            who,
            rotate,
            "Give it another secret; the one before works on for the overlap",
        )
        .body::<Rotate>(),
        Route::new::<KeyObject>(
            Method::POST,
            "/admin/v1/keys/{name}/disable",
            who,
            disable,
            "It opens nothing until it is enabled",
        ),
        Route::new::<KeyObject>(
            Method::POST,
            "/admin/v1/keys/{name}/enable",
            who,
            enable,
            "It opens again what it did",
        ),
        Route::new::<KeyObject>(
            Method::POST,
            "/admin/v1/keys/{name}/revoke",
            who,
            revoke,
            "Its secrets open nothing ever again; at once here, within seconds in a fleet",
        ),
    ]
}

/// Seconds that the old secret works on.
fn overlap(text: Option<&str>) -> Result<i64, Failure> {
    match text {
        None => Ok(OVERLAP_SECONDS),
        Some("0s") => Ok(0),
        Some(text) => {
            let overlap = Interval::parse(text).map_err(|wrong| Failure::invalid(format!("overlap: {wrong}")))?;
            i64::try_from(overlap.as_duration().as_secs()).map_err(|_| Failure::invalid("overlap: too long"))
        }
    }
}

/// The secrets after a rotation: those that still work, not for longer than the overlap, and the new one.
fn rotated(before: &[KeyHashRow], new: KeyHashRow, overlap: i64, now_s: i64) -> Vec<KeyHashRow> {
    let until = now_s.saturating_add(overlap);
    let old = before.iter().filter(|_| overlap > 0).map(|hash| KeyHashRow {
        until: Some(hash.until.map_or(until, |own| own.min(until))),
        ..hash.clone()
    });
    old.filter(|hash| hash.until.is_some_and(|until| until > now_s))
        .chain([new])
        .collect()
}

async fn rotate(asked: Asked) -> Result<Answer, Failure> {
    let wanted: Rotate = body(&asked)?;
    let overlap = overlap(wanted.overlap.as_deref())?;
    asked.api.store()?;
    let _one_at_a_time = asked.api.changing.lock().await;
    let view = asked.api.view().await?;
    let (_, object) = asked.find_own(&view, Kind::Key, wanted.revision)?;
    let (secret, new) = new_key(&asked).await?;
    let hashes = rotated(&object.hashes, new, overlap, asked.now_s());
    if hashes.len() > MOST_SECRETS {
        let message = format!("it was rotated often of late: {MOST_SECRETS} secrets open it; send a shorter overlap");
        return Err(Failure::conflict("too_many_secrets", message));
    }
    let change = changed(&object, object.document.value(), hashes);
    let item = asked.change("rotate", change, Asked::before(&object)).await?;
    let shown = show(&view, &since(item, &object), asked.now_s());
    Answer::json(&json!({"secret": secret.expose(), "key": shown}))
}

async fn switch(asked: Asked, action: &'static str) -> Result<Answer, Failure> {
    asked.api.store()?;
    let _one_at_a_time = asked.api.changing.lock().await;
    let view = asked.api.view().await?;
    let (item, object) = asked.find_own(&view, Kind::Key, None)?;
    let (settings, hashes) = switched(&object, action);
    if object.document == settings && hashes == object.hashes {
        // It is so already: nothing is changed, nothing noted.
        return Answer::json(&show(&view, &item, asked.now_s()));
    }
    let item = asked
        .change(action, changed(&object, settings, hashes), Asked::before(&object))
        .await?;
    Answer::json(&show(&view, &since(item, &object), asked.now_s()))
}

fn switched(object: &Object, action: &str) -> (Value, Vec<KeyHashRow>) {
    let mut settings = object.document.value();
    match action {
        "revoke" => return (settings, Vec::new()),
        "disable" => merge(&mut settings, json!({"disabled": true})),
        _ => merge(&mut settings, json!({"disabled": null})),
    }
    (settings, object.hashes.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(name: &str, until: Option<i64>) -> KeyHashRow {
        KeyHashRow {
            hash: name.to_owned(),
            shown: name.to_owned(),
            until,
        }
    }

    #[test]
    fn a_rotation_never_lengthens_what_ends_sooner() {
        let before = [
            hash("a", Some(50)),
            hash("b", Some(150)),
            hash("c", Some(900)),
            hash("d", None),
        ];
        let after = rotated(&before, hash("e", None), 100, 100);
        let expected = [
            hash("b", Some(150)),
            hash("c", Some(200)),
            hash("d", Some(200)),
            hash("e", None),
        ];
        assert_eq!(after, expected);
        assert_eq!(rotated(&before, hash("e", None), 0, 100), [hash("e", None)]);
    }

    #[test]
    fn overlaps_are_read() {
        assert_eq!(overlap(None).unwrap(), 86_400);
        assert_eq!(overlap(Some("0s")).unwrap(), 0);
        assert_eq!(overlap(Some("90m")).unwrap(), 5400);
        for wrong in ["", "1", "-1h", "1d", "721h", "999999999999h"] {
            assert!(overlap(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
