//! For whom configuration is resolved.
//!
//! # Example
//!
//! ```
//! use mesh_core::workload::{Workload, WorkloadKind};
//!
//! let gateway = Workload::gateway("istio-system").with_label("istio", "ingressgateway");
//! assert_eq!(gateway.kind, WorkloadKind::Gateway);
//! ```

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use crate::config::services::Service;
use crate::labels::Labels;

/// A proxy or service that configuration is resolved for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Workload {
    /// What it does in the mesh.
    pub kind: WorkloadKind,
    /// Its name; empty if it has none. Only for people.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The labels that selectors see.
    pub labels: Labels,
    /// Its addresses. Services that list one of them as an endpoint are its own.
    pub addresses: Vec<IpAddr>,
    /// Its service account; empty is `default`.
    pub service_account: String,
    /// `region/zone/subzone`; empty if unknown. What is resolved for it has, in its place, that of the
    /// endpoint with one of its addresses, or else of its labels `topology.istio.io/locality`,
    /// `istio-locality` or those of Kubernetes.
    pub locality: String,
    /// The network it is in; empty is the default one.
    pub network: String,
    /// Suffix of service names in its cluster, without a leading dot. Default `cluster.local`.
    pub domain: String,
    /// Whether its names are resolved by a DNS proxy that knows the mesh (Istio's `DNS_CAPTURE`), so
    /// that it calls entries without addresses by those that were allocated to them. Default false.
    pub dns_capture: bool,
}

impl Workload {
    /// A gateway in `namespace`.
    pub fn gateway(namespace: impl Into<String>) -> Self {
        Self::new(WorkloadKind::Gateway, namespace.into())
    }

    /// A service, or the sidecar of one, in `namespace`.
    pub fn sidecar(namespace: impl Into<String>) -> Self {
        Self::new(WorkloadKind::Sidecar, namespace.into())
    }

    fn new(kind: WorkloadKind, namespace: String) -> Self {
        Self {
            kind,
            name: String::new(),
            namespace,
            labels: Labels::default(),
            addresses: Vec::new(),
            service_account: String::new(),
            locality: String::new(),
            network: String::new(),
            domain: "cluster.local".into(),
            dns_capture: false,
        }
    }

    /// The addresses by which it calls `service`: those that the service has, else, with
    /// [`dns_capture`](Self::dns_capture), those that were allocated to it of the families that it
    /// speaks (`GetAddressForProxy`). If its own addresses are not known, it speaks both.
    pub fn addresses_of<'s>(&self, service: &'s Service) -> Cow<'s, [IpNet]> {
        if !service.addresses.is_empty() || !self.dns_capture {
            return Cow::Borrowed(&service.addresses);
        }
        let own = &self.addresses;
        let speaks =
            |ip: &&IpAddr| own.is_empty() || own.iter().any(|own| own.is_ipv4() == ip.is_ipv4());
        let allocated = service.allocated_addresses.iter().filter(speaks);
        allocated.copied().map(IpNet::from).collect()
    }

    /// Adds a label.
    #[must_use]
    pub fn with_label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key, value);
        self
    }
}

/// What a workload does in the mesh.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum WorkloadKind {
    /// Stands between networks, and does what Gateways tell it.
    Gateway,
    /// Serves and calls for one application.
    Sidecar,
}
