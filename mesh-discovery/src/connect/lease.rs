//! The use of a connection by one request.

use std::fmt;
use std::sync::Arc;

use http_body::Body;

use super::connection::{Connection, Sender, Usage};
use super::host::Host;
use crate::service::SwitchedRequest;

/// The use of a connection by one request. It is given back when this is dropped.
pub(super) struct Lease<B: Body + Send + 'static> {
    host: Arc<Host<B>>,
    connection: Option<Sender<B>>,
    usage: Arc<Usage>,
    /// Whether the connection was made for this request.
    pub(super) is_new: bool,
}

impl<B: Body + Send + 'static> Lease<B> {
    pub(super) fn new(host: &Arc<Host<B>>, connection: Connection<B>, is_new: bool) -> Self {
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

    /// Counts the request until the connection is closed, if that is to go on in another protocol by
    /// itself: a tunnel through HTTP/2 is a stream of a connection for others, too.
    pub(super) fn switched(&self) -> Option<SwitchedRequest> {
        match &self.connection {
            Some(Sender::Http1(_)) => Some(self.usage.switched.clone()),
            Some(Sender::Http2(_)) | None => None,
        }
    }

    /// What the request is written to.
    pub(super) fn sender(&mut self) -> Option<&mut Sender<B>> {
        self.connection.as_mut()
    }
}

impl<B: Body + Send + 'static> Drop for Lease<B> {
    fn drop(&mut self) {
        let Some(Sender::Http1(mut sender)) = self.connection.take() else {
            self.usage.end();
            if self.usage.is_retired() {
                self.host.forget_retired();
            }
            self.host.has_room();
            return;
        };
        let (host, usage) = (Arc::clone(&self.host), Arc::clone(&self.usage));
        let put_back = move |sender| {
            usage.end();
            let sender = Sender::Http1(sender);
            host.put_back(Connection { sender, usage });
        };
        if sender.is_ready() || sender.is_closed() {
            put_back(sender);
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // The rest of the exchange is still on its way, which is a use of the connection, or that closes.
            runtime.spawn(async move {
                let _ = sender.ready().await;
                put_back(sender);
            });
        } else {
            self.usage.end();
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
