//! Addresses of machines, and of people at them: e-mail, IP, MAC.
//!
//! The one idea: the standard library says what parses; what is added is which of that nobody means as an address: `a[::2]`,
//! `cafe::babe`, `icon@2x.png`.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Endings that are of files and units, not of domains.
const FILES: [&str; 26] = [
    "png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "bmp", "pdf", "json", "yaml", "yml", "toml", "xml", "html",
    "htm", "css", "js", "jsx", "tsx", "txt", "csv", "service", "socket", "timer", "target",
];

/// `local@domain`: no dot at an end of the local part nor two together, labels of a domain, and the last no file's ending.
pub fn email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    // `git@host:path` is how repositories are fetched: everybody is `git` there.
    let odd = local.starts_with('.') || local.ends_with('.') || local.contains("..") || local == "git";
    let fits = domain
        .split('.')
        .all(|label| !label.starts_with('-') && !label.ends_with('-'));
    let (_, last) = domain.rsplit_once('.').unwrap_or_default();
    !odd && fits && text.len() <= 254 && !FILES.iter().any(|ending| last.eq_ignore_ascii_case(ending))
}

/// Four small numbers are a version or a chapter, but these resolvers, and nowhere. Of all addresses one in 4096 is as small.
const SMALL: [[u8; 4]; 8] = [
    [0, 0, 0, 0],
    [1, 1, 1, 1],
    [1, 0, 0, 1],
    [8, 8, 8, 8],
    [8, 8, 4, 4],
    [9, 9, 9, 9],
    [4, 2, 2, 1],
    [4, 2, 2, 2],
];

/// Four parts below 256 without leading zeros, not all of them small but in the private net 10; with `/0` to `/32` behind, perhaps.
pub fn ipv4(text: &str) -> bool {
    let (address, length) = split(text);
    let Ok(address) = address.parse::<Ipv4Addr>() else {
        return false;
    };
    let octets = address.octets();
    // Object identifiers begin with 0, 1 or 2: of those three small numbers are enough.
    let first = octets.first().copied().unwrap_or_default();
    let small = first != 10 && octets.iter().filter(|octet| **octet < 32).count() >= if first < 3 { 3 } else { 4 };
    length.is_none_or(|length| length <= 32) && (length.is_some() || !small || SMALL.contains(&octets))
}

/// Any IPv4 address.
pub fn ipv4_named(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok()
}

/// An IPv6 address, perhaps with a zone, perhaps with `/0` to `/128` behind. `1::2` and `::200` are slices, `dead::beef` is a name in
/// a name space, `2001:db8::1` is an address.
pub fn ipv6(text: &str) -> bool {
    let (address, length) = split(text);
    let (address, zone) = match address.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (address, None),
    };
    if address.parse::<Ipv6Addr>().is_err() || length.is_some_and(|length| length > 128) {
        return false;
    }
    if address == "::1" || length.is_some() || zone.is_some() {
        return true;
    }
    let groups = || address.split(':').filter(|group| !group.is_empty());
    let any = |one: fn(&u8) -> bool| address.bytes().any(|byte| one(&byte));
    let dotted = address.contains('.');
    let long = |least: usize| groups().any(|group| group.len() >= least);
    let wide = groups().next().is_some_and(|group| group.len() == 4) || groups().count() >= 4 && long(3);
    let told = any(u8::is_ascii_alphabetic) || groups().count() >= 3;
    dotted || wide && told && any(u8::is_ascii_digit) && (groups().count() >= 2 || address.ends_with("::"))
}

/// What stands before `/`, and the number behind; a number that is none is one too great.
fn split(text: &str) -> (&str, Option<u32>) {
    match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse().unwrap_or(u32::MAX))),
        None => (text, None),
    }
}

/// Six pairs with one separator, or three fours with dots; not all the same, and not six numbers with dashes.
pub fn mac(text: &str) -> bool {
    let separators = |one: u8| text.bytes().filter(|byte| *byte == one).count();
    let (colons, dashes, dots) = (separators(b':'), separators(b'-'), separators(b'.'));
    let letters = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    let hex = || text.bytes().filter(u8::is_ascii_hexdigit);
    let uniform = hex().all(|byte| hex().next() == Some(byte)); // ff:ff:ff:ff:ff:ff is everybody
    let shape = match (colons, dashes, dots) {
        (5, 0, 0) => text.len() == 17,
        (0, 5, 0) => text.len() == 17 && letters,
        (0, 0, 2) => text.len() == 14 && letters,
        _ => false,
    };
    shape && !uniform
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails() {
        for good in ["a.b+c@sub.firma.de", "x_1@xn--bcher-kva.ch", "o'neil@mail.travel"] {
            assert!(email(good), "{good}");
        }
        for bad in [
            "git@forge.org",
            "logo@3x.png",
            "getty@tty1.service",
            ".a@b.de",
            "a..b@c.de",
            "a@-b.de",
            "a.@b.de",
            "none",
        ] {
            assert!(!email(bad), "{bad}");
        }
    }

    #[test]
    fn ipv4s() {
        for good in [
            "203.0.113.9",
            "8.8.8.8",
            "0.0.0.0",
            "10.1.2.3",
            "198.51.100.0/24",
            "1.2.3.4/30",
        ] {
            assert!(ipv4(good), "{good}");
        }
        for bad in [
            "1.2.3.4",
            "2.13.9.1",
            "2.5.29.35",
            "203.0.113.256",
            "203.0.113.09",
            "203.0.113",
            "198.51.100.0/33",
            "198.51.100.0/x",
        ] {
            assert!(!ipv4(bad), "{bad}");
        }
    }

    #[test]
    fn ipv6s() {
        for good in [
            "2a02:8071::1",
            "::1",
            "::/0",
            "fe80::7%en0",
            "::ffff:203.0.113.9",
            "fd00::/8",
            "fe80::",
            "1:2:3:4:5:6:7:80ff",
        ] {
            assert!(ipv6(good), "{good}");
        }
        for bad in [
            "::",
            "::2",
            "1::2",
            "2::3000",
            "1:2:3:4:5:6:7:8",
            "f64::add",
            "::2000",
            "dead::beef",
            "12:34:56",
            "2a02::8071::1",
            "::1/129",
            "a::b",
            "f64::add",
            "1:2:3:4:5:6:7:8",
            "2a02:12345::1",
        ] {
            assert!(!ipv6(bad), "{bad}");
        }
    }

    #[test]
    fn macs() {
        for good in [
            "3c:22:fb:01:9a:7e",
            "3C-22-FB-01-9A-7E",
            "3c22.fb01.9a7e",
            "00:16:30:11:22:33",
        ] {
            assert!(mac(good), "{good}");
        }
        for bad in [
            "ff:ff:ff:ff:ff:ff",
            "01-02-03-04-05-06",
            "3c:22:fb:01:9a:7e:11",
            "3c:22-fb:01-9a:7e",
            "1234.5678.9012",
        ] {
            assert!(!mac(bad), "{bad}");
        }
    }
}
