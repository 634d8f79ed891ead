//! Changes of files, told when they are quiet again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mesh_discovery::source::file::Fingerprint;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// How long the files have to be quiet before they are read.
const QUIET: Duration = Duration::from_millis(30);

/// How often a file that has been emptied is looked at again: it may be about to be written. One that
/// stays empty is read as it is.
const EMPTIED: usize = 10;

/// How often files that keep changing are looked at before they are read.
const MOST: usize = 100;

/// How often the files are looked at, where the system does not tell of changes.
const POLL: Duration = Duration::from_secs(2);

/// Tells of changes of files.
#[derive(Debug)]
pub struct Changes {
    told: Seen,
    /// Files that nothing tells of.
    polled: Seen,
    events: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
}

/// Files as they were seen last.
#[derive(Debug)]
struct Seen {
    paths: Vec<PathBuf>,
    as_of: Fingerprint,
}

impl Seen {
    fn new(paths: &[PathBuf]) -> Self {
        Self {
            paths: paths.to_vec(),
            as_of: Fingerprint::of(paths),
        }
    }

    fn now(&self) -> Fingerprint {
        Fingerprint::of(&self.paths)
    }
}

/// Watches `paths`, by the directories that they are in: a file may be replaced, and a mounted
/// ConfigMap is swapped by a link beside it.
///
/// # Errors
///
/// One of the directories is not there, or the system watches no more.
pub fn watch(paths: &[PathBuf]) -> std::io::Result<Changes> {
    let (sender, events) = mpsc::channel(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // A mere look at a file is none; this program looks itself.
        if event.is_ok_and(|event| event.kind.is_access()) {
            return;
        }
        // A full channel already tells of a change.
        let _ = sender.try_send(());
    })
    .map_err(std::io::Error::other)?;
    for path in paths {
        let directory = match path.is_dir() {
            true => Some(path.as_path()),
            false => path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty()),
        };
        let directory = directory.unwrap_or_else(|| Path::new("."));
        let watched = watcher.watch(directory, RecursiveMode::NonRecursive);
        watched.map_err(std::io::Error::other)?;
    }
    Ok(Changes {
        told: Seen::new(paths),
        polled: Seen::new(&[]),
        events,
        _watcher: watcher,
    })
}

impl Changes {
    /// Looks at these files as well, in place of those of the last call. Nothing tells of their
    /// changes, which take a little longer to be seen.
    pub fn look_at(&mut self, further: &[PathBuf]) {
        // Those that stay may have changed since they were seen.
        if self.polled.paths != further {
            self.polled = Seen::new(further);
        }
    }

    /// Waits until the files have changed and are quiet. `false` if no more is told.
    ///
    /// # Cancel safety
    ///
    /// A change that was not told yet is told by the next call.
    pub async fn changed(&mut self) -> bool {
        loop {
            if timeout(POLL, self.events.recv()).await == Ok(None) {
                return false;
            }
            let mut now = (self.told.now(), self.polled.now());
            if now.0 == self.told.as_of && now.1 == self.polled.as_of {
                continue;
            }
            let mut looks = 0;
            loop {
                sleep(QUIET).await;
                looks += 1;
                let later = (self.told.now(), self.polled.now());
                let is_emptied = later.0.is_emptied_since(&self.told.as_of)
                    || later.1.is_emptied_since(&self.polled.as_of);
                let is_quiet = later == now && (!is_emptied || looks > EMPTIED);
                // Files that never are quiet are read all the same.
                let is_quiet = is_quiet || looks >= MOST;
                now = later;
                if is_quiet {
                    break;
                }
            }
            (self.told.as_of, self.polled.as_of) = now;
            return true;
        }
    }
}
