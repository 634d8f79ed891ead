//! The connections to one address.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use tokio::net::TcpStream;
use tokio::time;

use super::error::{BoxError, UpstreamError};
use super::h1::{Answer, Connection, Exchange, Idle};
use super::h2;
use super::pool::PoolSettings;
use crate::body::Body;

/// The connections to one address.
pub(super) struct Host<B> {
    address: SocketAddr,
    settings: PoolSettings,
    idle: Rc<Idle>,
    http2: h2::Connections<B>,
}

impl<B> Host<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(address: SocketAddr, settings: PoolSettings) -> Self {
        Self {
            address,
            settings,
            idle: Rc::default(),
            http2: h2::Connections::default(),
        }
    }

    /// Sends `request` on an idle connection, or on a new one.
    pub(super) fn send_http1(self: Rc<Self>, request: Request<B>) -> Http1Sending<B> {
        let exchange = Exchange::new(request, self.settings.max_response_headers);
        let mut sending = Http1Sending {
            exchange,
            carrier: Carrier::None,
            is_new: false,
            host: self,
        };
        sending.find_carrier();
        sending
    }

    /// Sends `request` on a connection with a stream to spare, or on a new one.
    pub(super) async fn send_http2(
        self: Rc<Self>,
        mut request: Request<B>,
    ) -> Result<Response<Body>, UpstreamError> {
        loop {
            let dial = || Rc::clone(&self).connect();
            let (connection, is_new) = self.http2.checkout(dial, &self.settings).await?;
            let mut failed = match connection.send(request).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            match failed.take_message() {
                Some(unsent) if !is_new => request = unsent,
                _ => return Err(UpstreamError::from(failed.into_error())),
            }
        }
    }

    async fn connect(self: Rc<Self>) -> Result<TcpStream, UpstreamError> {
        let connecting = TcpStream::connect(self.address);
        let stream = time::timeout(self.settings.connect_timeout, connecting)
            .await
            .map_err(|_elapsed| UpstreamError::ConnectTimeout)?
            .map_err(UpstreamError::Connect)?;
        stream.set_nodelay(true).map_err(UpstreamError::Connect)?;
        Ok(stream)
    }

    /// Drops what is closed, or unused for `max_sweeps`; false if nothing is left.
    pub(super) fn sweep(&self, max_sweeps: u32) -> bool {
        // Both are swept, whatever the other has left.
        self.idle.sweep(max_sweeps) | self.http2.sweep()
    }
}

/// A request on its way by HTTP/1.1.
pub(super) struct Http1Sending<B> {
    exchange: Exchange<B>,
    carrier: Carrier,
    // Whether the carrier was established for this request.
    is_new: bool,
    host: Rc<Host<B>>,
}

/// What carries a request.
enum Carrier {
    None,
    Connecting(Pin<Box<dyn Future<Output = Result<TcpStream, UpstreamError>>>>),
    Connected(Box<Connection>),
}

impl<B> Http1Sending<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Takes an idle connection, or else a new one.
    fn find_carrier(&mut self) {
        match self.host.idle.checkout() {
            Some(connection) => self.begin(connection),
            None => {
                self.is_new = true;
                self.carrier = Carrier::Connecting(Box::pin(Rc::clone(&self.host).connect()));
            }
        }
    }

    fn begin(&mut self, mut connection: Box<Connection>) {
        self.exchange.begin(&mut connection);
        self.carrier = Carrier::Connected(connection);
    }

    fn may_be_repeated(&self) -> bool {
        !self.is_new && self.exchange.is_unsent()
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, UpstreamError>> {
        loop {
            let head = match &mut self.carrier {
                Carrier::None => return Poll::Pending,
                Carrier::Connecting(connecting) => {
                    let stream = ready!(connecting.as_mut().poll(cx))?;
                    self.begin(Connection::new(stream));
                    continue;
                }
                Carrier::Connected(connection) => ready!(self.exchange.poll(connection, cx)),
            };
            let carrier = std::mem::replace(&mut self.carrier, Carrier::None);
            match (head, carrier) {
                (Ok(head), Carrier::Connected(connection)) => {
                    let answer = self.exchange.answer(head, connection, &self.host.idle);
                    return Poll::Ready(Ok(answer));
                }
                // It closed while it was idle.
                (Err(UpstreamError::Terminated(_)), _) if self.may_be_repeated() => {
                    self.find_carrier();
                }
                (Err(error), _) => return Poll::Ready(Err(error)),
                (Ok(_), _) => return Poll::Pending,
            }
        }
    }
}
