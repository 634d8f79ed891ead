//! The certificate that a Gateway presents to its backends (`validateBackendClientCertificateRef`).

use crate::config::MeshConfig;
use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::resolve::gateway_api::grants::{self, Referent};
use crate::resolve::gateway_api::tls;
use crate::resource::Resource;
use crate::resource::gateway_api::gateway::Gateway;
use crate::resource::kind::Kind;

/// Why it cannot be used. `None` if it can, or there is none.
///
/// Whether it may be referred to is asked first, so that nobody learns what there is in a namespace
/// that does not allow it.
pub(crate) fn refusal(config: &MeshConfig, gateway: &Resource<Gateway>) -> Option<Refusal> {
    let backend = gateway.spec.tls.as_ref()?.backend.as_ref()?;
    let reference = backend.client_certificate_ref.as_ref()?;
    let own = &gateway.metadata.namespace;
    let referent = Referent::secret(reference, own);
    if !grants::allows(config, Kind::KubernetesGateway, own, &referent) {
        let (name, namespace) = (referent.name, referent.namespace);
        let message = format!(
            "clientCertificateRef {name}/{namespace} not accessible to a Gateway in namespace \
             \"{own}\" (missing a ReferenceGrant?)"
        );
        return Some(Refusal::new(Reason::RefNotPermitted, message));
    }
    let why = tls::check_key_pair(config, reference, own).err()?;
    let message = format!(
        "invalid clientCertificateRef {}, {why}",
        tls::text(reference)
    );
    let reason = Reason::InvalidClientCertificateRef;
    Some(Refusal::new(reason, message))
}
