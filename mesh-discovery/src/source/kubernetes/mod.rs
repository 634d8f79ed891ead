//! Resources from the API server of a Kubernetes cluster.
//!
//! A [`Kubernetes`] source lists and watches every kind that is read, and reports what it finds once
//! it has the whole of all kinds. From then on it reports each change as it arrives:
//!
//! - A watch that ends is taken up where it ended; one that the server no longer has the past of
//!   (`410 Gone`) is begun again by a list, whose difference to what was known is reported. Bookmarks
//!   keep the past short. After errors the source waits, longer and longer, and is stale meanwhile.
//! - A kind that the server does not have is asked for from time to time; nothing is missed without
//!   it.
//! - A kind that the source may not read is reported as a problem and lived without, and is asked for
//!   from time to time. That is not so for AuthorizationPolicies, PeerAuthentications and
//!   RequestAuthentications: as long as they are refused, nobody knows what is forbidden, and the
//!   source is not known, unless it is told to do [without](Kubernetes::without) them.
//! - An object that cannot be read is reported as a problem, and the last version of it that could be
//!   stays. Of an AuthorizationPolicy or PeerAuthentication the strictest one possible takes its place
//!   at once, because a DENY that is not understood must not let anything through. So it does of a
//!   RequestAuthentication (no token is accepted), of a DestinationRule with `tls` (mutual TLS) and of a
//!   BackendTLSPolicy (no certificate is accepted) that never could be read.
//! - A server that does not know who asks (`401`) is asked again, as after any other error; by the token
//!   that the file of a [`ServiceAccount`] has by then.
//!
//! Objects are kept without `managedFields` and without what `kubectl apply` adds to them.
//!
//! rustls needs to know which cryptography to use: a program that connects by [`connect`] installs a
//! provider first (`CryptoProvider::install_default`).
//!
//! # Example
//!
//! ```no_run
//! use mesh_core::config::MeshConfig;
//! use mesh_discovery::registry::{Change, Driver, Registry};
//! use mesh_discovery::source::kubernetes::{Cluster, Kubernetes, connect};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = connect(&Cluster::Inferred).await?;
//! let registry = Registry::new(MeshConfig::builder()).with_settings_from_config_map();
//! let mut driver = Driver::new(registry);
//! driver.add_cluster("kubernetes", Kubernetes::new(client));
//! while let Some(change) = driver.next().await {
//!     if let Change::Config(config) = change {
//!         assert!(config.version() > 0);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod closed;
mod connect;
mod discovery;
mod received;
mod service_account;
mod sync;
mod watch;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use kube::Client;
use mesh_core::resource::kind::Kind;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::AbortHandle;

use self::sync::{KindEvent, Sync};
use self::watch::Watcher;
use crate::source::{Source, Update};

pub use self::connect::{Cluster, ConnectError, connect};
pub use self::service_account::{ServiceAccount, ServiceAccountError};

/// How many events wait to be taken in before the source stops reading.
const MAX_WAITING: usize = 256;

/// A source of the resources of a Kubernetes cluster.
///
/// Needs a tokio runtime with a timer and IO. See the [module docs](self) for an example.
pub struct Kubernetes {
    options: Options,
    running: Option<Running>,
    updates: VecDeque<Update>,
}

#[derive(Clone)]
struct Options {
    client: Client,
    kinds: BTreeSet<Kind>,
    pauses: Pauses,
    page_size: u32,
}

/// How long is waited before the server is asked again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pauses {
    /// The most after a first error; half of it at least. Doubles with each further error. Default:
    /// 1 s.
    pub base: Duration,
    /// The most after any error. Default: 30 s.
    pub max: Duration,
    /// Time after which a kind that was not there, or refused, is asked for again. Default: 30 s.
    pub recheck: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            max: Duration::from_secs(30),
            recheck: Duration::from_secs(30),
        }
    }
}

struct Running {
    sync: Sync,
    events: Receiver<(Kind, KindEvent)>,
    // Stopped when the source is dropped.
    tasks: Vec<AbortHandle>,
}

impl Kubernetes {
    /// Reads all resources that `client` may read: Services, EndpointSlices, Pods, Nodes, Namespaces,
    /// Secrets, ConfigMaps, Ingresses, all kinds of Istio and, with the feature `gateway-api`, those of
    /// the Gateway API.
    pub fn new(client: Client) -> Self {
        let kinds = Kind::ALL.iter().copied().filter(|kind| is_read(*kind));
        Self {
            options: Options {
                client,
                kinds: kinds.collect(),
                pauses: Pauses::default(),
                page_size: 500,
            },
            running: None,
            updates: VecDeque::new(),
        }
    }

    /// Reads these kinds alone.
    #[must_use]
    pub fn with_kinds(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.options.kinds = kinds.into_iter().collect();
        self
    }

    /// Does not read `kind`, and so lives without it. AuthorizationPolicies, PeerAuthentications and
    /// RequestAuthentications have to be readable unless they are named here.
    #[must_use]
    pub fn without(mut self, kind: Kind) -> Self {
        self.options.kinds.remove(&kind);
        self
    }

    /// How long is waited before the server is asked again.
    #[must_use]
    pub fn with_pauses(mut self, pauses: Pauses) -> Self {
        self.options.pauses = pauses;
        self
    }

    /// How many objects are listed at a time. Default 500.
    #[must_use]
    pub fn with_page_size(mut self, page_size: u32) -> Self {
        self.options.page_size = page_size;
        self
    }
}

impl Options {
    /// Starts to watch all kinds.
    fn start(&self) -> Running {
        let (sender, events) = channel(MAX_WAITING);
        let tasks = self.kinds.iter().map(|kind| {
            let watcher = Watcher {
                client: self.client.clone(),
                kind: *kind,
                pauses: self.pauses,
                page_size: self.page_size,
                events: sender.clone(),
            };
            tokio::spawn(watcher.run()).abort_handle()
        });
        Running {
            sync: Sync::new(self.kinds.iter().copied()),
            events,
            tasks: tasks.collect(),
        }
    }
}

impl Source for Kubernetes {
    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        let running = self.running.get_or_insert_with(|| self.options.start());
        loop {
            if let Some(update) = self.updates.pop_front() {
                return Poll::Ready(Some(update));
            }
            let Some((kind, event)) = ready!(running.events.poll_recv(cx)) else {
                return Poll::Ready(None);
            };
            self.updates.extend(running.sync.handle_event(kind, event));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubernetes")
            .field("kinds", &self.options.kinds)
            .field("is_running", &self.running.is_some())
            .finish_non_exhaustive()
    }
}

/// Whether the kind is read unless something else is asked for.
fn is_read(kind: Kind) -> bool {
    let is_gateway_api = cfg!(feature = "gateway-api") && kind.is_gateway_api();
    is_gateway_api
        || kind.is_istio()
        || matches!(
            kind,
            Kind::ConfigMap
                | Kind::EndpointSlice
                | Kind::Ingress
                | Kind::IngressClass
                | Kind::Namespace
                | Kind::Node
                | Kind::Pod
                | Kind::Secret
                | Kind::Service
        )
}

/// Whether objects of the kind restrict traffic, so that nothing may be let through while they
/// cannot be read.
fn is_required(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::AuthorizationPolicy | Kind::PeerAuthentication | Kind::RequestAuthentication
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_endpoints_and_their_places_are_made_of_is_read() {
        for kind in [
            Kind::EndpointSlice,
            Kind::Namespace,
            Kind::Node,
            Kind::Pod,
            Kind::Service,
        ] {
            assert!(is_read(kind), "{kind:?}");
        }
        assert!(
            Kind::ALL
                .iter()
                .all(|kind| !is_required(*kind) || is_read(*kind))
        );
    }
}
