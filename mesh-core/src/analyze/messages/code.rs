//! What analysis can say: codes, levels and texts, as `istioctl analyze` has them.
//!
//! Source: `pkg/config/analysis/msg/messages.yaml` of Istio. Messages about the installation of
//! Istio itself, which no configuration shows, are left out.

use std::fmt::{self, Display, Write};

use serde::{Serialize, Serializer};

use crate::diagnostic::Severity;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident: $code:literal $level:ident $name:literal
        $template:literal;)*) => {
        /// What a message is about.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// All codes, by number.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            const fn definition(self) -> Definition {
                match self {
                    $(Self::$variant => Definition {
                        code: $code,
                        level: Severity::$level,
                        name: $name,
                        template: $template,
                    },)*
                }
            }
        }
    };
}

struct Definition {
    code: &'static str,
    level: Severity,
    name: &'static str,
    template: &'static str,
}

codes! {
    /// A feature that the configuration is depending on is now deprecated.
    Deprecated: "IST0002" Warning "Deprecated"
        "Deprecated: {}";
    /// A resource being referenced does not exist.
    ReferencedResourceNotFound: "IST0101" Error "ReferencedResourceNotFound"
        "Referenced {} not found: \"{}\"";
    /// A namespace is not enabled for Istio injection.
    NamespaceNotInjected: "IST0102" Info "NamespaceNotInjected"
        "The namespace is not enabled for Istio injection. Run 'kubectl label namespace {} \
         istio-injection=enabled' to enable it, or 'kubectl label namespace {} \
         istio-injection=disabled' to explicitly mark it as not needing injection.";
    /// A pod is missing the Istio proxy.
    PodMissingProxy: "IST0103" Warning "PodMissingProxy"
        "The pod {} is missing the Istio proxy. This can often be resolved by restarting or \
         redeploying the workload.";
    /// The resource has a schema validation error.
    SchemaValidationError: "IST0106" Error "SchemaValidationError"
        "Schema validation error: {}";
    /// An Istio annotation is applied to the wrong kind of resource.
    MisplacedAnnotation: "IST0107" Warning "MisplacedAnnotation"
        "Misplaced annotation: {} can only be applied to {}";
    /// An Istio annotation is not recognized for any kind of resource.
    UnknownAnnotation: "IST0108" Warning "UnknownAnnotation"
        "Unknown annotation: {}";
    /// Conflicting hosts on VirtualServices associated with mesh gateway.
    ConflictingMeshGatewayVirtualServiceHosts: "IST0109" Error
        "ConflictingMeshGatewayVirtualServiceHosts"
        "The VirtualServices {} associated with mesh gateway define the same host {} which can \
         lead to undefined behavior. This can be fixed by merging the conflicting \
         VirtualServices into a single resource.";
    /// A Sidecar resource selects the same workloads as another Sidecar resource.
    ConflictingSidecarWorkloadSelectors: "IST0110" Error "ConflictingSidecarWorkloadSelectors"
        "The Sidecars {} in namespace \"{}\" select the same workload pod \"{}\", which can lead \
         to undefined behavior.";
    /// More than one sidecar resource in a namespace has no workload selector.
    MultipleSidecarsWithoutWorkloadSelectors: "IST0111" Error
        "MultipleSidecarsWithoutWorkloadSelectors"
        "The Sidecars {} in namespace \"{}\" have no workload selector, which can lead to \
         undefined behavior.";
    /// A VirtualService routes to a service with more than one port exposed, but does not specify
    /// which to use.
    VirtualServiceDestinationPortSelectorRequired: "IST0112" Error
        "VirtualServiceDestinationPortSelectorRequired"
        "This VirtualService routes to a service \"{}\" that exposes multiple ports {}. \
         Specifying a port in the destination is required to disambiguate.";
    /// The resulting pods of a service mesh deployment can't be associated with multiple services
    /// using the same port but different protocols.
    DeploymentAssociatedToMultipleServices: "IST0116" Warning
        "DeploymentAssociatedToMultipleServices"
        "This deployment {} is associated with multiple services using port {} but different \
         protocols: {}";
    /// Port name is not under naming convention. Protocol detection is applied to the port.
    PortNameIsNotUnderNamingConvention: "IST0118" Info "PortNameIsNotUnderNamingConvention"
        "Port name {} (port: {}, targetPort: {}) doesn't follow the naming convention of Istio \
         port.";
    /// A namespace has more than one type of injection labels.
    NamespaceMultipleInjectionLabels: "IST0123" Warning "NamespaceMultipleInjectionLabels"
        "The namespace has more than one type of injection labels {}, which may lead to \
         undefined behavior. Make sure only one injection label exists.";
    /// An Istio annotation that is not valid.
    InvalidAnnotation: "IST0125" Warning "InvalidAnnotation"
        "Invalid annotation {}: {}";
    /// A service registry in Mesh Networks is unknown.
    UnknownMeshNetworksServiceRegistry: "IST0126" Error "UnknownMeshNetworksServiceRegistry"
        "Unknown service registry {} in network {}";
    /// There aren't workloads matching the resource labels.
    NoMatchingWorkloadsFound: "IST0127" Warning "NoMatchingWorkloadsFound"
        "No matching workloads for this resource with the following labels: {}";
    /// No caCertificates are set in DestinationRule, this results in no verification of presented
    /// server certificate.
    NoServerCertificateVerificationDestinationLevel: "IST0128" Warning
        "NoServerCertificateVerificationDestinationLevel"
        "DestinationRule {} in namespace {} has TLS mode set to {} but no caCertificates are set \
         to validate server identity for host: {}";
    /// No caCertificates are set in DestinationRule, this results in no verification of presented
    /// server certificate for traffic to a given port.
    NoServerCertificateVerificationPortLevel: "IST0129" Warning
        "NoServerCertificateVerificationPortLevel"
        "DestinationRule {} in namespace {} has TLS mode set to {} but no caCertificates are set \
         to validate server identity for host: {} at port {}";
    /// A VirtualService rule will never be used because a previous rule uses the same match.
    VirtualServiceUnreachableRule: "IST0130" Warning "VirtualServiceUnreachableRule"
        "VirtualService rule {} not used ({}).";
    /// A VirtualService rule match duplicates a match in a previous rule.
    VirtualServiceIneffectiveMatch: "IST0131" Info "VirtualServiceIneffectiveMatch"
        "VirtualService rule {} match {} is not used (duplicate/overlapping match in rule {}).";
    /// Host defined in VirtualService not found in Gateway.
    VirtualServiceHostNotFoundInGateway: "IST0132" Warning "VirtualServiceHostNotFoundInGateway"
        "one or more host {} defined in VirtualService {} not found in Gateway {}.";
    /// The resource has a schema validation warning.
    SchemaWarning: "IST0133" Warning "SchemaWarning"
        "Schema validation warning: {}";
    /// Virtual IP addresses are required for ports serving TCP (or unset) protocol when
    /// PILOT_ENABLE_IP_AUTOALLOCATE is not set on a proxy.
    ServiceEntryAddressesRequired: "IST0134" Warning "ServiceEntryAddressesRequired"
        "ServiceEntry addresses are required for this protocol.";
    /// A resource is using a deprecated Istio annotation.
    DeprecatedAnnotation: "IST0135" Info "DeprecatedAnnotation"
        "Annotation \"{}\" has been deprecated{} and may not work in future Istio versions.";
    /// An Istio annotation may not be suitable for production.
    AlphaAnnotation: "IST0136" Info "AlphaAnnotation"
        "Annotation \"{}\" is part of an alpha-phase feature and may be incompletely supported.";
    /// Two services selecting the same workload with the same targetPort MUST refer to the same
    /// port.
    DeploymentConflictingPorts: "IST0137" Warning "DeploymentConflictingPorts"
        "This deployment {} is associated with multiple services {} using targetPort \"{}\" but \
         different ports: {}.";
    /// Duplicate certificate in multiple gateways may cause 404s if clients re-use HTTP2
    /// connections.
    GatewayDuplicateCertificate: "IST0138" Warning "GatewayDuplicateCertificate"
        "Duplicate certificate in multiple gateways {} may cause 404s if clients re-use HTTP2 \
         connections.";
    /// Webhook is invalid or references a control plane service that does not exist.
    InvalidWebhook: "IST0139" Error "InvalidWebhook"
        "{}";
    /// Route rules have no effect on ingress gateway requests.
    IngressRouteRulesNotAffected: "IST0140" Warning "IngressRouteRulesNotAffected"
        "Subset in virtual service {} has no effect on ingress gateway {} requests";
    /// Application pods should not run as user ID (UID) 1337.
    InvalidApplicationUid: "IST0144" Warning "InvalidApplicationUID"
        "User ID (UID) 1337 is reserved for the sidecar proxy.";
    /// Gateway should not have the same selector, port and matched hosts of server.
    ConflictingGateways: "IST0145" Error "ConflictingGateways"
        "Conflict with gateways {} (workload selector {}, port {}, hosts {}).";
    /// Deployments with `image: auto` should be targeted for injection.
    ImageAutoWithoutInjectionWarning: "IST0146" Warning "ImageAutoWithoutInjectionWarning"
        "{} {} contains `image: auto` but does not match any Istio injection webhook selectors.";
    /// Pods with `image: auto` should be targeted for injection.
    ImageAutoWithoutInjectionError: "IST0147" Error "ImageAutoWithoutInjectionError"
        "{} {} contains `image: auto` but does not match any Istio injection webhook selectors.";
    /// User namespace should be injectable if Istio is installed with enableNamespacesByDefault
    /// enabled and neither injection label is set.
    NamespaceInjectionEnabledByDefault: "IST0148" Info "NamespaceInjectionEnabledByDefault"
        "is enabled for Istio injection, as Istio is installed with enableNamespacesByDefault as \
         true.";
    /// Virtual service using JWT claim based routing without request authentication.
    JwtClaimBasedRoutingWithoutRequestAuthentication: "IST0149" Error
        "JwtClaimBasedRoutingWithoutRequestAuthN"
        "The virtual service uses the JWT claim based routing (key: {}) but found no request \
         authentication for the gateway ({}) pod ({}). The request authentication must first be \
         applied for the gateway pods to validate the JWT token and make the claims available \
         for routing.";
    /// Proxy may prevent tcp named ports and unmatched traffic for ports serving TCP protocol from
    /// being forwarded correctly for ExternalName services.
    ExternalNameServiceTypeInvalidPortName: "IST0150" Warning
        "ExternalNameServiceTypeInvalidPortName"
        "Port name for ExternalName service is invalid. Proxy may prevent tcp named ports and \
         unmatched traffic for ports serving TCP protocol from being forwarded correctly";
    /// This EnvoyFilter does not have a priority and has a relative patch operation set which can
    /// cause the EnvoyFilter not to be applied. Using the INSERT_FIRST or ADD option or setting the
    /// priority may help in ensuring the EnvoyFilter is applied correctly.
    EnvoyFilterUsesRelativeOperation: "IST0151" Warning "EnvoyFilterUsesRelativeOperation"
        "This EnvoyFilter does not have a priority and has a relative patch operation set which \
         can cause the EnvoyFilter not to be applied. Using the INSERT_FIRST of ADD option or \
         setting the priority may help in ensuring the EnvoyFilter is applied correctly.";
    /// The REPLACE operation is only valid for HTTP_FILTER and NETWORK_FILTER.
    EnvoyFilterUsesReplaceOperationIncorrectly: "IST0152" Error
        "EnvoyFilterUsesReplaceOperationIncorrectly"
        "The REPLACE operation is only valid for HTTP_FILTER and NETWORK_FILTER.";
    /// The ADD operation will be ignored when applyTo is set to ROUTE_CONFIGURATION, or HTTP_ROUTE.
    EnvoyFilterUsesAddOperationIncorrectly: "IST0153" Error "EnvoyFilterUsesAddOperationIncorrectly"
        "The ADD operation will be ignored when applyTo is set to ROUTE_CONFIGURATION, or \
         HTTP_ROUTE.";
    /// The REMOVE operation will be ignored when applyTo is set to ROUTE_CONFIGURATION, or
    /// HTTP_ROUTE.
    EnvoyFilterUsesRemoveOperationIncorrectly: "IST0154" Error
        "EnvoyFilterUsesRemoveOperationIncorrectly"
        "The REMOVE operation will be ignored when applyTo is set to ROUTE_CONFIGURATION, or \
         HTTP_ROUTE.";
    /// This EnvoyFilter does not have a priority and has a relative patch operation
    /// (NSTERT_BEFORE/AFTER, REPLACE, MERGE, DELETE) and proxyVersion set which can cause the
    /// EnvoyFilter not to be applied during an upgrade. Using the INSERT_FIRST or ADD option or
    /// setting the priority may help in ensuring the EnvoyFilter is applied correctly.
    EnvoyFilterUsesRelativeOperationWithProxyVersion: "IST0155" Warning
        "EnvoyFilterUsesRelativeOperationWithProxyVersion"
        "This EnvoyFilter does not have a priority and has a relative patch operation \
         (NSTERT_BEFORE/AFTER, REPLACE, MERGE, DELETE) and proxyVersion set which can cause the \
         EnvoyFilter not to be applied during an upgrade. Using the INSERT_FIRST or ADD option \
         or setting the priority may help in ensuring the EnvoyFilter is applied correctly.";
    /// The Telemetry with empty providers will be ignored.
    InvalidTelemetryProvider: "IST0157" Warning "InvalidTelemetryProvider"
        "The Telemetry {} in namespace \"{}\" with empty providers will be ignored.";
    /// The Istio proxy image of the pods running in the namespace do not match the image defined in
    /// the injection configuration.
    PodsIstioProxyImageMismatchInNamespace: "IST0158" Warning
        "PodsIstioProxyImageMismatchInNamespace"
        "The Istio proxy images of the pods running in the namespace do not match the image \
         defined in the injection configuration (pod names: {}). This often happens after \
         upgrading the Istio control-plane and can be fixed by redeploying the pods.";
    /// A Telemetry resource selects the same workloads as another Telemetry resource.
    ConflictingTelemetryWorkloadSelectors: "IST0159" Error "ConflictingTelemetryWorkloadSelectors"
        "The Telemetries {} in namespace \"{}\" select the same workload pod \"{}\", which can \
         lead to undefined behavior.";
    /// More than one telemetry resource in a namespace has no workload selector.
    MultipleTelemetriesWithoutWorkloadSelectors: "IST0160" Error
        "MultipleTelemetriesWithoutWorkloadSelectors"
        "The Telemetries {} in namespace \"{}\" have no workload selector, which can lead to \
         undefined behavior.";
    /// The credential provided for the Gateway resource is invalid.
    InvalidGatewayCredential: "IST0161" Error "InvalidGatewayCredential"
        "The credential referenced by the Gateway {} in namespace {} is invalid, which can cause \
         the traffic not to work as expected.";
    /// Gateway port not exposed by service.
    GatewayPortNotDefinedOnService: "IST0162" Warning "GatewayPortNotDefinedOnService"
        "The gateway is listening on a target port (port {}) that is not defined in the Service \
         associated with its workload instances (Pod selector {}). If you need to access the \
         gateway port through the gateway Service, it will not be available.";
    /// Address for the ingress gateway on the external control plane is not valid.
    InvalidExternalControlPlaneConfig: "IST0163" Warning "InvalidExternalControlPlaneConfig"
        "The hostname ({}) that was provided for the webhook ({}) to reach the ingress gateway \
         on the external control plane cluster {}. Traffic may not flow properly.";
    /// Address for the ingress gateway on the external control plane is an IP address and not a
    /// hostname.
    ExternalControlPlaneAddressIsNotAHostname: "IST0164" Info
        "ExternalControlPlaneAddressIsNotAHostname"
        "The address ({}) that was provided for the webhook ({}) to reach the ingress gateway on \
         the external control plane cluster is an IP address. This is not recommended for a \
         production environment.";
    /// VirtualServices should not reference internal Gateways.
    ReferencedInternalGateway: "IST0165" Warning "ReferencedInternalGateway"
        "Gateway reference in VirtualService {} is to an implementation-generated internal \
         Gateway: {}.";
    /// Selector has no effect when applied to Kubernetes Gateways.
    IneffectiveSelector: "IST0166" Warning "IneffectiveSelector"
        "Ineffective selector on Kubernetes Gateway {}. Use the TargetRef field instead.";
    /// The policy applied has no impact.
    IneffectivePolicy: "IST0167" Warning "IneffectivePolicy"
        "The policy has no impact: {}.";
    /// The services live in different clusters under multi-cluster deployment model are
    /// inconsistent.
    MultiClusterInconsistentService: "IST0170" Warning "MultiClusterInconsistentService"
        "The service {} in namespace \"{}\" is inconsistent across clusters \"{}\", which can \
         lead to undefined behaviors. The inconsistent behaviors are: {}.";
    /// A condition with a negative status is present.
    NegativeConditionStatus: "IST0171" Warning "NegativeConditionStatus"
        "A condition with a negative status is present: type={}, reason={}, message={}.";
    /// Subsets defined in destination does not select any pods.
    DestinationRuleSubsetNotSelectPods: "IST0173" Error "DestinationRuleSubsetNotSelectPods"
        "The Subset {} defined in the DestinationRule does not select any pods. Which may lead \
         to 503 UH (NoHealthyUpstream).";
    /// Host defined in destination rule does not match any services in the mesh.
    UnknownDestinationRuleHost: "IST0174" Warning "UnknownDestinationRuleHost"
        "The host {} defined in the DestinationRule does not match any services in the mesh.";
    /// RequestAuthentication resources exist but BLOCKED_CIDRS_IN_JWKS_URIS is not configured on
    /// istiod.
    JwksUriFetchUnrestricted: "IST0175" Warning "JwksUriFetchUnrestricted"
        "BLOCKED_CIDRS_IN_JWKS_URIS is not configured but {} RequestAuthentication resource(s) \
         exist ({}). Consider configuring it to restrict JWKS URI fetches to trusted networks.";
    /// A Gateway API CRD is installed at a version below the minimum required by this Istio
    /// version. Resources of this kind will not be processed.
    GatewayApiCrdVersionBelowMinimum: "IST0176" Warning "GatewayAPICRDVersionBelowMinimum"
        "Gateway API CRD \"{}\" is at version \"{}\" but Istio requires at least \"{}\"; \
         resources of this kind will not be processed. Upgrade the Gateway API CRDs to satisfy \
         the minimum version.";
    /// Multiple ServiceEntries define the same host and port with conflicting protocols.
    ConflictingServiceEntryProtocol: "IST0177" Warning "ConflictingServiceEntryProtocol"
        "Multiple ServiceEntries ({}) define the same host \"{}\" and port {} with conflicting \
         protocols ({}).";
}

impl Code {
    /// The code itself, such as `IST0101`.
    pub const fn as_str(self) -> &'static str {
        self.definition().code
    }

    /// How much it matters.
    pub const fn level(self) -> Severity {
        self.definition().level
    }

    /// Istio's name of it, such as `ReferencedResourceNotFound`.
    pub const fn name(self) -> &'static str {
        self.definition().name
    }

    /// The code that is written `text`, such as `IST0101`.
    pub fn find(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }

    /// The text of a message, with `arguments` in their places.
    pub(super) fn text(self, arguments: &[&dyn Display]) -> String {
        let mut parts = self.definition().template.split("{}");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (part, argument) in parts.zip(arguments) {
            // Writing to a string does not fail.
            let _ = write!(text, "{argument}{part}");
        }
        text
    }
}

impl Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_found_by_their_text() {
        assert!(Code::ALL.is_sorted_by(|a, b| a.as_str() < b.as_str()));
        for code in Code::ALL {
            assert_eq!(Code::find(code.as_str()), Some(*code));
        }
        assert_eq!(Code::find("IST9999"), None);
    }

    #[test]
    fn a_text_has_its_arguments_in_their_places() {
        let text = Code::ReferencedResourceNotFound.text(&[&"host", &"cart"]);
        assert_eq!(text, "Referenced host not found: \"cart\"");
    }
}
