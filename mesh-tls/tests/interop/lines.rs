//! What a program prints, line by line: how it says that it is ready.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// How long a program may print nothing while something is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The lines of a program. They are read as they come, so that it never waits for its reader.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    /// Those of all its outputs.
    pub(crate) fn of<R: Read + Send + 'static>(outputs: impl IntoIterator<Item = R>) -> Self {
        let (sender, lines) = mpsc::channel();
        for output in outputs {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    // What nobody waits for is read all the same.
                    let _ = sender.send(line);
                }
            });
        }
        let seen = Vec::new();
        Self { lines, seen }
    }

    /// The next line that has `text`.
    ///
    /// # Panics
    ///
    /// When the program ends without one, or prints nothing for half a minute.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => self.seen.push(line),
                Err(error) => panic!("no `{text}`, {error}:\n{}", self.seen.join("\n")),
            }
        }
    }
}
