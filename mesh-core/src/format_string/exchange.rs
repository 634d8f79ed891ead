use std::time::SystemTime;

use http::header::HOST;
use http::{Extensions, HeaderMap, StatusCode, request, response};

use super::Completion;
use crate::attributes::{
    Attempts, ConnectionInfo, MatchedRoute, Progress, ResponseDetails, ResponseFlag, ResponseFlags,
    SelectedEndpoint, TargetScheme,
};
use crate::service::ClusterName;

/// What a format string is filled in from: a request, as far as it has come, or a connection that
/// carries none.
///
/// The connection, the peer's identity and, unless [`with_route`](Self::with_route) names one, the
/// route are taken from the request's extensions; where no response says more, its [`Progress`] says
/// where it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// `None` is a connection without requests.
    pub(super) request: Option<&'a request::Parts>,
    pub(super) extensions: &'a Extensions,
    route: Option<&'a MatchedRoute>,
    cluster: Option<&'a ClusterName>,
    pub(super) response: Option<ResponseHead<'a>>,
    pub(super) completion: Option<&'a Completion>,
    pub(super) start: SystemTime,
    is_answered_locally: bool,
    has_no_cluster: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseHead<'a> {
    /// `None` if it is not settled yet.
    pub(super) status: Option<StatusCode>,
    pub(super) headers: &'a HeaderMap,
    pub(super) flags: ResponseFlags,
    pub(super) endpoint: Option<&'a SelectedEndpoint>,
    attempts: Option<Attempts>,
    has_details: bool,
}

impl<'a> Exchange<'a> {
    /// A request that was received at `start` and has no response yet.
    pub fn of_request(request: &'a request::Parts, start: SystemTime) -> Self {
        let request_extensions = &request.extensions;
        Self {
            request: Some(request),
            ..Self::of_connection(request_extensions, start)
        }
    }

    /// A connection that carries no requests, was accepted at `start`, and is told of by `extensions`
    /// as requests are; it was sent to the endpoint that they name, if they do.
    pub fn of_connection(extensions: &'a Extensions, start: SystemTime) -> Self {
        Self {
            request: None,
            extensions,
            route: None,
            cluster: None,
            response: None,
            completion: None,
            start,
            is_answered_locally: false,
            has_no_cluster: false,
        }
    }

    /// Says that the proxy answers the request itself. Where header operations are applied to such
    /// an answer its status is not settled, as in Envoy: `%RESPONSE_CODE%` is `0`.
    #[must_use]
    pub fn answered_locally(self) -> Self {
        Self {
            is_answered_locally: true,
            ..self
        }
    }

    /// Whether the proxy [answers the request itself](Self::answered_locally).
    pub fn is_answered_locally(&self) -> bool {
        self.is_answered_locally
    }

    /// Says that the cluster of the route does not exist, so that `%UPSTREAM_CLUSTER%` is empty.
    /// Without it, [`ResponseFlag::NoClusterFound`] tells.
    #[must_use]
    pub fn without_cluster(self) -> Self {
        Self {
            has_no_cluster: true,
            ..self
        }
    }

    /// Sets the route, for requests that do not carry it in their extensions.
    #[must_use]
    pub fn with_route(self, route: &'a MatchedRoute) -> Self {
        let route = Some(route);
        Self { route, ..self }
    }

    /// Sets the cluster, for connections: they have no route that names it.
    #[must_use]
    pub fn with_cluster(self, cluster: &'a ClusterName) -> Self {
        let cluster = Some(cluster);
        Self { cluster, ..self }
    }

    /// Adds the response. Its status is known, unless the proxy
    /// [answers itself](Self::answered_locally).
    #[must_use]
    pub fn with_response(self, response: &'a response::Parts) -> Self {
        let response = Some(ResponseHead {
            status: (!self.is_answered_locally).then_some(response.status),
            headers: &response.headers,
            flags: ResponseFlags::of(&response.extensions),
            endpoint: response.extensions.get(),
            attempts: response.extensions.get().copied(),
            has_details: response.extensions.get::<ResponseDetails>().is_some(),
        });
        Self { response, ..self }
    }

    /// Adds what is known now that the exchange is over.
    #[must_use]
    pub fn with_completion(self, completion: &'a Completion) -> Self {
        let completion = Some(completion);
        Self { completion, ..self }
    }

    /// The endpoint that the request was sent to.
    pub(super) fn endpoint(&self) -> Option<&'a SelectedEndpoint> {
        let of_response = self.response.and_then(|response| response.endpoint);
        of_response.or_else(|| Progress::endpoint_in(self.extensions))
    }

    /// The flags of the response, else those of an exchange that ended without one.
    pub(super) fn flags(&self) -> ResponseFlags {
        let of_response = self.response.map(|response| response.flags);
        let at_end = || self.completion.map(|completion| completion.flags);
        of_response.or_else(at_end).unwrap_or_default()
    }

    /// The flags in the order in which Envoy writes them. What is last of a connection is that it may not
    /// be tried again.
    pub(super) fn ordered_flags(&self) -> impl Iterator<Item = ResponseFlag> + use<'a> {
        const LAST: ResponseFlag = ResponseFlag::UpstreamRetryLimitExceeded;
        let flags = self.flags();
        let last = (self.request.is_none() && flags.contains(LAST)).then_some(LAST);
        let others = flags.iter().filter(move |flag| Some(*flag) != last);
        others.chain(last)
    }

    /// How often the request was sent. Who tries nothing again does not count: what was answered by
    /// none of the layers on its way was sent.
    pub(super) fn attempts(&self) -> u32 {
        let counted = self.response.and_then(|response| response.attempts);
        let progress = self.extensions.get::<Progress>();
        let known = || match progress.map(Progress::attempts) {
            Some(count) if count > 0 => count,
            _ => u32::from(self.endpoint().is_some() || self.is_answered_by_upstream()),
        };
        counted.map_or_else(known, |Attempts(count)| count)
    }

    fn is_answered_by_upstream(&self) -> bool {
        let is_forwarded = self.route().is_some_and(|route| route.forward().is_some());
        let is_own = self.is_answered_locally
            || !self.flags().is_empty()
            || self.response.is_none_or(|response| response.has_details);
        is_forwarded && !is_own
    }

    /// The first value of a parameter of the query.
    pub(super) fn query_param(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self.request?.uri.query()?.split('&');
        pairs.find_map(|pair| {
            let (own, value) = pair.split_once('=').unwrap_or((pair, ""));
            (own == name).then_some(value)
        })
    }

    /// The cluster, if it exists as far as is known.
    pub(super) fn cluster(&self) -> Option<&'a ClusterName> {
        let of_route = || self.route()?.cluster();
        let is_missing = self.has_no_cluster || self.flags().contains(ResponseFlag::NoClusterFound);
        self.cluster.or_else(of_route).filter(|_| !is_missing)
    }

    pub(super) fn route(&self) -> Option<&'a MatchedRoute> {
        self.route.or_else(|| Progress::route_in(self.extensions))
    }

    pub(super) fn connection(&self) -> Option<&'a ConnectionInfo> {
        self.extensions.get()
    }

    pub(super) fn authority(&self) -> Option<&'a [u8]> {
        let request = self.request?;
        let of_uri = request
            .uri
            .authority()
            .map(|authority| authority.as_str().as_bytes());
        of_uri.or_else(|| Some(request.headers.get(HOST)?.as_bytes()))
    }

    pub(super) fn scheme(&self) -> Option<&'a str> {
        let uri = &self.request?.uri;
        Some(TargetScheme::of(uri, self.extensions))
    }

    pub(super) fn path_and_query(&self) -> Option<&'a str> {
        let path = self.request?.uri.path_and_query();
        Some(path.map_or("", http::uri::PathAndQuery::as_str))
    }
}
