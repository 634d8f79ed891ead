//! A small HTTP server, for those who ask about a program: people, Prometheus, the kubelet.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// How long a connection may be open: a client that is slow keeps no other waiting, but a socket.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Binds an address that the command line gives as `argument`.
///
/// # Errors
///
/// It is not free, or none of this machine.
pub fn bind(address: SocketAddr, argument: &str) -> io::Result<StdTcpListener> {
    let listener = StdTcpListener::bind(address).map_err(|error| {
        let text = format!("{address}, of {argument}, is not free: {error}");
        io::Error::new(error.kind(), text)
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Answers what is asked, one request a connection.
///
/// # Errors
///
/// Connections cannot be accepted.
pub async fn serve<F, A>(listener: StdTcpListener, answer: F) -> io::Result<()>
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let answer = answer.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            let http = http.keep_alive(false);
            let connection = http.serve_connection(TokioIo::new(stream), answer);
            // The client's trouble is not ours.
            let _ = tokio::time::timeout(TIMEOUT, connection).await;
        });
    }
}

/// An answer in words.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text.into()));
    *response.status_mut() = status;
    response
}
