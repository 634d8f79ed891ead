//! What limits are compiled for, and which patches are about it.

use std::cmp::Ordering;
use std::sync::Arc;

use mesh_core::model::route::{Route, RouteAction, RouteConfiguration, VirtualHost};
use mesh_core::resolve::is_for_workload;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::envoy_filter::{
    EnvoyConfigObjectMatch, EnvoyFilter, PatchContext, RouteAction as MatchedAction,
    RouteConfigurationMatch,
};
use mesh_core::workload::Workload;

use super::fields::{Unsupported, unsupported};

/// Labels that name the application of a workload, the one that counts first (`labels.GetApp`).
const APP_LABELS: [&str; 3] = [
    "app",
    "app.kubernetes.io/name",
    "service.istio.io/canonical-name",
];

/// What limits are compiled for: a direction of traffic of a workload, and its routes.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    context: PatchContext,
    workload: &'a Workload,
    root_namespace: &'a str,
    port: Option<u16>,
    routes: Option<&'a RouteConfiguration>,
}

impl<'a> Scope<'a> {
    /// A direction of traffic of `workload`, in a mesh whose root namespace is `root_namespace`.
    pub fn new(context: PatchContext, workload: &'a Workload, root_namespace: &'a str) -> Self {
        Self {
            context,
            workload,
            root_namespace,
            port: None,
            routes: None,
        }
    }

    /// Sets the port of the listener, for patches that name one. Without it, they are not enforced,
    /// which is told.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Sets the routes, of which the route table is compiled, too. Without them, patches of routes and
    /// virtual hosts are not enforced, which is told.
    #[must_use]
    pub fn with_routes(mut self, routes: &'a RouteConfiguration) -> Self {
        self.routes = Some(routes);
        self
    }

    /// The filters that are for the workload, in the order in which they apply: by priority, those of
    /// the root namespace first, the oldest first (`sortEnvoyFilters`).
    pub(super) fn select<'f>(
        &self,
        filters: impl IntoIterator<Item = &'f Resource<EnvoyFilter>>,
    ) -> Vec<&'f Resource<EnvoyFilter>> {
        let filters = filters.into_iter();
        let selected =
            filters.filter(|filter| is_for_workload(filter, self.workload, self.root_namespace));
        let mut selected: Vec<_> = selected.collect();
        selected.sort_by(|one, other| self.order(one, other));
        selected
    }

    fn order(&self, one: &Resource<EnvoyFilter>, other: &Resource<EnvoyFilter>) -> Ordering {
        let key = |filter: &Resource<EnvoyFilter>| {
            let metadata = &filter.metadata;
            let is_own = metadata.namespace != self.root_namespace;
            (filter.spec.priority, is_own, metadata.creation_timestamp)
        };
        key(one)
            .cmp(&key(other))
            .then_with(|| one.metadata.name.cmp(&other.metadata.name))
    }

    /// The name that Istio gives a proxy of the workload as a cluster: its application's, or its own, and
    /// its namespace (`getServiceCluster`). What a ProxyConfig names it is not known here.
    pub(super) fn own_cluster(&self) -> String {
        let Workload {
            name,
            namespace,
            labels,
            ..
        } = self.workload;
        let named = Some(name.as_str()).filter(|name| !name.is_empty());
        let app = APP_LABELS.iter().find_map(|label| labels.value(label));
        let app = app.or(named).unwrap_or("istio-proxy");
        format!("{app}.{namespace}")
    }

    /// Whether a patch with `context` is about the direction.
    pub(super) fn is_in(&self, context: PatchContext) -> bool {
        context == PatchContext::Any || context == self.context
    }

    /// Whether a patch is about the direction, the port and the routes. It may also be about what
    /// cannot be told here.
    pub(super) fn matches(&self, object: &EnvoyConfigObjectMatch) -> Result<bool, Unsupported> {
        if !self.is_in(object.context) {
            return Ok(false);
        }
        if let Some(internal) = object.internals() {
            return Err(unsupported(internal));
        }
        for asked in named_ports(object) {
            let port = self.port.ok_or(Unsupported::Port(asked))?;
            if u32::from(port) != asked {
                return Ok(false);
            }
        }
        match &object.route_configuration {
            Some(asked) if self.context == PatchContext::Gateway => self.is_of_gateway(asked),
            // A sidecar's have neither port names nor gateways, which Istio does not look at then.
            Some(_) | None => Ok(true),
        }
    }

    /// Whether the routes are those of the gateway, and of the named port, that a patch asks for.
    fn is_of_gateway(&self, asked: &RouteConfigurationMatch) -> Result<bool, Unsupported> {
        let (gateway, port_name) = (asked.gateway.as_str(), asked.port_name.as_str());
        if gateway.is_empty() && port_name.is_empty() {
            return Ok(true);
        }
        let routes = self.routes.ok_or(Unsupported::Routes)?;
        let (own_port, own_gateway) = gateway_of(&routes.name).unwrap_or_default();
        Ok((gateway.is_empty() || gateway == own_gateway)
            && (port_name.is_empty() || port_name == own_port))
    }

    /// The routes that a patch of virtual hosts, or of routes, is about.
    pub(super) fn routes(
        &self,
        object: &EnvoyConfigObjectMatch,
        on_host: bool,
    ) -> Result<Vec<&'a Arc<Route>>, Unsupported> {
        let routes = self.routes.ok_or(Unsupported::Routes)?;
        let asked = object.route_configuration.as_ref();
        if asked.is_some_and(|asked| !asked.name.is_empty() && asked.name != routes.name) {
            return Ok(Vec::new());
        }
        let hosts = routes.virtual_hosts.iter();
        let found = hosts
            .filter(|host| is_host(asked, host))
            .flat_map(|host| &host.routes)
            .filter(|route| on_host || is_route(asked, route));
        Ok(found.collect())
    }
}

/// The ports that a patch names.
pub(super) fn named_ports(object: &EnvoyConfigObjectMatch) -> impl Iterator<Item = u32> {
    let listener = object.listener.as_ref();
    let routes = object.route_configuration.as_ref();
    let ports = [
        listener.map_or(0, |listener| listener.port_number),
        routes.map_or(0, |routes| routes.port_number),
    ];
    ports.into_iter().filter(|port| *port != 0)
}

/// The name of the port, and the gateway, that routes are of, by their name:
/// `https.<port>.<port name>.<gateway>.<namespace>`. Those of plain HTTP may be of several gateways,
/// and are of none (`ParseGatewayRDSRouteName`).
fn gateway_of(routes: &str) -> Option<(&str, String)> {
    let parts: Vec<&str> = routes.split('.').collect();
    let ["https", _, port, name, namespace] = parts[..] else {
        return None;
    };
    Some((port, format!("{namespace}/{name}")))
}

fn is_host(asked: Option<&RouteConfigurationMatch>, host: &VirtualHost) -> bool {
    let asked = asked.and_then(|asked| asked.vhost.as_ref());
    asked.is_none_or(|asked| {
        let domain = asked.domain_name.as_str();
        (asked.name.is_empty() || asked.name == host.name)
            && (domain.is_empty() || host.domains.iter().any(|own| own == domain))
    })
}

fn is_route(asked: Option<&RouteConfigurationMatch>, route: &Route) -> bool {
    let Some(asked) = asked.and_then(|asked| asked.vhost.as_ref()?.route.as_ref()) else {
        return true;
    };
    let is_action = match asked.action {
        MatchedAction::Any => true,
        MatchedAction::Route => matches!(route.action, RouteAction::Forward(_)),
        MatchedAction::Redirect => matches!(route.action, RouteAction::Redirect(_)),
        MatchedAction::DirectResponse => matches!(route.action, RouteAction::DirectResponse(_)),
    };
    is_action && (asked.name.is_empty() || asked.name == route.name)
}
