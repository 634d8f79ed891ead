//! A request and its response.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};

use super::connection::{Connection, Idle, Received, Switched};
use super::decode::Decoder;
use super::head::Head;
use super::streaming::{Link, Sender, Streaming};
use super::upload::Upload;
use crate::body::Body;
use crate::upstream::error::{BoxError, UpstreamError};

/// A request, until its response begins.
pub(in crate::upstream) struct Exchange<B> {
    parts: Parts,
    upload: Upload<B>,
    max_head: usize,
}

/// What an upstream answers.
pub(in crate::upstream) struct Answer {
    pub(in crate::upstream) response: Response<Body>,
    /// The connection, if it speaks another protocol from now on.
    pub(in crate::upstream) switched: Option<Switched>,
}

impl<B> Exchange<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(in crate::upstream) fn new(request: Request<B>, max_head: usize) -> Self {
        let (mut parts, body) = request.into_parts();
        let upload = Upload::new(&mut parts, body);
        Self {
            parts,
            upload,
            max_head,
        }
    }

    /// Prepares to send the request on `connection`.
    ///
    /// If it was begun on another, then nothing of it was written there.
    pub(in crate::upstream) fn begin(&mut self, connection: &mut Connection) {
        connection.begin();
        let scratch = std::mem::take(&mut connection.scratch);
        self.upload.begin(&self.parts, scratch);
    }

    /// Whether nothing was written, so that the request can be sent on another connection.
    pub(in crate::upstream) fn is_unsent(&self) -> bool {
        self.upload.is_unsent()
    }

    /// Sends the request, and waits for the head of the response.
    pub(in crate::upstream) fn poll(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Head, UpstreamError>> {
        loop {
            let sent = self.upload.poll_send(&mut connection.transport, cx);
            // An upstream may refuse a body by closing; what it says before is the answer.
            if let Poll::Ready(Err(error)) = sent
                && (self.is_unsent() || !matches!(error, UpstreamError::Terminated(_)))
            {
                return Poll::Ready(Err(error));
            }
            let Parts {
                method, headers, ..
            } = &mut self.parts;
            let Received { buffer, parser, .. } = &mut connection.received;
            let parsed = parser.parse(buffer, method, self.max_head, headers);
            let Some(head) = parsed.map_err(UpstreamError::protocol)? else {
                ready!(poll_more(connection, cx))?;
                continue;
            };
            match head.status {
                StatusCode::CONTINUE => self.upload.go_on(),
                status
                    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS => {}
                _ => return Poll::Ready(Ok(head)),
            }
        }
    }

    /// Makes the response of `head` and what follows it on `connection`, which goes to `idle`
    /// when that has ended.
    pub(in crate::upstream) fn answer(
        &mut self,
        head: Head,
        mut connection: Box<Connection>,
        idle: &Rc<Idle>,
    ) -> Answer {
        let mut response = Response::new(Body::default());
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        // They tell of the exchange; and what they are kept in is not allocated anew.
        *response.extensions_mut() = std::mem::take(&mut self.parts.extensions);
        response.extensions_mut().insert(connection.known.clone());
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            let switched = Some(connection.switch());
            return Answer { response, switched };
        }
        let is_sent = self.upload.is_complete();
        if is_sent {
            connection.scratch = self.upload.take_scratch();
        }
        let decoder = Decoder::new(head.length);
        let idle = (head.keep_alive && is_sent).then(|| Rc::clone(idle));
        if !decoder.is_end() {
            let link = if is_sent {
                Link::Exclusive(connection)
            } else {
                self.detach(*connection)
            };
            let streaming = Streaming::new(decoder, link, idle);
            *response.body_mut() = Body::streaming(streaming);
        } else if let Some(idle) = idle {
            idle.release(connection);
        }
        Answer {
            response,
            switched: None,
        }
    }

    /// Goes on sending the request by a task of its own, while the response is received.
    ///
    /// The body of a response is polled only as fast as the client reads it. A client that first
    /// writes, and then reads, must not be kept from writing by that.
    fn detach(&mut self, connection: Connection) -> Link {
        let connection = Rc::new(RefCell::new(connection));
        let mut upload = self.upload.take();
        let shared = Rc::downgrade(&connection);
        let task = tokio::task::spawn_local(poll_fn(move |cx| match shared.upgrade() {
            // An error shows in the response, if it matters.
            Some(shared) => upload
                .poll_send(&mut shared.borrow_mut().transport, cx)
                .map(drop),
            // The response has ended.
            None => Poll::Ready(()),
        }));
        let _sender = Sender::new(task);
        Link::Shared {
            connection,
            _sender,
        }
    }
}

fn poll_more(connection: &mut Connection, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
    let read = ready!(connection.poll_fill(cx)).map_err(UpstreamError::terminated)?;
    if read == 0 {
        let closed = io::Error::from(io::ErrorKind::UnexpectedEof);
        return Poll::Ready(Err(UpstreamError::terminated(closed)));
    }
    Poll::Ready(Ok(()))
}
