//! What of a route cannot be done, whoever runs the Gateway that it is attached to.
//!
//! The rules are translated as they are for a workload, and only what is refused is kept.

use crate::config::MeshConfig;
use crate::resolve::gateway_api::attach::RouteSpec;
use crate::resolve::gateway_api::backend::RuleContext;
use crate::resolve::gateway_api::finding::Finding;
use crate::resolve::gateway_api::l4;
use crate::resolve::gateway_api::routes;
use crate::resource::Resource;
use crate::resource::gateway_api::backend_reference::BackendRef;
use crate::resource::gateway_api::grpc_route::{GrpcBackendRef, GrpcRoute};
use crate::resource::gateway_api::http_route::{HttpBackendRef, HttpRoute};
use crate::resource::gateway_api::tcp_route::TcpRoute;
use crate::resource::gateway_api::tls_route::TlsRoute;
use crate::resource::gateway_api::udp_route::UdpRoute;
use crate::workload::Workload;

/// A route whose rules can be looked at.
pub(crate) trait ReviewedRoute: RouteSpec {
    /// What of the rules is refused, in their order.
    fn findings(resource: &Resource<Self>, context: &RuleContext<'_>) -> Vec<Finding>
    where
        Self: Sized;

    /// The backends of all rules: group, kind, namespace if it is written, and name.
    fn backends(&self) -> Vec<BackendName<'_>>;
}

/// A backend, whichever port and share of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackendName<'a> {
    /// Its API group; empty is the core group.
    pub(crate) group: &'a str,
    /// Its kind.
    pub(crate) kind: &'a str,
    /// Its namespace, if it is written.
    pub(crate) namespace: Option<&'a str>,
    /// Its name.
    pub(crate) name: &'a str,
}

macro_rules! backend_name {
    ($($reference:ident)*) => {$(
        impl<'a> From<&'a $reference> for BackendName<'a> {
            fn from(written: &'a $reference) -> Self {
                let (group, kind) = written.group_kind();
                Self {
                    group,
                    kind,
                    namespace: written.namespace.as_deref(),
                    name: &written.name,
                }
            }
        }
    )*};
}

backend_name!(BackendRef GrpcBackendRef HttpBackendRef);

macro_rules! reviewed_route {
    ($($route:ident: $translate:path,)*) => {$(
        impl ReviewedRoute for $route {
            fn findings(resource: &Resource<Self>, context: &RuleContext<'_>) -> Vec<Finding> {
                let mut findings = Vec::new();
                $translate(context, resource, &mut findings);
                findings
            }

            fn backends(&self) -> Vec<BackendName<'_>> {
                let all = self.rules.iter().flat_map(|rule| &rule.backend_refs);
                all.map(BackendName::from).collect()
            }
        }
    )*};
}

reviewed_route! {
    GrpcRoute: routes::routes,
    HttpRoute: routes::routes,
    TcpRoute: l4::destinations,
    TlsRoute: l4::destinations,
    UdpRoute: l4::destinations,
}

/// Where a route is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Site<'a> {
    /// At the Gateways of this namespace.
    Gateways(&'a str),
    /// At Services, by clients of the route's own namespace.
    Mesh,
}

/// What of a route cannot be done at `site`.
pub(crate) fn review<S: ReviewedRoute>(
    config: &MeshConfig,
    route: &Resource<S>,
    site: Site<'_>,
) -> Vec<Finding> {
    let namespace = route.metadata.namespace.as_str();
    let of = match site {
        Site::Gateways(namespace) => namespace,
        Site::Mesh => namespace,
    };
    let context = RuleContext {
        config,
        workload: &Workload::gateway(of),
        scope: None,
        kind: S::KIND,
        namespace,
        port: 0,
        tls: false,
        mesh: site == Site::Mesh,
    };
    S::findings(route, &context)
}
