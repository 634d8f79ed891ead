//! The compiled routes of a listener or port.
//!
//! A [`RouteTable`] answers, for each request, what Envoy would: which virtual host serves the
//! authority, and which of its routes takes the request first. It does so by indexes, so that the
//! cost of a lookup grows with neither the number of hosts nor that of routes that differ in path.
//! Routes by expression, and routes that share a path and differ in other conditions, are tried one
//! by one.
//!
//! # Example
//!
//! ```
//! use http::Request;
//! use mesh_routing::request::RequestHead;
//! use mesh_routing::table::{Lookup, RouteTable};
//!
//! let table = RouteTable::builder()
//!     .exact("health", "shop.example", "/healthz")
//!     .prefix("cart", "*.example", "/cart")
//!     .compile()?;
//!
//! let request = Request::get("http://www.example/cart/7").body(()).unwrap();
//! let Lookup::Matched(route) = table.lookup(&RequestHead::from(&request), 0) else { panic!() };
//! assert_eq!(route.name(), "cart");
//!
//! let request = Request::get("http://shop.example/cart/7").body(()).unwrap();
//! let found = table.lookup(&RequestHead::from(&request), 0);
//! assert_eq!(found, Lookup::NoRoute, "the exact domain wins, and it has no such route");
//! # Ok::<(), mesh_routing::error::CompileErrors>(())
//! ```

mod builder;
mod compile;

use std::fmt;
use std::sync::Arc;

use mesh_core::attributes::{EnclosingHeaders, MatchedRoute};
use mesh_core::model::route::{PathMatch, Route, RouteConfiguration};
use mesh_core::origin::Origin;

use crate::destination;
use crate::error::CompileErrors;
use crate::host_index::{HostIndex, without_port};
use crate::matches::{self, Condition, Mismatch};
use crate::path_index::PathIndex;
use crate::request::RequestHead;

pub use builder::RouteTableBuilder;

/// A [`RouteConfiguration`], compiled for lookup. Immutable.
#[derive(Clone, Debug)]
pub struct RouteTable {
    name: String,
    ignore_port: bool,
    hosts: HostIndex,
    virtual_hosts: Box<[HostTable]>,
}

/// A virtual host, compiled.
#[derive(Clone, Debug)]
pub(crate) struct HostTable {
    pub(crate) name: String,
    pub(crate) domains: Box<[String]>,
    pub(crate) origin: Origin,
    pub(crate) require_tls: bool,
    pub(crate) routes: Box<[Entry]>,
    paths: PathIndex,
    enclosing: Option<Arc<EnclosingHeaders>>,
}

/// A route, with what spares the lookup a look into it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) route: Arc<Route>,
    conditions: Box<[Condition]>,
    // Whether the index cannot tell if the path is met.
    by_expression: bool,
    has_choice: bool,
}

impl RouteTable {
    /// Compiles `configuration`.
    ///
    /// # Errors
    ///
    /// All at once: domains that occur twice, virtual hosts without domains, names that no header
    /// field can have, path-separated prefixes that end in `/`, destinations without weight, and
    /// statuses that an action cannot have. Envoy refuses the same.
    pub fn compile(configuration: &RouteConfiguration) -> Result<Self, CompileErrors> {
        compile::compile(configuration)
    }

    /// A builder, for routes that are written in Rust.
    pub fn builder() -> RouteTableBuilder {
        RouteTableBuilder::default()
    }

    /// The name of the route configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Finds the route of a request, and draws its destination by `random`, uniform over all
    /// values.
    ///
    /// Allocates nothing, but for the scratch space of an expression that is used for the first time,
    /// the values of a repeated field that are compared as one, and a list of candidates where more than
    /// 16 different paths and prefixes of routes take the path of one request. A request without a path
    /// (`CONNECT`) has no route.
    pub fn lookup(&self, head: &RequestHead<'_>, random: u64) -> Lookup {
        let Some(host) = self.host(head.authority()) else {
            return Lookup::NoVirtualHost;
        };
        if host.redirects(head) {
            return Lookup::TlsRedirect;
        }
        match host.first_match(head) {
            Some(entry) => Lookup::Matched(host.matched(entry, random)),
            None => Lookup::NoRoute,
        }
    }

    /// The name of the virtual host that serves `authority`, a host with or without port.
    pub fn virtual_host(&self, authority: &str) -> Option<&str> {
        self.host(authority).map(|host| host.name.as_str())
    }

    pub(crate) fn host(&self, authority: &str) -> Option<&HostTable> {
        let index = self.hosts.lookup(self.host_name(authority))?;
        self.virtual_hosts.get(index as usize)
    }

    /// The part of `authority` that domains are compared with.
    pub(crate) fn host_name<'a>(&self, authority: &'a str) -> &'a str {
        if self.ignore_port {
            without_port(authority)
        } else {
            authority
        }
    }

    pub(crate) fn virtual_hosts(&self) -> &[HostTable] {
        &self.virtual_hosts
    }
}

impl HostTable {
    /// Whether the request is sent to `https` before any route is tried.
    pub(crate) fn redirects(&self, head: &RequestHead<'_>) -> bool {
        self.require_tls && head.client_scheme() != "https"
    }

    fn first_match(&self, head: &RequestHead<'_>) -> Option<&Entry> {
        let path = head.path();
        if path.is_empty() {
            return None;
        }
        let mut candidates = self.paths.candidates(path).map(|index| &self.routes[index]);
        candidates.find(|entry| entry.takes_candidate(head))
    }

    pub(crate) fn matched(&self, entry: &Entry, random: u64) -> MatchedRoute {
        let destination = entry.draw(random).unwrap_or_default();
        MatchedRoute::new(Arc::clone(&entry.route), destination)
            .with_enclosing(self.enclosing.clone())
    }
}

impl Entry {
    fn new(route: &Arc<Route>, conditions: Vec<Condition>) -> Self {
        let destinations = route
            .forward_to()
            .map_or(0, |forward| forward.destinations.len());
        Self {
            route: Arc::clone(route),
            conditions: conditions.into(),
            by_expression: matches!(
                route.matches.path,
                PathMatch::Regex(_) | PathMatch::Template(_)
            ),
            has_choice: destinations > 1,
        }
    }

    fn draw(&self, random: u64) -> Option<usize> {
        if !self.has_choice {
            return None;
        }
        let forward = self.route.forward_to()?;
        destination::draw(&forward.destinations, random)
    }

    /// Whether the route takes a request that the index found it for.
    fn takes_candidate(&self, head: &RequestHead<'_>) -> bool {
        let path = !self.by_expression || matches::path(&self.route.matches, head.path()).is_ok();
        path && self.evaluate_conditions(head).is_ok()
    }

    /// The first condition of the route that the request does not meet.
    pub(crate) fn evaluate<'a>(&'a self, head: &RequestHead<'a>) -> Result<(), Mismatch<'a>> {
        matches::path(&self.route.matches, head.path())?;
        self.evaluate_conditions(head)
    }

    fn evaluate_conditions<'a>(&'a self, head: &RequestHead<'a>) -> Result<(), Mismatch<'a>> {
        let mut conditions = self.conditions.iter();
        conditions.try_for_each(|condition| condition.evaluate(head))
    }
}

/// What a [`RouteTable`] says of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup {
    /// The route that takes it.
    Matched(MatchedRoute),
    /// No route of the virtual host takes it.
    NoRoute,
    /// No virtual host serves its authority.
    NoVirtualHost,
    /// It came in plaintext to a virtual host that demands TLS, and is sent to `https`.
    TlsRedirect,
}

impl Lookup {
    /// The route, if one takes the request.
    pub fn matched(self) -> Option<MatchedRoute> {
        match self {
            Self::Matched(route) => Some(route),
            Self::NoRoute | Self::NoVirtualHost | Self::TlsRedirect => None,
        }
    }
}

/// A route as decisions name it.
pub(crate) struct RouteName<'a>(pub(crate) &'a str);

impl fmt::Display for RouteName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => f.write_str("unnamed route"),
            name => write!(f, "route `{name}`"),
        }
    }
}

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matched(route) => match route.cluster() {
                Some(cluster) => write!(f, "{} to `{cluster}`", RouteName(route.name())),
                None => RouteName(route.name()).fmt(f),
            },
            Self::NoRoute => f.write_str("no route"),
            Self::NoVirtualHost => f.write_str("no virtual host"),
            Self::TlsRedirect => f.write_str("redirect to https"),
        }
    }
}

#[cfg(test)]
mod tests;
