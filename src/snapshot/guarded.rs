//! Guardrails as run, and which of them hold for a request.
//!
//! ```text
//! always ∪ model (and those that may answer in its place) ∪ organisation ∪ team ∪ project ∪ user ∪ key ∪ rules
//! ```
//! The one idea: a block can add a guardrail, and none can take one away. One that is named and not there (a tenant of the store may
//! name what the file no longer has) refuses the request: an operator counts on what is named.

use super::{PublicModel, Snapshot};
use crate::config::{self, Config};
use crate::guardrails::{Guardrail, Policy};
use ring::digest::{SHA256, digest};
use std::collections::HashMap;
use std::sync::Arc;

/// Of what the detectors find: a new version of them finds other things, and answers that passed the old one are asked for anew.
const GENERATION: u32 = 1;

/// The guardrails of a configuration, in its order.
#[derive(Debug)]
pub struct Guardrails {
    all: Vec<Arc<Guardrail>>,
    by_name: HashMap<Arc<str>, usize>,
    always: Vec<usize>,
}

impl Guardrails {
    /// Nothing where there are none. Errors are lines for the operator.
    pub(super) fn build(config: &Config) -> Result<Option<Self>, Vec<String>> {
        if config.guardrails.is_empty() {
            return Ok(None);
        }
        let (mut all, mut by_name, mut always) = (Vec::new(), HashMap::new(), Vec::new());
        let mut problems = Vec::new();
        for (name, written) in &config.guardrails {
            let terms = written.terms();
            let check = match config::compile_guardrail(written) {
                Ok(check) => check,
                Err(fault) => {
                    problems.push(format!("guardrails.{name}.{}: {}", fault.key, fault.message));
                    continue;
                }
            };
            if terms.always {
                always.push(all.len());
            }
            let name: Arc<str> = name.as_str().into();
            by_name.insert(Arc::clone(&name), all.len());
            all.push(Arc::new(Guardrail {
                digest: digest_of(&name, written),
                name,
                kind: terms.kind,
                input: terms.input,
                output: terms.output,
                action: config::guardrail_action(terms.action),
                replacement: terms.replacement.map(Box::from),
                check,
                passthrough: terms.passthrough,
            }));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Some(Self { all, by_name, always }))
    }

    /// They.
    pub fn all(&self) -> &[Arc<Guardrail>] {
        &self.all
    }

    fn places(&self, names: &[String]) -> impl Iterator<Item = usize> {
        names.iter().filter_map(|name| self.by_name.get(name.as_str()).copied())
    }
}

fn digest_of(name: &str, written: &config::Guardrail) -> [u8; 32] {
    let hash = digest(&SHA256, format!("{GENERATION} {name} {written:?}").as_bytes());
    let mut out = [0; 32];
    out.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    out
}

/// Give every model its guardrails; `kept` are the blocks they were built from, in their order.
pub(super) fn bind(guardrails: Option<&Guardrails>, models: &mut [PublicModel], kept: &[&config::Model]) {
    let Some(guardrails) = guardrails else { return };
    let own: Vec<Vec<usize>> = kept
        .iter()
        .map(|model| guardrails.places(&model.guardrails).collect())
        .collect();
    // A copy goes on to the fallbacks of the model it is for.
    let copied: Vec<Vec<usize>> = models
        .iter()
        .map(|model| {
            let to = model.mirror.as_ref().map(|mirror| mirror.to);
            let chain = to.and_then(|to| models.get(to)).map(|to| to.chain.to_vec());
            chain.into_iter().flatten().chain(to).collect()
        })
        .collect();
    for ((index, model), copied) in models.iter_mut().enumerate().zip(&copied) {
        let chains = model
            .chain
            .iter()
            .chain(&model.context_chain)
            .chain(&model.filter_chain);
        // A copy is sent to them too.
        let beside = chains.copied().chain([index]).chain(copied.iter().copied());
        let mut places: Vec<usize> = beside.filter_map(|index| own.get(index)).flatten().copied().collect();
        places.extend(&guardrails.always);
        places.sort_unstable();
        places.dedup();
        model.guardrails = places.into();
    }
}

impl Snapshot {
    /// The guardrails that hold for a request to `model`; nothing where there are none. `named`: by whom else. The error is the name of
    /// one that is not there.
    pub fn guardrail_policy<'n>(
        &self,
        model: &PublicModel,
        named: impl Iterator<Item = &'n Arc<str>>,
    ) -> Result<Option<Policy>, Arc<str>> {
        let mut places = model.guardrails.to_vec();
        for name in named {
            let place = self.guardrails.as_ref().and_then(|known| known.by_name.get(name));
            places.push(*place.ok_or_else(|| Arc::clone(name))?);
        }
        let Some(guardrails) = self.guardrails.as_ref().filter(|_| !places.is_empty()) else {
            return Ok(None);
        };
        places.sort_unstable();
        places.dedup();
        let held = places
            .into_iter()
            .filter_map(|place| guardrails.all.get(place).cloned());
        Ok(Some(Policy::new(held.collect())))
    }
}
