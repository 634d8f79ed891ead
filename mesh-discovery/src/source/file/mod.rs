//! Resources in files of YAML or JSON.
//!
//! A [`Files`] source reads files and directories and reports what they say, whenever they have
//! changed. It has all of their resources or none: if anything in them is an error, what they said
//! before stays, as with istiod's `fs://` source (`pilot/pkg/config/monitor`).
//!
//! It works on the directories in which Kubernetes mounts a ConfigMap: their files are links through
//! a link called `..data`, which is replaced, so that no event ever names the file. Watched are
//! therefore directories, and what is compared is the state of the files behind all links. Events of
//! the operating system may be lost, or not exist at all on network file systems; so the files are
//! also looked at from time to time. A file that is found empty and was not is given a moment to be
//! written.
//!
//! # Example
//!
//! ```
//! use mesh_core::config::MeshConfig;
//! use mesh_discovery::registry::{Change, Driver, Registry};
//! use mesh_discovery::source::file::Files;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let directory = tempfile::tempdir()?;
//! let text = "apiVersion: v1\nkind: Namespace\nmetadata: { name: shop }\n";
//! std::fs::write(directory.path().join("shop.yaml"), text)?;
//!
//! let mut driver = Driver::new(Registry::new(MeshConfig::builder()));
//! driver.add_source("files", Files::new([directory.path()]));
//! let Some(Change::Config(config)) = driver.next().await else { panic!() };
//! assert!(config.resources().namespace("shop").is_some());
//! # Ok(())
//! # }
//! ```

mod events;
mod files;
mod load;

use std::collections::VecDeque;
use std::future::Future;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mesh_core::diagnostic::{Diagnostic, Severity};
use mesh_core::load::Loaded;
use mesh_core::parse::Limits;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Sleep, sleep};

use self::events::Events;
use crate::source::{Source, Update};

pub use self::files::{Fingerprint, expand};
pub use self::load::load;

/// How long a file that is found empty is given to be written.
const SETTLE: Duration = Duration::from_millis(100);

/// A source of resources in files.
///
/// Needs a tokio runtime with a timer; reads on its threads for blocking work. See the
/// [module docs](self) for an example.
#[derive(Debug)]
pub struct Files {
    options: Options,
    events: Option<Events>,
    seen: Fingerprint,
    // Whether what was seen last is what was read last.
    settled: bool,
    state: State,
    updates: VecDeque<Update>,
}

#[derive(Clone, Debug)]
struct Options {
    paths: Vec<PathBuf>,
    default_namespace: String,
    limits: Limits,
    poll_interval: Duration,
    uses_events: bool,
}

#[derive(Debug)]
enum State {
    /// Nothing was read yet.
    Start,
    /// Until something happens, or the time comes to look anyway.
    Waiting(Pin<Box<Sleep>>),
    Reading(JoinHandle<Look>),
}

/// What was found by looking at the files.
#[derive(Debug)]
enum Look {
    /// A file is empty that was not.
    Emptied(Fingerprint),
    Read(Fingerprint, Loaded),
    Unchanged,
}

impl Files {
    /// Reads `paths`, files or directories. A directory stands for the `.yaml`, `.yml` and `.json`
    /// files in it.
    pub fn new(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self {
            options: Options {
                paths: paths.into_iter().map(Into::into).collect(),
                default_namespace: "default".to_owned(),
                limits: Limits::default(),
                poll_interval: Duration::from_secs(5),
                uses_events: true,
            },
            events: None,
            seen: Fingerprint::default(),
            settled: false,
            state: State::Start,
            updates: VecDeque::new(),
        }
    }

    /// The namespace of objects that were written without one. Default `default`.
    #[must_use]
    pub fn with_default_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.options.default_namespace = namespace.into();
        self
    }

    /// How much of a file is taken in before it is refused.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// How often the files are looked at even without an event. Default 5 s.
    #[must_use]
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.options.poll_interval = interval;
        self
    }

    /// Does not ask the operating system for events.
    #[must_use]
    pub fn without_events(mut self) -> Self {
        self.options.uses_events = false;
        self
    }

    fn look(&mut self) {
        if self.options.uses_events {
            self.watch();
        }
        let options = self.options.clone();
        let (seen, settled) = (self.seen.clone(), self.settled);
        let is_first = matches!(self.state, State::Start);
        let look = move || look(&options, &seen, settled, is_first);
        self.state = State::Reading(spawn_blocking(look));
    }

    /// Watches all directories; those that are watched already stay so.
    fn watch(&mut self) {
        let events = self.events.take().map_or_else(Events::new, Ok);
        match events {
            Ok(mut events) => {
                events.watch(&files::directories(&self.options.paths));
                self.events = Some(events);
            }
            Err(error) => {
                self.options.uses_events = false;
                let message = format!("files are only looked at from time to time: {error}");
                let diagnostic = Diagnostic::new(Severity::Warning, "", message);
                self.updates.push_back(Update::Problems(vec![diagnostic]));
            }
        }
    }

    fn handle_look(&mut self, look: Look) {
        let mut pause = self.options.poll_interval;
        match look {
            Look::Unchanged => {}
            Look::Emptied(seen) => {
                self.seen = seen;
                self.settled = false;
                pause = SETTLE;
            }
            Look::Read(seen, loaded) => {
                self.seen = seen;
                self.settled = true;
                if loaded.diagnostics.has_errors() {
                    let found = loaded.diagnostics.into_iter().collect();
                    self.updates.push_back(Update::Failed(found));
                } else {
                    self.updates.push_back(Update::All(loaded.objects));
                    let found = loaded.diagnostics.into_iter().collect();
                    self.updates.push_back(Update::Problems(found));
                }
            }
        }
        self.state = State::Waiting(Box::pin(sleep(pause)));
    }

    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(events) = &mut self.events
            && events.poll_event(cx).is_ready()
        {
            return Poll::Ready(());
        }
        match &mut self.state {
            State::Waiting(sleep) => sleep.as_mut().poll(cx),
            State::Start | State::Reading(_) => Poll::Ready(()),
        }
    }
}

impl Source for Files {
    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        loop {
            if let Some(update) = self.updates.pop_front() {
                return Poll::Ready(Some(update));
            }
            match &mut self.state {
                State::Start | State::Waiting(_) => {
                    ready!(self.poll_wait(cx));
                    self.look();
                }
                State::Reading(handle) => {
                    // It ends otherwise only when the runtime does.
                    let Ok(look) = ready!(pin!(handle).poll(cx)) else {
                        return Poll::Ready(None);
                    };
                    self.handle_look(look);
                }
            }
        }
    }
}

fn look(options: &Options, seen: &Fingerprint, settled: bool, is_first: bool) -> Look {
    let found = Fingerprint::of(&options.paths);
    if !is_first && settled && found == *seen {
        return Look::Unchanged;
    }
    if !is_first && settled && found.is_emptied_since(seen) {
        return Look::Emptied(found);
    }
    let nothing = Loaded::new(&options.default_namespace, options.limits.clone());
    Look::Read(found, load(&options.paths, nothing))
}
