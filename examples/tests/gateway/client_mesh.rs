//! Mutual TLS of the mesh towards the service behind the gateway.

use std::collections::BTreeSet;

use examples::gateway::Gateway;
use mesh_tls::resolve;
use mesh_tls::trust_bundle::{TrustBundle, TrustBundles};

use crate::front::{Front, ROUTE, RULE, body, yaml};
use crate::peers::{Service, Taking, identity, in_mesh, mesh_authority};
use crate::scene::{LISTEN, publish, settings};

const GATEWAY: &str = "spiffe://cluster.local/ns/istio-system/sa/ingress";
const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

#[test]
fn the_identity_of_the_gateway_is_proven_in_the_mesh() {
    let authority = mesh_authority();
    let service = Service::start(in_mesh(identity(&authority, CART)));
    let mut settings = settings();
    settings.identity = Some(identity(&authority, GATEWAY));
    let rule = format!("{RULE}    tls: {{ mode: ISTIO_MUTUAL, subjectAltNames: ['{CART}'] }}\n");
    let gateway = Front::with(settings, &service, &rule);
    let sni = "outbound_.80_._.cart.example";
    assert_eq!(
        body(&gateway.get("shop.example")),
        format!("HTTP/1.1 sni={sni} peer={GATEWAY}")
    );

    let rule = rule.replace(CART, "spiffe://cluster.local/ns/shop/sa/other");
    let mut settings = crate::scene::settings();
    settings.identity = Some(identity(&authority, GATEWAY));
    let gateway = Front::with(settings, &service, &rule);
    let answer = gateway.get("shop.example");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(gateway.failed("peer_names"), 1);
}

#[test]
fn a_server_that_is_revoked_gets_no_more_requests_by_the_connections_that_it_has() {
    let authority = mesh_authority();
    let [own, of_cart] = [GATEWAY, CART].map(|id| authority.identity(id, &[]).unwrap());
    let (publisher, live) = resolve::channel();
    publisher.publish(of_cart.clone());
    let service = Service::start(in_mesh(live));
    let (publisher, live) = resolve::channel();
    publisher.publish(own.clone());
    let mut settings = settings();
    settings.identity = Some(live);
    let rule = format!("{RULE}    tls: {{ mode: ISTIO_MUTUAL, subjectAltNames: ['{CART}'] }}\n");
    let gateway = Front::with(settings, &service, &rule);
    let is_answered = || gateway.get("shop.example").starts_with("HTTP/1.1 200 ");
    assert!(is_answered() && is_answered());

    let bundle = own.bundles.get(&"cluster.local".parse().unwrap()).unwrap();
    let lists = authority.revocations(&[of_cart.svid.leaf()]).unwrap();
    let bundle = TrustBundle::clone(bundle).with_revocations(lists);
    publisher.publish_bundles(TrustBundles::from_iter([bundle]));
    // It is asked about on another thread.
    assert!((0..10_000).any(|_| !is_answered()));
    let answer = gateway.get("shop.example");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[test]
fn without_an_identity_nothing_of_the_mesh_is_reached() {
    let authority = mesh_authority();
    let service = Service::start(in_mesh(identity(&authority, CART)));
    let rule = format!("{RULE}    tls: {{ mode: ISTIO_MUTUAL }}\n");
    let mut gateway = Gateway::start(settings()).unwrap();
    let warnings = publish(&mut gateway, &yaml("HTTP", service.address, &rule));
    let text = warnings.join("\n");
    assert!(
        text.contains("mesh mTLS needs an identity of the mesh, and there is none"),
        "{text}"
    );
    let gateway = Front { gateway };
    let answer = gateway.get("shop.example");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(service.connections(), 0);
}

#[test]
fn where_nobody_says_endpoints_that_speak_mesh_tls_get_it() {
    let authority = mesh_authority();
    let meshed = Service::start(in_mesh(identity(&authority, CART)));
    let plain = Service::start(Taking::Plaintext);
    let entry = format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: cart, namespace: shop }}
spec:
  hosts: [cart.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  endpoints:
  - address: 127.0.0.1
    ports: {{ http: {} }}
    labels: {{ security.istio.io/tlsMode: istio }}
  - address: 127.0.0.1
    ports: {{ http: {} }}
",
        meshed.address.port(),
        plain.address.port()
    );
    let mut settings = settings();
    settings.identity = Some(identity(&authority, GATEWAY));
    let mut gateway = Gateway::start(settings).unwrap();
    assert_eq!(
        publish(&mut gateway, &format!("{LISTEN}---{ROUTE}---{entry}")),
        [""; 0]
    );
    let gateway = Front { gateway };
    let sni = "outbound_.80_._.cart.example";
    let mesh = format!("HTTP/1.1 sni={sni} peer={GATEWAY}");
    let seen: BTreeSet<String> = (0..40)
        .map(|_| body(&gateway.get("shop.example")).to_owned())
        .collect();
    let expected = [mesh, "HTTP/1.1 plaintext".to_owned()];
    assert_eq!(seen, expected.into());
}
