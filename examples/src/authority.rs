//! A certificate authority in memory, for programs and tests that have no other.
//!
//! # Example
//!
//! ```
//! use examples::authority::Authority;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let authority = Authority::new("cluster.local".parse()?)?;
//! let identity = authority.identity("spiffe://cluster.local/ns/shop/sa/cart", &["cart.example"])?;
//! assert_eq!(identity.svid.leaf().dns_names().collect::<Vec<_>>(), ["cart.example"]);
//! # Ok(())
//! # }
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::identity::{SpiffeId, TrustDomain};
use mesh_tls::ca::root::RootSpec;
use mesh_tls::ca::{Issuance, IssuancePolicy, Issuer, SerialNumber, crl};
use mesh_tls::certificate::{Certificate, SubjectAltName};
use mesh_tls::csr::{KeyKind, SigningRequest};
use mesh_tls::key::SigningKey;
use mesh_tls::resolve::Identity;
use mesh_tls::svid::X509Svid;
use mesh_tls::trust_bundle::{TrustBundle, TrustBundles};
use mesh_tls::verify::Revocations;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls_pki_types::UnixTime;

/// Issues identities with a root of its own, which is lost with it.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer,
    trust_domain: TrustDomain,
    provider: Arc<CryptoProvider>,
}

impl Authority {
    /// Makes the root of a trust domain.
    ///
    /// # Errors
    ///
    /// The cryptographic library makes no key or number, or does not sign.
    pub fn new(trust_domain: TrustDomain) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = Arc::new(SigningKey::generate(KeyKind::EcdsaP256)?);
        let serial = serial(&provider)?;
        let root = RootSpec::default().sign(key, UnixTime::now(), serial, &provider)?;
        Ok(Self {
            issuer: Issuer::new(Arc::new(root), IssuancePolicy::default()),
            trust_domain,
            provider,
        })
    }

    /// The cryptography that it signs with.
    pub fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    /// What signs, for those who serve it to others.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The root.
    pub fn root(&self) -> &Certificate {
        self.issuer.signer().certificate()
    }

    /// An identity for a SPIFFE ID, with a new key, whose certificate is for `hosts`, too. It lasts
    /// for a day from now on.
    ///
    /// # Errors
    ///
    /// `id` is none, or the cryptographic library makes no key or number, or does not sign.
    pub fn identity(
        &self,
        id: &str,
        hosts: &[&str],
    ) -> Result<Identity, Box<dyn Error + Send + Sync>> {
        self.identity_at(id, hosts, UnixTime::now())
    }

    /// An [`identity`](Self::identity) that lasts for a day from `now` on.
    ///
    /// # Errors
    ///
    /// `id` is none, or the cryptographic library makes no key or number, or does not sign.
    pub fn identity_at(
        &self,
        id: &str,
        hosts: &[&str],
        now: UnixTime,
    ) -> Result<Identity, Box<dyn Error + Send + Sync>> {
        let id: SpiffeId = id.parse()?;
        let key = SigningKey::generate(KeyKind::EcdsaP256)?;
        let request = key.signing_request(&id)?;
        let request = SigningRequest::from_pem(request.as_bytes(), &self.provider)?;
        let mut issuance = Issuance::for_workload(&id, now, serial(&self.provider)?);
        let names = hosts.iter().map(|&host| SubjectAltName::Dns(host.into()));
        issuance.names.extend(names);
        let issued = self.issuer.issue(&request, &issuance)?;
        let bundle = TrustBundle::new(self.trust_domain.clone(), issued.roots.iter().cloned())?;
        let key = key.private_key().clone_key();
        Ok(Identity {
            svid: X509Svid::new(issued.chain, key, &self.provider)?,
            bundles: TrustBundles::from_iter([bundle]),
        })
    }

    /// The list of these certificates, which count no more from now on. It is in date for a day.
    ///
    /// # Errors
    ///
    /// The cryptographic library does not sign.
    pub fn revocations(
        &self,
        revoked: &[&Certificate],
    ) -> Result<Revocations, Box<dyn Error + Send + Sync>> {
        let at = UnixTime::now();
        let revoked = revoked.iter().map(|certificate| crl::Revoked {
            serial: certificate.serial().to_vec(),
            at,
            reason: None,
        });
        let list = crl::Revocations {
            number: 1,
            lifetime: Duration::from_secs(24 * 60 * 60),
            revoked: revoked.collect(),
        };
        let list = list.sign(self.issuer.signer(), at)?;
        Ok(Revocations::new([list.der().clone()])?)
    }
}

fn serial(provider: &CryptoProvider) -> Result<SerialNumber, rustls::Error> {
    let mut random = [0; 16];
    provider.secure_random.fill(&mut random)?;
    Ok(SerialNumber::new(random))
}
