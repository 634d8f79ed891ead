//! Fields of resources of the Gateway API.

mod filter;
mod gateway;
mod l4;
mod route;

use super::Collector;
use super::catalogue::Catalogue;
use crate::config::gateway_api::GatewayApiResources;
use crate::resource::Resource;
use crate::resource::gateway_api::backend_tls_policy::BackendTlsPolicy;
use crate::resource::gateway_api::gateway::Gateway;
use crate::resource::gateway_api::gateway_class::GatewayClass;
use crate::resource::gateway_api::grpc_route::GrpcRoute;
use crate::resource::gateway_api::http_route::HttpRoute;
use crate::resource::gateway_api::listener_set::ListenerSet;
use crate::resource::gateway_api::reference_grant::ReferenceGrant;
use crate::resource::gateway_api::tcp_route::TcpRoute;
use crate::resource::gateway_api::tls_route::TlsRoute;
use crate::resource::gateway_api::udp_route::UdpRoute;
use crate::workload::{Workload, WorkloadKind};

/// Label of the workloads of a gateway, with its name.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// Collects the fields of what concerns `workload`: gateways that it is one of, if its labels say,
/// and all routes and policies.
pub(super) fn walk(
    resources: &GatewayApiResources,
    workload: Option<&Workload>,
    into: &mut Collector<'_>,
) {
    let is_gateway = workload.is_none_or(|workload| workload.kind == WorkloadKind::Gateway);
    let is_own = |gateway: &&Resource<Gateway>| {
        let metadata = &gateway.metadata;
        let workload = workload.filter(|found| found.labels.value(GATEWAY_NAME).is_some());
        workload.is_none_or(|workload| {
            workload.namespace == metadata.namespace
                && workload.labels.value(GATEWAY_NAME) == Some(&metadata.name)
        })
    };
    if is_gateway {
        into.resources(resources.gateways.iter().map(AsRef::as_ref).filter(is_own));
        into.resources(resources.listener_sets.iter().map(AsRef::as_ref));
    }
    into.resources(resources.gateway_classes.iter().map(AsRef::as_ref));
    into.resources(resources.http_routes.iter().map(AsRef::as_ref));
    into.resources(resources.grpc_routes.iter().map(AsRef::as_ref));
    into.resources(resources.tls_routes.iter().map(AsRef::as_ref));
    into.resources(resources.tcp_routes.iter().map(AsRef::as_ref));
    into.resources(resources.udp_routes.iter().map(AsRef::as_ref));
    into.resources(resources.reference_grants.iter().map(AsRef::as_ref));
    into.resources(resources.backend_tls_policies.iter().map(AsRef::as_ref));
}

/// Lists the fields of the kinds of the Gateway API.
pub(super) fn list(into: &mut Catalogue<'_>) {
    into.kind::<Gateway>();
    into.kind::<ListenerSet>();
    into.kind::<GatewayClass>();
    into.kind::<HttpRoute>();
    into.kind::<GrpcRoute>();
    into.kind::<TlsRoute>();
    into.kind::<TcpRoute>();
    into.kind::<UdpRoute>();
    into.kind::<ReferenceGrant>();
    into.kind::<BackendTlsPolicy>();
}
