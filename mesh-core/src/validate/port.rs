//! Ports: numbers, names and protocols.
//!
//! ```
//! use mesh_core::validate::{Report, port};
//!
//! let report = Report::default();
//! port::validate_number(0, report.root());
//! port::validate_name("http_web", report.root());
//! port::validate_protocol("", report.root());
//! assert_eq!(report.into_violations().len(), 2);
//! ```

use super::At;
use crate::dns;
use crate::service::{PortNumber, Protocol};

/// Checks the number of a port: 1 to 65535 (`ValidatePort`).
pub fn validate_number(number: u32, at: At<'_>) {
    at.check(PortNumber::new(number).map(drop));
}

/// Checks the number of a port where a negative one can be written.
pub(super) fn validate_signed_number(number: i32, at: At<'_>) {
    match u32::try_from(number) {
        Ok(number) => validate_number(number, at),
        Err(_) => {
            at.error(format_args!("port number `{number}` is negative"));
        }
    }
}

/// Checks the name of a port: an RFC 1123 label (`ValidatePortName`).
pub fn validate_name(name: &str, at: At<'_>) {
    if dns::validate_label(name).is_err() {
        at.error(format_args!("`{name}` is not the name of a port"))
            .help("names have at most 63 letters, digits and inner hyphens");
    }
}

/// Checks a protocol: none, so that it is detected, or one that Istio knows (`ValidateProtocol`).
pub fn validate_protocol(protocol: &str, at: At<'_>) {
    if !protocol.is_empty() {
        validate_known_protocol(protocol, at);
    }
}

/// Checks a protocol that has to be written.
///
/// HBONE is for listeners that Istio makes itself; no resource of Istio can name it.
pub(super) fn validate_known_protocol(protocol: &str, at: At<'_>) {
    if matches!(
        Protocol::parse(protocol),
        Protocol::Unsupported | Protocol::Hbone
    ) {
        at.error(format_args!("unsupported protocol `{protocol}`"))
            .help("use HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, MONGO, REDIS, MYSQL, TCP or TLS");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::testing::assert_errors;

    #[test]
    fn a_port_has_a_number_from_1_to_65535() {
        for (number, errors) in [(0, 1), (1, 0), (65_535, 0), (65_536, 1)] {
            assert_errors(&format!("{number}"), errors, |at| {
                validate_number(number, at);
            });
        }
    }

    #[test]
    fn a_protocol_is_known_or_absent() {
        for (protocol, errors) in [
            ("", 0),
            ("http", 0),
            ("GRPC-Web", 0),
            ("SCTP", 1),
            ("HBONE", 1),
        ] {
            assert_errors(protocol, errors, |at| validate_protocol(protocol, at));
        }
    }
}
