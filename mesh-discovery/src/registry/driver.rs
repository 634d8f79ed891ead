//! Sources that are polled, and the registry that they feed.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::registry::{Change, Registry, SourceId};
use crate::source::Source;

/// How many updates of one source are taken in before others have their turn.
const TURN: usize = 256;

/// A [`Registry`] and its sources, on tokio's clock.
///
/// ```
/// use mesh_core::config::MeshConfig;
/// use mesh_core::resource::Resource;
/// use mesh_core::resource::kubernetes::namespace::Namespace;
/// use mesh_discovery::registry::{Change, Driver, Registry};
/// use mesh_discovery::source::fixed::Fixed;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let mut driver = Driver::new(Registry::new(MeshConfig::builder()));
/// driver.add_source("program", Fixed::new([Resource::<Namespace>::default().into()]));
///
/// let Some(Change::Config(config)) = driver.next().await else { panic!() };
/// assert_eq!(config.resources().namespaces.len(), 1);
/// assert!(driver.next().await.is_none(), "all sources have ended");
/// # }
/// ```
pub struct Driver {
    registry: Registry,
    sources: Vec<(SourceId, Box<dyn Source + Send>)>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Driver {
    /// Drives `registry`.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            sources: Vec::new(),
            sleep: None,
        }
    }

    /// Adds a source, which comes after those that are there already.
    pub fn add_source(&mut self, name: impl Into<String>, source: impl Source + Send + 'static) {
        let id = self.registry.add_source(name);
        self.sources.push((id, Box::new(source)));
    }

    /// Adds a source that is a Kubernetes cluster, see [`Registry::add_cluster`].
    pub fn add_cluster(&mut self, name: impl Into<String>, source: impl Source + Send + 'static) {
        let id = self.registry.add_cluster(name);
        self.sources.push((id, Box::new(source)));
    }

    /// The registry, for the status of its sources.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Waits for the next change; `None` when all sources have ended and all changes were given.
    ///
    /// Needs a tokio runtime with a timer.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped before it is ready.
    pub async fn next(&mut self) -> Option<Change> {
        poll_fn(|cx| self.poll_change(cx)).await
    }

    /// Waits for the next change, as [`next`](Self::next) does.
    pub fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Option<Change>> {
        loop {
            self.poll_sources(cx);
            if let Some(change) = self.registry.poll(Instant::now().into_std()) {
                return Poll::Ready(Some(change));
            }
            ready!(self.poll_sleep(cx));
            if self.sleep.take().is_none() && self.sources.is_empty() {
                return Poll::Ready(None);
            }
        }
    }

    /// Takes in what the sources have, and forgets those that have ended.
    fn poll_sources(&mut self, cx: &mut Context<'_>) {
        let registry = &mut self.registry;
        self.sources.retain_mut(|(id, source)| {
            for _ in 0..TURN {
                match source.poll_update(cx) {
                    Poll::Ready(Some(update)) => {
                        registry.handle_update(*id, update, Instant::now().into_std());
                    }
                    Poll::Ready(None) => return false,
                    Poll::Pending => return true,
                }
            }
            cx.waker().wake_by_ref();
            true
        });
    }

    /// Waits until the registry has something to give, or for ever if only a source can change
    /// that. Ready without a wait if no source is left that could.
    fn poll_sleep(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.registry.deadline().map(Instant::from_std) else {
            self.sleep = None;
            return match self.sources.is_empty() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            };
        };
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("registry", &self.registry)
            .field("sources", &self.sources.len())
            .finish_non_exhaustive()
    }
}
