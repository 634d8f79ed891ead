//! Who the workloads of the mesh are.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use examples::authority::Authority;
use mesh_core::workload::Workload;
use mesh_tls::resolve::{self, Identity, IdentityPublisher, LiveIdentity};

const TRUST_DOMAIN: &str = "cluster.local";

/// Issues identities, one for each service account.
#[derive(Debug)]
pub(super) struct Identities {
    authority: Authority,
    issued: Mutex<BTreeMap<String, Identity>>,
}

impl Identities {
    /// Makes their authority. The error is why there is none.
    pub(super) fn new() -> Result<Self, String> {
        let domain = TRUST_DOMAIN.parse();
        let domain = domain.map_err(|error| format!("`{TRUST_DOMAIN}`: {error}"))?;
        Ok(Self {
            authority: Authority::new(domain).map_err(|error| error.to_string())?,
            issued: Mutex::default(),
        })
    }

    /// The identity of a workload, which lasts as long as what publishes it. The error is why it has
    /// none.
    pub(super) fn of(
        &self,
        workload: &Workload,
    ) -> Result<(IdentityPublisher, LiveIdentity), String> {
        let account = match workload.service_account.as_str() {
            "" => "default",
            account => account,
        };
        let namespace = &workload.namespace;
        let id = format!("spiffe://{TRUST_DOMAIN}/ns/{namespace}/sa/{account}");
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let identity = match issued.get(&id) {
            Some(identity) => identity.clone(),
            None => {
                let identity = self.authority.identity(&id, &[]);
                let identity = identity.map_err(|error| error.to_string())?;
                issued.insert(id, identity.clone());
                identity
            }
        };
        let (publisher, live) = resolve::channel();
        publisher.publish(identity);
        Ok((publisher, live))
    }
}
