//! Where the lines of logs go.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use mesh_policy::telemetry::access_log::{ChannelSink, LogLines, channel};

use crate::gateway::HandshakeObserver;

/// How many lines may wait to be written. Beyond that they are dropped: no request waits for a disk.
const WAITING: usize = 8192;

/// A sink whose lines a thread appends to `file`, or writes to standard output if that is `None` or
/// `-`.
///
/// # Errors
///
/// The file cannot be opened, or the system refuses the thread.
pub fn open(file: Option<&Path>) -> io::Result<ChannelSink> {
    let out: Box<dyn Write + Send> = match file {
        None => Box::new(io::stdout()),
        Some(file) if file.as_os_str() == "-" => Box::new(io::stdout()),
        Some(file) => Box::new(OpenOptions::new().append(true).create(true).open(file)?),
    };
    let (sink, lines) = channel(WAITING);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    thread::Builder::new()
        .name("access-log".to_owned())
        .spawn(move || {
            if let Err(error) = runtime.block_on(write(lines, out)) {
                eprintln!("the access log ends: {error}");
            }
        })?;
    Ok(sink)
}

/// Writes lines until there are no more sinks.
async fn write(mut lines: LogLines, out: Box<dyn Write + Send>) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    while let Some(line) = lines.recv().await {
        out.write_all(&line)?;
        out.flush()?;
    }
    Ok(())
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
