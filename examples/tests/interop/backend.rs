//! Services that answer with the request that they saw.

use std::convert::Infallible;
use std::net::SocketAddr;

use examples::body::Body;
use examples::serve::{Connection, Limits, Workers};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tower::service_fn;

/// The services, one a thread's listener. They stop when this is dropped.
pub(crate) struct Backends {
    _workers: Workers,
    addresses: Vec<SocketAddr>,
}

impl Backends {
    /// Starts `count` services on ports that the system chooses.
    pub(crate) fn start(count: u64) -> Self {
        let workers = Workers::start(1, Limits::default(), || {
            |connection: &Connection| {
                let backend = connection.listener;
                service_fn(move |request| respond(backend, request))
            }
        })
        .expect("a thread can be started");
        let listen = |id| workers.listen(id, ([127, 0, 0, 1], 0).into());
        let addresses = (0..count).map(|id| listen(id).expect("loopback has a port"));
        let addresses = addresses.collect();
        Self {
            _workers: workers,
            addresses,
        }
    }

    /// Where each listens.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

async fn respond(backend: u64, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let headers: Vec<Value> = head
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let seen = json!({
        "backend": backend,
        "method": head.method.as_str(),
        "path": head.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body.unwrap_or_default()),
    });
    let mut response = Response::new(Body::from(bytes::Bytes::from(seen.to_string())));
    // Fields for the operations on responses to find.
    for (name, value) in [
        ("x-a", "from the backend"),
        ("x-b", "one"),
        ("x-b", "two"),
        ("server", "backend"),
        ("vary", "accept"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().append(name, value);
    }
    Ok(response)
}
