//! How much a request makes the model think, in the words its version takes, and what that leaves of `max_tokens`.
//!
//! ```json
//! "thinking": {"type":"enabled","budget_tokens":2048,"display":"summarized"} | {"type":"adaptive"} | {"type":"disabled"},
//! "output_config": {"effort":"high"}
//! ```
//! Rules of the API (build-with-claude/thinking, read 2026-11): a budget is at least 1 024 and below `max_tokens`; a forced
//! tool and thinking exclude each other. Where a client asks for both, the tool wins: it decides what the answer is, thinking
//! only how good.

use super::model::{Model, Off, Thinks};
use crate::wire::canonical::{Dropped, Effort, Reasoning};
use crate::wire::json::JsonWriter;

/// The least budget the API takes.
const LEAST_BUDGET: u64 = 1024;

/// What to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    Budget(u64),
    Adaptive,
    Disabled,
    BetweenTools,
}

/// The plan for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    said: Said,
    display: Option<&'static str>,
    /// For `output_config.effort`.
    pub effort: Option<&'static str>,
    /// The bound on the answer, thinking included.
    pub max_tokens: u64,
}

impl Plan {
    /// The model was told to think.
    pub fn thinks(&self) -> bool {
        matches!(self.said, Said::Budget(_) | Said::Adaptive)
    }

    /// It was told so by a budget.
    pub fn has_budget(&self) -> bool {
        matches!(self.said, Said::Budget(_))
    }

    /// Write `thinking`, if there is anything to say.
    pub fn write(&self, json: &mut JsonWriter) {
        let (kind, budget) = match self.said {
            Said::Nothing => return,
            Said::Budget(tokens) => ("enabled", Some(tokens)),
            Said::Adaptive => ("adaptive", None),
            Said::Disabled => ("disabled", None),
            Said::BetweenTools => ("between_tools", None),
        };
        json.key("thinking").object(|json| {
            json.field("type", kind);
            json.opt("budget_tokens", budget);
            if self.thinks() {
                json.opt("display", self.display);
            }
        });
    }
}

/// Work it out. `most`: the client's bound. `forced`: the tool choice demands a call.
pub fn plan(
    reasoning: Option<&Reasoning<'_>>,
    model: Model,
    most: Option<u64>,
    forced: bool,
    dropped: &mut Dropped,
) -> Plan {
    let cap = model.most_output();
    if most.is_some_and(|most| most > cap) {
        dropped.push(format!("max_tokens (the model gives {cap} at most)"));
    }
    let mut plan = Plan {
        said: Said::Nothing,
        display: None,
        effort: None,
        max_tokens: most.unwrap_or(model.usual_output()).min(cap),
    };
    let Some(reasoning) = reasoning else {
        return plan;
    };
    plan.effort = reasoning.effort.and_then(|effort| model.effort(effort));
    let show = reasoning.show.or(reasoning.summary.is_some().then_some(true));
    plan.display = show.map(|show| if show { "summarized" } else { "omitted" });
    match reasoning.wanted() {
        None => {}
        Some(false) => refrain(&mut plan, model, reasoning, dropped),
        Some(true) if forced && model.can_be_forced() => dropped.push("reasoning (a tool is forced)"),
        Some(true) => think(&mut plan, model, reasoning, most, dropped),
    }
    plan
}

fn refrain(plan: &mut Plan, model: Model, reasoning: &Reasoning<'_>, dropped: &mut Dropped) {
    plan.said = match model.off() {
        Off::Silence => Said::Nothing,
        Off::Disabled => Said::Disabled,
        Off::BetweenTools => Said::BetweenTools,
        Off::Impossible => {
            dropped.push("reasoning (this model always thinks)");
            plan.effort = plan.effort.or(model.effort(Effort::Low));
            return;
        }
    };
    // These two are refused with the efforts above high.
    if plan.said != Said::Nothing && reasoning.effort > Some(Effort::High) {
        plan.effort = model.effort(Effort::High);
    }
}

fn think(plan: &mut Plan, model: Model, reasoning: &Reasoning<'_>, most: Option<u64>, dropped: &mut Dropped) {
    match model.thinks() {
        Thinks::Never => dropped.push("reasoning"),
        Thinks::Adaptive => {
            plan.said = Said::Adaptive;
            if !reasoning.dynamic {
                plan.effort = plan
                    .effort
                    .or(reasoning.effort_for().and_then(|effort| model.effort(effort)));
            }
        }
        Thinks::Budget => budget(plan, model, reasoning, most, dropped),
    }
}

fn budget(plan: &mut Plan, model: Model, reasoning: &Reasoning<'_>, most: Option<u64>, dropped: &mut Dropped) {
    let cap = model.most_output();
    let wanted = reasoning
        .budget_for()
        .unwrap_or(Effort::Medium.budget())
        .max(LEAST_BUDGET);
    match (most, reasoning.budget) {
        // No bound: room for the thoughts and the usual answer.
        (None, _) => plan.max_tokens = model.usual_output().saturating_add(wanted).min(cap),
        // A bound and an effort: the client has not counted the thoughts of a model it does not know.
        (Some(most), None) if most <= wanted => plan.max_tokens = most.saturating_add(wanted).min(cap),
        _ => {}
    }
    let budget = wanted.min(plan.max_tokens.saturating_sub(1));
    if budget < LEAST_BUDGET {
        dropped.push("reasoning (max_tokens leaves no room for it)");
        return;
    }
    plan.said = Said::Budget(budget);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(model: &str, reasoning: Reasoning<'_>, most: Option<u64>, forced: bool) -> (Plan, String) {
        let mut dropped = Dropped::default();
        let plan = plan(Some(&reasoning), Model::named(model), most, forced, &mut dropped);
        (plan, dropped.header())
    }

    fn effort(effort: Effort) -> Reasoning<'static> {
        Reasoning {
            effort: Some(effort),
            ..Reasoning::default()
        }
    }

    fn tokens(budget: u64) -> Reasoning<'static> {
        Reasoning {
            budget: Some(budget),
            ..Reasoning::default()
        }
    }

    #[test]
    fn a_budget_fits_below_max_tokens() {
        let at = |reasoning, most| {
            let (plan, dropped) = run("claude-sonnet-4-5", reasoning, most, false);
            (plan.said, plan.max_tokens, dropped)
        };
        let none = String::new();
        assert_eq!(
            at(effort(Effort::Medium), None),
            (Said::Budget(8192), 40_192, none.clone())
        );
        assert_eq!(
            at(effort(Effort::Max), None),
            (Said::Budget(49_152), 64_000, none.clone())
        );
        assert_eq!(
            at(effort(Effort::Medium), Some(1000)),
            (Said::Budget(8192), 9192, none.clone())
        );
        assert_eq!(
            at(effort(Effort::Low), Some(4000)),
            (Said::Budget(1024), 4000, none.clone())
        );
        assert_eq!(at(tokens(9000), Some(4000)), (Said::Budget(3999), 4000, none.clone()));
        assert_eq!(at(tokens(10), Some(4000)), (Said::Budget(1024), 4000, none.clone()));
        let little = at(tokens(2000), Some(1000));
        assert_eq!((little.0, little.1), (Said::Nothing, 1000));
        assert!(little.2.contains("no room"));
        assert_eq!(at(effort(Effort::None), Some(10)), (Said::Nothing, 10, none));
    }

    #[test]
    fn newer_models_are_told_by_effort() {
        let (plan, _) = run("claude-opus-4-6", effort(Effort::Max), Some(100), false);
        assert_eq!(
            (plan.said, plan.effort, plan.max_tokens),
            (Said::Adaptive, Some("max"), 100)
        );
        let (plan, _) = run("claude-sonnet-5", tokens(9000), None, false);
        assert_eq!((plan.said, plan.effort), (Said::Adaptive, Some("medium")));
        let off = Reasoning {
            enabled: Some(false),
            effort: Some(Effort::Max),
            ..Reasoning::default()
        };
        let (plan, dropped) = run("claude-sonnet-5-5", off.clone(), None, false);
        assert_eq!(
            (plan.said, plan.effort, dropped.as_str()),
            (Said::BetweenTools, Some("high"), "")
        );
        let (plan, dropped) = run("claude-opus-5-5", off, None, false);
        assert_eq!((plan.said, plan.effort), (Said::Nothing, Some("max")));
        assert!(dropped.contains("always thinks"));
    }

    #[test]
    fn a_forced_tool_wins_over_thinking() {
        let (plan, dropped) = run("claude-sonnet-4-5", effort(Effort::High), None, true);
        assert_eq!(
            (plan.thinks(), dropped.as_str()),
            (false, "reasoning (a tool is forced)")
        );
        let (plan, dropped) = run("claude-opus-5-5", effort(Effort::High), None, true);
        assert!(plan.thinks() && dropped.is_empty());
        let (_, dropped) = run("claude-3-5-haiku", effort(Effort::High), Some(9000), false);
        assert_eq!(dropped, "max_tokens (the model gives 8192 at most), reasoning");
    }
}
