use std::borrow::Cow;
use std::collections::BTreeMap;

use mesh_core::identity::TrustDomain;

use super::TrustBundle;
use crate::certificate::Certificate;
use crate::verify::{Roots, RootsError};

/// Authorities that are believed beside those of an identity (`meshConfig.caCertificates`).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use mesh_tls::trust_bundle::ExtraAuthorities;
///
/// let root = rcgen::generate_simple_self_signed(Vec::new())?.cert.pem();
/// let mut extra = ExtraAuthorities::default();
/// extra.add_pem(root.as_bytes(), &["partner.example".parse()?])?;
/// assert!(!extra.is_empty());
/// assert!(extra.add_pem(b"no certificate", &[]).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ExtraAuthorities {
    by_domain: BTreeMap<TrustDomain, Vec<Certificate>>,
    of_all: Vec<Certificate>,
}

impl ExtraAuthorities {
    /// Adds the authorities of a PEM text: about these trust domains, or about all if there are none.
    ///
    /// # Errors
    ///
    /// Those of [`Roots::from_pem`], and when a certificate [cannot be](Certificate::can_be_ca) an
    /// authority's: of bundles that is demanded even of those who signed themselves.
    pub fn add_pem(
        &mut self,
        text: &[u8],
        trust_domains: &[TrustDomain],
    ) -> Result<(), RootsError> {
        let roots = Roots::from_pem(text)?;
        let roots = roots.certificates();
        if let Some(leaf) = roots.iter().find(|root| !root.can_be_ca()) {
            return Err(RootsError::Authority {
                subject: leaf.subject().to_owned(),
                source: webpki::Error::EndEntityUsedAsCa,
            });
        }
        for domain in trust_domains {
            let known = self.by_domain.entry(domain.clone()).or_default();
            known.extend_from_slice(roots);
        }
        if trust_domains.is_empty() {
            self.of_all.extend_from_slice(roots);
        }
        Ok(())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.of_all.is_empty() && self.by_domain.is_empty()
    }

    /// Whether there are authorities of this trust domain in particular.
    pub(crate) fn names(&self, domain: &TrustDomain) -> bool {
        self.by_domain.contains_key(domain)
    }

    /// Whom to believe about a trust domain whose own bundle is `bundle`. What is beyond
    /// [`MAX_AUTHORITIES`](super::MAX_AUTHORITIES) is not believed.
    pub(crate) fn beside<'a>(
        &self,
        domain: &TrustDomain,
        bundle: Option<&'a TrustBundle>,
    ) -> Option<Cow<'a, TrustBundle>> {
        let own = self.by_domain.get(domain).into_iter().flatten();
        let mut extra = own.chain(&self.of_all).peekable();
        if extra.peek().is_none() {
            return bundle.map(Cow::Borrowed);
        }
        let empty = || TrustBundle::new(domain.clone(), []).ok();
        let mut whole = bundle.cloned().or_else(empty)?;
        for authority in extra {
            let _ = whole.add(authority.clone());
        }
        Some(Cow::Owned(whole))
    }
}
