//! Programs that are ended for certain.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use crate::lines::Lines;

/// A command that is ended after twenty seconds.
pub(crate) fn bounded(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.arg("20").arg(program).stdin(Stdio::piped());
    command
}

/// A server, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    lines: Lines,
}

impl Server {
    pub(crate) fn start(command: &mut Command) -> Self {
        // Not through `timeout`, which would leave the server behind when it is killed.
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = command.spawn();
        let mut process = process.expect("the program is in PATH: see .ci/install");
        let output: Box<dyn Read + Send> = Box::new(process.stdout.take().unwrap());
        let errors: Box<dyn Read + Send> = Box::new(process.stderr.take().unwrap());
        let lines = Lines::of([output, errors]);
        Self { process, lines }
    }

    /// Waits for a line that has `text`.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        self.lines.wait_for(text)
    }

    /// The port at the end of the first line that has `text`.
    pub(crate) fn port(&mut self, text: &str) -> u16 {
        let line = self.wait_for(text);
        let port = line.rsplit([':', ' ']).next().unwrap();
        port.trim().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
