use std::io::Write;

use crate::scene::{Scene, ask, model_of, read};

#[test]
fn a_request_reaches_the_service_of_its_route_as_rewritten() {
    let scene = Scene::new(
        "
  - match: [{ uri: { prefix: /cart/ }, headers: { end-user: { exact: jason } } }]
    rewrite: { uri: /v2/ }
    route: [{ destination: { host: cart.example } }]
    headers: { response: { set: { x-route: cart } } }",
    );
    let answer = scene.get("/cart/7?x=1", "end-user: jason\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("x-route: cart\r\n"), "{answer}");
    assert!(answer.ends_with("GET /v2/7?x=1"), "{answer}");
}

#[test]
fn what_no_route_takes_is_404() {
    let scene = Scene::new(
        "
  - match: [{ uri: { exact: /cart } }]
    route: [{ destination: { host: cart.example } }]",
    );
    let answer = scene.get("/other", "");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[test]
fn a_destination_that_nobody_declared_is_503() {
    let scene = Scene::new(
        "
  - route: [{ destination: { host: nowhere.example } }]",
    );
    let answer = scene.get("/", "");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[test]
fn redirects_direct_responses_and_faults_are_answered_by_the_gateway() {
    let scene = Scene::new(
        "
  - match: [{ uri: { exact: /old } }]
    redirect: { uri: /new, redirectCode: 302 }
  - match: [{ uri: { exact: /status } }]
    directResponse: { status: 200, body: { string: open } }
  - match: [{ uri: { exact: /broken } }]
    fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }
    route: [{ destination: { host: cart.example } }]",
    );
    let moved = scene.get("/old", "");
    assert!(moved.starts_with("HTTP/1.1 302 "), "{moved}");
    assert!(
        moved.contains("location: http://shop.example/new\r\n"),
        "{moved}"
    );
    assert!(scene.get("/status", "").ends_with("open"));
    let broken = scene.get("/broken", "");
    assert!(broken.starts_with("HTTP/1.1 418 "), "{broken}");
    assert!(broken.ends_with("fault filter abort"), "{broken}");
}

#[test]
fn a_published_configuration_takes_effect_on_the_next_request() {
    let mut scene = Scene::new(
        "
  - directResponse: { status: 200, body: { string: first } }",
    );
    assert!(scene.get("/", "").ends_with("first"));
    let second = scene.model(
        "
  - directResponse: { status: 200, body: { string: second } }",
    );
    scene.gateway.publish(&second).unwrap();
    assert!(scene.get("/", "").ends_with("second"));
}

#[test]
fn a_connection_that_stays_open_gets_each_new_configuration() {
    let mut scene = Scene::new(
        "
  - directResponse: { status: 200, body: { string: first } }",
    );
    let mut client = scene.connect();
    assert!(ask(&mut client, "/").ends_with("first"));
    let second = scene.model(
        "
  - route: [{ destination: { host: cart.example } }]",
    );
    scene.gateway.publish(&second).unwrap();
    assert!(ask(&mut client, "/now").ends_with("GET /now"));
}

#[test]
fn endpoints_that_are_names_are_resolved() {
    let mut scene = Scene::new(
        "
  - directResponse: { status: 200, body: { string: none } }",
    );
    let port = scene.service.port();
    let by_name = scene.yaml(
        "
  - route: [{ destination: { host: cart.example } }]",
    );
    let by_name = by_name
        .replace("STATIC", "DNS")
        .replace("address: 127.0.0.1", "address: localhost");
    assert!(by_name.contains(&format!("localhost, ports: {{ http: {port} }}")));
    let warnings = scene.gateway.publish(&model_of(&by_name)).unwrap();
    assert_eq!(warnings, [""; 0]);
    assert!(scene.get("/named", "").ends_with("GET /named"));
}

#[test]
fn the_upstream_and_the_client_are_told_what_the_router_did() {
    let scene = Scene::new(
        "
  - timeout: 5s
    headers: { request: { set: { x-client: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%' } } }
    route: [{ destination: { host: cart.example } }]",
    );
    let answer = scene.get("/", "x-echo: x-client\r\n");
    assert!(
        answer.contains("x-envoy-upstream-service-time: "),
        "{answer}"
    );
    assert!(answer.contains("x-seen: 127.0.0.1\r\n"), "{answer}");
    let answer = scene.get("/", "x-echo: x-envoy-expected-rq-timeout-ms\r\n");
    assert!(answer.contains("x-seen: 5000\r\n"), "{answer}");
    let answer = scene.get("/", "x-echo: x-envoy-attempt-count\r\n");
    assert!(answer.contains("x-seen: 1\r\n"), "{answer}");
}

#[test]
fn the_operations_of_a_route_are_applied_to_what_the_gateway_answers_for_it() {
    let scene = Scene::new(
        "
  - match: [{ uri: { exact: /broken } }]
    fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }
    headers: { response: { set: { x-asked: '%REQ(:authority)%' } } }
    route: [{ destination: { host: cart.example } }]
  - rewrite: { authority: elsewhere.example }
    headers: { response: { set: { x-asked: '%REQ(:authority)%', x-sent: '%UPSTREAM_CLUSTER%' } } }
    route: [{ destination: { host: nowhere.example } }]",
    );
    let broken = scene.get("/broken", "");
    assert!(broken.starts_with("HTTP/1.1 418 "), "{broken}");
    assert!(broken.contains("x-asked: shop.example\r\n"), "{broken}");
    let nowhere = scene.get("/", "");
    assert!(nowhere.starts_with("HTTP/1.1 503 "), "{nowhere}");
    assert!(nowhere.contains("x-asked: shop.example\r\n"), "{nowhere}");
    assert!(!nowhere.contains("x-sent"), "{nowhere}");
}

#[test]
fn a_method_that_no_standard_names_is_refused() {
    let scene = Scene::new(
        "
  - route: [{ destination: { host: cart.example } }]",
    );
    let mut client = scene.connect();
    client
        .write_all(b"BREW /pot HTTP/1.1\r\nhost: shop.example\r\n\r\n")
        .unwrap();
    let answer = read(&mut client);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.ends_with("Bad Request"), "{answer}");
}

#[test]
fn a_client_cannot_forge_what_upstreams_are_told_of_its_certificate() {
    let scene = Scene::new(
        "
  - route: [{ destination: { host: cart.example } }]",
    );
    let name = "x-forwarded-client-cert";
    let forged = format!("x-echo: {name}\r\n{name}: URI=spiffe://cluster.local/ns/a/sa/admin\r\n");
    let answer = scene.get("/", &forged);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.contains("x-seen"), "{answer}");
}

#[test]
fn clients_may_upgrade_to_websocket_only() {
    let scene = Scene::new(
        "
  - route: [{ destination: { host: cart.example } }]",
    );
    for (protocols, status) in [
        ("websocket", "200 OK"),
        ("foo", "403 Forbidden"),
        ("websocket, foo", "403 Forbidden"),
        ("h2c, foo", "403 Forbidden"),
    ] {
        let offer = format!("connection: upgrade\r\nupgrade: {protocols}\r\n");
        let answer = scene.get("/", &offer);
        let begin = format!("HTTP/1.1 {status}\r\n");
        assert!(answer.starts_with(&begin), "{protocols}: {answer}");
        // Envoy says no more about it than the status, either.
        let is_refused = status != "200 OK";
        assert_eq!(answer.ends_with("\r\n\r\n"), is_refused, "{answer}");
    }
}
