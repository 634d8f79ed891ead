//! Virtual services: the hosts, subsets, gateways and tokens that they depend on.

mod claims;
mod conflicts;
mod destinations;
mod gateways;
mod subsets;

pub(super) use self::claims::claims;
pub(super) use self::conflicts::conflicts;
pub(super) use self::destinations::destinations;
pub(super) use self::gateways::gateways;
pub(super) use self::subsets::subsets;

use crate::origin::{FieldPath, Origin};
use crate::resource::Resource;
use crate::resource::istio::VirtualService;
use crate::resource::istio::virtual_service::{Destination, HttpRoute, RouteDestination};

/// A destination, and where it is written. One that is left out has no host.
struct Place<'a> {
    host: &'a str,
    subset: &'a str,
    port: Option<u32>,
    origin: Origin,
    is_mirror: bool,
}

/// The destinations of a rule: of its TCP, TLS and HTTP routes, then of mirrors.
fn places(rule: &Resource<VirtualService>) -> Vec<Place<'_>> {
    let VirtualService {
        hosts: _,
        gateways: _,
        http,
        tls,
        tcp,
        export_to: _,
    } = &rule.spec;
    let mut places = Places {
        rule,
        found: Vec::new(),
    };
    let tcp = tcp.iter().map(|route| of_connections(&route.route));
    places.routes("tcp", tcp.collect());
    let tls = tls.iter().map(|route| of_connections(&route.route));
    places.routes("tls", tls.collect());
    let destinations = http.iter().map(|route| {
        let destinations = route.route.iter();
        destinations.map(|to| to.destination.as_ref()).collect()
    });
    places.routes("http", destinations.collect());
    places.mirrors(http);
    places.found
}

fn of_connections(route: &[RouteDestination]) -> Vec<Option<&Destination>> {
    route.iter().map(|to| to.destination.as_ref()).collect()
}

/// Collects places.
struct Places<'a> {
    rule: &'a Resource<VirtualService>,
    found: Vec<Place<'a>>,
}

impl<'a> Places<'a> {
    /// The destinations of each route of the list `name`.
    fn routes(&mut self, name: &str, routes: Vec<Vec<Option<&'a Destination>>>) {
        let root = FieldPath::root();
        let spec = root.field("spec");
        let list = spec.field(name);
        for (index, destinations) in routes.into_iter().enumerate() {
            let at = list.index(index);
            let at = at.field("route");
            for (index, destination) in destinations.into_iter().enumerate() {
                let at = at.index(index);
                self.add(destination, &at.field("destination"), false);
            }
        }
    }

    fn mirrors(&mut self, http: &'a [HttpRoute]) {
        let root = FieldPath::root();
        let spec = root.field("spec");
        let list = spec.field("http");
        for (index, route) in http.iter().enumerate() {
            let at = list.index(index);
            if route.mirror.is_some() {
                self.add(route.mirror.as_ref(), &at.field("mirror"), true);
            }
            let at = at.field("mirrors");
            for (index, mirror) in route.mirrors.iter().enumerate() {
                let at = at.index(index);
                self.add(mirror.destination.as_ref(), &at.field("destination"), true);
            }
        }
    }

    fn add(&mut self, destination: Option<&'a Destination>, at: &FieldPath<'_>, is_mirror: bool) {
        let port = destination.and_then(|destination| destination.port.as_ref());
        self.found.push(Place {
            host: destination.map_or("", |destination| &destination.host),
            subset: destination.map_or("", |destination| &destination.subset),
            port: port.map(|port| port.number),
            origin: self.rule.origin().at(at, &self.rule.source),
            is_mirror,
        });
    }
}
