//! A provider's base URL, taken apart strictly, and the addresses no provider may have.
//!
//! Stricter than RFC 3986 on purpose: what is refused here can mean different things to two parsers (odd spellings of IPv4
//! addresses, credentials before the host), and that difference is how requests are steered to a cloud's metadata service.

use crate::link_local::{is_link_local, plain};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `http[s]://HOST[:PORT][/PATH]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// Whether TLS is spoken.
    pub https: bool,
    /// Name or address.
    pub host: Host,
    /// Port, the scheme's own when none is written.
    pub port: u16,
    /// Path without its last slash: empty, or `/v1`.
    pub path: String,
}

/// The host of a base URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A DNS name, in lower case.
    Name(String),
    /// An address. `true`: IPv4 spelt otherwise than `a.b.c.d` (decimal, hexadecimal, octal, shortened).
    Address(IpAddr, bool),
}

impl BaseUrl {
    /// Take a base URL apart. The error is a message and its remedy; neither repeats user names or passwords.
    pub fn parse(text: &str) -> Result<Self, (String, String)> {
        let wrong = |message: &str, remedy: &str| Err((message.to_owned(), remedy.to_owned()));
        let Some((scheme, rest)) = text.split_once("://") else {
            return wrong(
                "not a URL",
                "write http:// or https://, a host and a path, for example `https://api.openai.com/v1`",
            );
        };
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => {
                return wrong("only http:// and https:// are spoken", "begin with `https://`");
            }
        };
        if rest.contains(|c: char| {
            !c.is_ascii_graphic() || matches!(c, '\\' | '"' | '<' | '>' | '`' | '{' | '}' | '|' | '^')
        }) {
            return wrong(
                "contains a space or a character that a URL must not have",
                "percent-encode it or remove it",
            );
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return wrong(
                "credentials in the URL (not repeated here)",
                "remove what stands before the `@`; use `api_key`",
            );
        }
        if path.contains(['?', '#']) {
            return wrong(
                "has a query or a fragment",
                "remove `?…` and `#…`; only scheme, host, port and path belong here",
            );
        }
        if path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return wrong("the path contains `.` or `..`", "write the path without them");
        }
        let (host, port) = split_port(authority)?;
        let port = match port {
            None => {
                if https {
                    443
                } else {
                    80
                }
            }
            Some(port) => match port.parse::<u16>() {
                Ok(number) if number > 0 && port.chars().all(|c| c.is_ascii_digit()) => number,
                _ => return wrong("the port is not a number from 1 to 65535", "mend the port"),
            },
        };
        Ok(Self {
            https,
            host: Host::parse(host)?,
            port,
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    /// Why this host must not be a provider's, if so: it is link-local, a metadata service, or hides which address it is.
    pub fn forbidden(&self) -> Option<String> {
        match &self.host {
            Host::Name(name) => is_metadata_name(name).then(|| format!("{name} is a cloud's metadata service")),
            Host::Address(ip, _) if is_link_local(*ip) => {
                Some(format!("{ip} is a link-local or cloud metadata address"))
            }
            Host::Address(ip, true) => Some(format!("an unusual spelling of the address {ip}")),
            Host::Address(..) => None,
        }
    }

    /// Whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Address(ip, _) => plain(*ip).is_loopback(),
        }
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`
fn split_port(authority: &str) -> Result<(&str, Option<&str>), (String, String)> {
    if let Some(inner) = authority.strip_prefix('[') {
        let Some((host, rest)) = inner.split_once(']') else {
            return Err((
                "the `[` of the address is never closed".to_owned(),
                "write `[::1]:8000`".to_owned(),
            ));
        };
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(("text after the `]`".to_owned(), "write `[::1]:8000`".to_owned())),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => Err((
            "an IPv6 address without brackets".to_owned(),
            "write `[::1]:8000`".to_owned(),
        )),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, (String, String)> {
        let wrong = |message: &str, remedy: &str| Err((message.to_owned(), remedy.to_owned()));
        if text.is_empty() {
            return wrong("no host", "write the server's name after `://`");
        }
        if text.contains(':') {
            // A zone (`%eth0`) only ever qualifies a link-local address: drop it, the address itself is then refused.
            let address = text.split('%').next().unwrap_or_default();
            return match address.parse::<Ipv6Addr>() {
                Ok(ip) => Ok(Self::Address(IpAddr::V6(ip), false)),
                Err(_) => wrong("not an IPv6 address", "mend what is between `[` and `]`"),
            };
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let labels_fit = name.split('.').all(|label| (1..=63).contains(&label.len()));
        let allowed = name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if !labels_fit || !allowed || name.len() > 253 {
            return wrong("not a host name", "write letters, digits, hyphens and dots only");
        }
        let last = name.rsplit('.').next().unwrap_or_default();
        if !last.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(Self::Name(name));
        }
        match loose_ipv4(&name) {
            Some(ip) => Ok(Self::Address(IpAddr::V4(ip), ip.to_string() != name)),
            // A name whose last label is a number is an address to some resolvers and a name to others.
            None if last.chars().all(|c| c.is_ascii_digit()) || last.starts_with("0x") => wrong(
                "neither a host name nor an IPv4 address",
                "write the address as `a.b.c.d`",
            ),
            None => Ok(Self::Name(name)),
        }
    }
}

/// IPv4 as `inet_aton` reads it: one to four parts, each decimal, octal or hexadecimal, the last filling what is left.
fn loose_ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u64> = text.split('.').map(loose_number).collect::<Option<_>>()?;
    let (last, heads) = parts.split_last()?;
    if heads.len() > 3 || heads.iter().any(|part| *part > 255) {
        return None;
    }
    let room = 32 - 8 * heads.len() as u32;
    if *last >= 1 << room {
        return None;
    }
    let high = heads
        .iter()
        .enumerate()
        .fold(0_u64, |sum, (at, part)| sum | part << (24 - 8 * at));
    u32::try_from(high | last).ok().map(Ipv4Addr::from)
}

fn loose_number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some("") => return Some(0),
        Some(hex) => (hex, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    let valid = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    valid.then(|| u64::from_str_radix(digits, radix).ok()).flatten()
}

fn is_metadata_name(name: &str) -> bool {
    matches!(
        name,
        "metadata" | "metadata.google.internal" | "metadata.goog" | "instance-data" | "instance-data.ec2.internal"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_urls_are_taken_apart() {
        let url = BaseUrl::parse("https://API.openai.com/v1/").unwrap();
        assert_eq!((url.https, url.port, url.path.as_str()), (true, 443, "/v1"));
        assert_eq!(url.host, Host::Name("api.openai.com".to_owned()));
        let url = BaseUrl::parse("http://[::1]:8000").unwrap();
        assert_eq!((url.port, url.path.as_str(), url.is_loopback()), (8000, "", true));
        assert!(BaseUrl::parse("http://127.0.0.1:9100/v1").unwrap().is_loopback());
        assert!(BaseUrl::parse("http://vllm_1.3gpp").is_ok());
    }

    #[test]
    fn what_is_not_a_plain_base_url_is_refused() {
        for text in [
            "",
            "api.openai.com/v1",
            "ftp://x",
            "https://",
            "https:///v1",
            "https://:443/",
            "https://user:pass@host/v1",
            "https://h/v1?x=1",
            "https://h/#f",
            "https://h:0/",
            "https://h:65536",
            "https://h:+80",
            "https://::1/",
            "https://[::1",
            "https://[::1]x",
            "https://h/../x",
            "https://h\\x",
            "https://a b/",
            "https://a..b/",
            "https://1.2.3.4.5/",
            "https://300.1.1.1/",
            "https://ä.de/",
        ] {
            assert!(BaseUrl::parse(text).is_err(), "{text}");
        }
        let (message, remedy) = BaseUrl::parse("https://user:hunter2@host/v1").unwrap_err();
        assert!(!format!("{message}{remedy}").contains("hunter2"));
    }

    #[test]
    fn metadata_addresses_are_known_in_every_spelling() {
        for host in [
            "169.254.169.254",
            "2852039166",
            "0xA9FEA9FE",
            "0251.0376.0251.0376",
            "169.254.43518",
            "169.16689662",
            "0xa9.0xfe.0xa9.0xfe",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[::169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::1]",
            "[fe80::1]",
            "[fe80::1%25eth0]",
            "[febf::1]",
            "[fd00:ec2::254]",
            "100.100.100.200",
            "metadata.google.internal",
            "METADATA.google.internal.",
            "127.1",
            "0177.0.0.1",
            "2130706433",
        ] {
            let url = BaseUrl::parse(&format!("http://{host}/latest")).unwrap();
            assert!(url.forbidden().is_some(), "{host}");
        }
        for host in [
            "127.0.0.1",
            "10.0.0.1",
            "[::1]",
            "[fd00::1]",
            "api.openai.com",
            "[2001:db8::1]",
        ] {
            assert_eq!(
                BaseUrl::parse(&format!("http://{host}/")).unwrap().forbidden(),
                None,
                "{host}"
            );
        }
    }
}
