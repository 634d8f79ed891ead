use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

use clap::Parser;
use examples::authority::Authority;
use examples::program::questions;
use mesh_tls::key::SigningKey;
use mesh_tls::pem;
use tempfile::TempDir;

use super::application::Application;
use super::authority::Server;
use super::{Failure, get};
use crate::options::Options;
use crate::{Sidecar, status};

const PRODUCTPAGE: &str = "spiffe://cluster.local/ns/bookstore/sa/productpage";
const REVIEWS: &str = "spiffe://cluster.local/ns/bookstore/sa/reviews";
const TOKEN: &str = "sesame";
/// Where `reviews` is in the mesh, and nowhere else.
const SERVICE: &str = "10.0.0.7:80";

/// The configuration of both, but for the ports of this machine.
const CONFIG: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: bookstore }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-admin, namespace: bookstore }
spec:
  selector: { matchLabels: { app: reviews } }
  action: DENY
  rules: [{ to: [{ operation: { paths: ['/admin*'] } }] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: bookstore }
spec:
  hosts: [reviews]
  http:
    - match: [{ uri: { prefix: /reviews } }]
      rewrite: { uri: /v2/reviews }
      route: [{ destination: { host: reviews } }]
    - route: [{ destination: { host: reviews } }]
";

/// The two sidecars, and what they need. All of it ends with the scene.
pub(super) struct Scene {
    pub(super) productpage: Sidecar,
    pub(super) reviews: Sidecar,
    _application: Application,
    _authority: Server,
    _directory: TempDir,
}

impl Scene {
    pub(super) fn open() -> Result<Self, Failure> {
        let (application, directory) = (Application::start()?, tempfile::tempdir()?);
        let root = directory.path();
        let authority = Authority::new("cluster.local".parse()?).map_err(sent)?;
        let server = Server::start(&authority, TOKEN, PRODUCTPAGE.parse()?).map_err(sent)?;
        write_identity(&authority, &root.join("reviews")).map_err(sent)?;
        let config = root.join("config");
        fs::create_dir(&config)?;
        fs::write(config.join("mesh.yaml"), CONFIG)?;
        fs::write(config.join("reviews.yaml"), service(application.address))?;
        let reviews = Sidecar::start(&reviews(root, application.address))?;

        let callee = captured(&reviews, 0)?;
        fs::write(config.join("endpoints.yaml"), endpoints(callee))?;
        fs::write(root.join("token"), TOKEN)?;
        fs::write(
            root.join("ca.pem"),
            pem::encode_certificates([authority.root()]),
        )?;
        let productpage = Sidecar::start(&productpage(root, server.address))?;
        let scene = Self {
            productpage,
            reviews,
            _application: application,
            _authority: server,
            _directory: directory,
        };
        scene.wait()?;
        Ok(scene)
    }

    /// Waits until both know who they are.
    fn wait(&self) -> Result<(), Failure> {
        let runtime = runtime()?;
        for sidecar in [&self.productpage, &self.reviews] {
            let ready = sidecar.status.ready();
            let waiting = async { tokio::time::timeout(super::PATIENCE, ready).await };
            runtime.block_on(waiting)?;
        }
        Ok(())
    }

    /// What `productpage` gets of `reviews`.
    pub(super) fn call(&self, path: &str) -> Result<String, Failure> {
        // Before its own captures comes the socket that nothing is redirected to.
        Ok(get(captured(&self.productpage, 1)?, path)?)
    }

    /// Where the sidecar of `reviews` takes those that call it.
    pub(super) fn callee(&self) -> SocketAddr {
        captured(&self.reviews, 0).unwrap_or(NOWHERE)
    }

    /// Where the sidecar of `productpage` takes what is redirected.
    pub(super) fn redirected(&self) -> SocketAddr {
        captured(&self.productpage, 0).unwrap_or(NOWHERE)
    }

    /// Whether `reviews` is ready, how its application is, and how one is that nobody knows.
    pub(super) fn ask_status(&self) -> Result<(String, String, String), Failure> {
        let listener = questions::bind(([127, 0, 0, 1], 0).into(), "--status-port")?;
        let address = listener.local_addr()?;
        let status = self.reviews.status.clone();
        let runtime = runtime()?;
        // It ends with the process.
        thread::spawn(move || runtime.block_on(status::serve(vec![listener], &status)));
        Ok((
            get(address, "/healthz/ready")?,
            get(address, "/app-health/reviews/readyz")?,
            get(address, "/app-health/ratings/readyz")?,
        ))
    }
}

/// An address that nobody listens at.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

fn sent(error: Box<dyn Error + Send + Sync>) -> Failure {
    error
}

fn captured(sidecar: &Sidecar, index: usize) -> Result<SocketAddr, Failure> {
    let address = sidecar.proxy.gateway().captured(index);
    address.ok_or_else(|| format!("the capture {index} is not served").into())
}

/// The command line of the sidecar of `reviews`, whose application is at `application`.
fn reviews(root: &Path, application: SocketAddr) -> Options {
    let probe = serde_json::json!({
        "/app-health/reviews/readyz": {
            "httpGet": {"path": "/healthz", "port": application.port()},
        },
    });
    options(
        root,
        [
            "--labels=app=reviews".to_owned(),
            "--service-account=reviews".to_owned(),
            "--addresses=127.0.0.1".to_owned(),
            format!("--capture=inbound:{application}=127.0.0.1:0"),
            format!("--identity={}", root.join("reviews").display()),
            format!("--probes={probe}"),
        ],
    )
}

/// The command line of the sidecar of `productpage`, which gets its identity from `authority`.
fn productpage(root: &Path, authority: SocketAddr) -> Options {
    let file = |name: &str| root.join(name).display().to_string();
    options(
        root,
        [
            "--labels=app=productpage".to_owned(),
            "--service-account=productpage".to_owned(),
            "--outbound=127.0.0.1:0".to_owned(),
            format!("--capture=outbound:{SERVICE}=127.0.0.1:0"),
            format!("--ca=https://localhost:{}", authority.port()),
            format!("--ca-root={}", file("ca.pem")),
            format!("--token={}", file("token")),
        ],
    )
}

fn options(root: &Path, arguments: impl IntoIterator<Item = String>) -> Options {
    let config = root.join("config").display().to_string();
    let common = [
        "sidecar",
        "--namespace=bookstore",
        "--threads=1",
        "--config",
    ];
    let common = common.into_iter().map(str::to_owned).chain([config]);
    Options::parse_from(common.chain(arguments))
}

fn write_identity(
    authority: &Authority,
    directory: &Path,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let identity = authority.identity(REVIEWS, &[])?;
    let key = SigningKey::from_der(identity.svid.private_key().clone_key())?;
    fs::create_dir(directory)?;
    let files = [
        (
            "cert-chain.pem",
            pem::encode_certificates(identity.svid.chain()),
        ),
        ("key.pem", key.to_pem()),
        (
            "root-cert.pem",
            pem::encode_certificates([authority.root()]),
        ),
    ];
    for (name, content) in files {
        fs::write(directory.join(name), content)?;
    }
    Ok(())
}

fn service(application: SocketAddr) -> String {
    let port = application.port();
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{ name: reviews, namespace: bookstore }}
spec:
  clusterIP: 10.0.0.7
  selector: {{ app: reviews }}
  ports: [{{ name: http, port: 80, targetPort: {port} }}]
"
    )
}

/// The pod of `reviews`, as others reach it: by its sidecar.
fn endpoints(callee: SocketAddr) -> String {
    let port = callee.port();
    format!(
        "
apiVersion: v1
kind: Pod
metadata:
  name: reviews-1
  namespace: bookstore
  labels: {{ app: reviews, security.istio.io/tlsMode: istio }}
spec: {{ serviceAccountName: reviews }}
status: {{ podIP: 127.0.0.1 }}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: reviews
  namespace: bookstore
  labels: {{ kubernetes.io/service-name: reviews }}
addressType: IPv4
endpoints: [{{ addresses: [127.0.0.1], targetRef: {{ kind: Pod, name: reviews-1, namespace: bookstore }} }}]
ports: [{{ name: http, port: {port} }}]
"
    )
}
