//! Tracing by each proxy.

use crate::resource::istio::mesh_config::Tracing;
use crate::validate::At;
use crate::validate::address::validate_host_port;
use crate::validate::destination_rule::validate_client_tls;

/// What stands for the address of the node in the address of a tracer on it.
const HOST_IP: &str = "$(HOST_IP)";

pub(super) fn validate_tracing(tracing: &Tracing, at: At<'_>) {
    if let Some(zipkin) = &tracing.zipkin {
        validate_address(&zipkin.address, at.field("zipkin"));
    }
    if let Some(datadog) = &tracing.datadog {
        validate_address(&datadog.address, at.field("datadog"));
    }
    if let Some(lightstep) = &tracing.lightstep {
        let at = at.field("lightstep");
        validate_host_port(&lightstep.address, at.field("address"));
        at.field("accessToken")
            .require(!lightstep.access_token.is_empty(), "a token is required");
    }
    if let Some(tls) = &tracing.tls_settings {
        validate_client_tls(tls, "", at.field("tlsSettings"));
    }
}

fn validate_address(address: &str, at: At<'_>) {
    validate_host_port(
        &address.replacen(HOST_IP, "127.0.0.1", 1),
        at.field("address"),
    );
}
