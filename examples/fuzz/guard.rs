//! What ends the program, and says why.

use std::fs;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long an input may take.
const TIME: Duration = Duration::from_secs(10);

/// How many pages of memory the program may have, of 4 KiB each.
const PAGES: u64 = (1 << 30) / 4096;

/// How often time and memory are looked at.
const PAUSE: Duration = Duration::from_millis(200);

/// Watches the input that is fed, until it is dropped.
pub(crate) struct Guard {
    watched: Watched,
    _watching: Sender<()>,
}

#[derive(Clone)]
struct Watched(Arc<Mutex<Fed>>);

struct Fed {
    target: &'static str,
    run: u64,
    input: Vec<u8>,
    since: Instant,
}

impl Guard {
    /// Starts to watch.
    pub(crate) fn start() -> Self {
        let watched = Watched(Arc::new(Mutex::new(Fed {
            target: "",
            run: 0,
            input: Vec::new(),
            since: now(),
        })));
        let (in_panic, by_thread) = (watched.clone(), watched.clone());
        let report = std::panic::take_hook();
        // Where panics abort, this is the last that is run.
        std::panic::set_hook(Box::new(move |panic| {
            report(panic);
            in_panic.report("a panic");
        }));
        let (watching, dropped) = mpsc::channel();
        // Nothing tells of memory that is taken: it has to be looked at.
        thread::spawn(move || {
            while dropped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                by_thread.look();
            }
        });
        Self {
            watched,
            _watching: watching,
        }
    }

    /// Watches the next input.
    pub(crate) fn watch(&self, target: &'static str, run: u64, input: &[u8]) {
        self.watched.take(target, run, input);
    }
}

impl Watched {
    fn take(&self, target: &'static str, run: u64, input: &[u8]) {
        let mut fed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (fed.target, fed.run, fed.since) = (target, run, now());
        fed.input.clear();
        fed.input.extend_from_slice(input);
    }

    fn look(&self) {
        let fed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_slow = !fed.target.is_empty() && fed.since.elapsed() > TIME;
        drop(fed);
        if is_slow {
            self.report("too slow");
        }
        if pages().is_some_and(|pages| pages > PAGES) {
            self.report("too large");
        }
    }

    /// Prints what is fed, and ends the program.
    fn report(&self, why: &str) {
        let fed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hex: String = fed.input.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("{}, run {}: {why}, by the input {hex}", fed.target, fed.run);
        eprintln!("{}", String::from_utf8_lossy(&fed.input).escape_debug());
        std::process::exit(1);
    }
}

/// How many pages the program has, where the system says so.
fn pages() -> Option<u64> {
    let sizes = fs::read_to_string("/proc/self/statm").ok()?;
    sizes.split(' ').nth(1)?.parse().ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "inputs are timed as they are fed"
)]
fn now() -> Instant {
    Instant::now()
}
