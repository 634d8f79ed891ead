//! What a gateway counts, to be scraped.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::SocketAddr;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use mesh_core::watch::Watch;
use mesh_policy::authz::Records;
use tower::service_fn;

use super::generation::Generation;
use super::handshakes::Handshakes;
use crate::body::Body;
use crate::serve::{Connection, Limits, Workers};

/// Where Envoy shows what it counts.
const PATH: &str = "/stats/prometheus";

/// What a gateway counts, as `/stats/prometheus` shows it. Cheap to clone; it stays current.
#[derive(Clone, Debug)]
pub struct Statistics {
    generation: Watch<Generation>,
    handshakes: Handshakes,
    records: Records,
}

impl Statistics {
    pub(super) fn new(
        generation: Watch<Generation>,
        handshakes: &Handshakes,
        records: &Records,
    ) -> Self {
        Self {
            generation,
            handshakes: handshakes.clone(),
            records: records.clone(),
        }
    }

    /// The counts in the text format of Prometheus: handshakes that failed, what policies that do not
    /// decide have said, and Istio's metrics, if they are kept.
    pub fn encode(&self) -> String {
        let generation = self.generation.load_full();
        let metrics = generation.telemetry().metrics();
        let requests = metrics.map(|metrics| metrics.encode());
        self.handshakes.encode() + &self.records.encode() + &requests.unwrap_or_default()
    }

    /// Serves the counts at `/stats/prometheus` of `address`, or of a port of the system's choice if
    /// its port is 0, until the workers are dropped. Returns the address.
    ///
    /// # Errors
    ///
    /// The system refuses a thread or the address.
    pub fn serve(self, address: SocketAddr) -> io::Result<(Workers, SocketAddr)> {
        let workers = Workers::start(1, Limits::default(), move || {
            let statistics = self.clone();
            move |_: &Connection| {
                let statistics = statistics.clone();
                service_fn(move |request: Request<Incoming>| {
                    ready(Ok::<_, Infallible>(statistics.answer(request.uri().path())))
                })
            }
        })?;
        let address = workers.listen(0, address)?;
        Ok((workers, address))
    }

    fn answer(&self, path: &str) -> Response<Body> {
        if path == PATH {
            return Response::new(Body::from(self.encode()));
        }
        let mut response = Response::new(Body::from(format!("there is {PATH}\n")));
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    }
}
