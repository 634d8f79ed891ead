//! The threads that serve.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc as std_mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::runtime;
use tokio::sync::mpsc;
use tower_service::Service;

use super::accept::{self, Command, Connection};
use super::admission::{Admission, AllHttp};
use super::connection::BoxError;
use super::limits::Limits;
use super::listener::{self, Bound, ListenerId};

/// Threads that serve HTTP.
///
/// Dropping them closes their listeners and connections at once; see [`drain`](Self::drain). See
/// the [module docs](super) for an example.
pub struct Workers {
    threads: Vec<Thread>,
}

struct Thread {
    commands: mpsc::UnboundedSender<Command>,
    running: JoinHandle<bool>,
}

impl Workers {
    /// Starts `threads` threads, which listen nowhere yet.
    ///
    /// `make` runs once on each thread, and makes what is kept there (connection pools, say); what
    /// it returns makes the service of each connection.
    ///
    /// # Errors
    ///
    /// The system refuses a thread, or what its runtime needs.
    pub fn start<F, M, S, B>(threads: usize, limits: Limits, make: F) -> io::Result<Self>
    where
        F: Fn() -> M + Clone + Send + 'static,
        M: Fn(&Connection) -> S + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + 'static,
        S::Error: Into<BoxError>,
        S::Future: 'static,
        B: http_body::Body<Data = Bytes> + 'static,
        B::Error: Into<BoxError>,
    {
        Self::start_with(threads, limits, move || (AllHttp, make()))
    }

    /// As [`start`](Self::start); `make` also makes what tells the connections of each thread apart.
    ///
    /// # Errors
    ///
    /// The system refuses a thread, or what its runtime needs.
    pub fn start_with<F, A, M, S, B>(threads: usize, limits: Limits, make: F) -> io::Result<Self>
    where
        F: Fn() -> (A, M) + Clone + Send + 'static,
        A: Admission,
        M: Fn(&Connection) -> S + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + 'static,
        S::Error: Into<BoxError>,
        S::Future: 'static,
        B: http_body::Body<Data = Bytes> + 'static,
        B::Error: Into<BoxError>,
    {
        let threads = (0..threads)
            .map(|index| Thread::start(index, limits, make.clone()))
            .collect::<io::Result<_>>()?;
        Ok(Self { threads })
    }

    /// Listens on `address` under the name `id`, which replaces what had that name.
    ///
    /// Returns the address, with the port that the system chose if it was 0.
    ///
    /// # Errors
    ///
    /// The address is in use by something else, is not one of this machine, or needs a privilege
    /// that is missing.
    pub fn listen(&self, id: ListenerId, address: SocketAddr) -> io::Result<SocketAddr> {
        let bound = self.bind(address)?;
        let address = bound.address();
        self.accept(id, bound);
        Ok(address)
    }

    /// Binds `address`, for [`accept`](Self::accept). Until then nobody is accepted there.
    ///
    /// # Errors
    ///
    /// Those of [`listen`](Self::listen).
    pub fn bind(&self, address: SocketAddr) -> io::Result<Bound> {
        listener::check(address)?;
        self.bind_again(address)
    }

    /// Binds an address that the same workers listen at, whose socket is about to be closed.
    ///
    /// # Errors
    ///
    /// Those of [`listen`](Self::listen).
    pub fn bind_again(&self, address: SocketAddr) -> io::Result<Bound> {
        listener::bind(address, self.threads.len())
    }

    /// Accepts connections under the name `id`, which replaces what had that name.
    pub fn accept(&self, id: ListenerId, bound: Bound) {
        for (thread, socket) in self.threads.iter().zip(bound.sockets) {
            thread.command(Command::Listen(id, socket));
        }
    }

    /// Stops listening under the name `id`, and waits until its sockets are closed. Its connections are
    /// served on.
    pub fn unlisten(&self, id: ListenerId) {
        let (closed, is_closed) = std_mpsc::channel();
        for thread in &self.threads {
            thread.command(Command::Unlisten(id, closed.clone()));
        }
        drop(closed);
        // Ends when each thread has answered, or is gone.
        is_closed.into_iter().for_each(drop);
    }

    /// Stops listening, ends all connections as their protocol provides, and waits for that.
    ///
    /// Requests in flight are finished, unless `deadline` passes first: then they are cut off,
    /// and the answer is false.
    pub fn drain(self, deadline: Duration) -> bool {
        for thread in &self.threads {
            thread.command(Command::Drain(deadline));
        }
        let closed = self.threads.into_iter().map(|thread| {
            // A thread that panicked has closed nothing in good order.
            thread.running.join().unwrap_or(false)
        });
        closed.fold(true, |all, closed| all & closed)
    }
}

impl Thread {
    fn start<F, A, M, S, B>(index: usize, limits: Limits, make: F) -> io::Result<Self>
    where
        F: FnOnce() -> (A, M) + Send + 'static,
        A: Admission,
        M: Fn(&Connection) -> S + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + 'static,
        S::Error: Into<BoxError>,
        S::Future: 'static,
        B: http_body::Body<Data = Bytes> + 'static,
        B::Error: Into<BoxError>,
    {
        let (commands, received) = mpsc::unbounded_channel();
        // The runtime cannot leave its thread, nor can its failure be ignored.
        let (tell, started) = std_mpsc::channel();
        let running = thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                let runtime = match build_runtime() {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        let _ = tell.send(Err(error));
                        return false;
                    }
                };
                let _ = tell.send(Ok(()));
                runtime.block_on(async { accept::run(limits, make(), received).await })
            })?;
        started.recv().map_err(io::Error::other)??;
        Ok(Self { commands, running })
    }

    fn command(&self, command: Command) {
        // A thread ends before it is drained only by a panic, which `drain` finds out.
        let _ = self.commands.send(command);
    }
}

fn build_runtime() -> io::Result<runtime::LocalRuntime> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(runtime::LocalOptions::default())
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("threads", &self.threads.len())
            .finish()
    }
}
