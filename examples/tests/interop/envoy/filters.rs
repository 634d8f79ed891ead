//! What happens beside forwarding: header operations, CORS and faults.

use mesh_core::model::filter::{
    AbortStatus, AppendAction, CorsPolicy, Fault, FaultAbort, FaultDelay, HeaderMutation,
    HeaderMutations, HeaderOption,
};
use mesh_core::percent::Percent;
use serde_json::{Map, Value, json};

use super::matches::string_matcher;
use super::seconds;

/// Adds header operations to a route, a virtual host, a weighted cluster or the whole.
pub(super) fn add_mutations(to: &mut Map<String, Value>, mutations: &HeaderMutations) {
    let HeaderMutations { request, response } = mutations;
    for (direction, mutation) in [("request", request), ("response", response)] {
        let HeaderMutation { remove, options } = mutation;
        let remove: Vec<_> = remove.iter().map(http::HeaderName::as_str).collect();
        let options: Vec<_> = options.iter().map(option).collect();
        to.insert(format!("{direction}_headers_to_remove"), json!(remove));
        to.insert(format!("{direction}_headers_to_add"), options.into());
    }
}

fn option(option: &HeaderOption) -> Value {
    let HeaderOption {
        name,
        value,
        action,
    } = option;
    let action = match action {
        AppendAction::AddIfAbsent => "ADD_IF_ABSENT",
        AppendAction::AppendIfExistsOrAdd => "APPEND_IF_EXISTS_OR_ADD",
        AppendAction::OverwriteIfExists => "OVERWRITE_IF_EXISTS",
        AppendAction::OverwriteIfExistsOrAdd => "OVERWRITE_IF_EXISTS_OR_ADD",
    };
    json!({
        "header": {"key": name.as_str(), "value": value.as_str()},
        "append_action": action,
    })
}

/// The settings of filters for one route.
pub(super) fn settings(cors: Option<&CorsPolicy>, fault: Option<&Fault>) -> Value {
    let mut settings = Map::new();
    if let Some(cors) = cors {
        settings.insert("envoy.filters.http.cors".into(), self::cors(cors));
    }
    if let Some(fault) = fault {
        settings.insert("envoy.filters.http.fault".into(), self::fault(fault));
    }
    settings.into()
}

fn cors(policy: &CorsPolicy) -> Value {
    let CorsPolicy {
        allow_origins,
        allow_methods,
        allow_headers,
        expose_headers,
        max_age,
        allow_credentials,
        forward_unmatched_preflights,
        origin: _,
    } = policy;
    let any = json!({"safe_regex": {"regex": ".*"}});
    let origins = allow_origins
        .iter()
        .map(|origin| string_matcher(origin).unwrap_or_else(|| any.clone()));
    let age = max_age.map(|age| age.to_string());
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": origins.collect::<Vec<_>>(),
        "allow_methods": allow_methods,
        "allow_headers": allow_headers,
        "expose_headers": expose_headers,
        "max_age": age.unwrap_or_default(),
        "allow_credentials": allow_credentials,
        "forward_not_matching_preflights": forward_unmatched_preflights,
    })
}

fn fault(fault: &Fault) -> Value {
    let Fault {
        delay,
        abort,
        origin: _,
    } = fault;
    let mut encoded = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
    });
    if let Some(FaultDelay { duration, percent }) = delay {
        encoded["delay"] = json!({
            "fixed_delay": seconds(*duration),
            "percentage": fraction(*percent),
        });
    }
    if let Some(FaultAbort { status, percent }) = abort {
        let (kind, code) = match status {
            AbortStatus::Grpc(code) => ("grpc_status", u16::from(*code)),
            AbortStatus::Http(code) => ("http_status", *code),
        };
        encoded["abort"] = json!({kind: code, "percentage": fraction(*percent)});
    }
    encoded
}

fn fraction(percent: Percent) -> Value {
    json!({"numerator": percent.parts_per_million(), "denominator": "MILLION"})
}
