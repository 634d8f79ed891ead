//! Clusters: the endpoints behind a destination, and how they are reached.
//!
//! Of the endpoints of a service's port, [`Cluster::takes`] says which are the cluster's. As in Istio,
//! endpoints that are not ready are among them, marked as not healthy: nobody is sent to them, but they
//! count, so that load moves on to other places where many of a place are not ready.
//!
//! # Example
//!
//! ```
//! use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
//! use mesh_core::service::ClusterName;
//!
//! let name = ClusterName::outbound(80, "v1", "cart.shop.svc.cluster.local");
//! let mut cluster = Cluster::new(name);
//! let address: std::net::SocketAddr = "10.0.0.7:8080".parse()?;
//! cluster.endpoints.push(Endpoint::new(EndpointAddress::Ip(address)));
//! assert_eq!(cluster.endpoints[0].weight, 1);
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::labels::Labels;
use crate::origin::Origin;
use crate::resource::istio::destination_rule::{
    ClientTlsSettings, ConnectionPoolSettings, LoadBalancerSettings, LocalityLoadBalancerSetting,
    OutlierDetection, ProxyProtocol, RetryBudget, TcpKeepalive, TunnelSettings,
    ZoneAwareLoadBalancerSetting,
};
use crate::service::{ClusterName, Protocol};

/// A named set of endpoints that serve the same.
#[derive(Clone, Debug, Serialize)]
pub struct Cluster {
    /// Its name, `outbound|80|v1|cart.shop.svc.cluster.local`.
    pub name: ClusterName,
    /// How endpoints are found.
    pub discovery: Discovery,
    /// What is spoken to them.
    pub protocol: Protocol,
    /// Endpoints that the configuration knows.
    pub endpoints: Vec<Endpoint>,
    /// Labels that endpoints have to have to be of the cluster: those of the subset. Empty for a
    /// whole service.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub subset_labels: Labels,
    /// Which endpoints are of the cluster, by whether mesh mTLS is sent to them.
    #[serde(skip_serializing_if = "EndpointTls::is_any")]
    pub endpoint_tls: EndpointTls,
    /// The node that endpoints have to be on, where the service has `internalTrafficPolicy: Local`:
    /// that of the workload. Empty if it is not known, which takes only endpoints of no known node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Whether readiness alone says when endpoints elsewhere take over: the service has
    /// `trafficDistribution`. Endpoints that are not ready then always are of the cluster.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub by_readiness: bool,
    /// Port to connect to instead of the one that the client connected to. Only for
    /// [`Discovery::OriginalDestination`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_override: Option<u16>,
    /// How the place of endpoints counts.
    pub locality: LocalityBalancing,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// When connections that carry nothing are probed. `None` never probes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// The effective traffic policy.
    pub policy: TrafficPolicy,
    /// What is proven to them, and demanded of them.
    pub tls: UpstreamTls,
    /// Whether the service is outside the mesh.
    pub external: bool,
    /// The service.
    pub origin: Origin,
    /// The destination rule that the policy comes from.
    pub policy_origin: Option<Origin>,
}

impl Cluster {
    /// An empty cluster with Istio's defaults: plaintext HTTP, ten seconds to connect.
    pub fn new(name: ClusterName) -> Self {
        Self {
            name,
            discovery: Discovery::Static,
            protocol: Protocol::Http,
            endpoints: Vec::new(),
            subset_labels: Labels::default(),
            endpoint_tls: EndpointTls::Any,
            node: None,
            by_readiness: false,
            port_override: None,
            locality: LocalityBalancing::Off,
            connect_timeout: Duration::from_secs(10),
            tcp_keepalive: None,
            policy: TrafficPolicy::default(),
            tls: UpstreamTls::Plaintext,
            external: false,
            origin: Origin::synthetic("cluster"),
            policy_origin: None,
        }
    }

    /// The percentage of healthy endpoints below which their health no longer counts; 0 is never.
    ///
    /// It is `minHealthPercent` of the outlier detection, and 0 without, since Istio lists endpoints
    /// that are not ready, which nobody is to be sent to (`applyLoadBalancer`, `applyOutlierDetection`).
    pub fn panic_threshold(&self) -> u32 {
        let outlier = self.policy.outlier_detection.as_ref();
        let percent = outlier.filter(|_| !self.by_readiness);
        let percent = percent.map_or(0, |outlier| outlier.min_health_percent);
        u32::try_from(percent).unwrap_or(0).min(100)
    }

    /// Whether an endpoint of the service's port is one of the cluster's (`filterIstioEndpoint`): it
    /// has the labels of the subset, is on the [`node`](Self::node) and of the
    /// [`endpoint_tls`](Self::endpoint_tls), was not withdrawn, and is not
    /// [draining](Endpoint::is_draining).
    ///
    /// One that is not healthy is, too, so that it is known how many there could be: if many are
    /// not, others take over. Only where [`panic_threshold`](Self::panic_threshold) would have it
    /// picked all the same it is not.
    pub fn takes(&self, endpoint: &Endpoint) -> bool {
        let counts = endpoint.healthy || self.panic_threshold() == 0;
        counts
            && !endpoint.withdrawn
            && !endpoint.is_draining()
            && self
                .node
                .as_ref()
                .is_none_or(|node| node == endpoint.node())
            && self.subset_labels.is_subset_of(&endpoint.labels)
            && match self.endpoint_tls {
                EndpointTls::Any => true,
                EndpointTls::Mesh => endpoint.mesh_tls,
                EndpointTls::None => false,
            }
    }
}

/// Which endpoints of a service are of a cluster, by whether mesh mTLS is sent to them
/// (`EndpointsWithMTLSFilter`).
///
/// A gateway that forwards by server name (`AUTO_PASSTHROUGH`) cannot tell whether what it forwards
/// is mesh mTLS. So its clusters have only endpoints that it would send mesh mTLS to itself: what
/// anybody else sends does not reach a workload that would take it for a caller within the mesh.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum EndpointTls {
    /// All of them. In a cluster that is forwarded to by server name: the DestinationRule says
    /// `ISTIO_MUTUAL`.
    #[default]
    Any,
    /// Those that mesh mTLS is sent to.
    Mesh,
    /// None: the DestinationRule asks for another TLS than that of the mesh, or for none.
    None,
}

impl EndpointTls {
    // Called by serde with a reference.
    fn is_any(&self) -> bool {
        *self == Self::Any
    }
}

/// How the endpoints of a cluster are found.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Discovery {
    /// By resolving the request's host (`DYNAMIC_DNS`).
    DynamicDns,
    /// By resolving one name, of which one address is used at a time (Envoy's `LOGICAL_DNS`).
    LogicalDns,
    /// The address that the client connected to.
    OriginalDestination,
    /// They are listed.
    Static,
    /// By resolving names, of which every address is an endpoint (Envoy's `STRICT_DNS`).
    StrictDns,
}

/// How the place of endpoints counts: what is effective of the settings of a DestinationRule, of the
/// service and of the mesh (`GetEffectiveLbSetting`).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LocalityBalancing {
    /// By locality.
    Locality {
        /// The settings.
        setting: Box<LocalityLoadBalancerSetting>,
        /// Whether endpoints elsewhere are kept in reserve even without outlier detection.
        force: bool,
    },
    /// Not at all.
    #[default]
    Off,
    /// By zone, in proportion to the callers of each.
    ZoneAware(Box<ZoneAwareLoadBalancerSetting>),
}

/// The blocks of a DestinationRule's traffic policy that apply to a cluster, each whole as it was
/// written: blocks replace each other, they are never merged field by field.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TrafficPolicy {
    /// How an endpoint is picked. `None` is `LEAST_REQUEST`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<Box<LoadBalancerSettings>>,
    /// Limits on connections and requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_pool: Option<Box<ConnectionPoolSettings>>,
    /// When a failing endpoint is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outlier_detection: Option<Box<OutlierDetection>>,
    /// TLS settings as written; [`Cluster::tls`] is what they amount to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<ClientTlsSettings>>,
    /// CONNECT tunnelling of TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Box<TunnelSettings>>,
    /// PROXY protocol towards the endpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Cap on concurrent retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_budget: Option<RetryBudget>,
}

/// TLS towards the endpoints of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum UpstreamTls {
    /// Mesh mTLS with the endpoints that speak it, plaintext with the others.
    Auto(MeshTls),
    /// Mesh mTLS with every endpoint.
    Mesh(MeshTls),
    /// No TLS.
    #[default]
    Plaintext,
    /// TLS by a DestinationRule's `SIMPLE` or `MUTUAL` settings.
    Settings(Box<ClientTlsSettings>),
}

/// What mesh mTLS presents and demands.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct MeshTls {
    /// Server name sent, `outbound_.80_.v1_.cart.shop.svc.cluster.local`.
    pub sni: String,
    /// SPIFFE IDs, one of which the endpoint must prove. Empty accepts any of the trust domain.
    pub subject_alt_names: Vec<String>,
}

/// One address of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Endpoint {
    /// Where it is.
    pub address: EndpointAddress,
    /// Its share of the requests, relative to the others.
    pub weight: u32,
    /// Labels of its workload.
    pub labels: Labels,
    /// `region/zone/subzone`, empty if unknown.
    pub locality: String,
    /// The network it is in, empty for the default one.
    pub network: String,
    /// Whether it may be picked: it is ready.
    pub healthy: bool,
    /// Whether it is about to go, or its probes fail that are not Kubernetes' own: it is of no
    /// cluster, not even as one that is not healthy.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
    /// Whether mesh mTLS is sent to it: it accepts it, and no PeerAuthentication disables it.
    pub mesh_tls: bool,
    /// Whether it would be sent mesh mTLS if no PeerAuthentication of its workload disabled it at
    /// its port.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mesh_tls_disabled: bool,
    /// Service account of its workload, empty if unknown.
    pub service_account: String,
    /// Namespace of its workload, empty if unknown.
    pub namespace: String,
}

impl Endpoint {
    /// A healthy endpoint of weight 1 that nothing else is known of.
    pub fn new(address: EndpointAddress) -> Self {
        Self {
            address,
            weight: 1,
            labels: Labels::default(),
            locality: String::new(),
            network: String::new(),
            healthy: true,
            withdrawn: false,
            mesh_tls: false,
            mesh_tls_disabled: false,
            service_account: String::new(),
            namespace: String::new(),
        }
    }

    /// Whether it is to get no new requests, as its workload's label `istio.io/draining` says, whatever
    /// the value.
    pub fn is_draining(&self) -> bool {
        let value = self.labels.value(DRAINING_LABEL);
        value.is_some_and(|value| !value.is_empty())
    }

    /// The node that it is on, as its label [`NODE_LABEL`] says; empty if unknown.
    pub fn node(&self) -> &str {
        self.labels.value(NODE_LABEL).unwrap_or_default()
    }
}

/// The label that names the node of a workload.
pub const NODE_LABEL: &str = "kubernetes.io/hostname";

/// The label of a workload that is to be left alone.
const DRAINING_LABEL: &str = "istio.io/draining";

/// Where an endpoint is.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum EndpointAddress {
    /// A host name to resolve.
    Dns {
        /// The name.
        host: String,
        /// The port.
        port: u16,
    },
    /// An IP socket.
    Ip(SocketAddr),
    /// A Unix domain socket.
    Unix(String),
}

impl EndpointAddress {
    /// The port; `None` for a Unix domain socket.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Dns { port, .. } => Some(*port),
            Self::Ip(socket) => Some(socket.port()),
            Self::Unix(_) => None,
        }
    }
}
