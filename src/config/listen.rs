//! The three spellings of `listen:` as one list, and addresses as sockets.

use super::model::{Listen, ListenItem, Listener};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

impl Listen {
    /// Every listener, in the order written.
    pub fn listeners(&self) -> Vec<Listener> {
        let plain = |address: &String| Listener {
            address: address.clone(),
            tls: None,
            h2c: false,
        };
        match self {
            Self::Address(address) => vec![plain(address)],
            Self::One(listener) => vec![listener.clone()],
            Self::Many(items) => items
                .iter()
                .map(|item| match item {
                    ListenItem::Address(address) => plain(address),
                    ListenItem::Listener(listener) => listener.clone(),
                })
                .collect(),
        }
    }
}

impl Listener {
    /// The address to bind.
    pub fn socket(&self) -> Result<SocketAddr, String> {
        socket_address(&self.address)
    }
}

/// Read `127.0.0.1:8080`, `[::1]:8080` or `localhost:8080` (which is 127.0.0.1). Names are not resolved: where a server listens
/// must not depend on DNS.
pub fn socket_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err("no port".to_owned());
    };
    if port.is_empty() || !port.chars().all(|c| c.is_ascii_digit()) {
        return Err("the port is not a number".to_owned());
    }
    let port = port.parse().map_err(|_| "the port is larger than 65535".to_owned())?;
    match host {
        "localhost" => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        "" | "*" => Err("no host".to_owned()),
        _ if host.contains(':') => Err("an IPv6 address without brackets, or not an address".to_owned()),
        _ => Err("the host is not an IP address".to_owned()),
    }
}

/// Whether two listeners would fight for the same port.
pub(super) fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    // `[::]` takes IPv4 as well, unless the system is told otherwise.
    let takes = |x: IpAddr, y: IpAddr| x == y || (x.is_unspecified() && (x.is_ipv6() || y.is_ipv4()));
    a.port() != 0 && a.port() == b.port() && (takes(a.ip(), b.ip()) || takes(b.ip(), a.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, expected) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("localhost:1", "127.0.0.1:1"),
            ("[::]:8080", "[::]:8080"),
            ("0.0.0.0:0", "0.0.0.0:0"),
        ] {
            assert_eq!(socket_address(text).unwrap().to_string(), expected);
        }
        for text in [
            "",
            "8080",
            ":8080",
            "*:80",
            "host:80",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:x",
            "1.1.1.1:70000",
            "::1:80:x",
        ] {
            assert!(socket_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn wildcard_addresses_collide_with_what_they_take() {
        let collides = |a: &str, b: &str| collide(a.parse().unwrap(), b.parse().unwrap());
        assert!(collides("127.0.0.1:80", "127.0.0.1:80"));
        assert!(collides("0.0.0.0:80", "127.0.0.1:80"));
        assert!(collides("127.0.0.1:80", "[::]:80"));
        assert!(!collides("0.0.0.0:80", "[::1]:80"));
        assert!(!collides("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!collides("127.0.0.1:0", "127.0.0.1:0"));
    }
}
