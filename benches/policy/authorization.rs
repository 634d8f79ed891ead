//! A thousand policies of which ten can apply, beside trying each.

use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use http::HeaderMap;
use mesh_core::identity::TrustDomains;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::AuthorizationPolicy;
use mesh_core::resource::istio::authorization_policy::{Action, From, Operation, Rule, Source, To};
use mesh_policy::authz::{Connection, HttpRequest, PolicySet};
use stats_alloc::Region;

use crate::ALLOCATOR;

const POLICIES: usize = 1_000;
const APPLYING: usize = 10;

pub(crate) type Policies = Vec<Arc<Resource<AuthorizationPolicy>>>;

pub(crate) fn benches(c: &mut Criterion) {
    let headers = HeaderMap::new();
    let policies = policies();
    let domains = TrustDomains::new("cluster.local".parse().unwrap());
    let set = PolicySet::compile(&policies, &domains);
    let (allowed, denied) = (request(&headers, "GET"), request(&headers, "DELETE"));
    for (request, expected) in [(&allowed, true), (&denied, false)] {
        assert_eq!(scan(&policies, request), expected);
        let region = Region::new(ALLOCATOR);
        assert_eq!(set.evaluate(request).is_allowed(), expected);
        assert_eq!(region.change().allocations, 0);
    }
    c.bench_function("authorization, 1000 policies of which 10 apply", |b| {
        b.iter(|| set.evaluate(black_box(&allowed)).is_allowed());
    });
    c.bench_function("authorization, denied", |b| {
        b.iter(|| set.evaluate(black_box(&denied)).is_allowed());
    });
    c.bench_function("authorization, by trying each", |b| {
        b.iter(|| scan(&policies, black_box(&allowed)));
    });
    c.bench_function("authorization, compile 1000 policies", |b| {
        b.iter(|| PolicySet::compile(black_box(&policies), &domains));
    });
}

fn request<'a>(headers: &'a HeaderMap, method: &'a str) -> HttpRequest<'a> {
    let connection = Connection::new(
        "10.0.0.7:41000".parse().unwrap(),
        "10.0.0.9:8080".parse().unwrap(),
    );
    HttpRequest {
        connection: Connection {
            peer: Some("spiffe://cluster.local/ns/shop/sa/client"),
            ..connection
        },
        method,
        host: Some(b"cart.shop.svc.cluster.local"),
        path: "/cart/7/items?page=2",
        headers,
        claims: None,
    }
}

/// Policies of other clients and paths, and ten that are for this client, of which the last allows.
pub(crate) fn policies() -> Policies {
    let policies = (0..POLICIES).map(|number| {
        let applies = number >= POLICIES - APPLYING;
        let account = if applies {
            "shop/sa/client".to_owned()
        } else {
            format!("team-{number}/sa/client")
        };
        let (methods, path) = match number {
            _ if number == POLICIES - 1 => (vec!["GET".to_owned()], "/cart/*".to_owned()),
            _ if applies => (vec!["PUT".to_owned()], format!("/cart/{number}")),
            _ => (Vec::new(), format!("/service-{number}/*")),
        };
        let mut policy = Resource::<AuthorizationPolicy>::default();
        policy.metadata.name = format!("policy-{number:04}");
        policy.metadata.namespace = "shop".to_owned();
        policy.spec.action = Action::Allow;
        policy.spec.rules = Some(vec![Rule {
            from: Some(vec![From {
                source: Some(Source {
                    principals: vec![format!("cluster.local/ns/{account}")],
                    ..Source::default()
                }),
            }]),
            to: Some(vec![To {
                operation: Some(Operation {
                    methods,
                    paths: vec![path],
                    ..Operation::default()
                }),
            }]),
            when: Vec::new(),
        }]);
        Arc::new(policy)
    });
    policies.collect()
}

/// Whether one of the policies allows the request, found by trying each as it is written.
fn scan(policies: &Policies, request: &HttpRequest<'_>) -> bool {
    let path = request.path.split('?').next().unwrap();
    let peer = request
        .connection
        .peer
        .unwrap()
        .strip_prefix("spiffe://")
        .unwrap();
    let any = |values: &[String], text: &str| {
        values.is_empty()
            || values.iter().any(|value| match value.strip_suffix('*') {
                Some(prefix) => text.starts_with(prefix),
                None => text == value,
            })
    };
    policies.iter().any(|policy| {
        policy.spec.rules.iter().flatten().any(|rule| {
            let mut sources = rule.from.iter().flatten().flat_map(|from| &from.source);
            let mut operations = rule.to.iter().flatten().flat_map(|to| &to.operation);
            sources.any(|source| any(&source.principals, peer))
                && operations.any(|operation| {
                    any(&operation.methods, request.method) && any(&operation.paths, path)
                })
        })
    })
}
