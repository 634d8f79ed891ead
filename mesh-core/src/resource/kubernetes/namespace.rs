//! Namespace: its labels.
//!
//! `Namespace` of `core/v1`. All that a mesh reads of it is metadata: labels that enable
//! injection or ambient mode and that selectors choose by, and annotations.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::kubernetes::namespace::Namespace;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let document = r#"{"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}"#;
//! assert_eq!(serde_json::from_str::<Namespace>(document)?, Namespace {});
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

/// A Namespace without its metadata: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {}
