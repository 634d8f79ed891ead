//! The analyzers of `istioctl analyze`, each a pure function of all objects.

mod annotations;
mod authentication;
mod authorization;
mod conditions;
mod deployment;
mod deprecation;
mod destination_rule;
mod envoy_filter;
mod external_control_plane;
mod gateway;
mod gateway_api;
mod injection;
mod multicluster;
mod networks;
mod schema;
mod service_entry;
mod service_port;
mod sidecar;
mod telemetry;
mod virtual_service;
mod webhook;

use super::context::{Context, Report};
use crate::resource::Object;

/// Looks at one aspect of all objects.
#[derive(Clone, Copy, Debug)]
pub struct Analyzer {
    name: &'static str,
    run: fn(&Context<'_>, &mut Report),
    runs_by_default: bool,
}

impl Analyzer {
    const fn new(name: &'static str, run: fn(&Context<'_>, &mut Report)) -> Self {
        Self {
            name,
            run,
            runs_by_default: true,
        }
    }

    /// One that runs where it is asked for by name.
    const fn on_demand(self) -> Self {
        Self {
            runs_by_default: false,
            ..self
        }
    }

    /// Istio's name of it, such as `gateway.SecretAnalyzer`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it runs where no analyzers are named. As in Istio, that of annotations in alpha does
    /// not: it reports what nobody can avoid.
    pub const fn runs_by_default(&self) -> bool {
        self.runs_by_default
    }

    pub(super) fn run(&self, context: &Context<'_>, report: &mut Report) {
        (self.run)(context, report);
    }
}

/// All analyzers, by the part of the mesh that they look at.
pub const ANALYZERS: &[Analyzer] = &[
    Analyzer::new("annotations.AlphaAnalyzer", annotations::alpha).on_demand(),
    Analyzer::new("annotations.K8sAnalyzer", annotations::placement),
    Analyzer::new("applicationUID.Analyzer", deployment::user),
    Analyzer::new(
        "auth.AuthorizationPoliciesAnalyzer",
        authorization::policies,
    ),
    Analyzer::new(
        "authn.BlockedCIDRsAnalyzer",
        authentication::blocked_networks,
    ),
    Analyzer::new("conditions.ConditionAnalyzer", conditions::negative),
    Analyzer::new("deployment.MultiServiceAnalyzer", deployment::services),
    Analyzer::new("deprecation.DeprecationAnalyzer", deprecation::deprecated),
    Analyzer::new(
        "destinationrule.CaCertificateAnalyzer",
        destination_rule::ca_certificates,
    ),
    Analyzer::new(
        "destinationrule.SubsetSelectPodAnalyzer",
        destination_rule::subsets,
    ),
    Analyzer::new("envoyfilter.EnvoyPatchAnalyzer", envoy_filter::patches),
    Analyzer::new(
        "externalcontrolplane.ExternalControlPlaneAnalyzer",
        external_control_plane::webhooks,
    ),
    Analyzer::new("gateway.CertificateAnalyzer", gateway::duplicates),
    Analyzer::new("gateway.ConflictingGatewayAnalyzer", gateway::conflicts),
    Analyzer::new("gateway.IngressGatewayPortAnalyzer", gateway::ports),
    Analyzer::new("gateway.SecretAnalyzer", gateway::credentials),
    Analyzer::new("injection.Analyzer", injection::namespaces),
    Analyzer::new("injection.ImageAnalyzer", injection::images),
    Analyzer::new("injection.ImageAutoAnalyzer", injection::automatic_images),
    Analyzer::new("k8sgateway.CRDVersionAnalyzer", gateway_api::versions),
    Analyzer::new("k8sgateway.SelectorAnalyzer", gateway_api::selectors),
    Analyzer::new("meshnetworks.MeshNetworksAnalyzer", networks::registries),
    Analyzer::new(
        "schema.ValidationAnalyzer.AuthorizationPolicy",
        |context, report| {
            let list = &context.resources.authorization_policies;
            schema::validation(list, Object::AuthorizationPolicy, report);
        },
    ),
    Analyzer::new(
        "schema.ValidationAnalyzer.DestinationRule",
        |context, report| {
            let list = &context.resources.destination_rules;
            schema::validation(list, Object::DestinationRule, report);
        },
    ),
    Analyzer::new(
        "schema.ValidationAnalyzer.EnvoyFilter",
        |context, report| {
            schema::validation(
                &context.resources.envoy_filters,
                Object::EnvoyFilter,
                report,
            );
        },
    ),
    Analyzer::new("schema.ValidationAnalyzer.Gateway", |context, report| {
        schema::validation(&context.resources.gateways, Object::Gateway, report);
    }),
    Analyzer::new(
        "schema.ValidationAnalyzer.PeerAuthentication",
        |context, report| {
            let list = &context.resources.peer_authentications;
            schema::validation(list, Object::PeerAuthentication, report);
        },
    ),
    Analyzer::new(
        "schema.ValidationAnalyzer.ProxyConfig",
        |context, report| {
            schema::validation(
                &context.resources.proxy_configs,
                Object::ProxyConfig,
                report,
            );
        },
    ),
    Analyzer::new(
        "schema.ValidationAnalyzer.RequestAuthentication",
        |context, report| {
            let list = &context.resources.request_authentications;
            schema::validation(list, Object::RequestAuthentication, report);
        },
    ),
    Analyzer::new(
        "schema.ValidationAnalyzer.ServiceEntry",
        |context, report| {
            schema::validation(
                &context.resources.service_entries,
                Object::ServiceEntry,
                report,
            );
        },
    ),
    Analyzer::new("schema.ValidationAnalyzer.Sidecar", |context, report| {
        schema::validation(&context.resources.sidecars, Object::Sidecar, report);
    }),
    Analyzer::new("schema.ValidationAnalyzer.Telemetry", |context, report| {
        schema::validation(&context.resources.telemetries, Object::Telemetry, report);
    }),
    Analyzer::new(
        "schema.ValidationAnalyzer.TrafficExtension",
        |context, report| {
            let list = &context.resources.traffic_extensions;
            schema::validation(list, Object::TrafficExtension, report);
        },
    ),
    Analyzer::new(
        "schema.ValidationAnalyzer.VirtualService",
        |context, report| {
            schema::validation(
                &context.resources.virtual_services,
                Object::VirtualService,
                report,
            );
        },
    ),
    Analyzer::new("schema.ValidationAnalyzer.WasmPlugin", |context, report| {
        schema::validation(&context.resources.wasm_plugins, Object::WasmPlugin, report);
    }),
    Analyzer::new(
        "schema.ValidationAnalyzer.WorkloadEntry",
        |context, report| {
            schema::validation(
                &context.resources.workload_entries,
                Object::WorkloadEntry,
                report,
            );
        },
    ),
    Analyzer::new(
        "schema.ValidationAnalyzer.WorkloadGroup",
        |context, report| {
            schema::validation(
                &context.resources.workload_groups,
                Object::WorkloadGroup,
                report,
            );
        },
    ),
    Analyzer::new("service.PortNameAnalyzer", service_port::names),
    Analyzer::new("serviceentry.Analyzer", service_entry::addresses),
    Analyzer::new(
        "serviceentry.ConflictingServiceEntryProtocolAnalyzer",
        service_entry::protocols,
    ),
    Analyzer::new(
        "services.MultiClusterServiceAnalyzer",
        multicluster::services,
    ),
    Analyzer::new("sidecar.SelectorAnalyzer", sidecar::selectors),
    Analyzer::new(
        "telemetry.DefaultSelectorAnalyzer",
        telemetry::without_selector,
    ),
    Analyzer::new("telemetry.LightstepAnalyzer", telemetry::lightstep),
    Analyzer::new("telemetry.ProviderAnalyzer", telemetry::providers),
    Analyzer::new("telemetry.SelectorAnalyzer", telemetry::selectors),
    Analyzer::new(
        "virtualservice.ConflictingMeshGatewayHostsAnalyzer",
        virtual_service::conflicts,
    ),
    Analyzer::new(
        "virtualservice.DestinationHostAnalyzer",
        virtual_service::destinations,
    ),
    Analyzer::new(
        "virtualservice.DestinationRuleAnalyzer",
        virtual_service::subsets,
    ),
    Analyzer::new("virtualservice.GatewayAnalyzer", virtual_service::gateways),
    Analyzer::new(
        "virtualservice.JWTClaimRouteAnalyzer",
        virtual_service::claims,
    ),
    Analyzer::new("webhook.Analyzer", webhook::injectors),
];
