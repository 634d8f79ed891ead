//! Addresses: of hosts, subnets, sockets and services.
//!
//! ```
//! use mesh_core::validate::{Report, address};
//!
//! let report = Report::default();
//! address::validate_subnet("10.0.0.0/8", report.root());
//! address::validate_host_port("istiod.istio-system.svc:15012", report.root());
//! assert_eq!(report.into_violations(), []);
//! ```

use std::net::IpAddr;

use super::{At, port};
use crate::dns;
use crate::matcher::Cidr;

/// What addresses of Unix domain sockets begin with.
pub(super) const UNIX_PREFIX: &str = "unix://";

/// Whether a text is an IP address, perhaps an IPv6 address with a zone.
pub(super) fn is_ip(text: &str) -> bool {
    let address = match text.split_once('%') {
        Some((address, zone)) if !zone.is_empty() && address.contains(':') => address,
        _ => text,
    };
    address.parse::<IpAddr>().is_ok()
}

/// Checks an IP address (`ValidateIPAddress`).
pub fn validate_ip(address: &str, at: At<'_>) {
    if !is_ip(address) {
        at.error(format_args!("`{address}` is not an IP address"));
    }
}

/// Checks an IP address or a range in CIDR notation (`ValidateIPSubnet`).
pub fn validate_subnet(subnet: &str, at: At<'_>) {
    if !is_ip(subnet) {
        at.check(subnet.parse::<Cidr>().map(drop));
    }
}

/// Checks the path of a Unix domain socket: absolute and no directory, or abstract after `@`
/// (`ValidateUnixAddress`).
pub fn validate_unix_path(path: &str, at: At<'_>) {
    let is_abstract = path.starts_with('@');
    let is_file = path.starts_with('/') && !path.ends_with('/');
    if !is_abstract && !is_file {
        at.error(format_args!("`{path}` is not an absolute path of a file"));
    }
}

/// Checks a host name or address with a port, such as `zipkin.istio-system:9411`
/// (`ValidateProxyAddress`).
pub fn validate_host_port(text: &str, at: At<'_>) {
    let Some((host, number)) = split_host_port(text) else {
        at.error(format_args!("`{text}` is not of the form host:port"));
        return;
    };
    validate_port_text(number, at);
    if dns::validate_fqdn(host).is_err() && !is_ip(host) {
        at.error(format_args!(
            "`{host}` is neither a host name nor an IP address"
        ));
    }
}

/// Checks the number of a port that is written as text.
pub(super) fn validate_port_text(number: &str, at: At<'_>) {
    match number.parse() {
        Ok(number) => port::validate_number(number, at),
        Err(_) => {
            at.error(format_args!("`{number}` is not the number of a port"));
        }
    }
}

/// Parts a host from its port as Go's `net.SplitHostPort` does: an address that has a colon is in
/// brackets.
pub(super) fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:")?,
        None => text
            .rsplit_once(':')
            .filter(|(host, _)| !host.contains(':'))?,
    };
    let has_bracket = |text: &str| text.contains(['[', ']']);
    (!has_bracket(host) && !has_bracket(port) && !port.contains(':')).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::testing::assert_errors;

    #[test]
    fn a_subnet_is_an_address_or_a_range() {
        let cases = [
            ("10.0.0.1", 0),
            ("10.0.0.1/8", 0),
            ("2001:db8::/32", 0),
            ("fe80::1%eth0", 0),
            ("10.0.0.0/33", 1),
            ("10.0.0.0/8/8", 1),
            ("10.0.0", 1),
            ("", 1),
        ];
        for (subnet, errors) in cases {
            assert_errors(subnet, errors, |at| validate_subnet(subnet, at));
        }
    }

    #[test]
    fn a_socket_is_abstract_or_a_file() {
        for (path, errors) in [
            ("/a", 0),
            ("@a", 0),
            ("", 1),
            ("a", 1),
            ("/", 1),
            ("/a/", 1),
        ] {
            assert_errors(path, errors, |at| validate_unix_path(path, at));
        }
    }

    #[test]
    fn a_service_address_has_a_host_and_a_port() {
        let cases = [
            ("a:1", 0),
            ("127.0.0.1:80", 0),
            ("[::1]:80", 0),
            ("a", 1),
            ("a:", 1),
            (":80", 1),
            ("a:0", 1),
            ("a:65536", 1),
            ("a:b", 1),
            ("::1:80", 1),
            ("_a:80", 1),
        ];
        for (address, errors) in cases {
            assert_errors(address, errors, |at| validate_host_port(address, at));
        }
    }
}
