//! For whom, and where, the routes of a VirtualService are made.

use crate::config::MeshConfig;
use crate::config::services::Service;
use crate::config::visibility::Visibility;
use crate::host::{HostPattern, MESH_GATEWAY, resolve_gateway_name};
use crate::resolve::virtual_service::rules::Delegates;
use crate::resource::Resource;
use crate::resource::istio::VirtualService;
use crate::resource::istio::virtual_service::Destination;
use crate::service::ClusterName;
use crate::workload::Workload;

/// For which workload, and which of its listeners, routes are made.
#[derive(Clone, Copy, Debug)]
pub(in crate::resolve) struct RouteContext<'a> {
    /// The configuration.
    pub(in crate::resolve) config: &'a MeshConfig,
    /// The workload.
    pub(in crate::resolve) workload: &'a Workload,
    /// VirtualServices that rules refer to.
    pub(in crate::resolve) delegates: &'a Delegates<'a>,
    /// What the listener is called in rules: `mesh`, or the `namespace/name` of gateways.
    pub(in crate::resolve) gateways: &'a [&'a str],
    /// The port of the listener, as declared: of the service, or of the Gateway's server.
    pub(in crate::resolve) port: u16,
    /// Whether requests arrive by TLS that the workload terminates.
    pub(in crate::resolve) tls: bool,
}

impl<'a> RouteContext<'a> {
    /// The service that `host`, in lower case, is to the workload.
    pub(in crate::resolve) fn service(&self, host: &str) -> Option<&'a Service> {
        let services = self.config.services();
        let service = services.lookup(host, &self.workload.namespace)?;
        Some(service)
    }

    /// The cluster of a destination that an object of `namespace` names (`GetDestinationCluster`).
    ///
    /// Without a port it is the only one of the service, else that of the listener. A host that
    /// nobody declared has a cluster too, which answers nothing.
    pub(in crate::resolve) fn cluster(
        &self,
        destination: &Destination,
        namespace: &str,
    ) -> ClusterName {
        let only_port = |service: &Service| match service.ports.as_slice() {
            [only] => Some(only.number),
            _ => None,
        };
        self.cluster_at(destination, namespace, only_port)
    }

    /// The cluster of a destination of an HTTP rule.
    ///
    /// A sidecar builds the routes of a port of services that have it, so there the port of the
    /// listener counts even if it is not the service's only one.
    pub(in crate::resolve) fn http_cluster(
        &self,
        destination: &Destination,
        namespace: &str,
    ) -> ClusterName {
        if self.gateways == [MESH_GATEWAY] && self.port != 0 {
            return self.cluster_at(destination, namespace, |_| None);
        }
        self.cluster(destination, namespace)
    }

    fn cluster_at(
        &self,
        destination: &Destination,
        namespace: &str,
        port_of: impl Fn(&Service) -> Option<u16>,
    ) -> ClusterName {
        let host = self.config.resolve_host(&destination.host, namespace);
        let service = self.service(&host);
        let port = destination_port(destination);
        let port = port.or_else(|| service.and_then(port_of));
        let alias_of = service.and_then(|service| service.alias_of.as_deref());
        let host = alias_of.unwrap_or(&host);
        ClusterName::outbound(port.unwrap_or(self.port), &destination.subset, host)
    }

    /// Whether one of `written`, names of gateways in an object of `namespace`, is the listener.
    pub(in crate::resolve) fn is_bound(&self, written: &[String], namespace: &str) -> bool {
        let mut written = written
            .iter()
            .map(|name| resolve_gateway_name(name, namespace));
        written.any(|name| self.gateways.contains(&name.as_str()))
    }
}

/// The port that a destination names, if it is one.
pub(super) fn destination_port(destination: &Destination) -> Option<u16> {
    let port = destination.port.as_ref()?;
    u16::try_from(port.number).ok().filter(|port| *port != 0)
}

/// The names of the gateways that a VirtualService is for, `mesh` if it does not say.
pub(in crate::resolve) fn gateways(vs: &Resource<VirtualService>) -> Vec<String> {
    if vs.spec.gateways.is_empty() {
        return vec![MESH_GATEWAY.to_owned()];
    }
    let written = vs.spec.gateways.iter();
    let resolve = |name: &String| resolve_gateway_name(name, &vs.metadata.namespace);
    written.map(resolve).collect()
}

/// The whole names of the hosts that a VirtualService is for.
pub(in crate::resolve) fn hosts(
    config: &MeshConfig,
    vs: &Resource<VirtualService>,
) -> Vec<HostPattern> {
    let written = vs.spec.hosts.iter();
    let resolve = |host: &String| config.resolve_host(host, &vs.metadata.namespace);
    written
        .map(|host| HostPattern::new(&resolve(host)))
        .collect()
}

/// Whether `client`, a namespace, sees the VirtualServices of `namespace` that do not say who does.
///
/// Such are, in Istio, also those that are made of Ingresses and of routes of the Gateway API.
pub(in crate::resolve) fn is_exported_by_default(
    config: &MeshConfig,
    namespace: &str,
    client: &str,
) -> bool {
    let default = config.options().default_virtual_service_export_to();
    Visibility::parse(default, namespace).admits(client)
}
