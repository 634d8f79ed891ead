//! A configuration, its services, and the proxies before them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use mesh_core::config::MeshConfig;
use mesh_core::model::Model;
use mesh_core::model::listener::Listener;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use tokio::runtime::Runtime;

use super::client::{self, Call, Reply};
use super::echo::{self, Log, Seen};
use super::pods::Pods;
use super::proxy::Proxy;

/// How often, and how long in between, a request is looked for.
const LOOKS: usize = 100;
const PAUSE: Duration = Duration::from_millis(10);
/// How long no request has arrived before all are taken to have arrived.
const SETTLED: Duration = Duration::from_millis(50);

/// A configuration, its services, and the proxies before them. All stop when it is dropped.
#[derive(Debug)]
pub(crate) struct Scene {
    config: MeshConfig,
    pods: Pods,
    log: Log,
    seen: RefCell<Vec<Seen>>,
    proxies: RefCell<BTreeMap<String, Proxy>>,
    runtime: Runtime,
}

impl Scene {
    /// `pods` run on `runtime` and write to `log`.
    pub(crate) fn new(runtime: Runtime, config: MeshConfig, pods: Pods, log: Log) -> Self {
        Self {
            config,
            pods,
            log,
            seen: RefCell::default(),
            proxies: RefCell::default(),
            runtime,
        }
    }

    /// The configuration.
    pub(crate) fn config(&self) -> &MeshConfig {
        &self.config
    }

    /// The address of the proxy of `workload` that takes connections to `destination`. It is
    /// started if it is not there yet; `choose` says which listener it is.
    pub(crate) fn proxy(
        &self,
        workload: &Workload,
        destination: SocketAddr,
        choose: impl for<'m> FnOnce(&'m Model) -> Option<&'m Listener>,
    ) -> Result<SocketAddr, String> {
        let labels: Vec<_> = workload.labels.iter().collect();
        let key = format!("{}{labels:?}>{destination}", workload.namespace);
        if let Some(proxy) = self.proxies.borrow().get(&key) {
            return Ok(proxy.address());
        }
        let mut model = resolve(&self.config, workload);
        self.pods.connect(&mut model);
        let listener = choose(&model).ok_or_else(|| format!("nothing listens at {destination}"))?;
        let needs_tls = self.runtime.block_on(echo::start_in_need_of_tls());
        let needs_tls = needs_tls.map_err(|error| error.to_string())?;
        let proxy = Proxy::start(&model, listener, destination, needs_tls)?;
        let address = proxy.address();
        self.proxies.borrow_mut().insert(key, proxy);
        Ok(address)
    }

    /// Sends a call.
    pub(crate) fn send(&self, address: SocketAddr, call: &Call) -> Result<Reply, String> {
        self.runtime.block_on(client::send(address, call))
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
