//! What a thread does: listen, accept, serve.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use mesh_tls::connection::TlsPeer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tower_service::Service;

use super::connection::{BoxError, Http};
use super::limits::Limits;
use super::listener::ListenerId;
use super::open::OpenConnections;
use super::tls::TlsChains;

/// How long to wait when no connection can be accepted, for want of file descriptors mostly.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// An accepted connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Connection {
    /// The listener that accepted it.
    pub listener: ListenerId,
    /// The address of the client.
    pub peer: SocketAddr,
    /// The address that the client connected to.
    pub local: SocketAddr,
    /// What TLS settled, if it ended here, and the name of the routes of its filter chain.
    pub tls: Option<(Arc<str>, TlsPeer)>,
}

/// What a thread is told to do.
pub(super) enum Command {
    /// Accept connections on a socket.
    Listen(ListenerId, StdTcpListener),
    /// Close a socket; its connections stay.
    Unlisten(ListenerId),
    /// Stop listening, end all connections, and be done when they are closed or time is up.
    Drain(Duration),
}

/// Runs a thread until it is drained; whether all connections were closed by then.
pub(super) async fn run<T, M, S, B>(
    limits: Limits,
    tls: T,
    make_service: M,
    mut commands: mpsc::UnboundedReceiver<Command>,
) -> bool
where
    T: Fn(ListenerId) -> Option<Arc<TlsChains>> + 'static,
    M: Fn(&Connection) -> S + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + 'static,
    S::Error: Into<BoxError>,
    S::Future: 'static,
    B: http_body::Body<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    let acceptor = Rc::new(Acceptor {
        http: Http::new(&limits),
        tls,
        make_service,
        open: Rc::new(OpenConnections::default()),
    });
    let open = Rc::clone(&acceptor.open);
    tokio::task::spawn_local(async move { open.close_idle(limits.idle_timeout).await });

    let mut listeners = Listeners::default();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen(id, socket) => {
                let accepting = Rc::clone(&acceptor).accept(id, socket);
                listeners.insert(id, tokio::task::spawn_local(accepting));
            }
            Command::Unlisten(id) => listeners.remove(id),
            Command::Drain(deadline) => {
                listeners.clear();
                acceptor.open.drain();
                let closed = acceptor.open.closed();
                return tokio::time::timeout(deadline, closed).await.is_ok();
            }
        }
    }
    false
}

/// The tasks that accept connections.
#[derive(Default)]
struct Listeners {
    accepting: HashMap<ListenerId, JoinHandle<()>>,
}

impl Listeners {
    fn insert(&mut self, id: ListenerId, task: JoinHandle<()>) {
        if let Some(replaced) = self.accepting.insert(id, task) {
            replaced.abort();
        }
    }

    fn remove(&mut self, id: ListenerId) {
        if let Some(task) = self.accepting.remove(&id) {
            task.abort();
        }
    }

    fn clear(&mut self) {
        for (_, task) in self.accepting.drain() {
            task.abort();
        }
    }
}

struct Acceptor<T, M> {
    http: Http,
    tls: T,
    make_service: M,
    open: Rc<OpenConnections>,
}

impl<T, M, S, B> Acceptor<T, M>
where
    T: Fn(ListenerId) -> Option<Arc<TlsChains>> + 'static,
    M: Fn(&Connection) -> S + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + 'static,
    S::Error: Into<BoxError>,
    S::Future: 'static,
    B: http_body::Body<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    async fn accept(self: Rc<Self>, listener: ListenerId, socket: StdTcpListener) {
        let Ok(socket) = TcpListener::from_std(socket) else {
            return;
        };
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => {
                    tokio::task::spawn_local(Rc::clone(&self).serve(listener, stream, peer));
                }
                Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
            }
        }
    }

    async fn serve(self: Rc<Self>, listener: ListenerId, stream: TcpStream, peer: SocketAddr) {
        // Both fail only if the client is already gone.
        let (Ok(local), Ok(())) = (stream.local_addr(), stream.set_nodelay(true)) else {
            return;
        };
        let mut connection = Connection {
            listener,
            peer,
            local,
            tls: None,
        };
        let Some(chains) = (self.tls)(listener) else {
            return self.read(stream, &connection).await;
        };
        // Why a handshake failed is the client's trouble, which it is told by an alert.
        if let Some((chain, accepted)) = chains.accept(stream, local).await {
            connection.tls = Some((chain, accepted.peer));
            self.read(accepted.stream, &connection).await;
        }
    }

    /// Reads HTTP.
    async fn read<I>(&self, io: I, connection: &Connection)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = (self.make_service)(connection);
        let listed = self.open.add();
        let slot = Rc::clone(&listed.slot);
        self.http.serve(io, service, slot).await;
    }
}
