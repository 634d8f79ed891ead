//! A thousand policies of which ten can apply, beside trying each.
//!
//! Each bench checks what it times, and that a judgement allocates nothing.
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

#[path = "policy/policies.rs"]
mod policies;

use std::alloc::System;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use mesh_core::identity::TrustDomains;
use mesh_policy::authz::{Connection, HttpRequest, PolicySet};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use crate::policies::{Policies, policies};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn benches(c: &mut Criterion) {
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
        scheme: "http",
        host: Some(b"cart.shop.svc.cluster.local"),
        path: "/cart/7/items?page=2",
        headers,
        claims: None,
    }
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

criterion_group!(group, benches);
criterion_main!(group);
