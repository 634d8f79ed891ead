//! The layers of mesh-tls.

use std::sync::Arc;

use http::Request;
use mesh_core::attributes::PeerIdentity;
use mesh_core::identity::SpiffeId;
use mesh_tls::ca::authenticate::{AuthenticateLayer, Review, TokenReview};
use mesh_tls::connection::{Connection, ConnectionLayer};
use mesh_tls::digest::Sha256;
use mesh_tls::require_identity::RequireIdentityLayer;
use mesh_tls::xfcc::ForwardClientCert;
use mesh_tls::xfcc::layer::ForwardClientCertLayer;
use rustls::crypto::aws_lc_rs;
use tokio::task::yield_now;

use crate::checks::Cases;
use crate::contracts;
use crate::requests::{plain, with_field};
use crate::strict::OwnBody;

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

contracts! {
    require_identity: RequireIdentityLayer::any(),
        Cases::passing(proven).refused("one that proves nothing", 403, plain);
    authenticate: AuthenticateLayer::new().with_token_review(Arc::new(Sesame)),
        Cases::passing(proven)
            .and("one with a token, which is reviewed", with_token)
            .refused("one that proves nothing", 401, plain)
            .refused("one with a token that is not good", 401, with_bad_token);
    connection: ConnectionLayer::new(plaintext()), Cases::passing(plain);
    forward_client_cert: ForwardClientCertLayer::new(ForwardClientCert::SanitizeSet, sha256()),
        Cases::passing(proven).and("one that proves nothing", plain);
}

fn proven() -> Request<OwnBody> {
    let mut request = plain();
    let peer = PeerIdentity(CART.parse().unwrap());
    request.extensions_mut().insert(peer);
    request
}

fn with_token() -> Request<OwnBody> {
    with_field("authorization", "Bearer sesame")
}

fn with_bad_token() -> Request<OwnBody> {
    with_field("authorization", "Bearer poppy")
}

pub(crate) fn plaintext() -> Connection {
    let (peer, local) = ("192.0.2.7:4711", "192.0.2.8:80");
    Connection::plaintext(peer.parse().unwrap(), local.parse().unwrap())
}

pub(crate) fn sha256() -> Sha256 {
    Sha256::of_provider(&aws_lc_rs::default_provider()).unwrap()
}

/// Knows one token, after a moment.
struct Sesame;

impl TokenReview for Sesame {
    fn review(&self, token: &str) -> Review {
        let id = (token == "sesame").then(|| CART.parse::<SpiffeId>().unwrap());
        Box::pin(async {
            yield_now().await;
            id.map(Into::into)
        })
    }
}
