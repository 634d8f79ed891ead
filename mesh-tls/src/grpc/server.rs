//! The server.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use mesh_core::identity::{SpiffeId, TrustDomains};
use mesh_core::watch::Watch;
use rustls::crypto::CryptoProvider;
use rustls::time_provider::TimeProvider;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

use super::impersonation::Impersonation;
use super::message::{CertificateRequest, CertificateResponse};
use super::{CREATE_CERTIFICATE, SERVICE_NAME};
use crate::ca::authenticate::Caller;
use crate::ca::{Issuance, IssueError, Issuer, SerialNumber};
use crate::csr::SigningRequest;

/// The longest message that is taken, in bytes.
const MAX_MESSAGE_LEN: usize = 256 * 1024;

/// Metadata key of ztunnel: for which workload of its node a certificate is wanted.
const IMPERSONATED_IDENTITY: &str = "ImpersonatedIdentity";

/// Metadata key that chooses a signer of Kubernetes.
const CERT_SIGNER: &str = "CertSigner";

/// Issues certificates to callers that were authenticated, of any trust domain, as istiod does, unless
/// [limited](Self::with_trust_domains).
///
/// Each request is answered by the [`Issuer`] of its moment. Requests without a [`Caller`] in their
/// extensions are refused. Cheap to clone.
///
/// | refusal | gRPC status |
/// |---|---|
/// | no caller; an impersonation that is not allowed; another trust domain | `UNAUTHENTICATED` |
/// | a broken request, a lifetime that is too long, a signer of Kubernetes | `INVALID_ARGUMENT` |
/// | the signing certificate has expired, or signing fails | `INTERNAL` |
#[derive(Clone)]
pub struct CertificateService {
    issuer: Watch<Issuer>,
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn TimeProvider>,
    impersonation: Option<Arc<dyn Impersonation>>,
    trust_domains: Option<Arc<TrustDomains>>,
}

impl CertificateService {
    /// Issues by `issuer`, by the wall clock `clock`. Serial numbers are random numbers of
    /// `provider`.
    pub fn new(
        issuer: impl Into<Watch<Issuer>>,
        provider: Arc<CryptoProvider>,
        clock: Arc<dyn TimeProvider>,
    ) -> Self {
        Self {
            issuer: issuer.into(),
            provider,
            clock,
            impersonation: None,
            trust_domains: None,
        }
    }

    /// Issues certificates for workloads of these trust domains only. Default: for those of any, as
    /// istiod does.
    ///
    /// A caller is who its certificate or its token says. Where the bundles of other trust domains are
    /// believed, or a reviewer of tokens knows workloads of others, those are callers too: without
    /// this limit they would be given certificates of this authority in the name of a domain that is
    /// not its own.
    #[must_use]
    pub fn with_trust_domains(mut self, trust_domains: impl Into<Arc<TrustDomains>>) -> Self {
        self.trust_domains = Some(trust_domains.into());
        self
    }

    /// Lets callers ask for certificates of others (metadata `ImpersonatedIdentity`). Default:
    /// nobody may.
    #[must_use]
    pub fn with_impersonation(mut self, impersonation: Arc<dyn Impersonation>) -> Self {
        self.impersonation = Some(impersonation);
        self
    }

    /// Answers a request of `caller`.
    ///
    /// # Errors
    ///
    /// Those of the table above.
    pub fn create_certificate(
        &self,
        caller: &Caller,
        request: &CertificateRequest,
    ) -> Result<CertificateResponse, Status> {
        let id = self.subject(caller, request)?;
        let domains = self.trust_domains.as_ref();
        if domains.is_some_and(|domains| !domains.contains(&id.trust_domain())) {
            let text = "request authenticate failure (the trust domain is another authority's)";
            return Err(Status::unauthenticated(text));
        }
        if request.metadata(CERT_SIGNER).is_some() {
            let text = "CSR signing error (this authority has no other signers)";
            return Err(Status::invalid_argument(text));
        }
        let csr = SigningRequest::from_pem(request.csr.as_bytes(), &self.provider);
        let csr =
            csr.map_err(|error| Status::invalid_argument(format!("CSR signing error ({error})")))?;
        let mut random = [0; 16];
        let filled = self.provider.secure_random.fill(&mut random);
        filled.map_err(|_| Status::internal("CSR signing error (no random numbers)"))?;
        let now = self.clock.current_time();
        let now = now.ok_or_else(|| Status::internal("CSR signing error (no clock)"))?;
        let seconds = u64::try_from(request.validity_duration).unwrap_or(0);
        let issuance = Issuance {
            ttl: Duration::from_secs(seconds),
            ..Issuance::for_workload(&id, now, SerialNumber::new(random))
        };
        let issued = self.issuer.load().issue(&csr, &issuance);
        let issued = issued.map_err(|error| refusal(&error))?;
        Ok(CertificateResponse {
            cert_chain: issued.to_pem(),
        })
    }

    /// Whom the certificate is for.
    fn subject(&self, caller: &Caller, request: &CertificateRequest) -> Result<SpiffeId, Status> {
        let Some(text) = request.metadata(IMPERSONATED_IDENTITY) else {
            return Ok(caller.id.clone());
        };
        let impersonation = self.impersonation.as_ref();
        let id = text.parse().ok().filter(|id| {
            impersonation.is_some_and(|impersonation| impersonation.is_allowed(caller, id))
        });
        id.ok_or_else(|| Status::unauthenticated("request impersonation authentication failure"))
    }
}

fn refusal(error: &IssueError) -> Status {
    let text = format!("CSR signing error ({error})");
    match error {
        IssueError::TtlTooLong { .. } => Status::invalid_argument(text),
        _ => Status::internal(text),
    }
}

impl UnaryService<CertificateRequest> for CertificateService {
    type Response = CertificateResponse;
    type Future = Ready<Result<Response<CertificateResponse>, Status>>;

    fn call(&mut self, request: Request<CertificateRequest>) -> Self::Future {
        let Some(caller) = request.extensions().get::<Caller>() else {
            let text = "request authenticate failure";
            return ready(Err(Status::unauthenticated(text)));
        };
        let response = self.create_certificate(caller, request.get_ref());
        ready(response.map(Response::new))
    }
}

impl<B> Service<http::Request<B>> for CertificateService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError> + Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        if request.uri().path() != CREATE_CERTIFICATE {
            let status = Status::unimplemented("no such method");
            return Box::pin(ready(Ok(status.into_http())));
        }
        let service = self.clone();
        Box::pin(async move {
            let mut grpc =
                Grpc::new(ProstCodec::default()).max_decoding_message_size(MAX_MESSAGE_LEN);
            Ok(grpc.unary(service, request).await)
        })
    }
}

impl NamedService for CertificateService {
    const NAME: &'static str = SERVICE_NAME;
}

impl fmt::Debug for CertificateService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateService").finish_non_exhaustive()
    }
}
