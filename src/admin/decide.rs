//! Where a request would go by a configuration, and why: for `POST /admin/v1/route/explain` and `cirque route explain`.
//!
//! By the configuration alone: neither secrets nor a running gateway are needed, so breakers and loads are not in it. What
//! decides is what decides for real requests ([`crate::snapshot::routes`]).

use super::explain::{Candidate, Edit, Explanation, Question, Refused, RuleTried};
use crate::config::{self, Config, Rule};
use crate::rules::{Explained, Outcome};
use crate::snapshot::routes::{Asked, Caller, Routes};
use crate::wire::needs::{self, Seen};
use crate::wire::{Call, Dialect, Endpoint, Given, Reading};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use std::time::{Duration, SystemTime};

/// Nesting of the body at most: the gateway's default.
const DEPTH: usize = 128;
/// Priority of requests of which no rule says anything.
const USUAL_PRIORITY: u8 = 5;

/// Explain. A request that would be refused is explained too; an error is a question that cannot be read.
pub fn explain(config: &Config, question: &Question) -> Result<Explanation, Refused> {
    let (call, headers, now) = read(question)?;
    let names: Vec<&String> = config.models.keys().collect();
    // As the gateway has it: a model whose targets are all left out is none.
    let index = |name: &str| {
        let at = names.iter().position(|known| known.as_str() == name)?;
        config
            .models
            .get(name)
            .is_some_and(|model| is_there(config, model))
            .then_some(at)
    };
    let routes = Routes::build(config, index).map_err(|problems| Refused::new(problems.join("; ")))?;
    let asked = Asked {
        caller: Caller::default(),
        call: &call,
        headers: &headers,
        ip: question.ip.as_ref().and_then(|ip| ip.parse().ok()),
        now,
        max_depth: DEPTH,
    };
    let seen = needs::look(&call.body, call.dialect, DEPTH);
    let tokens = needs::estimate_tokens(call.body.len(), &seen);
    let mut explanation = Explanation {
        model_asked: Some(call.envelope.model.clone()),
        priority: USUAL_PRIORITY,
        input_tokens: Some(tokens),
        ..Explanation::default()
    };
    let mut model = None;
    let mut body = call.body.clone();
    if let Some(routes) = &routes {
        let told = routes.explain(asked);
        let decision = routes.decide(asked);
        model = decision
            .model
            .and_then(|index| names.get(index))
            .map(|name| (*name).clone());
        explanation.priority = decision.priority.unwrap_or(USUAL_PRIORITY);
        explanation.refused = decision.refuse.map(|text| text.to_string());
        for told in told.iter().filter(|told| told.outcome == Outcome::Held) {
            let rule = config.routes.iter().find(|rule| rule.name == told.name);
            explanation.edits.extend(rule.into_iter().flat_map(edits));
        }
        for edits in &decision.edits {
            body = edits.apply(&body, call.operation, call.dialect, DEPTH).unwrap_or(body);
        }
        let tried = told.iter().filter(|rule| rule.outcome != Outcome::NotReached);
        explanation.rules = tried.map(rule_tried).collect();
    }
    let own = headers
        .get("x-cirque-priority")
        .and_then(|own| own.to_str().ok()?.parse().ok());
    explanation.priority = explanation.priority.min(own.unwrap_or(explanation.priority));
    if explanation.refused.is_some() {
        return Ok(explanation);
    }
    // Who fits is asked of what is sent on.
    let seen = needs::look(&body, call.dialect, DEPTH);
    let tokens = needs::estimate_tokens(body.len(), &seen);
    let found = model.or_else(|| find(config, &call.envelope.model).cloned());
    match found.as_ref().and_then(|name| Some((name, config.models.get(name)?))) {
        None => explanation.refused = Some(format!("there is no model `{}`", call.envelope.model)),
        Some((name, model)) if !is_there(config, model) => {
            explanation.refused = Some(format!("no target of the model `{name}` is enabled"));
        }
        Some((name, model)) => explanation.targets = candidates(config, name, model, &seen, tokens),
    }
    explanation.model = found;
    Ok(explanation)
}

/// The request that the question is about.
fn read(question: &Question) -> Result<(Call, HeaderMap, SystemTime), Refused> {
    let wrong = |message: String, param: &str| Refused {
        message,
        param: Some(param.to_owned()),
    };
    let path = question.path.trim_end_matches('/');
    let endpoint =
        Endpoint::find(path).ok_or_else(|| wrong(format!("no API operation has the path {path:?}"), "path"))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &question.headers {
        let bad = || wrong(format!("the header {name:?} is none"), "headers");
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        headers.insert(name, HeaderValue::from_str(value).map_err(|_| bad())?);
    }
    let now = match &question.now {
        None => SystemTime::now(),
        Some(text) => {
            let time: jiff::Timestamp = text
                .parse()
                .map_err(|_| wrong("not a time such as 2026-01-31T22:00:00Z".to_owned(), "now"))?;
            let seconds = u64::try_from(time.as_second()).unwrap_or_default();
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
        }
    };
    let body = Bytes::from(question.body.to_string());
    let reading = match endpoint.in_path {
        None => Reading::new(endpoint.operation, endpoint.dialect, DEPTH),
        Some(in_path) => {
            let (from, to) = in_path.model;
            let raw = path.get(from..to).unwrap_or_default();
            let given = Given {
                model: percent_encoding::percent_decode_str(raw)
                    .decode_utf8_lossy()
                    .into_owned(),
                stream: in_path.stream,
                json_array: in_path.stream && endpoint.dialect == Dialect::Gemini,
            };
            Reading::given(endpoint.operation, endpoint.dialect, given, DEPTH)
        }
    };
    let call = reading
        .finish(body)
        .map_err(|error| wrong(error.message.into_owned(), "body"))?;
    Ok((call, headers, now))
}

fn rule_tried(told: &Explained) -> RuleTried {
    let mut why: Vec<String> = told
        .why
        .iter()
        .map(|part| format!("{}{} → {}", "  ".repeat(part.depth), part.source, part.value))
        .collect();
    if why.is_empty() {
        why.push("it has no condition".to_owned());
    }
    why.extend(told.facts.iter().map(|(name, value)| format!("{name} is {value}")));
    RuleTried {
        name: told.name.clone(),
        held: told.outcome == Outcome::Held,
        why: why.join("\n"),
    }
}

fn edits(rule: &Rule) -> Vec<Edit> {
    let edit = |action: &str, parameter: &String, value| Edit {
        rule: rule.name.clone(),
        action: action.to_owned(),
        parameter: parameter.clone(),
        value,
    };
    let set = rule
        .set
        .iter()
        .map(|(name, value)| edit("set", name, Some(value.clone())));
    let default = rule
        .default
        .iter()
        .map(|(name, value)| edit("default", name, Some(value.clone())));
    let remove = rule.remove.iter().map(|name| edit("remove", name, None));
    set.chain(default).chain(remove).collect()
}

/// The model a name means: an exact one, an alias, or the pattern that fits with most of it written out; of those that have a
/// target, as in the snapshot.
fn find<'a>(config: &'a Config, asked: &str) -> Option<&'a String> {
    let models = || config.models.iter().filter(|(_, model)| is_there(config, model));
    let named = |(name, model): &(&String, &config::Model)| {
        name.as_str() == asked || model.aliases.iter().any(|alias| alias == asked)
    };
    if let Some((name, _)) = models().find(named) {
        // A pattern is no model.
        return Some(name).filter(|_| !asked.contains('*'));
    }
    let patterns = models().filter_map(|(name, _)| {
        let (before, after) = name.split_once('*')?;
        let rest = asked.strip_prefix(before)?.strip_suffix(after)?;
        (!rest.is_empty()).then_some((name.len(), std::cmp::Reverse(before), name))
    });
    patterns.max().map(|(.., name)| name)
}

fn is_there(config: &Config, model: &config::Model) -> bool {
    model
        .targets
        .iter()
        .any(|target| config.providers.get(&target.provider).is_some_and(config::enabled))
}

/// Its targets, in the order of their tiers.
fn candidates(config: &Config, name: &str, model: &config::Model, seen: &Seen, tokens: u64) -> Vec<Candidate> {
    let enabled = |target: &&config::Target| config.providers.get(&target.provider).is_some_and(config::enabled);
    let mut candidates: Vec<Candidate> = model
        .targets
        .iter()
        .filter(enabled)
        .map(|target| Candidate {
            id: format!("{}/{}", target.provider, target.model.as_deref().unwrap_or(name)),
            tier: target.tier,
            weight: target.weight,
            lacks: config::lacking(&target.lacks, &seen.needs).map(str::to_owned).collect(),
            fits: target.context_tokens.map(|most| tokens <= most),
        })
        .collect();
    for at in 1..candidates.len() {
        let (before, rest) = candidates.split_at_mut(at);
        let Some(one) = rest.first_mut() else { continue };
        let again = format!("{}#", one.id);
        let repeats = before
            .iter()
            .filter(|known| known.id == one.id || known.id.starts_with(&again))
            .count();
        if repeats > 0 {
            one.id = format!("{}#{}", one.id, repeats + 1);
        }
    }
    candidates.sort_by_key(|candidate| (candidate.tier, candidate.weight == 0));
    candidates
}
