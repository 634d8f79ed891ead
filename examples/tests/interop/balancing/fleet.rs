//! Endpoints that say who they are, and fail when they are told to.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use examples::body::Body;
use examples::serve::{Connection, Limits, Workers};
use http::{Response, StatusCode};
use tower::service_fn;

/// As many endpoints as there are loopback addresses, on one listener.
pub(super) struct Fleet {
    _workers: Workers,
    port: u16,
    failing: Arc<AtomicU64>,
}

impl Fleet {
    pub(super) fn start() -> Self {
        let failing = Arc::new(AtomicU64::new(0));
        let shared = Arc::clone(&failing);
        let workers = Workers::start(1, Limits::default(), move || {
            let failing = Arc::clone(&shared);
            move |connection: &Connection| {
                let number = number(connection.local.ip());
                let failing = Arc::clone(&failing);
                service_fn(move |_| {
                    let fails = failing.load(Ordering::Relaxed) >> number & 1 == 1;
                    std::future::ready(Ok::<_, Infallible>(answer(number, fails)))
                })
            }
        })
        .expect("a thread can be started");
        let address = workers.listen(0, (Ipv4Addr::UNSPECIFIED, 0).into());
        Self {
            _workers: workers,
            port: address.expect("there is a port").port(),
            failing,
        }
    }

    /// The address of an endpoint.
    pub(super) fn address(&self, number: usize) -> SocketAddr {
        let last = u8::try_from(number + 1).expect("there are fewer than 255");
        (Ipv4Addr::new(127, 0, 1, last), self.port).into()
    }

    /// Has an endpoint fail, or be well.
    pub(super) fn fail(&self, number: usize, fails: bool) {
        let bit = 1_u64 << number;
        match fails {
            true => self.failing.fetch_or(bit, Ordering::Relaxed),
            false => self.failing.fetch_and(!bit, Ordering::Relaxed),
        };
    }

    /// The status that an endpoint answers with.
    pub(super) fn status(&self, number: usize) -> u16 {
        match self.failing.load(Ordering::Relaxed) >> number & 1 {
            1 => 503,
            _ => 200,
        }
    }
}

/// The number of the endpoint at an address.
pub(super) fn number(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(address) => usize::from(address.octets()[3]) - 1,
        IpAddr::V6(_) => panic!("endpoints are at IPv4 addresses"),
    }
}

fn answer(number: usize, fails: bool) -> Response<Body> {
    let mut response = Response::new(Body::from(number.to_string()));
    if fails {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
