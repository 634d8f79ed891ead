use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::exchange::InFlight;

/// Keeps a request in flight whose connection goes on in another protocol, such as a WebSocket: as long as
/// the connection lasts, not the response.
///
/// Who joins the two connections after a response that switches (`101`) puts a clone into its extensions,
/// and drops its own when they are closed. [`Dispatch`](super::Dispatch) and [`Balance`](super::Balance)
/// take the one in the extensions out, and hand what counts the request to both. The responses of
/// `connect::Pools` have one. Cheap to clone.
///
/// # Example
///
/// ```
/// use std::convert::Infallible;
/// use std::sync::Arc;
///
/// use bytes::Bytes;
/// use http::{Request, Response, StatusCode};
/// use http_body_util::Full;
/// use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
/// use mesh_core::service::ClusterName;
/// use mesh_discovery::circuit_breaker::Resource;
/// use mesh_discovery::cluster::Upstream;
/// use mesh_discovery::locality::Client;
/// use mesh_discovery::service::{Balance, SwitchedRequest, Target};
/// use tower::{ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Infallible> {
/// let mut cluster = Cluster::new(ClusterName::from("chat"));
/// let address = EndpointAddress::Ip(([10, 0, 0, 1], 80).into());
/// cluster.endpoints.push(Endpoint::new(address));
/// let now = tokio::time::Instant::now().into_std();
/// let upstream = Arc::new(Upstream::new(Arc::new(cluster), Client::default(), now, 0));
///
/// let tunnel = SwitchedRequest::default();
/// let told = tunnel.clone();
/// let service = Balance::new(Arc::clone(&upstream), move |_: &Target| {
///     let told = told.clone();
///     service_fn(move |_: Request<()>| {
///         let mut response = Response::new(Full::<Bytes>::default());
///         *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
///         response.extensions_mut().insert(told.clone());
///         std::future::ready(Ok::<_, Infallible>(response))
///     })
/// });
///
/// drop(service.oneshot(Request::new(())).await?);
/// assert_eq!(upstream.breakers().used(Resource::Requests), 1);
/// drop(tunnel);
/// assert_eq!(upstream.breakers().used(Resource::Requests), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct SwitchedRequest(Arc<Mutex<Option<InFlight>>>);

impl SwitchedRequest {
    /// Counts the request until the connection, and whoever else has this, is gone.
    pub(super) fn keep(&self, active: Option<InFlight>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = active;
    }
}

impl fmt::Debug for SwitchedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SwitchedRequest").finish_non_exhaustive()
    }
}
