//! What the layers of a mesh tell each other about a request.
//!
//! These values travel in the extensions of requests and responses. They are the only thing that
//! routing, discovery, TLS and policy share at run time.
//!
//! | extension | written by | read by |
//! |---|---|---|
//! | [`ConnectionInfo`], [`PeerIdentity`] | the acceptor or server | authorization, rate limits, routing by scheme, telemetry |
//! | [`ClientAddress`] | the server that handles `x-forwarded-for` and `x-forwarded-proto` | authorization, rate limits, routing by scheme, telemetry |
//! | [`TargetScheme`] | the server that takes the scheme out of the URI | routing by scheme, authorization, whoever speaks HTTP/2 to the upstream, telemetry |
//! | [`RequestPrincipal`] | token verification | authorization, routing by claims, telemetry |
//! | [`MatchedRoute`] | routing | balancing, retries, timeouts, telemetry |
//! | [`PreviousEndpoints`] | retries | balancing |
//! | [`SelectedEndpoint`], also on responses | balancing | retries, telemetry |
//! | [`Progress`] | telemetry; filled in by routing and balancing | telemetry |
//! | [`Timeouts`] | timeouts and retries | balancing, which counts late endpoints |
//! | [`UpstreamReset`] on responses | whoever speaks to the upstream | retries |
//! | [`Attempts`] on responses | retries | telemetry |
//! | [`TransportFailure`], [`UpstreamConnection`] on responses | whoever speaks to the upstream | telemetry |
//! | [`ResponseFlag`], [`ResponseFlags`], [`ResponseDetails`] on responses | whichever layer answered | telemetry, tests |
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

mod progress;
mod response_flag;
mod upstream_reset;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::Scheme;
use http::{Extensions, Uri};

pub use self::progress::Progress;
pub use self::response_flag::{ResponseFlag, ResponseFlags, StreamFailure};
pub use self::upstream_reset::{ResetReason, UpstreamReset};
use crate::identity::SpiffeId;
use crate::model::cluster::{Endpoint, EndpointAddress};
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

/// The address of the client that a request comes from, as `x-forwarded-for` and the trusted proxies
/// before us give it. Without it, the client is the [`peer`](ConnectionInfo::peer).
///
/// # Example
///
/// ```
/// use std::net::{IpAddr, SocketAddr};
///
/// use http::Extensions;
/// use mesh_core::attributes::{ClientAddress, ConnectionInfo};
///
/// let mut extensions = Extensions::new();
/// assert_eq!(ClientAddress::of(&extensions), None);
///
/// let peer = SocketAddr::from(([10, 0, 0, 1], 4711));
/// let local = SocketAddr::from(([10, 0, 0, 2], 80));
/// extensions.insert(ConnectionInfo { peer, local, tls: None });
/// assert_eq!(ClientAddress::of(&extensions), Some(peer));
///
/// let client = IpAddr::from([192, 0, 2, 7]);
/// extensions.insert(ClientAddress(client));
/// assert_eq!(ClientAddress::of(&extensions), Some(SocketAddr::new(client, 0)));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The client of a request with these extensions, by its [`ClientAddress`] or else by its
    /// [`ConnectionInfo`]; Envoy's downstream remote address. The port is 0 if a proxy before us told
    /// the address, as it does not tell the port.
    pub fn of(extensions: &Extensions) -> Option<SocketAddr> {
        match extensions.get::<Self>() {
            Some(Self(address)) => Some((*address, 0).into()),
            None => Some(extensions.get::<ConnectionInfo>()?.peer),
        }
    }
}

/// The scheme of what a request asks for, its `:scheme` in HTTP/2, where that is not the scheme of its URI
/// any more, nor that by which its [connection](ConnectionInfo) was made: the client named another, or a
/// trusted proxy before us did in `x-forwarded-proto`.
///
/// # Example
///
/// ```
/// use http::uri::Scheme;
/// use http::{Extensions, Uri};
/// use mesh_core::attributes::TargetScheme;
///
/// let (path, whole) = (Uri::from_static("/cart"), Uri::from_static("http://shop.example/cart"));
/// let mut extensions = Extensions::new();
/// assert_eq!(TargetScheme::of(&path, &extensions), "http");
///
/// extensions.insert(TargetScheme(Scheme::HTTPS));
/// assert_eq!(TargetScheme::of(&path, &extensions), "https");
/// assert_eq!(TargetScheme::of(&whole, &extensions), "http");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TargetScheme(pub Scheme);

impl TargetScheme {
    /// The scheme of a request with this URI and these extensions, Envoy's `:scheme`: that which is
    /// [named](Self::named), or else `https` if its [connection](ConnectionInfo) is encrypted, and `http` if
    /// it is not or nothing is known of it.
    pub fn of<'a>(uri: &'a Uri, extensions: &'a Extensions) -> &'a str {
        Self::named(uri, extensions).unwrap_or_else(|| match extensions.get() {
            Some(ConnectionInfo { tls: Some(_), .. }) => "https",
            _ => "http",
        })
    }

    /// The scheme of the URI, or else the [`TargetScheme`] among the extensions. `http` and `https` are in
    /// lower case, however they were written.
    pub fn named<'a>(uri: &'a Uri, extensions: &'a Extensions) -> Option<&'a str> {
        let kept = || extensions.get().map(|Self(kept)| kept.as_str());
        let named = uri.scheme_str().or_else(kept)?;
        let mut known = ["http", "https"].into_iter();
        let known = known.find(|known| named.eq_ignore_ascii_case(known));
        Some(known.unwrap_or(named))
    }
}

/// What a TLS handshake settled.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TlsInfo {
    /// Server name of the ClientHello.
    pub server_name: Option<Arc<str>>,
    /// Application protocol agreed on.
    pub alpn: Option<Arc<[u8]>>,
    /// Version agreed on, as OpenSSL names it: `TLSv1.3`.
    pub version: Option<&'static str>,
    /// Cipher suite agreed on, as the RFCs name it: `TLS_AES_128_GCM_SHA256`.
    pub cipher_suite: Option<&'static str>,
    /// SHA-256 of the certificate that the other end presented: of the leaf alone. `None` if it
    /// presented none, or none that was verified.
    pub peer_fingerprint: Option<[u8; 32]>,
    /// SHA-256 of the whole chain that the other end presented: over the certificates in DER, one
    /// after the other, in the order in which they came, the leaf first. Of a leaf that came alone,
    /// it is the [`peer_fingerprint`](Self::peer_fingerprint). Present whenever that is.
    ///
    /// It tells apart connections whose leaf is the same and whose intermediates are not. Whoever has
    /// the leaf can append certificates that nobody asked for, and has another digest: to recognize a
    /// peer, compare the fingerprint.
    pub peer_chain_digest: Option<[u8; 32]>,
}

/// The identity of the other end of the connection: proven by an authority of its own trust domain,
/// unless [`ClaimedIdentity`] is beside it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerIdentity(pub SpiffeId);

/// Marks the [`PeerIdentity`] beside it as claimed: the authority that vouches for it is believed
/// about anybody, as that of a Gateway's `MUTUAL` is, and could name any workload of any trust domain.
///
/// Policies compare it all the same, as Istio's do (`source.principal`). Whoever needs a proof has to
/// look for this mark.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ClaimedIdentity;

/// The caller that a verified token names.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestPrincipal {
    /// `<iss>/<sub>`; empty if the token lacks one of them.
    pub principal: Arc<str>,
    /// The token's payload: a [`Value::Map`].
    pub claims: Arc<Value>,
}

/// The endpoint that a request was sent to.
///
/// Balancing puts it into the request's extensions for the services below, and into the response's
/// for the layers above. A response without it was answered before an endpoint was picked.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectedEndpoint(pub Arc<Endpoint>);

/// Why a layer answered in the application's place, as access logs say it: Envoy's response code
/// details. On responses whose [`ResponseFlag`] does not tell.
///
/// # Example
///
/// ```
/// use mesh_core::attributes::ResponseDetails;
///
/// let details = ResponseDetails::new("jwt_authn_access_denied{Jwt is expired}");
/// assert_eq!(details.as_str(), "jwt_authn_access_denied{Jwt_is_expired}");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResponseDetails(Arc<str>);

impl ResponseDetails {
    /// The details, with `_` for white space, as in Envoy.
    pub fn new(details: &str) -> Self {
        Self(details.replace(char::is_whitespace, "_").into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why there is no connection to the upstream, as the transport says (Envoy's
/// `UPSTREAM_TRANSPORT_FAILURE_REASON`): for operators, clients are not told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TransportFailure(pub Arc<str>);

/// The connection that a request was sent by. What is not known is `None`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UpstreamConnection {
    /// Our address of it.
    pub local: Option<SocketAddr>,
    /// Who we have proven to be, by mutual TLS.
    pub identity: Option<SpiffeId>,
    /// Who the upstream has proven to be.
    pub peer: Option<SpiffeId>,
}

/// How often a request was sent. Of a response that names its [`SelectedEndpoint`] or has no
/// [`ResponseFlag`] nor [`ResponseDetails`], and has no number, it was once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attempts(pub u32);

/// How long a request may take, and each of its attempts, else it is given up. `None` is no limit.
///
/// A request that is given up is dropped, whatever the reason. Balancing takes it for the fault of
/// the endpoint if the [`deadline`](Self::deadline) has passed, and for that of the client otherwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// When the request came.
    pub start: Instant,
    /// The time for the whole exchange.
    pub total: Option<Duration>,
    /// The time for one attempt. Shorter than `total`.
    pub per_try: Option<Duration>,
}

impl Timeouts {
    /// When the response to an attempt that is made at `now` has to be there.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// use mesh_core::attributes::Timeouts;
    ///
    /// let (start, second) = (Instant::now(), Duration::from_secs(1));
    /// let timeouts = Timeouts { start, total: Some(3 * second), per_try: Some(2 * second) };
    /// assert_eq!(timeouts.deadline(start), Some(start + 2 * second));
    /// assert_eq!(timeouts.deadline(start + 2 * second), Some(start + 3 * second));
    /// ```
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let whole = self.total.and_then(|total| self.start.checked_add(total));
        let attempt = self.per_try.and_then(|per_try| now.checked_add(per_try));
        whole.into_iter().chain(attempt).min()
    }
}

/// The endpoints that earlier attempts of a request went to, which balancing avoids (Envoy's
/// `previous_hosts`).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PreviousEndpoints {
    /// Their addresses, one for each attempt.
    pub addresses: Vec<EndpointAddress>,
    /// How often another endpoint is picked before one of these is accepted after all.
    pub selection_attempts: u32,
}
