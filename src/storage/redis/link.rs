//! Where Redis is and how it is reached: addresses, TLS, and in a cluster the node that has our names.
//!
//! Not when to reach it (`keeper`). The one idea: all names share one hash tag, so one node of a cluster has them all, and whoever
//! is asked first says which one (`MOVED`). The client's own cluster support is not used because it repeats commands by itself.

use super::script::Failure;
use crate::secret::Secret;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use std::time::Duration;

/// Longest wait for a connection, so that a hanging node is given up before the next one has waited for long.
const CONNECT: Duration = Duration::from_millis(500);

/// How often a node may send us to another one before we give up.
const HOPS: usize = 4;

/// The nodes as configured.
pub(super) struct Link {
    seeds: Vec<ConnectionInfo>,
    cluster: bool,
    ca: Option<Vec<u8>>,
}

/// A node that answers and has our names.
pub(super) struct Found {
    /// To ask it.
    pub connection: MultiplexedConnection,
    /// To open further connections to it (subscriptions).
    pub client: Client,
    /// Differs after every start of the server process; empty where `INFO` is not allowed.
    pub run: String,
}

impl Link {
    /// Fails if a URL cannot be read; the error does not quote it.
    pub(super) fn new(urls: &[Secret], cluster: bool, ca: Option<Vec<u8>>) -> Result<Self, String> {
        let read = |(index, url): (usize, &Secret)| {
            let wrong = || format!("urls[{index}] is not a Redis URL: write redis://user:password@host:6379/0");
            let info = url.expose().into_connection_info().map_err(|_| wrong())?;
            if cluster && info.redis_settings().db() != 0 {
                return Err(format!("urls[{index}]: a cluster has no other database than 0"));
            }
            Ok(info)
        };
        let seeds: Vec<ConnectionInfo> = urls.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        if seeds.is_empty() {
            return Err("no URL of Redis".to_owned());
        }
        let link = Self { seeds, cluster, ca };
        for (index, seed) in link.seeds.iter().enumerate() {
            link.client(seed.clone())
                .map_err(|_| format!("urls[{index}], or the certificates it is verified with, cannot be used"))?;
        }
        Ok(link)
    }

    /// Connect to the first node that answers, or to the one it names. `probe` is one of our names.
    pub(super) async fn find(&self, probe: &str) -> Result<Found, Failure> {
        let mut failure = Failure::Broken("no node".to_owned());
        for seed in &self.seeds {
            match self.follow(seed.clone(), probe).await {
                Ok(found) => return Ok(found),
                Err(why) => failure = why,
            }
        }
        Err(failure)
    }

    async fn follow(&self, mut at: ConnectionInfo, probe: &str) -> Result<Found, Failure> {
        for _ in 0..HOPS {
            let client = self.client(at.clone())?;
            let attempt = tokio::time::timeout(CONNECT, open(&client, probe)).await;
            match attempt.unwrap_or_else(|_| Err(Failure::Broken("no answer in time".to_owned()))) {
                Ok((connection, run)) => {
                    return Ok(Found {
                        connection,
                        client,
                        run,
                    });
                }
                Err(Failure::Moved(node)) if self.cluster => {
                    let there = elsewhere(at.addr(), &node);
                    at = at.set_addr(there.ok_or_else(|| Failure::Broken("moved to nowhere".to_owned()))?);
                }
                Err(Failure::Moved(_)) => {
                    return Err(Failure::Broken("it is a cluster: set `cluster: true`".to_owned()));
                }
                Err(why) => return Err(why),
            }
        }
        Err(Failure::Broken("moved too often".to_owned()))
    }

    fn client(&self, info: ConnectionInfo) -> Result<Client, Failure> {
        let tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        Ok(match &self.ca {
            Some(ca) if tls => Client::build_with_tls(
                info,
                TlsCertificates {
                    client_tls: None,
                    root_cert: Some(ca.clone()),
                },
            )?,
            _ => Client::open(info)?,
        })
    }
}

/// Connect, and ask for the name that decides which node is ours.
async fn open(client: &Client, probe: &str) -> Result<(MultiplexedConnection, String), Failure> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(None);
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    redis::cmd("EXISTS")
        .arg(probe)
        .query_async::<redis::Value>(&mut connection)
        .await?;
    let info = redis::cmd("INFO")
        .arg("server")
        .query_async::<String>(&mut connection)
        .await;
    let run = info.unwrap_or_default();
    let run = run.lines().find_map(|line| line.strip_prefix("run_id:"));
    Ok((connection, run.unwrap_or_default().trim().to_owned()))
}

/// The address a node sent us to; without a host it means its own.
fn elsewhere(from: &ConnectionAddr, node: &str) -> Option<ConnectionAddr> {
    let (host, port) = node.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let named = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    match from {
        ConnectionAddr::Tcp(own, _) => {
            let host = if named.is_empty() { own.clone() } else { named };
            Some(ConnectionAddr::Tcp(host, port))
        }
        ConnectionAddr::TcpTls {
            host: own, tls_params, ..
        } => Some(ConnectionAddr::TcpTls {
            host: if named.is_empty() { own.clone() } else { named },
            port,
            insecure: false,
            tls_params: tls_params.clone(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_cannot_be_used_are_refused_without_being_quoted() {
        for url in ["http://x:hunter2@h", "redis://:hunter2@", "", "redis://h/x-hunter2"] {
            let why = Link::new(&[Secret::new(url.to_owned())], false, None).err();
            assert!(why.is_some_and(|why| !why.contains("hunter2")), "{url}");
        }
        assert!(Link::new(&[], false, None).is_err());
        assert!(Link::new(&[Secret::new("redis://h/3".to_owned())], true, None).is_err());
    }

    #[test]
    fn a_node_may_name_another_or_only_another_port() {
        let from = ConnectionAddr::Tcp("a".to_owned(), 1);
        assert_eq!(elsewhere(&from, "b:7"), Some(ConnectionAddr::Tcp("b".to_owned(), 7)));
        assert_eq!(elsewhere(&from, ":7"), Some(ConnectionAddr::Tcp("a".to_owned(), 7)));
        assert_eq!(
            elsewhere(&from, "[::1]:7"),
            Some(ConnectionAddr::Tcp("::1".to_owned(), 7))
        );
        for bad in ["", "b", "b:", "b:70000", "b:x"] {
            assert_eq!(elsewhere(&from, bad), None, "{bad}");
        }
    }
}
