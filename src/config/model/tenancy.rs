//! Who may use the gateway, as written: organisations, teams, projects, users, and the virtual keys of their applications.
//!
//! ```text
//! organisation ← team ← project ← key        each optional; a key may name any of them, and a user
//! ```
//! Each block says what it allows, limits and adds; a key has what all of its blocks allow in common. The same structs are
//! what the admin API takes and gives, so that what runs from a file and what was made at run time read alike.

use super::limit::{Budget, Limit};
use crate::config::scalars::{Moment, SecretRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
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
            /// Words that usage can be grouped by.
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
            /// Parameters that a request gets if it does not set them, in the client's dialect. The narrowest block wins.
            #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
            #[schemars(with = "BTreeMap<String, serde_json::Value>")]
            pub defaults: BTreeMap<String, serde_json::Value>,
        }
    };
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
