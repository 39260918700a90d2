//! The request of one attempt on its way out: head, credential, and the wait for the response's head.

use super::super::super::context::RequestContext;
use super::super::super::downstream::Downstream;
use super::super::super::plan::{Answer, Plan};
use super::attempt::Attempt;
use super::failure::{Failure, broken_connection, no_credential};
use crate::telemetry::Outcome;
use crate::upstream::{Credential, CredentialFault, Exchange, Fault, Site};
use crate::wire::Dialect;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use std::time::SystemTime;

/// Client headers that mean something to a provider and carry no credential.
const FORWARDED: [HeaderName; 3] = [
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];
/// The same of OpenAI's clients to OpenAI's API.
const FORWARDED_OPENAI: [HeaderName; 1] = [HeaderName::from_static("openai-beta")];
/// The same of Anthropic's clients to Anthropic's API.
const FORWARDED_ANTHROPIC: [HeaderName; 2] = [
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("anthropic-version"),
];

const FORWARDED_ANTHROPIC_TRANSLATED: [HeaderName; 1] = [HeaderName::from_static("anthropic-beta")];

impl Attempt<'_> {
    /// Send the request; a response with status 200, or why not.
    pub(super) async fn ask(
        &self,
        down: &mut Downstream<'_>,
        ctx: &mut RequestContext,
        site: &Site,
        plan: &Plan,
    ) -> Result<Exchange, Failure> {
        // Here and not where the target was picked: what could not be planned was not asked.
        ctx.record.attempts += 1;
        let added = self.headers(down, plan);
        let make = move || {
            let mut head = site.request(&plan.path).map_err(Fault::Malformed)?;
            for (name, value) in &added {
                head.insert_header(name.clone(), value.clone())
                    .map_err(|e| Fault::Malformed(e.to_string()))?;
            }
            Ok(head)
        };
        let first_byte = (self.began + self.target.deadlines.first_byte).min(self.total);
        let sent = async {
            if let Credential::Fixed = site.credential {
                return Ok(self.app.transport.send(site, &make, &plan.body, first_byte).await);
            }
            let mut head = make().map_err(|fault| CredentialFault::Signing(fault_text(&fault)))?;
            let host = site.base.authority();
            let now = SystemTime::now();
            site.credential
                .apply(&self.app.transport, &mut head, &plan.body, &host, now, first_byte)
                .await?;
            let signed = || Ok(head.clone());
            Ok(self.app.transport.send(site, &signed, &plan.body, first_byte).await)
        };
        let exchange = match down.until(first_byte, sent).await {
            Ok(Ok(Ok(exchange))) => exchange,
            Ok(Ok(Err(fault))) => return Err(broken_connection(&fault)),
            Ok(Err(fault)) => return Err(no_credential(&fault)),
            Err(stop) => return Err(self.stopped(stop, Outcome::FirstByteTimeout)),
        };
        if let Some(headers) = exchange.headers() {
            ctx.record.upstream_request_id = request_id(headers);
        }
        Ok(exchange)
    }

    /// Headers of this request: the plan's, and those of the client that mean something to this API.
    fn headers(&self, down: &Downstream<'_>, plan: &Plan) -> Vec<(HeaderName, HeaderValue)> {
        let client = &down.request().headers;
        let native = matches!(plan.answer, Answer::Native { .. });
        let own: &[HeaderName] = match self.call.dialect {
            Dialect::OpenAi | Dialect::Responses if native => &FORWARDED_OPENAI,
            Dialect::Anthropic if native => &FORWARDED_ANTHROPIC,
            // Also when the conversation had to be translated into the same dialect.
            Dialect::Anthropic if plan.dialect() == Some(Dialect::Anthropic) => &FORWARDED_ANTHROPIC_TRANSLATED,
            _ => &[],
        };
        let mut headers: Vec<_> = FORWARDED
            .iter()
            .chain(own)
            .filter_map(|name| Some((name.clone(), client.get(name)?.clone())))
            .collect();
        for (name, value) in &plan.headers {
            merge(&mut headers, name, value);
        }
        headers
    }
}

/// Add a header of the plan's; a list that the client gave too (`anthropic-beta`) becomes one list.
fn merge(headers: &mut Vec<(HeaderName, HeaderValue)>, name: &HeaderName, value: &HeaderValue) {
    let given = headers.iter_mut().find(|(known, _)| known == name);
    match given {
        None => headers.push((name.clone(), value.clone())),
        Some((_, first)) => {
            let joined = [first.as_bytes(), b",", value.as_bytes()].concat();
            if let Ok(joined) = HeaderValue::from_bytes(&joined) {
                *first = joined;
            }
        }
    }
}

fn fault_text(_fault: &Fault) -> &'static str {
    "the request's head could not be made"
}

fn request_id(headers: &HeaderMap) -> Option<Box<str>> {
    let names = ["x-request-id", "request-id", "x-amzn-requestid", "apim-request-id"];
    let text = names.iter().find_map(|name| headers.get(*name))?.to_str().ok()?;
    (text.len() <= 128).then(|| text.into())
}
