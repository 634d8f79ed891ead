//! Who the client is: `x-forwarded-for`, `x-forwarded-proto`, `x-forwarded-port`,
//! `x-envoy-external-address`, `x-envoy-internal`; and what only peers inside the mesh may ask of the gateway.
//!
//! The rules are those of Envoy's connection manager with `use_remote_address`
//! (`ConnectionManagerUtility::mutateRequestHeaders`, and "x-forwarded-for" in its documentation).
//!
//! # Example
//!
//! ```
//! use examples::headers::forwarded::{Peer, Trust};
//! use examples::headers::Scheme;
//! use http::{HeaderMap, HeaderValue};
//!
//! let trust = Trust { trusted_hops: 1, ..Trust::default() };
//! let load_balancer = Peer::new([10, 0, 0, 1].into(), Scheme::Http, &trust);
//! let mut headers = HeaderMap::new();
//! headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.9"));
//! headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
//! headers.insert("x-envoy-retry-on", HeaderValue::from_static("5xx"));
//!
//! load_balancer.forward(&mut headers, &trust);
//!
//! assert_eq!(headers["x-forwarded-for"], "203.0.113.9,10.0.0.1");
//! assert_eq!(headers["x-forwarded-proto"], "https");
//! assert_eq!(headers["x-envoy-external-address"], "203.0.113.9");
//! assert!(!headers.contains_key("x-envoy-retry-on"));
//! ```

use std::net::IpAddr;

use http::header::Entry;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use mesh_policy::authz::Forwarding;

use super::policy::Scheme;
use super::router;

/// The addresses that a request has come by.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The scheme that the client used.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The port that the client has connected to.
pub const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
/// The address of a client outside the mesh.
pub const X_ENVOY_EXTERNAL_ADDRESS: HeaderName =
    HeaderName::from_static("x-envoy-external-address");
/// Says that a request comes from inside the mesh.
pub const X_ENVOY_INTERNAL: HeaderName = HeaderName::from_static("x-envoy-internal");

/// What clients outside the mesh may not say at its edge.
const EDGE_ONLY: [HeaderName; 6] = [
    HeaderName::from_static("x-envoy-decorator-operation"),
    HeaderName::from_static("x-envoy-downstream-service-cluster"),
    HeaderName::from_static("x-envoy-downstream-service-node"),
    HeaderName::from_static("x-envoy-original-dst-host"),
    HeaderName::from_static("x-envoy-original-host"),
    HeaderName::from_static("x-envoy-original-path"),
];

/// What nobody may say who is not known to be inside the mesh, beside what [steers](router::steering) the
/// router. Envoy obeys `x-envoy-upstream-stream-duration-ms`, which is among that, whoever sends it.
const INTERNAL_ONLY: [HeaderName; 5] = [
    HeaderName::from_static("x-envoy-expected-rq-timeout-ms"),
    HeaderName::from_static("x-envoy-force-trace"),
    X_ENVOY_INTERNAL,
    HeaderName::from_static("x-envoy-ip-tags"),
    HeaderName::from_static("x-envoy-original-url"),
];

/// Whom to believe.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Trust {
    /// How many proxies before this one are trusted to say whom they forward for: Istio's
    /// `gatewayTopology.numTrustedProxies`. Default: 0.
    pub trusted_hops: u32,
    /// Which clients are inside the mesh. Default: none, as with Envoy since 1.36 if its
    /// `internal_address_config` is not set.
    pub internal: Vec<IpNet>,
    /// Whether the upstream is told the port that the client has connected to, unless a trusted proxy
    /// says it: Istio's `proxyHeaders.xForwardedPort`. Default: no.
    pub tells_port: bool,
    /// The gateway's own address, appended to `x-forwarded-for` in place of a loopback address,
    /// as Envoy does. Default: `None`, the loopback address itself.
    pub local_address: Option<IpAddr>,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// From outside the mesh.
    External,
    /// From inside.
    Internal,
}

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    address: IpAddr,
    scheme: HeaderValue,
    // Both are formatted once, and shared by the requests of the connection.
    external: HeaderValue,
    appended: HeaderValue,
    // `None` if it is not told.
    port: Option<HeaderValue>,
}

impl Peer {
    /// The peer at `address`, connected by `scheme`.
    pub fn new(address: IpAddr, scheme: Scheme, trust: &Trust) -> Self {
        let address = address.to_canonical();
        let appended = trust.local_address.filter(|_| address.is_loopback());
        Self {
            address,
            scheme: HeaderValue::from_static(scheme.as_str()),
            external: text(address),
            appended: text(appended.unwrap_or(address)),
            port: None,
        }
    }

    /// The same peer, connected to `port`, which the upstream is told by `trust`.
    #[must_use]
    pub fn connected_to(self, port: u16, trust: &Trust) -> Self {
        let port = trust.tells_port.then(|| HeaderValue::from(port));
        Self { port, ..self }
    }

    /// Tells the upstream who the client is, and removes what the client may not say. Returns where the
    /// request comes from, and the scheme that a trusted proxy has told.
    pub fn forward(&self, headers: &mut HeaderMap, trust: &Trust) -> (Source, Option<Scheme>) {
        // A request that somebody forwarded is never from inside.
        let is_direct = !headers.contains_key(X_FORWARDED_FOR);
        let client = Forwarding::edge(trust.trusted_hops).client(self.address, headers);
        self.append(headers, is_direct);
        let told = self.tell_scheme(headers, trust.trusted_hops > 0);
        if let Some(port) = &self.port
            && (trust.trusted_hops == 0 || !headers.contains_key(X_FORWARDED_PORT))
        {
            headers.insert(X_FORWARDED_PORT, port.clone());
        }
        if is_direct
            && trust
                .internal
                .iter()
                .any(|network| network.contains(&client))
        {
            headers.insert(X_ENVOY_INTERNAL, HeaderValue::from_static("true"));
            return (Source::Internal, told);
        }
        remove(headers, EDGE_ONLY.into_iter().chain(internal_only()));
        let external = if client == self.address {
            self.external.clone()
        } else {
            text(client)
        };
        headers.insert(X_ENVOY_EXTERNAL_ADDRESS, external);
        (Source::External, told)
    }

    /// Tells the upstream by which scheme the client came, unless somebody has told it who is trusted.
    /// Returns what was told, if that is a scheme.
    pub(super) fn tell_scheme(&self, headers: &mut HeaderMap, is_trusted: bool) -> Option<Scheme> {
        if !is_trusted {
            headers.insert(X_FORWARDED_PROTO, self.scheme.clone());
            return None;
        }
        match headers.entry(X_FORWARDED_PROTO) {
            Entry::Occupied(told) => {
                let schemes = [Scheme::Http, Scheme::Https];
                let is_told = |scheme: &Scheme| told.get() == scheme.as_str();
                let is_one = told.iter().nth(1).is_none();
                schemes.into_iter().find(is_told).filter(|_| is_one)
            }
            Entry::Vacant(untold) => {
                untold.insert(self.scheme.clone());
                None
            }
        }
    }

    fn append(&self, headers: &mut HeaderMap, is_first: bool) {
        if is_first {
            headers.insert(X_FORWARDED_FOR, self.appended.clone());
            return;
        }
        let lines = headers.get_all(X_FORWARDED_FOR).iter();
        let mut all = Vec::new();
        for line in lines.chain([&self.appended]) {
            if !all.is_empty() {
                all.push(b',');
            }
            all.extend_from_slice(line.as_bytes());
        }
        // Header values joined by commas are one.
        if let Ok(all) = HeaderValue::from_maybe_shared(bytes::Bytes::from(all)) {
            headers.insert(X_FORWARDED_FOR, all);
        }
    }
}

/// Removes what nobody may say from a request of which is not known whether it comes from inside the mesh.
pub(super) fn remove_internal_only(headers: &mut HeaderMap) {
    remove(headers, internal_only());
}

fn internal_only() -> impl Iterator<Item = HeaderName> {
    INTERNAL_ONLY.into_iter().chain(router::steering())
}

fn remove(headers: &mut HeaderMap, names: impl Iterator<Item = HeaderName>) {
    // Looking at the names is much less than looking each of them up.
    if headers
        .keys()
        .any(|name| name.as_str().starts_with("x-envoy-"))
    {
        for name in names {
            headers.remove(name);
        }
    }
}

fn text(address: IpAddr) -> HeaderValue {
    HeaderValue::try_from(address.to_string()).expect("an address is visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: [u8; 4] = [198, 51, 100, 7];

    #[test]
    fn the_peer_is_appended() {
        for (case, before, after) in [
            ("none", &[][..], "198.51.100.7"),
            (
                "one",
                &["1.2.3.4, 8.8.8.8"],
                "1.2.3.4, 8.8.8.8,198.51.100.7",
            ),
            (
                "two lines",
                &["1.2.3.4", "5.6.7.8"],
                "1.2.3.4,5.6.7.8,198.51.100.7",
            ),
        ] {
            let (headers, _) = forward(before, &Trust::default());
            assert_eq!(headers[X_FORWARDED_FOR], after, "{case}");
            assert_eq!(headers.get_all(X_FORWARDED_FOR).iter().count(), 1, "{case}");
        }
    }

    #[test]
    fn the_last_trusted_proxy_names_the_client() {
        for (hops, forwarded, client) in [
            (0, "1.1.1.1,2.2.2.2", "198.51.100.7"),
            (1, "1.1.1.1,2.2.2.2", "2.2.2.2"),
            (2, "1.1.1.1, 2.2.2.2", "1.1.1.1"),
            (3, "1.1.1.1,2.2.2.2", "198.51.100.7"),
            (1, "unknown", "198.51.100.7"),
            (1, "2001:db8::1", "2001:db8::1"),
            (1, "::ffff:1.2.3.4", "1.2.3.4"),
        ] {
            let trust = Trust {
                trusted_hops: hops,
                ..Trust::default()
            };
            let (headers, _) = forward(&[forwarded], &trust);
            assert_eq!(
                headers[X_ENVOY_EXTERNAL_ADDRESS], client,
                "{hops} {forwarded}"
            );
        }
    }

    #[test]
    fn only_a_trusted_proxy_names_the_scheme() {
        for (hops, before, after) in [
            (0, Some("https"), "http"),
            (1, Some("https"), "https"),
            (1, None, "http"),
        ] {
            let trust = Trust {
                trusted_hops: hops,
                ..Trust::default()
            };
            let mut headers = HeaderMap::new();
            if let Some(before) = before {
                headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(before));
            }
            peer(&trust).forward(&mut headers, &trust);
            assert_eq!(headers[X_FORWARDED_PROTO], after, "{hops} {before:?}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_names_another_port() {
        for (tells_port, hops, before, after) in [
            (true, 0, Some("443"), Some("8080")),
            (true, 0, None, Some("8080")),
            (true, 1, Some("443"), Some("443")),
            (true, 1, None, Some("8080")),
            (false, 0, Some("443"), Some("443")),
            (false, 0, None, None),
        ] {
            let trust = Trust {
                trusted_hops: hops,
                tells_port,
                ..Trust::default()
            };
            let mut headers = HeaderMap::new();
            if let Some(before) = before {
                headers.insert(X_FORWARDED_PORT, HeaderValue::from_static(before));
            }
            let peer = peer(&trust).connected_to(8080, &trust);
            peer.forward(&mut headers, &trust);
            let port = headers.get(X_FORWARDED_PORT);
            let port = port.map(|port| port.to_str().unwrap());
            assert_eq!(port, after, "{tells_port} {hops} {before:?}");
        }
    }

    #[test]
    fn a_direct_request_from_an_internal_network_is_internal() {
        let trust = Trust {
            internal: vec!["198.51.100.0/24".parse().unwrap()],
            ..Trust::default()
        };
        let (headers, source) = forward(&[], &trust);
        assert_eq!(source, Source::Internal);
        assert_eq!(headers[X_ENVOY_INTERNAL], "true");
        assert!(!headers.contains_key(X_ENVOY_EXTERNAL_ADDRESS));

        let (headers, source) = forward(&["1.1.1.1"], &trust);
        assert_eq!(source, Source::External);
        assert!(!headers.contains_key(X_ENVOY_INTERNAL));
    }

    #[test]
    fn a_client_outside_cannot_steer_proxies() {
        let mut headers = HeaderMap::new();
        let named = ["x-envoy-original-host", "x-envoy-original-url"];
        let named = named.map(HeaderName::from_static).into_iter();
        for name in named.chain(EDGE_ONLY).chain(internal_only()) {
            headers.insert(name, HeaderValue::from_static("true"));
        }
        headers.insert("x-envoy-peer-metadata", HeaderValue::from_static("kept"));
        peer(&Trust::default()).forward(&mut headers, &Trust::default());
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "x-envoy-external-address",
                "x-envoy-peer-metadata",
                "x-forwarded-for",
                "x-forwarded-proto"
            ]
        );
    }

    #[test]
    fn a_loopback_peer_is_the_gateway_itself() {
        let trust = Trust {
            local_address: Some([10, 0, 0, 5].into()),
            ..Trust::default()
        };
        let mut headers = HeaderMap::new();
        let peer = Peer::new([127, 0, 0, 1].into(), Scheme::Http, &trust);
        peer.forward(&mut headers, &trust);
        assert_eq!(headers[X_FORWARDED_FOR], "10.0.0.5");
        assert_eq!(headers[X_ENVOY_EXTERNAL_ADDRESS], "127.0.0.1");
    }

    fn forward(forwarded_for: &[&str], trust: &Trust) -> (HeaderMap, Source) {
        let mut headers = HeaderMap::new();
        for line in forwarded_for {
            headers.append(X_FORWARDED_FOR, line.parse().unwrap());
        }
        let (source, _) = peer(trust).forward(&mut headers, trust);
        (headers, source)
    }

    fn peer(trust: &Trust) -> Peer {
        Peer::new(PEER.into(), Scheme::Http, trust)
    }
}
