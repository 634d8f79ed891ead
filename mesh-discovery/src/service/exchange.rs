use std::sync::Arc;
use std::time::Instant;

use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use http::uri::Authority;
use http::{Request, Response};
use mesh_core::attributes::{
    ClientAddress, ConnectionInfo, MatchedRoute, PreviousEndpoints, Progress, ResetReason,
    SelectedEndpoint, Timeouts, UpstreamReset,
};
use mesh_core::decision::Decision;
use mesh_core::model::cluster::Cluster;
use mesh_core::reply::Caller;

use super::body::TrackedBody;
use super::named_host::named_host;
use super::new_service::{Downstream, Target};
use super::refusal::Refusal;
use super::seams::{Random, now};
use super::switched::SwitchedRequest;
use crate::balance::balancer::Needs;
use crate::balance::hash_key::{self, Connection, HashKey};
use crate::balance::host::{ActiveRequest, Host};
use crate::balance::{Choice, Pick, PickRequest};
use crate::circuit_breaker::{Permit, Resource};
use crate::cluster::Upstream;
use crate::health::outlier::Outcome;

/// A request that an endpoint was picked for, until its response is there.
#[derive(Debug)]
pub(super) struct Exchange {
    upstream: Arc<Upstream>,
    host: Host,
    /// `None` once the response has it.
    active: Option<InFlight>,
    set_cookie: Option<HeaderValue>,
    deadline: Option<Instant>,
    /// When it began, if it matters how it ends.
    judged_from: Option<Instant>,
    caller: Caller,
}

/// Counts a request as active, at its endpoint and in its cluster, until it is dropped.
#[derive(Debug)]
#[must_use = "what is dropped is not active any more"]
pub struct InFlight {
    _request: ActiveRequest,
    _permit: Permit,
}

impl Exchange {
    /// Picks an endpoint for `request`, and records it there.
    pub(super) fn begin<B>(
        upstream: Arc<Upstream>,
        random: &Random,
        request: &mut Request<B>,
    ) -> Result<(Self, Target), Refusal> {
        let now = now();
        let needs = upstream.balancer().needs();
        let keys = Keys::of(request, needs);
        let pick = keys.pick_request(request, now);
        let picked = upstream.pick(&pick, || random.draw());
        let Pick { host, cluster } = picked.ok_or(Refusal::NoHealthyUpstream)?;
        let permit = upstream.breakers().acquire(Resource::Requests);
        let permit = permit.ok_or(Refusal::Overflow)?;
        let target = Target {
            endpoint: Arc::clone(host.endpoint()),
            downstream: downstream(&cluster, request),
            cluster,
            breakers: Arc::clone(upstream.breakers()),
        };
        let extensions = request.extensions_mut();
        let timeouts = extensions.get::<Timeouts>();
        let deadline = timeouts.and_then(|timeouts| timeouts.deadline(now));
        let selected = SelectedEndpoint(Arc::clone(host.endpoint()));
        if let Some(progress) = extensions.get::<Progress>() {
            progress.sent_to(selected.clone());
        }
        extensions.insert(selected);
        let active = InFlight {
            _request: host.begin(),
            _permit: permit,
        };
        let exchange = Self {
            active: Some(active),
            set_cookie: keys.hash.and_then(|key| key.set_cookie),
            deadline,
            judged_from: needs.outcome.then_some(now),
            caller: Caller::of(request.headers()),
            upstream,
            host,
        };
        Ok((exchange, target))
    }

    /// Records the response, and marks it with its endpoint.
    pub(super) fn finish<B>(&mut self, mut response: Response<B>) -> Response<TrackedBody<B>> {
        self.record(|| outcome(&response, self.caller));
        let extensions = response.extensions_mut();
        let known = extensions.get::<SelectedEndpoint>();
        let is_known = known.is_some_and(|known| Arc::ptr_eq(&known.0, self.host.endpoint()));
        if !is_known {
            extensions.insert(SelectedEndpoint(Arc::clone(self.host.endpoint())));
        }
        if let Some(cookie) = self.set_cookie.take() {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        let mut active = self.active.take();
        if let Some(switched) = response.extensions_mut().remove::<SwitchedRequest>() {
            switched.keep(active.take());
        }
        response.map(|body| TrackedBody::new(body, active))
    }

    /// Records that the endpoint's service failed.
    pub(super) fn fail(&mut self) {
        self.record(|| Some(Outcome::ConnectFailure));
        self.active = None;
    }

    /// Records what the request says of its endpoint, if anybody wants to know.
    fn record(&self, outcome: impl FnOnce() -> Option<Outcome>) {
        let Some(started) = self.judged_from else {
            return;
        };
        let Some(outcome) = outcome() else {
            return;
        };
        let now = now();
        let time = now.saturating_duration_since(started);
        let latency = self.host.state().latency();
        match outcome {
            Outcome::Grpc(..500) | Outcome::Status(..500) => latency.record(time, now),
            Outcome::ConnectFailure
            | Outcome::Grpc(_)
            | Outcome::Reset
            | Outcome::Status(_)
            | Outcome::Timeout => latency.record_failure(time, now),
        }
        self.upstream.balancer().record(&self.host, outcome, now);
    }
}

impl Drop for Exchange {
    /// A request that is given up late is the fault of the endpoint.
    fn drop(&mut self) {
        let is_late = |deadline| now() >= deadline;
        if self.active.is_some() && self.deadline.is_some_and(is_late) {
            self.record(|| Some(Outcome::Timeout));
        }
    }
}

/// Says how an endpoint is picked for `request`.
pub(super) fn explain<B>(
    upstream: &Upstream,
    random: &Random,
    request: &Request<B>,
) -> Decision<Choice> {
    let balancer = upstream.balancer();
    let keys = Keys::of(request, balancer.needs());
    balancer.explain(&keys.pick_request(request, now()), || random.draw())
}

/// What of a request an endpoint is found by.
struct Keys {
    hash: Option<HashKey>,
    authority: Option<Authority>,
}

impl Keys {
    fn of<B>(request: &Request<B>, needs: Needs) -> Self {
        let authority = || named_host(request)?.parse().ok();
        Self {
            hash: needs.hash.then(|| hash(request)).flatten(),
            authority: needs.authority.then(authority).flatten(),
        }
    }

    fn pick_request<'a, B>(&'a self, request: &'a Request<B>, now: Instant) -> PickRequest<'a> {
        let extensions = request.extensions();
        let retry = extensions.get().and_then(MatchedRoute::retry);
        PickRequest {
            now,
            hash: self.hash.as_ref().map(|key| key.hash),
            previous: extensions.get::<PreviousEndpoints>(),
            avoids_priorities: retry.is_some_and(|retry| retry.avoid_previous_priorities),
            authority: self.authority.as_ref(),
            original_destination: extensions.get().map(|info: &ConnectionInfo| info.local),
        }
    }
}

/// Whose connection the endpoint is to be told of.
fn downstream<B>(cluster: &Cluster, request: &Request<B>) -> Option<Downstream> {
    cluster.policy.proxy_protocol.as_ref()?;
    let ConnectionInfo { peer, local, .. } = request.extensions().get()?;
    let (peer, local) = (*peer, *local);
    Some(Downstream { peer, local })
}

/// The hash that the route asks for.
fn hash<B>(request: &Request<B>) -> Option<HashKey> {
    let extensions = request.extensions();
    let route = extensions.get::<MatchedRoute>()?.forward()?;
    let connection = extensions.get::<ConnectionInfo>().map(|info| Connection {
        remote: ClientAddress::of(extensions).unwrap_or(info.peer),
        local: info.local,
    });
    hash_key::evaluate(&route.hash_policies, request, connection)
}

/// What a response says of its endpoint. Nothing if a limit was reached on our side.
fn outcome<B>(response: &Response<B>, caller: Caller) -> Option<Outcome> {
    if let Some(reset) = UpstreamReset::of(response.extensions()) {
        return match reset.reason {
            ResetReason::Overflow | ResetReason::LocalReset => None,
            ResetReason::ConnectionFailure => Some(Outcome::ConnectFailure),
            _ => Some(Outcome::Reset),
        };
    }
    let status = response.status().as_u16();
    Some(match caller {
        Caller::Grpc => Outcome::Grpc(grpc_status(response.headers()).map_or(status, http_status)),
        Caller::Http => Outcome::Status(status),
    })
}

fn grpc_status(headers: &HeaderMap) -> Option<u8> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// The HTTP status that stands for a gRPC status, as in Envoy.
fn http_status(grpc: u8) -> u16 {
    match grpc {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}
