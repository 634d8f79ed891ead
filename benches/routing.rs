//! Route lookup and compilation, beside a scan of all routes.
//!
//! Each bench checks what it times: that the right route is found, and that the lookup allocates
//! nothing.
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

use std::alloc::System;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use http::Request;
use mesh_core::matcher::StringMatch;
use mesh_core::model::route::{
    HeaderMatch, PathMatch, QueryParamMatch, Route, RouteConfiguration, RouteMatch, VirtualHost,
};
use mesh_core::service::ClusterName;
use mesh_routing::request::RequestHead;
use mesh_routing::table::{Lookup, RouteTable};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Requests, each with the name of the route that takes it.
type Expected = Vec<(Request<()>, String)>;

fn many_hosts(c: &mut Criterion) {
    let hosts = (0..1_000).map(|host| {
        let domain = format!("shop-{host}.example");
        VirtualHost::new(domain.clone(), [domain], ten_routes(host))
    });
    let configuration = configuration(hosts.collect());
    let requests = (0..1_000).map(|host| {
        let get = |target: &str| Request::get(format!("http://shop-{host}.example{target}"));
        let (request, name) = match host % 6 {
            0 => (get("/healthz"), "health"),
            1 => (get("/cart/7"), "cart"),
            2 => (get("/reviews/7?version=2"), "query"),
            3 => (get("/reviews/7").header("end-user", "jason"), "header"),
            4 => (get("/users/7/orders"), "regex"),
            _ => (get("/elsewhere"), "rest"),
        };
        (request.body(()).unwrap(), format!("{name}-{host}"))
    });
    bench(
        c,
        "lookup, 1000 hosts x 10 routes",
        &configuration,
        &shuffled(requests.collect()),
    );
}

fn many_routes(c: &mut Criterion) {
    let configuration = ten_thousand_routes();
    let requests = (0..10_000).map(|service| {
        let request = Request::get(format!("http://shop.example/svc-{service}/items/7"));
        (request.body(()).unwrap(), format!("svc-{service}"))
    });
    let requests = shuffled(requests.collect());
    bench(
        c,
        "lookup, 10000 routes in one host",
        &configuration,
        &requests,
    );

    let routes = &configuration.virtual_hosts[0].routes;
    for (request, name) in &requests[..100] {
        assert_eq!(scan(routes, request).unwrap().name, *name);
    }
    let mut requests = requests.iter().cycle();
    c.bench_function("scan, 10000 routes in one host", |b| {
        b.iter(|| {
            let (request, _) = requests.next().unwrap();
            Arc::clone(scan(routes, black_box(request)).unwrap())
        });
    });
}

fn one_route(c: &mut Criterion) {
    let route = Route::forward("rest", RouteMatch::prefix("/"), ClusterName::from("rest"));
    let configuration = configuration(vec![VirtualHost::new("any", ["*"], [route])]);
    let request = Request::get("http://shop.example/").body(()).unwrap();
    bench(
        c,
        "lookup, 1 route",
        &configuration,
        &vec![(request, "rest".to_owned())],
    );
}

fn compile(c: &mut Criterion) {
    let configuration = ten_thousand_routes();
    let region = Region::new(ALLOCATOR);
    let table = RouteTable::compile(&configuration).unwrap();
    let change = region.change();
    let kept = change.bytes_allocated - change.bytes_deallocated;
    assert!(kept < 200 * 10_000, "{kept} bytes for 10,000 routes");
    drop(table);
    c.bench_function("compile, 10000 routes", |b| {
        b.iter(|| RouteTable::compile(black_box(&configuration)).unwrap());
    });
}

/// Checks that each request finds its route without allocating, then times the lookup.
fn bench(c: &mut Criterion, name: &str, configuration: &RouteConfiguration, requests: &Expected) {
    let table = RouteTable::compile(configuration).unwrap();
    for (request, name) in requests {
        // An expression allocates its scratch space when it is first used.
        table.lookup(&RequestHead::from(request), 0);
        let region = Region::new(ALLOCATOR);
        let found = table.lookup(&RequestHead::from(request), 0);
        assert_eq!(region.change().allocations, 0, "{}", request.uri());
        let Lookup::Matched(route) = found else {
            panic!("{}: {found}", request.uri())
        };
        assert_eq!(route.name(), name, "{}", request.uri());
    }
    let mut requests = requests.iter().cycle();
    c.bench_function(name, |b| {
        b.iter(|| {
            let (request, _) = requests.next().unwrap();
            table.lookup(&RequestHead::from(black_box(request)), 0)
        });
    });
}

/// What a router without an index does.
///
/// It looks at paths only, which favours it.
fn scan<'a>(routes: &'a [Arc<Route>], request: &Request<()>) -> Option<&'a Arc<Route>> {
    let path = request.uri().path();
    routes.iter().find(|route| match &route.matches.path {
        PathMatch::Exact(exact) => path == exact,
        PathMatch::PathSeparatedPrefix(_) => unreachable!("no such route here"),
        PathMatch::Prefix(prefix) => path.starts_with(prefix.as_str()),
        PathMatch::Regex(regex) => regex.is_match(path),
        PathMatch::Template(template) => template.is_match(path),
    })
}

fn ten_thousand_routes() -> RouteConfiguration {
    let services = (0..10_000).map(|service| {
        let matches = RouteMatch::prefix(format!("/svc-{service}/"));
        Route::forward(format!("svc-{service}"), matches, ClusterName::from("svc"))
    });
    let rest = Route::forward("rest", RouteMatch::prefix("/"), ClusterName::from("rest"));
    configuration(vec![VirtualHost::new(
        "shop",
        ["shop.example"],
        services.chain([rest]),
    )])
}

fn ten_routes(host: usize) -> Vec<Route> {
    let header = HeaderMatch {
        name: "end-user".into(),
        value: StringMatch::exact("jason"),
        invert: false,
        missing_as_empty: false,
    };
    let query_param = QueryParamMatch {
        name: "version".into(),
        value: StringMatch::exact("2"),
    };
    let reviews = RouteMatch::prefix("/reviews/");
    let regex = PathMatch::Regex("/users/[0-9]+/orders".parse().unwrap());
    let below = PathMatch::PathSeparatedPrefix("/cart".into());
    let matches = [
        ("health", RouteMatch::exact("/healthz")),
        ("version", RouteMatch::exact("/version")),
        ("cart", RouteMatch::path(below)),
        ("regex", RouteMatch::path(regex)),
        (
            "header",
            RouteMatch {
                headers: vec![header],
                ..reviews.clone()
            },
        ),
        (
            "query",
            RouteMatch {
                query_params: vec![query_param],
                ..reviews.clone()
            },
        ),
        (
            "post",
            RouteMatch {
                method: Some(StringMatch::exact("POST")),
                ..reviews.clone()
            },
        ),
        ("reviews", reviews),
        ("static", RouteMatch::prefix("/static/")),
        ("rest", RouteMatch::prefix("/")),
    ];
    let route = |(name, matches)| {
        Route::forward(format!("{name}-{host}"), matches, ClusterName::from(name))
    };
    matches.map(route).into()
}

fn configuration(virtual_hosts: Vec<VirtualHost>) -> RouteConfiguration {
    RouteConfiguration {
        name: "http.80".into(),
        virtual_hosts,
        ignore_port: true,
        ..RouteConfiguration::default()
    }
}

/// The same requests in an order that no cache foresees, the same in each run.
fn shuffled(requests: Expected) -> Expected {
    let mut numbered: Vec<_> = (0_u64..).zip(requests).collect();
    numbered.sort_by_key(|(number, _)| number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    numbered.into_iter().map(|(_, request)| request).collect()
}

criterion_group!(benches, one_route, many_hosts, many_routes, compile);
criterion_main!(benches);
