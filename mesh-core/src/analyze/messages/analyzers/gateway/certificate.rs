//! Certificates that several Gateways serve.

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report, full_name, has_all};
use crate::resource::istio::gateway::ServerTlsSettings;

/// Two Gateways of the same pods with one certificate: a browser that has a connection to one
/// sends requests of the other on it.
pub(in crate::analyze::messages) fn duplicates(context: &Context<'_>, report: &mut Report) {
    let gateways = &context.resources.gateways;
    for gateway in gateways {
        let name = full_name(&gateway.metadata);
        let others = gateways.iter().filter(|other| {
            other.metadata != gateway.metadata
                && has_all(&other.spec.selector, &gateway.spec.selector)
        });
        for other in others {
            let settings = |servers: &[_]| -> Vec<ServerTlsSettings> {
                let servers: &[crate::resource::istio::gateway::Server] = servers;
                servers
                    .iter()
                    .filter_map(|server| server.tls.clone())
                    .collect()
            };
            let theirs = settings(&other.spec.servers);
            let own = settings(&gateway.spec.servers);
            if own
                .iter()
                .any(|own| theirs.iter().any(|other| are_same(own, other)))
            {
                let names = format!("[{name} {}]", full_name(&other.metadata));
                report.about(gateway, Code::GatewayDuplicateCertificate, &[&names]);
            }
        }
    }
}

/// Whether two servers have the same certificate: by the name of a credential, or by files.
fn are_same(one: &ServerTlsSettings, other: &ServerTlsSettings) -> bool {
    let (name, other_name) = (&one.credential_name, &other.credential_name);
    if !name.is_empty() || !other_name.is_empty() {
        return name == other_name;
    }
    !one.server_certificate.is_empty()
        && one.server_certificate == other.server_certificate
        && !one.private_key.is_empty()
        && one.private_key == other.private_key
}
