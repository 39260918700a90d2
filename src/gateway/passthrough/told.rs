//! What the answer to a request of the passthrough lane tells of tokens and model, heard while it passes: for its record, limits and
//! budgets.
//!
//! Only where the rule says that answers tell it (`usage: true`), of answers to POST: a path that returns what was made before would
//! be charged again at each look. Nothing is held back and no byte is changed; what is packed is not heard.

use super::Passing;
use crate::gateway::context::{Record, RequestContext};
use crate::wire::told::{Form, Listener};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use pingora::http::{RequestHeader, ResponseHeader};

/// Clients accept packed answers by default, and what is packed cannot be heard.
pub(super) fn ask_plain(ctx: &RequestContext, request: &mut RequestHeader) -> pingora::Result<()> {
    if ctx.passthrough.as_ref().is_some_and(|passing| passing.tells) {
        request.insert_header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))?;
    }
    Ok(())
}

/// An answer begins.
pub(super) fn listen(passing: &mut Passing, response: &ResponseHeader) {
    let packed = || {
        let mut codings = response.headers.get_all(CONTENT_ENCODING).iter();
        codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    };
    let form = || Form::of(response.headers.get(CONTENT_TYPE)?.as_bytes());
    let heard = passing.tells && response.status.is_success() && !packed();
    passing.listener = heard.then(form).flatten().map(|form| Box::new(Listener::new(form)));
}

/// A piece of it.
pub fn hear(ctx: &mut RequestContext, body: &Option<Bytes>) {
    let listener = ctx.passthrough.as_mut().and_then(|passing| passing.listener.as_mut());
    if let (Some(listener), Some(piece)) = (listener, body) {
        listener.push(piece);
    }
}

/// The request is over.
pub(super) fn note(passing: &mut Passing, record: &mut Record) {
    record.tells = passing.tells;
    if let Some(listener) = passing.listener.take() {
        let told = listener.told();
        record.usage = told.usage;
        record.told_model = told.model;
    }
}
