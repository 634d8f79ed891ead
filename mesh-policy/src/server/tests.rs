use std::convert::Infallible;
use std::net::IpAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use mesh_core::attributes::{ClaimedIdentity, ConnectionInfo, PeerIdentity};
use mesh_core::load::Loaded;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use tower::{ServiceExt, service_fn};

use super::*;
use crate::authn::tests::{JWKS, algorithms, token};
use crate::authn::{Fetch, FetchError};

const TOKENS: &str = "
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: tokens, namespace: shop }
spec: { jwtRules: [{ issuer: 'https://login.example', jwks: '{\"keys\": []}' }] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: cart, namespace: shop }
spec: { rules: [{ to: [{ operation: { paths: [/cart] } }] }] }
";

/// Two requests a minute, beside `object`.
fn limit(object: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{ name: limit, namespace: shop }}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match: {{ context: SIDECAR_INBOUND, {object} }}
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.local_ratelimit
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
          stat_prefix: cart
          token_bucket: {{ max_tokens: 2, tokens_per_fill: 2, fill_interval: 60s }}
          filter_enabled: {{ default_value: {{ numerator: 100, denominator: HUNDRED }} }}
          filter_enforced: {{ default_value: {{ numerator: 100, denominator: HUNDRED }} }}
"
    )
}

fn compile(documents: &[&str]) -> Result<(ServerLayer, Vec<Notice>), ServerError> {
    let mut loaded = Loaded::default();
    loaded.add("policies.yaml", documents.join("---"));
    let built = loaded.build(MeshConfig::builder(), 1);
    let (config, _) = built.map_err(|found| found.to_string()).unwrap();
    let model = resolve(&config, &Workload::sidecar("shop"));
    let now = tokio::time::Instant::now().into_std();
    ServerLayer::compile(&config, &model, &KeyStore::default(), algorithms(), now)
}

/// The status of a request for `path`, with a token that nobody has signed or without one.
async fn status(layer: &ServerLayer, path: &str, has_token: bool) -> u16 {
    let request = Request::get(path);
    let request = match has_token {
        true => request.header("authorization", "Bearer a.b.c"),
        false => request,
    };
    send(layer, request).await
}

/// The status of a request.
async fn send(layer: &ServerLayer, request: http::request::Builder) -> u16 {
    let service = layer.layer(service_fn(|_| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    service.oneshot(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn tokens_come_before_authorization_and_that_before_a_limit_and_all_is_counted() {
    let router = "listener: { filterChain: { filter: { \
             name: envoy.filters.network.http_connection_manager, \
             subFilter: { name: envoy.filters.http.router } } } }";
    let (layer, notices) = compile(&[TOKENS, &limit(router)]).unwrap();
    // The issuer has no keys, so that no token is accepted.
    let [notice] = &notices[..] else {
        panic!("{notices:?}");
    };
    assert!(notice.message.contains("no token"), "{notice}");
    for (path, has_token, expected) in [
        ("/admin", true, 401),
        ("/admin", false, 403),
        // What was refused has taken nothing of the limit.
        ("/cart", false, 200),
        ("/cart", false, 200),
        ("/cart", false, 429),
        ("/admin", false, 403),
    ] {
        assert_eq!(status(&layer, path, has_token).await, expected, "{path}");
    }
    let text = layer.metrics().encode();
    for (code, count) in [(200, 2), (401, 1), (403, 2), (429, 1)] {
        let label = format!("response_code=\"{code}\"");
        let mut lines = text.lines();
        let line = lines.find(|line| line.contains("requests_total{") && line.contains(&label));
        assert!(line.unwrap().ends_with(&format!(" {count}")), "{text}");
    }
}

#[tokio::test]
async fn a_limit_that_is_inserted_first_comes_before_tokens() {
    let (layer, _) = compile(&[TOKENS, &limit("listener: {}")]).unwrap();
    for expected in [401, 401, 429] {
        assert_eq!(status(&layer, "/cart", true).await, expected);
    }
}

#[tokio::test]
async fn policies_that_somebody_else_decides_are_refused() {
    let custom = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: custom, namespace: shop }
spec: { action: CUSTOM, provider: { name: opa }, rules: [{}] }
";
    let error = compile(&[custom]).unwrap_err();
    assert_eq!(error, ServerError::Custom("opa".into()));
}

/// Nobody can evade it by coming through a gateway, whose address is another.
#[tokio::test]
async fn a_denial_of_clients_is_of_those_behind_proxies_of_the_mesh() {
    let denial = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: clients, namespace: shop }
spec: { action: DENY, rules: [{ from: [{ source: { remoteIpBlocks: [203.0.113.0/24] } }] }] }
";
    let (layer, notices) = compile(&[denial]).unwrap();
    assert_eq!(notices, []);
    let edge = layer.clone().with_forwarding(Forwarding::edge(0));
    let from = |client: &'static str, peer: [u8; 4]| {
        let connection = ConnectionInfo {
            peer: (peer, 41000).into(),
            local: ([10, 0, 0, 9], 8080).into(),
            tls: None,
        };
        let request = Request::get("/").extension(connection);
        request.header("x-forwarded-for", client)
    };
    let gateway = [10, 0, 0, 1];
    for (layer, client, peer, expected) in [
        (&layer, "203.0.113.9", gateway, 403),
        (&layer, "198.51.100.1, 203.0.113.9", gateway, 403),
        (&layer, "203.0.113.9, 198.51.100.1", gateway, 200),
        (&edge, "203.0.113.9", gateway, 200),
        (&edge, "198.51.100.1", [203, 0, 113, 9], 403),
    ] {
        let status = send(layer, from(client, peer)).await;
        assert_eq!(status, expected, "{client} {peer:?}");
    }
}

/// What is said of clients at addresses that are listed.
fn listed(action: &str) -> ServerLayer {
    let policy = format!(
        "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: clients, namespace: shop }}
spec: {{ action: {action}, rules: [{{ from: [{{ source: {{ remoteIpBlocks: [203.0.113.0/24] }} }}] }}] }}
"
    );
    compile(&[&policy]).unwrap().0
}

const LISTED: [u8; 4] = [203, 0, 113, 9];
const OTHER: [u8; 4] = [198, 51, 100, 1];
const PROXY: [u8; 4] = [10, 0, 0, 1];

/// Whoever can connect can write the field; only members of the mesh are believed.
#[tokio::test]
async fn strangers_cannot_name_an_address_that_is_allowed() {
    use Caller::{Claimed, Member, Stranger};
    let layer = listed("ALLOW");
    for (name, peer, caller, named, expected) in [
        ("a client lies", OTHER, Stranger, Some(LISTED), 403),
        ("a partner lies", OTHER, Claimed, Some(LISTED), 403),
        ("itself", LISTED, Stranger, None, 200),
        ("it names itself", LISTED, Stranger, Some(LISTED), 200),
        ("it names another", LISTED, Stranger, Some(OTHER), 403),
        ("by a gateway", PROXY, Member, Some(LISTED), 200),
        ("another by it", PROXY, Member, Some(OTHER), 403),
        ("in plaintext", PROXY, Stranger, Some(LISTED), 403),
    ] {
        let status = send(&layer, caller.request(peer, named)).await;
        assert_eq!(status, expected, "{name}");
    }
    let behind_proxies = layer.with_forwarding(Forwarding::sidecar());
    let request = Stranger.request(PROXY, Some(LISTED));
    assert_eq!(send(&behind_proxies, request).await, 200);
}

#[tokio::test]
async fn strangers_cannot_evade_a_denial_by_naming_an_address() {
    use Caller::{Claimed, Member, Stranger};
    let layer = listed("DENY");
    for (name, peer, caller, named, expected) in [
        ("it lies", LISTED, Stranger, Some(OTHER), 403),
        ("a partner lies", LISTED, Claimed, Some(OTHER), 403),
        ("itself", LISTED, Stranger, None, 403),
        ("by a gateway", PROXY, Member, Some(LISTED), 403),
        ("another by it", PROXY, Member, Some(OTHER), 200),
        ("in plaintext", PROXY, Stranger, Some(LISTED), 403),
        ("another in plaintext", PROXY, Stranger, Some(OTHER), 200),
    ] {
        let status = send(&layer, caller.request(peer, named)).await;
        assert_eq!(status, expected, "{name}");
    }
}

/// What a caller has proven.
#[derive(Clone, Copy, Debug)]
enum Caller {
    /// An identity, by an authority that is believed about anybody.
    Claimed,
    /// Its identity, by the authority of the mesh.
    Member,
    Stranger,
}

impl Caller {
    fn request(self, peer: [u8; 4], named: Option<[u8; 4]>) -> http::request::Builder {
        let mut request = Request::get("/").extension(ConnectionInfo {
            peer: (peer, 41000).into(),
            local: ([10, 0, 0, 9], 8080).into(),
            tls: None,
        });
        if let Some(named) = named {
            request = request.header("x-forwarded-for", IpAddr::from(named).to_string());
        }
        let identity = PeerIdentity("spiffe://cluster.local/ns/edge/sa/gateway".parse().unwrap());
        match self {
            Self::Claimed => request.extension(identity).extension(ClaimedIdentity),
            Self::Member => request.extension(identity),
            Self::Stranger => request,
        }
    }
}

#[tokio::test]
async fn keys_that_nobody_has_fetched_are_told_and_can_be_fetched() {
    /// The issuer's server.
    struct Issuer;

    impl Fetch for Issuer {
        async fn fetch(&self, _: &str) -> Result<Bytes, FetchError> {
            Ok(Bytes::from_static(JWKS.as_bytes()))
        }
    }

    let remote = "
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: tokens, namespace: shop }
spec: { jwtRules: [{ issuer: i, jwksUri: 'https://login.example/keys' }] }
";
    let (layer, notices) = compile(&[remote]).unwrap();
    let messages: Vec<_> = notices.iter().map(ToString::to_string).collect();
    let [message] = &messages[..] else {
        panic!("{messages:?}");
    };
    assert!(
        message.contains("RequestAuthentication shop/tokens spec.jwtRules[0]"),
        "{message}"
    );
    assert!(
        message.contains("`https://login.example/keys` have not been fetched"),
        "{message}"
    );

    let bearer = format!(
        "Bearer {}",
        token(&serde_json::json!({"iss": "i", "sub": "me"}))
    );
    let with_token = || Request::get("/cart").header("authorization", &bearer);
    assert_eq!(send(&layer, with_token()).await, 401);
    for keys in layer.remote_keys() {
        keys.refresh(&Issuer).await.unwrap();
    }
    assert_eq!(send(&layer, with_token()).await, 200);
}

#[tokio::test]
async fn limits_of_ports_and_routes_are_told_and_not_forgotten() {
    let of_host = "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: rules, namespace: shop }
spec:
  configPatches:
  - applyTo: VIRTUAL_HOST
    match: { context: SIDECAR_INBOUND, routeConfiguration: { vhost: { name: 'inbound|http|80' } } }
    patch:
      operation: MERGE
      value: { rate_limits: [{ actions: [{ remote_address: {} }] }] }
";
    let (layer, notices) = compile(&[&limit("listener: { portNumber: 8080 }"), of_host]).unwrap();
    let messages: Vec<_> = notices
        .iter()
        .map(|notice| notice.message.as_str())
        .collect();
    assert_eq!(
        messages,
        [
            "configPatches[0] is not enforced: it is for the port 8080, and ports are not told from \
             each other here",
            "configPatches[0] is not enforced: it is for routes, and none are told from each other here",
        ]
    );
    for _ in 0..4 {
        assert_eq!(status(&layer, "/cart", false).await, 200);
    }
}
