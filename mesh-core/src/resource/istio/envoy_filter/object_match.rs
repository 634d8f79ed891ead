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

impl EnvoyConfigObjectMatch {
    /// A field that narrows the match by what only a proxy of Istio's, or the configuration that Istio
    /// makes for it, has: its version and metadata, the names of its listeners and filter chains,
    /// clusters, parts of waypoints. Its path, from `match`.
    ///
    /// `None` if nothing is named but contexts, ports, gateways, virtual hosts, routes, and filters of
    /// HTTP connections; and what Istio does not look at when it patches those.
    ///
    /// # Example
    ///
    /// ```
    /// use mesh_core::resource::istio::envoy_filter::EnvoyConfigObjectMatch;
    ///
    /// let object = |json| serde_json::from_str::<EnvoyConfigObjectMatch>(json);
    /// let port = object(r#"{"listener": {"portNumber": 8080}}"#)?;
    /// assert_eq!(port.internals(), None);
    /// let name = object(r#"{"listener": {"name": "virtualInbound"}}"#)?;
    /// assert_eq!(name.internals(), Some("match.listener.name"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn internals(&self) -> Option<&'static str> {
        let Self {
            context: _,
            proxy,
            listener,
            // All of it can be told of routes.
            route_configuration: _,
            cluster,
            waypoint,
        } = self;
        let proxy = proxy.as_ref().and_then(ProxyMatch::internals);
        let listener = listener.as_ref().and_then(ListenerMatch::internals);
        let others = [
            ("match.cluster", cluster.is_some()),
            ("match.waypoint", waypoint.is_some()),
        ];
        proxy.or(listener).or_else(|| named(&others))
    }
}

/// The first of some fields that is written.
fn named(fields: &[(&'static str, bool)]) -> Option<&'static str> {
    let mut written = fields.iter().filter(|(_, is_written)| *is_written);
    written.next().map(|(name, _)| *name)
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

impl ProxyMatch {
    fn internals(&self) -> Option<&'static str> {
        let Self {
            proxy_version,
            metadata,
        } = self;
        named(&[
            ("match.proxy.proxyVersion", !proxy_version.is_empty()),
            ("match.proxy.metadata", !metadata.is_empty()),
        ])
    }
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

impl ListenerMatch {
    fn internals(&self) -> Option<&'static str> {
        let Self {
            port_number: _,
            // Istio looks at neither.
            port_name: _,
            listener_filter: _,
            filter_chain,
            name,
        } = self;
        let chain = filter_chain.as_ref().and_then(FilterChainMatch::internals);
        named(&[("match.listener.name", !name.is_empty())]).or(chain)
    }
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

/// The filter that HTTP filters are in.
const CONNECTION_MANAGER: &str = "envoy.filters.network.http_connection_manager";

impl FilterChainMatch {
    fn internals(&self) -> Option<&'static str> {
        let Self {
            name,
            sni,
            transport_protocol,
            application_protocols,
            filter,
            destination_port,
            // Istio does not look at it where it patches HTTP.
            transport_socket: _,
        } = self;
        let filter = filter.as_ref();
        let of_http = filter.is_none_or(|filter| filter.name == CONNECTION_MANAGER);
        named(&[
            ("match.listener.filterChain.name", !name.is_empty()),
            ("match.listener.filterChain.sni", !sni.is_empty()),
            (
                "match.listener.filterChain.transportProtocol",
                !transport_protocol.is_empty(),
            ),
            (
                "match.listener.filterChain.applicationProtocols",
                !application_protocols.is_empty(),
            ),
            (
                "match.listener.filterChain.destinationPort",
                *destination_port != 0,
            ),
            ("match.listener.filterChain.filter.name", !of_http),
        ])
    }
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
