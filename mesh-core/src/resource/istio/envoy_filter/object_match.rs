//! Which objects of Envoy's configuration are patched. Source: message `EnvoyConfigObjectMatch`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::istio::is_default;

/// Which objects are patched. At most one of the last four may be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyConfigObjectMatch {
    /// What the object is made for.
    #[serde(skip_serializing_if = "is_default")]
    pub context: PatchContext,
    /// The proxy.
    #[serde(skip_serializing_if = "is_default")]
    pub proxy: Option<ProxyMatch>,
    /// The listener.
    #[serde(skip_serializing_if = "is_default")]
    pub listener: Option<ListenerMatch>,
    /// The route configuration.
    #[serde(skip_serializing_if = "is_default")]
    pub route_configuration: Option<RouteConfigurationMatch>,
    /// The cluster.
    #[serde(skip_serializing_if = "is_default")]
    pub cluster: Option<ClusterMatch>,
    /// The part of a waypoint; needs [`PatchContext::Waypoint`].
    #[serde(skip_serializing_if = "is_default")]
    pub waypoint: Option<WaypointMatch>,
}

/// What an object is made for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PatchContext {
    /// Anything but a waypoint.
    #[default]
    Any,
    /// Traffic to a sidecar's workload.
    SidecarInbound,
    /// Traffic from a sidecar's workload.
    SidecarOutbound,
    /// A gateway.
    Gateway,
    /// A waypoint.
    Waypoint,
}

/// Which proxies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyMatch {
    /// RE2 expression for the version of Istio's proxy.
    #[serde(skip_serializing_if = "is_default")]
    pub proxy_version: String,
    /// Metadata of the node, all of which has to be there.
    #[serde(skip_serializing_if = "is_default")]
    pub metadata: BTreeMap<String, String>,
}

/// Which clusters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterMatch {
    /// Port of the service.
    #[serde(skip_serializing_if = "is_default")]
    pub port_number: u32,
    /// Host of the service.
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    /// Subset of the service.
    #[serde(skip_serializing_if = "is_default")]
    pub subset: String,
    /// Name of the cluster.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
}

/// Which route configurations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteConfigurationMatch {
    /// Port of the gateway or service.
    #[serde(skip_serializing_if = "is_default")]
    pub port_number: u32,
    /// Name of the gateway's port.
    #[serde(skip_serializing_if = "is_default")]
    pub port_name: String,
    /// The gateway, as `namespace/name`.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway: String,
    /// The virtual host.
    #[serde(skip_serializing_if = "is_default")]
    pub vhost: Option<VirtualHostMatch>,
    /// Name of the route configuration.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
}

/// Which virtual hosts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualHostMatch {
    /// Name of the virtual host.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// One of its domains.
    #[serde(skip_serializing_if = "is_default")]
    pub domain_name: String,
    /// The route.
    #[serde(skip_serializing_if = "is_default")]
    pub route: Option<RouteMatch>,
}

/// Which routes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteMatch {
    /// Name of the route.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// What the route does.
    #[serde(skip_serializing_if = "is_default")]
    pub action: RouteAction,
}

/// What a route does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RouteAction {
    /// Anything.
    #[default]
    Any,
    /// It forwards.
    Route,
    /// It redirects.
    Redirect,
    /// It answers.
    DirectResponse,
}

/// Which listeners.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerMatch {
    /// Port of the listener.
    #[serde(skip_serializing_if = "is_default")]
    pub port_number: u32,
    /// Name of the port. Istio does nothing with it.
    #[serde(skip_serializing_if = "is_default")]
    pub port_name: String,
    /// The filter chain.
    #[serde(skip_serializing_if = "is_default")]
    pub filter_chain: Option<FilterChainMatch>,
    /// Name of a listener filter.
    #[serde(skip_serializing_if = "is_default")]
    pub listener_filter: String,
    /// Name of the listener.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
}

/// Which filter chains.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FilterChainMatch {
    /// Name of the filter chain.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Server name that the filter chain matches.
    #[serde(skip_serializing_if = "is_default")]
    pub sni: String,
    /// Transport that the filter chain matches: `tls` or `raw_buffer`.
    #[serde(skip_serializing_if = "is_default")]
    pub transport_protocol: String,
    /// Protocols of ALPN that the filter chain matches, with commas between.
    #[serde(skip_serializing_if = "is_default")]
    pub application_protocols: String,
    /// The network filter.
    #[serde(skip_serializing_if = "is_default")]
    pub filter: Option<FilterMatch>,
    /// Port that the filter chain matches.
    #[serde(skip_serializing_if = "is_default")]
    pub destination_port: u32,
    /// Name of the transport socket that the filter chain uses.
    #[serde(skip_serializing_if = "is_default")]
    pub transport_socket: String,
}

/// Which filters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FilterMatch {
    /// Name of the filter.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// The filter within it.
    #[serde(skip_serializing_if = "is_default")]
    pub sub_filter: Option<SubFilterMatch>,
}

/// Which filters within a filter, such as HTTP filters in a connection manager.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubFilterMatch {
    /// Name of the filter.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
}

/// Which parts of a waypoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WaypointMatch {
    /// Port of the service.
    #[serde(skip_serializing_if = "is_default")]
    pub port_number: u32,
    /// The route.
    #[serde(skip_serializing_if = "is_default")]
    pub route: Option<WaypointRouteMatch>,
    /// The filter.
    #[serde(skip_serializing_if = "is_default")]
    pub filter: Option<FilterMatch>,
}

/// Which routes of a waypoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WaypointRouteMatch {
    /// Name of the route.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
}
