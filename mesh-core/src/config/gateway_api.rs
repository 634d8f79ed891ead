//! The Gateway API's resources of a configuration, by kind.
//!
//! # Example
//!
//! ```
//! use mesh_core::config::MeshConfig;
//! use mesh_core::resource::gateway_api::http_route::HttpRoute;
//! use mesh_core::resource::gateway_api::object::GatewayApiObject;
//! use mesh_core::resource::{Object, Resource};
//!
//! let route = GatewayApiObject::from(Resource::<HttpRoute>::default());
//! let config = MeshConfig::builder().extend([Object::GatewayApi(route)]).build(1)?;
//!
//! assert_eq!(config.resources().gateway_api.http_routes.len(), 1);
//! # Ok::<(), Vec<mesh_core::config::DuplicateResource>>(())
//! ```

pub(crate) mod backend_tls;
pub(crate) mod reason;

use std::sync::Arc;

use crate::config::resources::cmp_by_age;
#[cfg(feature = "yaml")]
use crate::resource::Metadata;
use crate::resource::Resource;
use crate::resource::gateway_api::backend_tls_policy::BackendTlsPolicy;
use crate::resource::gateway_api::gateway::Gateway;
use crate::resource::gateway_api::gateway_class::GatewayClass;
use crate::resource::gateway_api::grpc_route::GrpcRoute;
use crate::resource::gateway_api::http_route::HttpRoute;
use crate::resource::gateway_api::listener_set::ListenerSet;
use crate::resource::gateway_api::object::GatewayApiObject;
use crate::resource::gateway_api::reference_grant::ReferenceGrant;
use crate::resource::gateway_api::tcp_route::TcpRoute;
use crate::resource::gateway_api::tls_route::TlsRoute;
use crate::resource::gateway_api::udp_route::UdpRoute;
#[cfg(feature = "yaml")]
use crate::resource::kind::Kind;

macro_rules! resources {
    ($($(#[$doc:meta])* $list:ident: $variant:ident($kind:ident),)*) => {
        /// The Gateway API's resources of each kind, the oldest first.
        #[derive(Clone, Debug, Default)]
        pub struct GatewayApiResources {
            $($(#[$doc])* pub $list: Vec<Arc<Resource<$kind>>>,)*
        }

        impl GatewayApiResources {
            pub(super) fn push(&mut self, object: GatewayApiObject) {
                match object {
                    $(GatewayApiObject::$variant(resource) => self.$list.push(resource),)*
                }
            }

            #[cfg(feature = "yaml")]
            pub(super) fn for_each(&self, see: &mut dyn FnMut(Kind, &Metadata)) {
                $(self.$list.iter().for_each(|found| see(found.kind(), &found.metadata));)*
            }

            pub(super) fn sort(&mut self) {
                $(self.$list.sort_by(|a, b| cmp_by_age(&a.metadata, &b.metadata));)*
            }
        }
    };
}

resources! {
    /// TLS from a gateway to its backends.
    backend_tls_policies: BackendTlsPolicy(BackendTlsPolicy),
    /// Who runs the gateways of a class.
    gateway_classes: GatewayClass(GatewayClass),
    /// Listeners.
    gateways: KubernetesGateway(Gateway),
    /// Routes of gRPC calls.
    grpc_routes: GrpcRoute(GrpcRoute),
    /// Routes of HTTP requests.
    http_routes: HttpRoute(HttpRoute),
    /// Listeners that are added to gateways.
    listener_sets: ListenerSet(ListenerSet),
    /// Who may refer to objects of another namespace.
    reference_grants: ReferenceGrant(ReferenceGrant),
    /// Routes of TCP connections.
    tcp_routes: TcpRoute(TcpRoute),
    /// Routes of TLS connections by server name.
    tls_routes: TlsRoute(TlsRoute),
    /// Routes of datagrams.
    udp_routes: UdpRoute(UdpRoute),
}
