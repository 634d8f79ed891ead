use std::error::Error;
use std::io;
use std::time::Duration;

use mesh_core::watch::{self, Publisher, Watch};

use super::changes::Changes;
use super::files::{Files, Generation};
use super::report::{Report, chain};
use crate::gateway::{Gateway, Settings};

/// Serves files.
#[derive(Debug)]
pub struct Proxy {
    files: Files,
    gateway: Gateway,
    report: Report,
    changes: Changes,
    publisher: Publisher<Generation>,
    version: u64,
}

impl Proxy {
    /// Serves the generation of `files` that was read, and tells how.
    ///
    /// # Errors
    ///
    /// The system refuses threads or sockets, or the generation cannot be served.
    pub fn start(
        files: Files,
        (generation, mut changes): (Generation, Changes),
        settings: Settings,
    ) -> Result<Self, Box<dyn Error>> {
        let mut gateway = Gateway::start(settings)?;
        let mut report = Report::default();
        let unserved = gateway.publish_in(&generation.model, &generation.wide)?;
        report.warn(&generation.model, unserved);
        report.served(&gateway, &generation.model);
        changes.look_at(gateway.files());
        let (publisher, _) = watch::channel(generation);
        Ok(Self {
            files,
            gateway,
            report,
            changes,
            publisher,
            version: 1,
        })
    }

    /// What serves.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// What is served.
    pub fn current(&self) -> Watch<Generation> {
        self.publisher.watch()
    }

    /// Serves the files again whenever they change, as long as changes are told.
    ///
    /// # Cancel safety
    ///
    /// The last generation is served on; what has changed since is forgotten.
    pub async fn follow(&mut self) {
        while self.changes.changed().await {
            self.version += 1;
            self.apply();
            self.changes.look_at(self.gateway.files());
        }
    }

    /// Lets a change of the files take effect, or says why it does not.
    fn apply(&mut self) {
        let version = self.version;
        let (generation, diagnostics) = match self.files.load(version) {
            Ok(loaded) => loaded,
            Err(diagnostics) => {
                eprintln!("{diagnostics}generation {version} is refused");
                return;
            }
        };
        eprint!("{diagnostics}");
        match self.publish(generation) {
            Ok(()) => eprintln!("generation {version} is served"),
            Err(error) => eprintln!("generation {version} is refused: {}", chain(&*error)),
        }
    }

    fn publish(&mut self, generation: Generation) -> Result<(), Box<dyn Error>> {
        let Self {
            gateway, report, ..
        } = self;
        let unserved = gateway.publish_in(&generation.model, &generation.wide)?;
        report.warn(&generation.model, unserved);
        report.served(gateway, &generation.model);
        self.publisher.publish(generation);
        Ok(())
    }

    /// Stops listening, and waits until all connections have ended, no longer than `deadline`.
    /// Returns whether all did.
    pub fn drain(self, deadline: Duration) -> bool {
        self.gateway.drain(deadline)
    }
}

/// Waits until the process is told to end, by SIGTERM or from its terminal.
///
/// # Errors
///
/// The system refuses to tell.
pub async fn terminated() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        result = tokio::signal::ctrl_c() => result,
    }
}
