use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mesh_core::model::listener::{Direction, FilterChain, Listener};
use mesh_core::model::{Model, Notice};
use mesh_policy::authz::Records;
use mesh_routing::table::RouteTable;

use super::balancing::Balancing;
use super::calls::Calls;
use super::destinations::{Destinations, virtual_inbound};
use super::entrances::Entrances;
use super::keys::Keys;
use super::limits;
use super::listeners::Listening;
use super::mesh_wide::MeshWide;
use super::policies::{Policies, principal};
use super::served::{Served, Uses, route_configuration};
use super::sockets::{Prepared, Sockets};
use super::telemetry::Telemetry;
use super::tls::Tls;
use super::upstream::Upstreams;
use super::{PublishError, Settings};
use crate::serve::{Connection, FilterChains, ListenerId, Workers};

/// The listener of what a workload calls.
pub(super) const CALLS: ListenerId = 0;
/// The listener of those who call a workload.
pub(super) const CALLERS: ListenerId = 1;

/// A generation that can be served.
pub(super) struct Compiled {
    pub(super) generation: Generation,
    pub(super) prepared: Prepared,
    /// The listeners that cannot be bound.
    pub(super) unbound: Vec<Notice>,
    /// What is not served, with those.
    pub(super) warnings: Vec<String>,
}

fn not_bound((listener, error): &(&Listener, io::Error)) -> Notice {
    Notice {
        origin: listener.origin.clone(),
        message: format!("listener `{}` is not served: {error}", listener.name),
    }
}

/// One generation of the configuration: all that a request is decided by.
///
/// Generations replace each other whole, so that a request is judged, routed, and sent to an
/// endpoint, by one of them.
#[derive(Debug)]
pub(super) struct Generation {
    listeners: BTreeMap<ListenerId, Listening>,
    destinations: Destinations,
    upstreams: Upstreams,
    policies: Policies,
    unguarded: Policies,
    telemetry: Telemetry,
}

impl Generation {
    /// The generation that serves nothing.
    pub(super) fn empty() -> Self {
        Self {
            listeners: BTreeMap::new(),
            destinations: Destinations::none(),
            upstreams: Upstreams::none(),
            policies: Policies::none(),
            unguarded: Policies::none(),
            telemetry: Telemetry::default(),
        }
    }

    /// Compiles the listeners of a model that the gateway has entrances for; and says what of the
    /// model is not served. Secrets are known to `tls`, endpoints to `balancing`; metrics and retries are
    /// counted on from those of `last`, and listeners keep the ids that they have there. Those of
    /// `sockets` that are new are bound by `workers`, once nothing else can be refused.
    pub(super) fn compile(
        (model, wide): (&Model, &MeshWide),
        settings: &Settings,
        (tls, balancing, keys, calls): (&mut Tls, &mut Balancing, &Keys, &mut Calls),
        (sockets, workers): (&Sockets, &Workers),
        last: &Self,
    ) -> Result<Compiled, PublishError> {
        let compiler = tls.compiler(model, wide)?;
        let destinations = last.destinations.next(model);
        let (entrances, mut warnings) = Entrances::of(model, settings, &destinations);
        let mut listeners = BTreeMap::new();
        for (id, listener, is_captured) in entrances.iter() {
            let (listening, found) = Listening::compile((model, wide), listener, &compiler)?;
            warnings.extend(found);
            if let Some(listening) = listening {
                let listening = match is_captured {
                    true => listening.of_any_port(),
                    false => listening,
                };
                listeners.insert(id, listening);
            }
        }
        let (mut policies, found) = Policies::compile(model, wide, keys.store(), &last.policies)?;
        policies.rule_header.clone_from(&settings.rule_header);
        policies.identity = settings.identity.as_ref().and_then(principal);
        warnings.extend(found);
        let (mut telemetry, found) = Telemetry::compile(model, wide, settings, &last.telemetry);
        warnings.extend(found);
        warnings.extend(limits::unserved(model, wide));
        // What follows takes effect for what is served already.
        let asked = entrances.sockets(|id| listeners.contains_key(&id));
        let (prepared, unbound) = sockets.prepare(workers, &asked)?;
        let unbound: Vec<Notice> = unbound.iter().map(not_bound).collect();
        warnings.extend(unbound.iter().map(ToString::to_string));
        warnings.extend(tls.publish(&compiler, model, wide));
        let published = balancing.publish(model, wide, &tls.originations());
        let (upstreams, found) = published.map_err(PublishError::Names)?;
        let upstreams = upstreams.redirected(settings.are_callers_redirected());
        warnings.extend(found);
        warnings.extend(policies.connect(wide, calls, &upstreams));
        warnings.extend(telemetry.connect(wide, calls, &upstreams));
        for (id, listening) in &mut listeners {
            for Served { limits, .. } in listening.all_served() {
                limits.carry_on(&last.served(*id, Some(limits.routes())).limits);
                warnings.extend(limits.connect(calls, &upstreams));
            }
        }
        // What is about several listeners was found at each.
        let mut known = BTreeSet::new();
        warnings.retain(|warning| known.insert(warning.clone()));
        let generation = Self {
            destinations,
            listeners,
            upstreams,
            unguarded: policies.unguarded(),
            policies,
            telemetry,
        };
        Ok(Compiled {
            generation,
            prepared,
            unbound,
            warnings,
        })
    }

    /// Compiles what a workload without a sidecar needs of its model in its own process: the routes of
    /// what it calls, which are those of the listener [`CALLS`], and the filter chains of those who
    /// call it, which are those of [`CALLERS`]; and says what cannot be had. Of policies it has none;
    /// retries are counted on from those of `last`.
    pub(super) fn in_process(
        model: &Model,
        configuration: &str,
        (tls, balancing): (&mut Tls, &mut Balancing),
        last: &Self,
    ) -> Result<(Self, Vec<String>), PublishError> {
        let wide = MeshWide::default();
        let compiler = tls.compiler(model, &wide)?;
        let routes = route_configuration(model, configuration);
        let served = Served {
            routes: RouteTable::compile(&routes)?.into(),
            uses: Uses::of(&routes),
            ..Served::nothing()
        };
        let calls = Listening::plain(configuration, served);
        let (mut listeners, mut warnings) = (BTreeMap::from([(CALLS, calls)]), Vec::new());
        if let Some(listener) = virtual_inbound(model) {
            let (listening, found) = Listening::compile((model, &wide), listener, &compiler)?;
            warnings.extend(found);
            listeners.extend(listening.map(|callers| (CALLERS, callers.of_any_port())));
        }
        warnings.extend(tls.publish(&compiler, model, &wide));
        let published = balancing.publish(model, &wide, &tls.originations());
        let (upstreams, found) = published.map_err(PublishError::Names)?;
        warnings.extend(found);
        let generation = Self {
            listeners,
            destinations: Destinations::none(),
            upstreams,
            policies: Policies::of_clusters(&model.clusters, &last.policies),
            unguarded: Policies::none(),
            telemetry: Telemetry::default(),
        };
        Ok((generation, warnings))
    }

    /// Counts in `records` what policies that do not decide say.
    pub(super) fn record(&mut self, records: &Records) {
        self.policies.records = records.clone();
    }

    /// The listener that takes captured connections to `destination`, which may be one that is not
    /// served.
    pub(super) fn captured(
        &self,
        direction: Direction,
        destination: SocketAddr,
    ) -> Option<ListenerId> {
        self.destinations.lookup(direction, destination)
    }

    /// Whether a listener is served.
    pub(super) fn serves(&self, listener: ListenerId) -> bool {
        self.listeners.contains_key(&listener)
    }

    /// What is served to a connection to `listener`, of a filter chain with these routes if one was
    /// chosen. What is served no more has no routes.
    pub(super) fn served(&self, listener: ListenerId, routes: Option<&str>) -> Served {
        let listening = self.listeners.get(&listener);
        let served = listening.and_then(|listening| listening.served(routes));
        served.cloned().unwrap_or_else(Served::nothing)
    }

    /// Whether a connection that stands, and whose bytes are taken as they come, still would be taken: by
    /// `passed_on`, or else as HTTP. Those of a listener that is served no more go on.
    pub(super) fn takes(&self, connection: &Connection, passed_on: Option<&FilterChain>) -> bool {
        let listening = self.listeners.get(&connection.listener);
        listening.is_none_or(|listening| listening.takes(connection, passed_on))
    }

    /// The filter chains among which connections to `listener` choose, if there is a choice.
    pub(super) fn chains(&self, listener: ListenerId) -> Option<Arc<FilterChains>> {
        self.listeners.get(&listener)?.chains().cloned()
    }

    /// Whether connections to `listener` begin with a header of the PROXY protocol.
    pub(super) fn proxy_protocol(&self, listener: ListenerId) -> bool {
        let listening = self.listeners.get(&listener);
        listening.is_some_and(Listening::proxy_protocol)
    }

    /// Whether connections to `listener` come to the workload that is served.
    pub(super) fn is_inbound(&self, listener: ListenerId) -> bool {
        let listening = self.listeners.get(&listener);
        listening.is_some_and(Listening::is_inbound)
    }

    /// The clusters that routes name.
    pub(super) fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }

    /// What holds for the requests of a filter chain.
    pub(super) fn policies_of(&self, served: &Served) -> &Policies {
        match served.is_guarded {
            true => &self.policies,
            false => &self.unguarded,
        }
    }

    /// What holds for all listeners.
    pub(super) fn policies(&self) -> &Policies {
        &self.policies
    }

    /// What is recorded.
    pub(super) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }
}
