//! Networks, and which address a request really comes from.
//!
//! An IPv4 address inside an IPv6 one (`::ffff:10.0.0.1`) is the IPv4 address, in requests and in what is configured alike. The
//! one idea of [`client_ip`]: each proxy appends the address it was connected from, so the list is believed from its right end,
//! and only as far as addresses are proxies of ours; what stands further left anybody may have written.

use http::HeaderMap;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// Most addresses looked at in one request; the fields behind it are not ours.
const MOST_HOPS: usize = 32;
/// Longest entry of the list that can be an address with a port.
const LONGEST_ENTRY: usize = 60;

/// A list of networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Box<[IpNet]>);

impl Networks {
    /// Of a list as written. The error is what is wrong with the first bad one.
    pub fn compile<'a>(written: impl IntoIterator<Item = &'a str>) -> Result<Self, &'static str> {
        written.into_iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether an address is in one of them.
    pub fn has(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Read `10.0.0.0/8`, `2001:db8::/32`, or one address.
pub fn parse(text: &str) -> Result<IpNet, &'static str> {
    const WRONG: &str = "not a network";
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(ip.to_canonical()));
    }
    let network: IpNet = text.parse().map_err(|_| WRONG)?;
    if network.addr() != network.network() {
        return Err("its address has bits beyond its length");
    }
    match (network.addr().to_canonical(), network.prefix_len().checked_sub(96)) {
        (IpAddr::V4(v4), Some(length)) if network.addr().is_ipv6() => {
            IpNet::new(IpAddr::V4(v4), length).map_err(|_| WRONG)
        }
        _ => Ok(network),
    }
}

/// The address a request comes from: the nearest one that is not a trusted proxy. `peer` is who is connected.
///
/// An entry that is no address ends the list: the proxy that passed it on is as far as anything is known.
pub fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> IpAddr {
    let mut nearest = peer.to_canonical();
    if trusted.is_empty() || !trusted.has(nearest) {
        return nearest;
    }
    let fields = headers.get_all("x-forwarded-for").iter().rev();
    let entries = fields.flat_map(|field| field.as_bytes().rsplit(|byte| *byte == b','));
    for entry in entries.take(MOST_HOPS) {
        let Some(ip) = address(entry) else { break };
        nearest = ip;
        if !trusted.has(ip) {
            break;
        }
    }
    nearest
}

/// `10.0.0.1`, `10.0.0.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = entry.trim_ascii();
    if entry.len() > LONGEST_ENTRY {
        return None;
    }
    let text = std::str::from_utf8(entry).ok()?;
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let ip = bare
        .parse::<IpAddr>()
        .or_else(|_| text.parse().map(|address: SocketAddr| address.ip()));
    ip.ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn forwarded(fields: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append("x-forwarded-for", HeaderValue::from_str(field).unwrap());
        }
        headers
    }

    #[test]
    fn networks_are_read_and_ipv4_is_itself_in_any_clothes() {
        let networks =
            Networks::compile(["10.0.0.0/8", "2001:db8::/32", "192.0.2.7", "::ffff:172.16.0.0/108"]).unwrap();
        for (address, expected) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.1", false),
            ("2001:db8::1", true),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("172.16.9.9", true),
            ("172.32.0.1", false),
        ] {
            assert_eq!(networks.has(ip(address)), expected, "{address}");
        }
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "localhost",
            "10.0.0",
            "10.0.0.0/-1",
            "10.0.0.0/8 ",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_nearest_address_that_is_no_proxy_of_ours_is_the_clients() {
        let trusted = Networks::compile(["10.0.0.0/8", "fd00::/8"]).unwrap();
        let from = |peer: &str, fields: &[&str]| client_ip(ip(peer), &forwarded(fields), &trusted).to_string();
        assert_eq!(from("203.0.113.9", &["1.2.3.4"]), "203.0.113.9");
        assert_eq!(from("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(
            from("::ffff:10.0.0.1", &["6.6.6.6, 203.0.113.9, 10.0.0.2"]),
            "203.0.113.9"
        );
        assert_eq!(
            from("10.0.0.1", &["6.6.6.6", "203.0.113.9:443", "[fd00::1]:80"]),
            "203.0.113.9"
        );
        assert_eq!(from("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(from("10.0.0.1", &["6.6.6.6, unknown, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(from("10.0.0.1", &["6.6.6.6,"]), "10.0.0.1");
        assert_eq!(from("10.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
        let none = client_ip(ip("10.0.0.1"), &forwarded(&["1.2.3.4"]), &Networks::default());
        assert_eq!(none.to_string(), "10.0.0.1");
    }

    proptest! {
        /// Whatever a client wrote, behind any number of our proxies it has the address it was connected from.
        #[test]
        fn no_client_chooses_its_address(
            spoofed in prop::collection::vec("[ -~]{0,30}", 0..4),
            proxies in prop::collection::vec(any::<[u8; 3]>(), 1..5),
            client in any::<[u8; 4]>().prop_filter("not a proxy", |ip| ip[0] != 10),
            joined in any::<bool>(),
        ) {
            let trusted = Networks::compile(["10.0.0.0/8"]).unwrap();
            let client = IpAddr::from(client);
            let proxies: Vec<IpAddr> = proxies.iter().map(|[b, c, d]| IpAddr::from([10, *b, *c, *d])).collect();
            let (peer, before) = proxies.split_last().unwrap();
            let mut fields: Vec<String> = spoofed;
            for added in std::iter::once(&client).chain(before) {
                match fields.last_mut() {
                    Some(last) if joined => *last = format!("{last}, {added}"),
                    _ => fields.push(added.to_string()),
                }
            }
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            prop_assert_eq!(client_ip(*peer, &forwarded(&fields), &trusted), client);
        }

        #[test]
        fn no_list_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                headers.insert("x-forwarded-for", value);
            }
            let _ = client_ip(ip("10.0.0.1"), &headers, &Networks::compile(["0.0.0.0/0", "::/0"]).unwrap());
        }
    }
}
