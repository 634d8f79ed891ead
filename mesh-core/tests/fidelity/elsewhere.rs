//! Fields that take effect beside the model of routing, and the tests that are about them.

use mesh_core::analyze::fidelity::CatalogueField;

/// A field that something else than `resolve` reads, and all below it.
pub(crate) struct Elsewhere {
    pub(crate) group: &'static str,
    /// The kind; empty for all of the group.
    pub(crate) kind: &'static str,
    /// The path of the field, or its beginning; empty for all of the kind.
    pub(crate) path: &'static str,
    /// Where it is shown to take effect.
    pub(crate) tests: &'static [&'static str],
}

const fn kind(
    group: &'static str,
    kind: &'static str,
    tests: &'static [&'static str],
) -> Elsewhere {
    let path = "";
    Elsewhere {
        group,
        kind,
        path,
        tests,
    }
}

const fn mesh(path: &'static str, tests: &'static [&'static str]) -> Elsewhere {
    let (group, kind) = ("", "MeshConfig");
    Elsewhere {
        group,
        kind,
        path,
        tests,
    }
}

const INJECTION: &[&str] = &["mesh-policy/src/admission/template/mesh_sidecar/tests.rs"];
const LOCALITIES: &[&str] = &["mesh-core/tests/clusters.rs"];
const PROVIDERS: &[&str] = &[
    "examples/tests/gateway/policies_asked.rs",
    "examples/tests/gateway/policies_traced.rs",
    "examples/tests/gateway/policies.rs",
];
const TLS: &[&str] = &[
    "mesh-tls/src/config/protocol.rs",
    "mesh-tls/src/accept/tests/inbound.rs",
];
const TRACING: &[&str] = &["mesh-policy/src/telemetry/trace/plan.rs"];
const XFCC: &[&str] = &[
    "mesh-tls/src/xfcc/forward.rs",
    "mesh-tls/src/xfcc/details.rs",
];
const ACCESS_LOGS: &[&str] = &["examples/src/gateway/access_logs.rs"];

pub(crate) const ALL: &[Elsewhere] = &[
    kind(
        "gateway.networking.k8s.io",
        "",
        &["mesh-core/src/resolve/gateway_api/tests.rs"],
    ),
    kind(
        "security.istio.io",
        "AuthorizationPolicy",
        &["mesh-policy/src/authz/tests.rs"],
    ),
    kind(
        "security.istio.io",
        "RequestAuthentication",
        &["mesh-policy/src/authn/tests.rs"],
    ),
    kind(
        "telemetry.istio.io",
        "Telemetry",
        &[
            "mesh-policy/src/telemetry/access_log/tests.rs",
            "mesh-policy/src/telemetry/metrics/tests.rs",
            "mesh-policy/src/telemetry/trace/plan.rs",
        ],
    ),
    kind(
        "networking.istio.io",
        "EnvoyFilter",
        &["mesh-policy/src/rate_limit/envoy_filter/tests.rs"],
    ),
    kind("", "MeshNetworks", &["mesh-core/tests/services.rs"]),
    mesh("accessLogFile", ACCESS_LOGS),
    mesh("accessLogFormat", ACCESS_LOGS),
    mesh("accessLogEncoding", ACCESS_LOGS),
    mesh(
        "disableEnvoyListenerLog",
        &["examples/tests/gateway/tcp.rs"],
    ),
    mesh("caCertificates", &["mesh-tls/src/trust_bundle/mod.rs"]),
    mesh(
        "defaultConfig.caCertificatesPem",
        &["examples/tests/gateway/mutual.rs"],
    ),
    mesh(
        "defaultConfig.gatewayTopology.forwardClientCertDetails",
        XFCC,
    ),
    mesh("defaultConfig.holdApplicationUntilProxyStarts", INJECTION),
    mesh("defaultConfig.image", INJECTION),
    mesh("defaultConfig.interceptionMode", INJECTION),
    mesh("defaultConfig.meshId", TRACING),
    mesh("defaultConfig.proxyHeaders.forwardedClientCert", XFCC),
    mesh(
        "defaultConfig.proxyHeaders.setCurrentClientCertDetails",
        XFCC,
    ),
    mesh("defaultConfig.tracing", TRACING),
    mesh(
        "defaultConfig.tracingServiceName",
        &["examples/src/gateway/tracing.rs"],
    ),
    mesh("defaultProviders", PROVIDERS),
    mesh("discoverySelectors", &["mesh-discovery/tests/registry.rs"]),
    mesh("dnsRefreshRate", &["examples/src/gateway/balancing.rs"]),
    mesh(
        "enablePrometheusMerge",
        &["mesh-policy/src/admission/prometheus.rs"],
    ),
    mesh("extensionProviders", PROVIDERS),
    mesh(
        "ingressClass",
        &["mesh-core/src/resolve/gateway/ingress/tests.rs"],
    ),
    mesh(
        "ingressControllerMode",
        &["mesh-core/src/resolve/gateway/ingress/tests.rs"],
    ),
    mesh(
        "ingressSelector",
        &["mesh-core/src/resolve/gateway/ingress/tests.rs"],
    ),
    mesh("meshMTLS", TLS),
    mesh("outboundTrafficPolicy.tls", LOCALITIES),
    mesh("pathNormalization", &["mesh-core/src/path.rs"]),
    mesh("tlsDefaults", TLS),
    mesh("trustDomain", LOCALITIES),
    mesh("trustDomainAliases", LOCALITIES),
    mesh("zoneAwareLbSetting", LOCALITIES),
];

/// Where it is shown that `field` takes effect, if that is not here.
pub(crate) fn of(field: &CatalogueField) -> Option<&'static Elsewhere> {
    ALL.iter().find(|one| one.is_about(field))
}

impl Elsewhere {
    pub(crate) fn is_about(&self, field: &CatalogueField) -> bool {
        let rest = field.path.strip_prefix(self.path);
        let is_at = rest.is_some_and(|rest| {
            self.path.is_empty() || rest.is_empty() || rest.starts_with(['.', '['])
        });
        let is_of_kind = self.kind.is_empty() || self.kind == field.kind;
        self.group == field.group && is_of_kind && is_at
    }
}
