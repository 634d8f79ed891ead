//! IngressClass: which controller serves the Ingresses of a class.
//!
//! `IngressClass` of `networking/v1`. Istio's controller is `istio.io/ingress-controller`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::kubernetes::ingress_class::IngressClass;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let class: IngressClass =
//!     serde_json::from_str(r#"{"spec": {"controller": "istio.io/ingress-controller"}}"#)?;
//! assert_eq!(class.spec.controller, "istio.io/ingress-controller");
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

/// An IngressClass without its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressClass {
    /// What is asked for.
    pub spec: IngressClassSpec,
}

/// What an IngressClass asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressClassSpec {
    /// Name of the controller: a domain, a slash and a path. Required.
    pub controller: String,
}
