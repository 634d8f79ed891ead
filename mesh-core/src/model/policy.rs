//! Policies attached to a workload, as written, in the order in which they apply.
//!
//! They are compiled elsewhere: authentication and authorization by `mesh-policy`, peer
//! authentication by `mesh-tls`.
//!
//! # Example
//!
//! ```
//! use mesh_core::model::policy::{MtlsMode, PeerPolicy};
//!
//! let policy = PeerPolicy::default();
//! assert_eq!(policy.mode_of(8080), MtlsMode::Permissive);
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::origin::Origin;
use crate::resource::istio::authorization_policy::AuthorizationPolicy;
use crate::resource::istio::request_authentication::RequestAuthentication;
use crate::resource::istio::telemetry::Telemetry;
use crate::resource::{Resource, Spec};

/// The policies of a workload.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Policies {
    /// Whether callers must prove an identity.
    pub peer: PeerPolicy,
    /// Tokens that are verified, of all matching policies together.
    #[serde(serialize_with = "as_written")]
    pub request_authentication: Vec<Arc<Resource<RequestAuthentication>>>,
    /// Who may call, of all matching policies together: root namespace first.
    #[serde(serialize_with = "as_written")]
    pub authorization: Vec<Arc<Resource<AuthorizationPolicy>>>,
    /// What is recorded, the more general first: a later one overrides the earlier ones.
    #[serde(serialize_with = "as_written")]
    pub telemetry: Vec<Arc<Resource<Telemetry>>>,
}

/// Whether callers must prove an identity, by port.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct PeerPolicy {
    /// For every port that `ports` does not name.
    pub mode: MtlsMode,
    /// By the port that the workload listens on.
    pub ports: BTreeMap<u16, MtlsMode>,
    /// The policies that decided, the most specific last.
    pub origins: Vec<Origin>,
}

impl PeerPolicy {
    /// The mode of a port that the workload listens on.
    pub fn mode_of(&self, port: u16) -> MtlsMode {
        self.ports.get(&port).copied().unwrap_or(self.mode)
    }
}

/// Whether callers must prove an identity.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MtlsMode {
    /// Only plaintext is accepted.
    Disable,
    /// Plaintext and mesh mTLS are accepted.
    #[default]
    Permissive,
    /// Only mesh mTLS is accepted.
    Strict,
}

/// A policy in the serialised model: where it was written, and what it says.
#[derive(Serialize)]
struct Written<'a, S> {
    origin: Origin,
    spec: &'a S,
}

fn as_written<S, Z>(policies: &[Arc<Resource<S>>], serializer: Z) -> Result<Z::Ok, Z::Error>
where
    S: Spec + Serialize,
    Z: Serializer,
{
    let mut list = serializer.serialize_seq(Some(policies.len()))?;
    for policy in policies {
        let (origin, spec) = (policy.origin(), &policy.spec);
        list.serialize_element(&Written { origin, spec })?;
    }
    list.end()
}
