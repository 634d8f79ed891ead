//! What the layers of a mesh tell each other about a request.
//!
//! These values travel in the extensions of requests and responses. They are the only thing that
//! routing, discovery, TLS and policy share at run time.
//!
//! | extension | written by | read by |
//! |---|---|---|
//! | [`ConnectionInfo`], [`PeerIdentity`] | the acceptor or server | authorization, rate limits, telemetry |
//! | [`RequestPrincipal`] | token verification | authorization, routing by claims, telemetry |
//! | [`MatchedRoute`] | routing | balancing, retries, timeouts, telemetry |
//! | [`ResponseFlag`] on responses | whichever layer answered | telemetry, tests |
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use mesh_core::attributes::MatchedRoute;
//! use mesh_core::model::route::{Route, RouteMatch};
//! use mesh_core::service::ClusterName;
//!
//! let cluster = ClusterName::outbound(80, "", "cart.shop.svc.cluster.local");
//! let route = Route::forward("cart", RouteMatch::prefix("/"), cluster.clone());
//! let matched = MatchedRoute::new(Arc::new(route), 0);
//!
//! assert_eq!(matched.name(), "cart");
//! assert_eq!(matched.cluster(), Some(&cluster));
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::identity::SpiffeId;
use crate::model::filter::{Fault, HeaderMutations};
use crate::model::retry::RetryPolicy;
use crate::model::route::{ClusterSpecifier, Forward, Route, WeightedDestination};
use crate::origin::Origin;
use crate::resource::Value;
use crate::service::ClusterName;

/// The route that a request was matched to, and the destination drawn for it.
///
/// Cheap to clone. It keeps its generation of the configuration alive.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchedRoute {
    route: Arc<Route>,
    destination: usize,
    enclosing: Option<Arc<EnclosingHeaders>>,
}

/// Header operations of the levels around a route, in the order in which they apply after it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnclosingHeaders {
    /// Those of the virtual host.
    pub virtual_host: HeaderMutations,
    /// Those of the route configuration.
    pub route_configuration: HeaderMutations,
}

impl MatchedRoute {
    /// `route`, with the index of the destination drawn among those that it forwards to. Routes
    /// that do not forward have no destination, whatever the index.
    pub fn new(route: Arc<Route>, destination: usize) -> Self {
        Self {
            route,
            destination,
            enclosing: None,
        }
    }

    /// Adds the header operations of the levels around the route.
    #[must_use]
    pub fn with_enclosing(mut self, headers: Option<Arc<EnclosingHeaders>>) -> Self {
        self.enclosing = headers;
        self
    }

    /// The route.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// The route's name, for access logs.
    pub fn name(&self) -> &str {
        &self.route.name
    }

    /// The rule that the route comes from.
    pub fn origin(&self) -> &Origin {
        &self.route.origin
    }

    /// The forwarding action, if the route forwards.
    pub fn forward(&self) -> Option<&Forward> {
        self.route.forward_to()
    }

    /// The destination drawn for this request, if the route forwards.
    pub fn destination(&self) -> Option<&WeightedDestination> {
        self.forward()?.destinations.get(self.destination)
    }

    /// The cluster of the destination, if it is known by name.
    pub fn cluster(&self) -> Option<&ClusterName> {
        match &self.destination()?.cluster {
            ClusterSpecifier::Name(name) => Some(name),
            ClusterSpecifier::Header(_) | ClusterSpecifier::Refused(_) => None,
        }
    }

    /// How long the exchange may take. `None` is no limit.
    pub fn timeout(&self) -> Option<Duration> {
        self.forward()?.timeout
    }

    /// When to try again.
    pub fn retry(&self) -> Option<&RetryPolicy> {
        self.forward()?.retry.as_deref()
    }

    /// Delays and aborts to inject.
    pub fn fault(&self) -> Option<&Fault> {
        self.route.fault.as_deref()
    }

    /// Header operations of the levels around the route.
    pub fn enclosing(&self) -> Option<&EnclosingHeaders> {
        self.enclosing.as_deref()
    }
}

/// The connection that a request came by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConnectionInfo {
    /// Address of the client or of the proxy before us.
    pub peer: SocketAddr,
    /// Our address.
    pub local: SocketAddr,
    /// What TLS settled; `None` is plaintext.
    pub tls: Option<TlsInfo>,
}

/// What a TLS handshake settled.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TlsInfo {
    /// Server name of the ClientHello.
    pub server_name: Option<Arc<str>>,
    /// Application protocol agreed on.
    pub alpn: Option<Arc<[u8]>>,
}

/// The identity that the other end of the connection has proven.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerIdentity(pub SpiffeId);

/// The caller that a verified token names.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestPrincipal {
    /// `<iss>/<sub>`.
    pub principal: Arc<str>,
    /// The token's payload: a [`Value::Map`].
    pub claims: Arc<Value>,
}

/// Why a response is not the application's own: Envoy's [response flags].
///
/// [response flags]: https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#command-operators
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
pub enum ResponseFlag {
    /// `DC`: the client went away.
    DownstreamConnectionTermination,
    /// `DI`: a delay was injected.
    DelayInjected,
    /// `DPE`: the client broke the protocol.
    DownstreamProtocolError,
    /// `FI`: an abort was injected.
    FaultInjected,
    /// `NC`: the cluster does not exist.
    NoClusterFound,
    /// `NR`: no route matched.
    NoRouteFound,
    /// `RL`: the local rate limit was exceeded.
    RateLimited,
    /// `SI`: the stream was idle too long.
    StreamIdleTimeout,
    /// `UAEX`: the authorization service denied.
    UnauthorizedExternalService,
    /// `UC`: the upstream closed the connection.
    UpstreamConnectionTermination,
    /// `UF`: the upstream could not be connected to.
    UpstreamConnectionFailure,
    /// `UH`: no endpoint is healthy.
    NoHealthyUpstream,
    /// `UO`: a limit on connections or requests was reached.
    UpstreamOverflow,
    /// `UPE`: the upstream broke the protocol.
    UpstreamProtocolError,
    /// `UR`: the upstream reset the stream.
    UpstreamRemoteReset,
    /// `URX`: the attempts were used up.
    UpstreamRetryLimitExceeded,
    /// `UT`: the upstream took too long.
    UpstreamRequestTimeout,
}

impl ResponseFlag {
    /// Envoy's abbreviation, as in access logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DownstreamConnectionTermination => "DC",
            Self::DelayInjected => "DI",
            Self::DownstreamProtocolError => "DPE",
            Self::FaultInjected => "FI",
            Self::NoClusterFound => "NC",
            Self::NoRouteFound => "NR",
            Self::RateLimited => "RL",
            Self::StreamIdleTimeout => "SI",
            Self::UnauthorizedExternalService => "UAEX",
            Self::UpstreamConnectionTermination => "UC",
            Self::UpstreamConnectionFailure => "UF",
            Self::NoHealthyUpstream => "UH",
            Self::UpstreamOverflow => "UO",
            Self::UpstreamProtocolError => "UPE",
            Self::UpstreamRemoteReset => "UR",
            Self::UpstreamRetryLimitExceeded => "URX",
            Self::UpstreamRequestTimeout => "UT",
        }
    }
}

impl fmt::Display for ResponseFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
