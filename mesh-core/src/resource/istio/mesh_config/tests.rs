use serde_json::json;

use super::*;
use crate::duration::Duration;
use crate::resource::Value;
use crate::resource::istio::round_trip;

#[test]
fn the_file_of_a_mesh_is_read_whole() {
    let mesh: MeshConfig = round_trip(&json!({
        "accessLogFile": "/dev/stdout",
        "accessLogEncoding": "JSON",
        "connectTimeout": "5s",
        "enableTracing": false,
        "trustDomain": "td1",
        "trustDomainAliases": ["td2"],
        "rootNamespace": "mesh-system",
        "outboundTrafficPolicy": {"mode": "ALLOW_ANY_DYNAMIC_DNS", "tls": {"mode": "SIMPLE"}},
        "inboundTrafficPolicy": {"mode": "LOCALHOST"},
        "pathNormalization": {"normalization": "DECODE_AND_MERGE_SLASHES"},
        "defaultHttpRetryPolicy": {"attempts": 1, "retryOn": "5xx"},
        "meshMTLS": {"minProtocolVersion": "TLSV1_3"},
        "discoverySelectors": [
            {"matchExpressions": [{"key": "env", "operator": "In", "values": ["prod", "test"]}]},
        ],
        "serviceSettings": [
            {"settings": {"clusterLocal": true}, "hosts": ["*.foo.svc.cluster.local"]},
        ],
        "serviceEntryVisibility": {
            "defaultVisibility": "NAMESPACE",
            "policies": [{
                "visibility": "PUBLIC",
                "matchingRules": [{"namespaceSelector": {"matchLabels": {"egress": "yes"}}}],
            }],
        },
        "caCertificates": [
            {"spiffeBundleUrl": "https://td2.example/bundle", "trustDomains": ["td2"]},
        ],
    }));

    assert_eq!(mesh.enable_tracing, Some(false));
    assert_eq!(mesh.connect_timeout, Some(Duration::from_secs(5)));
    let normalization = mesh.path_normalization.unwrap().normalization;
    assert_eq!(normalization, NormalizationType::DecodeAndMergeSlashes);
    let minimum = mesh.mesh_mtls.unwrap().min_protocol_version;
    assert_eq!(minimum, TlsConfigProtocol::Tlsv1_3);
    let visibility = mesh.service_entry_visibility.unwrap();
    assert_eq!(visibility.policies[0].visibility, Visibility::Public);
}

#[test]
fn a_scalar_that_is_zero_is_not_an_absent_one() {
    let mesh: MeshConfig = round_trip(&json!({"proxyListenPort": 0, "accessLogFile": ""}));
    assert_eq!(mesh.proxy_listen_port, Some(0));
    assert_eq!(mesh.access_log_file.as_deref(), Some(""));
    assert_eq!(mesh.trust_domain, None);
}

#[test]
fn authorizers_are_read() {
    let provider: ExtensionProvider = round_trip(&json!({
        "name": "opa",
        "envoyExtAuthzHttp": {
            "service": "opa.auth.svc.cluster.local",
            "port": 8181,
            "timeout": "1s",
            "failOpen": true,
            "statusOnError": "503",
            "includeRequestHeadersInCheck": ["x-user*"],
            "includeAdditionalHeadersInCheck": {"x-from": "mesh"},
            "includeRequestBodyInCheck": {"maxRequestBytes": 1024, "allowPartialMessage": true},
        },
    }));

    let authorizer = provider.envoy_ext_authz_http.unwrap();
    assert_eq!(authorizer.timeout, Some(Duration::from_secs(1)));
    assert!(
        authorizer
            .include_request_body_in_check
            .unwrap()
            .allow_partial_message
    );
}

#[test]
fn tracers_and_logs_are_read() {
    let mesh: MeshConfig = round_trip(&json!({
        "extensionProviders": [
            {"name": "zipkin", "zipkin": {
                "service": "zipkin",
                "port": 9411,
                "enable64bitTraceId": true,
                "traceContextOption": "USE_B3_WITH_W3C_PROPAGATION",
            }},
            {"name": "otel", "opentelemetry": {
                "service": "collector",
                "port": 443,
                "http": {"path": "/v1/traces", "headers": [{"name": "key", "envName": "API_KEY"}]},
                "resourceDetectors": {"environment": {}},
            }},
            {"name": "prometheus", "prometheus": {}},
            {"name": "log", "envoyFileAccessLog": {
                "path": "/dev/stdout",
                "logFormat": {"labels": {"status": "%RESPONSE_CODE%"}},
            }},
        ],
        "defaultProviders": {"tracing": ["otel"], "accessLogging": ["log"]},
    }));

    let [zipkin, otel, prometheus, log] = &mesh.extension_providers[..] else {
        panic!("four providers");
    };
    let zipkin = zipkin.zipkin.as_ref().unwrap();
    assert_eq!(
        zipkin.trace_context_option,
        ZipkinTraceContextOption::UseB3WithW3cPropagation
    );
    assert!(
        otel.opentelemetry
            .as_ref()
            .unwrap()
            .resource_detectors
            .is_some()
    );
    assert!(prometheus.prometheus.is_some());
    let format = log
        .envoy_file_access_log
        .as_ref()
        .unwrap()
        .log_format
        .as_ref()
        .unwrap();
    let status = Value::String("%RESPONSE_CODE%".to_owned());
    assert_eq!(format.labels.as_ref().unwrap()["status"], status);
}

#[test]
fn the_settings_of_a_proxy_are_read_whole() {
    let proxy: ProxyConfig = round_trip(&json!({
        "discoveryAddress": "istiod:15012",
        "drainDuration": "30s",
        "concurrency": 0,
        "tracingServiceName": "CANONICAL_NAME_ONLY",
        "interceptionMode": "TPROXY",
        "tracing": {
            "zipkin": {"address": "zipkin:9411"},
            "sampling": 10.0,
            "customTags": {"user": {"header": {"name": "end-user"}}},
        },
        "gatewayTopology": {
            "numTrustedProxies": 2,
            "forwardClientCertDetails": "APPEND_FORWARD",
            "proxyProtocol": {},
        },
        "proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true"},
        "readinessProbe": {"httpGet": {"path": "/", "port": 80}},
        "proxyHeaders": {
            "server": {"value": "mine"},
            "requestId": {"disabled": true},
            "xForwardedHost": {"enabled": true},
            "preserveHttp1HeaderCase": false,
        },
        "connectionSettings": {
            "profile": "EDGE",
            "httpIdleTimeout": "10s",
            "httpHeadersWithUnderscoresAction": "HEADERS_WITH_UNDERSCORES_DROP_HEADER",
            "httpPathWithEscapedSlashesAction": "REJECT_REQUEST",
        },
    }));

    assert_eq!(proxy.concurrency, Some(0));
    assert_eq!(
        proxy.interception_mode,
        Some(InboundInterceptionMode::Tproxy)
    );
    let topology = proxy.gateway_topology.unwrap();
    assert_eq!(topology.num_trusted_proxies, 2);
    assert!(topology.proxy_protocol.is_some());
    let headers = proxy.proxy_headers.unwrap();
    assert_eq!(headers.preserve_http1_header_case, Some(false));
    assert_eq!(headers.request_id.unwrap().disabled, Some(true));
    let settings = proxy.connection_settings.unwrap();
    assert_eq!(settings.profile, ConnectionSettingsProfile::Edge);
}
