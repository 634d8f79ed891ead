use serde_json::json;

use super::*;
use crate::validate::testing::{assert_errors, assert_warnings, read, run};

#[track_caller]
fn assert_overlay(mesh: &serde_json::Value, errors: usize) {
    assert_errors(&mesh.to_string(), errors, |at| {
        validate(&read(mesh.clone()), Completeness::Overlay, at);
    });
}

#[test]
fn an_overlay_may_be_empty_and_a_complete_configuration_may_not() {
    assert_overlay(&json!({}), 0);
    assert_overlay(&json!({"defaultConfig": {}}), 0);
    let missing = run(|at| validate(&MeshConfig::default(), Completeness::Complete, at));
    let paths: Vec<_> = missing
        .iter()
        .map(|violation| violation.origin.path())
        .collect();
    assert_eq!(
        paths,
        [
            "proxyListenPort",
            "connectTimeout",
            "defaultConfig",
            "trustDomain"
        ]
    );
    let missing = run(|at| {
        validate_proxy_config(&read(json!({})), Completeness::Complete, at);
    });
    assert_eq!(missing.len(), 7);
}

#[test]
fn values_that_are_written_are_valid() {
    for (mesh, errors) in [
        (json!({"proxyListenPort": -1}), 1),
        (json!({"proxyListenPort": 65536}), 1),
        (json!({"connectTimeout": "2h"}), 1),
        (json!({"protocolDetectionTimeout": "1us"}), 1),
        (
            json!({"localityLbSetting": {"distribute": [{"from": "a", "to": {"b": 1}}]}}),
            1,
        ),
        (json!({"serviceSettings": [{"hosts": ["*.a", "a.*"]}]}), 1),
        (json!({"trustDomain": "", "trustDomainAliases": ["a_b"]}), 2),
        (json!({"meshMTLS": {"ecdhCurves": ["P-256"]}}), 1),
        (json!({"defaultTrafficPolicy": {"connectionPool": {}}}), 1),
        (
            json!({"defaultTrafficPolicy": {"connectionPool": {"http": {"http2KeepAlive": {}}}}}),
            0,
        ),
        (
            json!({"defaultTrafficPolicy": {"outlierDetection": {
                "outlierDetectionHttpErrorCodes": [99], "consecutiveErrors": 5,
            }}}),
            0,
        ),
        (
            json!({"defaultTrafficPolicy": {"outlierDetection": {"interval": "0s"}}}),
            1,
        ),
        (
            json!({"defaultInboundHttpRetryPolicy": {"backoff": "1s"}}),
            1,
        ),
    ] {
        assert_overlay(&mesh, errors);
    }
}

#[test]
fn proxies_have_valid_addresses_and_ports() {
    let config = |field: &str, value: serde_json::Value| json!({"defaultConfig": {field: value}});
    let tracing = |tracing: serde_json::Value| config("tracing", tracing);
    for (mesh, errors) in [
        (config("configPath", json!("")), 1),
        (config("serviceCluster", json!("")), 1),
        (config("drainDuration", json!("1500ms")), 1),
        (config("discoveryAddress", json!("istiod")), 1),
        (config("statusPort", json!(0)), 1),
        (config("statsdUdpAddress", json!("10.0.0.1")), 1),
        (config("envoyMetricsService", json!({"address": "a:0"})), 1),
        (config("controlPlaneAuthPolicy", json!("INHERIT")), 1),
        (config("privateKeyProvider", json!({})), 1),
        (
            config("privateKeyProvider", json!({"qat": {"pollDelay": "0s"}})),
            1,
        ),
        (
            config(
                "privateKeyProvider",
                json!({"cryptomb": {"pollDelay": "1ms"}}),
            ),
            0,
        ),
        (
            config("connectionSettings", json!({"httpIdleTimeout": "-1s"})),
            1,
        ),
        (
            config(
                "connectionSettings",
                json!({"http2InitialStreamWindowSize": 1}),
            ),
            1,
        ),
        (
            tracing(json!({"zipkin": {"address": "$(HOST_IP):9411"}})),
            0,
        ),
        (tracing(json!({"datadog": {}})), 1),
        (tracing(json!({"lightstep": {"address": "a:1"}})), 1),
        (tracing(json!({"tlsSettings": {"mode": "MUTUAL"}})), 2),
    ] {
        assert_overlay(&mesh, errors);
    }
}

#[test]
fn invalid_extension_providers_are_warnings() {
    let zipkin = json!({"service": "zipkin.a.svc", "port": 9411});
    for (provider, warnings) in [
        (json!({"name": "a", "zipkin": zipkin}), 0),
        (json!({"name": "a", "prometheus": {}}), 0),
        (json!({"zipkin": zipkin}), 1),
        (json!({"name": "a"}), 1),
        (json!({"name": "a", "zipkin": zipkin, "prometheus": {}}), 1),
        (
            json!({"name": "a", "zipkin": {"service": "a:1", "port": 0}}),
            2,
        ),
    ] {
        let mesh = read(json!({"extensionProviders": [provider]}));
        assert_warnings(&provider.to_string(), warnings, |at| {
            validate(&mesh, Completeness::Overlay, at);
        });
    }
    let twice = json!([{"name": "a", "prometheus": {}}, {"name": "a", "prometheus": {}}]);
    assert_warnings("twice", 1, |at| {
        validate_extension_providers(&read::<Vec<_>>(twice), at)
    });
}

#[test]
fn an_authorizer_has_a_service_a_status_and_a_path() {
    let provider = |field: &str, value: &str| {
        let mut provider = json!({"service": "ns/a.b", "port": 80});
        provider[field] = json!(value);
        provider
    };
    for (provider, errors) in [
        (provider("statusOnError", "503"), 0),
        (provider("statusOnError", "999"), 1),
        (provider("statusOnError", "x"), 1),
        (provider("pathPrefix", "/check"), 0),
        (provider("pathPrefix", "check"), 1),
        (provider("service", "127.0.0.1"), 0),
        (provider("service", "a/b/c.d"), 1),
        (provider("service", ""), 1),
    ] {
        assert_errors(&provider.to_string(), errors, |at| {
            validate_ext_authz_http_provider(&read(provider.clone()), at);
        });
    }
}

#[test]
fn what_has_no_effect_is_a_warning() {
    for (mesh, warnings) in [
        (
            json!({"tlsDefaults": {"ecdhCurves": ["P-256", "P-256", "P-1"]}}),
            2,
        ),
        (
            json!({"defaultConfig": {"proxyMetadata": {"ISTIO_META_DNS_AUTO_ALLOCATE": "1"}}}),
            1,
        ),
        (
            json!({"defaultInboundHttpRetryPolicy": {"attempts": 1, "perTryTimeout": "1s"}}),
            1,
        ),
    ] {
        assert_warnings(&mesh.to_string(), warnings, |at| {
            validate(&read(mesh.clone()), Completeness::Overlay, at);
        });
    }
}
