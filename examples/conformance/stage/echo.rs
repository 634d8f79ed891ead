//! Services that answer with what they were asked.
//!
//! They stand for the echo servers of the suites: `?delay=1s` answers later, the header
//! `x-echo-set-header` (`name:value, …`) sets response headers, `x-echo-simulate` asks for failures
//! before success, and a gRPC call succeeds.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;

use super::application::{self, Answering, Application, Negotiated, Spoken};

/// Sets headers of the response.
pub(crate) const SET_HEADER: &str = "x-echo-set-header";

/// Asks for failures: a [`Simulation`].
pub(crate) const SIMULATE: &str = "x-echo-simulate";

/// The request as the service saw it, where the body has no room for it.
pub(crate) const SEEN: &str = "x-echo-seen";

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
    /// What TLS settled, if the service speaks it.
    pub(crate) application_protocol: Option<String>,
    /// The server name of TLS.
    pub(crate) server_name: Option<String>,
    /// By lower-case name; repeated fields are joined.
    pub(crate) headers: BTreeMap<String, String>,
}

/// What all services saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    seen: Vec<Seen>,
    // How often each of the requests that are answered with failures has come.
    attempts: BTreeMap<String, u32>,
}

impl Log {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, seen: Seen) {
        self.entries().seen.push(seen);
    }

    /// How often the request has come before.
    fn attempts(&self, id: &str) -> u32 {
        let mut entries = self.entries();
        let attempts = entries.attempts.entry(id.to_owned()).or_default();
        *attempts += 1;
        *attempts - 1
    }

    /// Takes what was seen since the last call.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.entries().seen)
    }
}

/// Failures that a service shall answer a request with.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Simulation {
    /// Tells the request from others.
    pub(crate) id: String,
    /// The status of the failures.
    pub(crate) status: u16,
    /// How many failures there are before the request succeeds.
    pub(crate) failures: u32,
    /// How long each takes.
    pub(crate) delay: Option<String>,
}

/// The failure that the request asks for, if it has not had all of them.
async fn simulated(
    log: &Log,
    seen: &Seen,
    asked: &HeaderMap,
) -> Option<Response<BoxBody<Bytes, Infallible>>> {
    let simulation = asked.get(SIMULATE)?;
    let simulation: Simulation = serde_json::from_slice(simulation.as_bytes()).ok()?;
    if log.attempts(&simulation.id) >= simulation.failures {
        return None;
    }
    let delay = simulation.delay.as_deref().unwrap_or("0s");
    let delay = delay.parse::<Duration>().ok()?.as_std()?;
    tokio::time::sleep(delay).await;
    let mut response = json(seen, asked);
    *response.status_mut() = StatusCode::from_u16(simulation.status).ok()?;
    Some(response)
}

/// Starts a service on a port that the system chooses. It runs as long as the runtime.
pub(crate) async fn start(name: ServiceName, log: Log) -> io::Result<SocketAddr> {
    let http = Application::new(Spoken::Http);
    application::start(&Handle::current(), http, name, log)
}

/// Answers the requests of a connection.
pub(super) async fn serve<IO>(io: IO, answering: Answering)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = service_fn(move |request| respond(answering.clone(), request));
    let server = auto::Builder::new(TokioExecutor::new());
    // A client that went away is no concern of the service.
    _ = server.serve_connection(TokioIo::new(io), answer).await;
}

async fn respond(
    answering: Answering,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let (head, body) = request.into_parts();
    // What the client sends is read to its end, as the suites' servers do.
    _ = body.collect().await;
    let Answering { service, log, tls } = answering;
    let seen = see(service, tls.unwrap_or_default(), &head);
    log.push(seen.clone());
    if let Some(response) = simulated(&log, &seen, &head.headers).await {
        return Ok(response);
    }
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

fn see(service: ServiceName, tls: Negotiated, head: &http::request::Parts) -> Seen {
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
        application_protocol: tls.protocol,
        server_name: tls.server_name,
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
    if let Some(seen) = serde_json::to_vec(seen).ok().map(HeaderValue::try_from) {
        headers.extend(seen.ok().map(|seen| (HeaderName::from_static(SEEN), seen)));
    }
    name_service(headers, seen);
    response
}

fn name_service(headers: &mut HeaderMap, seen: &Seen) {
    if let Ok(name) = HeaderValue::from_str(&seen.service.name) {
        headers.insert(SERVICE, name);
    }
}
