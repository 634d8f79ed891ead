//! Parts of resources that the corpus does not wrap into whole ones.

use mesh_core::parse::{self, Limits};
use mesh_core::resource::istio::MeshConfig;
use mesh_core::validate::mesh_config::{self, Completeness};
use mesh_core::validate::{At, Report, gateway_api, mesh_networks};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::case::{list, text};
use crate::configuration::joined;

/// A resource that has the case's fragment.
pub(super) fn wrap(case: &Value) -> Option<Value> {
    let value = case.get("value")?;
    let other = list(case, "other_args")
        .first()
        .filter(|value| !value.is_null());
    match text(case, "validator") {
        "ValidateLocalityLbSetting" => Some(destination_rule(
            &json!({"localityLbSetting": value}),
            other,
        )),
        "ValidateZoneAwareLbSetting" => Some(destination_rule(
            &json!({"zoneAwareLbSetting": value}),
            other,
        )),
        "validateServerPort" => Some(gateway(value)),
        _ => None,
    }
}

fn destination_rule(balancer: &Value, outlier_detection: Option<&Value>) -> Value {
    let mut policy = json!({"loadBalancer": balancer});
    if let Some(detection) = outlier_detection {
        // The test's detection has no fields, which a whole resource may not have.
        let is_empty = detection.as_object().is_none_or(serde_json::Map::is_empty);
        let some = json!({"consecutive5xxErrors": 5});
        policy["outlierDetection"] = if is_empty { some } else { detection.clone() };
    }
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "wrapped", "namespace": "bar"},
        "spec": {"host": "reviews", "trafficPolicy": policy},
    })
}

fn gateway(port: &Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "wrapped", "namespace": "bar"},
        "spec": {"servers": [{"port": port, "hosts": ["foo.bar.com"]}]},
    })
}

/// Whether a fragment is refused by the function that checks it. `None` if none is mapped.
pub(super) fn verdict(case: &Value) -> Option<Result<(), String>> {
    let value = case.get("value")?;
    Some(match text(case, "validator") {
        "ValidateMeshConfigProxyConfig" => checked(value, |config, at| {
            mesh_config::validate_proxy_config(config, Completeness::Complete, at);
        }),
        "ValidateMeshNetworks" => checked(value, mesh_networks::validate),
        "validateConnectionSettings" => checked(value, mesh_config::validate_connection_settings),
        "validateMeshConfigDefaultTrafficPolicy" => {
            checked(value, mesh_config::validate_default_traffic_policy)
        }
        "validateMeshConfigDefaultInboundHTTPRetryPolicy" => {
            checked(value, mesh_config::validate_inbound_retry_policy)
        }
        "validateServiceSettings" => checked(value, |mesh: &MeshConfig, at| {
            mesh_config::validate_service_settings(&mesh.service_settings, at);
        }),
        name => return provider(name, value),
    })
}

/// Whether an extension provider is refused.
fn provider(validator: &str, value: &Value) -> Option<Result<(), String>> {
    Some(match validator {
        "ValidateExtensionProviderEnvoyHTTPAls" => {
            checked(value, mesh_config::validate_envoy_http_als_provider)
        }
        "ValidateExtensionProviderEnvoyOtelAls" => {
            checked(value, mesh_config::validate_envoy_otel_als_provider)
        }
        "ValidateExtensionProviderEnvoyTCPAls" => {
            checked(value, mesh_config::validate_envoy_tcp_als_provider)
        }
        "ValidateExtensionProviderTracingOpentelemetry" => {
            checked(value, mesh_config::validate_opentelemetry_provider)
        }
        "validateExtensionProviderTracingDatadog" => {
            checked(value, mesh_config::validate_datadog_provider)
        }
        "validateExtensionProviderTracingLightStep" => {
            checked(value, mesh_config::validate_lightstep_provider)
        }
        "validateExtensionProviderTracingOpenCensusAgent" => {
            checked(value, mesh_config::validate_opencensus_provider)
        }
        "validateExtensionProviderTracingSkyWalking" => {
            checked(value, mesh_config::validate_skywalking_provider)
        }
        "validateExtensionProviderTracingZipkin" => {
            checked(value, mesh_config::validate_zipkin_provider)
        }
        "validateExtensionProviderEnvoyExtAuthzGRPC" => {
            checked(value, mesh_config::validate_ext_authz_grpc_provider)
        }
        "validateExtensionProviderEnvoyExtAuthzHTTP" => {
            checked(value, mesh_config::validate_ext_authz_http_provider)
        }
        _ => return None,
    })
}

/// Whether the content of an `XBackendTrafficPolicy` is refused.
pub(super) fn backend_traffic_policy(spec: &Value) -> Result<(), String> {
    checked(spec, gateway_api::validate_backend_traffic_policy)
}

/// Reads a value as the fragment's type and checks it.
fn checked<T: DeserializeOwned>(
    value: &Value,
    check: impl FnOnce(&T, At<'_>),
) -> Result<(), String> {
    let read = parse::parse_as::<T>("fragment", &value.to_string(), &Limits::default());
    let (fragment, _) = read.map_err(|problems| joined(&problems))?;
    let report = Report::default();
    check(&fragment, report.root());
    errors(report)
}

/// The errors that a check reports.
pub(super) fn errors(report: Report) -> Result<(), String> {
    let violations = report.into_violations();
    let errors: Vec<_> = violations
        .iter()
        .filter(|violation| violation.is_error())
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(joined(&errors))
    }
}
