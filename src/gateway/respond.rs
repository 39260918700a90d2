//! Writing responses: heads with the gateway's own headers, whole bodies, errors in the client's dialect.

use super::context::RequestContext;
use super::downstream::Downstream;
use crate::error::{ErrorKind, GatewayError};
use crate::limits::Standing;
use crate::units::usd;
use crate::wire::{Dialect, errors};
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING,
};
use http::{StatusCode, Version};
use pingora::http::ResponseHeader;
use smallvec::SmallVec;
use std::time::Duration;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MODEL: HeaderName = HeaderName::from_static("x-cirque-model");
const TARGET: HeaderName = HeaderName::from_static("x-cirque-target");
const DROPPED: HeaderName = HeaderName::from_static("x-cirque-dropped");
const ESTIMATED: HeaderName = HeaderName::from_static("x-cirque-estimated");
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const COST: HeaderName = HeaderName::from_static("x-cirque-cost-usd");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// Limit, what remains, and when all of it does, as OpenAI names them.
const REQUESTS_LEFT: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const TOKENS_LEFT: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];
const ATTEMPTS: HeaderName = HeaderName::from_static("x-cirque-attempts");

/// `application/json`
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// `text/event-stream`
pub const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

/// Start a head: status, content type, and what the gateway says about the request.
pub fn head(
    status: StatusCode,
    content_type: HeaderValue,
    ctx: &RequestContext,
) -> pingora::Result<Box<ResponseHeader>> {
    let told = ctx.standings.requests.is_some() || ctx.standings.tokens.is_some();
    // One that is too small is made anew and filled again.
    let mut head = ResponseHeader::build_no_case(status, Some(if told { 16 } else { 8 }))?;
    head.insert_header(CONTENT_TYPE, content_type)?;
    head.insert_header(REQUEST_ID, ctx.id.header().clone())?;
    if let Some(model) = &ctx.record.model
        && let Ok(value) = HeaderValue::from_str(model)
    {
        head.insert_header(MODEL, value)?;
    }
    if let Some(dropped) = &ctx.record.dropped {
        head.insert_header(DROPPED, dropped.clone())?;
    }
    if ctx.record.estimated {
        head.insert_header(ESTIMATED, HeaderValue::from_static("true"))?;
    }
    if ctx.dialect == Dialect::Anthropic {
        // Where Anthropic's SDKs look for it.
        head.insert_header(ANTHROPIC_REQUEST_ID, ctx.id.header().clone())?;
    }
    limits(&mut head, ctx)?;
    if let Some(cache) = &ctx.record.cache {
        cache.tell(&mut head)?;
    }
    if let Some(guarding) = &ctx.guard {
        guarding.tell(&mut head)?;
    }
    if let Some(cost) = ctx.record.cost {
        head.insert_header(COST, usd(cost))?;
    }
    if ctx.record.attempts > 0 {
        head.insert_header(ATTEMPTS, HeaderValue::from(ctx.record.attempts))?;
        if let Some(target) = &ctx.record.target {
            head.insert_header(TARGET, target.id_header.clone())?;
        }
    }
    Ok(Box::new(head))
}

/// How the tightest limits of the request stand.
pub fn limits(head: &mut ResponseHeader, ctx: &RequestContext) -> pingora::Result<()> {
    for (standing, names) in [
        (ctx.standings.requests, REQUESTS_LEFT),
        (ctx.standings.tokens, TOKENS_LEFT),
    ] {
        if let Some(standing) = standing {
            for (name, value) in names.into_iter().zip(told(&standing)) {
                head.insert_header(name, value)?;
            }
        }
    }
    Ok(())
}

/// A header's value as it is written.
type Text = SmallVec<[u8; 32]>;

/// Limit, what remains, and when all of it does.
fn told(standing: &Standing) -> [HeaderValue; 3] {
    // Digits and letters always are a value.
    let value = |text: &Text| HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static(""));
    let number = |number: u64| {
        let mut text = Text::new();
        put(&mut text, number, "");
        value(&text)
    };
    let mut reset = Text::new();
    put_openai_time(&mut reset, standing.reset);
    [number(standing.limit), number(standing.remaining), value(&reset)]
}

fn put(text: &mut Text, number: u64, unit: &str) {
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    text.extend_from_slice(unit.as_bytes());
}

/// A length of time as OpenAI's headers have it: `1s`, `6m0s`, `120ms`.
fn put_openai_time(text: &mut Text, time: Duration) {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    match ms {
        0..1_000 => put(text, ms, "ms"),
        1_000..60_000 if ms.is_multiple_of(1_000) => put(text, seconds, "s"),
        1_000..60_000 => {
            put(text, seconds, ".");
            // With the zeros before it.
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(1_000 + ms % 1_000).as_bytes();
            text.extend_from_slice(digits.get(1..).unwrap_or_default());
            text.push(b's');
        }
        60_000..3_600_000 => {
            put(text, minutes, "m");
            put(text, seconds, "s");
        }
        _ => {
            put(text, hours, "h");
            put(text, minutes, "m");
            put(text, seconds, "s");
        }
    }
}

/// A whole response.
pub async fn whole(
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    status: StatusCode,
    content_type: HeaderValue,
    body: Bytes,
) -> pingora::Result<()> {
    let mut head = head(status, content_type, ctx)?;
    head.insert_header(CONTENT_LENGTH, HeaderValue::from(body.len()))?;
    send(down, ctx, head, body).await
}

async fn send(
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    head: Box<ResponseHeader>,
    body: Bytes,
) -> pingora::Result<()> {
    ctx.record.status = head.status.as_u16();
    ctx.record.bytes_out = body.len() as u64;
    let without_body = down.request().method == http::Method::HEAD;
    // Both leave together: what does not fit into Pingora's buffer would be a second system call.
    down.hold(!without_body && !body.is_empty() && length(&head) + body.len() > PINGORA_BUFFER);
    down.write_head(head).await?;
    if without_body {
        return Ok(());
    }
    down.hold(false);
    down.write(body, true).await
}

/// Bytes that Pingora gathers by itself.
const PINGORA_BUFFER: usize = 1460;

/// Bytes of a head, with what Pingora puts into it; rather too many.
fn length(head: &ResponseHeader) -> usize {
    let lines = head
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    lines.sum::<usize>() + 128
}

/// The head of a stream.
pub async fn stream_head(
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    content_type: HeaderValue,
) -> pingora::Result<()> {
    let mut head = head(StatusCode::OK, content_type, ctx)?;
    head.insert_header(CACHE_CONTROL, HeaderValue::from_static("no-cache"))?;
    match down.request().version {
        Version::HTTP_2 => {}
        // Pingora frames by what it finds here; without it an HTTP/1.1 response would end with the connection.
        Version::HTTP_11 => {
            head.insert_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
        }
        _ => down.close_after(),
    }
    ctx.record.status = 200;
    down.write_head(head).await
}

/// An error, if there is still a client to tell. `allow` goes with 405.
pub async fn error(
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    error: &GatewayError,
    allow: Option<&'static str>,
) -> pingora::Result<()> {
    if error.kind == ErrorKind::ClientLeft {
        ctx.record.status = 499;
        return Ok(());
    }
    let body = errors::body(ctx.dialect, error, ctx.id.as_str());
    let mut head = head(error.kind.status(), JSON, ctx)?;
    head.insert_header(CONTENT_LENGTH, HeaderValue::from(body.len()))?;
    if let Some(after) = error.retry_after {
        // Whole seconds, rounded up: a client that trusts it must not come too early.
        head.insert_header(
            RETRY_AFTER,
            HeaderValue::from(after.as_secs() + u64::from(after.subsec_nanos() > 0)),
        )?;
    }
    if error.kind == ErrorKind::BudgetExceeded {
        // The SDKs would ask again at once, which helps nobody here.
        head.insert_header(SHOULD_RETRY, HeaderValue::from_static("false"))?;
    }
    if let Some(methods) = allow {
        head.insert_header(ALLOW, HeaderValue::from_static(methods))?;
    }
    send(down, ctx, head, body).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told_as_openai_does() {
        let reset = |ms: u64| {
            let standing = Standing {
                limit: 1_000_000_000,
                remaining: 0,
                reset: Duration::from_millis(ms),
            };
            let [limit, remaining, reset] = told(&standing);
            assert_eq!(
                (limit, remaining),
                ("1000000000".parse().unwrap(), "0".parse().unwrap())
            );
            reset.to_str().unwrap().to_owned()
        };
        for (ms, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_000, "1s"),
            (1_005, "1.005s"),
            (59_999, "59.999s"),
            (60_000, "1m0s"),
            (360_500, "6m0s"),
            (3_600_000, "1h0m0s"),
            (90_061_000, "25h1m1s"),
        ] {
            assert_eq!(reset(ms), text);
        }
    }
}
