use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Takes the lines of an access log. It must not wait: it is called while a request is served.
pub trait LogSink: Send + Sync + 'static {
    /// Takes a line, with its end.
    fn write(&self, line: Bytes);
}

impl<F: Fn(Bytes) + Send + Sync + 'static> LogSink for F {
    fn write(&self, line: Bytes) {
        self(line);
    }
}

/// A sink that hands lines to a task, and the end where that reads them.
///
/// `capacity` lines may wait, at least one. What comes when that many wait is dropped and counted.
pub fn channel(capacity: usize) -> (ChannelSink, LogLines) {
    let (sender, lines) = mpsc::channel(capacity.max(1));
    let dropped = Arc::new(AtomicU64::new(0));
    let sink = ChannelSink {
        sender,
        dropped: Arc::clone(&dropped),
    };
    (sink, LogLines { lines, dropped })
}

/// A sink that hands lines to a task, see [`channel`].
#[derive(Clone, Debug)]
pub struct ChannelSink {
    sender: mpsc::Sender<Bytes>,
    dropped: Arc<AtomicU64>,
}

impl LogSink for ChannelSink {
    fn write(&self, line: Bytes) {
        if self.sender.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The lines that have been written to a [`ChannelSink`].
#[derive(Debug)]
pub struct LogLines {
    lines: mpsc::Receiver<Bytes>,
    dropped: Arc<AtomicU64>,
}

impl LogLines {
    /// The next line. `None` once all sinks are gone and all lines have been read.
    ///
    /// # Cancel safety
    ///
    /// No line is lost if it is dropped before it returns.
    pub async fn recv(&mut self) -> Option<Bytes> {
        self.lines.recv().await
    }

    /// How many lines have been dropped because too many waited, or because nobody reads them.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_channel_that_is_full_drops_lines_and_counts_them() {
        let (sink, mut lines) = channel(2);
        for line in ["a", "b", "c"] {
            sink.write(Bytes::from(line));
        }
        assert_eq!(lines.dropped(), 1);
        drop(sink);
        assert_eq!(lines.recv().await.as_deref(), Some(&b"a"[..]));
        assert_eq!(lines.recv().await.as_deref(), Some(&b"b"[..]));
        assert_eq!(lines.recv().await, None);
    }
}
