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
use tokio::time::sleep;

/// How long a connection may be open: a client that is slow keeps no other waiting, but a socket.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait when no connection can be accepted, for want of file descriptors mostly.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

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

/// Answers what is asked, one request a connection, for ever.
///
/// Where no connection can be accepted for lack of something, such as file descriptors, that is tried
/// again after a tenth of a second: what the program serves does not depend on those who ask about it.
///
/// # Errors
///
/// The system does not tell of connections to the socket.
pub async fn serve<F, A>(listener: StdTcpListener, answer: F) -> io::Result<()>
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = next_client(|| listener.accept()).await;
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

/// Accepts until there is a client, with pauses where there is none to be had.
async fn next_client<T, F>(mut accept: impl FnMut() -> F) -> T
where
    F: Future<Output = io::Result<T>>,
{
    loop {
        match accept().await {
            Ok(client) => return client,
            Err(_) => sleep(ACCEPT_RETRY).await,
        }
    }
}

/// An answer in words.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text.into()));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_asks_is_accepted_again_when_there_is_room() {
        const EMFILE: i32 = 24;
        let start = Instant::now();
        let mut results = vec![
            Ok("client"),
            Err(io::ErrorKind::ConnectionAborted.into()),
            Err(io::Error::from_raw_os_error(EMFILE)),
        ];
        let client = next_client(|| ready(results.pop().unwrap())).await;
        assert_eq!(client, "client");
        assert_eq!(start.elapsed(), 2 * ACCEPT_RETRY);
    }
}
