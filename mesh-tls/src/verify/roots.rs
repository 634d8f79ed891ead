//! Authorities and the certificates that they revoked.

use std::fmt;
use std::sync::Arc;

use rustls::DistinguishedName;
use rustls_pki_types::CertificateRevocationListDer;
use webpki::{CertRevocationList, OwnedCertRevocationList};

use super::Anchors;
use super::anchors::AnchorSet;
use super::trust::Trusted;
use crate::certificate::Certificate;
use crate::pem::{self, PemError};

/// Authorities that are believed about anybody. Cheap to clone.
///
/// Those of the operating system can be read with the `rustls-native-certs` crate.
#[derive(Clone, Debug, Default)]
pub struct Roots(Arc<Authorities>);

#[derive(Debug, Default)]
struct Authorities {
    anchors: Anchors,
    subjects: Vec<DistinguishedName>,
}

impl Roots {
    /// Takes the certificates of authorities. None at all believes nobody.
    ///
    /// A [self-issued](Certificate::is_self_issued) certificate that [cannot be](Certificate::can_be_ca) an
    /// authority's is believed about nobody but whoever presents it: that of a server may be trusted so.
    ///
    /// # Errors
    ///
    /// When any other certificate cannot be that of an authority. Whoever has the key of a client's
    /// could sign certificates for anybody, else.
    pub fn new(certificates: impl IntoIterator<Item = Certificate>) -> Result<Self, RootsError> {
        let mut anchors = AnchorSet::default();
        for certificate in certificates {
            let subject = certificate.subject().to_owned();
            let added = anchors.push(certificate);
            added.map_err(|source| RootsError::Authority { subject, source })?;
        }
        let subjects = anchors.as_slice().iter();
        let subjects = subjects.map(|anchor| DistinguishedName::in_sequence(&anchor.subject));
        Ok(Self(Arc::new(Authorities {
            subjects: subjects.collect(),
            anchors: Arc::new(anchors),
        })))
    }

    /// Parses the certificates of a PEM text.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), when the text is not PEM, and when it has no certificate.
    pub fn from_pem(text: &[u8]) -> Result<Self, RootsError> {
        let certificates = pem::certificates(text)?;
        if certificates.is_empty() {
            return Err(RootsError::NoCertificate);
        }
        Self::new(certificates)
    }

    /// The certificates of the authorities.
    pub fn certificates(&self) -> &[Certificate] {
        self.0.anchors.certificates()
    }

    pub(super) fn trusted<'a>(&'a self, revocations: Option<&'a Revocations>) -> Trusted<'a> {
        Trusted {
            anchors: &self.0.anchors,
            revocations,
        }
    }

    /// Who the authorities are, for a server to tell its clients.
    pub(super) fn subjects(&self) -> &[DistinguishedName] {
        &self.0.subjects
    }
}

impl PartialEq for Roots {
    fn eq(&self, other: &Self) -> bool {
        self.certificates() == other.certificates()
    }
}

impl Eq for Roots {}

/// In how many orders the lists about a chain are tried at most.
const MAX_ORDERS: usize = 64;

/// Certificate revocation lists (RFC 5280 section 5). Cheap to clone.
///
/// Where lists are given, each authority of a chain has to have one that is in date. Authorities of
/// one name and different keys, as one follows the other when a root is replaced, may each have one.
/// Of several lists of one authority, those in date all count: what any of them revokes is refused.
/// A chain whose issuers have so many lists of one name that there are more than 64 ways to choose
/// one for each is refused.
#[derive(Clone, Default)]
pub struct Revocations {
    /// By the name of their issuer.
    lists: Arc<[Vec<List>]>,
}

#[derive(Clone)]
struct List {
    der: CertificateRevocationListDer<'static>,
    parsed: Arc<CertRevocationList<'static>>,
}

impl List {
    fn parse(der: &CertificateRevocationListDer<'_>) -> Result<Self, webpki::Error> {
        let parsed = OwnedCertRevocationList::from_der(der)?;
        Ok(Self {
            der: der.as_ref().to_vec().into(),
            parsed: Arc::new(parsed.into()),
        })
    }
}

impl Revocations {
    /// Parses lists.
    ///
    /// # Errors
    ///
    /// When one is malformed, or of a kind that is not supported: delta lists and indirect lists.
    pub fn new<'a>(
        lists: impl IntoIterator<Item = CertificateRevocationListDer<'a>>,
    ) -> Result<Self, RootsError> {
        let lists = lists.into_iter().enumerate().map(|(index, list)| {
            List::parse(&list).map_err(|source| RootsError::RevocationList { index, source })
        });
        Ok(Self::of(lists.collect::<Result<Vec<_>, _>>()?))
    }

    /// Parses the lists of a PEM text.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), when the text is not PEM, and when it has no list.
    pub fn from_pem(text: &[u8]) -> Result<Self, RootsError> {
        let lists = pem::revocation_lists(text)?;
        if lists.is_empty() {
            return Err(RootsError::NoRevocationList);
        }
        Self::new(lists)
    }

    /// These lists and those of `other`, each once.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let all = |lists: &Self| lists.lists.iter().flatten().cloned().collect::<Vec<List>>();
        let mut lists = all(self);
        let known = lists.len();
        for list in all(other) {
            if !lists[..known].iter().any(|one| one.der == list.der) {
                lists.push(list);
            }
        }
        Self::of(lists)
    }

    /// Whether there are none, so that nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// The lists, in each order that makes a difference to a chain with these issuers: webpki looks
    /// at the first of those whose issuers have one name. `None` if there are too many orders.
    pub(super) fn orders<'a>(
        &'a self,
        issuers: &[Vec<u8>],
    ) -> Option<impl Iterator<Item = Vec<&'a CertRevocationList<'static>>> + use<'a>> {
        let ways = self.lists.iter().map(|lists| {
            let issuer = lists[0].parsed.issuer();
            let is_of_chain = issuers.iter().any(|of_chain| of_chain == issuer);
            if is_of_chain { lists.len() } else { 1 }
        });
        let ways: Vec<usize> = ways.collect();
        let count = ways.iter().copied().fold(1, usize::saturating_mul);
        let orders = (0..count).map(move |mut index| {
            let lists = self.lists.iter().zip(&ways).flat_map(|(lists, ways)| {
                let (rest, first) = lists.split_at(index % ways);
                index /= ways;
                let lists = first.iter().chain(rest);
                lists.map(|list| &*list.parsed)
            });
            lists.collect()
        });
        (count <= MAX_ORDERS).then_some(orders)
    }
}

impl Revocations {
    fn of(lists: impl IntoIterator<Item = List>) -> Self {
        let mut by_issuer: Vec<Vec<List>> = Vec::new();
        for list in lists {
            let mut known = by_issuer.iter_mut();
            match known.find(|known| known[0].parsed.issuer() == list.parsed.issuer()) {
                Some(known) => known.push(list),
                None => by_issuer.push(vec![list]),
            }
        }
        Self {
            lists: by_issuer.into(),
        }
    }
}

impl PartialEq for Revocations {
    fn eq(&self, other: &Self) -> bool {
        let [own, others] =
            [self, other].map(|lists| lists.lists.iter().flatten().map(|list| &list.der));
        own.eq(others)
    }
}

impl Eq for Revocations {}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations")
            .field("len", &self.lists.iter().map(Vec::len).sum::<usize>())
            .finish()
    }
}

/// Why something is not a set of authorities or of revocation lists.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootsError {
    /// A certificate cannot be an authority's.
    #[error("the certificate of `{subject}` cannot be that of an authority")]
    Authority {
        /// Whose certificate.
        subject: String,
        /// Why.
        #[source]
        source: webpki::Error,
    },
    /// There is no certificate.
    #[error("there is no certificate of an authority")]
    NoCertificate,
    /// There is no revocation list.
    #[error("there is no revocation list")]
    NoRevocationList,
    /// The text is not PEM of what it should hold.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A revocation list is malformed or not supported.
    #[error("revocation list {index} cannot be used")]
    RevocationList {
        /// Which, counted from 0.
        index: usize,
        /// Why.
        #[source]
        source: webpki::Error,
    },
}
