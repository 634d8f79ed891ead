//! A whole Envoy: one listener with the settings of an Istio gateway, and its clusters.

use mesh_core::model::Model;
use mesh_core::model::cluster::{Cluster, EndpointAddress};
use mesh_core::model::listener::{HttpConnection, NetworkFilter};
use serde_json::{Value, json};

use super::{route, seconds};

const TYPE: &str = "type.googleapis.com/envoy.extensions";

/// HTTP filters beside those of routes.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    /// Before all of those.
    pub(crate) first: Vec<Value>,
    /// After all of those, before the router.
    pub(crate) last: Vec<Value>,
    /// What every virtual host counts, if anything.
    pub(crate) rate_limits: Option<Value>,
}

/// Serves the only listener of `model` on a loopback port that the system chooses.
pub(crate) fn bootstrap(model: &Model, filters: &Filters) -> Value {
    let [listener] = model.listeners.as_slice() else {
        panic!("one listener is compared");
    };
    let [chain] = listener.filter_chains.as_slice() else {
        panic!("the listener has one filter chain");
    };
    let NetworkFilter::Http(http) = &chain.filter else {
        panic!("the listener serves HTTP");
    };
    let manager = connection_manager(model, http, filters);
    let clusters: Vec<_> = model.clusters.values().map(|each| cluster(each)).collect();
    json!({
        "admin": {"address": any_port()},
        "static_resources": {
            "listeners": [{
                "name": listener.name,
                "address": any_port(),
                "filter_chains": [{
                    "filters": [{
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }],
                }],
            }],
            "clusters": clusters,
        },
    })
}

fn any_port() -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}})
}

/// What Istio writes for a gateway, as far as plaintext HTTP is concerned.
fn connection_manager(model: &Model, http: &HttpConnection, filters: &Filters) -> Value {
    let HttpConnection {
        route_configuration,
        use_remote_address,
        trusted_hops,
        server_name,
        generate_request_id,
        count_attempts,
        envoy_debug_headers,
        append_forwarded_port,
    } = http;
    let routes = &model.route_configurations[route_configuration];
    let filter = |name: &str, message: &str| {
        json!({
            "name": format!("envoy.filters.http.{name}"),
            "typed_config": {"@type": format!("{TYPE}.filters.http.{name}.v3.{message}")},
        })
    };
    let mut all = filters.first.clone();
    all.extend([filter("fault", "HTTPFault"), filter("cors", "Cors")]);
    all.extend(filters.last.iter().cloned());
    let mut router = filter("router", "Router");
    router["typed_config"]["suppress_envoy_headers"] = json!(!envoy_debug_headers);
    all.push(router);
    let mut routes = route::configuration(routes, *count_attempts);
    if let (Some(limits), Some(hosts)) =
        (&filters.rate_limits, routes["virtual_hosts"].as_array_mut())
    {
        for host in hosts {
            host["rate_limits"] = limits.clone();
        }
    }
    let mut manager = json!({
        "@type": format!(
            "{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager"
        ),
        "stat_prefix": "gateway",
        "route_config": routes,
        "http_filters": all,
        "use_remote_address": use_remote_address,
        "xff_num_trusted_hops": trusted_hops,
        "normalize_path": true,
        "generate_request_id": generate_request_id,
        "append_x_forwarded_port": append_forwarded_port,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
    });
    if let Some(name) = server_name {
        manager["server_name"] = json!(name);
    }
    manager
}

fn cluster(cluster: &Cluster) -> Value {
    let addresses = cluster.endpoints.iter().map(|endpoint| {
        let EndpointAddress::Ip(address) = &endpoint.address else {
            panic!("the services listen on loopback");
        };
        json!({"endpoint": {"address": {"socket_address": {
            "address": address.ip().to_string(),
            "port_value": address.port(),
        }}}})
    });
    let http = match cluster.protocol.is_http2() {
        true => "http2_protocol_options",
        false => "http_protocol_options",
    };
    let options = format!("{TYPE}.upstreams.http.v3.HttpProtocolOptions");
    json!({
        "name": cluster.name.as_str(),
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": options,
                "explicit_http_config": {http: {}},
            },
        },
        "type": "STATIC",
        "connect_timeout": seconds(cluster.connect_timeout),
        "load_assignment": {
            "cluster_name": cluster.name.as_str(),
            "endpoints": [{"lb_endpoints": addresses.collect::<Vec<_>>()}],
        },
    })
}
