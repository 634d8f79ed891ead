//! CustomResourceDefinition: a kind that Kubernetes does not know itself.
//!
//! `CustomResourceDefinition` of `apiextensions.k8s.io/v1`. All that is read of it is which kind it
//! defines; the version of the Gateway API that it is of stands in its annotations.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::kubernetes::custom_resource_definition::CustomResourceDefinition;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let definition: CustomResourceDefinition = serde_json::from_str(
//!     r#"{"spec": {"group": "networking.istio.io", "names": {"kind": "Sidecar"}}}"#,
//! )?;
//! assert_eq!(definition.spec.names.kind, "Sidecar");
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

/// A CustomResourceDefinition without its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CustomResourceDefinition {
    /// What is defined.
    pub spec: CustomResourceDefinitionSpec,
}

/// What a definition defines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CustomResourceDefinitionSpec {
    /// API group of the kind. Required.
    pub group: String,
    /// Names of the kind. Required.
    pub names: CustomResourceDefinitionNames,
}

/// Names of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CustomResourceDefinitionNames {
    /// What `kind:` says. Required.
    pub kind: String,
    /// Name in paths of the Kubernetes API. Required.
    pub plural: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_definition_keeps_all_that_is_read() {
        let names = json!({"kind": "TLSRoute", "plural": "tlsroutes"});
        let written = json!({"spec": {"group": "gateway.networking.k8s.io", "names": names}});
        let read: CustomResourceDefinition = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), written);
    }
}
