//! A configuration, its services, and the proxies before them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::config::MeshConfig;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use mesh_discovery::dns_proxy::NameTable;
use tokio::runtime::Runtime;

use super::client::{self, Call, Reply};
use super::dns::{self, Over};
use super::echo::{Log, Seen};
use super::lines::{self, Conversation};
use super::network::Network;
use super::pods::Pods;
use super::proxy::Proxy;
use super::sidecar;
use super::tls::Tls;
use crate::case::Outcome;

/// How often, and how long in between, a request is looked for.
const LOOKS: usize = 100;
const PAUSE: Duration = Duration::from_millis(10);
/// How long no request has arrived before all are taken to have arrived.
const SETTLED: Duration = Duration::from_millis(50);

/// A configuration, its services, and the proxies before them. All stop when it is dropped.
#[derive(Debug)]
pub(crate) struct Scene {
    network: Arc<Network>,
    log: Log,
    seen: RefCell<Vec<Seen>>,
    proxies: RefCell<BTreeMap<String, Rc<Proxy>>>,
    runtime: Runtime,
}

impl Scene {
    /// `pods` run on `runtime`. The error is why there is no scene.
    pub(crate) fn new(runtime: Runtime, config: MeshConfig, pods: Pods) -> Result<Self, String> {
        let (log, handle) = (Log::default(), runtime.handle().clone());
        Ok(Self {
            network: Arc::new(Network::new(config, pods, log.clone(), handle)?),
            log,
            seen: RefCell::default(),
            proxies: RefCell::default(),
            runtime,
        })
    }

    /// The configuration.
    pub(crate) fn config(&self) -> &MeshConfig {
        &self.network.config
    }

    /// The pods.
    pub(crate) fn pods(&self) -> &Pods {
        &self.network.pods
    }

    /// Where a gateway listens for what is sent to `port`. It is started if it does not run yet.
    pub(crate) fn gateway(&self, workload: &Workload, port: u16) -> Result<SocketAddr, String> {
        let labels: Vec<_> = workload.labels.iter().collect();
        let key = format!("gateway {}{labels:?}", workload.namespace);
        self.started(key, || {
            let mut model = resolve(&self.network.config, workload);
            self.network.connect(&mut model, None);
            Proxy::gateway(&self.network, &model)
        })?
        .port(port)
    }

    /// Where the sidecar of `workload` listens for connections that the workload makes to
    /// `destination`.
    pub(crate) fn sidecar(
        &self,
        workload: &Workload,
        destination: SocketAddr,
    ) -> Result<SocketAddr, String> {
        let key = format!("sidecar {:?}>{destination}", workload.addresses);
        self.started(key, || {
            sidecar::outbound(&self.network, workload, destination)
        })?
        .captured()
    }

    /// Where those arrive who call `destination` without a sidecar.
    pub(crate) fn socket(&self, destination: SocketAddr) -> SocketAddr {
        self.network.socket(destination)
    }

    /// The address that a name stands for at `port`.
    pub(crate) fn resolve(&self, host: &str, port: u16) -> Option<SocketAddr> {
        self.network.resolve(host, port)
    }

    /// The proxy of that key, which is started if it does not run yet.
    fn started(
        &self,
        key: String,
        start: impl FnOnce() -> Result<Proxy, String>,
    ) -> Result<Rc<Proxy>, String> {
        if let Some(proxy) = self.proxies.borrow().get(&key) {
            return Ok(Rc::clone(proxy));
        }
        let proxy = Rc::new(start()?);
        self.proxies.borrow_mut().insert(key, Rc::clone(&proxy));
        Ok(proxy)
    }

    /// Sends a call.
    pub(crate) fn send(&self, address: SocketAddr, call: &Call) -> Result<Reply, String> {
        self.runtime.block_on(client::send(address, call))
    }

    /// Has a conversation.
    pub(crate) fn converse(
        &self,
        address: SocketAddr,
        conversation: &Conversation,
    ) -> Result<Vec<String>, String> {
        self.runtime
            .block_on(lines::converse(address, conversation))
    }

    /// The addresses that `workload` finds for a name. The error is why it finds none.
    pub(crate) fn look_up(
        &self,
        workload: &Workload,
        host: &str,
        over: Over,
    ) -> Result<BTreeSet<IpAddr>, String> {
        let table = NameTable::builder(workload).build(&self.network.config);
        self.runtime.block_on(dns::look_up(table, host, over))
    }

    /// Makes a connection of TLS.
    pub(crate) fn handshake(&self, address: SocketAddr, tls: &Tls) -> Result<(), String> {
        self.runtime.block_on(client::handshake(address, tls))
    }

    /// A failure, with what is known of it besides.
    pub(crate) fn explained(&self, outcome: Outcome) -> Outcome {
        let troubles = self.network.troubles.take();
        match (outcome, troubles.as_slice()) {
            (Outcome::Failed(why), [_, ..]) => {
                Outcome::Failed(format!("{why} ({})", troubles.join("; ")))
            }
            (outcome, _) => outcome,
        }
    }

    /// How many such requests services have got once none has arrived for a while.
    pub(crate) fn count(&self, got: impl Fn(&Seen) -> bool) -> usize {
        let mut before = usize::MAX;
        loop {
            self.seen.borrow_mut().extend(self.log.take());
            let now = self.seen.borrow().iter().filter(|seen| got(seen)).count();
            if now == before {
                return now;
            }
            before = now;
            self.runtime
                .block_on(async { tokio::time::sleep(SETTLED).await });
        }
    }

    /// Whether a service has got such a request, or gets it soon.
    pub(crate) fn sees(&self, got: impl Fn(&Seen) -> bool) -> bool {
        for _ in 0..LOOKS {
            self.seen.borrow_mut().extend(self.log.take());
            if self.seen.borrow().iter().any(&got) {
                return true;
            }
            self.runtime
                .block_on(async { tokio::time::sleep(PAUSE).await });
        }
        false
    }
}

/// A runtime for services.
pub(crate) fn runtime() -> Result<Runtime, String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
}
