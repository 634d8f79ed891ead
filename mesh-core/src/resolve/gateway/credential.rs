//! Which Secrets of other namespaces a Gateway may name (`MergeGateways`, `filterAuthorizedResources`).
//!
//! `kubernetes-gateway://namespace/name` is how references of the Gateway API are written once they
//! are known to be allowed. Nothing keeps the author of a Gateway of Istio from writing it by hand.

use crate::model::Notice;
use crate::origin::Origin;
use crate::resolve::context::Context;
use crate::resolve::gateway_api;
use crate::resource::istio::gateway::ServerTlsSettings;

const SCHEME: &str = "kubernetes-gateway://";

/// What a credential that may not be used is called. Nothing has this name, so that handshakes fail.
const REFUSED: &str = "invalid://";

/// Replaces the credentials that a Gateway in `namespace` may not name.
pub(super) fn permit(
    context: &Context<'_>,
    (namespace, origin): (&str, &Origin),
    tls: &mut ServerTlsSettings,
    notices: &mut Vec<Notice>,
) {
    let ServerTlsSettings {
        credential_name,
        credential_names,
        ca_cert_credential_name,
        ..
    } = tls;
    let names = [credential_name, ca_cert_credential_name];
    for name in names.into_iter().chain(credential_names) {
        if is_permitted(context, namespace, name) {
            continue;
        }
        notices.push(Notice {
            origin: origin.clone(),
            message: format!("`{name}` is not used: no ReferenceGrant allows it"),
        });
        REFUSED.clone_into(name);
    }
}

/// Whether a Gateway in `namespace` may name the credential. What is in the workload's namespace it may
/// name if it is there itself.
fn is_permitted(context: &Context<'_>, namespace: &str, name: &str) -> bool {
    let Some(rest) = name.strip_prefix(SCHEME) else {
        return true;
    };
    let Some((of_secret, name)) = rest.split_once('/') else {
        return false;
    };
    let own = context.workload.namespace.as_str();
    if of_secret == own {
        return namespace == own;
    }
    gateway_api::is_secret_granted(context, of_secret, name)
}
