//! A resource of any kind of the Gateway API.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::object::GatewayApiObject;
//! use mesh_core::resource::gateway_api::tcp_route::TcpRoute;
//! use mesh_core::resource::kind::Kind;
//! use mesh_core::resource::{Object, Resource};
//!
//! let object = GatewayApiObject::from(Resource::<TcpRoute>::default());
//! assert_eq!(Object::GatewayApi(object).kind(), Kind::TcpRoute);
//! ```

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::backend_tls_policy::BackendTlsPolicy;
use super::gateway::Gateway as KubernetesGateway;
use super::gateway_class::GatewayClass;
use super::grpc_route::GrpcRoute;
use super::http_route::HttpRoute;
use super::listener_set::ListenerSet;
use super::reference_grant::ReferenceGrant;
use super::tcp_route::TcpRoute;
use super::tls_route::TlsRoute;
use super::udp_route::UdpRoute;
use crate::origin::{Origin, Source};
use crate::resource::kind::Kind;
use crate::resource::object::objects;
use crate::resource::{Metadata, Resource, Spec};

objects! {
    /// A resource of the Gateway API.
    pub enum GatewayApiObject {
        GatewayClass,
        KubernetesGateway,
        ListenerSet,
        HttpRoute,
        GrpcRoute,
        TlsRoute,
        TcpRoute,
        UdpRoute,
        ReferenceGrant,
        BackendTlsPolicy,
    }
}
