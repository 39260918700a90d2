//! Reports of wrong hits: the id that a hit carries, what an application sends back, and whose answers it may report.
//!
//! ```text
//! x-cirque-cache-id: ANSWER               the very same question was answered before
//!                    ANSWER.QUESTION      a question that was taken to mean the same was; QUESTION is the key of the one that was asked
//! POST /cirque/v1/cache/feedback          {"id": "…"}
//! ```
//! Not what becomes of it (the tiers', through [`Wrong`]). The one idea: the id says everything, so nobody has to remember which hit was
//! served to whom.

use super::{Key, NoDigest, Owner, Scope, Wrong};
use crate::error::GatewayError;
use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

/// The response header of hits.
pub const CACHE_ID: &str = "x-cirque-cache-id";
/// Where applications report.
pub const FEEDBACK_PATH: &str = "/cirque/v1/cache/feedback";
/// Longest report, in bytes.
pub const LONGEST_REPORT: usize = 1024;

/// What a hit is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HitId {
    /// The answer that was served.
    pub answer: Key,
    /// The question that got it, if that was another one than the answer's own.
    pub question: Option<Key>,
}

impl HitId {
    /// Of a hit: the answer's key and that of the question.
    pub fn new(answer: Key, question: Key) -> Self {
        Self {
            answer,
            question: (answer != question).then_some(question),
        }
    }
}

impl From<HitId> for Wrong {
    fn from(id: HitId) -> Self {
        Self {
            id: id.answer,
            question: id.question,
        }
    }
}

impl fmt::Display for HitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.question {
            None => write!(f, "{}", self.answer),
            Some(question) => write!(f, "{}.{question}", self.answer),
        }
    }
}

impl FromStr for HitId {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let (answer, question) = match text.split_once('.') {
            Some((answer, question)) => (answer, Some(question.parse()?)),
            None => (text, None),
        };
        let answer = answer.parse()?;
        Ok(Self {
            answer,
            question: question.filter(|question| *question != answer),
        })
    }
}

/// Read an application's report.
pub fn read_report(body: &[u8]) -> Result<HitId, GatewayError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Report {
        id: String,
    }
    let wrong = || {
        let text = "send {\"id\": \"…\"}: what x-cirque-cache-id said of the answer";
        GatewayError::invalid("invalid_report", text).param("id")
    };
    if body.len() > LONGEST_REPORT {
        return Err(wrong());
    }
    let report: Report = serde_json::from_slice(body).map_err(|_| wrong())?;
    report.id.parse().map_err(|NoDigest| wrong())
}

/// Whether a caller may report an answer: one that its own scope (by its policy) shares with whoever paid for it. To others it does
/// not exist.
pub fn may_report(answer: &Owner, caller: &Owner, scope: Scope) -> bool {
    let same =
        |have: &Option<_>, own: &Option<_>| -> Option<bool> { own.as_ref().map(|own| have.as_ref() == Some(own)) };
    let person = || match &caller.key {
        Some(key) => answer.key.as_ref() == Some(key),
        None => answer.key.is_none() && caller.user == answer.user && caller.team == answer.team,
    };
    let organisation = answer.organisation == caller.organisation;
    let shared = match scope {
        Scope::Key => None,
        Scope::User => same(&answer.user, &caller.user),
        Scope::Project => same(&answer.project, &caller.project),
        Scope::Team => same(&answer.team, &caller.team),
        Scope::Organisation => same(&answer.organisation, &caller.organisation),
    };
    organisation && shared.unwrap_or_else(person)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Key = Key([1; 16]);
    const B: Key = Key([2; 16]);

    #[test]
    fn ids_are_written_and_read() {
        for (id, length) in [(HitId::new(A, A), 32), (HitId::new(A, B), 65)] {
            let text = id.to_string();
            assert_eq!(text.len(), length);
            assert_eq!(text.parse(), Ok(id));
        }
        assert_eq!(format!("{A}.{A}").parse(), Ok(HitId::new(A, A)));
        for wrong in [
            "",
            ".",
            &format!("{A}."),
            &format!("{A}.{B}.{B}"),
            &format!(".{A}"),
            "x",
        ] {
            assert!(wrong.parse::<HitId>().is_err(), "{wrong}");
        }
        assert_eq!(
            Wrong::from(HitId::new(A, B)),
            Wrong {
                id: A,
                question: Some(B)
            }
        );
    }

    #[test]
    fn reports_are_read_and_others_refused_with_what_to_send() {
        assert_eq!(
            read_report(format!("{{\"id\": \"{A}\"}}").as_bytes()).unwrap(),
            HitId::new(A, A)
        );
        let long = format!("{{\"id\": \"{A}\"{}}}", " ".repeat(2000));
        for wrong in [
            "",
            "{}",
            "[]",
            "{\"id\": 1}",
            "{\"id\": \"x\"}",
            &format!("{{\"id\": \"{A}\", \"all\": true}}"),
            &long,
        ] {
            let error = read_report(wrong.as_bytes()).unwrap_err();
            assert_eq!(error.kind.status(), 400, "{wrong}");
            assert!(error.message.contains("x-cirque-cache-id"));
        }
    }

    #[test]
    fn what_another_scope_paid_for_cannot_be_reported() {
        let owner = |organisation: &str, team: &str, key: &str| Owner {
            organisation: Some(organisation.into()),
            team: Some(team.into()),
            key: Some(key.into()),
            ..Owner::default()
        };
        let mine = owner("o", "t", "k");
        for (answer, scope, may) in [
            (owner("o", "t", "k"), Scope::Key, true),
            (owner("o", "t", "other"), Scope::Key, false),
            (owner("o", "t", "other"), Scope::Team, true),
            (owner("o", "u", "k"), Scope::Team, false),
            (owner("o", "u", "other"), Scope::Organisation, true),
            (owner("p", "t", "k"), Scope::Organisation, false),
            (owner("p", "t", "k"), Scope::Team, false),
            // It has no project: what it shares is its own.
            (owner("o", "t", "other"), Scope::Project, false),
            (owner("o", "t", "k"), Scope::Project, true),
            (Owner::default(), Scope::Team, false),
        ] {
            assert_eq!(may_report(&answer, &mine, scope), may, "{answer:?} {scope:?}");
        }
        // Nobody's with nobody's, and with nobody else's.
        let nobody = Owner::default();
        assert!(may_report(&nobody, &nobody, Scope::Organisation));
        assert!(!may_report(&mine, &nobody, Scope::Organisation));
    }
}
