//! Rules of MeshConfig (`ValidateMeshConfig`).
//!
//! What a user writes is merged over Istio's defaults, so that fields may be absent from it
//! ([`Completeness::Overlay`]); from the result they may not ([`Completeness::Complete`]).
//!
//! ```
//! use mesh_core::resource::istio::MeshConfig;
//! use mesh_core::validate::Report;
//! use mesh_core::validate::mesh_config::{self, Completeness};
//!
//! let mesh = MeshConfig { trust_domain: Some("example_com".into()), ..MeshConfig::default() };
//! let report = Report::default();
//! mesh_config::validate(&mesh, Completeness::Overlay, report.root());
//! assert_eq!(report.into_violations()[0].origin.path(), "trustDomain");
//! ```

use std::collections::BTreeSet;

mod connection_settings;
mod extension_provider;
mod proxy_config;
mod tracing;

pub use connection_settings::validate_connection_settings;
pub use extension_provider::{
    validate_datadog_provider, validate_envoy_http_als_provider, validate_envoy_otel_als_provider,
    validate_envoy_tcp_als_provider, validate_ext_authz_grpc_provider,
    validate_ext_authz_http_provider, validate_extension_providers, validate_lightstep_provider,
    validate_opencensus_provider, validate_opentelemetry_provider, validate_provider_service,
    validate_skywalking_provider, validate_zipkin_provider,
};
pub use proxy_config::validate_proxy_config;

use super::destination_rule::{
    validate_ejection, validate_limits, validate_locality_lb_setting,
    validate_zone_aware_lb_setting,
};
use super::{At, duration, port, retry};
use crate::dns;
use crate::identity::validate_mesh_trust_domain;
use crate::resource::istio::destination_rule::OutlierDetection;
use crate::resource::istio::mesh_config::{DefaultTrafficPolicy, MeshConfig, ServiceSettings};
use crate::resource::istio::virtual_service::HttpRetry;

/// Curves that Envoy can be given.
const ECDH_CURVES: [&str; 7] = [
    "P-224",
    "P-256",
    "P-384",
    "P-521",
    "X25519",
    "X25519Kyber768Draft00",
    "X25519MLKEM768",
];

/// Whether fields that have no default may be absent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Completeness {
    /// Defaults were filled in: what is required has to be there.
    Complete,
    /// What a user wrote, which is merged over the defaults: any field may be absent.
    Overlay,
}

impl Completeness {
    /// Checks the value of a field; reports one that is absent if it may not be.
    fn check<T>(self, value: Option<T>, at: At<'_>, check: impl FnOnce(T, At<'_>)) {
        match value {
            Some(value) => check(value, at),
            None => at.require(self == Self::Overlay, "a value is required"),
        }
    }
}

/// Checks a MeshConfig. An invalid extension provider is a warning, as long as nothing uses it.
pub fn validate(mesh: &MeshConfig, completeness: Completeness, at: At<'_>) {
    let listen_port = at.field("proxyListenPort");
    completeness.check(
        mesh.proxy_listen_port,
        listen_port,
        port::validate_signed_number,
    );
    let timeout = at.field("connectTimeout");
    completeness.check(
        mesh.connect_timeout,
        timeout,
        duration::validate_connect_timeout,
    );
    if let Some(timeout) = mesh.protocol_detection_timeout {
        duration::validate_detection_timeout(timeout, at.field("protocolDetectionTimeout"));
    }
    let default_config = at.field("defaultConfig");
    completeness.check(
        mesh.default_config.as_ref(),
        default_config,
        |config, at| {
            validate_proxy_config(config, completeness, at);
        },
    );
    // Whether endpoints are ejected is said by each destination rule.
    let detection = OutlierDetection::default();
    if let Some(setting) = &mesh.locality_lb_setting {
        let at = at.field("localityLbSetting");
        validate_locality_lb_setting(setting, Some(&detection), at);
    }
    if let Some(setting) = &mesh.zone_aware_lb_setting {
        let at = at.field("zoneAwareLbSetting");
        validate_zone_aware_lb_setting(setting, Some(&detection), at);
    }
    validate_service_settings(&mesh.service_settings, at.field("serviceSettings"));
    validate_trust(mesh, completeness, at);
    validate_extension_providers(&mesh.extension_providers, at.field("extensionProviders"));
    validate_tls(mesh, at);
    if let Some(policy) = &mesh.default_traffic_policy {
        validate_default_traffic_policy(policy, at.field("defaultTrafficPolicy"));
    }
    if let Some(retries) = &mesh.default_inbound_http_retry_policy {
        validate_inbound_retry_policy(retries, at.field("defaultInboundHttpRetryPolicy"));
    }
}

/// Checks settings of services by their hosts (`validateServiceSettings`).
pub fn validate_service_settings(settings: &[ServiceSettings], at: At<'_>) {
    at.each(settings, |settings, at| {
        at.field("hosts").each(&settings.hosts, |host, at| {
            at.check(dns::validate_wildcard_domain(host));
        });
    });
}

fn validate_trust(mesh: &MeshConfig, completeness: Completeness, at: At<'_>) {
    let domain = mesh.trust_domain.as_deref();
    completeness.check(domain, at.field("trustDomain"), |domain, at| {
        at.check(validate_mesh_trust_domain(domain));
    });
    at.field("trustDomainAliases")
        .each(&mesh.trust_domain_aliases, |alias, at| {
            at.check(validate_mesh_trust_domain(alias));
        });
}

/// Checks TLS in general (`ValidateMeshTLSConfig`, `ValidateMeshTLSDefaults`).
fn validate_tls(mesh: &MeshConfig, at: At<'_>) {
    if mesh
        .mesh_mtls
        .as_ref()
        .is_some_and(|tls| !tls.ecdh_curves.is_empty())
    {
        at.field("meshMTLS")
            .field("ecdhCurves")
            .error("the curves of TLS between workloads cannot be chosen");
    }
    let Some(defaults) = &mesh.tls_defaults else {
        return;
    };
    let mut seen = BTreeSet::new();
    at.field("tlsDefaults")
        .field("ecdhCurves")
        .each(&defaults.ecdh_curves, |curve, at| {
            if !curve.is_empty() && !ECDH_CURVES.contains(&curve.as_str()) {
                at.warning(format_args!("curve `{curve}` is unknown"));
            } else if !seen.insert(curve.as_str()) {
                at.warning(format_args!("curve `{curve}` is there twice"));
            }
        });
}

/// Checks the policy of services without one of their own
/// (`validateMeshConfigDefaultTrafficPolicy`).
pub fn validate_default_traffic_policy(policy: &DefaultTrafficPolicy, at: At<'_>) {
    let DefaultTrafficPolicy {
        connection_pool,
        outlier_detection,
    } = policy;
    if let Some(pool) = connection_pool {
        validate_limits(pool, at.field("connectionPool"));
    }
    if let Some(detection) = outlier_detection {
        validate_ejection(detection, at.field("outlierDetection"));
    }
}

/// Checks retries of requests to workloads, of which there is one each
/// (`validateMeshConfigDefaultInboundHTTPRetryPolicy`).
pub fn validate_inbound_retry_policy(retries: &HttpRetry, at: At<'_>) {
    retry::validate(retries, at);
    if retries.attempts == 0 && retries.backoff.is_some() {
        at.field("backoff").error("0 attempts disable retries");
    }
    for (field, is_set) in [
        ("perTryTimeout", retries.per_try_timeout.is_some()),
        (
            "retryRemoteLocalities",
            retries.retry_remote_localities.is_some(),
        ),
        (
            "retryIgnorePreviousHosts",
            retries.retry_ignore_previous_hosts.is_some(),
        ),
    ] {
        if is_set {
            at.field(field).warning(format_args!(
                "`{field}` has no effect on requests to workloads"
            ));
        }
    }
}

#[cfg(test)]
mod tests;
