//! What there is of the Gateway API without the feature `gateway-api`: nothing.

use std::collections::BTreeSet;

use crate::config::MeshConfig;
use crate::model::Notice;
use crate::resolve::context::Context;
use crate::resolve::gateway::server::GatewayServer;
use crate::resolve::sidecar::mesh_route::{MeshDestinations, MeshRoutes};
use crate::workload::Workload;

pub(in crate::resolve) fn servers(_: &Context<'_>, _: &mut Vec<Notice>) -> Vec<GatewayServer> {
    Vec::new()
}

pub(in crate::resolve) fn managed_namespaces<'a>(_: &Context<'a>) -> BTreeSet<&'a str> {
    BTreeSet::new()
}

pub(in crate::resolve) fn mesh_routes<'a>(
    _: &'a Context<'a>,
    _: &mut Vec<Notice>,
) -> MeshRoutes<'a> {
    MeshRoutes::default()
}

pub(in crate::resolve) fn mesh_destinations<'a>(
    _: &'a MeshConfig,
    _: &Workload,
) -> Vec<MeshDestinations<'a>> {
    Vec::new()
}

pub(in crate::resolve) fn is_secret_granted(_: &Context<'_>, _: &str, _: &str) -> bool {
    false
}

pub(in crate::resolve) fn backend_tls_notices(_: &Context<'_>) -> Vec<Notice> {
    Vec::new()
}
