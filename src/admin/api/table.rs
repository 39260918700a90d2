//! The table of routes, from which the router, the OpenAPI document, the permissions and tests are made.
//!
//! Not the handlers: each room lists its own rows beside them.

use super::{
    Answer, Asked, Failure, audit, cache, keys, objects, openapi, operators, prices, recompute, secrets, standings,
    usage,
};
use crate::admin::AdminState;
use crate::admin::tenancy::Identity;
use crate::config::Role;
use axum::http::Method;
use axum::routing::MethodRouter;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::future::Future;
use std::pin::Pin;

/// Reads what concerns everybody.
pub(super) const READ: &[Role] = &[Role::Owner, Role::Admin, Role::Auditor, Role::ReadOnly];
/// Reads what can be one team's.
pub(super) const READ_TEAM: &[Role] = &[Role::Owner, Role::Admin, Role::TeamAdmin, Role::Auditor, Role::ReadOnly];
/// Changes what concerns everybody.
pub(super) const WRITE: &[Role] = &[Role::Owner, Role::Admin];
/// Changes what can be one team's.
pub(super) const WRITE_TEAM: &[Role] = &[Role::Owner, Role::Admin, Role::TeamAdmin];
/// Reads the audit log.
pub(super) const AUDIT: &[Role] = &[Role::Owner, Role::Admin, Role::Auditor];
/// Reads who the operators are.
pub(super) const OPERATORS: &[Role] = &[Role::Owner, Role::Auditor];

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::admin) enum Who {
    /// Whoever reaches the listener.
    Everybody,
    /// Whoever reaches the listener as long as there are no operators; then these.
    Unguarded(&'static [Role]),
    /// These.
    Only(&'static [Role]),
}

impl Who {
    /// Whether this operator may.
    pub fn admits(self, who: &Identity) -> bool {
        match self {
            Self::Everybody => true,
            Self::Unguarded(roles) | Self::Only(roles) => roles.contains(&who.role),
        }
    }

    pub fn roles(self) -> &'static [Role] {
        match self {
            Self::Everybody => &[],
            Self::Unguarded(roles) | Self::Only(roles) => roles,
        }
    }
}

/// What a query parameter takes.
#[derive(Debug, Clone, Copy)]
pub(in crate::admin) enum Takes {
    /// Any text that is not empty.
    Text,
    /// Names with commas between them.
    Names,
    /// `true` or `false`.
    Flag,
    /// From, to.
    Number(u32, u32),
    /// RFC 3339, or a day.
    Time,
    /// One of these.
    Word(&'static [&'static str]),
    /// At most so many of these.
    Words(&'static [&'static str], usize),
}

/// One query parameter.
#[derive(Debug, Clone, Copy)]
pub(in crate::admin) struct Parameter {
    pub name: &'static str,
    pub takes: Takes,
    pub about: &'static str,
}

impl Parameter {
    pub const fn new(name: &'static str, takes: Takes, about: &'static str) -> Self {
        Self { name, takes, about }
    }
}

/// Makes the schema of a type.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// What a route answers when all is well.
#[derive(Clone, Copy)]
pub(in crate::admin) enum Reply {
    Json(Shape),
    /// Something else, of one of these content types.
    File(&'static [&'static str]),
}

type Working = Pin<Box<dyn Future<Output = Result<Answer, Failure>> + Send>>;

/// Who answers.
#[derive(Clone, Copy)]
pub(in crate::admin) enum Serve {
    /// A handler of this API.
    Api(fn(Asked) -> Working),
    /// An older one that reads the request itself.
    Own(fn() -> MethodRouter<AdminState>),
}

/// One row.
#[derive(Clone)]
pub(in crate::admin) struct Route {
    pub method: Method,
    /// As documented: `/admin/v1/keys/{name}`.
    pub path: &'static str,
    /// As mounted, where that differs: names with slashes are taken by `{*name}`.
    pub mounted: &'static str,
    pub about: &'static str,
    pub who: Who,
    pub query: &'static [Parameter],
    pub body: Option<Shape>,
    pub status: u16,
    /// Another status that comes with the same body.
    pub also: Option<u16>,
    pub reply: Reply,
    pub serve: Serve,
}

impl Route {
    pub fn new<T: JsonSchema>(method: Method, path: &'static str, who: Who, serve: Serve, about: &'static str) -> Self {
        Self {
            method,
            path,
            mounted: path,
            about,
            who,
            query: &[],
            body: None,
            status: 200,
            also: None,
            reply: Reply::Json(|generator| generator.subschema_for::<T>()),
            serve,
        }
    }

    pub fn query(self, query: &'static [Parameter]) -> Self {
        Self { query, ..self }
    }

    pub fn body<T: JsonSchema>(self) -> Self {
        Self {
            body: Some(|generator| generator.subschema_for::<T>()),
            ..self
        }
    }

    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub fn also(self, also: u16) -> Self {
        Self {
            also: Some(also),
            ..self
        }
    }

    pub fn mounted(self, mounted: &'static str) -> Self {
        Self { mounted, ..self }
    }

    pub fn file(self, kinds: &'static [&'static str]) -> Self {
        Self {
            reply: Reply::File(kinds),
            ..self
        }
    }
}

/// Every route of the listener.
pub(in crate::admin) fn routes() -> Vec<Route> {
    let mut all = crate::admin::routes();
    all.extend(objects::routes());
    all.extend(keys::routes());
    all.extend(standings::routes());
    all.extend(usage::routes());
    all.extend(recompute::routes());
    all.extend(prices::routes());
    all.extend(secrets::routes());
    all.extend(cache::routes());
    all.extend(audit::routes());
    all.extend(operators::routes());
    all.extend(openapi::routes());
    all
}
