//! One connection to an endpoint.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tower_service::Service;

use super::failure::Failure;
use super::open::{Counted, Open};
use super::settings::PoolSettings;
use super::transport::Generation;
use crate::service::{SwitchedRequest, Target};

/// How long it may take until idle connections to an endpoint that has gone are closed.
const LOOK: Duration = Duration::from_secs(10);

/// Any error.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connection that requests can be sent on.
pub(super) struct Connection<B> {
    pub(super) sender: Sender<B>,
    pub(super) usage: Arc<Usage>,
}

/// What requests are written to.
pub(super) enum Sender<B> {
    Http1(http1::SendRequest<B>),
    Http2(http2::SendRequest<B>),
}

/// How a connection is used.
#[derive(Debug)]
pub(super) struct Usage {
    /// By which transport it was made.
    pub(super) generation: Generation,
    /// Requests whose response has not ended.
    active: AtomicU32,
    /// Most requests at a time that the endpoint takes: `SETTINGS_MAX_CONCURRENT_STREAMS` (RFC 9113
    /// §5.1.2).
    max_streams: AtomicUsize,
    /// What the endpoint sent first was read: its settings, if it speaks HTTP/2.
    has_begun: Notify,
    /// Requests so far.
    requests: AtomicU32,
    /// What is kept if the connection goes on in another protocol.
    pub(super) switched: SwitchedRequest,
    /// Whether it takes no further requests.
    retired: AtomicBool,
    last: Mutex<Instant>,
}

impl Usage {
    fn new(generation: Generation) -> Self {
        Self {
            generation,
            active: AtomicU32::new(0),
            max_streams: AtomicUsize::new(usize::MAX),
            has_begun: Notify::new(),
            requests: AtomicU32::new(0),
            switched: SwitchedRequest::default(),
            retired: AtomicBool::new(false),
            last: Mutex::new(Instant::now()),
        }
    }

    pub(super) fn begin(&self, max_requests: u32) {
        self.active.fetch_add(1, Ordering::Relaxed);
        if self.requests.fetch_add(1, Ordering::Relaxed) + 1 >= max_requests {
            self.retire();
        }
    }

    pub(super) fn end(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.active.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether the endpoint takes a further request now, and `max_streams` are not reached.
    pub(super) fn has_room(&self, max_streams: u32) -> bool {
        let active = self.active();
        active < max_streams && (active as usize) < self.max_streams.load(Ordering::Relaxed)
    }

    /// What the endpoint sent first was read.
    pub(super) fn begun(&self) {
        self.has_begun.notify_one();
    }

    pub(super) fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// When it has been idle for too long, as far as is known now.
    fn idle_until(&self, idle: Duration) -> Instant {
        let last = match self.active() {
            0 => *self.last.lock().unwrap_or_else(PoisonError::into_inner),
            _ => Instant::now(),
        };
        last + idle
    }
}

impl<B> Connection<B> {
    pub(super) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }
}

impl<B: Body + Send + 'static> Sender<B> {
    /// Waits until a request can be written.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        let ready = match self {
            Self::Http1(sender) => sender.ready().await,
            Self::Http2(sender) => sender.ready().await,
        };
        ready.map_err(|_| Failure::Terminated)
    }

    /// Sends a request. One that was not written comes back with the error.
    pub(super) async fn send(
        &mut self,
        request: Request<B>,
    ) -> Result<Response<Incoming>, TrySendError<Request<B>>> {
        match self {
            Self::Http1(sender) => sender.try_send_request(request).await,
            Self::Http2(sender) => sender.try_send_request(request).await,
        }
    }
}

/// What making a connection needs.
pub(super) struct Establish<'a, B> {
    pub(super) target: &'a Target,
    pub(super) settings: &'a PoolSettings,
    pub(super) is_http2: bool,
    pub(super) generation: Generation,
    /// Held as long as the connection lasts.
    pub(super) open: Arc<Open<B>>,
}

/// Makes a connection, and runs it until it is closed, idle for too long, or without requests and too old
/// or to an endpoint that has gone.
pub(super) async fn establish<C, B>(
    connector: &mut C,
    establish: Establish<'_, B>,
) -> Result<Connection<B>, Failure>
where
    C: Service<Target>,
    C::Response: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let making = async {
        let ready = poll_fn(|cx| connector.poll_ready(cx)).await;
        ready.map_err(|_| Failure::Connect)?;
        let stream = connector.call(establish.target.clone()).await;
        let stream = stream.map_err(|_| Failure::Connect)?;
        let connected = handshake(stream, &establish).await;
        connected.map_err(|_| Failure::Connect)
    };
    let made = timeout(establish.settings.connect_timeout, making).await;
    made.unwrap_or(Err(Failure::ConnectTimeout))
}

/// Begins to speak HTTP on a stream.
async fn handshake<T, B>(stream: T, establish: &Establish<'_, B>) -> hyper::Result<Connection<B>>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let Establish { settings, open, .. } = establish;
    let usage = Arc::new(Usage::new(establish.generation));
    let io = TokioIo::new(Counted::new(stream, open, &usage));
    let closing = Closing {
        open: Arc::downgrade(open),
        usage: Arc::clone(&usage),
        idle: settings.idle_timeout,
        age: settings.max_connection_duration,
    };
    let sender = if establish.is_http2 {
        let (sender, connection) = http2(settings).handshake(io).await?;
        let driver = drive(
            connection,
            |connection| connection.current_max_send_streams(),
            Arc::clone(&usage),
        );
        tokio::spawn(closing.run(driver));
        Sender::Http2(sender)
    } else {
        let (sender, connection) = http1::Builder::new().handshake(io).await?;
        tokio::spawn(closing.run(connection.with_upgrades()));
        Sender::Http1(sender)
    };
    Ok(Connection { sender, usage })
}

fn http2(settings: &PoolSettings) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new());
    if let Some((interval, timeout)) = settings.keepalive {
        builder
            .keep_alive_interval(interval)
            .keep_alive_timeout(timeout)
            .keep_alive_while_idle(true);
    }
    builder
}

/// Drives an HTTP/2 connection, and follows how many requests the endpoint takes at a time. The driver
/// learns of its settings only when it is polled: for their sake once they are read.
async fn drive<D>(connection: D, max_streams: impl Fn(&D) -> usize, usage: Arc<Usage>)
where
    D: Future + Unpin,
{
    let mut connection = connection;
    let mut begun = pin!(usage.has_begun.notified());
    let mut has_begun = false;
    poll_fn(|cx| {
        has_begun = has_begun || begun.as_mut().poll(cx).is_ready();
        let polled = Pin::new(&mut connection).poll(cx).map(drop);
        let max_streams = max_streams(&connection);
        usage.max_streams.store(max_streams, Ordering::Relaxed);
        polled
    })
    .await;
}

/// When a connection is closed from our side.
struct Closing<B> {
    open: Weak<Open<B>>,
    usage: Arc<Usage>,
    idle: Option<Duration>,
    age: Option<Duration>,
}

impl<B> Closing<B> {
    /// Drives the connection. To drop it closes it.
    async fn run<D: Future>(self, driver: D) {
        let mut driver = pin!(driver);
        let old = self.age.map(|age| Instant::now() + age);
        loop {
            let look = Instant::now() + LOOK;
            let idle = self.idle.map(|idle| self.usage.idle_until(idle));
            let look = idle.map_or(look, |idle| idle.min(look));
            let old = old.filter(|_| !self.usage.is_retired());
            tokio::select! {
                _ = &mut driver => break,
                () = until(old) => self.usage.retire(),
                () = sleep_until(look) => {
                    if self.is_idle_for_too_long() || self.has_endpoint_gone() {
                        self.usage.retire();
                    }
                }
            }
            if self.usage.is_retired() && self.usage.active() == 0 {
                break;
            }
        }
    }

    fn is_idle_for_too_long(&self) -> bool {
        let now = Instant::now();
        let is_over = |idle| self.usage.idle_until(idle) <= now;
        self.idle.is_some_and(is_over)
    }

    fn has_endpoint_gone(&self) -> bool {
        let open = self.open.upgrade();
        open.is_some_and(|open| open.host.has_endpoint_gone())
    }
}

/// Completes at a time, if there is one.
pub(super) async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
