//! HTTP/2 with prior knowledge, through hyper: the same answers as HTTP/1.1.
//!
//! Faults that need a socket of their own become what HTTP/2 has for them: a reset stream. `garbage`, `slow-head` and
//! `short-length` have no counterpart and reset the stream as well.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::answers::{Body, stamped};
use crate::clock::monotonic_ns;
use crate::decide::{Decision, Provider, Request};
use crate::fault::{DRIP_BYTES, DRIP_PAUSE, Fault, HANG_LIMIT};

/// A body that is fed from a task; an error in it resets the stream.
struct Fed(mpsc::Receiver<Result<Bytes, Broken>>);

#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken off on request")
    }
}

impl std::error::Error for Broken {}

impl HttpBody for Fed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.0
            .poll_recv(cx)
            .map(|next| next.map(|piece| piece.map(Frame::data)))
    }
}

pub async fn serve(stream: TcpStream, provider: &Arc<Provider>) {
    let service = service_fn(|request| {
        let provider = Arc::clone(provider);
        async move { Ok::<_, Infallible>(exchange(request, provider).await) }
    });
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(1000)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn exchange(request: hyper::Request<Incoming>, provider: Arc<Provider>) -> hyper::Response<Fed> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await.map(|all| all.to_bytes()) else {
        provider.count_aborted();
        return hyper::Response::new(Fed(mpsc::channel(1).1));
    };
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let decision = provider.decide(&Request {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        content_type: header("content-type"),
        fault: header("x-mock-fault"),
        body: &body,
    });
    tokio::time::sleep(decision.latency).await;
    if decision.fault == Some(Fault::Hang) {
        tokio::time::sleep(HANG_LIMIT).await;
    }
    let (sender, receiver) = mpsc::channel(64);
    let mut response = hyper::Response::new(Fed(receiver));
    let answer = &decision.answer;
    *response.status_mut() = hyper::StatusCode::from_u16(answer.status).unwrap_or(hyper::StatusCode::OK);
    let headers = response.headers_mut();
    if let Ok(value) = answer.content_type.parse() {
        headers.insert("content-type", value);
    }
    if let Some(seconds) = answer.retry_after {
        headers.insert("retry-after", seconds.into());
    }
    if let (Body::Whole(body), None) = (&answer.body, decision.fault) {
        headers.insert("content-length", body.len().into());
    }
    tokio::spawn(async move {
        if feed(&decision, &sender).await.is_err() {
            provider.count_aborted();
        }
    });
    response
}

type Sender = mpsc::Sender<Result<Bytes, Broken>>;
type Sent = Result<(), mpsc::error::SendError<Result<Bytes, Broken>>>;

/// `Err` when the client left before the end.
async fn feed(decision: &Decision, sender: &Sender) -> Sent {
    let pieces = match &decision.answer.body {
        Body::Whole(body) => vec![body.clone()],
        Body::Events(events) => events.clone(),
    };
    match decision.fault {
        None | Some(Fault::CloseAfter) => deliver(decision, sender, pieces).await,
        Some(Fault::SlowDrip) => {
            for piece in pieces.concat().chunks(DRIP_BYTES) {
                sender.send(Ok(Bytes::copy_from_slice(piece))).await?;
                tokio::time::sleep(DRIP_PAUSE).await;
            }
            Ok(())
        }
        Some(Fault::HangMidStream) => {
            half(sender, &pieces).await?;
            tokio::select! {
                () = tokio::time::sleep(HANG_LIMIT) => Ok(()),
                () = sender.closed() => sender.send(Ok(Bytes::new())).await,
            }
        }
        Some(Fault::After { events, .. }) => {
            let some = pieces.into_iter().take(events).collect();
            deliver(decision, sender, some).await?;
            tokio::time::sleep(DRIP_PAUSE).await;
            sender.send(Err(Broken)).await
        }
        Some(Fault::EofMidStream) => half(sender, &pieces).await,
        Some(Fault::ResetMidStream | Fault::ShortLength) => {
            half(sender, &pieces).await?;
            // A reset overtakes data that has not left yet.
            tokio::time::sleep(DRIP_PAUSE).await;
            sender.send(Err(Broken)).await
        }
        Some(_) => sender.send(Err(Broken)).await,
    }
}

async fn deliver(decision: &Decision, sender: &Sender, pieces: Vec<Bytes>) -> Sent {
    if decision.pace.is_zero() && !decision.stamp {
        return sender.send(Ok(Bytes::from(pieces.concat()))).await;
    }
    for (nth, piece) in pieces.into_iter().enumerate() {
        if nth > 0 {
            tokio::time::sleep(decision.pace).await;
        }
        let piece = if decision.stamp {
            stamped(&piece, monotonic_ns())
        } else {
            piece
        };
        sender.send(Ok(piece)).await?;
    }
    Ok(())
}

async fn half(sender: &Sender, pieces: &[Bytes]) -> Sent {
    let all = pieces.concat();
    let part = all.get(..all.len() / 2).unwrap_or_default();
    sender.send(Ok(Bytes::copy_from_slice(part))).await
}
