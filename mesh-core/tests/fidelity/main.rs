//! Fidelity and analysis, through the public API.

#![cfg(feature = "yaml")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod elsewhere;
#[cfg(feature = "gateway-api")]
mod fields;

use std::collections::BTreeSet;

use mesh_core::analyze::fidelity::{
    Capabilities, Capability, Fidelity, FieldFidelity, Lack, Treatment, catalogue, fidelity,
};
use mesh_core::config::MeshConfig;
use mesh_core::parse::{Limits, parse};
use proptest::prelude::*;

/// One resource of many kinds, each with fields that guard and fields that do not.
const MESH: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: public, namespace: shop }
spec:
  selector: { istio: ingressgateway }
  servers:
  - port: { number: 443, name: https, protocol: HTTPS }
    hosts: [shop.example]
    tls: { mode: MUTUAL, credentialName: shop, minProtocolVersion: TLSV1_3 }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: shop }
spec:
  hosts: [shop.example]
  gateways: [public]
  http:
  - timeout: 3s
    retries: { attempts: 2 }
    fault: { abort: { httpStatus: 503, percentage: { value: 1 } } }
    route: [{ destination: { host: cart } }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: cart, namespace: shop }
spec:
  host: cart
  trafficPolicy:
    tls: { mode: SIMPLE, caCertificates: /ca.pem }
    loadBalancer: { simple: RANDOM }
    outlierDetection: { consecutive5xxErrors: 3 }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: shop }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: tokens, namespace: shop }
spec: { jwtRules: [{ issuer: shop, jwks: '{}' }] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ask, namespace: shop }
spec: { action: CUSTOM, provider: { name: opa }, rules: [{}] }
";

#[test]
fn each_guard_that_is_left_out_is_a_refusal_of_its_own() {
    let config = mesh();
    for (capability, kind) in [
        (Capability::ClientTls, "DestinationRule"),
        (Capability::ExternalAuthorization, "AuthorizationPolicy"),
        (Capability::PeerAuthentication, "PeerAuthentication"),
        (Capability::RequestAuthentication, "RequestAuthentication"),
        (Capability::ServerTls, "Gateway"),
    ] {
        let found = fidelity(&config, None, &all_but(&[capability]));
        let kinds: BTreeSet<&str> = found.refusals().map(|field| field.origin.kind()).collect();
        assert_eq!(kinds, [kind].into(), "{capability}");
    }
    let harmless = [
        Capability::Timeouts,
        Capability::Retries,
        Capability::LoadBalancing,
    ];
    let found = fidelity(&config, None, &all_but(&harmless));
    assert_eq!(found.refusals().count(), 0);
    assert_eq!(found.unsupported().count(), 3);
}

#[test]
fn with_everything_composed_no_field_of_the_catalogue_waits_for_a_capability() {
    for field in catalogue(&Capabilities::all()) {
        let waits = matches!(
            field.treatment,
            Treatment::Unsupported(Lack::NotComposed(_) | Lack::Withheld(_))
        );
        assert!(!waits, "{} {}: {}", field.kind, field.path, field.treatment);
    }
}

#[test]
fn every_capability_enforces_a_field() {
    let all = catalogue(&Capabilities::all());
    for capability in Capability::ALL {
        let enforces = |treatment: Treatment| match treatment {
            Treatment::Enforced(by) | Treatment::Differently(by, _) => by == *capability,
            _ => false,
        };
        assert!(
            all.iter().any(|field| enforces(field.treatment)),
            "{capability}"
        );
    }
}

proptest! {
    /// What is composed besides changes nothing for the worse.
    #[test]
    fn more_capabilities_refuse_less(some in subset(), more in subset()) {
        let config = mesh();
        let composed = |chosen: &[Capability]| {
            chosen.iter().fold(Capabilities::none(), |all, one| all.with(*one))
        };
        let few = fidelity(&config, None, &composed(&some));
        let many = fidelity(&config, None, &composed(&[some, more].concat()));
        prop_assert_eq!(few.fields().len(), many.fields().len());
        let refused = |of: &Fidelity| -> BTreeSet<String> {
            of.refusals().map(|field: &FieldFidelity| field.origin.to_string()).collect()
        };
        prop_assert!(refused(&many).is_subset(&refused(&few)));
    }
}

fn subset() -> impl Strategy<Value = Vec<Capability>> {
    proptest::sample::subsequence(Capability::ALL.to_vec(), 0..=Capability::ALL.len())
}

fn all_but(left_out: &[Capability]) -> Capabilities {
    let kept = Capability::ALL
        .iter()
        .filter(|capability| !left_out.contains(capability));
    kept.fold(Capabilities::none(), |all, capability| {
        all.with(*capability)
    })
}

fn mesh() -> MeshConfig {
    let parsed = parse("mesh.yaml", MESH, &Limits::default());
    assert_eq!(parsed.problems, []);
    MeshConfig::builder()
        .extend(parsed.objects)
        .build(1)
        .unwrap()
}
