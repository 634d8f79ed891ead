//! Gateways and their classes.

use std::collections::{BTreeMap, BTreeSet};

use super::{gateway_tls, listener, name, validate_len};
use crate::resource::gateway_api::gateway::{Gateway, GatewayAddress, GatewayInfrastructure};
use crate::resource::gateway_api::gateway_class::GatewayClass;
use crate::validate::At;
use crate::validate::address::is_ip;

/// The longest description of a class.
const MAX_DESCRIPTION_LEN: usize = 64;

/// The longest name of a class, controller or address.
const MAX_NAME_LEN: usize = 253;

/// The most listeners, addresses, labels and annotations.
const MAX_LISTENERS: usize = 64;
const MAX_ADDRESSES: usize = 16;
const MAX_LABELS: usize = 8;
const MAX_ANNOTATIONS: usize = 16;

/// The longest value of an annotation.
const MAX_ANNOTATION_LEN: usize = 4096;

pub(super) fn validate_class(class: &GatewayClass, at: At<'_>) {
    let GatewayClass {
        controller_name,
        parameters_ref,
        description,
    } = class;
    if controller_name.len() > MAX_NAME_LEN || !name::is_domain_path(controller_name) {
        at.field("controllerName").error(format_args!(
            "`{controller_name}` is not a domain with a path"
        ));
    }
    if let Some(parameters) = parameters_ref {
        let at = at.field("parametersRef");
        at.require_written("group");
        let (group, kind) = (
            Some(parameters.group.as_str()),
            Some(parameters.kind.as_str()),
        );
        name::validate_reference(group, kind, &parameters.name, at);
        name::validate_namespace(parameters.namespace.as_deref(), at.field("namespace"));
    }
    let length = description.as_deref().unwrap_or_default().chars().count();
    at.field("description").require(
        length <= MAX_DESCRIPTION_LEN,
        "a description has at most 64 characters",
    );
}

pub(super) fn validate(gateway: &Gateway, at: At<'_>) {
    let Gateway {
        gateway_class_name,
        listeners,
        addresses,
        infrastructure,
        allowed_listeners,
        tls,
        default_scope: _,
    } = gateway;
    name::validate_object_name(gateway_class_name, at.field("gatewayClassName"));
    let listeners_at = at.field("listeners");
    validate_len(listeners, 1, MAX_LISTENERS, listeners_at);
    listener::validate_all(listeners, listeners_at);
    validate_addresses(addresses, at.field("addresses"));
    if let Some(infrastructure) = infrastructure {
        validate_infrastructure(infrastructure, at.field("infrastructure"));
    }
    let namespaces = allowed_listeners
        .as_ref()
        .and_then(|allowed| allowed.namespaces.as_ref());
    if let Some(selector) = namespaces.and_then(|namespaces| namespaces.selector.as_ref()) {
        let at = at.field("allowedListeners");
        listener::validate_selector(selector, at.field("namespaces").field("selector"));
    }
    if let Some(tls) = tls {
        gateway_tls::validate(tls, at.field("tls"));
    }
}

fn validate_addresses(addresses: &[GatewayAddress], at: At<'_>) {
    validate_len(addresses, 0, MAX_ADDRESSES, at);
    let mut seen = BTreeSet::new();
    at.each(addresses, |address, at| {
        let GatewayAddress { r#type, value } = address;
        let kind = r#type.as_deref().unwrap_or("IPAddress");
        at.field("type")
            .require(is_address_type(kind), "the type is unknown");
        let Some(value) = value else {
            return;
        };
        let at = at.field("value");
        match kind {
            "IPAddress" if !is_ip(value) => {
                at.error(format_args!("`{value}` is not an IP address"));
            }
            "Hostname" => name::validate_hostname(value, at),
            _ => at.require(
                value.len() <= MAX_NAME_LEN,
                "an address has at most 253 bytes",
            ),
        }
        if matches!(kind, "Hostname" | "IPAddress") && !seen.insert((kind, value)) {
            at.error(format_args!("address `{value}` is there twice"));
        }
    });
}

/// Whether this is the type of an address: one that the API has, or somebody's own after a domain.
///
/// The schema's pattern binds its alternatives to no end of the text, so that it accepts more: what
/// begins with `Hostname`, and what has one of the other names in it.
fn is_address_type(kind: &str) -> bool {
    let is_known = kind.starts_with("Hostname")
        || ["IPAddress", "NamedAddress"]
            .into_iter()
            .any(|name| kind.contains(name));
    kind.len() <= MAX_NAME_LEN
        && (is_known || name::ends_with_domain_path(kind, name::is_controller_path))
}

fn validate_infrastructure(infrastructure: &GatewayInfrastructure, at: At<'_>) {
    let GatewayInfrastructure {
        labels,
        annotations,
        parameters_ref,
    } = infrastructure;
    validate_keys(labels, MAX_LABELS, at.field("labels"));
    at.field("labels").each_entry(labels, |_, value, at| {
        if !name::is_label_value(value) {
            at.error(format_args!("`{value}` is not the value of a label"));
        }
    });
    validate_keys(annotations, MAX_ANNOTATIONS, at.field("annotations"));
    at.field("annotations")
        .each_entry(annotations, |_, value, at| {
            let fits = value.len() <= MAX_ANNOTATION_LEN;
            at.require(fits, "an annotation has at most 4096 bytes");
        });
    if let Some(parameters) = parameters_ref {
        let at = at.field("parametersRef");
        at.require_written("group");
        let (group, kind) = (
            Some(parameters.group.as_str()),
            Some(parameters.kind.as_str()),
        );
        name::validate_reference(group, kind, &parameters.name, at);
    }
}

fn validate_keys(entries: &BTreeMap<String, String>, max: usize, at: At<'_>) {
    if entries.len() > max {
        at.error(format_args!("more than {max} entries"));
    }
    at.each_entry(entries, |key, _, at| {
        if !name::is_qualified_name(key) {
            at.error(format_args!(
                "`{key}` is not a name, perhaps after a domain and a slash"
            ));
        }
    });
}
