//! What a client is told whose request found no room: which limit, how much it allows, and when or how to come back.
//!
//! Never how much of it others have used: of an organisation's budget a team learns that it is used up, not by whom.

use super::super::super::App;
use super::super::super::context::RequestContext;
use crate::error::{ErrorKind, GatewayError};
use crate::limits::{Measure, Refusal, Standing, Window};
use crate::units::usd;
use std::time::Duration;

/// When to come back where time alone changes nothing that is known: others have to end first.
const SOON: Duration = Duration::from_secs(1);

/// The refusal as an error, and in the context what its headers say.
pub(super) fn error(app: &App, ctx: &mut RequestContext, refusal: &Refusal) -> GatewayError {
    let rule = &refusal.rule;
    let (kind, measure) = (rule.scope.kind.as_str(), rule.measure);
    app.meters.accounts.limited(kind, measure.as_str());
    let standing = Standing {
        limit: rule.amount,
        remaining: refusal.remaining,
        reset: refusal.reset.unwrap_or_default(),
    };
    match measure {
        Measure::Requests => ctx.standings.requests = Some(standing),
        Measure::Tokens | Measure::InputTokens | Measure::OutputTokens => ctx.standings.tokens = Some(standing),
        Measure::Concurrent | Measure::NanoUsd => {}
    }
    if refusal.outage {
        return GatewayError::new(
            ErrorKind::Overloaded,
            "limits cannot be checked at the moment, and one of this request must not be exceeded; try again",
        )
        .code("limits_unavailable")
        .retry_after(SOON);
    }
    let whose = format!("{kind} `{}`", rule.scope.name);
    let error = if measure == Measure::NanoUsd {
        GatewayError::new(ErrorKind::BudgetExceeded, money(refusal, &whose))
    } else {
        GatewayError::new(ErrorKind::RateLimited, rate(refusal, &whose))
    };
    match (refusal.retry_after, measure) {
        (Some(after), _) => error.retry_after(after),
        (None, Measure::Concurrent) if rule.amount > 0 => error.retry_after(SOON),
        (None, _) => error,
    }
}

fn rate(refusal: &Refusal, whose: &str) -> String {
    let rule = &refusal.rule;
    let (limit, name) = (rule.amount, &rule.name);
    let per = match &rule.window {
        Window::Sliding(per) => format!(" in {}", shown(*per)),
        _ => String::new(),
    };
    let unit = match rule.measure {
        Measure::Concurrent => "requests at one time",
        Measure::Requests => "requests",
        Measure::InputTokens => "input tokens",
        Measure::OutputTokens => "output tokens",
        Measure::Tokens | Measure::NanoUsd => "tokens",
    };
    let asked = refusal.asked;
    let mend = match (rule.measure, refusal.retry_after) {
        _ if limit == 0 => "nothing is allowed".to_owned(),
        (Measure::Concurrent, _) => "wait for one of them to end".to_owned(),
        _ if asked > limit => {
            format!("this request alone may take {asked}: shorten it, or lower max_tokens")
        }
        (Measure::Requests, Some(after)) => format!("try again in {}", shown(after)),
        (_, Some(after)) => format!("this request may take {asked}: try again in {}", shown(after)),
        (_, None) => "try again later".to_owned(),
    };
    format!("the limit `{name}` of {whose} is reached: {limit} {unit}{per}; {mend}")
}

fn money(refusal: &Refusal, whose: &str) -> String {
    let rule = &refusal.rule;
    let (name, limit) = (&rule.name, usd(rule.amount));
    let anew = match (&rule.window, refusal.reset) {
        (Window::Calendar { .. }, Some(left)) => format!("; it begins anew in {}", shown(left)),
        _ => "; it does not begin anew".to_owned(),
    };
    if refusal.remaining == 0 || rule.amount == 0 {
        return format!("the budget `{name}` of {whose}, {limit} USD, is used up{anew}");
    }
    format!(
        "what is left of the budget `{name}` of {whose}, {limit} USD, does not cover the {} USD that this request can cost at \
         most: lower max_tokens, or shorten it{anew}",
        usd(refusal.asked)
    )
}

/// `3 s`, `5 min`, `2 h`, `4 days`: rounded up.
fn shown(time: Duration) -> String {
    let ms = time.as_millis();
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{} s", ms.div_ceil(1_000)),
        120_000..7_200_000 => format!("{} min", ms.div_ceil(60_000)),
        7_200_000..172_800_000 => format!("{} h", ms.div_ceil(3_600_000)),
        _ => format!("{} days", ms.div_ceil(86_400_000)),
    }
}
