//! The connections to one endpoint, and the requests that wait for one.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body::Body;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tower_service::Service;

use super::connection::{BoxError, Connection, Establish, Sender, Usage, establish};
use super::failure::Failure;
use super::settings::PoolSettings;
use crate::circuit_breaker::{Permit, Resource};
use crate::service::Target;

/// The connections to an endpoint over one version of HTTP.
pub(super) struct Host<B> {
    is_http2: bool,
    state: Mutex<State<B>>,
    /// A connection can be used, or another one be made.
    freed: Notify,
}

struct State<B> {
    /// HTTP/1.1 connections without a request, the one used last at the end; all HTTP/2 connections
    /// that take requests.
    available: Vec<Connection<B>>,
    /// Connections that are there or being made.
    open: usize,
    connecting: usize,
}

/// What a request can do now.
enum Step<B> {
    Use(Connection<B>),
    Connect(Permit),
    Wait,
}

impl<B> Host<B> {
    pub(super) fn new(is_http2: bool) -> Self {
        let state = State {
            available: Vec::new(),
            open: 0,
            connecting: 0,
        };
        Self {
            is_http2,
            state: Mutex::new(state),
            freed: Notify::new(),
        }
    }

    /// Whether there are no connections, and none is being made.
    pub(super) fn is_unused(&self) -> bool {
        self.state().open == 0
    }

    fn state(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection, or the right to make one.
    fn step(&self, target: &Target, settings: &PoolSettings) -> Step<B> {
        let mut state = self.state();
        let is_usable =
            |connection: &Connection<B>| !connection.is_closed() && !connection.usage.is_retired();
        state.available.retain(is_usable);
        if let Some(connection) = self.take(&mut state, settings) {
            return Step::Use(connection);
        }
        // A connection that is being made will take more than one request.
        if self.is_http2 && state.connecting > 0 {
            return Step::Wait;
        }
        let permit = target.breakers.acquire(Resource::Connections);
        let is_first = state.open == 0;
        let permit = permit.or_else(|| is_first.then(|| target.breakers.acquire_beyond_limit()));
        match permit {
            Some(permit) => {
                state.open += 1;
                state.connecting += 1;
                Step::Connect(permit)
            }
            None => Step::Wait,
        }
    }

    fn take(&self, state: &mut State<B>, settings: &PoolSettings) -> Option<Connection<B>> {
        let connection = if self.is_http2 {
            let has_room =
                |connection: &&Connection<B>| connection.usage.active() < settings.max_streams;
            let connection = state.available.iter().find(has_room)?;
            connection.share()?
        } else {
            state.available.pop()?
        };
        connection.usage.begin(settings.max_requests);
        Some(connection)
    }

    /// Gives back the right to make a connection.
    fn give_up(&self, step: &Step<B>) {
        if let Step::Connect(_) = step {
            self.connected(None);
        }
    }

    fn connected(&self, connection: Option<&Connection<B>>) {
        let mut state = self.state();
        state.connecting -= 1;
        match connection {
            Some(connection) => state.available.extend(connection.share()),
            None => state.open -= 1,
        }
        drop(state);
        match self.is_http2 {
            // The others can share it.
            true => self.freed.notify_waiters(),
            false => self.freed.notify_one(),
        }
    }

    fn closed(&self) {
        self.state().open -= 1;
        self.freed.notify_one();
    }

    fn put_back(&self, connection: Connection<B>) {
        if !connection.usage.is_retired() && !connection.is_closed() {
            self.state().available.push(connection);
        }
        self.freed.notify_one();
    }
}

impl<B> Host<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Waits for a connection.
    pub(super) async fn connection<C>(
        self: &Arc<Self>,
        connector: &mut C,
        target: &Target,
        settings: &PoolSettings,
    ) -> Result<Lease<B>, Failure>
    where
        C: Service<Target>,
        C::Response: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut pending: Option<Permit> = None;
        loop {
            // Registered before the look, so that what is freed in between is not missed.
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            let step = self.step(target, settings);
            if let Step::Use(connection) = step {
                return Ok(Lease::new(self, connection, false));
            }
            pending = pending.or_else(|| target.breakers.acquire(Resource::PendingRequests));
            if pending.is_none() {
                self.give_up(&step);
                return Err(Failure::Overflow);
            }
            match step {
                Step::Connect(permit) => {
                    let establish = Establish {
                        target,
                        settings,
                        is_http2: self.is_http2,
                        permit,
                    };
                    return self.connect(connector, establish).await;
                }
                Step::Wait | Step::Use(_) => freed.await,
            }
        }
    }

    async fn connect<C>(
        self: &Arc<Self>,
        connector: &mut C,
        establishing: Establish<'_>,
    ) -> Result<Lease<B>, Failure>
    where
        C: Service<Target>,
        C::Response: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let max_requests = establishing.settings.max_requests;
        let mut attempt = Attempt(Some(self));
        let closed = {
            let host = Arc::clone(self);
            move || host.closed()
        };
        let connection = establish(connector, establishing, closed).await?;
        connection.usage.begin(max_requests);
        attempt.0 = None;
        self.connected(Some(&connection));
        Ok(Lease::new(self, connection, true))
    }
}

/// A connection that is being made. Dropped before it is there, it makes room for another.
struct Attempt<'a, B>(Option<&'a Arc<Host<B>>>);

impl<B> Drop for Attempt<'_, B> {
    fn drop(&mut self) {
        if let Some(host) = self.0.take() {
            host.connected(None);
        }
    }
}

impl<B> Connection<B> {
    /// The same connection for another request, if it takes several at a time.
    fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => Some(Self {
                sender: Sender::Http2(sender.clone()),
                usage: Arc::clone(&self.usage),
            }),
        }
    }
}

/// The use of a connection by one request. It is given back when this is dropped.
pub(super) struct Lease<B: Body + Send + 'static> {
    host: Arc<Host<B>>,
    connection: Option<Sender<B>>,
    usage: Arc<Usage>,
    /// Whether the connection was made for this request.
    pub(super) is_new: bool,
}

impl<B: Body + Send + 'static> Lease<B> {
    fn new(host: &Arc<Host<B>>, connection: Connection<B>, is_new: bool) -> Self {
        Self {
            host: Arc::clone(host),
            connection: Some(connection.sender),
            usage: connection.usage,
            is_new,
        }
    }

    /// Whether other requests may still use the connection: it is HTTP/2, and not closed.
    pub(super) fn is_shared_and_open(&self) -> bool {
        match &self.connection {
            Some(Sender::Http2(sender)) => !sender.is_closed(),
            Some(Sender::Http1(_)) | None => false,
        }
    }

    /// What the request is written to.
    pub(super) fn sender(&mut self) -> Option<&mut Sender<B>> {
        self.connection.as_mut()
    }
}

impl<B: Body + Send + 'static> Drop for Lease<B> {
    fn drop(&mut self) {
        self.usage.end();
        let Some(Sender::Http1(mut sender)) = self.connection.take() else {
            // An HTTP/2 connection has room for one request more.
            self.host.freed.notify_one();
            return;
        };
        let (host, usage) = (Arc::clone(&self.host), Arc::clone(&self.usage));
        let put_back = move |sender| {
            let sender = Sender::Http1(sender);
            host.put_back(Connection { sender, usage });
        };
        if sender.is_ready() || sender.is_closed() {
            put_back(sender);
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // The rest of the exchange is still on its way, or the connection closes.
            runtime.spawn(async move {
                let _ = sender.ready().await;
                put_back(sender);
            });
        }
    }
}

impl<B: Body + Send + 'static> fmt::Debug for Lease<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}
