//! The task that keeps an identity fresh.

use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;
use tokio::time::sleep;

use super::SvidSource;
use crate::resolve::{Identity, IdentityPublisher};
use crate::rotation::{Event, Rotation, RotationPolicy, Step};
use crate::validity::Validity;

/// The longest sleep, because the wall clock may be set meanwhile.
const MAX_SLEEP: Duration = Duration::from_secs(60);

/// Something that a [`Keeper`] tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice<'a, E> {
    /// A fetch failed.
    Failed {
        /// Why.
        error: &'a E,
        /// How many have failed in a row.
        failures: u32,
    },
    /// A part of what was fetched is older than the rest: the source has a [problem](SvidSource::problem).
    Incomplete {
        /// Which.
        error: &'a E,
    },
    /// What was fetched does not count now, and was not published.
    NotValid {
        /// When it counts.
        validity: Validity,
        /// How many fetches have failed in a row.
        failures: u32,
    },
    /// An identity was published: whoever is told finds it.
    Published {
        /// The identity.
        identity: &'a Identity,
    },
    /// The SVID has expired and is presented no more.
    Withdrawn,
}

type Observer<E> = Box<dyn FnMut(Notice<'_, E>) + Send>;

/// Fetches an identity from a source, publishes it, and renews it in time.
pub struct Keeper<S: SvidSource> {
    source: S,
    clock: Arc<dyn TimeProvider>,
    rotation: Rotation,
    jitter: Box<dyn FnMut() -> f64 + Send>,
    observer: Observer<S::Error>,
}

impl<S: SvidSource> Keeper<S> {
    /// Keeps what `source` gives, by the wall clock `clock`. `jitter` draws random numbers between 0 and
    /// 1, by which workloads that started together do not ask together.
    pub fn new(
        source: S,
        clock: Arc<dyn TimeProvider>,
        jitter: impl FnMut() -> f64 + Send + 'static,
    ) -> Self {
        Self {
            source,
            clock,
            rotation: Rotation::new(RotationPolicy::default()),
            jitter: Box::new(jitter),
            observer: Box::new(|_| {}),
        }
    }

    /// Renews by `policy`. Default: [`RotationPolicy::default`].
    #[must_use]
    pub fn with_policy(mut self, policy: RotationPolicy) -> Self {
        self.rotation = Rotation::new(policy);
        self
    }

    /// Tells `observer` what happens, to be logged and counted. Default: nobody.
    #[must_use]
    pub fn with_observer(
        mut self,
        observer: impl FnMut(Notice<'_, S::Error>) + Send + 'static,
    ) -> Self {
        self.observer = Box::new(observer);
        self
    }

    /// Keeps the identity until the future is dropped.
    ///
    /// # Cancel safety
    ///
    /// What was published stays when the future is dropped, and is not renewed any more.
    pub async fn run(mut self, publisher: IdentityPublisher) -> Infallible {
        let mut step = self.handle(Event::Woken, &publisher);
        loop {
            step = if step.fetch {
                self.fetch(step, &publisher).await
            } else {
                let event = self.wait(step).await;
                self.handle(event, &publisher)
            };
        }
    }

    async fn fetch(&mut self, step: Step, publisher: &IdentityPublisher) -> Step {
        match self.fetched(step, publisher).await {
            Ok(identity) => self.take(&identity, publisher),
            Err(error) => {
                let step = self.handle(Event::Failed, publisher);
                let failures = self.rotation.failures();
                (self.observer)(Notice::Failed {
                    error: &error,
                    failures,
                });
                step
            }
        }
    }

    /// Waits for the source, and withdraws the old SVID if it expires meanwhile.
    async fn fetched(
        &mut self,
        mut step: Step,
        publisher: &IdentityPublisher,
    ) -> Result<Identity, S::Error> {
        let Self {
            source,
            clock,
            rotation,
            jitter,
            observer,
        } = self;
        let mut fetch = pin!(source.fetch());
        loop {
            tokio::select! {
                fetched = &mut fetch => return fetched,
                () = sleep_until(clock.as_ref(), step.wake_at) => {}
            }
            step = rotation.handle(now(clock.as_ref()), Event::Woken, jitter());
            if step.withdraw {
                publisher.withdraw();
                observer(Notice::Withdrawn);
            }
        }
    }

    fn take(&mut self, identity: &Identity, publisher: &IdentityPublisher) -> Step {
        let validity = identity.svid.validity();
        let step = self.handle(Event::Fetched(validity), publisher);
        if step.publish {
            publisher.publish(identity.clone());
            (self.observer)(Notice::Published { identity });
        } else {
            let failures = self.rotation.failures();
            (self.observer)(Notice::NotValid { validity, failures });
        }
        if let Some(error) = self.source.problem() {
            (self.observer)(Notice::Incomplete { error });
        }
        step
    }

    async fn wait(&mut self, step: Step) -> Event {
        let Self { source, clock, .. } = self;
        tokio::select! {
            () = source.changed() => Event::Changed,
            () = sleep_until(clock.as_ref(), step.wake_at) => Event::Woken,
        }
    }

    fn handle(&mut self, event: Event, publisher: &IdentityPublisher) -> Step {
        let now = now(self.clock.as_ref());
        let step = self.rotation.handle(now, event, (self.jitter)());
        if step.withdraw {
            publisher.withdraw();
            (self.observer)(Notice::Withdrawn);
        }
        step
    }
}

impl<S: SvidSource + fmt::Debug> fmt::Debug for Keeper<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("source", &self.source)
            .field("rotation", &self.rotation)
            .finish_non_exhaustive()
    }
}

/// The time, or the end of time if the clock cannot tell, at which nothing counts.
fn now(clock: &dyn TimeProvider) -> UnixTime {
    let never = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    clock.current_time().unwrap_or(never)
}

async fn sleep_until(clock: &dyn TimeProvider, time: Option<UnixTime>) {
    let now = now(clock).as_secs();
    let wait = time.map_or(MAX_SLEEP, |time| {
        Duration::from_secs(time.as_secs().saturating_sub(now))
    });
    sleep(wait.min(MAX_SLEEP)).await;
}
