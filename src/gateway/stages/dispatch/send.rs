//! The request of one attempt on its way out: head, credential, and the wait for the response's head.

use super::super::super::plan::{Answer, Plan};
use super::attempt::{Attempt, Notes};
use super::failure::{Failure, broken_connection, no_credential};
use super::forward::{Reach, merge};
use crate::telemetry::Outcome;
use crate::upstream::{Credential, CredentialFault, Exchange, Fault, Site};
use crate::wire::Dialect;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use std::pin::pin;
use std::time::{Instant, SystemTime};

impl Attempt<'_> {
    /// Send the request; a response, whatever its status, or why there is none.
    pub(super) async fn ask(&self, notes: &mut Notes, site: &Site, plan: &Plan) -> Result<Exchange, Failure> {
        let added = self.headers(plan);
        let make = move || {
            let mut head = site.request(&plan.path).map_err(Fault::Malformed)?;
            for (name, value) in &added {
                head.insert_header(name.clone(), value.clone())
                    .map_err(|e| Fault::Malformed(e.to_string()))?;
            }
            Ok(head)
        };
        let first_byte = (self.began + self.target.deadlines.first_byte).min(self.common.total);
        let transport = &self.common.app.transport;
        // Pinned here, as whatever is waited for in this room: an argument that is moved into a future takes its room twice.
        let sent = pin!(async {
            if let Credential::Fixed = site.credential {
                return Ok(transport.send(site, &make, &plan.body, first_byte).await);
            }
            let mut head = make().map_err(|_| CredentialFault::Signing("the request's head could not be made"))?;
            let host = site.base.authority();
            let now = SystemTime::now();
            site.credential
                .apply(transport, &mut head, &plan.body, &host, now, first_byte)
                .await?;
            let signed = || Ok(head.clone());
            Ok(transport.send(site, &signed, &plan.body, first_byte).await)
        });
        let sent = notes.within(first_byte, sent).await;
        if matches!(sent, Ok(Ok(Err(_)) | Err(_))) && Instant::now() >= self.common.total {
            // Whatever broke off then, our own time was up.
            return Err(self.late(Outcome::TotalTimeout));
        }
        let exchange = match sent {
            Ok(Ok(Ok(exchange))) => exchange,
            Ok(Ok(Err(fault))) => return Err(broken_connection(&fault)),
            Ok(Err(fault)) => return Err(no_credential(&fault)),
            Err(_) => return Err(self.late(Outcome::FirstByteTimeout)),
        };
        if let Some(headers) = exchange.headers() {
            // Some servers repeat what they were sent in the strangest places.
            notes.upstream_request_id = request_id(headers).filter(|id| !site.is_betrayed_by(id.as_bytes()));
        }
        Ok(exchange)
    }

    /// Headers of this request: the plan's, and those of the client that mean something to this API.
    fn headers(&self, plan: &Plan) -> Vec<(HeaderName, HeaderValue)> {
        let native = matches!(plan.answer, Answer::Native { .. });
        let reach = match self.common.call.dialect {
            Dialect::OpenAi | Dialect::Responses if native => Reach::OpenAi,
            Dialect::Anthropic if native => Reach::Anthropic,
            Dialect::Anthropic if plan.dialect() == Some(Dialect::Anthropic) => Reach::AnthropicTranslated,
            _ => Reach::All,
        };
        let mut headers = self.common.headers.to(reach);
        for (name, value) in &plan.headers {
            merge(&mut headers, name, value);
        }
        headers
    }
}

fn request_id(headers: &HeaderMap) -> Option<Box<str>> {
    let names = ["x-request-id", "request-id", "x-amzn-requestid", "apim-request-id"];
    let text = names.iter().find_map(|name| headers.get(*name))?.to_str().ok()?;
    (text.len() <= 128).then(|| text.into())
}
