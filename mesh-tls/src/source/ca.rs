//! An identity from a certificate authority.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mesh_core::identity::{SpiffeId, TrustDomain};
use rustls::crypto::CryptoProvider;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::StdError;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Status};

use super::SvidSource;
use crate::certificate::Certificate;
use crate::csr::{KeyKind, SigningRequestError, verify_possession};
use crate::grpc::{CertificateClient, CertificateRequest};
use crate::key::{KeyError, SigningKey};
use crate::pem::{self, PemError};
use crate::resolve::Identity;
use crate::svid::{SvidError, X509Svid};
use crate::trust_bundle::{TrustBundle, TrustBundleError, TrustBundles};

/// How long an answer is waited for, as Istio's agent does.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Gives the bearer token that proves who we are to the authority, such as the content of the
/// token file that Kubernetes renews.
pub trait TokenSource: Send + Sync {
    /// The token of now, without `Bearer`; `None` if there is none.
    fn token(&self) -> Option<String>;
}

/// Asks an authority for certificates, each for a new key.
///
/// The certificate has to be for the identity that was asked for. The trust domain's roots are those
/// of the answer.
pub struct CaSource<T> {
    client: CertificateClient<T>,
    id: SpiffeId,
    provider: Arc<CryptoProvider>,
    key_kind: KeyKind,
    lifetime: Duration,
    aliases: Vec<TrustDomain>,
    tokens: Option<Arc<dyn TokenSource>>,
}

impl<T> CaSource<T> {
    /// Asks through `client` for certificates of `id`.
    pub fn new(client: CertificateClient<T>, id: SpiffeId, provider: Arc<CryptoProvider>) -> Self {
        Self {
            client,
            id,
            provider,
            key_kind: KeyKind::EcdsaP256,
            lifetime: Duration::from_secs(24 * 60 * 60),
            aliases: Vec::new(),
            tokens: None,
        }
    }

    /// Makes keys of this kind. Default: ECDSA P-256; Istio's agent makes RSA keys of 2048 bits.
    #[must_use]
    pub fn with_key_kind(mut self, kind: KeyKind) -> Self {
        self.key_kind = kind;
        self
    }

    /// Asks for this lifetime; zero is the authority's default. Default: 24 hours.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Believes the roots about another trust domain too (`meshConfig.trustDomainAliases`).
    #[must_use]
    pub fn with_alias(mut self, alias: TrustDomain) -> Self {
        self.aliases.push(alias);
        self
    }

    /// Sends the tokens of `tokens`. Default: none, the connection proves who we are.
    #[must_use]
    pub fn with_tokens(mut self, tokens: Arc<dyn TokenSource>) -> Self {
        self.tokens = Some(tokens);
        self
    }

    fn request(&self, key: &SigningKey) -> Result<Request<CertificateRequest>, CaSourceError> {
        let csr = key.signing_request(&self.id)?;
        let mut request = Request::new(CertificateRequest::new(csr, self.lifetime));
        request.set_timeout(TIMEOUT);
        if let Some(tokens) = &self.tokens {
            let token = tokens.token().ok_or(CaSourceError::NoToken)?;
            let value = MetadataValue::<Ascii>::try_from(format!("Bearer {token}"));
            let mut value = value.map_err(|_| CaSourceError::NoToken)?;
            value.set_sensitive(true);
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }

    fn identity(&self, key: &SigningKey, answer: &[String]) -> Result<Identity, CaSourceError> {
        let all = certificates(answer)?;
        let is_root = |certificate: &Certificate| is_root(certificate, &self.provider);
        let (roots, chain): (Vec<_>, Vec<_>) = all.into_iter().partition(is_root);
        let svid = X509Svid::new(chain, key.private_key().clone_key(), &self.provider)?;
        if *svid.id() != self.id {
            let got = svid.id().clone();
            return Err(CaSourceError::OtherIdentity { got });
        }
        if roots.is_empty() {
            return Err(CaSourceError::NoRoot);
        }
        let domain = self.id.trust_domain();
        let mut bundles = TrustBundles::default();
        bundles.insert(TrustBundle::new(domain.clone(), roots)?);
        for alias in &self.aliases {
            bundles.alias(&domain, alias.clone());
        }
        Ok(Identity { svid, bundles })
    }
}

/// The certificates of an answer. As Istio's agent, it does not count on a newline at the end of each
/// element: istiod writes one, and other authorities may not.
fn certificates(answer: &[String]) -> Result<Vec<Certificate>, PemError> {
    pem::certificates(answer.join("\n").as_bytes())
}

/// Whether the certificate is its own issuer. One that has the name of its issuer and is signed by
/// another key is not: it leads from a new key to the old one. Signatures of kinds that are not known
/// here are believed, as nobody looks at those of roots.
fn is_root(certificate: &Certificate, provider: &CryptoProvider) -> bool {
    let signed = verify_possession(certificate.der(), certificate.public_key(), provider);
    certificate.is_ca()
        && certificate.subject() == certificate.issuer()
        && !matches!(signed, Err(SigningRequestError::NotPossessed))
}

impl<T> SvidSource for CaSource<T>
where
    T: GrpcService<Body> + Send,
    T::Error: Into<StdError>,
    T::Future: Send,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
{
    type Error = CaSourceError;

    async fn fetch(&mut self) -> Result<Identity, CaSourceError> {
        let kind = self.key_kind;
        // An RSA key takes a tenth of a second to make.
        let key = tokio::task::spawn_blocking(move || SigningKey::generate(kind)).await;
        let key = key.map_err(|_| CaSourceError::Stopped)??;
        let request = self.request(&key)?;
        let answer = self.client.create_certificate(request);
        let answer = tokio::time::timeout(TIMEOUT, answer).await;
        let answer = answer.map_err(|_| CaSourceError::Timeout)?;
        self.identity(&key, &answer.map_err(Box::new)?)
    }
}

impl<T> fmt::Debug for CaSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaSource")
            .field("id", &self.id)
            .field("key_kind", &self.key_kind)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// Why there is no identity from an authority.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaSourceError {
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The answer has no root.
    #[error("the authority sent no root certificate")]
    NoRoot,
    /// There is no token, or it cannot be sent.
    #[error("there is no token to prove who we are")]
    NoToken,
    /// The certificate is for another identity.
    #[error("the authority issued a certificate for `{got}`")]
    OtherIdentity {
        /// For whom it is.
        got: SpiffeId,
    },
    /// The answer is not PEM.
    #[error("the authority's answer")]
    Pem(#[from] PemError),
    /// The authority refused, or could not be reached.
    #[error("the authority refused: {}", .0.message())]
    Refused(#[from] Box<Status>),
    /// The roots of the answer are none.
    #[error("the authority's roots")]
    Roots(#[from] TrustBundleError),
    /// The runtime is shutting down.
    #[error("the runtime is shutting down")]
    Stopped,
    /// The certificates of the answer are no SVID.
    #[error("the authority's certificates")]
    Svid(#[from] SvidError),
    /// The authority took too long.
    #[error("the authority did not answer within {TIMEOUT:?}")]
    Timeout,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Authority, provider};

    #[test]
    fn elements_need_no_newline_at_their_ends() {
        let authority = Authority::new("mesh");
        let sent = [
            authority.intermediate().certificate(),
            authority.certificate(),
        ];
        let answer = [&sent[0], &sent[1]].map(|one| pem::encode_certificates([one]));
        assert_eq!(certificates(&answer).unwrap(), sent);
        let answer = answer.map(|text| text.trim_end().to_owned());
        assert_eq!(certificates(&answer).unwrap(), sent);
    }

    #[test]
    fn an_authority_below_one_of_the_same_name_is_no_root() {
        let old = Authority::new("mesh");
        let new = old.named_intermediate("mesh").certificate();
        assert_eq!(new.subject(), new.issuer());
        assert!(is_root(&old.certificate(), &provider()));
        assert!(!is_root(&new, &provider()));
    }
}
