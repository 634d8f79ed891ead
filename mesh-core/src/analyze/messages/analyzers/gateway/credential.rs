//! Credentials of Gateways that are missing, or no certificate.

use super::{report_unselective, validity};
use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report, resolve_reference};
use crate::base64;
use crate::origin::FieldPath;
use crate::resource::kubernetes::secret::Secret;

/// A credential has to be a Secret in the namespace of the Gateway's pods, with a certificate that
/// is valid now.
pub(in crate::analyze::messages) fn credentials(context: &Context<'_>, report: &mut Report) {
    let root = FieldPath::root();
    let spec = root.field("spec");
    let servers = spec.field("servers");
    for gateway in &context.resources.gateways {
        // A pod without a namespace is as good as none: there is nowhere to look for a Secret.
        let mut pods = context.selected(&gateway.spec.selector);
        let namespace = pods.next().map(|pod| pod.metadata.namespace.as_str());
        let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) else {
            report_unselective(gateway, report);
            continue;
        };
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            let name = server.tls.as_ref().map(|tls| tls.credential_name.as_str());
            let Some(reference) = name.filter(|name| !name.is_empty()) else {
                continue;
            };
            let at = servers.index(index);
            let at = at.field("tls");
            let at = at.field("credentialName");
            let (of, name) = resolve_reference(reference, namespace);
            match context.resources.secret(of, name) {
                None => {
                    let arguments: [&dyn std::fmt::Display; 2] = [&"credentialName", &reference];
                    report.at(gateway, &at, Code::ReferencedResourceNotFound, &arguments);
                }
                Some(secret) if !is_valid(context, &secret.spec) => {
                    let name = &gateway.metadata.name;
                    report.at(
                        gateway,
                        &at,
                        Code::InvalidGatewayCredential,
                        &[name, &namespace],
                    );
                }
                Some(_) => {}
            }
        }
    }
}

fn is_valid(context: &Context<'_>, secret: &Secret) -> bool {
    let value = |key: &str| -> Option<Vec<u8>> {
        let plain = secret
            .string_data
            .get(key)
            .map(|text| text.clone().into_bytes());
        let bytes = plain.or_else(|| base64::decode(secret.data.get(key)?))?;
        Some(bytes).filter(|bytes| !bytes.is_empty())
    };
    let pair = |certificate: &str, key: &str| value(certificate).filter(|_| value(key).is_some());
    let certificate = pair("cert", "key").or_else(|| pair("tls.crt", "tls.key"));
    certificate.is_some_and(|pem| validity::is_certificate(&pem, context.now))
}
