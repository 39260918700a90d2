//! Who the operators are, and who is asking.

use super::super::tenancy::Identity;
use super::table::{OPERATORS, READ_TEAM, Route, Serve, Who};
use super::{Answer, Asked, Failure};
use crate::config::Role;
use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// As the configuration writes it.
pub(super) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::TeamAdmin => "team-admin",
        Role::Auditor => "auditor",
        Role::ReadOnly => "read-only",
    }
}

/// An operator.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct OperatorShown {
    /// Name.
    pub name: String,
    /// `owner`, `admin`, `team-admin`, `auditor`, `read-only`.
    pub role: String,
    /// The team of a team-admin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// `token` (declared under `admin.operators`) or `oidc`.
    pub via: String,
}

/// Those that are declared.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct OperatorList {
    /// By name. Operators by identity provider are not known before they come.
    pub items: Vec<OperatorShown>,
}

impl From<&Identity> for OperatorShown {
    fn from(identity: &Identity) -> Self {
        Self {
            name: identity.name.clone(),
            role: role_name(identity.role).to_owned(),
            team: identity.team.clone(),
            via: identity.via.to_owned(),
        }
    }
}

/// The rows of these routes.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new::<OperatorShown>(
            Method::GET,
            "/admin/v1/operators/me",
            Who::Only(READ_TEAM),
            Serve::Api(|asked| Box::pin(me(asked))),
            "Who is asking",
        ),
        Route::new::<OperatorList>(
            Method::GET,
            "/admin/v1/operators",
            Who::Only(OPERATORS),
            Serve::Api(|asked| Box::pin(list(asked))),
            "The operators that the configuration declares",
        ),
    ]
}

async fn me(asked: Asked) -> Result<Answer, Failure> {
    Answer::json(&OperatorShown::from(&asked.who))
}

async fn list(asked: Asked) -> Result<Answer, Failure> {
    let items = asked
        .api
        .access
        .operators()
        .into_iter()
        .map(OperatorShown::from)
        .collect();
    Answer::json(&OperatorList { items })
}
