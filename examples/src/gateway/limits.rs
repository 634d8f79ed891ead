//! The rate limits of a filter chain: in process, and those that a service counts.

use std::fmt;
use std::sync::Arc;

use mesh_core::model::Model;
use mesh_core::model::listener::{Direction, Listener};
use mesh_core::model::route::RouteConfiguration;
use mesh_core::resource::istio::envoy_filter::PatchContext;
use mesh_core::service::ClusterName;
use mesh_core::watch::Watch;
use mesh_core::workload::WorkloadKind;
use mesh_policy::rate_limit::envoy_filter::{self, GlobalFilter, Place, Scope};
use mesh_policy::rate_limit::global::GlobalRateLimitLayer;
use mesh_policy::rate_limit::{LocalRateLimitLayer, RateLimits};
use tokio::time::Instant;

use super::calls::Calls;
use super::mesh_wide::MeshWide;
use super::upstream::Upstreams;

/// The rate limits of a filter chain.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    // The name of the filter chain's routes.
    routes: String,
    // Those in process, and the rules of routes; `None` if there are none.
    local: Option<(Place, Watch<RateLimits>)>,
    // Those of a service that is asked.
    global: Option<(Place, GlobalRateLimitLayer)>,
    // The service that is to be asked.
    service: Option<Arc<GlobalFilter>>,
}

impl Limits {
    /// No limits.
    pub(super) fn none() -> Self {
        Self {
            routes: String::new(),
            local: None,
            global: None,
            service: None,
        }
    }

    /// The name of the routes that they are of.
    pub(super) fn routes(&self) -> &str {
        &self.routes
    }

    /// The limits that stand at `place`.
    pub(super) fn at(
        &self,
        place: Place,
    ) -> (Option<LocalRateLimitLayer>, Option<GlobalRateLimitLayer>) {
        let local = self.local.as_ref().filter(|(own, _)| *own == place);
        let global = self.global.as_ref().filter(|(own, _)| *own == place);
        (
            local.map(|(_, limits)| LocalRateLimitLayer::new(limits.clone())),
            global.map(|(_, layer)| layer.clone()),
        )
    }

    /// Whether there are any.
    pub(super) fn are_any(&self) -> bool {
        self.local.is_some()
    }

    /// Compiles those that EnvoyFilters have for `routes`, and says which are not enforced.
    pub(super) fn compile(
        (model, wide): (&Model, &MeshWide),
        listener: &Listener,
        routes: &RouteConfiguration,
    ) -> (Self, Vec<String>) {
        let root = wide.options.root_namespace();
        // All ports of a sidecar's workload are behind one listener, and known by their routes.
        let inbound = ClusterName::from(routes.name.as_str());
        let inbound = inbound
            .port()
            .filter(|_| routes.name.starts_with("inbound|"));
        let scope = Scope::new(context(model, listener), &model.workload, root)
            .with_port(inbound.unwrap_or(listener.declared_port))
            .with_routes(routes);
        let filters = wide.envoy_filters.iter().map(AsRef::as_ref);
        let compiled = envoy_filter::compile(filters, &scope, Instant::now().into_std());
        let mut warnings: Vec<String> = compiled.notices.iter().map(ToString::to_string).collect();
        let mut services = compiled.global.into_iter();
        let service = services.next().map(Arc::new);
        warnings.extend(services.map(|further| ignored(&further)));
        let limits = Self {
            routes: routes.name.clone(),
            local: (!compiled.limits.is_empty()).then(|| (compiled.place, compiled.limits.into())),
            global: None,
            service,
        };
        (limits, warnings)
    }

    /// Goes on with the tokens that `last` has left, of limits that are the same.
    pub(super) fn carry_on(&mut self, last: &Self) {
        if let (Some((_, limits)), Some((_, last))) = (&mut self.local, &last.local) {
            let carried = RateLimits::clone(&limits.load()).carried_on(&last.load());
            *limits = carried.into();
        }
    }

    /// Asks the service by `calls` to `clusters`; or says why that cannot be done. What is not asked
    /// is refused where the filter wants that.
    pub(super) fn connect(&mut self, calls: &mut Calls, clusters: &Upstreams) -> Option<String> {
        let (filter, (_, rules)) = (self.service.take()?, self.local.as_ref()?);
        let (place, rules) = (filter.place, rules.clone());
        let client = match clusters.get(&filter.cluster) {
            Some(_) => {
                let client = calls.client(clusters, &filter.cluster, filter.timeout);
                client.map_err(|error| unasked(&filter, error))
            }
            None => Err(unasked(&filter, "there is no such cluster")),
        };
        let filter = Arc::unwrap_or_clone(filter);
        let (layer, problem) = match client {
            Ok(client) => (GlobalRateLimitLayer::new(filter, rules, client), None),
            Err(problem) => {
                let layer = GlobalRateLimitLayer::without_service(filter, rules);
                (layer, Some(problem))
            }
        };
        self.global = Some((place, layer));
        problem
    }
}

/// Says which patches are about no listener of a gateway at all. (Those of a sidecar may be about
/// connections that it captures, to any port.)
pub(super) fn unserved(model: &Model, wide: &MeshWide) -> Vec<String> {
    if model.workload.kind != WorkloadKind::Gateway {
        return Vec::new();
    }
    let root = wide.options.root_namespace();
    let scope = Scope::new(PatchContext::Gateway, &model.workload, root);
    let ports = model
        .listeners
        .iter()
        .map(|listener| listener.declared_port);
    let ports: Vec<u16> = ports.collect();
    let filters = wide.envoy_filters.iter().map(AsRef::as_ref);
    let notices = envoy_filter::unserved(filters, &scope, &ports);
    notices.iter().map(ToString::to_string).collect()
}

/// Which patches are about a listener.
fn context(model: &Model, listener: &Listener) -> PatchContext {
    match (model.workload.kind, listener.direction) {
        (WorkloadKind::Gateway, _) => PatchContext::Gateway,
        (WorkloadKind::Sidecar, Direction::Inbound) => PatchContext::SidecarInbound,
        (WorkloadKind::Sidecar, Direction::Outbound) => PatchContext::SidecarOutbound,
    }
}

/// Says that a second service is not asked.
fn ignored(filter: &GlobalFilter) -> String {
    let (domain, cluster) = (&filter.domain, &filter.cluster);
    format!(
        "the rate limit service `{cluster}` is not asked, `{domain}` limits nothing: another is \
         asked already"
    )
}

fn unasked(filter: &GlobalFilter, why: impl fmt::Display) -> String {
    let (domain, cluster) = (&filter.domain, &filter.cluster);
    let consequence = match filter.failure_mode_deny {
        true => "refuses all that it counts",
        false => "limits nothing",
    };
    format!("the rate limit service `{cluster}` is not asked, `{domain}` {consequence}: {why}")
}

#[cfg(test)]
mod tests {
    use mesh_core::config::MeshConfig;
    use mesh_core::load::Loaded;
    use mesh_core::resolve::resolve;
    use mesh_core::workload::Workload;

    use super::*;

    /// Two ports of a workload, and a limit for the port PORT.
    const PORTS: &str = "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: cart, namespace: shop }
spec:
  workloadSelector: { labels: { app: cart } }
  ingress:
  - { port: { number: 8080, name: http, protocol: HTTP }, defaultEndpoint: '127.0.0.1:8080' }
  - { port: { number: 9090, name: http-admin, protocol: HTTP }, defaultEndpoint: '127.0.0.1:9090' }
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: limit, namespace: shop }
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match: { context: SIDECAR_INBOUND, listener: { portNumber: PORT } }
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.local_ratelimit
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
          stat_prefix: cart
          token_bucket: { max_tokens: 2, tokens_per_fill: 2, fill_interval: 60s }
";

    #[test]
    fn a_limit_of_a_sidecar_is_of_the_port_that_it_names() {
        for (port, limited) in [("8080", [true, false]), ("9090", [false, true])] {
            let mut loaded = Loaded::default();
            loaded.add("limit.yaml", PORTS.replace("PORT", port));
            let built = loaded.build(MeshConfig::builder(), 1);
            let (config, _) = built.map_err(|found| found.to_string()).unwrap();
            let workload = Workload::sidecar("shop").with_label("app", "cart");
            let (model, wide) = (resolve(&config, &workload), MeshWide::of(&config));
            let mut listeners = model.listeners.iter();
            let listener = listeners.find(|listener| listener.name == "virtualInbound");
            let are_any = ["inbound|8080||", "inbound|9090||"].map(|name| {
                let routes = &model.route_configurations[name];
                let compiled = Limits::compile((&model, &wide), listener.unwrap(), routes);
                assert_eq!(compiled.1, [""; 0], "{port}");
                compiled.0.are_any()
            });
            assert_eq!(are_any, limited, "{port}");
        }
    }
}
