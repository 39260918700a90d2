//! The configuration room: a YAML file in, a checked [`Config`] or every problem at once out.
//!
//! What a request reads is not here: [`crate::snapshot`] builds it from a [`Config`]. Secrets are references until then
//! ([`SecretRef::read`]). The one idea: the structs of `model` are the contract, the JSON Schema generated from them checks the
//! shape, `validate` checks the meaning, and both speak in the lines of the file.
//!
//! ```text
//! text ─► yaml (tree with positions) ─► structure (JSON Schema) ─► serde ─► validate ─► Config
//! ```

mod base_url;
mod bounds;
mod endpoints;
mod guardrails;
mod listen;
mod load;
mod model;
mod moment;
mod money;
mod needs;
mod prices;
mod problem;
mod rules;
mod scalars;
mod schema;
mod shown;
mod structure;
mod tree;
mod validate;
mod yaml;

pub use base_url::{BaseUrl, Host};
pub use bounds::bounds;
pub use endpoints::{DEFAULT_LOCATION, DEFAULT_SCOPE, regional_base_url, token_url};
pub use guardrails::{GuardrailFault, compile_guardrail, guardrail_action};
pub use listen::socket_address;
pub(crate) use load::Located;
pub use load::{load, parse};
pub use model::*;
pub use moment::Moment;
pub use money::{Percent, Usd, UsdPerMillion};
pub use needs::lacking;
pub use prices::{
    BUILT_IN as BUILT_IN_PRICES, LARGEST as LARGEST_PRICE_FILE, load_only as load_only_prices, load_prices,
};
pub use problem::{Problem, Problems};
pub use rules::{compile_routes, compile_rules};
pub use scalars::{ByteSize, Interval, SecretRef, is_stored_name, named_secret, read_header_value};
pub use schema::json_schema;
pub use shown::shown;
pub use validate::{Names, check_secrets, enabled, key_secrets, stored_secrets, tenant, warnings};
