//! One request on one connection.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::echo::Seen;

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
        serde_json::from_slice(&self.body).ok()
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
    let request = request(call)?;
    let stream = TcpStream::connect(address).await.map_err(text)?;
    let io = TokioIo::new(stream);
    let response = if call.http2 {
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

fn request(call: &Call) -> Result<Request<Full<Bytes>>, String> {
    let path = if call.path.starts_with('/') {
        call.path.clone()
    } else {
        format!("/{}", call.path)
    };
    let uri = if call.http2 {
        format!("http://{}{path}", call.host)
    } else {
        path
    };
    let mut request = Request::new(Full::new(call.body.clone()));
    *request.uri_mut() = uri.parse::<Uri>().map_err(text)?;
    *request.method_mut() = call.method.parse::<Method>().map_err(text)?;
    let headers = request.headers_mut();
    if !call.http2 {
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
