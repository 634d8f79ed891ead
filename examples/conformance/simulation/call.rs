//! A call, and where it ends up.

use http::Request;
use mesh_core::model::Model;
use mesh_core::model::listener::{FilterChain, Listener, NetworkFilter};
use mesh_core::model::route::{ClusterSpecifier, Route, WeightedDestination};
use mesh_routing::l4::FilterChainTable;
use mesh_routing::request::RequestHead;
use mesh_routing::table::{Lookup, RouteTable};
use serde_json::Value;

use super::connection::{Caller, Tls};
use crate::case::{Outcome, text};

/// Where a call ends up, by the names that Istio's simulation gives.
#[derive(Debug, Default)]
pub(super) struct Ending {
    pub(super) error: String,
    pub(super) listener: String,
    pub(super) filter_chain: String,
    pub(super) route_config: String,
    pub(super) virtual_host: String,
    pub(super) route: String,
    pub(super) cluster: String,
}

/// Runs a call and compares its end with the one that is expected.
pub(super) fn compare(case: &Value, model: &Model) -> Outcome {
    let Some(caller) = Caller::read(case.get("call").unwrap_or(&Value::Null)) else {
        return Outcome::unsupported("a call that is not understood");
    };
    let ending = match run(&caller, model) {
        Ok(ending) => ending,
        Err(why) => return Outcome::failed(why),
    };
    let result = case.get("result").unwrap_or(&Value::Null);
    let parts = [
        ("error", &ending.error),
        ("cluster", &ending.cluster),
        ("virtual_host", &ending.virtual_host),
        ("route_config", &ending.route_config),
        ("listener", &ending.listener),
        ("route", &ending.route),
    ];
    let strict = result
        .get("strict")
        .and_then(Value::as_bool)
        .unwrap_or_default();
    for (name, found) in parts {
        let expected = text(result, name);
        // What is left out is not asserted, but for the error.
        let asserted = name == "error" || strict || !expected.is_empty();
        if asserted && expected != found {
            return Outcome::Failed(format!("{name}: expected {expected:?}, got {ending:?}"));
        }
    }
    Outcome::Passed
}

/// The end of a call. An error is one of ours: the model does not compile.
fn run(caller: &Caller<'_>, model: &Model) -> Result<Ending, String> {
    let mut ending = Ending::default();
    let Some(listener) = caller.listener(model) else {
        ending.error = "ErrNoListener".into();
        return Ok(ending);
    };
    ending.listener.clone_from(&listener.name);
    let table = FilterChainTable::compile(listener)
        .map_err(|errors| format!("listener `{}`: {errors}", listener.name))?;
    if !table.shadowed().is_empty() {
        // The simulation refuses what Envoy does; we let the first chain take the connection.
        ending.error = "ErrMultipleFilterChain".into();
        return Ok(ending);
    }
    let protocols = caller.application_protocols(listener);
    let protocols: Vec<&str> = protocols.iter().map(String::as_str).collect();
    let Some(chain) = table.lookup(&caller.connection(listener, &protocols)) else {
        ending.error = "ErrNoFilterChain".into();
        return Ok(ending);
    };
    ending.filter_chain.clone_from(&chain.name);
    if let Some(error) = handshake(caller, chain) {
        ending.error = error.into();
        return Ok(ending);
    }
    bytes(caller, chain, listener, model, &mut ending)?;
    Ok(ending)
}

/// Why the chain cannot take the connection that it was given.
fn handshake(caller: &Caller<'_>, chain: &FilterChain) -> Option<&'static str> {
    let Some(tls) = &chain.tls else {
        return None;
    };
    if caller.tls == Tls::Plaintext {
        return Some("ErrTLSError");
    }
    (caller.is_mutual(tls) != (caller.tls == Tls::Mutual)).then_some("ErrMTLSError")
}

/// What reads the bytes.
fn bytes(
    caller: &Caller<'_>,
    chain: &FilterChain,
    listener: &Listener,
    model: &Model,
    ending: &mut Ending,
) -> Result<(), String> {
    match &chain.filter {
        // Neither other protocols nor TLS that was not terminated are HTTP.
        NetworkFilter::Http(_) if !caller.speaks_http(chain.tls.is_some()) => {
            ending.error = "ErrProtocolError".into();
        }
        NetworkFilter::Http(http) => {
            ending.route_config.clone_from(&http.route_configuration);
            let Some(routes) = model.route_configurations.get(&http.route_configuration) else {
                let (routes, listener) = (&http.route_configuration, &listener.name);
                return Err(format!("listener `{listener}` names no routes: `{routes}`"));
            };
            let table = RouteTable::compile(routes).map_err(|errors| errors.to_string())?;
            request(caller, &table, ending)?;
        }
        NetworkFilter::SniCluster => {
            let name = mesh_core::service::ClusterName::from_sni(caller.sni);
            ending.cluster = name.map(String::from).unwrap_or_default();
        }
        NetworkFilter::Tcp(proxy) => ending.cluster = only_cluster(&proxy.destinations),
    }
    Ok(())
}

fn request(caller: &Caller<'_>, table: &RouteTable, ending: &mut Ending) -> Result<(), String> {
    let scheme = if caller.tls == Tls::Plaintext {
        "http"
    } else {
        "https"
    };
    let request = Request::get(caller.path)
        .header("host", caller.host)
        .header("x-forwarded-proto", scheme)
        .body(())
        .map_err(|error| error.to_string())?;
    let virtual_host = table.virtual_host(caller.host).unwrap_or_default();
    ending.virtual_host = virtual_host.to_owned();
    match table.lookup(&RequestHead::from(&request), 0) {
        Lookup::Matched(matched) => {
            ending.route.clone_from(&matched.route().name);
            ending.cluster = forwarded_to(matched.route());
        }
        Lookup::NoRoute => ending.error = "ErrNoRoute".into(),
        Lookup::NoVirtualHost => ending.error = "ErrNoVirtualHost".into(),
        Lookup::TlsRedirect => ending.error = "ErrTLSRedirect".into(),
    }
    Ok(())
}

fn forwarded_to(route: &Route) -> String {
    let forward = route.forward_to();
    forward
        .map(|forward| only_cluster(&forward.destinations))
        .unwrap_or_default()
}

/// The cluster, if there is one and not a choice. Istio's simulation names no others.
pub(super) fn only_cluster(destinations: &[WeightedDestination]) -> String {
    match destinations {
        [
            WeightedDestination {
                cluster: ClusterSpecifier::Name(name),
                ..
            },
        ]
        // Istio's routes name clusters that do not exist; Envoy answers 500 then.
        | [
            WeightedDestination {
                unresolved: Some(name),
                ..
            },
        ] => name.to_string(),
        _ => String::new(),
    }
}
