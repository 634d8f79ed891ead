//! One request on one connection.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::echo::{SEEN, Seen, ServiceName};
use super::lines::Answer;
use super::tls::{self, Tls};

/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A request to send.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// HTTP/2 without negotiation.
    pub(crate) http2: bool,
    /// TLS around it.
    pub(crate) tls: Option<Tls>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Headers, and trailers after them.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The values of a field, joined.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let name = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).ok()?;
        let values = self.headers.get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        (!values.is_empty()).then(|| values.join(","))
    }

    /// The request as an echo service saw it, if one answered.
    pub(crate) fn seen(&self) -> Option<Seen> {
        let header = self.headers.get(SEEN);
        serde_json::from_slice(header.map_or(&self.body, HeaderValue::as_bytes)).ok()
    }

    /// The service that answered, if one did.
    pub(crate) fn service(&self) -> Option<ServiceName> {
        let seen = self.seen().map(|seen| seen.service);
        seen.or_else(|| Some(serde_json::from_slice::<Answer>(&self.body).ok()?.service))
    }
}

/// Sends `call` to `address`. The error is why there is no answer.
pub(crate) async fn send(address: SocketAddr, call: &Call) -> Result<Reply, String> {
    let exchange = exchange(address, call);
    match tokio::time::timeout(TIMEOUT, exchange).await {
        Ok(result) => result,
        Err(_) => Err(format!("no answer within {TIMEOUT:?}")),
    }
}

async fn exchange(address: SocketAddr, call: &Call) -> Result<Reply, String> {
    let connected = connect(address, call.tls.as_ref()).await?;
    let http2 = call.http2 || connected.protocol.as_deref() == Some("h2");
    let request = request(call, http2)?;
    let io = TokioIo::new(connected.io);
    let response = if http2 {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io)
            .await
            .map_err(text)?;
        tokio::spawn(connection);
        sender.send_request(request).await
    } else {
        let (mut sender, connection) = http1::handshake(io).await.map_err(text)?;
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    let (head, body) = response.map_err(text)?.into_parts();
    let body = body.collect().await.map_err(text)?;
    let mut headers = head.headers;
    if let Some(trailers) = body.trailers() {
        headers.extend(trailers.clone());
    }
    Ok(Reply {
        status: head.status.as_u16(),
        headers,
        body: body.to_bytes(),
    })
}

/// Bytes in both directions.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection.
pub(super) struct Connected {
    pub(super) io: Box<dyn Io>,
    /// The application protocol that TLS settled.
    pub(super) protocol: Option<String>,
}

/// Connects, and speaks TLS if that is wanted. The error is why there is no connection.
pub(super) async fn connect(address: SocketAddr, tls: Option<&Tls>) -> Result<Connected, String> {
    let stream = TcpStream::connect(address).await.map_err(text)?;
    let Some(tls) = tls else {
        return Ok(Connected {
            io: Box::new(stream),
            protocol: None,
        });
    };
    let stream = tls::connect(stream, address, tls).await?;
    let protocol = stream.get_ref().1.alpn_protocol();
    Ok(Connected {
        protocol: protocol.map(|name| String::from_utf8_lossy(name).into_owned()),
        io: Box::new(stream),
    })
}

/// Connects and speaks TLS, and nothing else. The error is why that fails.
pub(crate) async fn handshake(address: SocketAddr, tls: &Tls) -> Result<(), String> {
    let connecting = connect(address, Some(tls));
    match tokio::time::timeout(TIMEOUT, connecting).await {
        Ok(connected) => connected.map(|_| ()),
        Err(_) => Err(format!("no handshake within {TIMEOUT:?}")),
    }
}

fn request(call: &Call, http2: bool) -> Result<Request<Full<Bytes>>, String> {
    let path = if call.path.starts_with('/') {
        call.path.clone()
    } else {
        format!("/{}", call.path)
    };
    let uri = match (http2, &call.tls) {
        (true, None) => format!("http://{}{path}", call.host),
        (true, Some(_)) => format!("https://{}{path}", call.host),
        (false, _) => path,
    };
    let mut request = Request::new(Full::new(call.body.clone()));
    *request.uri_mut() = uri.parse::<Uri>().map_err(text)?;
    *request.method_mut() = call.method.parse::<Method>().map_err(text)?;
    let headers = request.headers_mut();
    if !http2 {
        headers.insert(HOST, HeaderValue::from_str(&call.host).map_err(text)?);
    }
    for (name, value) in &call.headers {
        let name: HeaderName = name.parse().map_err(text)?;
        headers.append(name, HeaderValue::from_str(value).map_err(text)?);
    }
    Ok(request)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
