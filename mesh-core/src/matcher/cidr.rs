//! Ranges of addresses.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// An address, or the addresses that share a prefix with it, such as `10.0.0.0/8`.
///
/// An address that stands alone is a range of one. IPv4 ranges hold IPv4 addresses only, and IPv6
/// ranges IPv6 addresses only, as in Envoy; an IPv4 address that a dual-stack socket shows as
/// `::ffff:10.0.0.1` is the IPv4 address.
///
/// ```
/// use mesh_core::matcher::Cidr;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cidr: Cidr = "10.0.0.0/8".parse()?;
/// assert!(cidr.contains("10.1.2.3".parse()?));
/// assert!(cidr.contains("::ffff:10.1.2.3".parse()?));
/// assert!("10.0.0.0/33".parse::<Cidr>().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr(IpNet);

impl Cidr {
    /// Whether the address is in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// The address as written, of which the prefix is taken.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.0.addr()
    }

    /// How many bits of the address are the prefix.
    #[must_use]
    pub fn prefix_len(&self) -> u8 {
        self.0.prefix_len()
    }
}

impl From<IpAddr> for Cidr {
    fn from(address: IpAddr) -> Self {
        Self(address.into())
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Cidr {
    type Err = ParseCidrError;

    /// Parses an address, or an address and the length of its prefix.
    ///
    /// The rules are those of Go's `netip`: no zeros before a number, no zone, and the bits after
    /// the prefix may be set.
    ///
    /// # Errors
    ///
    /// When there is no address before the slash, or no number after it that is at most 32 for IPv4
    /// and 128 for IPv6.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map(Self).ok_or_else(|| ParseCidrError {
            text: text.to_owned(),
        })
    }
}

fn parse(text: &str) -> Option<IpNet> {
    let Some((address, prefix_len)) = text.split_once('/') else {
        let address: IpAddr = text.parse().ok()?;
        return Some(address.into());
    };
    let has_sign = prefix_len.starts_with(['+', '-']);
    let is_padded = prefix_len.len() > 1 && prefix_len.starts_with('0');
    if has_sign || is_padded {
        return None;
    }
    IpNet::new(address.parse().ok()?, prefix_len.parse().ok()?).ok()
}

impl TryFrom<String> for Cidr {
    type Error = ParseCidrError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

/// The text is neither an address nor a range.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is neither an IP address nor a CIDR range")]
#[non_exhaustive]
pub struct ParseCidrError {
    /// The text as given.
    pub text: String,
}

/// Ranges of addresses, in which one lookup takes logarithmic time.
///
/// ```
/// use mesh_core::matcher::CidrSet;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let set = CidrSet::from_iter(["10.0.0.0/8".parse()?, "fd00::1".parse()?]);
/// assert!(set.contains("10.1.2.3".parse()?));
/// assert!(!set.contains("11.1.2.3".parse()?));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(into = "Vec<Cidr>")]
pub struct CidrSet {
    cidrs: Vec<Cidr>,
    // In order, and no two of a list touch.
    v4: Vec<RangeInclusive<u128>>,
    v6: Vec<RangeInclusive<u128>>,
}

impl CidrSet {
    /// Whether the address is in one of the ranges.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let ranges = match address {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        };
        let bits = bits(address);
        let index = ranges.partition_point(|range| *range.end() < bits);
        ranges.get(index).is_some_and(|range| range.contains(&bits))
    }

    /// The ranges as given.
    #[must_use]
    pub fn cidrs(&self) -> &[Cidr] {
        &self.cidrs
    }

    /// Whether there is no range, and so no address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cidrs.is_empty()
    }
}

impl FromIterator<Cidr> for CidrSet {
    fn from_iter<I: IntoIterator<Item = Cidr>>(cidrs: I) -> Self {
        let cidrs: Vec<_> = cidrs.into_iter().collect();
        let (v4, v6): (Vec<_>, Vec<_>) = cidrs.iter().partition(|cidr| cidr.0.addr().is_ipv4());
        Self {
            cidrs,
            v4: merge(&v4),
            v6: merge(&v6),
        }
    }
}

impl From<CidrSet> for Vec<Cidr> {
    fn from(set: CidrSet) -> Self {
        set.cidrs
    }
}

/// Joins the ranges that overlap or touch, and orders the others.
fn merge(cidrs: &[Cidr]) -> Vec<RangeInclusive<u128>> {
    let bounds = |cidr: &Cidr| (bits(cidr.0.network()), bits(cidr.0.broadcast()));
    let mut bounds: Vec<_> = cidrs.iter().map(bounds).collect();
    bounds.sort_unstable();
    let mut merged: Vec<RangeInclusive<u128>> = Vec::new();
    for (start, end) in bounds {
        match merged.last_mut() {
            Some(last) if start <= last.end().saturating_add(1) => {
                *last = *last.start()..=end.max(*last.end());
            }
            _ => merged.push(start..=end),
        }
    }
    merged
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_alone_is_a_range_of_one() {
        let cases = [
            ("10.0.0.1", "10.0.0.1/32"),
            ("fd00::1", "fd00::1/128"),
            ("10.1.2.3/8", "10.1.2.3/8"),
            ("2001:db8::/64", "2001:db8::/64"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                text.parse::<Cidr>().unwrap().to_string(),
                expected,
                "{text}"
            );
        }
        let refused = [
            "",
            "/8",
            "10.0.0.0/",
            "10.0.0.0//8",
            "10.0.0.0/8/8",
            "10.0.0.0/33",
            "fd00::/129",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/-8",
            "10.0.0.0/a",
            "10.0.0",
            "010.0.0.1",
            "fe80::1%eth0",
            "[fd00::1]",
            "example.com",
        ];
        for text in refused {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn families_do_not_mix() {
        let contains = |cidr: &str, address: &str| {
            let cidr: Cidr = cidr.parse().unwrap();
            let set = CidrSet::from_iter([cidr]);
            let address = address.parse().unwrap();
            assert_eq!(
                set.contains(address),
                cidr.contains(address),
                "{cidr} {address}"
            );
            cidr.contains(address)
        };
        assert!(contains("10.1.2.3/8", "10.9.9.9"));
        assert!(contains("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(!contains("::/0", "10.0.0.1"));
        assert!(!contains("::/0", "::ffff:10.0.0.1"));
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(contains("::/0", "::1"));
    }

    fn cidr() -> impl Strategy<Value = Cidr> {
        let v4 = (any::<u16>(), 8..=32_u8).prop_map(|(low, len)| {
            let address: IpAddr = std::net::Ipv4Addr::from(u32::from(low)).into();
            Cidr(IpNet::new(address, len).unwrap())
        });
        let v6 = (any::<u16>(), 0..=128_u8).prop_map(|(low, len)| {
            let address: IpAddr = std::net::Ipv6Addr::from(u128::from(low)).into();
            Cidr(IpNet::new(address, len).unwrap())
        });
        prop_oneof![v4, v6]
    }

    proptest! {
        #[test]
        fn display_and_parse_are_inverse(cidr in cidr()) {
            prop_assert_eq!(cidr.to_string().parse(), Ok(cidr));
        }

        #[test]
        fn a_set_holds_what_one_of_its_ranges_holds(
            cidrs in proptest::collection::vec(cidr(), 0..6),
            address in cidr(),
        ) {
            let set = CidrSet::from_iter(cidrs.clone());
            let address = address.address();
            let expected = cidrs.iter().any(|cidr| cidr.contains(address));
            prop_assert_eq!(set.contains(address), expected);
        }
    }
}
