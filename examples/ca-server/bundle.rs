//! The roots to trust, for whoever has no other way to get them.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::SocketAddr;

use examples::body::Body;
use examples::serve::{Connection, Limits, Workers};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use mesh_core::watch::Watch;
use mesh_tls::ca::Issuer;
use mesh_tls::pem;
use tower::service_fn;

/// The path of the roots.
pub(crate) const PATH: &str = "/root-cert.pem";

/// Answers requests for the roots of now by plain HTTP, until the workers are dropped. Who asks has to
/// know by other means that it is this server that answers.
pub(crate) fn serve(
    address: SocketAddr,
    issuer: &Watch<Issuer>,
) -> io::Result<(Workers, SocketAddr)> {
    let issuer = issuer.clone();
    let workers = Workers::start(1, Limits::default(), move || {
        let issuer = issuer.clone();
        move |_: &Connection| {
            let issuer = issuer.clone();
            service_fn(move |request: http::Request<hyper::body::Incoming>| {
                ready(Ok::<_, Infallible>(answer(request.uri().path(), &issuer)))
            })
        }
    })?;
    let address = workers.listen(0, address)?;
    Ok((workers, address))
}

fn answer(path: &str, issuer: &Watch<Issuer>) -> Response<Body> {
    if path != PATH {
        let mut missing = Response::new(Body::from(String::new()));
        *missing.status_mut() = StatusCode::NOT_FOUND;
        return missing;
    }
    let roots = pem::encode_certificates(issuer.load().roots());
    let mut response = Response::new(Body::from(roots));
    let kind = HeaderValue::from_static("application/x-pem-file");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
