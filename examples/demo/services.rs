use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use examples::body::Body;
use examples::gateway::{Mesh, MeshClient};
use examples::serve::{Connection, Limits, Refused, Workers};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use mesh_tls::connection::TlsPeer;
use tower::service_fn;

use crate::members::{Callers, Failure, Members, account};

/// The services, by the id of their listener: name, version.
const SERVICES: [(&str, &str); 9] = [
    ("productpage", "v1"),
    ("details", "v1"),
    ("details", "broken"),
    ("reviews", "v1"),
    ("reviews", "v2"),
    ("reviews", "v3"),
    ("ratings", "v1"),
    ("stock", "west"),
    ("stock", "east"),
];

/// Where a replica is, as Istio's label of pods says it.
fn locality(version: &str) -> &'static str {
    match version {
        "east" => "us-east.a",
        _ => "us-west.a",
    }
}

/// How long a clerk takes to look at the shelves.
const LOOKING: Duration = Duration::from_millis(300);

/// How often some of the services were asked.
#[derive(Debug, Default)]
struct Asked {
    ratings: AtomicUsize,
    broken: AtomicUsize,
}

impl Asked {
    fn count(&self, service: &str, version: &str) {
        let is_ratings = usize::from(service == "ratings");
        self.ratings.fetch_add(is_ratings, Ordering::Relaxed);
        let is_broken = usize::from(version == "broken");
        self.broken.fetch_add(is_broken, Ordering::Relaxed);
    }
}

/// The services of the bookstore, each on a port of the system's choice.
#[derive(Debug)]
pub(crate) struct Bookstore {
    members: Members,
    addresses: Vec<SocketAddr>,
    asked: Arc<Asked>,
    refused: mpsc::Receiver<Refused>,
    _workers: Workers,
}

impl Bookstore {
    /// Starts the services. They take nobody before they are told whom.
    pub(crate) fn open() -> Result<Self, Failure> {
        let members = Members::new(SERVICES.map(|(service, _)| service))?;
        let meshes: BTreeMap<&str, Mesh> = members
            .meshes()
            .map(|(service, mesh)| (service, mesh.clone()))
            .collect();
        let (tell, refused) = mpsc::channel();
        let callers = Callers::new(SERVICES.map(|(name, _)| meshes[name].clone()).into(), tell)?;
        let asked = Arc::new(Asked::default());
        let counts = Arc::clone(&asked);
        let workers = Workers::start_with(1, Limits::default(), move || {
            let meshes = meshes.iter();
            let clients: BTreeMap<&str, MeshClient> =
                meshes.map(|(name, mesh)| (*name, mesh.client())).collect();
            let counts = Arc::clone(&counts);
            let make = move |connection: &Connection| {
                let (service, version) = service_of(connection);
                let (mesh, counts) = (clients.get(service).cloned(), Arc::clone(&counts));
                let peer = connection.tls.clone();
                service_fn(move |request: Request<Incoming>| {
                    counts.count(service, version);
                    let caller = Caller::of(&request, mesh.clone(), peer.as_ref());
                    caller.answer(service, version)
                })
            };
            (callers.clone(), make)
        })?;
        let listen = |id| workers.listen(id, ([127, 0, 0, 1], 0).into());
        let ids = 0..SERVICES.len() as u64;
        let addresses = ids.map(listen).collect::<io::Result<_>>()?;
        Ok(Self {
            members,
            addresses,
            asked,
            refused,
            _workers: workers,
        })
    }

    /// The services as members of the mesh.
    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    /// Where the first replica of a service listens.
    pub(crate) fn address(&self, service: &str) -> Option<SocketAddr> {
        let index = SERVICES.iter().position(|(name, _)| *name == service);
        self.addresses.get(index?).copied()
    }

    /// Why the next caller was refused, if that is so within some seconds.
    pub(crate) fn refused(&self) -> Option<Refused> {
        self.refused.recv_timeout(Duration::from_secs(5)).ok()
    }

    /// Forgets who was refused.
    pub(crate) fn forget_refused(&self) -> usize {
        self.refused.try_iter().count()
    }

    /// How often `ratings` was asked.
    pub(crate) fn ratings_asked(&self) -> usize {
        self.asked.ratings.load(Ordering::Relaxed)
    }

    /// How often the replica of `details` was asked that fails.
    pub(crate) fn broken_asked(&self) -> usize {
        self.asked.broken.load(Ordering::Relaxed)
    }

    /// The endpoints of the services, as Kubernetes would list them.
    pub(crate) fn endpoints(&self) -> String {
        let documents = SERVICES.iter().zip(&self.addresses);
        let documents = documents.map(|((service, version), address)| {
            let (port, account) = (address.port(), account(service));
            let locality = locality(version);
            format!(
                "apiVersion: v1
kind: Pod
metadata:
  name: {service}-{version}
  namespace: bookstore
  labels: {{ app: {service}, version: {version}, security.istio.io/tlsMode: istio, istio-locality: {locality} }}
spec: {{ serviceAccountName: {account} }}
status: {{ podIP: 127.0.0.1 }}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{ name: {service}-{version}, namespace: bookstore, labels: {{ kubernetes.io/service-name: {service} }} }}
addressType: IPv4
endpoints: [{{ addresses: [127.0.0.1], targetRef: {{ kind: Pod, name: {service}-{version}, namespace: bookstore }} }}]
ports: [{{ name: http, port: {port} }}]
"
            )
        });
        documents.collect::<Vec<_>>().join("---\n")
    }
}

/// A service that answers for a user, and calls others in that user's name.
struct Caller {
    mesh: Option<MeshClient>,
    user: Option<HeaderValue>,
    /// Where it burns, if it does.
    fire: Option<HeaderValue>,
    waits: bool,
    /// Who asks, as proven by mutual TLS.
    identity: Option<String>,
}

/// Name and version of the service that accepted a connection.
fn service_of(connection: &Connection) -> (&'static str, &'static str) {
    let index = usize::try_from(connection.listener).unwrap_or_default();
    SERVICES.get(index).copied().unwrap_or(("", ""))
}

impl Caller {
    fn of(request: &Request<Incoming>, mesh: Option<MeshClient>, peer: Option<&TlsPeer>) -> Self {
        let identity = peer.and_then(|peer| peer.identity.as_ref());
        Self {
            mesh,
            user: request.headers().get("end-user").cloned(),
            fire: request.headers().get("x-fire").cloned(),
            waits: request.uri().path() == "/stock/queue",
            identity: identity.map(|identity| identity.0.to_string()),
        }
    }

    async fn answer(self, service: &str, version: &str) -> Result<Response<Body>, Infallible> {
        let text = match (service, version) {
            ("productpage", _) => {
                let details = self.call("details", "/details").await;
                let reviews = self.call("reviews", "/reviews/0").await;
                format!("The Comedy of Errors\n{details}{reviews}")
            }
            (_, "broken") => {
                let mut response = Response::new(Body::from("out of order\n"));
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                return Ok(response);
            }
            ("stock", version) if self.burns(version) => {
                let mut response = Response::new(Body::from("fire!\n"));
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                return Ok(response);
            }
            ("stock", version) => {
                if self.waits {
                    tokio::time::sleep(LOOKING).await;
                }
                format!("stock {version}: seven copies\n")
            }
            ("details", _) => "details: 200 pages, paperback\n".to_owned(),
            ("reviews", "v1") => "reviews v1: an extremely entertaining play\n".to_owned(),
            ("reviews", version) => {
                let stars = self.call("ratings", "/ratings/0").await;
                format!("reviews {version}: an extremely entertaining play, {stars}")
            }
            ("ratings", _) => {
                let who = self.identity.as_deref().unwrap_or("nobody");
                format!("ratings: 5 stars, for {who}\n")
            }
            (other, _) => format!("nobody knows `{other}`\n"),
        };
        Ok(Response::new(Body::from(Bytes::from(text))))
    }

    /// Whether a replica is on fire, as whoever asks says.
    fn burns(&self, version: &str) -> bool {
        self.fire.as_ref().is_some_and(|place| place == version)
    }

    /// Asks another service, through the mesh.
    async fn call(&self, service: &str, path: &str) -> String {
        let mut request = Request::get(format!("http://{service}:9080{path}"));
        if let Some(user) = &self.user {
            request = request.header("end-user", user);
        }
        let (Ok(request), Some(mesh)) = (request.body(Body::default()), &self.mesh) else {
            return format!("{service}: cannot be asked\n");
        };
        let response = mesh.call(request).await;
        match response.status() {
            StatusCode::OK => match response.into_body().collect().await {
                Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
                Err(_) => format!("{service}: broke off\n"),
            },
            status => format!("{service}: unavailable ({})\n", status.as_u16()),
        }
    }
}
