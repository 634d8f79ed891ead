use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use http::Extensions;
use mesh_core::attributes::MatchedRoute;
use mesh_core::model::route::Route;

use super::descriptor::RateLimitRule;
use super::local::LocalRateLimit;

/// The rate limits of a listener: those for all requests, and those of its routes.
///
/// A request has to pass all that are for all requests, as it has to pass each of Envoy's filters. A
/// route's own limit takes their place, as Envoy's configuration per filter does.
/// Routes are known by identity: the limits are compiled of the same model as the route table.
#[derive(Clone, Debug, Default)]
pub struct RateLimits {
    pub(super) all: Vec<Arc<LocalRateLimit>>,
    pub(super) routes: HashMap<ByIdentity, OfRoute>,
}

/// What is particular of a route, in place of what its virtual host has.
#[derive(Clone, Debug, Default)]
pub(super) struct OfRoute {
    pub(super) own: Limited,
    pub(super) of_host: Limited,
}

/// What a route or a virtual host has.
#[derive(Clone, Debug, Default)]
pub(super) struct Limited {
    pub(super) limit: Option<Arc<LocalRateLimit>>,
    pub(super) rules: Vec<RateLimitRule>,
}

impl OfRoute {
    /// Envoy goes by the most specific configuration of a filter.
    fn limit(&self) -> Option<&Arc<LocalRateLimit>> {
        self.own.limit.as_ref().or(self.of_host.limit.as_ref())
    }

    /// Envoy counts by the rules of the virtual host only if the route has none
    /// (`VhRateLimitsOptions::OVERRIDE`, its default).
    fn rules(&self) -> &[RateLimitRule] {
        match self.own.rules.as_slice() {
            [] => &self.of_host.rules,
            rules => rules,
        }
    }

    fn limits_mut(&mut self) -> impl Iterator<Item = &mut Arc<LocalRateLimit>> {
        let Self { own, of_host } = self;
        own.limit.iter_mut().chain(&mut of_host.limit)
    }
}

impl RateLimits {
    /// No limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a limit of requests whose route has none of its own.
    #[must_use]
    pub fn with_default(mut self, limit: LocalRateLimit) -> Self {
        self.all.push(Arc::new(limit));
        self
    }

    /// Sets the limit of the requests of `route`.
    #[must_use]
    pub fn with_route(mut self, route: &Arc<Route>, limit: LocalRateLimit) -> Self {
        self.of_route(route).own.limit = Some(Arc::new(limit));
        self
    }

    /// Adds a rule that makes descriptors of the requests of `route`.
    #[must_use]
    pub fn with_rule(mut self, route: &Arc<Route>, rule: RateLimitRule) -> Self {
        self.of_route(route).own.rules.push(rule);
        self
    }

    /// Goes on counting with the buckets of `last`, wherever a limit is the same as it was: of the same
    /// patch of an EnvoyFilter, or of all requests and of none, and with the same settings. Without
    /// this, a new configuration fills all buckets, whatever it is about.
    #[must_use]
    pub fn carried_on(mut self, last: &Self) -> Self {
        let known: Vec<_> = last.with_places().map(Arc::clone).collect();
        let routes = self.routes.values_mut();
        let of_routes = routes.flat_map(OfRoute::limits_mut);
        // Limits of routes that a program has made have no place that would tell them.
        let of_routes = of_routes.filter(|limit| limit.has_source());
        for limit in self.all.iter_mut().chain(of_routes) {
            if let Some(same) = known.iter().find(|known| known.is_same(limit)) {
                *limit = Arc::clone(same);
            }
        }
        self
    }

    /// The limits that can be told among others.
    fn with_places(&self) -> impl Iterator<Item = &Arc<LocalRateLimit>> {
        let routes = self.routes.values();
        let of_routes = routes.flat_map(|route| [&route.own, &route.of_host]);
        let of_routes = of_routes.filter_map(|limited| limited.limit.as_ref());
        let of_routes = of_routes.filter(|limit| limit.has_source());
        self.all.iter().chain(of_routes)
    }

    /// Whether there is neither a limit nor a rule.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.routes.is_empty()
    }

    /// The limits of a request with `extensions`, all of which it has to pass.
    pub fn limits<'a>(
        &'a self,
        extensions: &Extensions,
    ) -> impl Iterator<Item = &'a Arc<LocalRateLimit>> + use<'a> {
        let own = self.find(extensions).and_then(OfRoute::limit);
        let limits = own.map_or(&self.all[..], std::slice::from_ref);
        limits.iter().filter(|limit| limit.is_limited())
    }

    /// The rules that make descriptors of a request with `extensions`.
    pub fn rules(&self, extensions: &Extensions) -> &[RateLimitRule] {
        self.find(extensions).map_or(&[], OfRoute::rules)
    }

    pub(super) fn of_route(&mut self, route: &Arc<Route>) -> &mut OfRoute {
        self.routes
            .entry(ByIdentity(Arc::clone(route)))
            .or_default()
    }

    fn find(&self, extensions: &Extensions) -> Option<&OfRoute> {
        if self.routes.is_empty() {
            return None;
        }
        let matched = extensions.get::<MatchedRoute>()?;
        self.routes.get(&ByIdentity(Arc::clone(matched.route())))
    }
}

/// A route that is equal to no other, however alike they are.
#[derive(Clone, Debug)]
pub(super) struct ByIdentity(Arc<Route>);

impl PartialEq for ByIdentity {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ByIdentity {}

impl Hash for ByIdentity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}
