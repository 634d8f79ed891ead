//! Services: their names, ports and protocols, and the clusters that stand for them.
//!
//! A [`ServiceName`] is a Kubernetes name, which in a mesh has a host
//! (`reviews.prod.svc.cluster.local`); a [`Port`] has a [`Protocol`], which Istio takes from the
//! port's name unless it is told; and a [`ClusterName`] is how Istio writes a service, one of its
//! ports and a subset of its endpoints in one text.
//!
//! # Example
//!
//! ```
//! use mesh_core::service::{ClusterName, PortNumber, Protocol, ServiceName, Transport};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service: ServiceName = "prod/reviews".parse()?;
//! let host = service.hostname("cluster.local");
//!
//! let port = PortNumber::new(9080)?;
//! assert_eq!(Protocol::select(port, "http-web", Transport::Tcp, None), Protocol::Http);
//!
//! let cluster = ClusterName::outbound(port.get(), "v2", &host);
//! assert_eq!(cluster.as_str(), "outbound|9080|v2|reviews.prod.svc.cluster.local");
//! assert_eq!(cluster.subset(), Some("v2"));
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

mod cluster_name;
mod protocol;

pub use cluster_name::{BLACK_HOLE_CLUSTER, ClusterName, Direction, PASSTHROUGH_CLUSTER};
pub use protocol::{Protocol, Transport};

/// The number of a port: 1 to 65535.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct PortNumber(NonZeroU16);

impl PortNumber {
    /// Takes a number as configuration has it.
    ///
    /// # Errors
    ///
    /// When the number is 0 or above 65535.
    pub fn new(number: u32) -> Result<Self, PortNumberError> {
        u16::try_from(number)
            .ok()
            .and_then(NonZeroU16::new)
            .map(Self)
            .ok_or(PortNumberError { number })
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for PortNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<u32> for PortNumber {
    type Error = PortNumberError;

    fn try_from(number: u32) -> Result<Self, Self::Error> {
        Self::new(number)
    }
}

impl From<PortNumber> for u32 {
    fn from(number: PortNumber) -> Self {
        Self::from(number.get())
    }
}

/// The number is not that of a port.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("port number `{number}` is not from 1 to 65535")]
#[non_exhaustive]
pub struct PortNumberError {
    /// The number as given.
    pub number: u32,
}

/// A port of a service.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Port {
    /// The name, unique in the service; empty when the service has one port without a name.
    pub name: String,
    /// The number that clients connect to.
    pub number: PortNumber,
    /// What is spoken there.
    pub protocol: Protocol,
}

/// The name of a service and the namespace that it lives in.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName {
    namespace: String,
    name: String,
}

impl ServiceName {
    /// Takes the two names as they are.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Takes the names from a host of the form `name.namespace.svc.domain`, or gives `None` for
    /// another host.
    #[must_use]
    pub fn from_hostname(host: &str, domain: &str) -> Option<Self> {
        let names = host
            .strip_suffix(domain)?
            .strip_suffix('.')?
            .strip_suffix(".svc")?;
        let (name, namespace) = names.split_once('.')?;
        let is_whole = !name.is_empty() && !namespace.is_empty() && !namespace.contains('.');
        is_whole.then(|| Self::new(namespace, name))
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name in the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host of the service in a cluster whose DNS domain is `domain`.
    #[must_use]
    pub fn hostname(&self, domain: &str) -> String {
        format!("{}.{}.svc.{domain}", self.name, self.namespace)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ServiceName {
    type Err = ParseServiceNameError;

    /// Parses `namespace/name`.
    ///
    /// # Errors
    ///
    /// When there is not one `/` with something before and after it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name))
                if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
            {
                Ok(Self::new(namespace, name))
            }
            _ => Err(ParseServiceNameError { text: text.into() }),
        }
    }
}

impl TryFrom<String> for ServiceName {
    type Error = ParseServiceNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.to_string()
    }
}

/// The text is not a namespace and a name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is not of the form namespace/name")]
#[non_exhaustive]
pub struct ParseServiceNameError {
    /// The text as given.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_16_bits_and_is_not_zero() {
        for number in [0, 65_536, u32::MAX] {
            assert_eq!(PortNumber::new(number), Err(PortNumberError { number }));
        }
        assert_eq!(PortNumber::new(65_535).unwrap().get(), 65_535);
        assert!(serde_json::from_str::<PortNumber>("0").is_err());
        assert!(serde_json::from_str::<PortNumber>("-1").is_err());
    }

    #[test]
    fn a_service_has_one_host_in_a_cluster() {
        let service: ServiceName = "prod/reviews".parse().unwrap();
        let host = service.hostname("cluster.local");
        assert_eq!(host, "reviews.prod.svc.cluster.local");
        let back = ServiceName::from_hostname(&host, "cluster.local");
        assert_eq!(back, Some(service));
        let others = [
            "reviews.prod",
            "reviews.svc.cluster.local",
            "a.reviews.prod.svc.cluster.local",
            "reviews.prod.svc.example.com",
            "svc.cluster.local",
        ];
        for host in others {
            assert_eq!(
                ServiceName::from_hostname(host, "cluster.local"),
                None,
                "{host}"
            );
        }
    }

    #[test]
    fn a_service_name_has_two_parts() {
        for text in ["", "a", "/a", "a/", "a/b/c"] {
            assert!(text.parse::<ServiceName>().is_err(), "{text}");
        }
        assert_eq!(
            ServiceName::new("a", "b").to_string().parse(),
            Ok(ServiceName::new("a", "b"))
        );
    }
}
