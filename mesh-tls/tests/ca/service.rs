//! The certificate service of Istio, from the client's key to the SVID, in process.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::attributes::PeerIdentity;
use mesh_core::identity::{ServiceAccount, SpiffeId, TrustDomains};
use mesh_core::watch::{self, Publisher};
use mesh_tls::ca::authenticate::{
    Authenticate, AuthenticateLayer, Caller, Proof, Review, TokenReview,
};
use mesh_tls::ca::root::RootSpec;
use mesh_tls::ca::{IssuancePolicy, Issuer};
use mesh_tls::csr::KeyKind;
use mesh_tls::grpc::{
    CertificateClient, CertificateRequest, CertificateService, Impersonation, Kind, Struct, Value,
};
use mesh_tls::key::SigningKey;
use mesh_tls::pem;
use mesh_tls::source::{CaSource, CaSourceError, SvidSource, TokenSource};
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;
use tonic::{Code, Request};
use tower::Layer;

use crate::support::{DAY, NOW, at, key, provider, root};

const ID: &str = "spiffe://cluster.local/ns/shop/sa/cart";

#[derive(Debug)]
struct Clock(u64);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(at(self.0))
    }
}

/// A token is the identity that it proves.
struct Names;

impl TokenReview for Names {
    fn review(&self, token: &str) -> Review {
        Box::pin(ready(token.parse::<SpiffeId>().ok().map(Into::into)))
    }
}

struct Token(&'static str);

impl TokenSource for Token {
    fn token(&self) -> Option<String> {
        Some(self.0.to_owned()).filter(|token| !token.is_empty())
    }
}

fn issuer() -> Issuer {
    let root = root(&RootSpec::default(), &key(KeyKind::EcdsaP256), NOW);
    Issuer::new(root, IssuancePolicy::default())
}

type Server = Authenticate<CertificateService>;

fn server(now: u64) -> (Publisher<Issuer>, Server) {
    let (publisher, issuer) = watch::channel(issuer());
    let service = CertificateService::new(issuer, provider(), Arc::new(Clock(now)));
    let layer = AuthenticateLayer::new().with_token_review(Arc::new(Names));
    (publisher, layer.layer(service))
}

fn id() -> SpiffeId {
    ID.parse().unwrap()
}

fn source(server: Server, token: &'static str) -> CaSource<Server> {
    let client = CertificateClient::new(server);
    CaSource::new(client, id(), provider()).with_tokens(Arc::new(Token(token)))
}

/// Asks as `cart` and gives what the service said.
async fn ask(server: Server, request: CertificateRequest) -> Result<Vec<String>, (Code, String)> {
    let mut request = Request::new(request);
    request.extensions_mut().insert(PeerIdentity(id()));
    let answer = CertificateClient::new(server)
        .create_certificate(request)
        .await;
    answer.map_err(|status| (status.code(), status.message().to_owned()))
}

fn request(lifetime: u64) -> CertificateRequest {
    let key = SigningKey::generate(KeyKind::EcdsaP256).unwrap();
    let csr = key.signing_request(&id()).unwrap();
    CertificateRequest::new(csr, Duration::from_secs(lifetime))
}

#[tokio::test]
async fn a_workload_gets_an_svid_for_its_token() {
    for kind in [KeyKind::EcdsaP256, KeyKind::RSA_2048] {
        let (_publisher, server) = server(NOW);
        let mut source = source(server, ID).with_key_kind(kind);
        let identity = source.fetch().await.unwrap();
        assert_eq!(identity.svid.id(), &id());
        assert_eq!(identity.svid.validity().not_after(), at(NOW + DAY));
        let bundle = identity.bundles.get(&id().trust_domain()).unwrap();
        assert_eq!(bundle.authorities().len(), 1, "{kind}");
    }
}

#[tokio::test]
async fn a_workload_of_another_trust_domain_is_given_nothing() {
    let (_publisher, issuer) = watch::channel(issuer());
    let service = CertificateService::new(issuer, provider(), Arc::new(Clock(NOW)));
    let domains = |name: &str| TrustDomains::new(name.parse().unwrap());
    let cases = [("cluster.local", true), ("partner.example", false)];
    for (domain, is_given) in cases {
        let service = service.clone().with_trust_domains(domains(domain));
        let answer = service.create_certificate(&caller_of(ID), &request(3_600));
        match answer {
            Ok(_) => assert!(is_given, "{domain}"),
            Err(status) => {
                assert!(!is_given, "{domain}");
                assert_eq!(status.code(), Code::Unauthenticated);
            }
        }
    }
}

#[tokio::test]
async fn the_aliases_of_a_trust_domain_have_its_roots() {
    let (_publisher, server) = server(NOW);
    let alias: mesh_core::identity::TrustDomain = "old.example".parse().unwrap();
    let mut source = source(server, ID).with_alias(alias.clone());
    let identity = source.fetch().await.unwrap();
    assert_eq!(
        identity.bundles.get(&alias),
        identity.bundles.get(&id().trust_domain())
    );
}

#[tokio::test]
async fn each_request_is_answered_by_the_issuer_of_its_moment() {
    let (publisher, server) = server(NOW);
    let old = ask(server.clone(), request(0)).await.unwrap();
    let new = issuer();
    let root = new.roots().to_vec();
    publisher.publish(new);
    let answer = ask(server, request(0)).await.unwrap();
    assert_ne!(answer.last(), old.last());
    assert_eq!(
        pem::certificates(answer.last().unwrap().as_bytes()).unwrap(),
        root
    );
}

#[tokio::test]
async fn whoever_has_no_proof_is_refused() {
    let (_publisher, server) = server(NOW);
    let error = source(server.clone(), "not-an-identity")
        .fetch()
        .await
        .unwrap_err();
    let CaSourceError::Refused(status) = error else {
        panic!("{error:?}");
    };
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.message(), "request authenticate failure");
    let error = source(server, "").fetch().await.unwrap_err();
    assert!(matches!(error, CaSourceError::NoToken));
}

#[tokio::test]
async fn a_certificate_for_another_identity_is_not_taken() {
    let (_publisher, server) = server(NOW);
    let other = "spiffe://cluster.local/ns/shop/sa/other";
    let error = source(server, other).fetch().await.unwrap_err();
    let CaSourceError::OtherIdentity { got } = error else {
        panic!("{error:?}");
    };
    assert_eq!(got.as_str(), other);
}

#[tokio::test]
async fn refusals_have_istiod_s_codes() {
    let metadata = |key: &str| {
        let kind = Some(Kind::String("x".into()));
        let fields = [(key.to_owned(), Value { kind })].into_iter().collect();
        CertificateRequest {
            metadata: Some(Struct { fields }),
            ..request(0)
        }
    };
    let broken = CertificateRequest::new("x".into(), Duration::ZERO);
    let cases = [
        ("lifetime", request(90 * DAY + 1), Code::InvalidArgument),
        ("request", broken, Code::InvalidArgument),
        (
            "impersonation",
            metadata("ImpersonatedIdentity"),
            Code::Unauthenticated,
        ),
        ("signer", metadata("CertSigner"), Code::InvalidArgument),
    ];
    for (case, request, code) in cases {
        let (_publisher, server) = server(NOW);
        assert_eq!(ask(server, request).await.unwrap_err().0, code, "{case}");
    }
    let (_publisher, server) = server(NOW + 3651 * DAY);
    let (code, text) = ask(server, request(0)).await.unwrap_err();
    assert_eq!(code, Code::Internal);
    assert_eq!(
        text,
        "CSR signing error (the signing certificate has expired)"
    );
}

fn caller_of(id: &str) -> Caller {
    Caller {
        id: id.parse().unwrap(),
        proof: Proof::Token,
        pod: None,
    }
}

/// Lets the account `ztunnel` ask for workloads of the namespace `shop`.
struct Nodes;

impl Impersonation for Nodes {
    fn is_allowed(&self, caller: &Caller, identity: &SpiffeId) -> bool {
        let account = |id: &SpiffeId, wanted: fn(ServiceAccount<'_>) -> bool| {
            id.service_account().is_some_and(wanted)
        };
        account(&caller.id, |account| account.name == "ztunnel")
            && account(identity, |account| account.namespace == "shop")
    }
}

#[test]
fn only_trusted_callers_get_certificates_of_others() {
    let clock = Arc::new(Clock(NOW));
    let service = CertificateService::new(issuer(), provider(), clock);
    let service = service.with_impersonation(Arc::new(Nodes));
    let ztunnel = "spiffe://cluster.local/ns/istio-system/sa/ztunnel";
    let other = "spiffe://cluster.local/ns/bank/sa/vault";
    let cases = [
        (ztunnel, ID, Some(ID)),
        (ztunnel, "", Some(ztunnel)),
        (ztunnel, other, None),
        (ztunnel, "not an identity", None),
        (other, ID, None),
    ];
    for (caller, wanted, expected) in cases {
        let kind = Some(Kind::String(wanted.into()));
        let fields = [("ImpersonatedIdentity".to_owned(), Value { kind })];
        let request = CertificateRequest {
            metadata: Some(Struct {
                fields: fields.into_iter().collect(),
            }),
            ..request(0)
        };
        let answer = service.create_certificate(&caller_of(caller), &request);
        let issued = answer.map(|answer| {
            let leaf = pem::certificates(answer.cert_chain[0].as_bytes()).unwrap();
            leaf[0].uris().map(str::to_owned).collect::<Vec<_>>()
        });
        match expected {
            Some(id) => assert_eq!(issued.unwrap(), [id], "{wanted}"),
            None => assert_eq!(
                issued.unwrap_err().code(),
                Code::Unauthenticated,
                "{wanted}"
            ),
        }
    }
}

#[tokio::test]
async fn a_negative_lifetime_is_the_default() {
    let (_publisher, server) = server(NOW);
    let request = CertificateRequest {
        validity_duration: -1,
        ..request(0)
    };
    let answer = ask(server, request).await.unwrap();
    let leaf = pem::certificates(answer[0].as_bytes()).unwrap().remove(0);
    assert_eq!(leaf.validity().not_after(), at(NOW + DAY));
}

#[tokio::test]
async fn serial_numbers_differ() {
    let (_publisher, server) = server(NOW);
    let mut serials = std::collections::HashSet::new();
    for _ in 0..50 {
        let answer = ask(server.clone(), request(0)).await.unwrap();
        let leaf = pem::certificates(answer[0].as_bytes()).unwrap().remove(0);
        assert!(serials.insert(leaf.serial().to_vec()));
    }
}

#[tokio::test]
async fn other_methods_are_unimplemented() {
    let (_publisher, server) = server(NOW);
    let request = http::Request::post("/istio.v1.auth.IstioCertificateService/Other")
        .header("content-type", "application/grpc")
        .extension(PeerIdentity(id()))
        .body(tonic::body::Body::empty())
        .unwrap();
    let response = tower::ServiceExt::oneshot(server, request).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "12");
}
