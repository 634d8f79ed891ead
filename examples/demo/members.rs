//! Who the services are in the mesh, and how their callers are told apart.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::{Future, ready};
use std::sync::{Arc, mpsc};

use examples::authority::Authority;
use examples::gateway::{Mesh, PublishError};
use examples::serve::{Admission, Admitted, Connection, FilterChains, Inspected, Refused};
use mesh_core::config::MeshConfig;
use mesh_core::model::listener::{FilterChain, Listener};
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use mesh_tls::resolve::{self, LiveIdentity};
use tokio::net::TcpStream;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The port that all services are called at.
pub(crate) const PORT: u16 = 9080;

/// The identity of a service account.
pub(crate) fn id(namespace: &str, account: &str) -> String {
    format!("spiffe://cluster.local/ns/{namespace}/sa/{account}")
}

/// The service account of a service.
pub(crate) fn account(service: &str) -> String {
    format!("bookstore-{service}")
}

/// The services as members of a mesh, each with an identity by the mesh's own authority.
#[derive(Clone, Debug)]
pub(crate) struct Members {
    authority: Arc<Authority>,
    meshes: Arc<BTreeMap<&'static str, Mesh>>,
}

impl Members {
    /// Gives each service an identity.
    pub(crate) fn new(services: impl IntoIterator<Item = &'static str>) -> Result<Self, Failure> {
        let authority = Authority::new("cluster.local".parse()?)?;
        let mut meshes = BTreeMap::new();
        for service in services {
            let live = live(&authority, &id("bookstore", &account(service)))?;
            meshes.insert(service, Mesh::new(live));
        }
        Ok(Self {
            authority: Arc::new(authority),
            meshes: Arc::new(meshes),
        })
    }

    /// Who signs the identities.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Another identity of the mesh.
    pub(crate) fn identity(&self, id: &str) -> Result<LiveIdentity, Failure> {
        live(&self.authority, id)
    }

    /// The services, and what each does in place of a sidecar.
    pub(crate) fn meshes(&self) -> impl Iterator<Item = (&'static str, &Mesh)> {
        self.meshes.iter().map(|(service, mesh)| (*service, mesh))
    }

    /// Lets the services call and be called as `config` says, and returns what of it is not followed.
    pub(crate) fn publish(&self, config: &MeshConfig) -> Result<Vec<String>, PublishError> {
        let mut warnings = Vec::new();
        for (service, mesh) in self.meshes() {
            let mut workload = Workload::sidecar("bookstore").with_label("app", service);
            workload.service_account = account(service);
            warnings.extend(mesh.publish(&resolve(config, &workload), PORT)?);
        }
        Ok(warnings)
    }
}

fn live(authority: &Authority, id: &str) -> Result<LiveIdentity, Failure> {
    let (publisher, live) = resolve::channel();
    publisher.publish(authority.identity(id, &[])?);
    Ok(live)
}

/// Tells the callers of services apart: by the filter chains of the service whose listener they
/// called.
#[derive(Clone)]
pub(crate) struct Callers {
    /// By the id of the listener.
    meshes: Vec<Mesh>,
    /// Takes nobody.
    closed: Arc<FilterChains>,
    refused: mpsc::Sender<Refused>,
}

impl Callers {
    /// The services of the listeners 0, 1 and so on; `refused` is told of callers that are refused.
    pub(crate) fn new(meshes: Vec<Mesh>, refused: mpsc::Sender<Refused>) -> Result<Self, Failure> {
        let closed = FilterChains::compile(&Listener::new("closed", PORT, []), [])?;
        Ok(Self {
            meshes,
            closed: Arc::new(closed),
            refused,
        })
    }
}

impl Admission for Callers {
    /// A service listens on a port of the system's choice, which stands for the one that is declared.
    fn admit(&self, connection: &Connection, _: &TcpStream) -> Result<Admitted, Refused> {
        let index = usize::try_from(connection.listener).ok();
        let mesh = index.and_then(|index| self.meshes.get(index));
        let chains = mesh.and_then(Mesh::callers);
        Ok(Admitted {
            listener: connection.listener,
            destination: (connection.local.ip(), PORT).into(),
            proxy_protocol: false,
            chains: Some(chains.unwrap_or_else(|| Arc::clone(&self.closed))),
        })
    }

    /// The services speak HTTP only.
    fn forward(
        &self,
        _: Connection,
        _: Arc<FilterChain>,
        _: Inspected,
    ) -> impl Future<Output = ()> + 'static {
        ready(())
    }

    fn refused(&self, _: &Connection, why: &Refused) {
        // Whoever wants to know may be gone.
        let _ = self.refused.send(why.clone());
    }
}
