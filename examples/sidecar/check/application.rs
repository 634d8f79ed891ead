use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use examples::body::Body;
use examples::serve::{Connection, Limits, Workers};
use http::{Request, Response};
use hyper::body::Incoming;
use tower::service_fn;

/// An application that knows nothing of the mesh: it answers with the request that it saw, and what
/// it was told of the caller.
pub(super) struct Application {
    pub(super) address: SocketAddr,
    _workers: Workers,
}

impl Application {
    pub(super) fn start() -> io::Result<Self> {
        let workers = Workers::start(1, Limits::default(), || {
            |_: &Connection| {
                service_fn(|request| async move { Ok::<_, Infallible>(answer(&request)) })
            }
        })?;
        let address = workers.listen(0, ([127, 0, 0, 1], 0).into())?;
        Ok(Self {
            address,
            _workers: workers,
        })
    }
}

fn answer(request: &Request<Incoming>) -> Response<Body> {
    let seen = format!("{} {}", request.method(), request.uri().path());
    let mut response = Response::new(Body::from(bytes::Bytes::from(seen)));
    if let Some(caller) = request.headers().get("x-forwarded-client-cert") {
        response.headers_mut().insert("x-caller", caller.clone());
    }
    response
}
