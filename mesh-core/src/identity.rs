//! Who a workload is: SPIFFE IDs and trust domains.
//!
//! The syntax is that of the [SPIFFE-ID] standard. Istio's identities are SPIFFE IDs whose path
//! names a Kubernetes service account, see [`SpiffeId::service_account`].
//!
//! [SPIFFE-ID]: https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md
//!
//! # Example
//!
//! ```
//! use mesh_core::identity::SpiffeId;
//!
//! # fn main() -> Result<(), mesh_core::identity::ParseSpiffeIdError> {
//! let id: SpiffeId = "spiffe://cluster.local/ns/prod/sa/reviews".parse()?;
//! assert_eq!(id.trust_domain().as_str(), "cluster.local");
//!
//! let account = id.service_account().expect("the path names an account");
//! assert_eq!((account.namespace, account.name), ("prod", "reviews"));
//! # Ok(())
//! # }
//! ```

mod spiffe_id;
mod trust_domain;

pub use spiffe_id::{ParseSpiffeIdError, ServiceAccount, SpiffeId};
pub use trust_domain::{TrustDomain, TrustDomains, validate_mesh_trust_domain};
