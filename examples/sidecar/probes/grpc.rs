//! Probes by gRPC: its health checking protocol.

use ::http::Uri;
use ::http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use mesh_discovery::health::probe::{Answer, Probe};
use tonic::Request;
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::{Failure, Prober};

const CHECK: &str = "/grpc.health.v1.Health/Check";

/// Messages of `grpc.health.v1`.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// Asks whether `service` is served; an empty one is the whole server.
pub(super) async fn ask(prober: &Prober, port: u16, service: &str) -> Result<(), Failure> {
    let prober = prober.clone();
    let connect = service_fn(move |_: Uri| {
        let prober = prober.clone();
        async move { prober.connect(port).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://application");
    let mut client = Grpc::new(endpoint.connect_with_connector(connect).await?);
    client.ready().await?;
    let request = Request::new(HealthCheckRequest {
        service: service.to_owned(),
    });
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let path = PathAndQuery::from_static(CHECK);
    let response = client.unary(request, path, codec).await?.into_inner();
    match Probe::evaluate_serving(response.status) {
        Answer::Success => Ok(()),
        Answer::Failure | Answer::Unhealthy => {
            Err(format!("the application says that it does not serve `{service}`").into())
        }
    }
}
