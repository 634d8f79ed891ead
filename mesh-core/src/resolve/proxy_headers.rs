//! Which headers proxies write (`GetProxyHeadersFromProxyConfig`).

use crate::config::MeshConfig;
use crate::model::listener::{HttpConnection, Listener, NetworkFilter};
use crate::resource::istio::mesh_config::ProxyHeaders;

/// Applies the mesh's default settings of proxies to what `listeners` write.
pub(super) fn apply(config: &MeshConfig, listeners: &mut [Listener]) {
    let Some(headers) = of_mesh(config) else {
        return;
    };
    for listener in listeners {
        let default = listener.default_filter_chain.as_deref_mut();
        for chain in listener.filter_chains.iter_mut().chain(default) {
            if let NetworkFilter::Http(connection) = &mut chain.filter {
                apply_to(connection, headers);
            }
        }
    }
}

/// Whether a rule that rewrites, whatever it rewrites, leaves a host that it replaces in
/// `x-forwarded-host`.
pub(super) fn append_forwarded_host(config: &MeshConfig) -> bool {
    let written = of_mesh(config).and_then(|headers| headers.x_forwarded_host.as_ref());
    written.and_then(|host| host.enabled) == Some(true)
}

fn of_mesh(config: &MeshConfig) -> Option<&ProxyHeaders> {
    let proxy = config.options().as_written().default_config.as_ref();
    proxy?.proxy_headers.as_ref()
}

fn apply_to(connection: &mut HttpConnection, headers: &ProxyHeaders) {
    if let Some(server) = &headers.server {
        if server.disabled == Some(true) {
            connection.server_name = None;
        } else if !server.value.is_empty() {
            connection.server_name = Some(server.value.clone());
        }
    }
    let request_id = headers.request_id.as_ref();
    if request_id.and_then(|id| id.disabled) == Some(true) {
        connection.generate_request_id = false;
    }
    let attempts = headers.attempt_count.as_ref();
    if attempts.and_then(|attempts| attempts.disabled) == Some(true) {
        connection.count_attempts = false;
    }
    let debug = headers.envoy_debug_headers.as_ref();
    if debug.and_then(|debug| debug.disabled) == Some(true) {
        connection.envoy_debug_headers = false;
    }
    let port = headers.x_forwarded_port.as_ref();
    connection.append_forwarded_port = port.and_then(|port| port.enabled) == Some(true);
}
