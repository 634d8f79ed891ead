//! Node: its addresses.
//!
//! `Node` of `core/v1`. Its locality is in its labels `topology.kubernetes.io/region`,
//! `topology.kubernetes.io/zone` and Istio's `topology.istio.io/subzone`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::kubernetes::node::Node;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let node: Node = serde_json::from_str(
//!     r#"{"status": {"addresses": [{"type": "ExternalIP", "address": "192.0.2.1"}]}}"#,
//! )?;
//! assert_eq!(node.status.addresses[0].address, "192.0.2.1");
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

/// A Node without its metadata and its spec.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Node {
    /// What the cluster knows of it.
    pub status: NodeStatus,
}

/// What the cluster knows of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    /// Where it can be reached, by which a gateway of the type `NodePort` is reached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<NodeAddress>,
}

/// Where a node can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeAddress {
    /// `Hostname`, `InternalIP`, `InternalDNS`, `ExternalIP` or `ExternalDNS`. Required.
    pub r#type: String,
    /// The address or the name. Required.
    pub address: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_keeps_all_that_is_read() {
        let written = json!({"status": {"addresses": [
            {"type": "InternalIP", "address": "10.0.0.1"},
            {"type": "Hostname", "address": "node-a"},
        ]}});
        let node: Node = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(node.status.addresses[1].r#type, "Hostname");
        assert_eq!(serde_json::to_value(&node).unwrap(), written);
    }
}
