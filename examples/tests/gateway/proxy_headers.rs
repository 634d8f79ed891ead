//! Which headers of its own the gateway writes: `proxyHeaders` of the mesh.

use examples::gateway::MeshWide;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;

use crate::scene::{Scene, config_of};

const RULES: &str = "
  - timeout: 5s
    rewrite: { uri: /new, authority: cart.internal }
    route: [{ destination: { host: cart.example } }]
";

/// Settings of the mesh with these `proxyHeaders`.
fn mesh(headers: &str) -> String {
    format!(
        "
apiVersion: v1
kind: ConfigMap
metadata: {{ name: istio, namespace: istio-system }}
data:
  mesh: |
    defaultConfig:
      proxyHeaders: {{ {headers} }}
"
    )
}

/// What the service sees in the field `name`.
fn seen(scene: &Scene, name: &str, further: &str) -> Option<String> {
    let answer = scene.get("/", &format!("x-echo: {name}\r\n{further}"));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    field(&answer, "x-seen").map(str::to_owned)
}

/// The value of a field of an answer.
fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = answer.lines().take_while(|line| !line.is_empty());
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn upstreams_are_told_which_port_and_host_the_client_asked_for_if_the_mesh_wants_it() {
    let mut scene = Scene::new(RULES);
    let said = "x-forwarded-port: 1\r\nx-forwarded-host: a.example\r\n";
    assert_eq!(seen(&scene, "x-forwarded-port", ""), None);
    assert_eq!(seen(&scene, "x-forwarded-host", ""), None);
    assert_eq!(seen(&scene, "x-forwarded-port", said).as_deref(), Some("1"));

    let headers = "xForwardedHost: { enabled: true }, xForwardedPort: { enabled: true }";
    assert_eq!(scene.publish(RULES, &mesh(headers)), [""; 0]);
    let port = scene.gateway.address(80).unwrap().port().to_string();
    for said in ["", said] {
        assert_eq!(seen(&scene, "x-forwarded-port", said), Some(port.clone()));
    }
    let host = seen(&scene, "x-forwarded-host", "");
    assert_eq!(host.as_deref(), Some("shop.example"));
    let host = seen(
        &scene,
        "x-forwarded-host",
        "x-forwarded-host: shop.example\r\n",
    );
    assert_eq!(host.as_deref(), Some("shop.example"), "it is not repeated");

    let plain = "\n  - route: [{ destination: { host: cart.example } }]\n";
    assert_eq!(scene.publish(plain, &mesh(headers)), [""; 0]);
    assert_eq!(
        seen(&scene, "x-forwarded-host", ""),
        None,
        "nothing is rewritten"
    );
}

#[test]
fn a_host_that_the_gateway_api_rewrites_is_told_as_one_that_istio_rewrites() {
    let mut scene = Scene::new(RULES);
    let sent = |scene: &Scene, path| {
        ["host", "x-forwarded-host", "x-envoy-original-host"].map(|name| {
            let answer = scene.get(path, &format!("x-echo: {name}\r\n"));
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            field(&answer, "x-seen").map(str::to_owned)
        })
    };
    let edge = Workload::gateway("shop").with_label(GATEWAY_NAME, "edge");
    for is_enabled in [false, true] {
        let mesh = mesh(&format!("xForwardedHost: {{ enabled: {is_enabled} }}"));
        let config = config_of(&format!("{}---{mesh}---{HTTP_ROUTE}", scene.yaml(RULES)));
        let (model, wide) = (resolve(&config, &edge), MeshWide::of(&config));
        assert_eq!(scene.gateway.publish_in(&model, &wide).unwrap(), [""; 0]);
        let asked = Some("shop.example");
        for (path, expected) in [
            (
                "/host",
                [Some("cart.internal"), asked.filter(|_| is_enabled), asked],
            ),
            ("/path", [asked, None, None]),
            // Another way to write the host is no rewrite.
            ("/header", [Some("cart.internal"), None, asked]),
        ] {
            let expected = expected.map(|value| value.map(str::to_owned));
            assert_eq!(sent(&scene, path), expected, "{path}, {is_enabled}");
        }
    }
}

/// The label of who serves a Gateway of the Gateway API.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
const HTTP_ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec:
  gatewayClassName: istio
  listeners: [{ name: http, port: 80, protocol: HTTP }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: cart, namespace: shop }
spec:
  parentRefs: [{ name: edge }]
  rules:
  - matches: [{ path: { value: /host } }]
    filters: [{ type: URLRewrite, urlRewrite: { hostname: cart.internal } }]
    backendRefs: [{ group: networking.istio.io, kind: Hostname, name: cart.example, port: 80 }]
  - matches: [{ path: { value: /path } }]
    filters:
    - type: URLRewrite
      urlRewrite: { path: { type: ReplaceFullPath, replaceFullPath: /new } }
    backendRefs: [{ group: networking.istio.io, kind: Hostname, name: cart.example, port: 80 }]
  - matches: [{ path: { value: /header } }]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: { set: [{ name: Host, value: cart.internal }] }
    backendRefs: [{ group: networking.istio.io, kind: Hostname, name: cart.example, port: 80 }]
";

#[test]
fn a_proxy_that_is_trusted_says_the_port_itself() {
    let mut scene = Scene::new(RULES);
    let trusting = mesh("xForwardedPort: { enabled: true }")
        + "      gatewayTopology: { numTrustedProxies: 1 }\n";
    assert_eq!(scene.publish(RULES, &trusting), [""; 0]);
    let said = "x-forwarded-port: 443\r\n";
    let port = seen(&scene, "x-forwarded-port", said);
    assert_eq!(port.as_deref(), Some("443"));
    let port = scene.gateway.address(80).unwrap().port().to_string();
    assert_eq!(seen(&scene, "x-forwarded-port", ""), Some(port));
}

#[test]
fn without_the_headers_of_envoy_attempts_alone_are_told() {
    let mut scene = Scene::new(RULES);
    let told = [
        ("x-envoy-original-path", "/"),
        ("x-envoy-original-host", "shop.example"),
        ("x-envoy-expected-rq-timeout-ms", "5000"),
    ];
    for (name, value) in told {
        assert_eq!(seen(&scene, name, "").as_deref(), Some(value), "{name}");
    }
    let took = "x-envoy-upstream-service-time";
    assert!(field(&scene.get("/", ""), took).is_some());

    let off = mesh("envoyDebugHeaders: { disabled: true }");
    assert_eq!(scene.publish(RULES, &off), [""; 0]);
    for (name, _) in told {
        assert_eq!(seen(&scene, name, ""), None, "{name}");
    }
    assert!(field(&scene.get("/", ""), took).is_none());
    let attempt = seen(&scene, "x-envoy-attempt-count", "");
    assert_eq!(attempt.as_deref(), Some("1"));

    let none = mesh("attemptCount: { disabled: true }");
    assert_eq!(scene.publish(RULES, &none), [""; 0]);
    assert_eq!(seen(&scene, "x-envoy-attempt-count", ""), None);
    assert!(field(&scene.get("/", ""), took).is_some());
}

#[test]
fn a_route_sets_limits_by_headers_that_no_client_may_send() {
    let asked = "x-envoy-upstream-rq-timeout-ms";
    let expected = "x-envoy-expected-rq-timeout-ms";
    let said = format!("{asked}: 70000\r\n");
    let steering = format!(
        "
  - headers: {{ request: {{ set: {{ {asked}: '60000' }} }} }}
    route: [{{ destination: {{ host: cart.example }} }}]
"
    );
    for (rules, millis) in [(RULES, "5000"), (&steering, "60000")] {
        let scene = Scene::new(rules);
        assert_eq!(seen(&scene, expected, &said).as_deref(), Some(millis));
        assert_eq!(seen(&scene, asked, &said), None);
    }
}

#[test]
fn what_one_route_tells_the_router_no_client_tells_it_on_another() {
    let asked = "x-envoy-upstream-rq-timeout-ms";
    let rules = format!(
        "
  - match: [{{ headers: {{ x-route: {{ exact: steered }} }} }}]
    timeout: 5s
    headers: {{ request: {{ set: {{ {asked}: '60000' }} }} }}
    route: [{{ destination: {{ host: cart.example }} }}]
  - match: [{{ headers: {{ x-route: {{ exact: destination }} }} }}]
    timeout: 5s
    route:
    - destination: {{ host: cart.example }}
      weight: 1
      headers: {{ request: {{ set: {{ {asked}: '50000' }} }} }}
    - {{ destination: {{ host: cart.example }}, weight: 0 }}
  - timeout: 5s
    route: [{{ destination: {{ host: cart.example }} }}]
"
    );
    let scene = Scene::new(&rules);
    for (route, millis) in [
        ("steered", "60000"),
        ("destination", "50000"),
        ("other", "5000"),
    ] {
        let said = format!("x-route: {route}\r\n{asked}: 70000\r\n");
        let expected = seen(&scene, "x-envoy-expected-rq-timeout-ms", &said);
        assert_eq!(expected.as_deref(), Some(millis), "{route}");
        assert_eq!(seen(&scene, asked, &said), None, "{route}");
    }
}

#[test]
fn what_tells_the_router_what_to_do_is_not_sent_on_whoever_writes_it() {
    for name in examples::headers::router::steering() {
        let rules = format!(
            "
  - match: [{{ headers: {{ x-route: {{ exact: steered }} }} }}]
    headers: {{ request: {{ set: {{ {name}: '60000' }} }} }}
    route: [{{ destination: {{ host: cart.example }} }}]
  - route: [{{ destination: {{ host: cart.example }} }}]
"
        );
        let scene = Scene::new(&rules);
        for said in [
            "x-route: steered\r\n".to_owned(),
            format!("{name}: 70000\r\n"),
        ] {
            assert_eq!(seen(&scene, name.as_str(), &said), None, "{said}");
        }
    }
}

#[test]
fn the_gateway_is_the_server_of_all_answers_unless_it_passes_on_who_is() {
    let rules = "
  - { match: [{ uri: { exact: /own } }], directResponse: { status: 200 } }
  - route: [{ destination: { host: cart.example } }]
";
    let mut scene = Scene::new(rules);
    let servers = |scene: &Scene| {
        ["/cart", "/own"].map(|path| {
            let answer = scene.get(path, "");
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            field(&answer, "server").map(str::to_owned)
        })
    };
    let istio = Some("istio-envoy".to_owned());
    assert_eq!(servers(&scene), [istio.clone(), istio]);

    for (server, of_service, of_gateway) in [
        ("value: shop", Some("shop"), Some("shop")),
        ("disabled: false", Some("istio-envoy"), Some("istio-envoy")),
        ("disabled: true", Some("cart"), None),
        ("disabled: true, value: shop", Some("cart"), None),
    ] {
        let mesh = mesh(&format!("server: {{ {server} }}"));
        assert_eq!(scene.publish(rules, &mesh), [""; 0]);
        let expected = [of_service, of_gateway].map(|name| name.map(str::to_owned));
        assert_eq!(servers(&scene), expected, "{server}");
    }
}
