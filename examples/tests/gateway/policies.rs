use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use examples::gateway::KeysObserver;
use examples::tokens::TokenIssuer;
use serde_json::json;
use tokio::runtime::Builder;

use crate::policies_asked::{documents, mesh};
use crate::scene::{Scene, settings};

/// To the service, whatever is asked.
pub(crate) const CART: &str = "
  - route: [{ destination: { host: cart.example } }]
";

/// 2100, in seconds since 1970.
const FAR: u64 = 4_102_444_800;

pub(crate) const NO_ADMIN: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-admin, namespace: istio-system }
spec:
  action: DENY
  rules: [{ to: [{ operation: { paths: ['/admin*'] } }] }]
";

#[test]
fn what_a_policy_denies_is_403_and_nothing_else_is() {
    let mut scene = Scene::new(CART);
    assert_eq!(scene.publish(CART, NO_ADMIN), [""; 0]);
    for path in ["/admin", "/x/../admin/users", "/%61dmin"] {
        let denied = scene.get(path, "");
        assert!(denied.starts_with("HTTP/1.1 403 "), "{path}: {denied}");
        assert!(denied.ends_with("RBAC: access denied"), "{path}: {denied}");
    }
    let passed = scene.get("/cart", "");
    assert!(passed.ends_with("GET /cart"), "{passed}");
}

#[test]
fn a_policy_without_rules_lets_nothing_pass() {
    let mut scene = Scene::new(CART);
    let nobody = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nobody, namespace: istio-system }
spec: {}
";
    assert_eq!(scene.publish(CART, nobody), [""; 0]);
    assert!(scene.get("/", "").starts_with("HTTP/1.1 403 "));
    // Where there is no route, a stranger is not told so.
    assert_eq!(
        scene.publish("\n  - match: [{ uri: { exact: /a } }]\n    route: [{ destination: { host: cart.example } }]\n", nobody),
        [""; 0]
    );
    assert!(scene.get("/b", "").starts_with("HTTP/1.1 403 "));
}

#[test]
fn only_a_valid_token_makes_a_caller_known() {
    let issuer = TokenIssuer::new("https://login.example").unwrap();
    let stranger = TokenIssuer::new("https://login.example").unwrap();
    let mut scene = Scene::new(CART);
    let policies = format!(
        "
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{ name: login, namespace: istio-system }}
spec: {{ jwtRules: [{{ issuer: 'https://login.example', jwks: '{}' }}] }}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: known, namespace: istio-system }}
spec:
  rules:
  - from: [{{ source: {{ requestPrincipals: ['https://login.example/jason'] }} }}]
",
        issuer.jwks()
    );
    assert_eq!(scene.publish(CART, &policies), [""; 0]);
    let ask = |token: &str| scene.get("/", &format!("authorization: Bearer {token}\r\n"));

    let known = ask(&issuer.token("jason", FAR).unwrap());
    assert!(known.starts_with("HTTP/1.1 200 "), "{known}");
    let other = ask(&issuer.token("tester", FAR).unwrap());
    assert!(other.starts_with("HTTP/1.1 403 "), "{other}");
    for token in [
        issuer.token("jason", 1).unwrap(),
        stranger.token("jason", FAR).unwrap(),
        "nonsense".to_owned(),
    ] {
        let refused = ask(&token);
        assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
        assert!(
            refused.contains("www-authenticate: Bearer realm="),
            "{refused}"
        );
    }
    let nobody = scene.get("/", "");
    assert!(nobody.starts_with("HTTP/1.1 403 "), "{nobody}");
}

#[test]
fn keys_are_fetched_from_where_the_policy_says() {
    let issuer = TokenIssuer::new("https://login.example").unwrap();
    let port = serve_keys(issuer.jwks());
    let mut scene = Scene::new(CART);
    let policy = format!(
        "
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{ name: login, namespace: istio-system }}
spec:
  jwtRules: [{{ issuer: 'https://login.example', jwksUri: 'http://127.0.0.1:{port}/keys' }}]
"
    );
    assert_eq!(scene.publish(CART, &policy), [""; 0]);
    let token = issuer.token("jason", FAR).unwrap();
    let ask = |token: &str| scene.get("/", &format!("authorization: Bearer {token}\r\n"));
    let is_accepted = |answer: &String| answer.starts_with("HTTP/1.1 200 ");
    let answer = eventually(|| ask(&token), is_accepted);
    assert!(is_accepted(&answer), "{answer}");
    let other = TokenIssuer::new("https://login.example").unwrap();
    let refused = ask(&other.token("jason", FAR).unwrap());
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
}

#[test]
fn keys_that_cannot_be_fetched_are_told_once_and_not_at_each_change() {
    let (tell, told) = std::sync::mpsc::channel();
    let mut settings = settings();
    settings.keys = Some(KeysObserver::new(move |failed| {
        let _ = tell.send(failed.to_string());
    }));
    let mut scene = Scene::with(settings, CART);
    // Nothing listens on the discard port.
    let policy = "
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: login, namespace: istio-system }
spec:
  jwtRules: [{ issuer: 'https://login.example', jwksUri: 'http://127.0.0.1:9/keys' }]
";
    assert_eq!(scene.publish(CART, policy), [""; 0]);
    let failure = told.recv_timeout(Duration::from_secs(10)).unwrap();
    let expected = "keys of `http://127.0.0.1:9/keys` are not fetched: ";
    assert!(failure.starts_with(expected), "{failure}");
    assert_eq!(scene.publish(CART, policy), [""; 0]);
    // Had it begun anew, it would fail as soon as it has failed for another location.
    let other = policy.replace("9/keys", "9/others");
    let other = other.replace("name: login,", "name: other,");
    assert_eq!(scene.publish(CART, &format!("{policy}---{other}")), [""; 0]);
    let failure = told.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(failure.contains("9/others"), "{failure}");
}

#[test]
fn a_rate_limit_as_istio_documents_it_is_kept() {
    let mut scene = Scene::new(CART);
    let limit = "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: limit, namespace: istio-system }
spec:
  workloadSelector: { labels: { istio: ingressgateway } }
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: GATEWAY
      listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager } } }
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.local_ratelimit
        typed_config:
          '@type': type.googleapis.com/udpa.type.v1.TypedStruct
          type_url: type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
          value:
            stat_prefix: limiter
            token_bucket: { max_tokens: 2, tokens_per_fill: 2, fill_interval: 3600s }
            filter_enabled: { runtime_key: enabled, default_value: { numerator: 100, denominator: HUNDRED } }
            filter_enforced: { runtime_key: enforced, default_value: { numerator: 100, denominator: HUNDRED } }
";
    let rules = "
  - route: [{ destination: { host: cart.example } }]
    headers: { response: { set: { x-route: cart } } }
";
    assert_eq!(scene.publish(rules, limit), [""; 0]);
    for _ in 0..2 {
        assert!(scene.get("/", "").starts_with("HTTP/1.1 200 "));
    }
    let limited = scene.get("/", "");
    assert!(limited.starts_with("HTTP/1.1 429 "), "{limited}");
    assert!(limited.contains("x-route: cart\r\n"), "{limited}");
    assert!(limited.ends_with("local_rate_limited"), "{limited}");

    // A change of anything else goes on counting.
    let changed = format!("{limit}---{NO_ADMIN}");
    assert_eq!(scene.publish(rules, &changed), [""; 0]);
    let limited = scene.get("/", "");
    assert!(limited.starts_with("HTTP/1.1 429 "), "{limited}");
    let larger = limit.replace("max_tokens: 2", "max_tokens: 3");
    assert_eq!(scene.publish(rules, &larger), [""; 0]);
    assert!(scene.get("/", "").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_request_is_tried_again_as_its_route_says() {
    for says in [
        "retries: { attempts: 2, retryOn: 5xx }",
        // To the router, by headers that no client may send.
        "headers: { request: { set: { x-envoy-retry-on: 5xx, x-envoy-max-retries: '2' } } }",
    ] {
        let flaky = Flaky::open();
        let mut scene = Scene::new(CART);
        let port = scene.service.port().to_string();
        let rules = format!(
            "
  - {says}
    route: [{{ destination: {{ host: cart.example }} }}]
"
        );
        let yaml = scene.yaml(&rules).replace(&port, &flaky.port.to_string());
        let model = crate::scene::model_of(&yaml);
        assert_eq!(scene.gateway.publish(&model).unwrap(), [""; 0]);
        let answer = scene.get("/", "x-envoy-retry-on: reset\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{says}: {answer}");
        assert!(answer.ends_with("attempt 3"), "{says}: {answer}");
    }
}

#[test]
fn what_the_mesh_calls_a_log_file_is_logged_to_in_its_format() {
    let (mut scene, mut lines) = Scene::logging(settings(), CART);
    let labels = json!({"code": "%RESPONSE_CODE%", "path": "%REQ(:path)%", "none": "%REQ(x)%"});
    let provider = json!({"name": "mine", "envoyFileAccessLog": {
        "logFormat": {"labels": labels},
        "omitEmptyValues": true,
    }});
    let telemetry = "
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: all, namespace: istio-system }
spec:
  accessLogging: [{ providers: [{ name: mine }, { name: nobody }] }]
";
    let warnings = scene.publish(CART, &documents(&[&mesh(&provider), telemetry]));
    assert_eq!(warnings, ["nothing is logged to the provider `nobody`"]);
    assert!(scene.get("/basket", "").starts_with("HTTP/1.1 200 "));
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let line = runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(10), lines.recv()).await });
    let line: serde_json::Value = serde_json::from_slice(&line.unwrap().unwrap()).unwrap();
    assert_eq!(line, json!({"code": 200, "path": "/basket"}));
}

#[test]
fn requests_are_counted_and_logged_where_that_is_asked_for() {
    let (mut scene, mut lines) = Scene::logging(settings(), CART);
    let telemetry = "
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: all, namespace: istio-system }
spec:
  metrics: [{ providers: [{ name: prometheus }] }]
  accessLogging: [{ providers: [{ name: envoy }] }]
";
    let rules = format!(
        "
  - match: [{{ authority: {{ exact: nobody.example }} }}]
    directResponse: {{ status: 404 }}{CART}"
    );
    assert_eq!(scene.publish(&rules, telemetry), [""; 0]);
    assert!(scene.get("/basket", "").starts_with("HTTP/1.1 200 "));

    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let line = runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(10), lines.recv()).await });
    let line = String::from_utf8(line.unwrap().unwrap().to_vec()).unwrap();
    assert!(
        line.contains("\"GET /basket HTTP/1.1\" 200 - via_upstream"),
        "{line}"
    );
    // And our own address of the connection to it.
    let upstream = "outbound|80||cart.example 127.0.0.1:";
    assert!(line.contains(upstream), "{line}");
    let metrics = || scene.gateway.metrics().unwrap().encode();
    let counted = |text: &String| text.contains("destination_service=\"cart.example\"");
    // It is counted when the last byte has left, of which the client may know earlier.
    let text = eventually(metrics, counted);
    assert!(text.contains("response_code=\"200\""), "{text}");

    // A stranger may ask for what it likes, but names no services.
    crate::scene::get(&scene.gateway, "nobody.example");
    let text = eventually(metrics, |text| text.contains("response_code=\"404\""));
    assert!(!text.contains("nobody.example"), "{text}");

    // A change of anything else goes on counting.
    assert_eq!(
        scene.publish(&rules, &format!("{telemetry}---{NO_ADMIN}")),
        [""; 0]
    );
    assert!(
        scene
            .gateway
            .metrics()
            .unwrap()
            .encode()
            .contains("cart.example")
    );
}

#[test]
fn nothing_is_counted_unless_it_is_asked_for() {
    let scene = Scene::new(CART);
    assert!(scene.get("/", "").starts_with("HTTP/1.1 200 "));
    assert!(scene.gateway.metrics().is_none());
}

/// What `make` makes once it is as `expected`, or the last of it after some seconds.
#[expect(clippy::disallowed_methods, reason = "a test waits for another thread")]
pub(crate) fn eventually<T>(make: impl Fn() -> T, expected: impl Fn(&T) -> bool) -> T {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let made = make();
        if expected(&made) || Instant::now() > end {
            return made;
        }
        thread::yield_now();
    }
}

/// Serves a key set for a while, and returns the port.
fn serve_keys(jwks: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut first = String::new();
            BufReader::new(&stream).read_line(&mut first).unwrap();
            let length = jwks.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all((head + &jwks).as_bytes()).unwrap();
        }
    });
    port
}

/// A service that fails twice and then answers, with the number of the attempt that it is told.
struct Flaky {
    port: u16,
}

impl Flaky {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for status in ["503 Service Unavailable", "502 Bad Gateway", "200 OK"] {
                let (mut stream, _) = listener.accept().unwrap();
                let head: Vec<String> = BufReader::new(&stream)
                    .lines()
                    .map(Result::unwrap)
                    .take_while(|line| !line.is_empty())
                    .collect();
                let attempt = head
                    .iter()
                    .find_map(|line| line.strip_prefix("x-envoy-attempt-count: "))
                    .unwrap_or("none");
                let body = format!("attempt {attempt}");
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            }
        });
        Self { port }
    }
}
