use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};

/// A part of the mesh that an embedder composes, or leaves out.
///
/// Each field of a resource that means anything to a data plane is enforced by one of these.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Capability {
    /// Access logs.
    AccessLogs,
    /// Who may do what, by rules.
    Authorization,
    /// TLS to destinations, of the mesh and of DestinationRules.
    ClientTls,
    /// Limits, timeouts and keepalives of connections to destinations.
    ConnectionPools,
    /// Services and the addresses behind them.
    Discovery,
    /// Host names resolved again while they are used.
    DnsResolution,
    /// Who may do what, by asking a service.
    ExternalAuthorization,
    /// Delays and aborts.
    Faults,
    /// Sidecars added to pods as they are created.
    Injection,
    /// Which endpoint of a destination is taken.
    LoadBalancing,
    /// Istio's standard metrics.
    Metrics,
    /// Ejection of endpoints that fail.
    OutlierDetection,
    /// Whether callers must prove an identity, and which ones count.
    PeerAuthentication,
    /// The PROXY protocol, to destinations and from load balancers.
    ProxyProtocol,
    /// How many requests are let through in some time.
    RateLimits,
    /// Tokens that requests carry.
    RequestAuthentication,
    /// Requests sent again.
    Retries,
    /// Routes of requests, and what is done to requests on the way.
    Routing,
    /// TLS that listeners terminate.
    ServerTls,
    /// Routes of connections: TCP, and TLS by server name.
    TcpRouting,
    /// How long requests may take.
    Timeouts,
    /// Traces.
    Tracing,
    /// Connections through a proxy, by CONNECT.
    Tunnels,
}

impl Capability {
    /// All capabilities, by name.
    pub const ALL: &[Self] = &[
        Self::AccessLogs,
        Self::Authorization,
        Self::ClientTls,
        Self::ConnectionPools,
        Self::Discovery,
        Self::DnsResolution,
        Self::ExternalAuthorization,
        Self::Faults,
        Self::Injection,
        Self::LoadBalancing,
        Self::Metrics,
        Self::OutlierDetection,
        Self::PeerAuthentication,
        Self::ProxyProtocol,
        Self::RateLimits,
        Self::RequestAuthentication,
        Self::Retries,
        Self::Routing,
        Self::ServerTls,
        Self::TcpRouting,
        Self::Timeouts,
        Self::Tracing,
        Self::Tunnels,
    ];

    /// What it is called in reports, such as `load balancing`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessLogs => "access logs",
            Self::Authorization => "authorization",
            Self::ClientTls => "client TLS",
            Self::ConnectionPools => "connection pools",
            Self::Discovery => "discovery",
            Self::DnsResolution => "DNS resolution",
            Self::ExternalAuthorization => "external authorization",
            Self::Faults => "faults",
            Self::Injection => "injection",
            Self::LoadBalancing => "load balancing",
            Self::Metrics => "metrics",
            Self::OutlierDetection => "outlier detection",
            Self::PeerAuthentication => "peer authentication",
            Self::ProxyProtocol => "PROXY protocol",
            Self::RateLimits => "rate limits",
            Self::RequestAuthentication => "request authentication",
            Self::Retries => "retries",
            Self::Routing => "routing",
            Self::ServerTls => "server TLS",
            Self::TcpRouting => "TCP routing",
            Self::Timeouts => "timeouts",
            Self::Tracing => "tracing",
            Self::Tunnels => "tunnels",
        }
    }

    /// Whether leaving it out would let somebody do what the configuration forbids, or would send
    /// or take in plaintext what it wants encrypted.
    pub const fn is_guard(self) -> bool {
        matches!(
            self,
            Self::Authorization
                | Self::ClientTls
                | Self::ExternalAuthorization
                | Self::PeerAuthentication
                | Self::RequestAuthentication
                | Self::ServerTls
        )
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Capability {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What an embedder has composed.
///
/// A capability is either enforced, or withheld, or, by default, ignored. To withhold one is to
/// serve nothing that would need it: a gateway that opens no listener with TLS withholds server
/// TLS. It protects as well as enforcing does, so it is no reason to refuse a configuration.
///
/// ```
/// use mesh_core::analyze::fidelity::{Capabilities, Capability};
///
/// let gateway = Capabilities::none().with(Capability::Routing).withhold(Capability::ServerTls);
/// assert!(gateway.enforces(Capability::Routing));
/// assert!(!gateway.enforces(Capability::ServerTls));
/// assert!(gateway.withholds(Capability::ServerTls));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Capabilities {
    enforced: BTreeSet<Capability>,
    withheld: BTreeSet<Capability>,
}

impl Capabilities {
    /// Everything is ignored.
    pub const fn none() -> Self {
        Self {
            enforced: BTreeSet::new(),
            withheld: BTreeSet::new(),
        }
    }

    /// Everything is enforced.
    pub fn all() -> Self {
        Capability::ALL
            .iter()
            .fold(Self::none(), |all, capability| all.with(*capability))
    }

    /// Enforces `capability`.
    #[must_use]
    pub fn with(mut self, capability: Capability) -> Self {
        self.withheld.remove(&capability);
        self.enforced.insert(capability);
        self
    }

    /// Serves nothing that needs `capability`.
    #[must_use]
    pub fn withhold(mut self, capability: Capability) -> Self {
        self.enforced.remove(&capability);
        self.withheld.insert(capability);
        self
    }

    /// Whether `capability` is enforced.
    pub fn enforces(&self, capability: Capability) -> bool {
        self.enforced.contains(&capability)
    }

    /// Whether nothing is served that needs `capability`.
    pub fn withholds(&self, capability: Capability) -> bool {
        self.withheld.contains(&capability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_capabilities_are_listed_once_and_by_name() {
        let names: Vec<_> = Capability::ALL
            .iter()
            .map(|one| one.name().to_lowercase())
            .collect();
        let mut sorted = names.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), names.len());
    }

    #[test]
    fn the_last_word_about_a_capability_counts() {
        let tls = Capability::ServerTls;
        let both = Capabilities::all().withhold(tls);
        assert!(both.withholds(tls) && !both.enforces(tls));
        let again = both.with(tls);
        assert!(again.enforces(tls) && !again.withholds(tls));
    }
}
