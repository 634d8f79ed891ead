//! Services that answer with what they were asked.
//!
//! They stand for the echo servers of the suites: `?delay=1s` answers later, the header
//! `x-echo-set-header` (`name:value, …`) sets response headers, and a gRPC call succeeds.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use mesh_core::duration::Duration;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::proxy::NEEDS;

/// Sets headers of the response.
pub(crate) const SET_HEADER: &str = "x-echo-set-header";

/// Names the service in the trailers and headers of its answers.
pub(crate) const SERVICE: &str = "x-echo-service";

/// An empty gRPC message: not compressed, no bytes.
const EMPTY_MESSAGE: &[u8] = &[0; 5];

/// A service, by namespace and name.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct ServiceName {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// A request, as a service saw it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Seen {
    pub(crate) service: ServiceName,
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) host: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub(crate) protocol: String,
    /// By lower-case name; repeated fields are joined.
    pub(crate) headers: BTreeMap<String, String>,
}

/// What all services saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Seen>>>);

impl Log {
    fn push(&self, seen: Seen) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(seen);
    }

    /// Takes what was seen since the last call.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Starts a service on a port that the system chooses. It runs as long as the runtime.
pub(crate) async fn start(name: ServiceName, log: Log) -> io::Result<SocketAddr> {
    serve(move |request| respond(name.clone(), log.clone(), request)).await
}

/// Starts what stands for services that would have to be spoken to by TLS.
pub(crate) async fn start_in_need_of_tls() -> io::Result<SocketAddr> {
    serve(|_| async {
        let mut response = Response::new(Full::new(Bytes::new()).boxed());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let what = HeaderValue::from_static("needs TLS to the backends");
        response.headers_mut().insert(NEEDS, what);
        Ok(response)
    })
    .await
}

async fn serve<F, A>(answer: F) -> io::Result<SocketAddr>
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Result<Response<BoxBody<Bytes, Infallible>>, Infallible>> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = service_fn(answer.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                // A client that went away is no concern of the service.
                _ = server.serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    Ok(address)
}

async fn respond(
    service: ServiceName,
    log: Log,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let (head, body) = request.into_parts();
    // What the client sends is read to its end, as the suites' servers do.
    _ = body.collect().await;
    let seen = see(service, &head);
    log.push(seen.clone());
    if let Some(delay) = delay(head.uri.query().unwrap_or_default()) {
        tokio::time::sleep(delay).await;
    }
    let content_type = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_grpc = content_type.is_some_and(|value| value.starts_with(b"application/grpc"));
    Ok(if is_grpc {
        grpc(&seen)
    } else {
        json(&seen, &head.headers)
    })
}

fn see(service: ServiceName, head: &http::request::Parts) -> Seen {
    let host = head.headers.get(HOST).and_then(|value| value.to_str().ok());
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let field = headers.entry(name.as_str().to_owned());
        field
            .and_modify(|all| *all = format!("{all},{value}"))
            .or_insert_with(|| value.into());
    }
    Seen {
        service,
        method: head.method.to_string(),
        path: head
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default(),
        host: host.or(authority).unwrap_or_default().to_owned(),
        protocol: format!("{:?}", head.version),
        headers,
    }
}

fn delay(query: &str) -> Option<std::time::Duration> {
    let delay = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("delay="))?;
    delay.parse::<Duration>().ok()?.as_std()
}

fn json(seen: &Seen, asked: &HeaderMap) -> Response<BoxBody<Bytes, Infallible>> {
    let body = serde_json::to_vec(seen).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    name_service(headers, seen);
    for (name, value) in asked.get_all(SET_HEADER).iter().filter_map(set_header) {
        headers.append(name, value);
    }
    response
}

/// Reads `name:value`.
fn set_header(value: &HeaderValue) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = value.to_str().ok()?.split_once(':')?;
    Some((name.parse().ok()?, value.trim().parse().ok()?))
}

fn grpc(seen: &Seen) -> Response<BoxBody<Bytes, Infallible>> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [
        Frame::data(Bytes::from_static(EMPTY_MESSAGE)),
        Frame::trailers(trailers),
    ];
    let frames = futures_util::stream::iter(frames.map(Ok));
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    name_service(headers, seen);
    response
}

fn name_service(headers: &mut HeaderMap, seen: &Seen) {
    if let Ok(name) = HeaderValue::from_str(&seen.service.name) {
        headers.insert(SERVICE, name);
    }
}
