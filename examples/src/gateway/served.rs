use std::sync::Arc;

use http::HeaderValue;
use mesh_core::model::Model;
use mesh_core::model::filter::HeaderMutations;
use mesh_core::model::listener::{Direction, HttpConnection, Listener};
use mesh_core::model::route::RouteConfiguration;
use mesh_core::watch::Watch;
use mesh_core::workload::WorkloadKind;
use mesh_policy::authz::Forwarding;
use mesh_routing::error::CompileErrors;
use mesh_routing::table::RouteTable;
use mesh_tls::xfcc::{ClientCertDetails, ForwardClientCert};

use super::limits::Limits;
use super::mesh_wide::MeshWide;
use crate::headers::forwarded::Trust;
use crate::headers::{HeaderPolicy, router};

/// What is particular of a filter chain that carries HTTP.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) routes: Watch<RouteTable>,
    pub(super) limits: Limits,
    pub(super) uses: Uses,
    /// Whether policies are about its requests: those that others send, not what is sent to others.
    pub(super) is_guarded: bool,
    /// Whose address is that of the client.
    pub(super) forwarding: Forwarding,
    pub(super) headers: HeaderPolicy,
    /// What upstreams and clients are told of the attempts.
    pub(super) told: Told,
    /// What upstreams are told of the client's certificate.
    pub(super) client_cert: (ForwardClientCert, ClientCertDetails),
}

impl Served {
    /// No routes.
    pub(super) fn nothing() -> Self {
        Self {
            routes: no_routes().into(),
            limits: Limits::none(),
            uses: Uses::default(),
            is_guarded: true,
            forwarding: Forwarding::default(),
            headers: HeaderPolicy::default(),
            told: Told::default(),
            client_cert: (ForwardClientCert::Sanitize, ClientCertDetails::default()),
        }
    }

    /// Compiles what `connection` is about, and says what of it is not done.
    pub(super) fn compile(
        (model, wide): (&Model, &MeshWide),
        listener: &Listener,
        connection: &HttpConnection,
    ) -> Result<(Self, Vec<String>), CompileErrors> {
        let routes = route_configuration(model, &connection.route_configuration);
        let (limits, warnings) = Limits::compile((model, wide), listener, &routes);
        let served = Self {
            routes: RouteTable::compile(&routes)?.into(),
            limits,
            uses: Uses::of(&routes),
            is_guarded: listener.direction == Direction::Inbound,
            forwarding: Forwarding::of(connection),
            headers: header_policy(connection, wide),
            told: Told::of(connection),
            client_cert: client_cert(model, listener, wide),
        };
        Ok((served, warnings))
    }

    /// Whether requests may have [headers](router::steering) by which the router is told what to do: from their
    /// route, or from clients inside the mesh. Those of others have been removed.
    pub(super) fn is_steered(&self) -> bool {
        let trust = self.headers.forwarded.as_ref();
        let takes_internal = trust.is_some_and(|trust| !trust.internal.is_empty());
        self.uses.steering_headers || takes_internal
    }
}

/// What upstreams and clients are told of the attempts to answer a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// Upstreams, which attempt they see.
    pub(super) attempts: bool,
    /// The rest of what Envoy's router tells by headers that begin with `x-envoy-`.
    pub(super) debug: bool,
}

impl Told {
    fn of(connection: &HttpConnection) -> Self {
        Self {
            attempts: connection.count_attempts,
            debug: connection.envoy_debug_headers,
        }
    }
}

impl Default for Told {
    /// Everything.
    fn default() -> Self {
        Self {
            attempts: true,
            debug: true,
        }
    }
}

/// What the routes of a filter chain ask for. Nothing is spent on what none of them does.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Uses {
    /// Delays and aborts.
    pub(super) faults: bool,
    /// Copies of requests.
    pub(super) mirrors: bool,
    /// Operations on the headers of responses.
    pub(super) response_headers: bool,
    /// [Headers](router::steering) by which Envoy's router is told what to do.
    pub(super) steering_headers: bool,
}

impl Uses {
    pub(super) fn of(routes: &RouteConfiguration) -> Self {
        let mut uses = Self::default();
        uses.add_headers(&routes.headers);
        for host in &routes.virtual_hosts {
            uses.add_headers(&host.headers);
            for route in &host.routes {
                uses.faults |= route.fault.is_some();
                uses.add_headers(&route.headers);
                if let Some(forward) = route.forward_to() {
                    uses.mirrors |= !forward.mirrors.is_empty();
                    let destinations = forward.destinations.iter();
                    destinations.for_each(|to| uses.add_headers(&to.headers));
                }
            }
        }
        uses
    }

    fn add_headers(&mut self, headers: &HeaderMutations) {
        let mut written = headers.request.options.iter();
        self.response_headers |= !headers.response.is_empty();
        self.steering_headers |= written.any(|one| router::steering().any(|name| name == one.name));
    }
}

/// What upstreams are told of clients: by a gateway what its topology says, by a sidecar what its
/// headers say. A workload's own calls say nothing of its clients.
pub(crate) fn client_cert(
    model: &Model,
    listener: &Listener,
    wide: &MeshWide,
) -> (ForwardClientCert, ClientCertDetails) {
    match (model.workload.kind, listener.direction) {
        (WorkloadKind::Gateway, _) => {
            let topology = wide.options.gateway_topology();
            let mode = topology.map(|topology| topology.forward_client_cert_details);
            let mode = ForwardClientCert::for_gateway(mode.unwrap_or_default());
            (mode, ClientCertDetails::for_gateway())
        }
        (WorkloadKind::Sidecar, Direction::Inbound) => {
            let proxy = wide.options.as_written().default_config.as_ref();
            let headers = proxy.and_then(|proxy| proxy.proxy_headers.as_ref());
            let mode = headers.map(|headers| headers.forwarded_client_cert);
            let details =
                headers.and_then(|headers| headers.set_current_client_cert_details.as_ref());
            (
                ForwardClientCert::for_sidecar(mode.unwrap_or_default()),
                details.map(ClientCertDetails::from).unwrap_or_default(),
            )
        }
        (WorkloadKind::Sidecar, Direction::Outbound) => {
            (ForwardClientCert::Sanitize, ClientCertDetails::default())
        }
    }
}

/// What is done to the headers of the requests of `connection`.
pub(crate) fn header_policy(connection: &HttpConnection, wide: &MeshWide) -> HeaderPolicy {
    let HttpConnection {
        route_configuration: _,
        use_remote_address,
        trusted_hops,
        server_name,
        generate_request_id,
        append_forwarded_port,
        count_attempts: _,
        envoy_debug_headers: _,
    } = connection;
    let trust = Trust {
        trusted_hops: *trusted_hops,
        tells_port: *append_forwarded_port,
        ..Trust::default()
    };
    let server = server_name.as_deref();
    HeaderPolicy {
        normalization: wide.options.path_normalization(),
        forwarded: use_remote_address.then_some(trust),
        server: server.and_then(|server| HeaderValue::try_from(server).ok()),
        request_id: *generate_request_id,
        ..HeaderPolicy::default()
    }
}

/// The route configuration of a name; an empty one if there is none.
pub(super) fn route_configuration(model: &Model, name: &str) -> Arc<RouteConfiguration> {
    let routes = model.route_configurations.get(name);
    routes.cloned().unwrap_or_default()
}

fn no_routes() -> RouteTable {
    let empty = RouteTable::compile(&RouteConfiguration::default());
    empty.expect("a table of no hosts has nothing to refuse")
}

#[cfg(test)]
mod tests {
    use mesh_core::format_string::{Constants, HeaderFormat};
    use mesh_core::model::filter::HeaderOption;
    use mesh_core::model::route::{Route, RouteAction, RouteMatch, VirtualHost};
    use mesh_core::service::ClusterName;

    use super::*;

    /// Routes that write `name` at one of four levels, from the outermost on.
    fn writing(name: &str, level: usize) -> RouteConfiguration {
        let at = |one| {
            let mut headers = HeaderMutations::default();
            if level == one {
                let value = HeaderFormat::parse("1", &Constants::default()).unwrap();
                let option = HeaderOption::overwrite(name.parse().unwrap(), value);
                headers.request.options.push(option);
            }
            headers
        };
        let mut route = Route::forward("all", RouteMatch::prefix("/"), ClusterName::from("cart"));
        route.headers = at(2);
        if let RouteAction::Forward(forward) = &mut route.action {
            forward.destinations[0].headers = at(3);
        }
        let mut host = VirtualHost::new("all", ["*"], [route]);
        host.headers = at(1);
        RouteConfiguration {
            headers: at(0),
            virtual_hosts: vec![host],
            ..RouteConfiguration::default()
        }
    }

    #[test]
    fn what_tells_the_router_what_to_do_is_followed_whichever_level_writes_it() {
        for level in 0..4 {
            for (name, expected) in [
                ("x-envoy-retry-on", true),
                ("x-envoy-upstream-alt-stat-name", true),
                ("x-envoy-peer-metadata", false),
            ] {
                let uses = Uses::of(&writing(name, level));
                assert_eq!(uses.steering_headers, expected, "{name} {level}");
            }
        }
    }

    #[test]
    fn clients_inside_the_mesh_tell_the_router_what_to_do_if_there_can_be_any() {
        for (internal, expected) in [(vec![], false), (vec!["10.0.0.0/8"], true)] {
            let internal = internal.iter().map(|range| range.parse().unwrap());
            let trust = Trust {
                internal: internal.collect(),
                ..Trust::default()
            };
            let headers = HeaderPolicy {
                forwarded: Some(trust),
                ..HeaderPolicy::default()
            };
            let served = Served {
                headers,
                ..Served::nothing()
            };
            assert_eq!(served.is_steered(), expected);
        }
    }
}
