//! One request, on a connection of its own, as a client that keeps none.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use examples::once;
//! use http::Request;
//! use http_body_util::Full;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (client, mut server) = tokio::io::duplex(1024);
//! tokio::spawn(async move {
//!     server.read(&mut [0; 1024]).await?;
//!     server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ncart").await
//! });
//! let request = Request::get("/cart").body(Full::<Bytes>::default())?;
//! let response = once::send_on(client, request).await?;
//! assert_eq!((response.status().as_u16(), &response.body()[..]), (200, &b"cart"[..]));
//! # Ok(())
//! # }
//! ```

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// How many bytes of a body are read.
const MAX_BODY: usize = 1024 * 1024;

/// Sends a request to a server, and reads the whole response.
///
/// # Errors
///
/// The server is not reached, or its answer is not one.
pub async fn send(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, OnceError> {
    send_on(TcpStream::connect(address).await?, request).await
}

/// Sends a request on a connection, and reads the whole response.
///
/// A request without `host` gets its URI's authority, or an empty one.
///
/// # Errors
///
/// The connection breaks, or the answer is not one, or has more than a mebibyte.
pub async fn send_on<IO>(
    stream: IO,
    mut request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, OnceError>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let authority = request.uri().authority().map_or("", |host| host.as_str());
    if let Ok(host) = HeaderValue::from_str(authority) {
        request.headers_mut().entry(HOST).or_insert(host);
    }
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender, and its errors are those of the request.
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await;
    let body = body.map_err(OnceError::Body)?.to_bytes();
    Ok(Response::from_parts(head, body))
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnceError {
    /// The server is not reached.
    #[error("no connection")]
    Connect(#[from] io::Error),
    /// The exchange broke off.
    #[error("no answer")]
    Exchange(#[from] hyper::Error),
    /// The body broke off, or is too long.
    #[error("no whole body")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}
