//! Services that routes lead to.

use super::name;
use crate::resource::gateway_api::backend_reference::{BackendObjectReference, BackendRef};
use crate::resource::gateway_api::grpc_route::GrpcBackendRef;
use crate::resource::gateway_api::http_route::HttpBackendRef;
use crate::validate::{At, port};

/// The greatest weight of a backend.
const MAX_WEIGHT: u32 = 1_000_000;

/// The fields that all references to backends have.
#[derive(Clone, Copy)]
struct Reference<'b> {
    group: Option<&'b str>,
    kind: Option<&'b str>,
    name: &'b str,
    namespace: Option<&'b str>,
    port: Option<u16>,
}

/// Makes a [`Reference`] of any of the structs that have its fields.
macro_rules! reference {
    ($backend:expr) => {
        Reference {
            group: $backend.group.as_deref(),
            kind: $backend.kind.as_deref(),
            name: &$backend.name,
            namespace: $backend.namespace.as_deref(),
            port: $backend.port,
        }
    };
}

/// Checks a reference to a backend.
pub(super) fn validate(backend: &BackendObjectReference, at: At<'_>) {
    validate_reference(reference!(backend), at);
}

/// Checks a backend of connections with its weight.
pub(super) fn validate_weighted(backend: &BackendRef, at: At<'_>) {
    validate_reference(reference!(backend), at);
    validate_weight(backend.weight, at.field("weight"));
}

/// Checks a backend of HTTP with its weight, except for its filters.
pub(super) fn validate_http(backend: &HttpBackendRef, at: At<'_>) {
    validate_reference(reference!(backend), at);
    validate_weight(backend.weight, at.field("weight"));
}

/// Checks a backend of gRPC with its weight, except for its filters.
pub(super) fn validate_grpc(backend: &GrpcBackendRef, at: At<'_>) {
    validate_reference(reference!(backend), at);
    validate_weight(backend.weight, at.field("weight"));
}

fn validate_reference(backend: Reference<'_>, at: At<'_>) {
    name::validate_reference(backend.group, backend.kind, backend.name, at);
    name::validate_namespace(backend.namespace, at.field("namespace"));
    let is_service = backend.group.is_none_or(str::is_empty)
        && backend.kind.is_none_or(|kind| kind == "Service");
    match backend.port {
        Some(number) => port::validate_number(u32::from(number), at.field("port")),
        None => at.require(!is_service, "a reference to a Service has a port"),
    }
}

fn validate_weight(weight: Option<u32>, at: At<'_>) {
    if weight.is_some_and(|weight| weight > MAX_WEIGHT) {
        at.error(format_args!("a weight is at most {MAX_WEIGHT}"));
    }
}
