//! Waiting for another sidecar, on behalf of an application.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use bytes::Bytes;
use examples::once;
use http::Request;
use http_body_util::Full;
use tokio::time::sleep;

/// How long is waited, as Istio's agent does.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long after a sidecar that was not ready it is asked again.
const PAUSE: Duration = Duration::from_millis(100);
/// A sidecar listens at all addresses of one of the families.
const HERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Waits until a sidecar of this machine says at `port` that it is ready.
pub(crate) fn run(port: u16) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let waiting = async { tokio::time::timeout(PATIENCE, until_ready(port)).await };
    let waited = runtime.block_on(waiting);
    waited.map_err(|_| format!("no sidecar was ready at port {port} within {PATIENCE:?}").into())
}

async fn until_ready(port: u16) {
    loop {
        for address in HERE {
            let request = Request::get("/healthz/ready").body(Full::<Bytes>::default());
            let Ok(request) = request else {
                continue;
            };
            let answer = once::send((address, port).into(), request).await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
        }
        sleep(PAUSE).await;
    }
}
