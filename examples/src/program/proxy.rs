use std::error::Error;
use std::io;
use std::time::Duration;

use mesh_core::watch::{self, Publisher, Watch};

use super::changes::Changes;
use super::files::{Files, Generation};
use super::report::{Report, chain};
use crate::config::Diagnostics;
use crate::gateway::{Gateway, PublishError, Settings};

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

fn undeclared(port: u16) -> String {
    format!(
        "nothing that is served declares the port {port}, so that it is bound nowhere \
         (`--map-port` is DECLARED=BOUND)"
    )
}

/// Serves a generation and tells how, which it notes, too: it is asked for what it does not bind.
fn publish(
    gateway: &mut Gateway,
    report: &mut Report,
    mut generation: Generation,
) -> Result<Generation, PublishError> {
    let model = &mut generation.model;
    let mut unserved = gateway.publish_in(model, &generation.wide)?;
    unserved.extend(gateway.undeclared().map(undeclared));
    model.notices.extend_from_slice(gateway.unbound());
    report.warn(gateway, model, unserved);
    report.served(gateway, model);
    Ok(generation)
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
        let generation = publish(&mut gateway, &mut report, generation)?;
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

    /// Serves the files again whenever they change, as long as changes are told; and tells of each
    /// whether it is served.
    ///
    /// # Cancel safety
    ///
    /// The last generation is served on; what has changed since is forgotten.
    pub async fn follow(&mut self) {
        while let Some(change) = self.change().await {
            match change {
                Ok(version) => eprintln!("generation {version} is served"),
                Err(refused) => eprintln!("{}", chain(&refused)),
            }
        }
    }

    /// Waits until the files change, and serves them again. Gives the generation that is served now,
    /// or says why the last good one still is; `None` if no more changes are told.
    ///
    /// # Cancel safety
    ///
    /// That of [`follow`](Self::follow).
    pub async fn change(&mut self) -> Option<Result<u64, Refused>> {
        if !self.changes.changed().await {
            return None;
        }
        self.version += 1;
        let applied = self.apply();
        self.changes.look_at(self.gateway.files());
        Some(applied.map(|()| self.version))
    }

    /// Lets a change of the files take effect.
    fn apply(&mut self) -> Result<(), Refused> {
        let version = self.version;
        let loaded = self.files.load(version);
        let (generation, found) = loaded.map_err(|found| Refused::Files { version, found })?;
        eprint!("{found}");
        let published = self.publish(generation);
        published.map_err(|source| Refused::Served { version, source })
    }

    fn publish(&mut self, generation: Generation) -> Result<(), PublishError> {
        let generation = publish(&mut self.gateway, &mut self.report, generation)?;
        self.publisher.publish(generation);
        Ok(())
    }

    /// Stops listening, and waits until all connections have ended, no longer than `deadline`.
    /// Returns whether all did.
    pub fn drain(self, deadline: Duration) -> bool {
        self.gateway.drain(deadline)
    }
}

/// Why a change of the files does not take effect: the last good generation is served on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Something is wrong with the files.
    #[error("{found}generation {version} is refused")]
    Files {
        /// The generation that they would have been.
        version: u64,
        /// What is wrong, drawn for a person.
        found: Diagnostics,
    },
    /// They are right, and cannot be served.
    #[error("generation {version} is refused")]
    Served {
        /// The generation that they would have been.
        version: u64,
        /// Why not.
        source: PublishError,
    },
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
