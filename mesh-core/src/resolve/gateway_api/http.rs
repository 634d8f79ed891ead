//! What HTTPRoutes and GRPCRoutes bind to listeners.
//!
//! For each host of a listener the routes of all resources are put in one order. A host belongs to
//! the listener with the most specific hostname alone: requests that no route of that listener
//! takes are not found, rather than given to another listener of the port. In Istio that is so among
//! the listeners of one resource, and as far as they have routes; here also between a Gateway and its
//! ListenerSets, whose listeners the Gateway API takes for one list.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::host::HostPattern;
use crate::model::Notice;
use crate::model::route::Route;
use crate::origin::Origin;
use crate::resolve::context::Context;
use crate::resolve::gateway::server::{GatewayServer, HttpBinding};
use crate::resolve::gateway_api::attach::{Attachment, attach};
use crate::resolve::gateway_api::backend::RuleContext;
use crate::resolve::gateway_api::listener::GatewayListener;
use crate::resolve::gateway_api::routes::{self, RankedRoute};
use crate::resolve::gateway_api::rule::RequestRoute;
use crate::resource::gateway_api::grpc_route::GrpcRoute;
use crate::resource::gateway_api::http_route::HttpRoute;
use crate::resource::timestamp::Timestamp;
use crate::resource::{Metadata, Resource};

/// A listener that is served.
pub(super) struct Served<'s> {
    /// Index of the listener.
    pub(super) listener: usize,
    /// What it is served by.
    pub(super) server: &'s mut GatewayServer,
}

/// A route of requests, of either kind.
#[derive(Clone, Copy)]
enum Written<'a> {
    Grpc(&'a Resource<GrpcRoute>),
    Http(&'a Resource<HttpRoute>),
}

impl<'a> Written<'a> {
    fn metadata(self) -> &'a Metadata {
        match self {
            Self::Grpc(route) => &route.metadata,
            Self::Http(route) => &route.metadata,
        }
    }

    /// By which routes compete that are as specific: the older, then the first by namespace and
    /// name, comes first (`sortRoutesByCreationTime`).
    fn seniority(self) -> (Option<Timestamp>, &'a str, &'a str) {
        let metadata = self.metadata();
        let created = metadata.creation_timestamp;
        (created, &metadata.namespace, &metadata.name)
    }

    fn origin(self) -> Origin {
        match self {
            Self::Grpc(route) => route.origin(),
            Self::Http(route) => route.origin(),
        }
    }
}

/// Binds what is attached to `listeners` to the servers of requests.
pub(super) fn bind(
    context: &Context<'_>,
    listeners: &[GatewayListener<'_>],
    served: Vec<Served<'_>>,
    notices: &mut Vec<Notice>,
) {
    let resources = &context.config.resources().gateway_api;
    let http = attach(context, &resources.http_routes, listeners, notices);
    let grpc = attach(context, &resources.grpc_routes, listeners, notices);
    let mut binder = Binder {
        context,
        written: Vec::new(),
        ranked: HashMap::new(),
        ordered: HashMap::new(),
        by_listener: vec![BTreeMap::new(); listeners.len()],
    };
    let mut attachments: Vec<_> = http.into_iter().map(of_http).collect();
    attachments.extend(grpc.into_iter().map(of_grpc));
    attachments.sort_by(|(a, ..), (b, ..)| a.seniority().cmp(&b.seniority()));
    for (written, listener, hosts) in attachments {
        let own = hosts.into_iter();
        let own = own.filter(|host| listeners[listener].owns(host, listeners));
        binder.add(written, listener, own);
    }
    for Served { listener, server } in served {
        server.bindings.http = binder.bindings(listener, server, notices);
        let listener = &listeners[listener];
        let is_bound = |binding: &HttpBinding| binding.hosts.contains(&listener.hostname);
        if listener.is_within_another(listeners) && !server.bindings.http.iter().any(is_bound) {
            server.bindings.http.push(HttpBinding {
                hosts: vec![listener.hostname.clone()],
                routes: Arc::default(),
                origin: listener.origin.clone(),
            });
        }
    }
}

/// Routes in order.
type Routes = Arc<[Arc<Route>]>;

/// A route, the index of a listener and the hosts that it has there.
type Attached<'a> = (Written<'a>, usize, Vec<HostPattern>);

fn of_http<'a>(attachment: Attachment<'a, HttpRoute>) -> Attached<'a> {
    let written = Written::Http(attachment.route);
    (written, attachment.listener, attachment.hosts)
}

fn of_grpc<'a>(attachment: Attachment<'a, GrpcRoute>) -> Attached<'a> {
    let written = Written::Grpc(attachment.route);
    (written, attachment.listener, attachment.hosts)
}

struct Binder<'a> {
    context: &'a Context<'a>,
    written: Vec<Written<'a>>,
    // By index of the route, and what its routes depend on: the listener's port and TLS.
    ranked: HashMap<(usize, u16, bool), Arc<[RankedRoute]>>,
    ordered: HashMap<(Vec<usize>, u16, bool), Routes>,
    // For each listener the hosts, with the indices of their routes in order.
    by_listener: Vec<BTreeMap<HostPattern, Vec<usize>>>,
}

impl<'a> Binder<'a> {
    fn add(
        &mut self,
        written: Written<'a>,
        listener: usize,
        hosts: impl Iterator<Item = HostPattern>,
    ) {
        // The attachments of one resource follow each other.
        let last = self.written.last();
        let is_known = last.is_some_and(|last| std::ptr::eq(last.metadata(), written.metadata()));
        if !is_known {
            self.written.push(written);
        }
        let index = self.written.len() - 1;
        for host in hosts {
            let routes = self.by_listener[listener].entry(host).or_default();
            if routes.last() != Some(&index) {
                routes.push(index);
            }
        }
    }

    /// One binding for the hosts that have the same routes.
    fn bindings(
        &mut self,
        listener: usize,
        server: &GatewayServer,
        notices: &mut Vec<Notice>,
    ) -> Vec<HttpBinding> {
        let mut by_routes: BTreeMap<Vec<usize>, Vec<HostPattern>> = BTreeMap::new();
        for (host, routes) in std::mem::take(&mut self.by_listener[listener]) {
            by_routes.entry(routes).or_default().push(host);
        }
        let bindings = by_routes.into_iter().filter_map(|(indices, hosts)| {
            let first = self.written[*indices.first()?];
            Some(HttpBinding {
                hosts,
                routes: self.ordered(indices, server, notices),
                origin: first.origin(),
            })
        });
        bindings.collect()
    }

    fn ordered(
        &mut self,
        indices: Vec<usize>,
        server: &GatewayServer,
        notices: &mut Vec<Notice>,
    ) -> Routes {
        let key = (indices, server.port, server.tls.is_some());
        if let Some(known) = self.ordered.get(&key) {
            return Arc::clone(known);
        }
        let indices = key.0.iter();
        let lists = indices.map(|&index| self.ranked(index, server, notices));
        let lists: Vec<_> = lists.collect();
        let ordered = routes::in_order(lists.iter().flat_map(|list| list.iter()));
        self.ordered.insert(key, Arc::clone(&ordered));
        ordered
    }

    fn ranked(
        &mut self,
        index: usize,
        server: &GatewayServer,
        notices: &mut Vec<Notice>,
    ) -> Arc<[RankedRoute]> {
        let key = (index, server.port, server.tls.is_some());
        if let Some(known) = self.ranked.get(&key) {
            return Arc::clone(known);
        }
        let ranked: Arc<[_]> = match self.written[index] {
            Written::Grpc(route) => self.routes(route, server, notices).into(),
            Written::Http(route) => self.routes(route, server, notices).into(),
        };
        self.ranked.insert(key, Arc::clone(&ranked));
        ranked
    }

    fn routes<S: RequestRoute>(
        &self,
        route: &Resource<S>,
        server: &GatewayServer,
        notices: &mut Vec<Notice>,
    ) -> Vec<RankedRoute> {
        let context = RuleContext {
            config: self.context.config,
            workload: self.context.workload,
            scope: Some(&self.context.scope),
            kind: S::KIND,
            namespace: &route.metadata.namespace,
            port: server.port,
            tls: server.tls.is_some(),
            mesh: false,
        };
        let mut findings = Vec::new();
        let routes = routes::routes(&context, route, &mut findings);
        notices.extend(findings.into_iter().map(Notice::from));
        routes
    }
}
