//! Settings of each proxy.

use super::tracing::validate_tracing;
use super::{Completeness, validate_connection_settings};
use crate::duration::Duration;
use crate::resource::istio::mesh_config::{
    AuthenticationPolicy, PrivateKeyProvider, ProxyConfig, RemoteService,
};
use crate::validate::{At, address, duration, port};

/// Variable by which addresses were allocated before Istio 1.25.
const AUTO_ALLOCATE: &str = "ISTIO_META_DNS_AUTO_ALLOCATE";

/// Checks the settings of each proxy of a mesh (`ValidateMeshConfigProxyConfig`).
pub fn validate_proxy_config(config: &ProxyConfig, completeness: Completeness, at: At<'_>) {
    for (field, path) in [
        ("configPath", &config.config_path),
        ("binaryPath", &config.binary_path),
    ] {
        completeness.check(path.as_deref(), at.field(field), |path, at| {
            at.require(!path.is_empty(), "a path cannot be empty");
        });
    }
    validate_service_name(config, completeness, at);
    let drain = at.field("drainDuration");
    completeness.check(config.drain_duration, drain, duration::validate_drain);
    let discovery = at.field("discoveryAddress");
    completeness.check(
        config.discovery_address.as_deref(),
        discovery,
        address::validate_host_port,
    );
    for (field, number) in [
        ("proxyAdminPort", config.proxy_admin_port),
        ("statusPort", config.status_port),
    ] {
        completeness.check(number, at.field(field), port::validate_signed_number);
    }
    validate_services(config, at);
    if let Some(tracing) = &config.tracing {
        validate_tracing(tracing, at.field("tracing"));
    }
    if config.control_plane_auth_policy == Some(AuthenticationPolicy::Inherit) {
        at.field("controlPlaneAuthPolicy")
            .error("there is nothing to inherit from");
    }
    if config.proxy_metadata.contains_key(AUTO_ALLOCATE) {
        at.field("proxyMetadata")
            .key(AUTO_ALLOCATE)
            .warning(format_args!("`{AUTO_ALLOCATE}` is deprecated"))
            .help("addresses are allocated without it");
    }
    if let Some(provider) = &config.private_key_provider {
        validate_private_key_provider(provider, at.field("privateKeyProvider"));
    }
    if let Some(settings) = &config.connection_settings {
        validate_connection_settings(settings, at.field("connectionSettings"));
    }
}

/// Checks that the service of a proxy has a name in traces.
fn validate_service_name(config: &ProxyConfig, completeness: Completeness, at: At<'_>) {
    let has_rule = config.tracing_service_name.is_some();
    let at = at.field("serviceCluster");
    match &config.service_cluster {
        Some(_) if has_rule => {
            at.error("only one of `serviceCluster` and `tracingServiceName` can be set");
        }
        Some(name) => at.require(!name.is_empty(), "the service has a name"),
        None => {
            let is_absent = !has_rule && completeness == Completeness::Complete;
            at.require(
                !is_absent,
                "`serviceCluster` or `tracingServiceName` is required",
            );
        }
    }
}

/// Checks the addresses of services that a proxy reports to.
fn validate_services(config: &ProxyConfig, at: At<'_>) {
    for (field, address) in [
        ("statsdUdpAddress", &config.statsd_udp_address),
        (
            "envoyMetricsServiceAddress",
            &config.envoy_metrics_service_address,
        ),
    ] {
        if let Some(address) = address.as_deref().filter(|address| !address.is_empty()) {
            address::validate_host_port(address, at.field(field));
        }
    }
    for (field, service) in [
        ("envoyMetricsService", &config.envoy_metrics_service),
        ("envoyAccessLogService", &config.envoy_access_log_service),
    ] {
        if let Some(RemoteService { address, .. }) =
            service.as_ref().filter(|s| !s.address.is_empty())
        {
            address::validate_host_port(address, at.field(field).field("address"));
        }
    }
}

fn validate_private_key_provider(provider: &PrivateKeyProvider, at: At<'_>) {
    let PrivateKeyProvider { cryptomb, qat } = provider;
    at.exactly_one(&[("cryptomb", cryptomb.is_some()), ("qat", qat.is_some())]);
    if let Some(cryptomb) = cryptomb {
        validate_poll_delay(cryptomb.poll_delay, at.field("cryptomb"));
    }
    if let Some(qat) = qat {
        validate_poll_delay(qat.poll_delay, at.field("qat"));
    }
}

fn validate_poll_delay(delay: Option<Duration>, at: At<'_>) {
    let is_set = delay.is_some_and(|delay| !delay.is_zero());
    at.field("pollDelay")
        .require(is_set, "a delay other than zero is required");
}
