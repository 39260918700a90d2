//! What a caller may do: models, operations, providers, networks, hours, and until when.
//!
//! Not how much (`limits`). The one idea: a caller has what all of its blocks (its key's, user's, project's, team's,
//! organisation's) allow in common; blocks are asked one after the other, each can only refuse, and one that restricts nothing is
//! not among them.

use super::glob::Globs;
use super::hours::Hours;
use super::network::Networks;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The restrictions of one block, as run. A list that is there and empty allows nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Block {
    /// `organisation`, `team`, `project`, `user` or `key`.
    pub kind: &'static str,
    /// Its name.
    pub name: Arc<str>,
    /// Refuses everything.
    pub disabled: bool,
    /// Seconds since 1970, from when on it refuses everything.
    pub expires: Option<i64>,
    /// Any of these; none: always.
    pub hours: Box<[Hours]>,
    /// Public models.
    pub models: Option<Globs>,
    /// Public models.
    pub denied_models: Globs,
    /// Names of operations, and `passthrough`.
    pub operations: Option<Globs>,
    /// Names in `providers`.
    pub providers: Option<Globs>,
    /// Networks requests come from.
    pub allowed_ips: Option<Networks>,
    /// Networks they do not come from.
    pub denied_ips: Networks,
}

/// What is asked before a request is let in. What is not known (`None`) is not asked of models, and refused of addresses.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The public model's own name, aliases resolved; none where the operation has none, such as a list of models.
    pub model: Option<&'a str>,
    /// `chat`, `embeddings`, …, `passthrough`, `models`.
    pub operation: &'a str,
    /// Of the client, behind trusted proxies.
    pub ip: Option<IpAddr>,
    /// Seconds since 1970.
    pub now: i64,
}

impl Block {
    /// One that refuses everything, for what cannot be run.
    pub fn closed(kind: &'static str, name: Arc<str>) -> Self {
        Self {
            kind,
            name,
            disabled: true,
            ..Self::default()
        }
    }

    /// Whether it refuses nothing, ever.
    pub fn is_open(&self) -> bool {
        let nothing = Self {
            kind: self.kind,
            name: self.name.clone(),
            ..Self::default()
        };
        *self == nothing
    }

    fn check(&self, question: &Question<'_>) -> Result<(), Reason> {
        if self.disabled {
            return Err(Reason::Disabled);
        }
        if self.expires.is_some_and(|expires| question.now >= expires) {
            return Err(Reason::Expired);
        }
        if !self.hours.is_empty() && !self.hours.iter().any(|hours| hours.has(question.now)) {
            return Err(Reason::Hours);
        }
        if !self.address(question.ip) {
            return Err(Reason::Address);
        }
        if self
            .operations
            .as_ref()
            .is_some_and(|allowed| !allowed.has(question.operation))
        {
            return Err(Reason::Operation(question.operation.into()));
        }
        question.model.map_or(Ok(()), |model| self.model(model))
    }

    fn address(&self, ip: Option<IpAddr>) -> bool {
        if self.allowed_ips.is_none() && self.denied_ips.is_empty() {
            return true;
        }
        let allowed = |ip| self.allowed_ips.as_ref().is_none_or(|allowed| allowed.has(ip));
        ip.is_some_and(|ip| allowed(ip) && !self.denied_ips.has(ip))
    }

    fn model(&self, model: &str) -> Result<(), Reason> {
        let allowed = self.models.as_ref().is_none_or(|allowed| allowed.has(model));
        if allowed && !self.denied_models.has(model) {
            return Ok(());
        }
        Err(Reason::Model(model.into()))
    }
}

/// What all blocks of a caller allow.
#[derive(Debug, Clone, Default)]
pub struct Access(Option<Arc<[Arc<Block>]>>);

impl Access {
    /// Of blocks, outermost first. Those that restrict nothing are left out.
    pub fn new(blocks: impl IntoIterator<Item = Arc<Block>>) -> Self {
        let blocks: Vec<Arc<Block>> = blocks.into_iter().filter(|block| !block.is_open()).collect();
        Self((!blocks.is_empty()).then(|| blocks.into()))
    }

    /// The same with a narrower block.
    #[must_use]
    pub fn and(&self, block: Arc<Block>) -> Self {
        if block.is_open() {
            return self.clone();
        }
        Self::new(self.blocks().iter().cloned().chain([block]))
    }

    /// The blocks that restrict something, outermost first.
    pub fn blocks(&self) -> &[Arc<Block>] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether a request may be made.
    pub fn check(&self, question: &Question<'_>) -> Result<(), Denied> {
        self.all(|block| block.check(question))
    }

    /// Whether a public model may be asked: for lists, and for what rules, fallbacks and downgrades lead to.
    pub fn model(&self, model: &str) -> Result<(), Denied> {
        self.all(|block| block.model(model))
    }

    /// Whether a provider may answer.
    pub fn provider(&self, provider: &str) -> Result<(), Denied> {
        self.all(|block| {
            let allowed = block.providers.as_ref().is_none_or(|allowed| allowed.has(provider));
            if allowed { Ok(()) } else { Err(Reason::Provider) }
        })
    }

    /// Whether every provider may answer: then none need be asked about.
    pub fn any_provider(&self) -> bool {
        self.blocks().iter().all(|block| block.providers.is_none())
    }

    fn all(&self, check: impl Fn(&Block) -> Result<(), Reason>) -> Result<(), Denied> {
        for block in self.blocks() {
            check(block).map_err(|reason| Denied {
                kind: block.kind,
                name: block.name.clone(),
                reason,
            })?;
        }
        Ok(())
    }

    /// The earliest expiry of all blocks, in seconds since 1970.
    pub fn until(&self) -> Option<i64> {
        self.blocks().iter().filter_map(|block| block.expires).min()
    }
}

/// Why a block refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is switched off.
    Disabled,
    /// Its time is over.
    Expired,
    /// Now is none of its hours.
    Hours,
    /// The request comes from elsewhere.
    Address,
    /// This operation is none of its own.
    Operation(Box<str>),
    /// This model is none of its own.
    Model(Box<str>),
    /// None of the providers that could answer is one of its own.
    Provider,
}

/// A refusal: who and why, for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Kind of the block that refuses.
    pub kind: &'static str,
    /// Its name.
    pub name: Arc<str>,
    /// Why.
    pub reason: Reason,
}

impl Denied {
    /// `error.code` for the client; a closed set, fit for a label.
    pub fn code(&self) -> &'static str {
        match self.reason {
            Reason::Disabled => "disabled",
            Reason::Expired => "expired",
            Reason::Hours => "outside_hours",
            Reason::Address => "ip_not_allowed",
            Reason::Operation(_) => "operation_not_allowed",
            Reason::Model(_) => "model_not_allowed",
            Reason::Provider => "provider_not_allowed",
        }
    }

    /// Whether the credential itself opens nothing any more (401); otherwise it is not enough for this (403).
    pub fn is_unauthenticated(&self) -> bool {
        self.kind == "key" && matches!(self.reason, Reason::Disabled | Reason::Expired)
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} {:?} ", self.kind, &*self.name)?;
        match &self.reason {
            Reason::Disabled => f.write_str("is disabled"),
            Reason::Expired => f.write_str("has expired"),
            Reason::Hours => f.write_str("may not be used at this time"),
            Reason::Address => f.write_str("may not be used from this network"),
            Reason::Operation(name) => write!(f, "may not use the operation {:?}", cut(name)),
            Reason::Model(name) => write!(f, "may not use the model {:?}", cut(name)),
            Reason::Provider => f.write_str("may not use any provider of this model"),
        }
    }
}

impl std::error::Error for Denied {}

/// Names that a client sent may be long.
fn cut(name: &str) -> &str {
    let end = (0..=name.len().min(128)).rev().find(|at| name.is_char_boundary(*at));
    name.get(..end.unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn globs(names: &[&str]) -> Globs {
        Globs::compile(names.iter().copied()).unwrap()
    }

    fn ask<'a>(model: &'a str, operation: &'a str, ip: &str, now: i64) -> Question<'a> {
        Question {
            model: Some(model),
            operation,
            ip: Some(ip.parse().unwrap()),
            now,
        }
    }

    fn block() -> Block {
        Block {
            kind: "team",
            name: "search".into(),
            ..Block::default()
        }
    }

    fn says(block: Block, question: &Question<'_>) -> String {
        let access = Access::new([Arc::new(block)]);
        access
            .check(question)
            .map_or_else(|denied| denied.to_string(), |()| "yes".to_owned())
    }

    #[test]
    fn each_restriction_refuses_in_words() {
        let question = ask("gpt-4o", "chat", "10.0.0.1", 1000);
        let with = |change: fn(&mut Block)| {
            let mut block = block();
            change(&mut block);
            says(block, &question)
        };
        assert_eq!(with(|_| {}), "yes");
        assert_eq!(with(|b| b.disabled = true), "the team \"search\" is disabled");
        assert_eq!(with(|b| b.expires = Some(1000)), "the team \"search\" has expired");
        assert_eq!(with(|b| b.expires = Some(1001)), "yes");
        assert_eq!(with(|b| b.models = Some(globs(&["gpt-*"]))), "yes");
        let no_model = "the team \"search\" may not use the model \"gpt-4o\"";
        assert_eq!(with(|b| b.models = Some(globs(&[]))), no_model);
        assert_eq!(with(|b| b.denied_models = globs(&["*-4o"])), no_model);
        let no_operation = "the team \"search\" may not use the operation \"chat\"";
        assert_eq!(with(|b| b.operations = Some(globs(&["embeddings"]))), no_operation);
        let elsewhere = "the team \"search\" may not be used from this network";
        assert_eq!(
            with(|b| b.allowed_ips = Some(Networks::compile(["10.0.0.0/8"]).unwrap())),
            "yes"
        );
        assert_eq!(with(|b| b.allowed_ips = Some(Networks::default())), elsewhere);
        assert_eq!(
            with(|b| b.denied_ips = Networks::compile(["10.0.0.1"]).unwrap()),
            elsewhere
        );
        // 1970-01-01 was a Thursday.
        assert_eq!(
            with(|b| b.hours = Box::new([Hours::parse(Some("thu"), None, None).unwrap()])),
            "yes"
        );
        let late = "the team \"search\" may not be used at this time";
        assert_eq!(
            with(|b| b.hours = Box::new([Hours::parse(Some("fri"), None, None).unwrap()])),
            late
        );
    }

    #[test]
    fn an_unknown_address_is_refused_only_where_addresses_matter() {
        let question = Question {
            ip: None,
            ..ask("m", "chat", "10.0.0.1", 0)
        };
        assert_eq!(says(block(), &question), "yes");
        let denied_ips = Networks::compile(["10.0.0.0/8"]).unwrap();
        assert_ne!(says(Block { denied_ips, ..block() }, &question), "yes");
    }

    #[test]
    fn providers_are_asked_about_later() {
        let only = Block {
            providers: Some(globs(&["azure-*"])),
            ..block()
        };
        let access = Access::new([Arc::new(only)]);
        assert!(!access.any_provider());
        assert!(access.provider("azure-eu").is_ok());
        assert_eq!(access.provider("openai").unwrap_err().code(), "provider_not_allowed");
        assert!(access.check(&ask("m", "chat", "1.1.1.1", 0)).is_ok());
        assert!(Access::default().any_provider());
    }

    #[test]
    fn blocks_that_restrict_nothing_are_left_out_and_long_names_cut() {
        let access = Access::new([Arc::new(block())]).and(Arc::new(block()));
        assert!(access.blocks().is_empty());
        let access = access.and(Arc::new(Block {
            models: Some(globs(&[])),
            ..block()
        }));
        let long = "ä".repeat(5000);
        let denied = access.model(&long).unwrap_err();
        assert!(denied.to_string().len() < 400);
        let key = Access::new([Arc::new(Block::closed("key", "k".into()))]);
        assert!(
            key.check(&ask("m", "chat", "1.1.1.1", 0))
                .unwrap_err()
                .is_unauthenticated()
        );
    }

    fn some_block() -> impl Strategy<Value = Block> {
        let names = || prop::collection::vec("[ab*]{1,3}", 0..3);
        let nets = || {
            prop::collection::vec(
                prop::sample::select(vec!["10.0.0.0/8", "10.1.0.0/16", "::/0", "0.0.0.0/1"]),
                0..3,
            )
        };
        let list = move || prop::option::of(names());
        (
            any::<bool>(),
            prop::option::of(0_i64..20),
            list(),
            names(),
            list(),
            prop::option::of(nets()),
            nets(),
        )
            .prop_map(|(off, expires, models, denied, operations, allowed_ips, denied_ips)| {
                let globs = |names: Vec<String>| Globs::compile(names.iter().map(String::as_str)).unwrap();
                Block {
                    kind: "key",
                    name: "k".into(),
                    disabled: off && expires == Some(3),
                    expires,
                    models: models.map(globs),
                    denied_models: globs(denied),
                    operations: operations.map(globs),
                    allowed_ips: allowed_ips.map(|nets| Networks::compile(nets).unwrap()),
                    denied_ips: Networks::compile(denied_ips).unwrap(),
                    ..Block::default()
                }
            })
    }

    proptest! {
        #[test]
        fn an_intersection_allows_exactly_what_all_of_its_blocks_allow(
            blocks in prop::collection::vec(some_block(), 0..4),
            model in "[ab]{1,2}", operation in "[ab]{1,2}", ip in any::<[u8; 4]>(), now in 0_i64..20,
        ) {
            let question = Question { model: Some(&model), operation: &operation, ip: Some(IpAddr::from(ip)), now };
            let blocks: Vec<Arc<Block>> = blocks.into_iter().map(Arc::new).collect();
            let each = blocks.iter().all(|block| Access::new([block.clone()]).check(&question).is_ok());
            let all = Access::new(blocks.iter().cloned());
            prop_assert_eq!(all.check(&question).is_ok(), each);
            let grown = blocks.iter().cloned().fold(Access::default(), |access, block| access.and(block));
            prop_assert_eq!(grown.check(&question), all.check(&question));
        }
    }
}
