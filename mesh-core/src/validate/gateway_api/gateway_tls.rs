//! TLS of a whole gateway.

use std::collections::BTreeSet;

use super::{name, validate_len};
use crate::resource::gateway_api::gateway_tls::{FrontendTls, FrontendTlsConfig, GatewayTlsConfig};
use crate::resource::gateway_api::object_reference::SecretObjectReference;
use crate::validate::{At, port};

/// The most ports with settings of their own, and authorities of one.
const MAX_PORTS: usize = 64;
const MAX_AUTHORITIES: usize = 16;

pub(super) fn validate(tls: &GatewayTlsConfig, at: At<'_>) {
    let GatewayTlsConfig { backend, frontend } = tls;
    let certificate = backend
        .as_ref()
        .and_then(|backend| backend.client_certificate_ref.as_ref());
    if let Some(certificate) = certificate {
        validate_secret(
            certificate,
            at.field("backend").field("clientCertificateRef"),
        );
    }
    if let Some(frontend) = frontend {
        validate_frontend(frontend, at.field("frontend"));
    }
}

pub(super) fn validate_secret(secret: &SecretObjectReference, at: At<'_>) {
    let SecretObjectReference {
        group,
        kind,
        name,
        namespace,
    } = secret;
    name::validate_reference(group.as_deref(), kind.as_deref(), name, at);
    name::validate_namespace(namespace.as_deref(), at.field("namespace"));
}

fn validate_frontend(frontend: &FrontendTlsConfig, at: At<'_>) {
    let FrontendTlsConfig { default, per_port } = frontend;
    at.require_written("default");
    validate_clients(default, at.field("default"));
    let at = at.field("perPort");
    validate_len(per_port, 0, MAX_PORTS, at);
    let mut numbers = BTreeSet::new();
    at.each(per_port, |settings, at| {
        at.require_written("tls");
        let number = at.field("port");
        port::validate_number(u32::from(settings.port), number);
        if !numbers.insert(settings.port) {
            number.error(format_args!("port `{}` is there twice", settings.port));
        }
        validate_clients(&settings.tls, at.field("tls"));
    });
}

/// Checks how the certificates of clients are verified.
fn validate_clients(tls: &FrontendTls, at: At<'_>) {
    let Some(validation) = &tls.validation else {
        return;
    };
    let validation_at = at.field("validation");
    let at = validation_at.field("caCertificateRefs");
    validate_len(&validation.ca_certificate_refs, 1, MAX_AUTHORITIES, at);
    at.each(&validation.ca_certificate_refs, |authority, at| {
        at.require_written("group");
        let (group, kind) = (
            Some(authority.group.as_str()),
            Some(authority.kind.as_str()),
        );
        name::validate_reference(group, kind, &authority.name, at);
        name::validate_namespace(authority.namespace.as_deref(), at.field("namespace"));
    });
}
