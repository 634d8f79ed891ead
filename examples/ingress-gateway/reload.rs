use std::path::{Path, PathBuf};
use std::time::Duration;

use examples::config::files::Fingerprint;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// How long the files have to be quiet before they are read.
const QUIET: Duration = Duration::from_millis(30);

/// How often the files are looked at, where the system does not tell of changes.
const POLL: Duration = Duration::from_secs(2);

/// Tells of changes of files.
#[derive(Debug)]
pub(crate) struct Changes {
    paths: Vec<PathBuf>,
    seen: Fingerprint,
    events: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
}

/// Watches `paths`, by the directories that they are in: a file may be replaced, and a mounted
/// ConfigMap is swapped by a link beside it.
pub(crate) fn changes(paths: &[PathBuf]) -> std::io::Result<Changes> {
    let (sender, events) = mpsc::channel(1);
    let mut watcher = notify::recommended_watcher(move |_| {
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
        paths: paths.to_vec(),
        seen: Fingerprint::of(paths),
        events,
        _watcher: watcher,
    })
}

impl Changes {
    /// Waits until the files have changed and are quiet. `false` if no more is told.
    pub(crate) async fn changed(&mut self) -> bool {
        loop {
            if timeout(POLL, self.events.recv()).await == Ok(None) {
                return false;
            }
            let mut now = Fingerprint::of(&self.paths);
            if now == self.seen {
                continue;
            }
            loop {
                sleep(QUIET).await;
                let later = Fingerprint::of(&self.paths);
                let is_quiet = later == now && !later.is_emptied_since(&self.seen);
                now = later;
                if is_quiet {
                    break;
                }
            }
            self.seen = now;
            return true;
        }
    }
}
