//! The rules of Ingresses, by host.
//!
//! Rules of all Ingresses for the same host are put together: the longest path first, and of paths
//! of the same length an exact one first (Kubernetes: [multiple matches]).
//!
//! [multiple matches]: https://kubernetes.io/docs/concepts/services-networking/ingress/#multiple-matches

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use crate::host::{self, HostPattern};
use crate::model::Notice;
use crate::model::retry::HashPolicy;
use crate::model::route::{
    Forward, PathMatch, Route, RouteAction, RouteMatch, WeightedDestination,
};
use crate::origin::Origin;
use crate::resolve::context::Context;
use crate::resolve::gateway::ingress::gateway_name;
use crate::resolve::gateway::server::{GatewayName, GatewayServer, HttpBinding};
use crate::resolve::place::Place;
use crate::resolve::virtual_service::{Delegates, RouteContext, hash, retry};
use crate::resource::Resource;
use crate::resource::kubernetes::ingress::{
    Ingress, IngressBackend, IngressPath, IngressRule, PathType, ServiceBackendPort,
};
use crate::service::{ClusterName, ServiceName};

/// The rules of all Ingresses.
#[derive(Debug, Default)]
pub(super) struct Rules {
    hosts: Vec<HostRules>,
    indices: HashMap<HostPattern, usize>,
    // Indices into `hosts`.
    by_gateway: HashMap<GatewayName, Vec<usize>>,
}

#[derive(Debug)]
struct HostRules {
    host: HostPattern,
    origin: Origin,
    routes: Vec<(Precedence, Arc<Route>)>,
}

/// The length of a path, the longest first, and whether it is not exact.
type Precedence = (Reverse<usize>, bool);

impl Rules {
    /// Adds the rules of an Ingress, whose `spec` is at `place`.
    pub(super) fn add(
        &mut self,
        context: &Context<'_>,
        ingress: &Resource<Ingress>,
        place: &Place<'_>,
        notices: &mut Vec<Notice>,
    ) {
        let reader = Reader::new(context, &ingress.metadata.namespace);
        let list = place.field("rules");
        for (index, rule) in ingress.spec.spec.rules.iter().enumerate() {
            let place = list.index(index);
            let routes = reader.routes(rule, &place, notices);
            // Another rule may have the host, or one for more hosts.
            if !routes.is_empty() {
                self.host(rule, ingress, &place).routes.extend(routes);
            }
        }
        if ingress.spec.spec.default_backend.is_some() {
            let place = place.field("defaultBackend");
            notices.push(place.notice("Istio has no default backend; a rule without host is one"));
        }
    }

    /// The rules for the host of `rule`.
    fn host(
        &mut self,
        rule: &IngressRule,
        ingress: &Resource<Ingress>,
        place: &Place<'_>,
    ) -> &mut HostRules {
        let written = rule.host.as_deref().filter(|host| !host.is_empty());
        let pattern = HostPattern::new(written.unwrap_or("*"));
        let next = self.hosts.len();
        let index = *self.indices.entry(pattern.clone()).or_insert(next);
        if index == next {
            self.hosts.push(HostRules {
                host: pattern,
                origin: place.origin(),
                routes: Vec::new(),
            });
        }
        let named = self.by_gateway.entry(gateway_name(ingress)).or_default();
        if !named.contains(&index) {
            named.push(index);
        }
        &mut self.hosts[index]
    }

    /// Binds the rules to the servers of the Ingresses that have them.
    pub(super) fn bind(mut self, servers: &mut [GatewayServer]) {
        let routes: Vec<Arc<[Arc<Route>]>> = self
            .hosts
            .iter_mut()
            .map(|rules| {
                rules.routes.sort_by_key(|(precedence, _)| *precedence);
                rules
                    .routes
                    .iter()
                    .map(|(_, route)| Arc::clone(route))
                    .collect()
            })
            .collect();
        for server in servers {
            let served: Vec<_> = server
                .hosts
                .iter()
                .map(|host| host.host().clone())
                .collect();
            let indices = self.by_gateway.get(&server.gateway);
            for &index in indices.into_iter().flatten() {
                let rules = &self.hosts[index];
                let hosts = host::intersection(&served, std::slice::from_ref(&rules.host));
                if !hosts.is_empty() {
                    server.bindings.http.push(HttpBinding {
                        hosts,
                        routes: Arc::clone(&routes[index]),
                        origin: rules.origin.clone(),
                    });
                }
            }
        }
    }
}

/// Makes routes of the paths of one Ingress.
struct Reader<'a> {
    context: &'a Context<'a>,
    namespace: &'a str,
}

impl<'a> Reader<'a> {
    fn new(context: &'a Context<'a>, namespace: &'a str) -> Self {
        Self { context, namespace }
    }

    fn routes(
        &self,
        rule: &IngressRule,
        place: &Place<'_>,
        notices: &mut Vec<Notice>,
    ) -> Vec<(Precedence, Arc<Route>)> {
        let http = place.field("http");
        let paths = http.field("paths");
        if rule.http.paths.is_empty() {
            notices.push(place.notice("a rule without paths has no effect"));
        }
        let mut routes = Vec::new();
        for (index, path) in rule.http.paths.iter().enumerate() {
            match self.route(path, &paths.index(index)) {
                Ok(route) => routes.push(route),
                Err(notice) => notices.push(notice),
            }
        }
        routes
    }

    fn route(
        &self,
        path: &IngressPath,
        place: &Place<'_>,
    ) -> Result<(Precedence, Arc<Route>), Notice> {
        let IngressPath {
            path: text,
            path_type,
            backend,
        } = path;
        let text = text.as_deref().unwrap_or_default();
        let (matches, precedence) = match path_type {
            Some(PathType::Exact) => exact(text),
            Some(PathType::Prefix) => prefix(text),
            None | Some(PathType::ImplementationSpecific) => wildcard(text),
        };
        let forward = self.forward(backend, &place.field("backend"))?;
        let route = Route {
            origin: place.origin(),
            ..Route::new(
                "",
                RouteMatch::path(matches),
                RouteAction::Forward(Box::new(forward)),
            )
        };
        Ok((precedence, Arc::new(route)))
    }

    fn forward(&self, backend: &IngressBackend, place: &Place<'_>) -> Result<Forward, Notice> {
        let config = self.context.config;
        let service = backend.service.as_ref();
        let service = service
            .ok_or_else(|| place.notice("the path is left out: only a Service can be a backend"))?;
        let hostname = ServiceName::new(self.namespace, &*service.name).hostname(config.domain());
        let port = self.port(&hostname, &service.port).ok_or_else(|| {
            place.notice("the path is left out: the Service has no port of that name")
        })?;
        let mut destination = WeightedDestination::new(ClusterName::outbound(port, "", &hostname));
        destination.origin = place.origin();
        let mut forward = Forward::to([destination]);
        forward
            .hash_policies
            .extend(self.hash_policy(&hostname, port));
        let retries = config.options().default_http_retry_policy();
        let hashed = !forward.hash_policies.is_empty();
        forward.retry = retry::policy(retries, hashed).map(Arc::new);
        Ok(forward)
    }

    fn port(&self, hostname: &str, written: &ServiceBackendPort) -> Option<u16> {
        let ServiceBackendPort { name, number } = written;
        if let Some(number) = number.filter(|number| *number != 0) {
            return Some(number);
        }
        let services = self.context.config.services();
        let service = services.lookup(hostname, self.namespace)?;
        let mut ports = service.ports.iter();
        let port = ports.find(|port| Some(&port.name) == name.as_ref())?;
        Some(port.number)
    }

    fn hash_policy(&self, hostname: &str, port: u16) -> Option<HashPolicy> {
        let Context {
            config, workload, ..
        } = self.context;
        let context = RouteContext {
            config,
            workload,
            delegates: &Delegates::default(),
            gateways: &[],
            port,
            tls: false,
        };
        hash::of_service(&context, context.service(hostname)?, Some(port), "")
    }
}

fn exact(path: &str) -> (PathMatch, Precedence) {
    (
        PathMatch::Exact(path.to_owned()),
        (Reverse(path.len()), false),
    )
}

/// Whole segments, so that `/foo/` is as good as `/foo`. With an empty segment at its end it is kept
/// as written, and refused.
fn prefix(path: &str) -> (PathMatch, Precedence) {
    let matches = match path.strip_suffix('/').unwrap_or(path) {
        "" => PathMatch::default(),
        segments if segments.ends_with('/') => PathMatch::PathSeparatedPrefix(path.to_owned()),
        segments => PathMatch::PathSeparatedPrefix(segments.to_owned()),
    };
    (matches, (Reverse(path.len()), true))
}

/// As Istio reads paths of the type `ImplementationSpecific`: a prefix where `.*` or `/*` follows,
/// and an exact path otherwise.
fn wildcard(path: &str) -> (PathMatch, Precedence) {
    if matches!(path, "" | "*" | "/*" | ".*") {
        return (PathMatch::default(), (Reverse(0), true));
    }
    let start = path.strip_suffix(".*").or_else(|| path.strip_suffix("/*"));
    start.map_or_else(|| exact(path), prefix)
}
