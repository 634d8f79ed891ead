//! Routes, as `config.route.v3.RouteConfiguration`.

use mesh_core::model::retry::RetryPolicy;
use mesh_core::model::route::{
    ClusterSpecifier, DirectResponse, Forward, PathRewrite, Redirect, Rewrite, Route, RouteAction,
    RouteConfiguration, VirtualHost, WeightedDestination,
};
use serde_json::{Map, Value, json};

use super::filters::{add_mutations, settings};
use super::matches::route_match;
use super::seconds;

/// The largest body of a direct response that Istio allows.
const MAX_DIRECT_RESPONSE: u32 = 1 << 20;

/// The routes of `configuration`, whose upstreams are told which attempt they see if attempts are to be
/// counted.
pub(super) fn configuration(configuration: &RouteConfiguration, counts_attempts: bool) -> Value {
    let RouteConfiguration {
        name,
        virtual_hosts,
        ignore_port,
        headers,
    } = configuration;
    let hosts = virtual_hosts.iter();
    let hosts: Vec<_> = hosts
        .map(|host| virtual_host(host, counts_attempts))
        .collect();
    let mut encoded = object(json!({
        "name": name,
        "virtual_hosts": hosts,
        "ignore_port_in_host_matching": ignore_port,
        // As with routes that are discovered, a cluster need not be there.
        "validate_clusters": false,
        "max_direct_response_body_size_bytes": MAX_DIRECT_RESPONSE,
    }));
    add_mutations(&mut encoded, headers);
    encoded.into()
}

fn virtual_host(host: &VirtualHost, counts_attempts: bool) -> Value {
    let VirtualHost {
        name,
        domains,
        routes,
        require_tls,
        headers,
        origin: _,
    } = host;
    let routes: Vec<_> = routes.iter().map(|each| route(each)).collect();
    let mut encoded = object(json!({
        "name": name,
        "domains": domains,
        "routes": routes,
        "require_tls": if *require_tls { "ALL" } else { "NONE" },
        "include_request_attempt_count": counts_attempts,
    }));
    add_mutations(&mut encoded, headers);
    encoded.into()
}

fn route(route: &Route) -> Value {
    let Route {
        name,
        matches,
        action,
        headers,
        cors,
        fault,
        origin: _,
    } = route;
    let mut encoded = object(json!({
        "name": name,
        "match": route_match(matches),
        "typed_per_filter_config": settings(cors.as_deref(), fault.as_deref()),
    }));
    add_mutations(&mut encoded, headers);
    let (kind, action) = match action {
        RouteAction::DirectResponse(response) => ("direct_response", direct_response(response)),
        RouteAction::Forward(forward) => ("route", self::forward(forward)),
        RouteAction::Redirect(redirect) => ("redirect", self::redirect(redirect)),
    };
    encoded.insert(kind.into(), action);
    encoded.into()
}

fn direct_response(response: &DirectResponse) -> Value {
    let DirectResponse { status, body } = response;
    let mut encoded = json!({"status": status});
    if let Some(body) = body {
        let text = std::str::from_utf8(body).expect("bodies are generated as texts");
        encoded["body"] = json!({"inline_string": text});
    }
    encoded
}

fn forward(forward: &Forward) -> Value {
    let Forward {
        destinations,
        rewrite,
        mirrors,
        timeout,
        retry,
        hash_policies,
    } = forward;
    assert!(mirrors.is_empty(), "mirrors are not compared");
    assert!(hash_policies.is_empty(), "each cluster has one endpoint");
    // No timeout at all is zero: Envoy's default would be 15 s.
    let mut encoded = object(json!({"timeout": seconds(timeout.unwrap_or_default())}));
    if let Some(retry) = retry {
        encoded.insert("retry_policy".into(), retry_policy(retry));
    }
    let Rewrite {
        path,
        authority,
        authority_source,
        append_forwarded_host,
    } = rewrite;
    let is_literal = authority_source.is_none();
    assert!(is_literal, "a VirtualService writes the authority");
    encoded.insert(
        "append_x_forwarded_host".into(),
        json!(append_forwarded_host),
    );
    if let Some(path) = path {
        let (kind, value) = path_rewrite(path);
        encoded.insert(kind.into(), value);
    }
    if let Some(authority) = authority {
        encoded.insert("host_rewrite_literal".into(), json!(authority));
    }
    match destinations.as_slice() {
        [only] if only.headers.is_empty() && only.authority.is_none() => {
            encoded.insert("cluster".into(), json!(cluster_name(&only.cluster)));
        }
        several => {
            let clusters: Vec<_> = several.iter().map(weighted_cluster).collect();
            encoded.insert("weighted_clusters".into(), json!({"clusters": clusters}));
        }
    }
    encoded.into()
}

fn weighted_cluster(destination: &WeightedDestination) -> Value {
    let WeightedDestination {
        cluster,
        weight,
        headers,
        authority,
        unresolved,
        origin: _,
    } = destination;
    assert!(
        unresolved.is_none(),
        "a VirtualService names its destinations"
    );
    let mut encoded = object(json!({"name": cluster_name(cluster), "weight": weight}));
    add_mutations(&mut encoded, headers);
    if let Some(authority) = authority {
        encoded.insert("host_rewrite_literal".into(), json!(authority));
    }
    encoded.into()
}

fn cluster_name(cluster: &ClusterSpecifier) -> &str {
    match cluster {
        ClusterSpecifier::Name(name) => name.as_str(),
        ClusterSpecifier::Header(_) | ClusterSpecifier::Refused(_) => {
            panic!("a VirtualService names its destinations")
        }
    }
}

fn path_rewrite(rewrite: &PathRewrite) -> (&'static str, Value) {
    match rewrite {
        PathRewrite::Full(path) => ("path_rewrite", json!(path)),
        PathRewrite::Prefix(prefix) => ("prefix_rewrite", json!(prefix)),
        PathRewrite::Regex(rewrite) => (
            "regex_rewrite",
            json!({
                "pattern": {"regex": rewrite.pattern()},
                "substitution": rewrite.substitution(),
            }),
        ),
        PathRewrite::Template(rewrite) => panic!("no VirtualService writes {rewrite:?}"),
    }
}

fn redirect(redirect: &Redirect) -> Value {
    let Redirect {
        status,
        scheme,
        host,
        port,
        path,
        strip_query,
    } = redirect;
    let code = match status {
        301 => "MOVED_PERMANENTLY",
        302 => "FOUND",
        303 => "SEE_OTHER",
        307 => "TEMPORARY_REDIRECT",
        308 => "PERMANENT_REDIRECT",
        other => panic!("Envoy does not redirect by {other}"),
    };
    let mut encoded = object(json!({"response_code": code, "strip_query": strip_query}));
    if let Some(scheme) = scheme {
        encoded.insert("scheme_redirect".into(), json!(scheme));
    }
    if let Some(host) = host {
        encoded.insert("host_redirect".into(), json!(host));
    }
    if let Some(port) = port {
        encoded.insert("port_redirect".into(), json!(port));
    }
    if let Some(path) = path {
        let (kind, value) = match path {
            PathRewrite::Full(path) => ("path_redirect", json!(path)),
            other => path_rewrite(other),
        };
        encoded.insert(kind.into(), value);
    }
    encoded.into()
}

fn retry_policy(policy: &RetryPolicy) -> Value {
    let RetryPolicy {
        attempts,
        retry_on,
        retriable_status_codes,
        per_try_timeout,
        // One endpoint serves each cluster, so there is no other host to choose.
        avoid_previous_hosts: _,
        host_selection_attempts: _,
        avoid_previous_priorities: _,
        backoff_base,
    } = policy;
    let mut encoded = json!({
        "num_retries": attempts,
        "retry_on": retry_on.join(","),
        "retriable_status_codes": retriable_status_codes,
        "retry_back_off": {"base_interval": seconds(*backoff_base)},
    });
    if let Some(timeout) = per_try_timeout {
        encoded["per_try_timeout"] = json!(seconds(*timeout));
    }
    encoded
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("not an object: {other}"),
    }
}
