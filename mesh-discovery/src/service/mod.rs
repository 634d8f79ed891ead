//! Tower services that send each request to an endpoint.
//!
//! [`Balance`] serves one cluster, [`Dispatch`] all clusters of a client: it takes the one that the
//! request's [`MatchedRoute`](mesh_core::attributes::MatchedRoute) names. Both
//!
//! - pick an endpoint, avoiding the [`PreviousEndpoints`](mesh_core::attributes::PreviousEndpoints)
//!   of earlier attempts, and record it as a
//!   [`SelectedEndpoint`](mesh_core::attributes::SelectedEndpoint) in the extensions of request and
//!   response;
//! - make a service for it by a [`NewService`], wait until that is ready, and call it;
//! - count the request as active until its response has ended, see [`TrackedBody`];
//! - tell outlier detection what came of it;
//! - have tables compiled that are not those of the endpoints yet
//!   ([`Balancer::rebuild`](crate::balance::Balancer::rebuild)), on a thread of tokio for what blocks.
//!
//! They are always ready: which endpoint has to be ready is known when the request is. No service
//! is called that was not ready, and none is kept ready for nobody.
//!
//! If no endpoint is healthy the answer is `503` with the text `no healthy upstream` and the flag
//! `UH`; if the cluster's limit on requests is reached, `503` with `x-envoy-overloaded` and the flag
//! `UO`; if there is no such cluster, `503` with the flag `NC`.
//!
//! [`Balance::explain`] and [`Dispatch::explain`] say which endpoint a request would get, and why.
//!
//! The error type of the endpoints' services is unchanged. Nothing here has to be `Send`: a service
//! for an endpoint may belong to one thread.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use mesh_core::attributes::SelectedEndpoint;
//! use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
//! use mesh_core::service::ClusterName;
//! use mesh_discovery::cluster::Upstream;
//! use mesh_discovery::locality::Client;
//! use mesh_discovery::service::{Balance, Target};
//! use tower::{ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut cluster = Cluster::new(ClusterName::from("cart"));
//! cluster.endpoints.push(Endpoint::new(EndpointAddress::Ip("10.0.0.7:80".parse()?)));
//! let now = tokio::time::Instant::now().into_std();
//! let upstream = Upstream::new(Arc::new(cluster), Client::default(), now, 0);
//!
//! // In place of a connection: an endpoint that says which port it has.
//! let connect = |target: &Target| {
//!     let port = target.endpoint.address.port();
//!     service_fn(move |_: Request<()>| async move {
//!         let text = Bytes::from(format!("{port:?}"));
//!         Ok::<_, Infallible>(Response::new(Full::new(text)))
//!     })
//! };
//! let service = Balance::new(Arc::new(upstream), connect);
//!
//! let response = service.oneshot(Request::new(())).await?;
//! assert!(response.extensions().get::<SelectedEndpoint>().is_some());
//! let body = response.into_body().collect().await?.to_bytes();
//! assert_eq!(body, "Some(80)");
//! # Ok(())
//! # }
//! ```

mod balance;
mod body;
mod dispatch;
mod exchange;
mod future;
mod named_host;
mod new_service;
mod probe_queue;
mod probing;
mod rebuild;
mod refusal;
mod seams;
mod switched;
#[cfg(test)]
mod tests;

pub use self::balance::Balance;
pub use self::body::TrackedBody;
pub use self::dispatch::Dispatch;
pub use self::exchange::InFlight;
pub use self::future::ResponseFuture;
pub use self::new_service::{Downstream, NewService, Target};
pub use self::probing::probe;
pub use self::refusal::{ClusterNotFound, NoHealthyUpstream, Overflow, overflow};
#[cfg(feature = "connect")]
pub(crate) use self::seams::Random;
pub use self::switched::SwitchedRequest;
