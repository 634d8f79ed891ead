//! Where the lines of logs go.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use mesh_policy::telemetry::access_log::{ChannelSink, LogLines, channel};
use tokio::signal::unix::{SignalKind, signal};

use crate::gateway::HandshakeObserver;

/// How many lines may wait to be written. Beyond that they are dropped: no request waits for a disk.
const WAITING: usize = 8192;

/// A sink whose lines a thread appends to `file`, or writes to standard output if that is `None` or
/// `-`.
///
/// A line that cannot be written is lost, and the next one is tried; that lines are lost is told once, on
/// standard error, and how many when one can be written again. A file is opened again on SIGUSR1, as
/// by Envoy, so that it can be renamed before: the program does not end by that signal from here on.
///
/// # Errors
///
/// The file cannot be opened, or the system refuses the thread.
pub fn open(file: Option<&Path>) -> io::Result<ChannelSink> {
    let file = file.filter(|file| file.as_os_str() != "-");
    let out = file.map_or_else(|| Ok(Out::standard()), Out::append)?;
    let (sink, lines) = channel(WAITING);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    // From here on, and not only once the thread runs.
    let mut reopen = {
        let _entered = runtime.enter();
        signal(SignalKind::user_defined1())?
    };
    thread::Builder::new()
        .name("access-log".to_owned())
        .spawn(move || {
            let asked = async || reopen.recv().await;
            runtime.block_on(write(lines, out, asked));
        })?;
    Ok(sink)
}

/// Where lines are written to.
struct Out {
    to: Box<dyn Write + Send>,
    file: Option<PathBuf>,
}

impl Out {
    fn standard() -> Self {
        Self {
            to: Box::new(io::stdout()),
            file: None,
        }
    }

    fn append(file: &Path) -> io::Result<Self> {
        let to = OpenOptions::new().append(true).create(true).open(file)?;
        Ok(Self {
            to: Box::new(to),
            file: Some(file.to_owned()),
        })
    }

    /// Opens the file again, which may have another one in its place. If it cannot be opened, lines go
    /// to the one of before.
    fn reopen(&mut self) {
        let Some(file) = &self.file else { return };
        match Self::append(file) {
            Ok(out) => *self = out,
            Err(error) => {
                let file = file.display();
                eprintln!("the access log `{file}` cannot be opened again: {error}");
            }
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.to.write_all(line)?;
        self.to.flush()
    }
}

/// Writes lines until there are no more sinks. The file is opened again whenever that is `asked`.
async fn write(mut lines: LogLines, mut out: Out, mut asked: impl AsyncFnMut() -> Option<()>) {
    let mut losses = Losses::default();
    loop {
        tokio::select! {
            line = lines.recv() => {
                let Some(line) = line else { return };
                if let Some(told) = losses.after(out.write(&line)) {
                    eprintln!("{told}");
                }
            }
            Some(()) = asked() => out.reopen(),
        }
    }
}

/// Lines that could not be written.
#[derive(Default)]
struct Losses {
    lost: u64,
}

impl Losses {
    /// What is to be told after a line was written, or not.
    fn after(&mut self, written: io::Result<()>) -> Option<String> {
        match (written, self.lost) {
            (Ok(()), 0) => None,
            (Ok(()), lost) => {
                self.lost = 0;
                Some(format!(
                    "the access log is written again: {lost} lines are lost"
                ))
            }
            (Err(error), lost) => {
                self.lost += 1;
                (lost == 0).then(|| format!("lines of the access log are lost: {error}"))
            }
        }
    }
}

/// Writes handshakes that fail, or leave something to be said, to standard error, by a thread: no
/// connection waits for it.
///
/// # Errors
///
/// The system refuses the thread.
pub fn handshakes() -> io::Result<HandshakeObserver> {
    let (sender, lines) = mpsc::sync_channel::<String>(WAITING);
    thread::Builder::new()
        .name("handshakes".to_owned())
        .spawn(move || {
            for line in lines {
                eprintln!("{line}");
            }
        })?;
    Ok(HandshakeObserver::new(move |report| {
        // They are counted, whether they are written or not.
        let _ = sender.try_send(report.to_string());
    }))
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use mesh_policy::telemetry::access_log::LogSink;

    use super::*;

    /// A disk that is full for the first lines.
    struct Disk {
        full_for: usize,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Disk {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            if self.full_for > 0 {
                self.full_for -= 1;
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.written.send(line.to_vec()).unwrap();
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn lines_are_written_again_when_there_is_room() {
        let (sink, lines) = channel(3);
        let (written, read) = mpsc::channel();
        let disk = Disk {
            full_for: 2,
            written,
        };
        let out = Out {
            to: Box::new(disk),
            file: None,
        };
        for line in ["first\n", "second\n", "third\n"] {
            sink.write(line.into());
        }
        drop(sink);
        write(lines, out, pending).await;
        assert_eq!(read.iter().collect::<Vec<_>>(), [b"third\n"]);
    }

    #[test]
    fn lines_that_are_lost_are_told_once_and_counted() {
        let full = || Err(io::ErrorKind::StorageFull.into());
        let mut losses = Losses::default();
        assert_eq!(losses.after(Ok(())), None);
        let told = losses.after(full()).unwrap();
        assert!(
            told.starts_with("lines of the access log are lost: "),
            "{told}"
        );
        assert_eq!(losses.after(full()), None);
        let told = losses.after(Ok(())).unwrap();
        assert_eq!(told, "the access log is written again: 2 lines are lost");
        assert_eq!(losses.after(Ok(())), None);
        assert!(losses.after(full()).is_some());
    }
}
