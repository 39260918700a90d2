//! What a token's claims mean here: who calls, for which tenant, with which operator roles, and what is kept of the rest.
//!
//! Pure, and only ever asked of claims whose signature was checked. What an identity provider sends is believed but bounded:
//! it ends up in memory, in rules and in usage rows.

use super::JwtError;
use crate::auth::pattern::Pattern;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Operator roles there are; others in a token mean nothing here.
pub const ROLES: [&str; 5] = ["owner", "admin", "team-admin", "auditor", "read-only"];
/// Longest name of a user or a tenant, in bytes.
const LONGEST_NAME: usize = 256;
/// Claims that can be kept.
pub const MOST_KEPT: usize = 32;
/// Elements of a list that is kept; Entra sends 200 groups at most.
const MOST_ELEMENTS: usize = 256;
/// Bytes of text kept of one token.
const MOST_TEXT: usize = 8 * 1024;

/// Who a token proves the caller to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// Name of the issuer in the configuration.
    pub issuer: Arc<str>,
    /// The user, with the issuer's prefix.
    pub user: String,
    /// What the issuer calls the user; unique within the issuer only.
    pub subject: String,
    /// Whoever names no tenant that is known here is refused.
    pub needs_tenant: bool,
    /// The organisation, by name.
    pub organisation: Option<String>,
    /// The team, by name.
    pub team: Option<String>,
    /// The project, by name.
    pub project: Option<String>,
    /// Operator roles, each one of [`ROLES`], in their order.
    pub roles: Vec<&'static str>,
    /// Claims to keep, by their name as configured: text, numbers, truth values, and lists of those.
    pub claims: BTreeMap<String, Value>,
    /// When the token ends, in seconds since 1970, leeway not included.
    pub expires: i64,
}

/// Where in the claims something is: `sub`, `realm_access.roles`, `"https://acme.example/team".name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath {
    written: Arc<str>,
    steps: Vec<String>,
}

impl ClaimPath {
    /// Read one. The error says what is wrong with it.
    pub fn parse(written: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut rest = written;
        loop {
            let (step, after) = match rest.strip_prefix('"') {
                Some(quoted) => quoted
                    .split_once('"')
                    .ok_or_else(|| format!("claim `{written}`: a quote is never closed"))?,
                None => rest.split_at(rest.find(['.', '"']).unwrap_or(rest.len())),
            };
            if step.is_empty() {
                return Err(format!("claim `{written}`: an empty name"));
            }
            steps.push(step.to_owned());
            if after.is_empty() {
                break;
            }
            rest = after
                .strip_prefix('.')
                .ok_or_else(|| format!("claim `{written}`: write `.` between names, quotes around whole ones"))?;
        }
        Ok(Self {
            written: written.into(),
            steps,
        })
    }

    /// As it is written.
    pub fn written(&self) -> &Arc<str> {
        &self.written
    }

    fn of<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, inner) = self.steps.split_first()?;
        inner
            .iter()
            .try_fold(claims.get(first)?, |value, step| value.as_object()?.get(step))
    }
}

/// What a claim's value means: the tenant, the role.
#[derive(Debug, Clone)]
pub struct Meaning {
    /// The claim.
    pub claim: ClaimPath,
    /// Its value, or one of its values.
    pub value: Pattern,
    /// The organisation this means.
    pub organisation: Option<String>,
    /// The team this means.
    pub team: Option<String>,
    /// The project this means.
    pub project: Option<String>,
    /// The operator role this means, one of [`ROLES`].
    pub role: Option<&'static str>,
}

/// How one issuer's claims are read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The user's name.
    pub user: ClaimPath,
    /// The organisation's.
    pub organisation: Option<ClaimPath>,
    /// The team's.
    pub team: Option<ClaimPath>,
    /// The project's.
    pub project: Option<ClaimPath>,
    /// Operator roles.
    pub roles: Option<ClaimPath>,
    /// What is kept.
    pub keep: Vec<ClaimPath>,
    /// What values mean. The first that fits and names a tenant gives the tenant, before the claims above; the first that
    /// fits and names a role gives a role, beside the claim above.
    pub map: Vec<Meaning>,
    /// Claims that must be there with this value, or this value among others.
    pub require: Vec<(ClaimPath, String)>,
    /// Team of tokens that name no tenant.
    pub default_team: Option<String>,
    /// Whose names are whose.
    pub space: Namespace,
    /// Tokens that name no tenant are refused.
    pub require_tenant: bool,
}

/// What the names of an issuer begin with, and those of the others.
#[derive(Debug, Clone, Default)]
pub struct Namespace {
    /// Of users.
    pub users: String,
    /// Of tenants that claims name.
    pub tenants: String,
    /// What names of other issuers begin with.
    pub others: Vec<String>,
}

impl Namespace {
    /// The name here of what the issuer calls so; none: it would be another issuer's. Of two prefixes of which one begins with the
    /// other, a name belongs to the longer one.
    fn place(&self, prefix: &str, name: &str) -> Option<String> {
        let full = format!("{prefix}{name}");
        let foreign = |other: &String| other.len() > prefix.len() && full.starts_with(other.as_str());
        (!self.others.iter().any(foreign)).then_some(full)
    }
}

impl Reading {
    /// Whether the required claims are there.
    pub(super) fn check(&self, claims: &Map<String, Value>) -> Result<(), JwtError> {
        for (path, wanted) in &self.require {
            let value = path
                .of(claims)
                .ok_or_else(|| JwtError::MissingClaim(Arc::clone(&path.written)))?;
            if !texts(value).any(|text| text == *wanted) {
                return Err(JwtError::ClaimValue(Arc::clone(&path.written)));
            }
        }
        Ok(())
    }

    /// Who this is.
    pub(super) fn identity(
        &self,
        issuer: &Arc<str>,
        claims: &Map<String, Value>,
        expires: i64,
    ) -> Result<Identity, JwtError> {
        let subject =
            name(&self.user, claims)?.ok_or_else(|| JwtError::MissingClaim(Arc::clone(&self.user.written)))?;
        let placed = |path: &ClaimPath, prefix: &str, name: &str| {
            let placed = self.space.place(prefix, name);
            placed.ok_or_else(|| JwtError::ClaimValue(Arc::clone(&path.written)))
        };
        let user = placed(&self.user, &self.space.users, &subject)?;
        let fitting = || {
            let fits = |rule: &&Meaning| {
                let value = rule.claim.of(claims);
                value.is_some_and(|value| texts(value).any(|text| rule.value.fits(&text)))
            };
            self.map.iter().filter(fits)
        };
        let meant = fitting().find(|rule| rule.organisation.is_some() || rule.team.is_some() || rule.project.is_some());
        let tenant = |meant: Option<&String>, path: &Option<ClaimPath>| match (meant, path) {
            (Some(meant), _) => Ok(Some(meant.clone())),
            (None, Some(path)) => {
                let name = name(path, claims)?;
                name.map(|name| placed(path, &self.space.tenants, &name)).transpose()
            }
            (None, None) => Ok(None),
        };
        let organisation = tenant(meant.and_then(|rule| rule.organisation.as_ref()), &self.organisation)?;
        let mut team = tenant(meant.and_then(|rule| rule.team.as_ref()), &self.team)?;
        let project = tenant(meant.and_then(|rule| rule.project.as_ref()), &self.project)?;
        if organisation.is_none() && team.is_none() && project.is_none() {
            team.clone_from(&self.default_team);
        }
        let meant_role = fitting().find_map(|rule| rule.role);
        let claimed = self.roles.as_ref().and_then(|path| path.of(claims));
        let has =
            |role: &&str| meant_role == Some(role) || claimed.is_some_and(|list| texts(list).any(|it| it == **role));
        Ok(Identity {
            issuer: Arc::clone(issuer),
            user,
            subject,
            needs_tenant: self.require_tenant,
            organisation,
            team,
            project,
            roles: ROLES.into_iter().filter(has).collect(),
            claims: self.kept(claims),
            expires,
        })
    }

    /// A claim that is too large is left out whole: half a list would make rules decide by the order of groups.
    fn kept(&self, claims: &Map<String, Value>) -> BTreeMap<String, Value> {
        let mut left = MOST_TEXT;
        let mut kept = BTreeMap::new();
        for path in &self.keep {
            let Some(value) = path.of(claims) else { continue };
            let size = match value {
                Value::Array(list) if list.len() <= MOST_ELEMENTS => list.iter().map(size).sum::<Option<usize>>(),
                scalar => size(scalar),
            };
            if let Some(rest) = size.and_then(|size| left.checked_sub(size)) {
                left = rest;
                kept.insert(path.written.to_string(), value.clone());
            }
        }
        kept
    }
}

/// What a scalar takes; nothing for what is none.
fn size(value: &Value) -> Option<usize> {
    match value {
        Value::String(text) => Some(text.len()),
        Value::Number(_) | Value::Bool(_) => Some(8),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A claim's value as texts: its own, or those of its elements.
fn texts(value: &Value) -> impl Iterator<Item = Cow<'_, str>> {
    let elements = match value {
        Value::Array(list) => list.as_slice(),
        single => std::slice::from_ref(single),
    };
    elements.iter().filter_map(|element| match element {
        Value::String(text) => Some(Cow::Borrowed(text.as_str())),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(truth) => Some(if *truth { "true" } else { "false" }.into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    })
}

/// The one name that a claim holds, if it is there. Of several names nobody could say which counts: `map` is for those.
fn name(path: &ClaimPath, claims: &Map<String, Value>) -> Result<Option<String>, JwtError> {
    let Some(value) = path.of(claims) else { return Ok(None) };
    let wrong = || JwtError::ClaimValue(Arc::clone(&path.written));
    let mut names = texts(value);
    let name = match (names.next(), names.next()) {
        (Some(name), None) => name,
        (None, _) if value.as_array().is_some_and(Vec::is_empty) || value.is_null() => return Ok(None),
        _ => return Err(wrong()),
    };
    let fits = !name.is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control);
    if fits {
        Ok(Some(name.into_owned()))
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn path(text: &str) -> ClaimPath {
        ClaimPath::parse(text).unwrap()
    }

    fn reading() -> Reading {
        Reading {
            user: path("sub"),
            organisation: None,
            team: None,
            project: None,
            roles: None,
            keep: Vec::new(),
            map: Vec::new(),
            require: Vec::new(),
            default_team: None,
            space: Namespace::default(),
            require_tenant: true,
        }
    }

    #[test]
    fn names_carry_what_the_issuer_is_told_apart_by() {
        let mut reading = Reading {
            team: Some(path("group")),
            map: vec![team("role", "boss", "head")],
            space: Namespace {
                users: "okta/".to_owned(),
                tenants: "okta/".to_owned(),
                others: vec!["entra/".to_owned(), "okta/sub/".to_owned()],
            },
            ..reading()
        };
        let ann = read(&reading, json!({"sub": "ann", "group": "search"})).unwrap();
        assert_eq!(
            (&*ann.user, &*ann.subject, ann.team.as_deref()),
            ("okta/ann", "ann", Some("okta/search"))
        );
        let boss = read(&reading, json!({"sub": "ann", "group": "search", "role": "boss"})).unwrap();
        assert_eq!(boss.team.as_deref(), Some("head"), "the operator wrote it");
        // Of two that begin alike the longer one's.
        assert!(read(&reading, json!({"sub": "sub/ann"})).is_err());
        assert!(read(&reading, json!({"sub": "ann", "group": "sub/search"})).is_err());
        // Without a prefix of its own it still has no name of another.
        reading.space.users.clear();
        reading.space.tenants.clear();
        assert!(read(&reading, json!({"sub": "entra/ann"})).is_err());
        assert!(read(&reading, json!({"sub": "ann", "group": "entra/search"})).is_err());
        assert_eq!(read(&reading, json!({"sub": "entra"})).unwrap().user, "entra");
    }

    fn team(claim: &str, value: &str, team: &str) -> Meaning {
        Meaning {
            claim: path(claim),
            value: Pattern::new(value),
            organisation: None,
            team: Some(team.to_owned()),
            project: None,
            role: None,
        }
    }

    fn read(reading: &Reading, claims: Value) -> Result<Identity, JwtError> {
        reading.identity(&"i".into(), claims.as_object().unwrap(), 7)
    }

    #[test]
    fn paths_go_inwards_and_quotes_keep_dots() {
        let claims = json!({"a": {"b": 1}, "a.b": 2, "https://x.y/z": {"c.d": {"e": 3}}});
        let of = |text: &str| path(text).of(claims.as_object().unwrap()).cloned();
        assert_eq!(of("a.b"), Some(json!(1)));
        assert_eq!(of("\"a.b\""), Some(json!(2)));
        assert_eq!(of("\"https://x.y/z\".\"c.d\".e"), Some(json!(3)));
        assert_eq!(of("a.b.c"), None);
        assert_eq!(of("b"), None);
        for wrong in ["", ".", "a.", ".a", "a..b", "\"a", "\"a\"b", "a\"b\"", "\"\""] {
            assert!(ClaimPath::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_gives_the_tenant_and_the_first_role_the_role() {
        let mut how = reading();
        how.team = Some(path("team"));
        how.organisation = Some(path("org"));
        how.roles = Some(path("realm_access.roles"));
        how.default_team = Some("others".to_owned());
        let role = Meaning {
            role: Some("admin"),
            team: None,
            ..team("groups", "ops-*", "")
        };
        how.map = vec![role, team("groups", "search", "search"), team("groups", "*", "all")];
        let who = read(
            &how,
            json!({"sub": "u", "groups": ["x", "search", "ops-eu"], "org": "acme"}),
        )
        .unwrap();
        assert_eq!(
            (who.team.as_deref(), who.organisation.as_deref()),
            (Some("search"), Some("acme"))
        );
        assert_eq!(who.roles, ["admin"]);
        let roles = json!({"roles": ["read-only", "root", "owner", 1]});
        let who = read(&how, json!({"sub": "u", "team": "t", "realm_access": roles})).unwrap();
        assert_eq!(who.team.as_deref(), Some("t"));
        assert_eq!(who.roles, ["owner", "read-only"]);
        let who = read(&how, json!({"sub": "u"})).unwrap();
        assert_eq!(who.team.as_deref(), Some("others"));
        let who = read(&how, json!({"sub": "u", "org": "acme"})).unwrap();
        assert_eq!(who.team, None);
        assert!(
            read(&how, json!({"sub": "u", "groups": "search"}))
                .unwrap()
                .team
                .as_deref()
                == Some("search")
        );
    }

    #[test]
    fn a_name_is_one_short_text() {
        let how = reading();
        assert_eq!(read(&how, json!({})), Err(JwtError::MissingClaim("sub".into())));
        assert_eq!(read(&how, json!({"sub": 17})).unwrap().user, "17");
        assert_eq!(read(&how, json!({"sub": ["u"]})).unwrap().user, "u");
        for sub in [
            json!(""),
            json!("a\nb"),
            json!("x".repeat(257)),
            json!({"a": 1}),
            json!(["a", "b"]),
            json!([[]]),
        ] {
            assert_eq!(
                read(&how, json!({"sub": sub})),
                Err(JwtError::ClaimValue("sub".into())),
                "{sub}"
            );
        }
    }

    #[test]
    fn what_is_kept_is_flat_and_bounded() {
        let mut how = reading();
        how.keep = ["a", "b.c", "groups", "many", "big", "object", "null", "absent"]
            .map(path)
            .to_vec();
        let claims = json!({
            "sub": "u", "a": 1.5, "b": {"c": true}, "groups": ["x", 2, false], "many": vec!["x"; 257],
            "big": "x".repeat(MOST_TEXT), "object": {"a": 1}, "null": null, "other": 1,
        });
        let kept = read(&how, claims).unwrap().claims;
        assert_eq!(json!(kept), json!({"a": 1.5, "b.c": true, "groups": ["x", 2, false]}));
    }

    #[test]
    fn required_claims_are_required() {
        let mut how = reading();
        how.require = vec![(path("hd"), "acme.example".to_owned()), (path("amr"), "mfa".to_owned())];
        let check = |claims: Value| how.check(claims.as_object().unwrap());
        assert_eq!(check(json!({"hd": "acme.example", "amr": ["pwd", "mfa"]})), Ok(()));
        assert_eq!(check(json!({"amr": "mfa"})), Err(JwtError::MissingClaim("hd".into())));
        assert_eq!(
            check(json!({"hd": "x", "amr": "mfa"})),
            Err(JwtError::ClaimValue("hd".into()))
        );
        assert_eq!(
            check(json!({"hd": "acme.example", "amr": {"mfa": 1}})),
            Err(JwtError::ClaimValue("amr".into()))
        );
    }
}
