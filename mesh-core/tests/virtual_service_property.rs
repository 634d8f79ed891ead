//! Any VirtualService can be resolved: what cannot be done is noticed, and nothing panics.

use mesh_core::config::MeshConfig;
use mesh_core::model::Model;
use mesh_core::resolve::resolve;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::percent::Percent;
use mesh_core::resource::istio::port::PortSelector;
use mesh_core::resource::istio::string_match::StringMatch;
use mesh_core::resource::istio::virtual_service::{
    Delegate, Destination, HeaderOperations, Headers, HttpDirectResponse, HttpMatchRequest,
    HttpRedirect, HttpRetry, HttpRewrite, HttpRoute, HttpRouteDestination, TcpRoute, TlsRoute,
    VirtualService,
};
use mesh_core::resource::istio::{Gateway, ServiceEntry};
use mesh_core::workload::Workload;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::json;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("*".to_owned()),
        Just("(".to_owned()),
        Just(":authority".to_owned()),
        Just("%REQ(".to_owned()),
        Just("@request.auth.claims.a".to_owned()),
        Just("cart.example".to_owned()),
        "[ -~]{0,8}",
        "[a-z/*.]{1,12}",
    ]
}

fn string_match() -> impl Strategy<Value = StringMatch> {
    (option::of(text()), option::of(text()), option::of(text())).prop_map(
        |(exact, prefix, regex)| StringMatch {
            exact,
            prefix,
            regex,
        },
    )
}

fn match_block() -> impl Strategy<Value = HttpMatchRequest> {
    (
        option::of(string_match()),
        btree_map(text(), string_match(), 0..2),
        btree_map(text(), string_match(), 0..2),
        vec(text(), 0..2),
        any::<bool>(),
        prop_oneof![Just(0), Just(80), any::<u32>()],
    )
        .prop_map(
            |(uri, headers, without_headers, gateways, ignore_uri_case, port)| HttpMatchRequest {
                uri,
                headers,
                without_headers,
                gateways,
                ignore_uri_case,
                port,
                ..HttpMatchRequest::default()
            },
        )
}

fn destination() -> impl Strategy<Value = Destination> {
    (text(), text(), option::of(any::<u32>())).prop_map(|(host, subset, port)| Destination {
        host,
        subset,
        port: port.map(|number| PortSelector { number }),
    })
}

fn headers() -> impl Strategy<Value = Headers> {
    let operations = (
        btree_map(text(), text(), 0..3),
        btree_map(text(), text(), 0..3),
        vec(text(), 0..2),
    );
    operations.prop_map(|(set, add, remove)| Headers {
        request: Some(HeaderOperations { set, add, remove }),
        response: None,
    })
}

fn to() -> impl Strategy<Value = HttpRouteDestination> {
    (
        option::of(destination()),
        any::<i32>(),
        option::of(headers()),
    )
        .prop_map(|(destination, weight, headers)| HttpRouteDestination {
            destination,
            weight,
            headers,
        })
}

fn answer() -> impl Strategy<Value = HttpRoute> {
    prop_oneof![
        (any::<u32>(), text(), option::of(any::<u32>())).prop_map(|(code, uri, port)| HttpRoute {
            redirect: Some(HttpRedirect {
                uri,
                port,
                redirect_code: code,
                ..HttpRedirect::default()
            }),
            ..HttpRoute::default()
        }),
        any::<u32>().prop_map(|status| HttpRoute {
            direct_response: Some(HttpDirectResponse { status, body: None }),
            ..HttpRoute::default()
        }),
        Just(HttpRoute {
            delegate: Some(Delegate::default()),
            ..HttpRoute::default()
        }),
        Just(HttpRoute::default()),
    ]
}

fn rule() -> impl Strategy<Value = HttpRoute> {
    (
        answer(),
        vec(match_block(), 0..3),
        vec(to(), 0..3),
        option::of(text()),
        option::of((any::<i32>(), text())),
        option::of(any::<f64>()),
        option::of(destination()),
    )
        .prop_map(
            |(answer, matches, route, rewrite, retries, share, mirror)| HttpRoute {
                r#match: matches,
                route,
                rewrite: rewrite.map(|uri| HttpRewrite {
                    uri,
                    ..HttpRewrite::default()
                }),
                retries: retries.map(|(attempts, retry_on)| HttpRetry {
                    attempts,
                    retry_on,
                    ..HttpRetry::default()
                }),
                mirror,
                mirror_percentage: share.map(|value| Percent { value }),
                ..answer
            },
        )
}

fn virtual_service() -> impl Strategy<Value = VirtualService> {
    (
        vec(text(), 0..3),
        vec(
            prop_oneof![Just("mesh".to_owned()), Just("gateway".to_owned()), text()],
            0..3,
        ),
        vec(rule(), 0..4),
        vec(text(), 0..2),
    )
        .prop_map(|(hosts, gateways, http, subnets)| {
            let l4 = json!({
                "match": [{"destinationSubnets": subnets, "port": 80}],
                "route": [{"destination": {"host": "cart.example"}}],
            });
            let tls: TlsRoute = serde_json::from_value(l4.clone()).expect("it is a TLS rule");
            let tcp: TcpRoute = serde_json::from_value(l4).expect("it is a TCP rule");
            VirtualService {
                hosts,
                gateways,
                http,
                tls: vec![tls],
                tcp: vec![tcp],
                export_to: Vec::new(),
            }
        })
}

fn named<S: Default>(name: &str, spec: S) -> Resource<S> {
    let mut resource = Resource::<S>::default();
    resource.metadata.name = name.to_owned();
    resource.spec = spec;
    resource
}

fn resolved(spec: VirtualService) -> [Model; 2] {
    let entry: ServiceEntry = serde_json::from_value(json!({
        "hosts": ["cart.example"], "resolution": "DNS",
        "ports": [
            {"number": 80, "name": "http", "protocol": "HTTP"},
            {"number": 443, "name": "tls", "protocol": "TLS"},
            {"number": 81, "name": "tcp", "protocol": "TCP"},
        ],
    }))
    .expect("the resource is well-formed");
    let gateway: Gateway = serde_json::from_value(json!({
        "servers": [
            {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]},
        ],
    }))
    .expect("the resource is well-formed");
    let config = MeshConfig::builder()
        .extend([
            named("cart", entry).into(),
            named("gateway", gateway).into(),
            named("rules", spec).into(),
        ])
        .build(1)
        .expect("the names differ");
    [Workload::sidecar("default"), Workload::gateway("default")]
        .map(|workload| resolve(&config, &workload))
}

proptest! {
    #[test]
    fn any_virtual_service_is_resolved(spec in virtual_service()) {
        for model in resolved(spec) {
            for routes in model.route_configurations.values() {
                for host in &routes.virtual_hosts {
                    let forwards = host.routes.iter().filter_map(|route| route.forward_to());
                    for forward in forwards {
                        prop_assert!(!forward.destinations.is_empty(), "{}", host.name);
                    }
                }
            }
        }
    }

    #[test]
    fn no_domain_is_served_twice(spec in virtual_service()) {
        for model in resolved(spec) {
            for routes in model.route_configurations.values() {
                let domains = routes.virtual_hosts.iter().flat_map(|host| &host.domains);
                let mut domains: Vec<_> = domains.collect();
                let all = domains.len();
                domains.sort();
                domains.dedup();
                prop_assert_eq!(domains.len(), all, "{}", &routes.name);
            }
        }
    }
}
