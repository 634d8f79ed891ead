//! EnvoyFilter: patches of the configuration that Istio makes for Envoy.
//!
//! Kept whole, so that what is written can be reported as not supported.
//!
//! Source: messages of `networking/v1alpha3/envoy_filter.proto`; `networking.istio.io/v1alpha3`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::envoy_filter::{ApplyTo, EnvoyFilter};
//!
//! let spec: EnvoyFilter = serde_json::from_str(
//!     r#"{"configPatches": [{
//!         "applyTo": "CLUSTER",
//!         "patch": {"operation": "MERGE", "value": {"name": "cart"}}
//!     }]}"#,
//! )?;
//!
//! assert_eq!(spec.config_patches[0].apply_to, ApplyTo::Cluster);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod object_match;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::object_match::{
    ClusterMatch, EnvoyConfigObjectMatch, FilterChainMatch, FilterMatch, ListenerMatch,
    PatchContext, ProxyMatch, RouteAction, RouteConfigurationMatch, RouteMatch, SubFilterMatch,
    VirtualHostMatch, WaypointMatch, WaypointRouteMatch,
};
use crate::resource::Value;
use crate::resource::istio::is_default;
use crate::resource::istio::selector::{NetworkingWorkloadSelector, PolicyTargetReference};

/// Patches of Envoy's configuration for some workloads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyFilter {
    /// Workloads of this namespace. Default: all of them, or the whole mesh from the root
    /// namespace. Exclusive with `target_refs`.
    #[serde(skip_serializing_if = "is_default")]
    pub workload_selector: Option<NetworkingWorkloadSelector>,
    /// Resources that the patches are attached to.
    #[serde(skip_serializing_if = "is_default")]
    pub target_refs: Vec<PolicyTargetReference>,
    /// The patches, in order.
    #[serde(skip_serializing_if = "is_default")]
    pub config_patches: Vec<EnvoyConfigObjectPatch>,
    /// Order among filters, lowest first. Default: 0.
    #[serde(skip_serializing_if = "is_default")]
    pub priority: i32,
}

/// A patch and what it applies to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyConfigObjectPatch {
    /// Kind of object that is patched.
    #[serde(skip_serializing_if = "is_default")]
    pub apply_to: ApplyTo,
    /// Which objects of that kind. Default: all.
    #[serde(skip_serializing_if = "is_default")]
    pub r#match: Option<EnvoyConfigObjectMatch>,
    /// The patch.
    #[serde(skip_serializing_if = "is_default")]
    pub patch: Option<Patch>,
}

/// Kind of object in Envoy's configuration.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ApplyTo {
    /// Not said, which is an error.
    #[default]
    Invalid,
    /// A listener.
    Listener,
    /// A filter chain of a listener.
    FilterChain,
    /// A network filter of a filter chain.
    NetworkFilter,
    /// An HTTP filter of a connection manager.
    HttpFilter,
    /// A route configuration.
    RouteConfiguration,
    /// A virtual host of a route configuration.
    VirtualHost,
    /// A route of a virtual host.
    HttpRoute,
    /// A cluster.
    Cluster,
    /// The configuration of an extension.
    ExtensionConfig,
    /// The bootstrap.
    Bootstrap,
    /// A listener filter.
    ListenerFilter,
}

/// A patch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Patch {
    /// What is done.
    #[serde(skip_serializing_if = "is_default")]
    pub operation: PatchOperation,
    /// What it is done with: a part of Envoy's configuration in JSON form.
    #[serde(skip_serializing_if = "is_default")]
    pub value: Option<BTreeMap<String, Value>>,
    /// Where an HTTP filter is inserted.
    #[serde(skip_serializing_if = "is_default")]
    pub filter_class: FilterClass,
}

/// What a patch does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PatchOperation {
    /// Not said, which is an error.
    #[default]
    Invalid,
    /// Merges the value into the object, as protobuf does.
    Merge,
    /// Adds the value to the list.
    Add,
    /// Removes the object.
    Remove,
    /// Inserts the value before the object.
    InsertBefore,
    /// Inserts the value after the object.
    InsertAfter,
    /// Inserts the value at the beginning of the list.
    InsertFirst,
    /// Puts the value in the object's place.
    Replace,
    /// Merges, but puts lists in each other's place.
    MergeAndReplaceList,
}

/// Where an HTTP filter is inserted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FilterClass {
    /// Not said.
    #[default]
    Unspecified,
    /// After authentication.
    Authn,
    /// After authorization.
    Authz,
    /// Before statistics.
    Stats,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::istio::round_trip;

    #[test]
    fn a_patch_of_an_http_filter_is_read_whole() {
        let spec: EnvoyFilter = round_trip(&json!({
            "workloadSelector": {"labels": {"app": "reviews"}},
            "priority": -1,
            "configPatches": [{
                "applyTo": "HTTP_FILTER",
                "match": {
                    "context": "SIDECAR_INBOUND",
                    "proxy": {"proxyVersion": "^1\\.2.*"},
                    "listener": {
                        "portNumber": 8080,
                        "filterChain": {
                            "filter": {"name": "http", "subFilter": {"name": "router"}},
                        },
                    },
                },
                "patch": {
                    "operation": "INSERT_BEFORE",
                    "filterClass": "AUTHZ",
                    "value": {"typed_config": {"@type": "type.googleapis.com/lua", "limit": 2}},
                },
            }],
        }));

        let patch = &spec.config_patches[0];
        let listener = patch.r#match.as_ref().unwrap().listener.as_ref().unwrap();
        assert_eq!(listener.port_number, 8080);
        let value = patch.patch.as_ref().unwrap().value.as_ref().unwrap();
        assert_eq!(
            value["typed_config"].field("limit"),
            Some(&Value::Integer(2))
        );
    }

    #[test]
    fn routes_clusters_and_waypoints_are_matched() {
        for object in [
            json!({
                "routeConfiguration": {
                    "gateway": "istio-system/web",
                    "vhost": {"route": {"action": "ROUTE"}},
                },
            }),
            json!({"cluster": {"service": "cart", "portNumber": 80}}),
            json!({"context": "WAYPOINT", "waypoint": {"route": {"name": "default"}}}),
        ] {
            let object = round_trip::<EnvoyConfigObjectMatch>(&object);
            assert_eq!(object.listener, None);
        }
    }
}
