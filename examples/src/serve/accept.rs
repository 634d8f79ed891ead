//! What a thread does: listen, accept, serve.

use std::collections::HashMap;
use std::future::Future;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use mesh_tls::connection::TlsPeer;
use mesh_tls::drain::Tracked;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower_service::Service;

use super::admission::Admission;
use super::chains::FilterChains;
use super::connection::{BoxError, Http};
use super::limits::Limits;
use super::listener::ListenerId;
use super::open::{Listed, Open, OpenConnections};
use super::proxy_protocol;

/// How long to wait when no connection can be accepted, for want of file descriptors mostly.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// An accepted connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Connection {
    /// The listener that serves it.
    pub listener: ListenerId,
    /// The address of the client: that of the other end, unless that speaks for another.
    pub peer: SocketAddr,
    /// The address that the client wants to reach: that of the socket, unless the connection was
    /// redirected on its way, or its other end says another.
    pub local: SocketAddr,
    /// The name of the routes of its filter chain, if one was chosen that carries HTTP.
    pub routes: Option<Arc<str>>,
    /// What TLS settled, if it ended here.
    pub tls: Option<TlsPeer>,
    /// The server name that the client asked for by TLS, whether that ended here or not.
    pub server_name: Option<Arc<str>>,
    /// When it was accepted.
    pub accepted: Instant,
}

/// What a thread is told to do.
pub(super) enum Command {
    /// Accept connections on a socket.
    Listen(ListenerId, StdTcpListener),
    /// Close a socket; its connections stay.
    Unlisten(ListenerId, std_mpsc::Sender<()>),
    /// Stop listening, end all connections, and be done when they are closed or time is up.
    Drain(Duration),
}

/// Runs a thread until it is drained; whether all connections were closed by then.
pub(super) async fn run<A, M, S, B>(
    limits: Limits,
    (admission, make_service): (A, M),
    mut commands: mpsc::UnboundedReceiver<Command>,
) -> bool
where
    A: Admission,
    M: Fn(&Connection) -> S + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + 'static,
    S::Error: Into<BoxError>,
    S::Future: 'static,
    B: http_body::Body<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    let acceptor = Rc::new(Acceptor {
        http: Http::new(&limits),
        admission,
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
            Command::Unlisten(id, closed) => {
                listeners.remove(id).await;
                // Whoever asked may have gone.
                let _ = closed.send(());
            }
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

    /// Waits until the socket is closed.
    async fn remove(&mut self, id: ListenerId) {
        if let Some(task) = self.accepting.remove(&id) {
            task.abort();
            let _ = task.await;
        }
    }

    fn clear(&mut self) {
        for (_, task) in self.accepting.drain() {
            task.abort();
        }
    }
}

/// A task of its own, which is woken alone: what a connection waits for once in its life is not looked at
/// for each of its bytes. It ends when this is dropped.
struct Task(JoinHandle<()>);

impl Task {
    fn spawn(task: impl Future<Output = ()> + 'static) -> Self {
        Self(tokio::task::spawn_local(task))
    }

    /// Waits until it has ended.
    async fn ended(mut self) {
        // It is not aborted before, and a panic is its end.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Acceptor<A, M> {
    http: Http,
    admission: A,
    make_service: M,
    open: Rc<OpenConnections>,
}

impl<A, M, S, B> Acceptor<A, M>
where
    A: Admission,
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

    async fn serve(self: Rc<Self>, listener: ListenerId, mut stream: TcpStream, peer: SocketAddr) {
        let Some(open) = self.open.open() else { return };
        // Both fail only if the client is already gone.
        let (Ok(local), Ok(())) = (stream.local_addr(), stream.set_nodelay(true)) else {
            return;
        };
        let mut connection = Connection {
            listener,
            peer,
            local,
            routes: None,
            tls: None,
            server_name: None,
            accepted: Instant::now(),
        };
        let admitted = match self.admission.admit(&connection, &stream) {
            Ok(admitted) => admitted,
            Err(refused) => return self.admission.refused(&connection, &refused),
        };
        connection.listener = admitted.listener;
        connection.local = admitted.destination;
        let listed = self.open.add();
        if admitted.proxy_protocol {
            let taken = tokio::select! {
                taken = proxy_protocol::take(&mut stream) => taken,
                () = listed.slot.ended() => return,
            };
            match taken {
                Ok(Some((client, destination))) => {
                    (connection.peer, connection.local) = (client, destination);
                }
                // It is of the other end itself.
                Ok(None) => {}
                Err(refused) => return self.admission.refused(&connection, &refused),
            }
        }
        match admitted.chains {
            None => {
                self.read((stream, None), &connection, (listed, open)).await;
            }
            // Boxed, so that connections without a choice need no room for it.
            Some(chains) => {
                Box::pin(self.choose(&chains, stream, connection, (listed, open))).await;
            }
        }
    }

    /// Serves a connection by the filter chain that takes it.
    async fn choose(
        &self,
        chains: &FilterChains,
        stream: TcpStream,
        mut connection: Connection,
        (listed, open): (Listed, Open),
    ) {
        listed.slot.settle(false);
        let taken = tokio::select! {
            taken = chains.take(stream, connection.local) => taken,
            // It has not asked for anything yet.
            () = listed.slot.ended() => return,
        };
        let taken = match taken {
            Ok(taken) => taken,
            // A client whose handshake failed was told by an alert.
            Err(refused) => return self.admission.refused(&connection, &refused),
        };
        listed.slot.settle(true);
        connection.routes = taken.routes;
        connection.tls = taken.tls;
        connection.server_name = taken.server_name;
        if connection.routes.is_some() {
            let taken = (taken.stream, taken.tracked);
            return self.read(taken, &connection, (listed, open)).await;
        }
        let over = match taken.tracked {
            Some(tracked) => Some(Task::spawn(async move { tracked.draining().await })),
            None if connection.tls.is_none() => {
                let chain = Some(Arc::clone(&taken.chain));
                let outlived = self.admission.outlived(connection.clone(), chain);
                Some(Task::spawn(outlived))
            }
            None => None,
        };
        let forwarding = self
            .admission
            .forward(connection, taken.chain, taken.stream);
        let Some(over) = over else {
            return forwarding.await;
        };
        // Bytes have no end to wait for.
        tokio::select! {
            () = forwarding => {}
            () = over.ended() => {}
        }
    }

    /// Reads HTTP.
    async fn read<I>(
        &self,
        (io, tracked): (I, Option<Tracked>),
        connection: &Connection,
        (listed, open): (Listed, Open),
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = (self.make_service)(connection);
        let slot = Rc::clone(&listed.slot);
        let tracked = tracked.map(Rc::new);
        let ending = Rc::clone(&slot);
        // Until it is closed.
        let _over = match tracked.clone() {
            Some(tracked) => Some(Task::spawn(async move {
                tracked.draining().await;
                ending.end();
            })),
            None if connection.tls.is_none() => {
                let outlived = self.admission.outlived(connection.clone(), None);
                Some(Task::spawn(async move {
                    outlived.await;
                    ending.end();
                }))
            }
            None => None,
        };
        self.http.serve(io, service, (slot, open)).await;
    }
}
