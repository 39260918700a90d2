//! Who may use the gateway, as written: organisations, teams, projects, users, and the virtual keys of their applications.
//!
//! ```text
//! organisation ← team ← project ← key        each optional; a key may name any of them, and a user
//! ```
//! Each block says what it allows, limits and adds; a key has what all of its blocks allow in common. The same structs are
//! what the admin API takes and gives, so that what runs from a file and what was made at run time read alike.

use super::cache::CachePolicy;
use super::limit::{Budget, Limit};
use crate::config::moment::Moment;
use crate::config::scalars::SecretRef;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

macro_rules! tenant {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident : $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $(
                $(#[$field_doc])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $field: $type,
            )*
            /// What it is for, in words.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub description: Option<String>,
            /// Names and values of your own, for rules, reports and exports.
            #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
            pub metadata: BTreeMap<String, String>,
            /// Words that usage can be grouped by, and that `tags` can limit.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub tags: Vec<String>,
            /// Refuse everything that would be allowed. Default false.
            #[serde(default, skip_serializing_if = "std::ops::Not::not")]
            pub disabled: bool,
            /// From when on nothing is allowed any more, as `2027-01-31T00:00:00Z`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub expires: Option<Moment>,
            /// When it may be used: any of these. Default: always.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub hours: Vec<Hours>,
            /// Public models that may be asked for: names, or patterns with `*`. Default: all.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub models: Option<Vec<String>>,
            /// Public models that may not be asked for, also when `models` allows them.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub denied_models: Vec<String>,
            /// Operations that may be used (`chat`, `embeddings`, `passthrough`, …). Default: all.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub operations: Option<Vec<String>>,
            /// Providers that may answer, by their names in `providers`. Default: all.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub providers: Option<Vec<String>>,
            /// Networks that requests may come from, such as `10.0.0.0/8`. Default: all.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub allowed_ips: Option<Vec<String>>,
            /// Networks that requests may not come from.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub denied_ips: Vec<String>,
            /// Requests, tokens and concurrency.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub limits: Vec<Limit>,
            /// Money.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub budgets: Vec<Budget>,
            /// What may be kept of answers and served again. The narrowest block wins, member by member.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub cache: Option<CachePolicy>,
            /// Names of `guardrails` that its requests and their answers must pass, beside those of the blocks around it.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub guardrails: Vec<String>,
            /// Parameters that a request gets if it does not set them, in the client's dialect. The narrowest block wins.
            #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
            #[schemars(with = "BTreeMap<String, serde_json::Value>")]
            pub defaults: BTreeMap<String, serde_json::Value>,
        }

        impl $name {
            /// What it has in common with the other kinds.
            pub fn shared(&self) -> Shared<'_> {
                Shared {
                    description: self.description.as_deref(),
                    metadata: &self.metadata,
                    tags: &self.tags,
                    disabled: self.disabled,
                    expires: self.expires,
                    hours: &self.hours,
                    models: self.models.as_deref(),
                    denied_models: &self.denied_models,
                    operations: self.operations.as_deref(),
                    providers: self.providers.as_deref(),
                    allowed_ips: self.allowed_ips.as_deref(),
                    denied_ips: &self.denied_ips,
                    limits: &self.limits,
                    budgets: &self.budgets,
                    cache: self.cache.as_ref(),
                    guardrails: &self.guardrails,
                    defaults: &self.defaults,
                }
            }
        }
    };
}

/// What every kind of tenant and every key has, borrowed: what checks and builds them need not know the kind.
#[derive(Debug, Clone, Copy)]
pub struct Shared<'a> {
    /// `description`
    pub description: Option<&'a str>,
    /// `metadata`
    pub metadata: &'a BTreeMap<String, String>,
    /// `tags`
    pub tags: &'a [String],
    /// `disabled`
    pub disabled: bool,
    /// `expires`
    pub expires: Option<Moment>,
    /// `hours`
    pub hours: &'a [Hours],
    /// `models`
    pub models: Option<&'a [String]>,
    /// `denied_models`
    pub denied_models: &'a [String],
    /// `operations`
    pub operations: Option<&'a [String]>,
    /// `providers`
    pub providers: Option<&'a [String]>,
    /// `allowed_ips`
    pub allowed_ips: Option<&'a [String]>,
    /// `denied_ips`
    pub denied_ips: &'a [String],
    /// `limits`
    pub limits: &'a [Limit],
    /// `budgets`
    pub budgets: &'a [Budget],
    /// `cache`
    pub cache: Option<&'a CachePolicy>,
    /// `guardrails`
    pub guardrails: &'a [String],
    /// `defaults`
    pub defaults: &'a BTreeMap<String, serde_json::Value>,
}

/// Kinds of tenants, and keys; outermost first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TenantKind {
    /// An organisation.
    Organisation,
    /// A team.
    Team,
    /// A project.
    Project,
    /// A user.
    User,
    /// A virtual key.
    Key,
}

impl TenantKind {
    /// All, outermost first.
    pub const ALL: [Self; 5] = [Self::Organisation, Self::Team, Self::Project, Self::User, Self::Key];

    /// As texts name it: `organisation`, …
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Team => "team",
            Self::Project => "project",
            Self::User => "user",
            Self::Key => "key",
        }
    }

    /// As the configuration names all of them: `organisations`, …
    pub const fn block(self) -> &'static str {
        match self {
            Self::Organisation => "organisations",
            Self::Team => "teams",
            Self::Project => "projects",
            Self::User => "users",
            Self::Key => "keys",
        }
    }
}

/// A tenant or key of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenant {
    /// An organisation.
    Organisation(Box<Organisation>),
    /// A team.
    Team(Box<Team>),
    /// A project.
    Project(Box<Project>),
    /// A user.
    User(Box<User>),
    /// A virtual key.
    Key(Box<Key>),
}

impl Tenant {
    /// Read a document: what stands below the name in the configuration, as JSON.
    pub fn read<'de, D: Deserializer<'de>>(kind: TenantKind, document: D) -> Result<Self, D::Error> {
        Ok(match kind {
            TenantKind::Organisation => Self::Organisation(Box::new(Organisation::deserialize(document)?)),
            TenantKind::Team => Self::Team(Box::new(Team::deserialize(document)?)),
            TenantKind::Project => Self::Project(Box::new(Project::deserialize(document)?)),
            TenantKind::User => Self::User(Box::new(User::deserialize(document)?)),
            TenantKind::Key => Self::Key(Box::new(Key::deserialize(document)?)),
        })
    }

    /// What it is.
    pub const fn kind(&self) -> TenantKind {
        match self {
            Self::Organisation(_) => TenantKind::Organisation,
            Self::Team(_) => TenantKind::Team,
            Self::Project(_) => TenantKind::Project,
            Self::User(_) => TenantKind::User,
            Self::Key(_) => TenantKind::Key,
        }
    }

    /// What it has in common with the other kinds.
    pub fn shared(&self) -> Shared<'_> {
        match self {
            Self::Organisation(it) => it.shared(),
            Self::Team(it) => it.shared(),
            Self::Project(it) => it.shared(),
            Self::User(it) => it.shared(),
            Self::Key(it) => it.shared(),
        }
    }

    /// The tenants it names, each under a key that is called as its kind is.
    pub fn names(&self) -> Vec<(TenantKind, &str)> {
        let (organisation, team, project, user) = match self {
            Self::Organisation(_) => (None, None, None, None),
            Self::Team(it) => (it.organisation.as_deref(), None, None, None),
            Self::Project(it) => (None, it.team.as_deref(), None, None),
            Self::User(it) => (None, it.team.as_deref(), None, None),
            Self::Key(it) => (
                it.organisation.as_deref(),
                it.team.as_deref(),
                it.project.as_deref(),
                it.user.as_deref(),
            ),
        };
        let all = [
            (TenantKind::Organisation, organisation),
            (TenantKind::Team, team),
            (TenantKind::Project, project),
            (TenantKind::User, user),
        ];
        all.into_iter().filter_map(|(kind, name)| Some((kind, name?))).collect()
    }
}

impl serde::Serialize for Tenant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Organisation(it) => it.serialize(serializer),
            Self::Team(it) => it.serialize(serializer),
            Self::Project(it) => it.serialize(serializer),
            Self::User(it) => it.serialize(serializer),
            Self::Key(it) => it.serialize(serializer),
        }
    }
}

tenant! {
    /// An organisation: the widest tenant.
    Organisation {}
}

tenant! {
    /// A team.
    Team {
        /// The organisation it belongs to.
        organisation: Option<String>,
    }
}

tenant! {
    /// A project: an application, or a part of one.
    Project {
        /// The team it belongs to.
        team: Option<String>,
    }
}

tenant! {
    /// A person or a service account.
    User {
        /// The team it belongs to.
        team: Option<String>,
    }
}

tenant! {
    /// A virtual key.
    Key {
        /// The key itself, as `env:NAME` or `file:PATH`: one that `cirque key new` made, or any secret of at least 20 characters.
        secret: Option<SecretRef>,
        /// Instead of `secret`: what `cirque key hash` prints for it.
        hash: Option<String>,
        /// The organisation that pays, if it is not that of the team.
        organisation: Option<String>,
        /// The team that pays, if it is not that of the project or user.
        team: Option<String>,
        /// The project it is used for.
        project: Option<String>,
        /// Who uses it.
        user: Option<String>,
    }
}

/// What a tag allows of use, to all that carry it together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// What it is for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Requests, tokens and concurrency.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
    /// Money.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
}

impl Tag {
    /// Whether anything is counted for it.
    pub fn counts(&self) -> bool {
        !(self.limits.is_empty() && self.budgets.is_empty())
    }
}

/// Hours of days of the week.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// Days, as `mon-fri` or `sat,sun`. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<String>,
    /// From and to, as `08:00-18:00`; `22:00-06:00` goes over midnight, on the days it begins. Default: the whole day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// IANA time zone. Default UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}
