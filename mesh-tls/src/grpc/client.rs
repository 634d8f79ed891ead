//! The client.

use bytes::Bytes;
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codegen::StdError;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::CREATE_CERTIFICATE;
use super::message::{CertificateRequest, CertificateResponse};

/// Asks a certificate service. Clones share the connection if `T` does.
#[derive(Clone, Debug)]
pub struct CertificateClient<T> {
    inner: Grpc<T>,
}

impl<T> CertificateClient<T>
where
    T: GrpcService<Body>,
    T::Error: Into<StdError>,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
{
    /// Asks over `connection`, such as a `tonic::transport::Channel`.
    pub fn new(connection: T) -> Self {
        Self {
            inner: Grpc::new(connection),
        }
    }

    /// Asks for a certificate. Gives the certificate, those above it and the roots, as PEM.
    ///
    /// # Errors
    ///
    /// The status of the service; `UNKNOWN` if the connection is not there.
    ///
    /// # Cancel safety
    ///
    /// If this is dropped before it returns, a certificate may have been issued that nobody
    /// receives.
    pub async fn create_certificate(
        &mut self,
        request: Request<CertificateRequest>,
    ) -> Result<Vec<String>, Status> {
        let ready = self.inner.ready().await;
        ready.map_err(|error| Status::from_error(error.into()))?;
        let path = PathAndQuery::from_static(CREATE_CERTIFICATE);
        let codec = ProstCodec::<CertificateRequest, CertificateResponse>::default();
        let response = self.inner.unary(request, path, codec).await?;
        Ok(response.into_inner().cert_chain)
    }
}
