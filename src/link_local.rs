//! Addresses no provider has: link-local ones and the clouds' metadata services.
//!
//! Asked of what a base URL says (at load) and of what a name resolves to (at run time).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The IPv4 address inside an IPv6 one that only wraps it (mapped, compatible, NAT64, 6to4); any other address as it is.
pub fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => v4(g, h),
        (0, 0, 0, 0, 0, 0) if g != 0 => v4(g, h),
        (0x2002, ..) => v4(b, c),
        _ => ip,
    }
}

/// Whether an address is link-local or a cloud's metadata service: no provider is there, and a request sent there may fetch the
/// machine's own credentials. Ask this of what a name resolves to as well as of what a base URL says.
pub fn is_link_local(ip: IpAddr) -> bool {
    match plain(ip) {
        // Beside 169.254.0.0/16: Alibaba's and Oracle's metadata services.
        IpAddr::V4(v4) => v4.is_link_local() || matches!(v4.octets(), [100, 100, 100, 200] | [192, 0, 0, 192]),
        IpAddr::V6(v6) => {
            let amazon = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
            let google = Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254);
            v6.is_unicast_link_local() || v6 == amazon || v6 == google
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_and_metadata_addresses_are_known_however_wrapped() {
        for ip in [
            "169.254.169.254",
            "fe80::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fd00:ec2::254",
            "100.100.100.200",
        ] {
            assert!(is_link_local(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "2001:db8::1"] {
            assert!(!is_link_local(ip.parse().unwrap()), "{ip}");
        }
    }
}
