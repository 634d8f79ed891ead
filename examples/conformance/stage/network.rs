//! The network of a cluster, on loopback: which socket an address of the configuration leads to.
//!
//! An address of a Service leads to one of its endpoints. What is before the applications of a pod,
//! its sidecar or nothing, is started when the first connection comes.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdTcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use mesh_core::config::MeshConfig;
use mesh_core::config::services::Service;
use mesh_core::model::Model;
use mesh_core::model::cluster::{Cluster, Discovery, Endpoint, EndpointAddress};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use super::application::{self, Reach};
use super::echo::Log;
use super::identities::Identities;
use super::pods::{Pod, Pods};
use super::proxy::Proxy;
use super::sidecar;

/// The addresses of a configuration and the sockets that stand for them.
#[derive(Debug)]
pub(crate) struct Network {
    pub(super) config: MeshConfig,
    pub(super) pods: Pods,
    pub(super) identities: Identities,
    pub(super) troubles: Troubles,
    log: Log,
    handle: Handle,
    // A socket that nothing listens at.
    closed: (Socket, SocketAddr),
    sockets: Mutex<Sockets>,
    sidecars: Mutex<BTreeMap<SocketAddr, Result<Proxy, String>>>,
}

/// What went wrong on the way of calls, which those who call are not told of. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Troubles(Arc<Mutex<Vec<String>>>);

impl Troubles {
    pub(super) fn add(&self, trouble: String) {
        let mut troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.push(trouble);
    }

    /// Takes what is known so far.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What has been started.
#[derive(Debug, Default)]
struct Sockets {
    /// By the pod's address, and how it is come by.
    applications: BTreeMap<(SocketAddr, bool), SocketAddr>,
    /// Before the ports of pods with sidecars.
    doors: BTreeMap<SocketAddr, SocketAddr>,
}

impl Network {
    /// The network of `pods`, which run where `handle` says and write to `log`.
    pub(super) fn new(
        config: MeshConfig,
        pods: Pods,
        log: Log,
        handle: Handle,
    ) -> Result<Self, String> {
        let closed = closed().map_err(|error| error.to_string())?;
        Ok(Self {
            config,
            pods,
            identities: Identities::new()?,
            troubles: Troubles::default(),
            log,
            handle,
            closed,
            sockets: Mutex::default(),
            sidecars: Mutex::default(),
        })
    }

    /// The socket that connections to `address` get, or one that refuses them.
    pub(super) fn socket(self: &Arc<Self>, address: SocketAddr) -> SocketAddr {
        let address = self.endpoint(address).unwrap_or(address);
        let socket = match self.pods.at(address.ip()) {
            Some(pod) if pod.sidecar => self.door(address).ok(),
            Some(pod) => self.application(pod, address, Reach::Pod),
            None => None,
        };
        socket.unwrap_or(self.closed.1)
    }

    /// The socket of an application as its own sidecar finds it.
    fn own(&self, pod: IpAddr, address: SocketAddr) -> SocketAddr {
        let reach = match address.ip().is_loopback() {
            true => Reach::Loopback,
            false => Reach::Pod,
        };
        let found = self.pods.at(pod);
        let address = SocketAddr::new(pod, address.port());
        let socket = found.and_then(|found| self.application(found, address, reach));
        socket.unwrap_or(self.closed.1)
    }

    /// The endpoint that an address of a Service leads to.
    fn endpoint(&self, address: SocketAddr) -> Option<SocketAddr> {
        let is_of = |network: &IpNet| network.contains(&address.ip());
        let mut services = self.config.services().iter();
        let service = services.find(|service| service.addresses.iter().any(is_of))?;
        endpoint(service, address.port())
    }

    /// The address that a name stands for at `port`: an endpoint, if it is a service.
    pub(super) fn resolve(&self, host: &str, port: u16) -> Option<SocketAddr> {
        let mut declared = self.config.services().declared(host);
        declared.find_map(|service| {
            let name = service.alias_of.as_deref().unwrap_or(&service.hostname);
            let mut meant = self.config.services().declared(name);
            meant.find_map(|service| endpoint(service, port))
        })
    }

    /// Puts sockets in the place of the addresses of the clusters that a workload calls, which is
    /// on its way to `destination`, if that is known.
    pub(super) fn connect(self: &Arc<Self>, model: &mut Model, destination: Option<SocketAddr>) {
        self.connect_by(model, destination, |address| self.socket(address));
    }

    /// The same of the clusters that are the applications of a pod itself.
    pub(super) fn connect_own(self: &Arc<Self>, model: &mut Model, destination: SocketAddr) {
        let pod = destination.ip();
        self.connect_by(model, Some(destination), |address| self.own(pod, address));
    }

    fn connect_by(
        &self,
        model: &mut Model,
        destination: Option<SocketAddr>,
        socket: impl Fn(SocketAddr) -> SocketAddr,
    ) {
        for cluster in model.clusters.values_mut() {
            let cluster = Arc::make_mut(cluster);
            follow(cluster, destination);
            for endpoint in &mut cluster.endpoints {
                let address = match &endpoint.address {
                    EndpointAddress::Ip(address) => Some(*address),
                    EndpointAddress::Dns { host, port } => self.resolve(host, *port),
                    EndpointAddress::Unix(_) => None,
                };
                let socket = address.map_or(self.closed.1, &socket);
                endpoint.address = EndpointAddress::Ip(socket);
            }
            if matches!(
                cluster.discovery,
                Discovery::LogicalDns | Discovery::StrictDns
            ) {
                cluster.discovery = Discovery::Static;
            }
        }
    }

    fn application(&self, pod: &Pod, address: SocketAddr, reach: Reach) -> Option<SocketAddr> {
        let application = pod.application(address.port(), reach)?;
        let mut sockets = self.sockets();
        let key = (address, reach == Reach::Loopback);
        if let Some(socket) = sockets.applications.get(&key) {
            return Some(*socket);
        }
        let (service, log) = (pod.service.clone(), self.log.clone());
        let started = application::start(&self.handle, application.clone(), service, log);
        let socket = started.ok()?;
        sockets.applications.insert(key, socket);
        Some(socket)
    }

    /// A socket whose connections are handed to the sidecar that stands before `address`.
    fn door(self: &Arc<Self>, address: SocketAddr) -> io::Result<SocketAddr> {
        let mut sockets = self.sockets();
        if let Some(door) = sockets.doors.get(&address) {
            return Ok(*door);
        }
        let (listener, door) = application::bind()?;
        let network = Arc::clone(self);
        self.handle.spawn(network.admit(listener, address));
        sockets.doors.insert(address, door);
        Ok(door)
    }

    async fn admit(self: Arc<Self>, listener: StdTcpListener, address: SocketAddr) {
        let Ok(listener) = TcpListener::from_std(listener) else {
            return;
        };
        while let Ok((stream, _)) = listener.accept().await {
            let network = Arc::clone(&self);
            tokio::spawn(async move {
                let starting = tokio::task::spawn_blocking(move || network.sidecar(address));
                if let Ok(Ok(sidecar)) = starting.await {
                    forward(stream, sidecar).await;
                }
            });
        }
    }

    /// Where the sidecar that stands before `address` listens for it. The error is why it does not.
    fn sidecar(self: &Arc<Self>, address: SocketAddr) -> Result<SocketAddr, String> {
        let mut sidecars = self.sidecars.lock().unwrap_or_else(PoisonError::into_inner);
        let started = sidecars.entry(address).or_insert_with(|| {
            let started = sidecar::inbound(self, address);
            if let Err(why) = &started {
                self.troubles
                    .add(format!("no sidecar stands before {address}: {why}"));
            }
            started
        });
        started.as_ref().map_err(String::clone)?.captured()
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a cluster that goes where its client wanted to go the address of that.
fn follow(cluster: &mut Cluster, destination: Option<SocketAddr>) {
    if let (Discovery::OriginalDestination, Some(destination)) = (cluster.discovery, destination) {
        let port = cluster.port_override;
        let port = port.unwrap_or_else(|| destination.port());
        let address = EndpointAddress::Ip(SocketAddr::new(destination.ip(), port));
        let mut endpoint = Endpoint::new(address);
        endpoint.mesh_tls = true;
        cluster.endpoints = vec![endpoint];
        cluster.discovery = Discovery::Static;
    }
}

/// The first endpoint of a service's port.
fn endpoint(service: &Service, port: u16) -> Option<SocketAddr> {
    let endpoints = service.endpoints(service.port(port)?);
    endpoints
        .iter()
        .find_map(|endpoint| match endpoint.address {
            EndpointAddress::Ip(address) => Some(address),
            EndpointAddress::Dns { .. } | EndpointAddress::Unix(_) => None,
        })
}

/// Copies bytes until both sides have ended, or one has failed.
async fn forward(mut stream: TcpStream, to: SocketAddr) {
    if let Ok(mut onward) = TcpStream::connect(to).await {
        _ = tokio::io::copy_bidirectional(&mut stream, &mut onward).await;
    }
}

/// A socket that keeps its port, and refuses connections.
fn closed() -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    let address = socket.local_addr()?;
    let address = address.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    Ok((socket, address))
}
