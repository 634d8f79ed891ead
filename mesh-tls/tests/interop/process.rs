//! Programs that are ended for certain.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

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
    /// Kept open, so that the server can go on to write.
    output: Option<BufReader<ChildStdout>>,
}

impl Server {
    pub(crate) fn start(command: &mut Command) -> Self {
        // Not through `timeout`, which would leave the server behind when it is killed.
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = process.expect("the program is in PATH: see .ci/install");
        let output = process.stdout.take().map(BufReader::new);
        Self { process, output }
    }

    /// The port at the end of the first line of its output that begins with `prefix`.
    pub(crate) fn port(&mut self, prefix: &str) -> u16 {
        let lines = self.output.as_mut().unwrap().lines();
        let mut lines = lines.map_while(Result::ok);
        let line = lines.find(|line| line.starts_with(prefix)).unwrap();
        let port = line.rsplit([':', ' ']).next().unwrap();
        port.trim().parse().unwrap()
    }

    /// Asks again and again, for half a minute, until `question` has an answer.
    pub(crate) fn wait_for<T>(&mut self, mut question: impl FnMut() -> Option<T>) -> T {
        for _ in 0..600 {
            if let Some(answer) = question() {
                return answer;
            }
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended: {ended:?}");
            sleep(Duration::from_millis(50));
        }
        panic!("the server is not up after half a minute");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
