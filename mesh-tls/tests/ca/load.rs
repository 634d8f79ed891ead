//! Identities, intermediates and roots are replaced while a service is called as fast as it answers,
//! over sockets: on new connections, and on one that stands all the time.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use mesh_core::identity::{SpiffeId, TrustDomains};
use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress, MeshTls, UpstreamTls};
use mesh_core::model::listener::{FilterChain, HttpConnection, NetworkFilter, ServerTls};
use mesh_tls::accept::TlsAcceptor;
use mesh_tls::ca::{IssuancePolicy, Issuer, Signer};
use mesh_tls::config::{ApplicationProtocol, MeshIdentity, TlsCompiler};
use mesh_tls::connect::{Connected, TlsConnector};
use mesh_tls::resolve::{self, Identity, IdentityPublisher};
use mesh_tls::secret_store::SecretStore;
use mesh_tls::svid::X509Svid;
use mesh_tls::trust_bundle::{TrustBundle, TrustBundles};
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::above::Above;
use crate::rotation::{first_root, other_root};
use crate::support::{NOW, at, issue, provider};

/// How many callers make a connection for each call.
const CALLERS: usize = 3;

/// How many calls, of either kind, are made between one change and the next.
const CALLS: u64 = 10;

/// Time that stands still.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(at(NOW))
    }
}

/// A workload whose identity is live.
struct Workload {
    id: SpiffeId,
    publisher: IdentityPublisher,
    compiler: TlsCompiler,
}

impl Workload {
    fn new(name: &str) -> Self {
        let (publisher, live) = resolve::channel();
        let domains = TrustDomains::new("cluster.local".parse().unwrap());
        let identity = MeshIdentity::new(live, domains);
        let id = format!("spiffe://cluster.local/ns/shop/sa/{name}");
        Self {
            id: id.parse().unwrap(),
            publisher,
            compiler: TlsCompiler::new(provider(), SecretStore::default())
                .with_identity(identity)
                .with_time_provider(Arc::new(Clock)),
        }
    }

    /// Takes a new SVID of `issuer`, and believes the roots that it tells.
    fn take(&self, issuer: &Issuer) {
        let (issued, key) = issue(issuer, &self.id, NOW);
        let bundle = TrustBundle::new(self.id.trust_domain(), issued.roots.to_vec()).unwrap();
        let key = key.private_key().clone_key();
        self.publisher.publish(Identity {
            svid: X509Svid::new(issued.chain, key, &provider()).unwrap(),
            bundles: TrustBundles::from_iter([bundle]),
        });
    }

    fn acceptor(&self) -> TlsAcceptor {
        let http = NetworkFilter::Http(HttpConnection::new("inbound|8080||"));
        let mut chain = FilterChain::new(http);
        let alpn = vec!["h2".into(), "http/1.1".into()];
        chain.tls = Some(ServerTls::Mesh { alpn });
        TlsAcceptor::new(self.compiler.server(&chain).unwrap().unwrap())
    }

    fn connector(&self, server: &Self) -> TlsConnector {
        let mut cluster = Cluster::new("outbound|80||cart.shop.svc.cluster.local".into());
        cluster.tls = UpstreamTls::Mesh(MeshTls {
            sni: "outbound_.80_._.cart.shop.svc.cluster.local".into(),
            subject_alt_names: vec![server.id.to_string()],
        });
        let upstream = self.compiler.upstream(&cluster).unwrap();
        let endpoint = Endpoint::new(EndpointAddress::Ip("127.0.0.1:80".parse().unwrap()));
        let tls = upstream.towards(&endpoint).unwrap().clone();
        TlsConnector::new(tls, ApplicationProtocol::Http1)
    }
}

/// What was counted so far.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Calls that made a connection, or tried to.
    calls: u64,
    failed: u64,
    /// Calls on the connection that stands.
    standing_calls: u64,
    standing_failed: u64,
}

/// Two workloads, one of which calls the other until this is dropped.
struct Load {
    server: Workload,
    client: Workload,
    tally: watch::Receiver<Tally>,
}

impl Load {
    async fn start(first: &Issuer) -> Self {
        let [server, client] = ["cart", "web"].map(Workload::new);
        server.take(first);
        client.take(first);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, server.acceptor()));
        let (tallies, tally) = watch::channel(Tally::default());
        let connector = client.connector(&server);
        for _ in 0..CALLERS {
            tokio::spawn(call_anew(connector.clone(), address, tallies.clone()));
        }
        let connected = connect(&connector, address).await.unwrap();
        tokio::spawn(call_on(connected, tallies));
        Self {
            server,
            client,
            tally,
        }
    }

    /// Lets both take new SVIDs of `issuer`, one after the other, with calls before, in between and
    /// after.
    async fn take(&mut self, issuer: &Issuer) {
        self.server.take(issuer);
        self.wait().await;
        self.client.take(issuer);
        self.wait().await;
    }

    /// Waits until some calls more have been made.
    async fn wait(&mut self) -> Tally {
        let before = *self.tally.borrow();
        let is_done = |now: &Tally| {
            now.calls >= before.calls + CALLS && now.standing_calls >= before.standing_calls + CALLS
        };
        *self.tally.wait_for(is_done).await.unwrap()
    }
}

/// Answers each word with the same.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let (io, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(mut accepted) = acceptor.accept(io).await else {
                return;
            };
            let mut word = [0; 4];
            while accepted.stream.read_exact(&mut word).await.is_ok() {
                accepted.stream.write_all(&word).await.unwrap();
            }
        });
    }
}

async fn connect(
    connector: &TlsConnector,
    address: SocketAddr,
) -> Result<Connected<TcpStream>, Box<dyn Error + Send + Sync>> {
    let io = TcpStream::connect(address).await?;
    Ok(connector.connect(io, None).await?)
}

async fn ask(connected: &mut Connected<TcpStream>) -> Result<(), Box<dyn Error + Send + Sync>> {
    connected.stream.write_all(b"ping").await?;
    let mut answer = [0; 4];
    connected.stream.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"ping");
    Ok(())
}

/// Calls on a new connection each time.
async fn call_anew(connector: TlsConnector, address: SocketAddr, tallies: watch::Sender<Tally>) {
    loop {
        let called = match connect(&connector, address).await {
            Ok(mut connected) => ask(&mut connected).await,
            Err(error) => Err(error),
        };
        tallies.send_modify(|tally| {
            tally.calls += 1;
            tally.failed += u64::from(called.is_err());
        });
    }
}

/// Calls on one connection.
async fn call_on(mut connected: Connected<TcpStream>, tallies: watch::Sender<Tally>) {
    loop {
        let called = ask(&mut connected).await;
        tallies.send_modify(|tally| {
            tally.standing_calls += 1;
            tally.standing_failed += u64::from(called.is_err());
        });
        // The others have their turn.
        tokio::task::yield_now().await;
    }
}

fn issuer(signer: Arc<Signer>) -> Issuer {
    Issuer::new(signer, IssuancePolicy::default())
}

#[tokio::test]
async fn no_call_fails_while_svids_intermediate_and_root_are_replaced() {
    let above = Above::new();
    let first = issuer(above.intermediate(at(NOW)));
    let mut load = Load::start(&first).await;
    for _ in 0..5 {
        load.take(&first).await;
    }

    let second = issuer(above.intermediate(at(NOW)));
    load.take(&second).await;

    let root = other_root(NOW);
    let both = [second.roots(), root.roots()].concat();
    let announced = second.with_roots(both.clone());
    let followed = issuer(Arc::clone(&root)).with_roots(both);
    let retired = issuer(root);
    for issuer in [announced, followed, retired] {
        load.take(&issuer).await;
    }

    let tally = load.wait().await;
    assert_eq!((tally.failed, tally.standing_failed), (0, 0), "{tally:?}");
}

#[tokio::test]
async fn without_an_overlap_new_connections_fail_while_the_root_is_replaced() {
    let mut load = Load::start(&issuer(first_root())).await;
    assert_eq!(load.wait().await.failed, 0);

    load.take(&issuer(other_root(NOW))).await;
    let tally = load.wait().await;
    assert!(tally.failed > 0, "{tally:?}");
    assert_eq!(tally.standing_failed, 0, "what stands is not touched");
    let later = load.wait().await;
    assert_eq!(later.failed, tally.failed, "both have the new root");
}
