//! All resources of a configuration, by kind.
//!
//! # Example
//!
//! ```
//! use mesh_core::config::MeshConfig;
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::kubernetes::secret::Secret;
//!
//! let mut secret = Resource::<Secret>::default();
//! secret.metadata.name = "credential".into();
//! let config = MeshConfig::builder().extend([secret.into()]).build(1)?;
//!
//! assert!(config.resources().secret("default", "credential").is_some());
//! assert!(config.resources().secret("bank", "credential").is_none());
//! # Ok::<(), Vec<mesh_core::config::DuplicateResource>>(())
//! ```

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

#[cfg(feature = "gateway-api")]
use crate::config::gateway_api::GatewayApiResources;
use crate::labels::Labels;
#[cfg(feature = "gateway-api")]
use crate::resource::gateway_api::gateway::Gateway as KubernetesGateway;
use crate::resource::istio::{
    AuthorizationPolicy, DestinationRule, EnvoyFilter, Gateway, PeerAuthentication, ProxyConfig,
    RequestAuthentication, ServiceEntry, Sidecar, Telemetry, TrafficExtension, VirtualService,
    WasmPlugin, WorkloadEntry, WorkloadGroup,
};
#[cfg(feature = "yaml")]
use crate::resource::kind::Kind;
use crate::resource::kubernetes::config_map::ConfigMap;
use crate::resource::kubernetes::custom_resource_definition::CustomResourceDefinition;
use crate::resource::kubernetes::deployment::Deployment;
use crate::resource::kubernetes::endpoint_slice::EndpointSlice;
use crate::resource::kubernetes::endpoints::Endpoints;
use crate::resource::kubernetes::ingress::Ingress;
use crate::resource::kubernetes::ingress_class::IngressClass;
use crate::resource::kubernetes::namespace::Namespace;
use crate::resource::kubernetes::node::Node;
use crate::resource::kubernetes::pod::Pod;
use crate::resource::kubernetes::secret::Secret;
use crate::resource::kubernetes::service::Service;
use crate::resource::kubernetes::webhook_configuration::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use crate::resource::{Metadata, Object, Resource};

/// Orders competing objects: by age, the oldest first, then by name and namespace
/// (`configCompareByCreationTime`). What has no creation time counts as oldest.
pub fn cmp_by_age(a: &Metadata, b: &Metadata) -> Ordering {
    (a.creation_timestamp, &a.name, &a.namespace).cmp(&(
        b.creation_timestamp,
        &b.name,
        &b.namespace,
    ))
}

/// Declares one list for each kind, and what is done with all of them.
macro_rules! resources {
    ($($(#[$doc:meta])* $list:ident: $kind:ident,)*) => {
        /// The resources of each kind, the oldest first.
        #[derive(Clone, Debug, Default)]
        pub struct Resources {
            $($(#[$doc])* pub $list: Vec<Arc<Resource<$kind>>>,)*
            /// Resources of the Gateway API.
            #[cfg(feature = "gateway-api")]
            pub gateway_api: GatewayApiResources,
            names: Names,
        }

        impl Resources {
            pub(crate) fn push(&mut self, object: Object) {
                match object {
                    $(Object::$kind(resource) => self.$list.push(resource),)*
                    #[cfg(feature = "gateway-api")]
                    Object::GatewayApi(object) => self.gateway_api.push(object),
                }
            }

            /// Shows the kind and the metadata of every resource.
            #[cfg(feature = "yaml")]
            pub(crate) fn for_each(&self, see: &mut dyn FnMut(Kind, &Metadata)) {
                $(self.$list.iter().for_each(|found| see(found.kind(), &found.metadata));)*
                #[cfg(feature = "gateway-api")]
                self.gateway_api.for_each(see);
            }

            pub(crate) fn index(&mut self) {
                $(self.$list.sort_by(|a, b| cmp_by_age(&a.metadata, &b.metadata));)*
                #[cfg(feature = "gateway-api")]
                self.gateway_api.sort();
                self.names = Names {
                    config_maps: by_name(&self.config_maps),
                    #[cfg(feature = "gateway-api")]
                    kubernetes_gateways: by_name(&self.gateway_api.gateways),
                    namespaces: by_name(&self.namespaces),
                    secrets: by_name(&self.secrets),
                    virtual_services: by_name(&self.virtual_services),
                };
            }
        }
    };
}

resources! {
    /// Who may do what.
    authorization_policies: AuthorizationPolicy,
    /// Files of configuration.
    config_maps: ConfigMap,
    /// Kinds that Kubernetes does not know itself.
    custom_resource_definitions: CustomResourceDefinition,
    /// Kubernetes Deployments.
    deployments: Deployment,
    /// Policies of destinations, as written; [`MeshConfig::destination_rules`] has them merged.
    ///
    /// [`MeshConfig::destination_rules`]: crate::config::MeshConfig::destination_rules
    destination_rules: DestinationRule,
    /// Addresses behind Kubernetes Services.
    endpoint_slices: EndpointSlice,
    /// Addresses behind Kubernetes Services, in the old form.
    endpoints: Endpoints,
    /// Patches of Envoy's configuration.
    envoy_filters: EnvoyFilter,
    /// Istio's gateways.
    gateways: Gateway,
    /// Classes of Kubernetes Ingresses.
    ingress_classes: IngressClass,
    /// Kubernetes Ingresses.
    ingresses: Ingress,
    /// Webhooks that change objects.
    mutating_webhook_configurations: MutatingWebhookConfiguration,
    /// Kubernetes namespaces.
    namespaces: Namespace,
    /// Kubernetes nodes.
    nodes: Node,
    /// Mutual TLS of workloads.
    peer_authentications: PeerAuthentication,
    /// Kubernetes pods.
    pods: Pod,
    /// Settings of proxies.
    proxy_configs: ProxyConfig,
    /// Tokens that requests may carry.
    request_authentications: RequestAuthentication,
    /// Keys and certificates.
    secrets: Secret,
    /// Services that are not Kubernetes', as written; [`MeshConfig::services`] has all services.
    ///
    /// [`MeshConfig::services`]: crate::config::MeshConfig::services
    service_entries: ServiceEntry,
    /// Kubernetes Services, as written; [`MeshConfig::services`] has all services.
    ///
    /// [`MeshConfig::services`]: crate::config::MeshConfig::services
    services: Service,
    /// What sidecars see and serve.
    sidecars: Sidecar,
    /// What is recorded.
    telemetries: Telemetry,
    /// Extensions of the path of traffic.
    traffic_extensions: TrafficExtension,
    /// Webhooks that refuse objects.
    validating_webhook_configurations: ValidatingWebhookConfiguration,
    /// Routes of hosts.
    virtual_services: VirtualService,
    /// WebAssembly extensions.
    wasm_plugins: WasmPlugin,
    /// Workloads that are not pods.
    workload_entries: WorkloadEntry,
    /// What workload entries are made from.
    workload_groups: WorkloadGroup,
}

impl Resources {
    /// The Secret `namespace`/`name`.
    pub fn secret(&self, namespace: &str, name: &str) -> Option<&Arc<Resource<Secret>>> {
        self.secrets
            .get(find(&self.names.secrets, namespace, name)?)
    }

    /// The ConfigMap `namespace`/`name`.
    pub fn config_map(&self, namespace: &str, name: &str) -> Option<&Arc<Resource<ConfigMap>>> {
        let index = find(&self.names.config_maps, namespace, name)?;
        self.config_maps.get(index)
    }

    /// The Gateway `namespace`/`name` of the Gateway API.
    #[cfg(feature = "gateway-api")]
    pub(crate) fn kubernetes_gateway(
        &self,
        namespace: &str,
        name: &str,
    ) -> Option<&Arc<Resource<KubernetesGateway>>> {
        let index = find(&self.names.kubernetes_gateways, namespace, name)?;
        self.gateway_api.gateways.get(index)
    }

    /// The VirtualService `namespace`/`name`.
    pub fn virtual_service(
        &self,
        namespace: &str,
        name: &str,
    ) -> Option<&Arc<Resource<VirtualService>>> {
        let index = find(&self.names.virtual_services, namespace, name)?;
        self.virtual_services.get(index)
    }

    /// The Namespace of that name, if it is declared.
    pub fn namespace(&self, name: &str) -> Option<&Arc<Resource<Namespace>>> {
        let index = find(&self.names.namespaces, "", name)?;
        self.namespaces.get(index)
    }

    /// The labels of a namespace. One that no Namespace declares has the label that Kubernetes
    /// gives to all, `kubernetes.io/metadata.name`.
    pub fn namespace_labels(&self, namespace: &str) -> Labels {
        let declared = self.namespace(namespace);
        let mut labels = declared
            .map(|object| object.metadata.labels.iter().collect::<Labels>())
            .unwrap_or_default();
        labels.insert("kubernetes.io/metadata.name", namespace);
        labels
    }
}

/// Positions in a list, by namespace and name.
type ByName = HashMap<String, HashMap<String, usize>>;

/// Where to find the objects that others refer to by name.
#[derive(Clone, Debug, Default)]
struct Names {
    config_maps: ByName,
    #[cfg(feature = "gateway-api")]
    kubernetes_gateways: ByName,
    namespaces: ByName,
    secrets: ByName,
    virtual_services: ByName,
}

fn by_name<S>(list: &[Arc<Resource<S>>]) -> ByName {
    let mut names = ByName::new();
    for (index, object) in list.iter().enumerate() {
        let metadata = &object.metadata;
        let of_namespace = names.entry(metadata.namespace.clone()).or_default();
        of_namespace.insert(metadata.name.clone(), index);
    }
    names
}

fn find(names: &ByName, namespace: &str, name: &str) -> Option<usize> {
    names.get(namespace)?.get(name).copied()
}
