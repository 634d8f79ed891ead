//! Domain names as Istio accepts them: RFC 1123 labels, with a wildcard where one is allowed.
//!
//! The functions here say whether a text is such a name (`pkg/config/validation/agent`). They keep
//! Istio's own reading of the rules: letters of either case, a trailing dot for a name that is
//! already absolute, and no last label of digits alone, so that an address is never a name. How
//! names match each other is the subject of [`host`](crate::host).
//!
//! # Example
//!
//! ```
//! use mesh_core::dns;
//!
//! assert!(dns::validate_fqdn("reviews.prod.svc.cluster.local").is_ok());
//! assert!(dns::validate_fqdn("10.0.0.1").is_err());
//! assert!(dns::validate_wildcard_domain("*.example.com").is_ok());
//! assert!(dns::validate_wildcard_domain("shop.*.com").is_err());
//! ```

/// The longest domain name, in bytes.
pub const MAX_NAME_LEN: usize = 255;

/// The longest label of a domain name, in bytes (RFC 1123 section 2.1, RFC 1035 section 2.3.4).
pub const MAX_LABEL_LEN: usize = 63;

/// What a host begins with that [`ClusterName::to_sni`](crate::service::ClusterName::to_sni)
/// wrote.
const SNI_PREFIX: &str = "outbound_";

/// Checks an RFC 1123 label: letters, digits and inner hyphens, at most 63 bytes.
///
/// # Errors
///
/// When the label is empty, too long or holds another character.
pub fn validate_label(label: &str) -> Result<(), DnsNameError> {
    if is_label(label) {
        Ok(())
    } else {
        Err(DnsNameError::Label {
            name: label.to_owned(),
            label: label.to_owned(),
        })
    }
}

/// Checks a domain name without wildcard, such as a destination's host.
///
/// A single label is enough, and a trailing dot is allowed.
///
/// # Errors
///
/// When the name is empty, longer than 255 bytes, has a label that [`validate_label`] refuses or
/// ends in a label of digits.
pub fn validate_fqdn(name: &str) -> Result<(), DnsNameError> {
    validate_len(name)?;
    validate_labels(name, name)
}

/// Checks a domain name whose first label may be or begin with `*`: `*`, `*.example.com`,
/// `*-shop.example.com`.
///
/// Where a wildcard has to be a whole label, ask [`is_partial_wildcard`] as well.
///
/// # Errors
///
/// Those of [`validate_fqdn`]; a `*` elsewhere makes its label invalid.
pub fn validate_wildcard_domain(name: &str) -> Result<(), DnsNameError> {
    validate_len(name)?;
    let (first, rest) = match name.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (name, None),
    };
    if !is_wildcard_label(first) {
        return Err(invalid_label(name, first));
    }
    rest.map_or(Ok(()), |rest| validate_labels(rest, name))
}

/// Checks the host of a VirtualService that is bound to gateways only and has TLS routes: a
/// wildcard domain, or the `outbound_.80_._.host` form that AUTO_PASSTHROUGH gateways see as SNI.
///
/// # Errors
///
/// Those of [`validate_wildcard_domain`] for another host; for an SNI host, when it has fewer than
/// four parts, no port or no name.
pub fn validate_sni_domain(name: &str) -> Result<(), DnsNameError> {
    validate_len(name)?;
    if !name.starts_with(SNI_PREFIX) {
        return validate_wildcard_domain(name);
    }
    let mut parts = name.split('_').skip(1);
    let (port, _subset, host) = (parts.next(), parts.next(), parts.next());
    let port_has_digit = port.is_some_and(|port| port.contains(|c: char| c.is_ascii_digit()));
    let host_has_letter = host.is_some_and(|host| host.contains(|c: char| c.is_ascii_alphabetic()));
    if port_has_digit && host_has_letter {
        Ok(())
    } else {
        Err(invalid_label(name, SNI_PREFIX))
    }
}

/// Whether a host has a `*` that is not the whole first label.
///
/// Gateways and Sidecars refuse such hosts although they are wildcard domains.
#[must_use]
pub fn is_partial_wildcard(host: &str) -> bool {
    host.contains('*') && host != "*" && !host.starts_with("*.")
}

fn validate_len(name: &str) -> Result<(), DnsNameError> {
    if name.is_empty() {
        Err(DnsNameError::Empty)
    } else if name.len() > MAX_NAME_LEN {
        let name = name.to_owned();
        Err(DnsNameError::TooLong { name })
    } else {
        Ok(())
    }
}

/// Checks the labels of `domain`, which is all of `name` or its end.
fn validate_labels(domain: &str, name: &str) -> Result<(), DnsNameError> {
    let (rest, last) = match domain.rsplit_once('.') {
        Some((rest, last)) => (Some(rest), last),
        None => (None, domain),
    };
    // Istio asks Go's `strconv.Atoi`, for which a number above 63 bits is none.
    if last.parse::<i64>().is_ok() {
        let (name, label) = (name.to_owned(), last.to_owned());
        return Err(DnsNameError::Numeric { name, label });
    }
    let labels = rest.into_iter().flat_map(|rest| rest.split('.'));
    // An empty last label is that of an absolute name, `example.com.`.
    let last = Some(last).filter(|last| !last.is_empty());
    match labels.chain(last).find(|label| !is_label(label)) {
        Some(label) => Err(invalid_label(name, label)),
        None => Ok(()),
    }
}

pub(crate) fn is_label(label: &str) -> bool {
    label.len() <= MAX_LABEL_LEN && is_unbounded_label(label)
}

/// Whether this has the characters of a label, however many.
pub(crate) fn is_unbounded_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// Whether this is `*` or a label, perhaps after `*` or `*-`.
fn is_wildcard_label(label: &str) -> bool {
    let Some(rest) = label.strip_prefix('*') else {
        return is_label(label);
    };
    let rest = rest.strip_prefix('-').unwrap_or(rest);
    label == "*" || (label.len() <= MAX_LABEL_LEN && is_label(rest))
}

fn invalid_label(name: &str, label: &str) -> DnsNameError {
    DnsNameError::Label {
        name: name.to_owned(),
        label: label.to_owned(),
    }
}

/// Why a text is not a domain name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DnsNameError {
    /// There is no text.
    #[error("a domain name cannot be empty")]
    Empty,
    /// The name has more than 255 bytes.
    #[error("domain name `{name}` is longer than 255 bytes")]
    TooLong {
        /// The name as given.
        name: String,
    },
    /// A label is empty, too long, or has a character that is not allowed at its place.
    #[error("label `{label}` of domain name `{name}` is invalid")]
    Label {
        /// The name as given.
        name: String,
        /// The first label that is invalid.
        label: String,
    },
    /// The last label is a number.
    #[error("last label `{label}` of domain name `{name}` is a number")]
    Numeric {
        /// The name as given.
        name: String,
        /// The last label.
        label: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_letters_digits_and_inner_hyphens() {
        let long = "a".repeat(63);
        for label in ["a", "0", "a-b", "A-9", &long] {
            assert!(validate_label(label).is_ok(), "{label}");
        }
        let too_long = "a".repeat(64);
        for label in ["", "-a", "a-", "a_b", "a.b", "é", "*", &too_long] {
            assert!(validate_label(label).is_err(), "{label}");
        }
    }

    #[test]
    fn a_domain_name_is_not_an_address() {
        for name in ["localhost", "example.com", "example.com.", "1.a", "a.b1"] {
            assert!(validate_fqdn(name).is_ok(), "{name}");
        }
        let too_long = ["a"; 129].join(".");
        for name in ["", ".", "a..b", ".a", "10.0.0.1", "a.1", "*.a", &too_long] {
            assert!(validate_fqdn(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_wildcard_stands_first() {
        for name in ["*", "*.a.com", "*-b.a.com", "*b.a.com", "a.com", "7", "*."] {
            assert!(validate_wildcard_domain(name).is_ok(), "{name}");
        }
        for name in [
            "", "**", "*--", "a*.com", "a.*.com", "*.1", "1.1.1.1", "*.*.a",
        ] {
            assert!(validate_wildcard_domain(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_partial_wildcard_is_not_a_whole_label() {
        for host in ["*a.com", "*-a.com", "a*.com", "a.*"] {
            assert!(is_partial_wildcard(host), "{host}");
        }
        for host in ["*", "*.a.com", "a.com"] {
            assert!(!is_partial_wildcard(host), "{host}");
        }
    }

    #[test]
    fn an_sni_host_names_a_port_and_a_host() {
        for name in [
            "outbound_.80_._.a.com",
            "outbound_.80_.v1_.a.com",
            "outbound_80_v1_a.com",
            "*.a.com",
        ] {
            assert!(validate_sni_domain(name).is_ok(), "{name}");
        }
        for name in [
            "outbound_",
            "outbound_.80_.a",
            "outbound_.x_._.a",
            "outbound_a.com",
            "inbound_.80_._.a",
        ] {
            assert!(validate_sni_domain(name).is_err(), "{name}");
        }
    }
}
