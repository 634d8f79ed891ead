use std::sync::Arc;

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::analyze::status::backend_tls_policy::{self, Ancestors, PolicyStatus};
use crate::analyze::status::gateway::{self, GatewayStatus};
use crate::analyze::status::gateway_class::{self, GatewayClassStatus};
use crate::analyze::status::listener_set::{self, ListenerSetStatus};
use crate::analyze::status::options::StatusOptions;
use crate::analyze::status::route::{self, RouteStatus};
use crate::analyze::status::scene::Scene;
use crate::config::MeshConfig;
use crate::model::Notice;
use crate::origin::Origin;
use crate::resolve::gateway_api::class::{self, REMOTE_CONTROLLER};
use crate::resolve::gateway_api::review::ReviewedRoute;
use crate::resource::kind::Kind;
use crate::resource::{Resource, Spec};

/// The status of every resource that a controller has a say about.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Statuses {
    /// Of classes of the controller.
    pub gateway_classes: Vec<ResourceStatus<GatewayClassStatus>>,
    /// Of Gateways of these classes.
    pub gateways: Vec<ResourceStatus<GatewayStatus>>,
    /// Of ListenerSets that would add to these Gateways.
    pub listener_sets: Vec<ResourceStatus<ListenerSetStatus>>,
    /// Of routes of gRPC calls.
    pub grpc_routes: Vec<ResourceStatus<RouteStatus>>,
    /// Of routes of HTTP requests.
    pub http_routes: Vec<ResourceStatus<RouteStatus>>,
    /// Of routes of TCP connections.
    pub tcp_routes: Vec<ResourceStatus<RouteStatus>>,
    /// Of routes of TLS connections.
    pub tls_routes: Vec<ResourceStatus<RouteStatus>>,
    /// Of routes of datagrams.
    pub udp_routes: Vec<ResourceStatus<RouteStatus>>,
    /// Of policies of TLS to backends.
    pub backend_tls_policies: Vec<ResourceStatus<PolicyStatus>>,
    /// Gateways that are left to other controllers.
    pub notices: Vec<Notice>,
}

/// Writes the list of all resources, without the notices.
impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            gateway_classes,
            gateways,
            listener_sets,
            grpc_routes,
            http_routes,
            tcp_routes,
            tls_routes,
            udp_routes,
            backend_tls_policies,
            notices: _,
        } = self;
        let mut list = serializer.serialize_seq(None)?;
        gateway_classes
            .iter()
            .try_for_each(|found| list.serialize_element(found))?;
        gateways
            .iter()
            .try_for_each(|found| list.serialize_element(found))?;
        listener_sets
            .iter()
            .try_for_each(|found| list.serialize_element(found))?;
        let routes = [http_routes, grpc_routes, tls_routes, tcp_routes, udp_routes];
        routes
            .into_iter()
            .flatten()
            .try_for_each(|found| list.serialize_element(found))?;
        backend_tls_policies
            .iter()
            .try_for_each(|found| list.serialize_element(found))?;
        list.end()
    }
}

/// The status of one resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResourceStatus<T> {
    /// The resource.
    pub origin: Origin,
    /// Its kind.
    pub kind: Kind,
    /// What is written under `status`.
    pub status: T,
}

/// Writes what identifies the resource, and its `status`, as Kubernetes has them.
impl<T: Serialize> Serialize for ResourceStatus<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let document = Document {
            api_version: self.kind.api_version(),
            kind: self.kind,
            metadata: Identity {
                name: self.origin.name(),
                namespace: self.origin.namespace(),
            },
            status: &self.status,
        };
        document.serialize(serializer)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a, T> {
    api_version: String,
    kind: Kind,
    metadata: Identity<'a>,
    status: &'a T,
}

#[derive(Serialize)]
struct Identity<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
}

/// The status that the controller would write of every resource of the Gateway API.
pub fn statuses(config: &MeshConfig, options: &StatusOptions) -> Statuses {
    let resources = &config.resources().gateway_api;
    let mut scene = Scene::new(config, options);
    let mut ancestors = Ancestors::default();
    let mut statuses = Statuses {
        grpc_routes: routes(&mut scene, &resources.grpc_routes, &mut ancestors),
        http_routes: routes(&mut scene, &resources.http_routes, &mut ancestors),
        tcp_routes: routes(&mut scene, &resources.tcp_routes, &mut ancestors),
        tls_routes: routes(&mut scene, &resources.tls_routes, &mut ancestors),
        udp_routes: routes(&mut scene, &resources.udp_routes, &mut ancestors),
        ..Statuses::default()
    };
    // All routes are counted.
    let own = scene.gateways.iter();
    statuses.gateways = own
        .map(|own| of(own.resource, gateway::status(&scene, own)))
        .collect();
    add_remote(&scene, &mut statuses);
    let classes = resources.gateway_classes.iter();
    statuses.gateway_classes = classes
        .filter_map(|class| Some(of(class, gateway_class::status(&scene, class)?)))
        .collect();
    let sets = resources.listener_sets.iter();
    statuses.listener_sets = sets
        .filter_map(|set| Some(of(set, listener_set::status(&scene, set)?)))
        .collect();
    let policies = resources.backend_tls_policies.iter();
    statuses.backend_tls_policies = policies
        .map(|policy| {
            let status = backend_tls_policy::status(&scene, policy, &ancestors);
            of(policy, status)
        })
        .collect();
    statuses
}

fn of<S: Spec, T>(resource: &Resource<S>, status: T) -> ResourceStatus<T> {
    ResourceStatus {
        origin: resource.origin(),
        kind: S::KIND,
        status,
    }
}

/// The status of routes of one kind, also of those that refer to nothing of the controller's, which
/// may have had one before. Counts what is attached to listeners, and what routes lead to.
fn routes<'a, S: ReviewedRoute>(
    scene: &mut Scene<'a>,
    routes: &'a [Arc<Resource<S>>],
    ancestors: &mut Ancestors<'a>,
) -> Vec<ResourceStatus<RouteStatus>> {
    let mut statuses = Vec::with_capacity(routes.len());
    for route in routes {
        ancestors.add(scene, route);
        let (status, attached) = route::status(scene, route);
        for (gateway, listener) in attached {
            scene.gateways[gateway].attached[listener] += 1;
        }
        statuses.push(of(route, status));
    }
    statuses
}

/// Gateways that are run elsewhere, and those of other controllers.
fn add_remote(scene: &Scene<'_>, statuses: &mut Statuses) {
    for gateway in &scene.config.resources().gateway_api.gateways {
        let class = &gateway.spec.gateway_class_name;
        let controller = class::controller(scene.config, class);
        if controller == Some(scene.options.controller.as_str()) {
            continue;
        }
        if controller == Some(REMOTE_CONTROLLER) {
            let status = gateway::remote_status(scene, gateway);
            statuses.gateways.push(of(gateway, status));
            continue;
        }
        let own = &scene.options.controller;
        statuses.notices.push(Notice {
            origin: gateway.origin(),
            message: format!(
                "the controller of the class `{class}` is not `{own}`; the Gateway is left to it"
            ),
        });
    }
}
