//! Owns which addresses are public: what the registries of special addresses say, and where clouds keep credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The IPv4 address that an IPv6 one stands for (mapped, compatible, NAT64, 6to4); others as they are.
pub(super) fn plain_form(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(six) => embedded(six).map_or(ip, IpAddr::V4),
    }
}

fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = ip.octets();
    let at = |n: usize| Ipv4Addr::new(octets[n], octets[n + 1], octets[n + 2], octets[n + 3]);
    match ip.segments() {
        // `::` and `::1` are addresses of IPv6's own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(at(12)),
        [0x2002, ..] => Some(at(2)),
        _ => None,
    }
}

/// Why the address is not one of the public Internet; None where it is.
pub(super) fn why_not_public(ip: IpAddr) -> Option<&'static str> {
    match plain_form(ip) {
        IpAddr::V4(four) => why_not_public_v4(four),
        IpAddr::V6(six) => why_not_public_v6(six),
    }
}

fn why_not_public_v4(ip: Ipv4Addr) -> Option<&'static str> {
    match ip.octets() {
        [169, 254, 169, 254] | [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16] => Some(METADATA),
        [0, ..] => Some("is unspecified"),
        [10, ..] | [192, 168, ..] | [172, 16..=31, ..] => Some(PRIVATE),
        [100, 64..=127, ..] => Some("is shared address space (carrier-grade NAT)"),
        [127, ..] => Some(LOOPBACK),
        [169, 254, ..] => Some(LINK_LOCAL),
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => {
            Some(SPECIAL)
        }
        [224..=239, ..] => Some(MULTICAST),
        [240..=255, ..] => Some(SPECIAL),
        _ => None,
    }
}

fn why_not_public_v6(ip: Ipv6Addr) -> Option<&'static str> {
    match ip.segments() {
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Some(METADATA),
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("is unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(LOOPBACK),
        [0xfc00..=0xfdff, ..] => Some(PRIVATE),
        [0xfe80..=0xfebf, ..] => Some(LINK_LOCAL),
        [0xff00..=0xffff, ..] => Some(MULTICAST),
        // Protocol assignments (Teredo among them) and documentation.
        [0x2001, 0..=0x01ff | 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Some(SPECIAL),
        // All that is given out to anybody is in here.
        [0x2000..=0x3fff, ..] => None,
        _ => Some(SPECIAL),
    }
}

const METADATA: &str = "is a metadata service of a cloud";
const PRIVATE: &str = "is a private address";
const LOOPBACK: &str = "is loopback";
const LINK_LOCAL: &str = "is link-local";
const MULTICAST: &str = "is multicast";
const SPECIAL: &str = "is reserved for a special purpose";
