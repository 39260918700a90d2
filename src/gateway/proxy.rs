//! Pingora's hook: one line per phase. The API lane is answered in `request_filter`; the passthrough lane goes on through
//! the native phases, which [`super::passthrough`] fills.

use super::App;
use super::context::RequestContext;
use super::downstream::Downstream;
use super::pipeline::{self, Lane};
use super::wire::Watched;
use super::{passthrough, respond};
use crate::error::GatewayError;
use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use pingora::Error;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::upstreams::peer::HttpPeer;
use pingora_proxy::{FailToProxy, ProxyHttp, Session};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// The proxy application.
pub struct Gateway {
    /// Shared with everything else in the process.
    pub app: Arc<App>,
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = RequestContext;

    fn new_ctx(&self) -> RequestContext {
        RequestContext::new()
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut RequestContext) -> pingora::Result<bool> {
        Watched::header_arrived(session);
        session.downstream_session.set_pipelining_enabled(true);
        let limits = self.app.snapshot.load().limits;
        session.downstream_session.set_write_timeout(Some(limits.write_timeout));
        let mut down = Downstream::new(session);
        // A panic is a defect of ours: that request gets a 500, every other goes on.
        match AssertUnwindSafe(pipeline::serve(&self.app, &mut down, ctx))
            .catch_unwind()
            .await
        {
            Ok(lane) => Ok(lane == Lane::Answered),
            Err(_) => {
                let mut down = Downstream::new(session);
                down.close_after();
                if down.session().response_written().is_none() {
                    let _ = respond::error(&mut down, ctx, &GatewayError::internal("panic"), None).await;
                }
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut RequestContext) -> pingora::Result<Box<HttpPeer>> {
        passthrough::peer(session, ctx).await
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut RequestContext,
    ) -> pingora::Result<()> {
        passthrough::request(&self.app, session, request, ctx).await
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestContext,
    ) -> pingora::Result<()> {
        passthrough::response(response, ctx)
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        ctx: &mut RequestContext,
    ) -> pingora::Result<Option<Duration>> {
        passthrough::conceal(ctx, body);
        passthrough::hear(ctx, body);
        Ok(None)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut RequestContext,
        error: Box<Error>,
    ) -> Box<Error> {
        passthrough::connect_failed(ctx, error)
    }

    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut RequestContext,
        reused: bool,
    ) -> Box<Error> {
        passthrough::proxy_failed(peer, session, error, ctx, reused)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut RequestContext) -> FailToProxy {
        passthrough::answer_failure(session, error, ctx).await
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut RequestContext) {
        passthrough::settle(&self.app, session, error, ctx);
        Watched::request_over(session);
    }

    fn suppress_error_log(&self, _session: &Session, _ctx: &RequestContext, _error: &Error) -> bool {
        // Logged once, by us, where it is handled.
        true
    }
}
