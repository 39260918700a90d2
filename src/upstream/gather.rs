//! A byte stream whose writes can be held back and leave together.
//!
//! Pingora flushes a request's header before its body, and a chunked response's header, chunks and end one by one. Each
//! flush is a system call here and a wake-up at the other side; on the loopback interface it is also where the kernel does
//! the receiver's work. Held, they are one. Used toward providers and (inside [`crate::gateway::wire`]) toward clients.

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::protocols::{Peek, Shutdown, Stream};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Held bytes beyond this are written although more is to come.
const HOLD_UP_TO: usize = 64 * 1024;

/// A stream that can hold its writes.
#[derive(Debug)]
pub struct Gathered {
    pub(crate) inner: Stream,
    hold: AtomicBool,
    held: BytesMut,
}

impl Gathered {
    /// Around a connection.
    pub fn new(inner: Stream) -> Self {
        Self {
            inner,
            hold: AtomicBool::new(false),
            held: BytesMut::new(),
        }
    }

    /// While set, writes and flushes only gather. Unset, the next write or flush sends all.
    pub fn hold(&self, hold: bool) {
        self.hold.store(hold, Ordering::Relaxed);
    }

    /// Whether this much more is held. Not a large body: it would be a second copy of it.
    fn holding(&self, more: usize) -> bool {
        self.hold.load(Ordering::Relaxed) && self.held.len().saturating_add(more) <= HOLD_UP_TO
    }

    /// Let go of the memory that holding took; it is taken again when needed.
    pub fn slim(&mut self) {
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
    }

    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.held))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Write what is held and `bufs` in one call; how much of `bufs` was taken.
    fn poll_write_all(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            let held = self.held.len();
            if held == 0 {
                return Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
            }
            let mut slices = [IoSlice::new(&[]); 8];
            let all = std::iter::once(IoSlice::new(&self.held)).chain(bufs.iter().copied());
            for (slot, slice) in slices.iter_mut().zip(all) {
                *slot = slice;
            }
            let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, &slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(written.min(held));
            if written > held {
                return Poll::Ready(Ok(written - held));
            }
        }
    }
}

impl AsyncRead for Gathered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Gathered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.holding(buf.len()) {
            self.held.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        if self.held.is_empty() {
            return Pin::new(&mut self.inner).poll_write(cx, buf);
        }
        self.poll_write_all(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let more = bufs.iter().map(|buf| buf.len()).sum();
        if self.holding(more) {
            for buf in bufs {
                self.held.extend_from_slice(buf);
            }
            return Poll::Ready(Ok(more));
        }
        self.poll_write_all(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.holding(0) {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Gathered {
    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}

#[async_trait]
impl Peek for Gathered {
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        self.inner.try_peek(buf).await
    }
}

/// Pass what Pingora asks of a connection on to the stream inside: a wrapper changes nothing about its identity.
macro_rules! delegate_identity {
    ($wrapper:ty, $inner:ident) => {
        impl pingora::protocols::UniqueID for $wrapper {
            fn id(&self) -> pingora::protocols::UniqueIDType {
                self.$inner.id()
            }
        }

        impl pingora::protocols::Ssl for $wrapper {
            fn get_ssl(&self) -> Option<&pingora::protocols::tls::TlsRef> {
                self.$inner.get_ssl()
            }

            fn get_ssl_digest(&self) -> Option<std::sync::Arc<pingora::protocols::tls::SslDigest>> {
                self.$inner.get_ssl_digest()
            }

            fn selected_alpn_proto(&self) -> Option<pingora::protocols::ALPN> {
                self.$inner.selected_alpn_proto()
            }
        }

        impl pingora::protocols::GetTimingDigest for $wrapper {
            fn get_timing_digest(&self) -> Vec<Option<pingora::protocols::TimingDigest>> {
                self.$inner.get_timing_digest()
            }

            fn get_read_pending_time(&self) -> std::time::Duration {
                self.$inner.get_read_pending_time()
            }

            fn get_write_pending_time(&self) -> std::time::Duration {
                self.$inner.get_write_pending_time()
            }
        }

        impl pingora::protocols::GetProxyDigest for $wrapper {
            fn get_proxy_digest(&self) -> Option<std::sync::Arc<pingora::protocols::raw_connect::ProxyDigest>> {
                self.$inner.get_proxy_digest()
            }

            fn set_proxy_digest(&mut self, digest: pingora::protocols::raw_connect::ProxyDigest) {
                self.$inner.set_proxy_digest(digest);
            }
        }

        impl pingora::protocols::GetSocketDigest for $wrapper {
            fn get_socket_digest(&self) -> Option<std::sync::Arc<pingora::protocols::SocketDigest>> {
                self.$inner.get_socket_digest()
            }

            fn set_socket_digest(&mut self, digest: pingora::protocols::SocketDigest) {
                self.$inner.set_socket_digest(digest);
            }
        }
    };
}
pub(crate) use delegate_identity;

delegate_identity!(Gathered, inner);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    fn pair() -> (Gathered, DuplexStream) {
        let (near, far) = tokio::io::duplex(256 * 1024);
        (Gathered::new(Box::new(near)), far)
    }

    #[tokio::test]
    async fn held_writes_leave_with_the_next_one_in_order() {
        let (mut near, mut far) = pair();
        near.hold(true);
        near.write_all(b"head ").await.unwrap();
        near.flush().await.unwrap();
        let mut seen = [0; 16];
        let nothing = tokio::time::timeout(std::time::Duration::from_millis(5), far.read(&mut seen)).await;
        assert!(nothing.is_err(), "nothing leaves while held");
        near.hold(false);
        near.write_all(b"body").await.unwrap();
        near.flush().await.unwrap();
        let length = far.read(&mut seen).await.unwrap();
        assert_eq!(&seen[..length], b"head body");
    }

    #[tokio::test]
    async fn a_flush_or_too_much_releases() {
        let (mut near, mut far) = pair();
        near.hold(true);
        near.write_all(b"x").await.unwrap();
        near.hold(false);
        near.flush().await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'x');
        near.hold(true);
        near.write_all(&vec![b'y'; HOLD_UP_TO + 10]).await.unwrap();
        // A body of any size is not held: that would copy it.
        assert!(near.held.is_empty());
        near.write_all(b"z").await.unwrap();
        near.hold(false);
        near.flush().await.unwrap();
        let mut seen = vec![0; HOLD_UP_TO + 11];
        far.read_exact(&mut seen).await.unwrap();
        assert_eq!(seen.last(), Some(&b'z'));
    }
}
