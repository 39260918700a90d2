//! The yardstick of `make overhead`: the least proxy that Pingora allows.
//!
//! It is for measuring what Pingora itself costs in a given build profile, so that Cirque's own cost is the
//! difference. It is not an example of how to build a gateway: it routes nothing, checks nothing and has one
//! upstream, whose peer is built once. Declared as a bench target with `harness = false`, so that it is compiled
//! by the same compiler, profile and dependency versions as the gateway; it is a server, not a benchmark by itself.
//!
//! Usage: `bare_pingora --listen 127.0.0.1:P --upstream 127.0.0.1:Q [--threads 1]`; without `--listen` it only
//! prints its usage and ends, which is what a plain `cargo bench` or `cargo test --benches` should see.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::prelude::{HttpPeer, Result, Session, http_proxy_service};
use pingora::proxy::ProxyHttp;
use pingora::server::Server;
use pingora::server::configuration::ServerConf;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: bare_pingora --listen ADDR --upstream ADDR [--threads N]";

struct Passthrough {
    peer: HttpPeer,
}

#[async_trait]
impl ProxyHttp for Passthrough {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut Self::CTX) -> Result<Box<HttpPeer>> {
        Ok(Box::new(self.peer.clone()))
    }
}

struct Options {
    listen: SocketAddr,
    upstream: SocketAddr,
    threads: usize,
}

/// `Ok(None)` means that nothing was asked for. Unknown arguments (`--bench` and filters, from cargo) are ignored.
fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let (mut listen, mut upstream, mut threads) = (None, None, 1);
    while let Some(name) = args.next() {
        if !matches!(name.as_str(), "--listen" | "--upstream" | "--threads") {
            continue;
        }
        let value = args.next().ok_or_else(|| format!("{name} has no value"))?;
        let wrong = |error: &dyn std::fmt::Display| format!("{name} {value}: {error}");
        match name.as_str() {
            "--listen" => listen = Some(value.parse().map_err(|e| wrong(&e))?),
            "--upstream" => upstream = Some(value.parse().map_err(|e| wrong(&e))?),
            _ => threads = value.parse().map_err(|e| wrong(&e))?,
        }
    }
    match (listen, upstream) {
        (None, None) => Ok(None),
        (Some(listen), Some(upstream)) => Ok(Some(Options {
            listen,
            upstream,
            threads,
        })),
        _ => Err("--listen and --upstream go together".to_owned()),
    }
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    // The pool is as large as the gateway's: with the default of 128 the yardstick would reconnect and look dear.
    let conf = ServerConf {
        threads: options.threads,
        upstream_keepalive_pool_size: 1024,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let passthrough = Passthrough {
        peer: HttpPeer::new(options.upstream, false, String::new()),
    };
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), passthrough);
    service.add_tcp(&options.listen.to_string());
    server.add_service(service);
    server.run_forever()
}
