//! The kinds of resources that are read, and how Kubernetes names them.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::kind::Kind;
//!
//! let kind = Kind::find("networking.istio.io", "VirtualService").unwrap();
//! assert_eq!(kind, Kind::VirtualService);
//! assert_eq!(kind.plural(), "virtualservices");
//! assert!(kind.versions().contains(&"v1alpha3"));
//! assert_eq!(Kind::find("apps", "DaemonSet"), None);
//! ```

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident: $group:literal $name:literal $plural:literal
        $versions:expr, $scope:ident;)*) => {
        /// A kind of resource.
        ///
        /// Gateway API's Gateway is [`KubernetesGateway`](Self::KubernetesGateway), as in Istio's
        /// sources, to tell it from Istio's.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Kind {
            $($(#[$doc])* $variant,)*
        }

        impl Kind {
            /// All kinds, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            const fn definition(self) -> Definition {
                match self {
                    $(Self::$variant => Definition {
                        group: $group,
                        name: $name,
                        plural: $plural,
                        versions: $versions,
                        scope: Scope::$scope,
                    },)*
                }
            }
        }
    };
}

struct Definition {
    group: &'static str,
    name: &'static str,
    plural: &'static str,
    versions: &'static [&'static str],
    scope: Scope,
}

enum Scope {
    Cluster,
    Namespace,
}

const NETWORKING: &[&str] = &["v1", "v1beta1", "v1alpha3"];
const SECURITY: &[&str] = &["v1", "v1beta1"];

kinds! {
    /// Istio's routes of hosts.
    VirtualService: "networking.istio.io" "VirtualService" "virtualservices" NETWORKING, Namespace;
    /// Istio's policies of destinations.
    DestinationRule: "networking.istio.io" "DestinationRule" "destinationrules" NETWORKING,
        Namespace;
    /// Istio's listeners of gateways.
    Gateway: "networking.istio.io" "Gateway" "gateways" NETWORKING, Namespace;
    /// Istio's services that are not Kubernetes'.
    ServiceEntry: "networking.istio.io" "ServiceEntry" "serviceentries" NETWORKING, Namespace;
    /// What a workload's sidecar sees and serves.
    Sidecar: "networking.istio.io" "Sidecar" "sidecars" NETWORKING, Namespace;
    /// A workload that is not a pod.
    WorkloadEntry: "networking.istio.io" "WorkloadEntry" "workloadentries" NETWORKING, Namespace;
    /// What workload entries are made from.
    WorkloadGroup: "networking.istio.io" "WorkloadGroup" "workloadgroups" NETWORKING, Namespace;
    /// Settings of proxies.
    ProxyConfig: "networking.istio.io" "ProxyConfig" "proxyconfigs" &["v1beta1"], Namespace;
    /// Patches of Envoy's configuration.
    EnvoyFilter: "networking.istio.io" "EnvoyFilter" "envoyfilters" &["v1alpha3"], Namespace;
    /// Mutual TLS of workloads.
    PeerAuthentication: "security.istio.io" "PeerAuthentication" "peerauthentications" SECURITY,
        Namespace;
    /// JWTs that requests may carry.
    RequestAuthentication: "security.istio.io" "RequestAuthentication" "requestauthentications"
        SECURITY, Namespace;
    /// Who may do what.
    AuthorizationPolicy: "security.istio.io" "AuthorizationPolicy" "authorizationpolicies"
        SECURITY, Namespace;
    /// Metrics, access logs and traces.
    Telemetry: "telemetry.istio.io" "Telemetry" "telemetries" &["v1", "v1alpha1"], Namespace;
    /// WebAssembly extensions.
    WasmPlugin: "extensions.istio.io" "WasmPlugin" "wasmplugins" &["v1alpha1"], Namespace;
    /// Extensions of the path of traffic.
    TrafficExtension: "extensions.istio.io" "TrafficExtension" "trafficextensions" &["v1alpha1"],
        Namespace;

    /// Who runs the gateways of a class.
    GatewayClass: "gateway.networking.k8s.io" "GatewayClass" "gatewayclasses" &["v1", "v1beta1"],
        Cluster;
    /// Gateway API's gateway.
    KubernetesGateway: "gateway.networking.k8s.io" "Gateway" "gateways" &["v1", "v1beta1"],
        Namespace;
    /// Listeners that are added to a gateway.
    ListenerSet: "gateway.networking.k8s.io" "ListenerSet" "listenersets" &["v1"], Namespace;
    /// Routes of HTTP requests.
    HttpRoute: "gateway.networking.k8s.io" "HTTPRoute" "httproutes" &["v1", "v1beta1"], Namespace;
    /// Routes of gRPC calls.
    GrpcRoute: "gateway.networking.k8s.io" "GRPCRoute" "grpcroutes" &["v1", "v1alpha2"],
        Namespace;
    /// Routes of TLS connections by server name.
    TlsRoute: "gateway.networking.k8s.io" "TLSRoute" "tlsroutes" &["v1", "v1alpha3", "v1alpha2"],
        Namespace;
    /// Routes of TCP connections.
    TcpRoute: "gateway.networking.k8s.io" "TCPRoute" "tcproutes" &["v1", "v1alpha2"], Namespace;
    /// Routes of datagrams.
    UdpRoute: "gateway.networking.k8s.io" "UDPRoute" "udproutes" &["v1", "v1alpha2"], Namespace;
    /// Who may refer to objects of another namespace.
    ReferenceGrant: "gateway.networking.k8s.io" "ReferenceGrant" "referencegrants"
        &["v1", "v1beta1", "v1alpha2"], Namespace;
    /// TLS from a gateway to its backends.
    BackendTlsPolicy: "gateway.networking.k8s.io" "BackendTLSPolicy" "backendtlspolicies"
        &["v1", "v1alpha3"], Namespace;

    /// A name and the pods behind it.
    Service: "" "Service" "services" &["v1"], Namespace;
    /// Addresses behind a service.
    EndpointSlice: "discovery.k8s.io" "EndpointSlice" "endpointslices" &["v1"], Namespace;
    /// Addresses behind a service, in the old form.
    Endpoints: "" "Endpoints" "endpoints" &["v1"], Namespace;
    /// A running workload.
    Pod: "" "Pod" "pods" &["v1"], Namespace;
    /// A space of names.
    Namespace: "" "Namespace" "namespaces" &["v1"], Cluster;
    /// A machine.
    Node: "" "Node" "nodes" &["v1"], Cluster;
    /// Keys and certificates.
    Secret: "" "Secret" "secrets" &["v1"], Namespace;
    /// Files of configuration.
    ConfigMap: "" "ConfigMap" "configmaps" &["v1"], Namespace;
    /// Pods by number.
    Deployment: "apps" "Deployment" "deployments" &["v1"], Namespace;
    /// Kubernetes' old routes of HTTP requests.
    Ingress: "networking.k8s.io" "Ingress" "ingresses" &["v1"], Namespace;
    /// Who serves the Ingresses of a class.
    IngressClass: "networking.k8s.io" "IngressClass" "ingressclasses" &["v1"], Cluster;
    /// Webhooks that change objects.
    MutatingWebhookConfiguration: "admissionregistration.k8s.io" "MutatingWebhookConfiguration"
        "mutatingwebhookconfigurations" &["v1"], Cluster;
    /// Webhooks that refuse objects.
    ValidatingWebhookConfiguration: "admissionregistration.k8s.io" "ValidatingWebhookConfiguration"
        "validatingwebhookconfigurations" &["v1"], Cluster;
    /// Kinds that Kubernetes does not know itself.
    CustomResourceDefinition: "apiextensions.k8s.io" "CustomResourceDefinition"
        "customresourcedefinitions" &["v1"], Cluster;
}

impl Kind {
    /// The kind called `name` in the API group `group`, which is empty for the core group.
    pub fn find(group: &str, name: &str) -> Option<Self> {
        let mut kinds = Self::ALL.iter().copied();
        kinds.find(|kind| kind.name() == name && kind.group() == group)
    }

    /// API group, such as `networking.istio.io`; empty for the core group.
    pub const fn group(self) -> &'static str {
        self.definition().group
    }

    /// Name as `kind:` says it, such as `HTTPRoute`.
    pub const fn name(self) -> &'static str {
        self.definition().name
    }

    /// Name of the collection in paths of the Kubernetes API, such as `httproutes`.
    pub const fn plural(self) -> &'static str {
        self.definition().plural
    }

    /// Versions that are read, the newest first; all of a kind have the same fields.
    pub const fn versions(self) -> &'static [&'static str] {
        self.definition().versions
    }

    /// Group and newest version, as `apiVersion:` says them.
    pub fn api_version(self) -> String {
        let version = self.versions().first().copied().unwrap_or_default();
        match self.group() {
            "" => version.to_owned(),
            group => format!("{group}/{version}"),
        }
    }

    /// Whether the content of a [`Resource`](super::Resource) of this kind is the `spec` of the
    /// document, rather than the whole. It is for the kinds of Istio and the Gateway API.
    pub fn has_spec(self) -> bool {
        self.is_istio() || self.is_gateway_api()
    }

    /// Whether resources of this kind live in a namespace.
    pub const fn is_namespaced(self) -> bool {
        matches!(self.definition().scope, Scope::Namespace)
    }

    /// Whether the kind is Istio's own.
    pub fn is_istio(self) -> bool {
        self.group().ends_with(".istio.io")
    }

    /// Whether the kind is of the Gateway API.
    pub fn is_gateway_api(self) -> bool {
        self.group() == "gateway.networking.k8s.io"
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_own_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::find(kind.group(), kind.name()), Some(*kind), "{kind}");
            assert!(!kind.versions().is_empty(), "{kind}");
        }
    }

    #[test]
    fn the_two_gateways_are_told_apart_by_their_group() {
        let istio = Kind::find("networking.istio.io", "Gateway");
        let gateway_api = Kind::find("gateway.networking.k8s.io", "Gateway");
        assert_eq!(istio, Some(Kind::Gateway));
        assert_eq!(gateway_api, Some(Kind::KubernetesGateway));
    }
}
