//! From bytes to a call: which operation, a bounded body, the envelope.

use super::super::App;
use super::super::buffers::Room;
use super::super::context::{Asked, RequestContext};
use super::super::downstream::{Downstream, ReadFault};
use crate::cache::feedback::FEEDBACK_PATH;
use crate::error::{ErrorKind, GatewayError};
use crate::snapshot::{Limits, Snapshot};
use crate::wire::{Call, Dialect, Endpoint, Given, Reading};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, Method};
use std::io::Read;
use std::time::Instant;

/// How much of a body arrives between two looks at it: less than the processor's second cache, more than a client could
/// make costly by sending a byte at a time.
const SHOW_EVERY: usize = 32 * 1024;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// An API operation: read the body.
    Api(Endpoint),
    /// `GET /v1/models`, `GET /v1beta/models`
    Models,
    /// `GET /v1/models/{id}`: where the id starts in the path.
    Model(usize),
    /// `POST /cirque/v1/cache/feedback`
    CacheFeedback,
    /// Forward unread to the pool of this model; whether the answer tells what it used.
    Passthrough(usize, bool),
}

/// A 404 or 405.
#[derive(Debug)]
pub struct NoRoute {
    /// What to say.
    pub error: Box<GatewayError>,
    /// Methods the path has, for 405.
    pub allow: Option<&'static str>,
}

/// Where the models are listed, for the SDK of each dialect.
const MODEL_LISTS: [&str; 5] = [
    "/v1/models",
    "/v1beta/models",
    "/v1alpha/models",
    "/openai/v1/models",
    "/anthropic/v1/models",
];

/// Find the route of a request.
pub fn route(snapshot: &Snapshot, method: &Method, path: &str) -> Result<Route, NoRoute> {
    let path = path.strip_suffix('/').filter(|p| !p.is_empty()).unwrap_or(path);
    let wrong_method = |allow: &'static str| {
        let error = GatewayError::new(
            ErrorKind::MethodNotAllowed,
            format!("{path} takes {allow}, not this method"),
        );
        Err(NoRoute {
            error: Box::new(error),
            allow: Some(allow),
        })
    };
    if let Some(endpoint) = Endpoint::find(path) {
        return if method == Method::POST {
            Ok(Route::Api(endpoint))
        } else {
            wrong_method("POST")
        };
    }
    let listed = MODEL_LISTS
        .iter()
        .find_map(|list| Some((list.len(), path.strip_prefix(list)?)))
        .filter(|(_, rest)| rest.is_empty() || rest.starts_with('/'));
    if let Some((length, rest)) = listed {
        return match *method {
            Method::GET | Method::HEAD if rest.is_empty() => Ok(Route::Models),
            Method::GET | Method::HEAD => Ok(Route::Model(length + 1)),
            _ => wrong_method("GET"),
        };
    }
    if path == FEEDBACK_PATH {
        return if method == Method::POST {
            Ok(Route::CacheFeedback)
        } else {
            wrong_method("POST")
        };
    }
    if !is_plain(path) {
        let error = GatewayError::invalid(
            "invalid_path",
            "the path may not contain `.` or `..` segments, backslashes, or encoded dots and slashes",
        );
        return Err(NoRoute {
            error: Box::new(error),
            allow: None,
        });
    }
    match snapshot.passthrough(path) {
        Some(rule) => Ok(Route::Passthrough(rule.model, rule.usage && method == Method::POST)),
        None => Err(NoRoute {
            error: Box::new(
                GatewayError::new(
                    ErrorKind::NotFound,
                    "no such path; the APIs are under /v1 and /v1beta, and other /v1 paths need a `passthrough` rule",
                )
                .code("unknown_path"),
            ),
            allow: None,
        }),
    }
}

/// Whether a path means the same to us and to every server behind us: a rule for `/v1/files` must not open `/v1/admin` by
/// way of `/v1/files/../admin`, however the dots are written.
fn is_plain(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    !path.contains('\\')
        && !["%2e", "%2f", "%5c", "%00"].iter().any(|code| lower.contains(code))
        // Some servers read `..;x` as `..` with a parameter.
        && !path.split(['/', ';']).any(|part| matches!(part, "." | ".."))
}

/// Refuse header blocks beyond the caps.
pub fn check_headers(limits: &Limits, down: &Downstream<'_>) -> Result<(), GatewayError> {
    let fields = down.request().headers.len();
    if fields > limits.request_header_count {
        let text = format!(
            "{fields} header fields; at most {} are accepted",
            limits.request_header_count
        );
        return Err(GatewayError::new(ErrorKind::HeadersTooLarge, text));
    }
    let bytes = down.header_bytes();
    if bytes > limits.request_headers {
        let text = format!(
            "the header block has {bytes} bytes; at most {} are accepted",
            limits.request_headers
        );
        return Err(GatewayError::new(ErrorKind::HeadersTooLarge, text));
    }
    Ok(())
}

/// A call and the room its body takes.
#[derive(Debug)]
pub struct Received {
    /// The call.
    pub call: Call,
    /// Given back when the request is over.
    pub room: Room,
}

/// Read the body and its envelope.
pub async fn run(
    app: &App,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    endpoint: Endpoint,
    limits: &Limits,
) -> Result<Received, GatewayError> {
    ctx.record.asked = Asked::Api(endpoint.operation);
    let gzip = is_gzip(&down.request().headers)?;
    let mut room = Room::none(&app.buffers);
    let mut reading = match given(endpoint, down)? {
        None => Reading::new(endpoint.operation, endpoint.dialect, limits.json_depth),
        Some(given) => Reading::given(endpoint.operation, endpoint.dialect, given, limits.json_depth),
    };
    let body = read_body(down, limits, &mut room, |so_far| {
        if !gzip {
            reading.advance(so_far);
        }
    })
    .await?;
    ctx.record.bytes_in = body.len() as u64;
    let call = if gzip {
        let body = inflate(body, limits, &mut room).await?;
        offload(move || reading.finish(body)).await??
    } else {
        reading.finish(body)?
    };
    ctx.record.stream = call.streamed();
    Ok(Received { call, room })
}

/// What a Gemini path says.
fn given(endpoint: Endpoint, down: &Downstream<'_>) -> Result<Option<Given>, GatewayError> {
    let Some(in_path) = endpoint.in_path else {
        return Ok(None);
    };
    let uri = &down.request().uri;
    let (from, to) = in_path.model;
    let raw = uri.path().get(from..to).unwrap_or_default();
    let model = percent_encoding::percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_| GatewayError::invalid("invalid_path", "the model's name in the path is not UTF-8"))?
        .into_owned();
    let wants_events = |query: &str| query.split('&').any(|pair| pair == "alt=sse");
    Ok(Some(Given {
        model,
        stream: in_path.stream,
        json_array: in_path.stream && endpoint.dialect == Dialect::Gemini && !uri.query().is_some_and(wants_events),
    }))
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, GatewayError> {
    match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes().trim_ascii()) {
        None => Ok(false),
        Some(encoding) if encoding.eq_ignore_ascii_case(b"identity") || encoding.is_empty() => Ok(false),
        Some(encoding) if encoding.eq_ignore_ascii_case(b"gzip") || encoding.eq_ignore_ascii_case(b"x-gzip") => {
            Ok(true)
        }
        Some(_) => Err(GatewayError::new(
            ErrorKind::UnsupportedEncoding,
            "content-encoding must be gzip or absent",
        )),
    }
}

/// Read the body, showing what has come so far to `arrived` now and then.
pub(super) async fn read_body(
    down: &mut Downstream<'_>,
    limits: &Limits,
    room: &mut Room,
    mut arrived: impl FnMut(&[u8]),
) -> Result<Bytes, GatewayError> {
    let headers = &down.request().headers;
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limits.request_body) {
        // Answered before the body is read; Pingora closes the connection, so the rest is never taken in.
        return Err(too_large(limits));
    }
    if let Some(length) = announced {
        room.grow_to(length, limits.buffered_bytes).map_err(|_| overloaded())?;
    }
    if headers
        .get(EXPECT)
        .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        down.invite_body().await.map_err(|_| GatewayError::client_left())?;
    }
    let deadline = Instant::now() + limits.body_timeout;
    let first = match next_piece(down, deadline).await? {
        Some(piece) => piece,
        None => return Ok(Bytes::new()),
    };
    if announced == Some(first.len()) {
        return Ok(first);
    }
    let mut body = BytesMut::with_capacity(announced.unwrap_or(first.len() * 2));
    let mut shown = 0;
    let mut piece = Some(first);
    while let Some(bytes) = piece {
        let length = body.len() + bytes.len();
        if length > limits.request_body {
            return Err(too_large(limits));
        }
        room.grow_to(length, limits.buffered_bytes).map_err(|_| overloaded())?;
        body.extend_from_slice(&bytes);
        if body.len() - shown >= SHOW_EVERY {
            shown = body.len();
            arrived(&body);
        }
        piece = next_piece(down, deadline).await?;
    }
    Ok(body.freeze())
}

async fn next_piece(down: &mut Downstream<'_>, deadline: Instant) -> Result<Option<Bytes>, GatewayError> {
    down.read_body(deadline).await.map_err(|fault| match fault {
        ReadFault::TooSlow => GatewayError::new(ErrorKind::RequestTimeout, "the request body was not sent in time"),
        ReadFault::Malformed => GatewayError::invalid("invalid_framing", "the request body's framing is broken"),
        ReadFault::Broken => GatewayError::client_left(),
    })
}

async fn inflate(packed: Bytes, limits: &Limits, room: &mut Room) -> Result<Bytes, GatewayError> {
    let cap = limits.request_body;
    let work = move || {
        let mut body = Vec::with_capacity((packed.len() * 4).min(cap));
        // One byte more than allowed tells a bomb from a body that just fits.
        let read = flate2::read::MultiGzDecoder::new(packed.as_ref())
            .take(cap as u64 + 1)
            .read_to_end(&mut body);
        read.map(|_| body)
    };
    let body = offload(work)
        .await?
        .map_err(|_| GatewayError::invalid("invalid_gzip", "the body is not valid gzip"))?;
    if body.len() > cap {
        return Err(too_large(limits));
    }
    room.grow_to(body.len(), limits.buffered_bytes)
        .map_err(|_| overloaded())?;
    Ok(body.into())
}

async fn offload<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, GatewayError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| GatewayError::internal(format!("blocking task: {e}")))
}

fn too_large(limits: &Limits) -> GatewayError {
    GatewayError::new(
        ErrorKind::PayloadTooLarge,
        format!("the request body is larger than {} bytes", limits.request_body),
    )
}

/// There is no memory for a body.
pub(super) fn overloaded() -> GatewayError {
    GatewayError::new(
        ErrorKind::Overloaded,
        "the gateway holds as many request bytes as it may; try again shortly",
    )
    .retry_after(std::time::Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_could_mean_two_things_are_refused() {
        for path in [
            "/v1/files/../admin",
            "/v1/files/./x",
            "/v1/files/%2e%2E/admin",
            "/v1/files%2fx",
            "/v1/files\\..\\admin",
            "/v1/files/..;/admin",
            "/v1/files/x%00",
        ] {
            assert!(!is_plain(path), "{path}");
        }
        for path in [
            "/v1/files/file-1.jsonl",
            "/v1/files/a..b",
            "/v1/audio/speech",
            "/v1/x/...",
            "/v1/f%C3%A9",
        ] {
            assert!(is_plain(path), "{path}");
        }
    }
}
