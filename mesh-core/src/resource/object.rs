//! A resource of any kind.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::kind::Kind;
//! use mesh_core::resource::kubernetes::namespace::Namespace;
//! use mesh_core::resource::{Object, Resource};
//!
//! let mut namespace = Resource::<Namespace>::default();
//! namespace.metadata.name = "prod".into();
//! let object = Object::from(namespace);
//! assert_eq!(object.kind(), Kind::Namespace);
//! assert_eq!(object.metadata().name, "prod");
//! ```

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::istio::authorization_policy::AuthorizationPolicy;
use super::istio::destination_rule::DestinationRule;
use super::istio::envoy_filter::EnvoyFilter;
use super::istio::gateway::Gateway;
use super::istio::peer_authentication::PeerAuthentication;
use super::istio::proxy_config::ProxyConfig;
use super::istio::request_authentication::RequestAuthentication;
use super::istio::service_entry::ServiceEntry;
use super::istio::sidecar::Sidecar;
use super::istio::telemetry::Telemetry;
use super::istio::traffic_extension::TrafficExtension;
use super::istio::virtual_service::VirtualService;
use super::istio::wasm_plugin::WasmPlugin;
use super::istio::workload_entry::WorkloadEntry;
use super::istio::workload_group::WorkloadGroup;
use super::kind::Kind;
use super::kubernetes::config_map::ConfigMap;
use super::kubernetes::custom_resource_definition::CustomResourceDefinition;
use super::kubernetes::deployment::Deployment;
use super::kubernetes::endpoint_slice::EndpointSlice;
use super::kubernetes::endpoints::Endpoints;
use super::kubernetes::ingress::Ingress;
use super::kubernetes::ingress_class::IngressClass;
use super::kubernetes::namespace::Namespace;
use super::kubernetes::node::Node;
use super::kubernetes::pod::Pod;
use super::kubernetes::secret::Secret;
use super::kubernetes::service::Service;
use super::kubernetes::webhook_configuration::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use super::{Metadata, Resource, Spec};
use crate::origin::{Origin, Source};

/// Declares an enum of resources by kind. A variant is called as its [`Kind`] and its content; a
/// family of kinds is another such enum.
macro_rules! objects {
    (
        $(#[$doc:meta])*
        pub enum $name:ident { $($variant:ident,)* }
        $(#[$family_meta:meta] families { $(#[$family_doc:meta])* $family:ident($object:ty) })?
    ) => {
        $(#[$doc])*
        ///
        /// Resources do not change once they are read, so they are shared: cloning is cheap.
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $(
                #[doc = concat!("A [`", stringify!($variant), "`].")]
                $variant(Arc<Resource<$variant>>),
            )*
            $(#[$family_meta] $(#[$family_doc])* $family($object),)?
        }

        impl $name {
            /// The kind of the resource.
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$variant(resource) => resource.kind(),)*
                    $(#[$family_meta] Self::$family(object) => object.kind(),)?
                }
            }

            /// Name, namespace, labels and the like of the resource.
            pub fn metadata(&self) -> &Metadata {
                match self {
                    $(Self::$variant(resource) => &resource.metadata,)*
                    $(#[$family_meta] Self::$family(object) => object.metadata(),)?
                }
            }

            /// Metadata to change, for a caller that fills in a default namespace. Clones the
            /// resource when it is shared.
            pub fn metadata_mut(&mut self) -> &mut Metadata {
                match self {
                    $(Self::$variant(resource) => &mut Arc::make_mut(resource).metadata,)*
                    $(#[$family_meta] Self::$family(object) => object.metadata_mut(),)?
                }
            }

            /// Positions of the values of the resource.
            pub fn source(&self) -> &Source {
                match self {
                    $(Self::$variant(resource) => &resource.source,)*
                    $(#[$family_meta] Self::$family(object) => object.source(),)?
                }
            }

            /// The whole resource as the origin of something.
            pub fn origin(&self) -> Origin {
                match self {
                    $(Self::$variant(resource) => resource.origin(),)*
                    $(#[$family_meta] Self::$family(object) => object.origin(),)?
                }
            }
        }

        /// Writes the document as Kubernetes has it.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$variant(resource) => resource.serialize(serializer),)*
                    $(#[$family_meta] Self::$family(object) => object.serialize(serializer),)?
                }
            }
        }

        $(
            impl Spec for $variant {
                const KIND: Kind = Kind::$variant;
            }

            impl From<Resource<$variant>> for $name {
                fn from(resource: Resource<$variant>) -> Self {
                    Self::$variant(Arc::new(resource))
                }
            }
        )*
    };
}

#[cfg(feature = "gateway-api")]
pub(super) use objects;

objects! {
    /// A resource of any kind that is read.
    pub enum Object {
        VirtualService,
        DestinationRule,
        Gateway,
        ServiceEntry,
        Sidecar,
        WorkloadEntry,
        WorkloadGroup,
        ProxyConfig,
        EnvoyFilter,
        PeerAuthentication,
        RequestAuthentication,
        AuthorizationPolicy,
        Telemetry,
        WasmPlugin,
        TrafficExtension,
        Service,
        EndpointSlice,
        Endpoints,
        Pod,
        Namespace,
        Node,
        Secret,
        ConfigMap,
        Deployment,
        Ingress,
        IngressClass,
        MutatingWebhookConfiguration,
        ValidatingWebhookConfiguration,
        CustomResourceDefinition,
    }
    #[cfg(feature = "gateway-api")]
    families {
        /// A resource of the Gateway API.
        GatewayApi(super::gateway_api::object::GatewayApiObject)
    }
}
