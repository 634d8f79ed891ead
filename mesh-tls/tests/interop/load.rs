//! SVIDs, the intermediate and the root are replaced while wrk calls a server of ours over mesh mTLS.
//!
//! wrk presents no certificate. An Envoy does, as the proxy beside a client in a mesh: it is `web`,
//! and gets its SVID and the roots by SDS. Each request by its listener `anew` is a handshake of its
//! own; those by `kept` come on connections that stand all the time.
//!
//! No step waits for time to pass: it is over when so many handshakes were made and so many requests
//! served.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::identity::SpiffeId;
use mesh_tls::accept::TlsAcceptor;
use mesh_tls::ca::root::RootSpec;
use mesh_tls::ca::{
    Authority, Change, Issuance, IssuancePolicy, Issuer, OverlapPolicy, SerialNumber, Signer,
};
use mesh_tls::csr::{KeyKind, SigningRequest};
use mesh_tls::key::SigningKey;
use mesh_tls::pem;
use mesh_tls::resolve::{self, Identity, IdentityPublisher};
use mesh_tls::svid::X509Svid;
use mesh_tls::trust_bundle::{TrustBundle, TrustBundles};
use rustls_pki_types::{CertificateDer, UnixTime};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::above::Above;
use crate::envoy::{Envoy, TYPE, cluster, listener, validation};
use crate::files::{Files, provider};
use crate::mesh::{CART, SNI, WEB, acceptor, compiler};
use crate::wrk::Wrk;

/// How many handshakes are made, and how many requests served, between one change and the next.
const STEP: u64 = 20;

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(20);

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// What our server has counted so far.
#[derive(Clone, Debug, Default)]
struct Tally {
    /// Handshakes, with those that failed.
    handshakes: u64,
    failed: u64,
    served: u64,
    /// What the client presented that shook hands last.
    client: Option<CertificateDer<'static>>,
}

/// A server of ours that is called by wrk.
struct Load {
    files: Files,
    server: IdentityPublisher,
    tally: watch::Receiver<Tally>,
    _envoy: Envoy,
    /// By `anew` and by `kept`.
    wrk: [Wrk; 2],
}

impl Load {
    async fn start(issuer: &Issuer) -> Self {
        let (server, live) = resolve::channel();
        server.publish(identity(issuer, CART));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tallies, tally) = watch::channel(Tally::default());
        tokio::spawn(serve(listener, acceptor(&compiler(live)), tallies));

        let files = Files::new();
        tell_envoy(&files, &identity(issuer, WEB));
        let envoy = start_envoy(&files, port);
        let wrk = ["anew", "kept"].map(|name| Wrk::start(envoy.ports[name]));
        let mut load = Self {
            files,
            server,
            tally,
            _envoy: envoy,
            wrk,
        };
        load.step().await;
        load
    }

    /// Lets server and client take new SVIDs of `issuer`, one after the other.
    async fn take(&mut self, issuer: &Issuer) {
        self.server.publish(identity(issuer, CART));
        self.step().await;
        let client = identity(issuer, WEB);
        tell_envoy(&self.files, &client);
        let leaf = client.svid.leaf().der().clone();
        self.until(|tally| tally.client.as_ref() == Some(&leaf))
            .await;
        self.step().await;
    }

    /// Waits until wrk has done some more.
    async fn step(&mut self) {
        let Tally {
            handshakes, served, ..
        } = *self.tally.borrow();
        let is_over =
            |now: &Tally| now.handshakes >= handshakes + STEP && now.served >= served + STEP;
        self.until(is_over).await;
    }

    async fn until(&mut self, is_reached: impl FnMut(&Tally) -> bool) {
        let reached = timeout(PATIENCE, self.tally.wait_for(is_reached)).await;
        reached.expect("the load goes on").unwrap();
    }

    /// How many requests failed: of those by `anew`, and of those by `kept`.
    fn end(self) -> [u64; 2] {
        self.wrk.map(Wrk::end)
    }
}

/// An SVID for `id`, and the roots that its issuer tells.
fn identity(issuer: &Issuer, id: &str) -> Identity {
    let id: SpiffeId = id.parse().unwrap();
    let key = SigningKey::generate(KeyKind::EcdsaP256).unwrap();
    let request = key.signing_request(&id).unwrap();
    let request = SigningRequest::from_pem(request.as_bytes(), &provider()).unwrap();
    let issuance = Issuance::for_workload(&id, UnixTime::now(), SerialNumber::new([4; 16]));
    let issued = issuer.issue(&request, &issuance).unwrap();
    let bundle = TrustBundle::new(id.trust_domain(), issued.roots.to_vec()).unwrap();
    let key = key.private_key().clone_key();
    Identity {
        svid: X509Svid::new(issued.chain, key, &provider()).unwrap(),
        bundles: TrustBundles::from_iter([bundle]),
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, tallies: watch::Sender<Tally>) {
    loop {
        let (io, _) = listener.accept().await.unwrap();
        tokio::spawn(answer(io, acceptor.clone(), tallies.clone()));
    }
}

/// Answers all requests of a connection. They have no bodies.
async fn answer(io: TcpStream, acceptor: TlsAcceptor, tallies: watch::Sender<Tally>) {
    let accepted = acceptor.accept(io).await;
    tallies.send_modify(|tally| {
        tally.handshakes += 1;
        match &accepted {
            Ok(accepted) => {
                let chain = accepted.peer.certificates.as_ref();
                tally.client = chain.and_then(|chain| chain.0.first().cloned());
            }
            Err(_) => tally.failed += 1,
        }
    });
    let Ok(accepted) = accepted else {
        return;
    };
    let mut stream = BufReader::new(accepted.stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        if line == "\r\n" {
            stream.write_all(ANSWER).await.unwrap();
            tallies.send_modify(|tally| tally.served += 1);
        }
        line.clear();
    }
}

/// An Envoy with a way to `port` that makes a connection for each request, and one that keeps them.
fn start_envoy(files: &Files, port: u16) -> Envoy {
    let sds = |name: &str| {
        let path = files.path(&format!("{name}.json"));
        json!({"name": name, "sds_config": {
            "path_config_source": {"path": path}, "resource_api_version": "V3",
        }})
    };
    let tls = json!({
        "@type": format!("{TYPE}.transport_sockets.tls.v3.UpstreamTlsContext"),
        "sni": SNI,
        "common_tls_context": {
            "alpn_protocols": ["istio-http/1.1", "istio", "http/1.1"],
            "tls_certificate_sds_secret_configs": [sds("svid")],
            "validation_context_sds_secret_config": sds("roots"),
        },
    });
    let http = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let options = json!({
        "@type": format!("type.googleapis.com/{http}"),
        "common_http_protocol_options": {"max_requests_per_connection": 1},
        "explicit_http_config": {"http_protocol_options": {}},
    });
    let mut anew = cluster("anew", port, &tls);
    anew["typed_extension_protocol_options"] = json!({(http): options});
    let kept = cluster("kept", port, &tls);
    let listeners =
        ["anew", "kept"].map(|name| listener(name, None, ("route", &json!({"cluster": name}))));
    Envoy::start(files, &listeners, &[anew, kept])
}

/// Replaces what Envoy presents and believes; the roots first, as a publisher of ours does.
fn tell_envoy(files: &Files, identity: &Identity) {
    let Identity { svid, bundles } = identity;
    let bundle = bundles.get(&svid.id().trust_domain()).unwrap();
    let roots = json!({"inline_string": bundle.to_pem()});
    let validation = validation(&roots, Some(CART));
    write_secret(files, "roots", json!({"validation_context": validation}));

    let chain = pem::encode_certificates(svid.chain());
    let key = pem::encode("PRIVATE KEY", svid.private_key().secret_der());
    let certificate = json!({
        "certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": key},
    });
    write_secret(files, "svid", json!({"tls_certificate": certificate}));
}

fn write_secret(files: &Files, name: &str, mut secret: Value) {
    secret["@type"] = json!(format!("{TYPE}.transport_sockets.tls.v3.Secret"));
    secret["name"] = json!(name);
    files.write("next", &json!({"resources": [secret]}).to_string());
    // Envoy looks at files that are moved to their place.
    let file = files.path(&format!("{name}.json"));
    std::fs::rename(files.path("next"), file).unwrap();
}

/// A root that signs workloads by itself.
fn root(now: UnixTime) -> Arc<Signer> {
    let key = Arc::new(SigningKey::generate(KeyKind::EcdsaP256).unwrap());
    let spec = RootSpec {
        organization: "the next root".into(),
        ..RootSpec::default()
    };
    let root = spec.sign(key, now, SerialNumber::new([5; 16]), &provider());
    Arc::new(root.unwrap())
}

/// The time when so many days have gone by for an authority.
fn after(now: UnixTime, days: u64) -> UnixTime {
    let days = Duration::from_secs(days * 24 * 60 * 60);
    UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + days)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs envoy and wrk"]
async fn no_request_of_wrk_fails_while_svids_intermediate_and_root_are_replaced() {
    let (above, now) = (Above::new(), UnixTime::now());
    let issuance = IssuancePolicy::default();
    let first = above.intermediate(now);
    let mut authority = Authority::new(first, issuance, OverlapPolicy::default());
    let mut load = Load::start(&authority.issuer()).await;
    for _ in 0..3 {
        load.take(&authority.issuer()).await;
    }

    let next = above.intermediate(now);
    assert_eq!(authority.replace(next, now), Some(Change::Switched));
    load.take(&authority.issuer()).await;

    assert_eq!(authority.replace(root(now), now), None, "it is announced");
    load.take(&authority.issuer()).await;
    let changes = [(1, Change::Switched), (1 + 91, Change::Retired)];
    for (days, change) in changes {
        assert_eq!(authority.advance(after(now, days)), Some(change));
        load.take(&authority.issuer()).await;
    }

    let failed = load.tally.borrow().failed;
    assert_eq!((load.end(), failed), ([0, 0], 0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs envoy and wrk"]
async fn without_an_overlap_requests_of_wrk_fail_while_the_root_is_replaced() {
    let now = UnixTime::now();
    let issuer = |signer| Issuer::new(signer, IssuancePolicy::default());
    let mut load = Load::start(&issuer(Above::new().intermediate(now))).await;
    assert_eq!(load.tally.borrow().failed, 0);

    load.take(&issuer(root(now))).await;
    let failed = load.tally.borrow().failed;
    load.step().await;
    assert!(failed > 0, "the client still trusts the old root only");
    assert_eq!(load.tally.borrow().failed, failed, "both have the new root");
    let [anew, kept] = load.end();
    assert!(anew > 0, "{anew}");
    assert_eq!(kept, 0, "what stands is not touched");
}
