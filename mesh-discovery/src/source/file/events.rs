//! Events of the operating system about directories.

use std::path::PathBuf;
use std::task::{Context, Poll, ready};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Tells that something happened in directories; what, has to be looked for.
#[derive(Debug)]
pub(super) struct Events {
    watcher: RecommendedWatcher,
    happened: Receiver<()>,
}

impl Events {
    pub(super) fn new() -> notify::Result<Self> {
        // One that was not looked at yet stands for all that follow.
        let (sender, happened) = channel(1);
        let watcher = notify::recommended_watcher(move |event| tell(&sender, &event))?;
        Ok(Self { watcher, happened })
    }

    /// Watches `directories`, as far as they exist; what happens to the others is found without
    /// events.
    pub(super) fn watch(&mut self, directories: &[PathBuf]) {
        for directory in directories {
            // A directory that cannot be watched is looked at from time to time like all others.
            let _ = self.watcher.watch(directory, RecursiveMode::NonRecursive);
        }
    }

    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.happened.poll_recv(cx)) {
            Some(()) => Poll::Ready(()),
            None => Poll::Pending,
        }
    }
}

/// Passes an event on, unless it is a mere look at a file, which reading causes.
fn tell(sender: &Sender<()>, event: &notify::Result<Event>) {
    let is_access = matches!(event, Ok(event) if event.kind.is_access());
    if !is_access {
        // A full channel has told already.
        let _ = sender.try_send(());
    }
}
