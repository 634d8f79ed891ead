//! The rate limits that Istio users write as EnvoyFilters.
//!
//! Istio documents two shapes of EnvoyFilter for [rate limits], and these are recognised, whatever
//! their names are:
//!
//! | `applyTo` | `operation` | `value` | becomes |
//! |---|---|---|---|
//! | `HTTP_FILTER` | an `INSERT_…` | a filter of type `LocalRateLimit`, plain or as a `TypedStruct` | the limit of all requests |
//! | `HTTP_FILTER` | an `INSERT_…` | a filter of type `RateLimit` | a [`GlobalFilter`] |
//! | `HTTP_ROUTE`, `VIRTUAL_HOST` | `MERGE` | `typed_per_filter_config` with a `LocalRateLimit` | the limit of the routes that match |
//! | `HTTP_ROUTE` (in `route`), `VIRTUAL_HOST` | `MERGE` | `rate_limits` | rules of the routes that match |
//!
//! A filter that is inserted before the router, or after another, is asked last; one that is inserted
//! first, or before no filter that it names, is asked before all others, tokens and policies among
//! them: see [`Place`].
//!
//! What a virtual host has counts for those of its routes that have nothing of the kind themselves, as
//! in Envoy: a limit in place of one, rules in place of rules.
//!
//! Everything else stays unsupported, and is reported as a [`Notice`] that says where. So is a field
//! of these shapes that is not enforced here; the patch that has it is then left out whole.
//!
//! Whether a filter is for the workload, by its namespace, its `targetRefs` or its selector, is decided
//! here, too, and so is the order of filters. Of a patch's `match`, these are looked at: the context,
//! ports, the gateway and the name of its port, route configurations, virtual hosts and routes. A patch
//! that names the version or metadata of a proxy, a listener or a filter chain is reported and left
//! out.
//!
//! [rate limits]: https://istio.io/latest/docs/tasks/policy-enforcement/rate-limit/
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::envoy_filter::{EnvoyFilter, PatchContext};
//! use mesh_core::resource::{Metadata, Resource};
//! use mesh_core::origin::Source;
//! use mesh_core::workload::Workload;
//! use mesh_policy::rate_limit::envoy_filter::{Scope, compile};
//!
//! let spec: EnvoyFilter = serde_json::from_str(r#"{"configPatches": [{
//!     "applyTo": "HTTP_FILTER",
//!     "match": {"context": "SIDECAR_INBOUND"},
//!     "patch": {"operation": "INSERT_BEFORE", "value": {
//!         "name": "envoy.filters.http.local_ratelimit",
//!         "typed_config": {
//!             "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
//!             "stat_prefix": "limiter",
//!             "token_bucket": {"max_tokens": 4, "tokens_per_fill": 4, "fill_interval": "60s"},
//!             "filter_enabled": {"default_value": {"numerator": 100, "denominator": "HUNDRED"}},
//!             "filter_enforced": {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
//!         }
//!     }}
//! }]}"#)?;
//! let metadata = Metadata { namespace: "shop".into(), ..Metadata::default() };
//! let filter = Resource { metadata, spec, status: None, source: Source::unknown() };
//!
//! let workload = Workload::sidecar("shop");
//! let scope = Scope::new(PatchContext::SidecarInbound, &workload, "istio-system");
//! let compiled = compile([&filter], &scope, tokio::time::Instant::now().into_std());
//! assert!(compiled.notices.is_empty());
//! assert!(compiled.limits.limits(&http::Extensions::new()).next().is_some());
//! # Ok::<(), serde_json::Error>(())
//! ```

mod config;
mod fields;
mod global_filter;
mod headers;
mod place;
mod scope;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use mesh_core::model::Notice;
use mesh_core::resource::istio::envoy_filter::{
    ApplyTo, EnvoyConfigObjectMatch, EnvoyConfigObjectPatch, EnvoyFilter, Patch, PatchOperation,
};
use mesh_core::resource::{Resource, Value};

use self::fields::{Fields, Unsupported};
pub use self::global_filter::GlobalFilter;
pub use self::place::Place;
pub use self::scope::Scope;
use self::scope::named_ports;
use super::limits::RateLimits;
use super::local::LimitSource;

const LOCAL: &str = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
const GLOBAL: &str = "envoy.extensions.filters.http.ratelimit.v3.RateLimit";
const LOCAL_FILTER: &str = "envoy.filters.http.local_ratelimit";

/// The rate limits of some EnvoyFilters.
#[derive(Debug, Default)]
pub struct Compiled {
    /// Limits in process, and the rules of routes.
    pub limits: RateLimits,
    /// Where the limits in process stand. The last filter decides.
    pub place: Place,
    /// What is asked of rate limit services, in the order of the filters.
    pub global: Vec<GlobalFilter>,
    /// What is not enforced.
    pub notices: Vec<Notice>,
}

/// Compiles the rate limits of `filters`, which apply in Istio's order, whatever order they come in: by
/// priority, those of the root namespace first, the oldest first. Buckets are full at `now`.
pub fn compile<'a>(
    filters: impl IntoIterator<Item = &'a Resource<EnvoyFilter>>,
    scope: &Scope<'_>,
    now: Instant,
) -> Compiled {
    let mut compiled = Compiled::default();
    for filter in scope.select(filters) {
        for (index, patch) in filter.spec.config_patches.iter().enumerate() {
            let place = format!("configPatches[{index}]");
            let source = LimitSource {
                namespace: filter.metadata.namespace.as_str().into(),
                name: filter.metadata.name.as_str().into(),
                patch: index,
            };
            if let Err(why) = compiled.add((patch, source), scope, now) {
                compiled.notices.push(Notice {
                    origin: filter.origin(),
                    message: format!("{place} is not enforced: {why}"),
                });
            }
        }
    }
    compiled
}

/// The patches of `filters` for the workload and the direction of `scope` that name a port which is none
/// of `served`: they are about no listener, and limit nothing.
pub fn unserved<'a>(
    filters: impl IntoIterator<Item = &'a Resource<EnvoyFilter>>,
    scope: &Scope<'_>,
    served: &[u16],
) -> Vec<Notice> {
    let mut notices = Vec::new();
    for filter in scope.select(filters) {
        for (index, patch) in filter.spec.config_patches.iter().enumerate() {
            let objects = patch.r#match.iter();
            let named = objects
                .filter(|object| scope.is_in(object.context))
                .flat_map(named_ports);
            let is_unserved = |port: &u32| !served.iter().any(|own| u32::from(*own) == *port);
            notices.extend(named.filter(is_unserved).map(|port| Notice {
                origin: filter.origin(),
                message: format!(
                    "configPatches[{index}] is not enforced: no listener has the port {port}"
                ),
            }));
        }
    }
    notices
}

impl Compiled {
    fn add(
        &mut self,
        (patch, source): (&EnvoyConfigObjectPatch, LimitSource),
        scope: &Scope<'_>,
        now: Instant,
    ) -> Result<(), Unsupported> {
        let EnvoyConfigObjectPatch {
            apply_to,
            r#match: object,
            patch,
        } = patch;
        let everything = EnvoyConfigObjectMatch::default();
        let object = object.as_ref().unwrap_or(&everything);
        let Patch {
            operation,
            value: Some(value),
            filter_class: _,
        } = patch.as_ref().ok_or(Unsupported::Patch)?
        else {
            return Err(Unsupported::Patch);
        };
        let inserts = matches!(
            operation,
            PatchOperation::InsertBefore
                | PatchOperation::InsertAfter
                | PatchOperation::InsertFirst
        );
        match apply_to {
            ApplyTo::HttpFilter if inserts => {
                let place = Place::of(*operation, object);
                self.add_filter((value, source), (object, place), scope, now)
            }
            ApplyTo::VirtualHost | ApplyTo::HttpRoute if *operation == PatchOperation::Merge => {
                let on_host = *apply_to == ApplyTo::VirtualHost;
                self.merge((Fields::new(value), source), on_host, (object, scope), now)
            }
            _ => Err(Unsupported::Patch),
        }
    }

    fn add_filter(
        &mut self,
        (value, source): (&BTreeMap<String, Value>, LimitSource),
        (object, place): (&EnvoyConfigObjectMatch, Place),
        scope: &Scope<'_>,
        now: Instant,
    ) -> Result<(), Unsupported> {
        let mut filter = Fields::new(value);
        filter.ignore("name");
        let (kind, config) = filter.typed_config("typed_config")?;
        filter.finish()?;
        match kind {
            LOCAL => {
                let limit = config::local(config, &scope.own_cluster(), now)?.of_source(source);
                if scope.matches(object)? {
                    self.limits.all.push(Arc::new(limit));
                    self.place = place;
                }
            }
            GLOBAL => {
                let mut global = config::global(config)?;
                global.place = place;
                if scope.matches(object)? {
                    self.global.push(global);
                }
            }
            _ => return Err(Unsupported::Patch),
        }
        Ok(())
    }

    fn merge(
        &mut self,
        (mut value, source): (Fields<'_>, LimitSource),
        on_host: bool,
        (object, scope): (&EnvoyConfigObjectMatch, &Scope<'_>),
        now: Instant,
    ) -> Result<(), Unsupported> {
        let (mut limit, mut rules) = (None, Vec::new());
        if let Some(mut filters) = value.map("typed_per_filter_config")? {
            let (kind, config) = filters.typed_config(LOCAL_FILTER)?;
            if kind != LOCAL {
                return Err(Unsupported::Patch);
            }
            limit = Some(Arc::new(
                config::local(config, &scope.own_cluster(), now)?.of_source(source),
            ));
            filters.finish()?;
        }
        if on_host {
            rules.extend(config::rules(&mut value, &scope.own_cluster())?);
        } else if let Some(mut action) = value.map("route")? {
            rules.extend(config::rules(&mut action, &scope.own_cluster())?);
            action.finish()?;
        }
        value.finish()?;
        if !scope.matches(object)? {
            return Ok(());
        }
        for route in scope.routes(object, on_host)? {
            let of_route = self.limits.of_route(route);
            let limited = match on_host {
                true => &mut of_route.of_host,
                false => &mut of_route.own,
            };
            if let Some(limit) = &limit {
                limited.limit = Some(Arc::clone(limit));
            }
            limited.rules.extend(rules.iter().cloned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
