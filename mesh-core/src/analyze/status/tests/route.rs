use serde_json::json;

use super::*;
use crate::resolve::resolve;
use crate::workload::Workload;

#[test]
fn routes_are_counted_at_each_listener_once() {
    let other = "{ name: other, port: 81, protocol: HTTP, hostname: shop.example }";
    let twice = "{ name: edge }, { name: edge, sectionName: http }";
    let text = gateway(&[HTTP, other], "") + &route("HTTPRoute", twice, TO_CART);
    let status = gateway_status(&text);
    let counts: Vec<_> = status
        .listeners
        .iter()
        .map(|found| found.attached_routes)
        .collect();
    assert_eq!(counts, [1, 1]);
    let parents = parents(&text);
    // Backwards, as istiod writes new ones.
    assert_eq!(parents[0].parent_ref.section_name.as_deref(), Some("http"));
    assert_eq!(
        parents[1].conditions[0].message,
        "Route was valid, bound to 2 parents"
    );
}

#[test]
fn a_route_that_is_not_attached_says_why() {
    let host = "{ name: http, port: 80, protocol: HTTP, hostname: shop.example }";
    let bank = "{ name: http, port: 80, protocol: HTTP, allowedRoutes: { namespaces: { from: \
                Selector, selector: { matchLabels: { tier: gold } } } } }";
    let grpc =
        "{ name: http, port: 80, protocol: HTTP, allowedRoutes: { kinds: [{ kind: GRPCRoute }] } }";
    for (listener, parent, expected) in [
        (
            HTTP,
            "{ name: edge, port: 81 }",
            "NoMatchingParent: port 81 not found",
        ),
        (
            HTTP,
            "{ name: edge, sectionName: a }",
            "NoMatchingParent: sectionName \"a\" not found",
        ),
        (
            host,
            EDGE,
            "NoMatchingListenerHostname: no hostnames matched parent hostname \"shop.example\"",
        ),
        (
            bank,
            EDGE,
            "NotAllowedByListeners: hostnames matched parent hostname \"\", but namespace \"shop\" \
             is not allowed by the parent",
        ),
        (
            grpc,
            EDGE,
            "NotAllowedByListeners: kind gateway.networking.k8s.io/v1/HTTPRoute is not allowed",
        ),
    ] {
        let text = gateway(&[listener], "")
            + &route(
                "HTTPRoute",
                parent,
                &format!(", hostnames: [a.example] {TO_CART}"),
            );
        let parents = parents(&text);
        let accepted = &parents[0].conditions[0];
        assert!(!accepted.status, "{listener}");
        assert_eq!(
            format!("{}: {}", accepted.reason, accepted.message),
            expected
        );
        assert_eq!(accepted.origin.path(), "spec.parentRefs[0]");
        assert_eq!(gateway_status(&text).listeners[0].attached_routes, 0);
    }
}

#[test]
fn what_several_listeners_say_is_put_together() {
    let other = "{ name: other, port: 81, protocol: HTTP }";
    let text = gateway(&[HTTP, other], "")
        + &route("HTTPRoute", "{ name: edge, sectionName: a }", TO_CART);
    assert_eq!(
        parents(&text)[0].conditions[0].message,
        "sectionName \"a\" not found; sectionName \"a\" not found"
    );
}

#[test]
fn parents_that_nobody_here_has_are_left_out() {
    let foreign = gateway(&[HTTP], "").replace("gatewayClassName: istio", "gatewayClassName: a");
    for text in ["", &foreign] {
        let text = text.to_owned() + &route("HTTPRoute", EDGE, TO_CART);
        assert_eq!(parents(&text), [], "{text}");
    }
    let notices = statuses_of(&foreign).notices;
    assert!(notices[0].message.contains("class `a`"), "{notices:?}");
}

#[test]
fn references_of_rules_are_resolved() {
    let header = "filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: \
                  [{ name: a, value: \"\\x01\" }] } }], backendRefs: [{ name: cart, port: 80 }]";
    for (rule, expected) in [
        (
            "backendRefs: [{ name: cart, port: 80 }]",
            "ResolvedRefs: All references resolved",
        ),
        (
            "backendRefs: [{ name: none, port: 80 }]",
            "BackendNotFound: backend(none.shop.svc.cluster.local) not found",
        ),
        (
            "backendRefs: [{ name: cart, port: 81 }]",
            "BackendNotFound: backend(cart.shop.svc.cluster.local) has no port 81",
        ),
        (
            "backendRefs: [{ name: vault, namespace: bank, port: 80 }]",
            "RefNotPermitted: backendRef vault/bank not accessible to a HTTPRoute in namespace \
             \"shop\" (missing a ReferenceGrant?)",
        ),
        (
            "backendRefs: [{ kind: Bucket, name: a, port: 80 }]",
            "InvalidKind: referencing unsupported backendRef: group \"\" kind \"Bucket\"",
        ),
        (
            "backendRefs: [{ name: cart }]",
            "InvalidDestination: port is required in backendRef",
        ),
        // A backend without a share is not looked for, and of several the last counts.
        (
            "backendRefs: [{ name: none, port: 80, weight: 0 }, { name: cart, port: 80 }]",
            "ResolvedRefs: All references resolved",
        ),
        (
            "backendRefs: [{ name: none, port: 80 }, { kind: Bucket, name: a, port: 80 }]",
            "InvalidKind: referencing unsupported backendRef: group \"\" kind \"Bucket\"",
        ),
        (
            header,
            "InvalidFilter: header \"a\" value contains invalid characters",
        ),
    ] {
        let text =
            gateway(&[HTTP], "") + &route("HTTPRoute", EDGE, &format!(", rules: [{{ {rule} }}]"));
        let parents = parents(&text);
        assert!(parents[0].conditions[0].status, "{rule}");
        let resolved = &parents[0].conditions[1];
        assert_eq!(
            format!("{}: {}", resolved.reason, resolved.message),
            expected
        );
        assert_eq!(resolved.status, resolved.reason == Reason::ResolvedRefs);
    }
}

#[test]
fn a_reference_that_is_refused_is_found_where_it_was_written() {
    let rules = ", rules: [{ backendRefs: [{ name: cart, port: 80 }, { name: none, port: 80 }] }]";
    let text = gateway(&[HTTP], "") + &route("HTTPRoute", EDGE, rules);
    let parents = parents(&text);
    let origin = &parents[0].conditions[1].origin;
    assert_eq!(origin.path(), "spec.rules[0].backendRefs[1]");
}

#[test]
fn a_value_that_is_not_supported_makes_a_route_partially_invalid() {
    let rules = ", rules: [{ backendRefs: [{ name: cart, port: 80 }], sessionPersistence: \
                 { sessionName: a } }]";
    let text = gateway(&[HTTP], "") + &route("HTTPRoute", EDGE, rules);
    assert_eq!(
        parent_words(&text),
        [
            "Accepted=true Accepted",
            "PartiallyInvalid=true UnsupportedValue",
            "ResolvedRefs=true ResolvedRefs"
        ]
    );
    // Of a route that is not accepted nothing has effect anyway.
    let text = text.replace("{ name: edge }]", "{ name: edge, port: 81 }]");
    assert_eq!(
        parent_words(&text),
        [
            "Accepted=false NoMatchingParent",
            "ResolvedRefs=true ResolvedRefs"
        ]
    );
}

#[test]
fn routes_of_all_kinds_have_a_status() {
    let tls = "{ name: tls, port: 443, protocol: TLS, tls: { mode: Passthrough } }";
    let tcp = "{ name: tcp, port: 90, protocol: TCP }";
    let udp = "{ name: udp, port: 53, protocol: UDP }";
    for (listener, kind, accepted) in [
        (HTTP, "GRPCRoute", "Accepted=true Accepted"),
        (HTTP, "HTTPRoute", "Accepted=true Accepted"),
        (tcp, "TCPRoute", "Accepted=true Accepted"),
        (tls, "TLSRoute", "Accepted=true Accepted"),
        (HTTP, "TCPRoute", "Accepted=false NotAllowedByListeners"),
        (tls, "TCPRoute", "Accepted=false NotAllowedByListeners"),
        (udp, "UDPRoute", "Accepted=false NotAllowedByListeners"),
    ] {
        let none = ", rules: [{ backendRefs: [{ name: none, port: 80 }] }]";
        let text = gateway(&[listener], "") + &route(kind, EDGE, none);
        let expected = [accepted, "ResolvedRefs=false BackendNotFound"];
        assert_eq!(parent_words(&text), expected, "{kind} at {listener}");
    }
}

#[test]
fn a_service_is_a_parent_for_its_clients() {
    let service = "{ group: '', kind: Service, name: cart }";
    let none = "{ group: networking.istio.io, kind: ServiceEntry, name: none }";
    for (kind, parent, accepted) in [
        ("HTTPRoute", service, "Accepted=true Accepted"),
        ("HTTPRoute", none, "Accepted=false NoMatchingParent"),
        ("TCPRoute", service, "Accepted=true Accepted"),
        ("TLSRoute", service, "Accepted=true Accepted"),
        ("UDPRoute", service, "Accepted=false UnsupportedValue"),
    ] {
        assert_eq!(
            parent_words(&route(kind, parent, TO_CART))[0],
            accepted,
            "{kind} {parent}"
        );
    }
    // No grant is needed there.
    let vault = ", rules: [{ backendRefs: [{ name: vault, namespace: bank, port: 80 }] }]";
    let words = parent_words(&route("HTTPRoute", service, vault));
    assert_eq!(words[1], "ResolvedRefs=true ResolvedRefs");
}

#[test]
fn a_backend_and_a_mirror_of_one_rule_are_told_together() {
    let rule = |backend: &str, mirror: &str| {
        format!(
            "{{ backendRefs: [{{ name: {backend}, port: 80 }}], filters: [{{ type: RequestMirror, \
             requestMirror: {{ backendRef: {{ name: {mirror}, port: 80 }} }} }}] }}"
        )
    };
    for (rules, expected) in [
        (
            rule("none", "nobody"),
            "backend(none.shop.svc.cluster.local) not found; \
             backend(nobody.shop.svc.cluster.local) not found",
        ),
        (
            rule("cart", "nobody") + ", " + &rule("none", "cart"),
            "backend(none.shop.svc.cluster.local) not found",
        ),
    ] {
        let rules = format!(", rules: [{rules}]");
        let text = gateway(&[HTTP], "") + &route("HTTPRoute", EDGE, &rules);
        let conditions = &parents(&text)[0].conditions;
        assert_eq!(conditions[1].message, expected);
    }
}

#[test]
fn a_service_with_a_waypoint_of_another_controller_is_left_to_it() {
    let class = object(
        "GatewayClass",
        "theirs",
        "spec: { controllerName: example.net/waypoint }",
    )
    .replace("namespace: shop, ", "");
    let waypoint = object(
        "Gateway",
        "waypoint",
        "spec: { gatewayClassName: theirs, listeners: [{ name: a, port: 80, protocol: HTTP }] }",
    );
    let namespace = "---\napiVersion: v1\nkind: Namespace\n\
                     metadata: { name: shop, labels: { istio.io/use-waypoint: waypoint } }\n";
    let text = route(
        "HTTPRoute",
        "{ group: '', kind: Service, name: cart }",
        TO_CART,
    ) + namespace;
    assert_eq!(parents(&text).len(), 1);
    let text = text + &waypoint + &class;
    assert_eq!(parents(&text), []);
    // Sidecars leave the route to it, too, whoever writes the status.
    let config = config(&text);
    let notices = resolve(&config, &Workload::sidecar("shop")).notices;
    let mut notices = notices.iter();
    assert!(notices.any(|notice| notice.message.contains("left to it")));
    let options = StatusOptions::default().controller("example.net/waypoint");
    let statuses = statuses(&config, &options);
    assert_eq!(statuses.http_routes[0].status.parents.own, []);
}

#[test]
fn a_route_is_served_exactly_where_its_status_says_so() {
    let listeners = [
        HTTP,
        HTTPS,
        "{ name: host, port: 81, protocol: HTTP, hostname: '*.example' }",
        "{ name: bank, port: 82, protocol: HTTP, allowedRoutes: { namespaces: { from: Selector, \
         selector: { matchLabels: { tier: gold } } } } }",
        "{ name: grpc, port: 83, protocol: HTTP, allowedRoutes: { kinds: [{ kind: GRPCRoute }] } }",
        "{ name: same, port: 80, protocol: HTTP }",
    ];
    let secret = object("Secret", "credential", &format!("stringData: {{ {PEM} }}"));
    let workload =
        Workload::gateway("shop").with_label("gateway.networking.k8s.io/gateway-name", "edge");
    let mut counts = [0, 0];
    for secret in ["", &secret] {
        for section in ["http", "https", "host", "bank", "grpc", "same", "none"] {
            for host in ["a.example", "a.test"] {
                let text = gateway(&listeners, "")
                    + secret
                    + &route(
                        "HTTPRoute",
                        &format!("{{ name: edge, sectionName: {section} }}"),
                        &format!(", hostnames: [{host}] {TO_CART}"),
                    );
                let config = config(&text);
                let statuses = statuses(&config, &StatusOptions::default());
                let parent = &statuses.http_routes[0].status.parents.own[0];
                let mut own = statuses.gateways[0].status.listeners.iter();
                let is_programmed = own.any(|listener| {
                    let programmed = &listener.conditions[2];
                    listener.name == section && programmed.status
                });
                let model = resolve(&config, &workload);
                let mut hosts = model
                    .route_configurations
                    .values()
                    .flat_map(|routes| &routes.virtual_hosts);
                let is_routed = hosts.any(|found| {
                    let is_host = found.domains.iter().any(|domain| domain == host);
                    is_host && !found.routes.is_empty()
                });
                let is_accepted = parent.conditions[0].status;
                assert_eq!(is_routed, is_accepted && is_programmed, "{section} {host}");
                counts[usize::from(is_routed)] += 1;
            }
        }
    }
    assert!(counts.iter().all(|count| *count > 5), "{counts:?}");
}

#[test]
fn what_was_written_before_is_kept_while_it_holds() {
    let status = "status: { parents: [{ parentRef: { name: edge }, controllerName: \
                  istio.io/gateway-controller, conditions: [{ type: Accepted, status: 'True', \
                  lastTransitionTime: 2024-01-01T00:00:00Z }, { type: ResolvedRefs, status: 'False', \
                  lastTransitionTime: 2024-01-01T00:00:00Z }] }, { parentRef: { name: a }, \
                  controllerName: example.net/controller }] }";
    let text = gateway(&[HTTP], "") + &route("HTTPRoute", EDGE, TO_CART) + status;
    let options = StatusOptions::default().now("2025-01-01T00:00:00Z".parse().unwrap());
    let statuses = statuses(&config(&text), &options);
    let parents = &statuses.http_routes[0].status.parents;
    let since: Vec<_> = parents.own[0]
        .conditions
        .iter()
        .map(|found| found.last_transition_time.unwrap().to_string())
        .collect();
    assert_eq!(since, ["2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"]);
    let written = serde_json::to_value(&statuses.http_routes[0].status).unwrap();
    assert_eq!(
        written["parents"][0],
        json!({"parentRef": {"name": "a"}, "controllerName": "example.net/controller"})
    );
    assert_eq!(written["parents"][1]["parentRef"], json!({"name": "edge"}));
}
