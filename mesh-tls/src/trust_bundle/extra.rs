use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mesh_core::identity::TrustDomain;

use super::TrustBundle;
use crate::certificate::Certificate;
use crate::verify::{Roots, RootsError};

/// For how many trust domains it is kept who is believed about them. Beyond, it is put together anew.
const MAX_MERGED: usize = 256;

/// Authorities that are believed beside those of an identity (`meshConfig.caCertificates`).
///
/// Who is believed about a trust domain is put together once for each bundle of it, and not in each
/// handshake.
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
    merged: Merged,
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
        self.merged = Merged::default();
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
        bundle: Option<&'a Arc<TrustBundle>>,
    ) -> Option<Believed<'a>> {
        if self.of_all.is_empty() && !self.names(domain) {
            return bundle.map(|bundle| Believed::Bundle(bundle));
        }
        // Peers may claim to be of any trust domain: of those that nobody has configured, all are alike.
        let is_configured = bundle.is_some() || self.names(domain);
        let of = is_configured.then_some(domain);
        if let Some(known) = self.merged.get(of, bundle) {
            return Some(Believed::Merged(known));
        }
        let whole = Arc::new(self.merge(domain, bundle)?);
        self.merged.insert(of, bundle, &whole);
        Some(Believed::Merged(whole))
    }

    fn merge(
        &self,
        domain: &TrustDomain,
        bundle: Option<&Arc<TrustBundle>>,
    ) -> Option<TrustBundle> {
        let empty = || TrustBundle::new(domain.clone(), []).ok();
        let mut whole = bundle.map(|bundle| (**bundle).clone()).or_else(empty)?;
        let own = self.by_domain.get(domain).into_iter().flatten();
        for authority in own.chain(&self.of_all) {
            let _ = whole.add(authority.clone());
        }
        Some(whole)
    }
}

/// Whom to believe about a trust domain.
#[derive(Debug)]
pub(crate) enum Believed<'a> {
    /// Its own bundle.
    Bundle(&'a TrustBundle),
    /// That, and others beside it.
    Merged(Arc<TrustBundle>),
}

impl Deref for Believed<'_> {
    type Target = TrustBundle;

    fn deref(&self) -> &TrustBundle {
        match self {
            Self::Bundle(bundle) => bundle,
            Self::Merged(bundle) => bundle,
        }
    }
}

/// What was put together, by the trust domain; `None` is all that have no bundle and are not named. It
/// follows from the rest, so that a clone begins without it, and nothing differs by it.
#[derive(Default)]
struct Merged(Mutex<HashMap<Option<TrustDomain>, Entry>>);

/// The bundle of a trust domain, and what was made of it.
struct Entry {
    bundle: Option<Arc<TrustBundle>>,
    whole: Arc<TrustBundle>,
}

impl Merged {
    fn get(
        &self,
        domain: Option<&TrustDomain>,
        bundle: Option<&Arc<TrustBundle>>,
    ) -> Option<Arc<TrustBundle>> {
        let kept = self.lock();
        let entry = kept.get(&domain.cloned())?;
        let is_same = match (&entry.bundle, bundle) {
            (Some(known), Some(bundle)) => Arc::ptr_eq(known, bundle),
            (known, bundle) => known.is_none() && bundle.is_none(),
        };
        is_same.then(|| Arc::clone(&entry.whole))
    }

    fn insert(
        &self,
        domain: Option<&TrustDomain>,
        bundle: Option<&Arc<TrustBundle>>,
        whole: &Arc<TrustBundle>,
    ) {
        let entry = Entry {
            bundle: bundle.cloned(),
            whole: Arc::clone(whole),
        };
        let mut kept = self.lock();
        let domain = domain.cloned();
        if kept.len() >= MAX_MERGED && !kept.contains_key(&domain) {
            kept.clear();
        }
        kept.insert(domain, entry);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<TrustDomain>, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for Merged {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Merged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merged")
            .field("len", &self.lock().len())
            .finish()
    }
}

impl PartialEq for Merged {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Merged {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Authority;

    fn domain(name: &str) -> TrustDomain {
        name.parse().unwrap()
    }

    fn bundle(name: &str) -> Arc<TrustBundle> {
        Arc::new(Authority::new(name).bundle())
    }

    fn extra(trust_domains: &[&str]) -> ExtraAuthorities {
        let mut extra = ExtraAuthorities::default();
        let domains: Vec<_> = trust_domains.iter().map(|name| domain(name)).collect();
        let pem = Authority::new("extra").bundle().to_pem();
        extra.add_pem(pem.as_bytes(), &domains).unwrap();
        extra
    }

    /// What is believed, which has been put together.
    fn merged(
        extra: &ExtraAuthorities,
        name: &str,
        bundle: Option<&Arc<TrustBundle>>,
    ) -> Arc<TrustBundle> {
        match extra.beside(&domain(name), bundle) {
            Some(Believed::Merged(whole)) => whole,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_is_believed_is_put_together_once_for_each_bundle() {
        let extra = extra(&[]);
        let [old, new] = [(); 2].map(|()| bundle("td"));
        let first = merged(&extra, "td", Some(&old));
        assert_eq!(first.authorities().len(), 2);
        assert!(Arc::ptr_eq(&first, &merged(&extra, "td", Some(&old))));
        let next = merged(&extra, "td", Some(&new));
        assert!(next.authorities().contains(&new.authorities()[0]));
        assert!(!next.authorities().contains(&old.authorities()[0]));
        assert!(Arc::ptr_eq(&next, &merged(&extra, "td", Some(&new))));
        let without = merged(&extra, "td", None);
        assert_eq!(without.authorities().len(), 1);
    }

    #[test]
    fn an_authority_that_is_added_is_believed_at_once() {
        let mut extra = extra(&[]);
        let own = bundle("td");
        let before = merged(&extra, "td", Some(&own)).authorities().len();
        let more = Authority::new("more").bundle().to_pem();
        extra.add_pem(more.as_bytes(), &[]).unwrap();
        let after = merged(&extra, "td", Some(&own)).authorities().len();
        assert_eq!(after, before + 1);
    }

    #[test]
    fn trust_domains_that_nobody_has_configured_take_no_room() {
        let extra = extra(&[]);
        let own = bundle("td");
        let first = merged(&extra, "td", Some(&own));
        for number in 0..2 * MAX_MERGED {
            merged(&extra, &format!("claimed-{number}"), None);
        }
        assert_eq!(extra.merged.lock().len(), 2);
        assert!(Arc::ptr_eq(&first, &merged(&extra, "td", Some(&own))));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let extra = extra(&[]);
        let own = bundle("td");
        for number in 0..2 * MAX_MERGED {
            merged(&extra, &format!("td-{number}"), Some(&own));
            assert!(extra.merged.lock().len() <= MAX_MERGED);
        }
    }

    #[test]
    fn where_none_is_beside_it_the_bundle_itself_is_believed() {
        let extra = extra(&["partner"]);
        let own = bundle("td");
        let believed = extra.beside(&domain("td"), Some(&own));
        assert!(matches!(believed, Some(Believed::Bundle(_))));
        assert!(extra.beside(&domain("other"), None).is_none());
        let partner = merged(&extra, "partner", None);
        assert_eq!(partner.authorities().len(), 1);
    }
}
