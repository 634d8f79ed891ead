//! Service entries that cannot be told apart by address, or contradict each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report, full_name};
use crate::analyze::messages::hosts::scopes;
use crate::origin::FieldPath;
use crate::resource::Resource;
use crate::resource::istio::ServiceEntry;
use crate::resource::value::Value;

/// A TCP port is known by its address only, so that a service with one needs addresses, unless it
/// gets them allocated.
pub(super) fn addresses(context: &Context<'_>, report: &mut Report) {
    if are_allocated(context) {
        return;
    }
    let root = FieldPath::root();
    let spec = root.field("spec");
    let ports = spec.field("ports");
    for entry in &context.resources.service_entries {
        if !entry.spec.addresses.is_empty() || has_allocated(entry) {
            continue;
        }
        for (index, port) in entry.spec.ports.iter().enumerate() {
            if port.protocol.is_empty() || port.protocol.eq_ignore_ascii_case("TCP") {
                let at = ports.index(index);
                report.at(entry, &at, Code::ServiceEntryAddressesRequired, &[]);
            }
        }
    }
}

/// Whether the mesh allocates addresses, and proxies resolve names to them.
fn are_allocated(context: &Context<'_>) -> bool {
    let Some(config) = &context.mesh.as_written().default_config else {
        return false;
    };
    let is_on = |name: &str| {
        config
            .proxy_metadata
            .get(name)
            .is_some_and(|value| value == "true")
    };
    is_on("ISTIO_META_DNS_CAPTURE")
        && (is_on("ISTIO_META_DNS_AUTO_ALLOCATE") || is_on("PILOT_ENABLE_IP_AUTOALLOCATE"))
}

/// Whether addresses were allocated already.
fn has_allocated(entry: &Resource<ServiceEntry>) -> bool {
    let addresses = entry
        .status
        .as_ref()
        .and_then(|status| status.field("addresses"));
    matches!(addresses, Some(Value::List(addresses)) if !addresses.is_empty())
}

/// A host's port as a namespace sees it.
type SeenPort<'a> = (String, &'a str, u32);

/// Those who see several entries of one host and port have to see one protocol.
pub(super) fn protocols(context: &Context<'_>, report: &mut Report) {
    let mut entries: BTreeMap<SeenPort<'_>, Vec<(&str, &Resource<ServiceEntry>)>> = BTreeMap::new();
    for entry in &context.resources.service_entries {
        for scope in scopes(&entry.spec.export_to, &entry.metadata.namespace) {
            for host in &entry.spec.hosts {
                for port in &entry.spec.ports {
                    let seen = entries
                        .entry((scope.clone(), host, port.number))
                        .or_default();
                    seen.push((&port.protocol, entry));
                }
            }
        }
    }
    let mut reported = BTreeSet::new();
    for ((scope, host, port), own) in &entries {
        let everybody = ("*".to_owned(), *host, *port);
        let public = entries.get(&everybody).filter(|_| scope != "*");
        let seen: Vec<_> = own.iter().chain(public.into_iter().flatten()).collect();
        let protocols: BTreeSet<String> = seen
            .iter()
            .map(|(protocol, _)| protocol.to_ascii_uppercase())
            .collect();
        if protocols.len() < 2 {
            continue;
        }
        let names: BTreeSet<String> = seen
            .iter()
            .map(|(_, entry)| full_name(&entry.metadata))
            .collect();
        let join = |list: BTreeSet<String>| list.into_iter().collect::<Vec<_>>().join(", ");
        let (names, protocols) = (join(names), join(protocols));
        for (_, entry) in seen {
            if reported.insert(full_name(&entry.metadata)) {
                let code = Code::ConflictingServiceEntryProtocol;
                report.about(entry, code, &[&names, host, port, &protocols]);
            }
        }
    }
}
