//! Trust bundles: whom a workload believes, by trust domain.
//!
//! A [`TrustBundle`] holds the authorities of one trust domain, read from PEM (Istio's
//! `root-cert.pem`) or from the JSON of [SPIFFE's bundle format]. [`TrustBundles`] holds those of
//! several. While an authority is replaced, a bundle holds the old one and the new one
//! ([`TrustBundle::merge`]).
//!
//! [SPIFFE's bundle format]: https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Trust_Domain_and_Bundle.md#4-spiffe-bundle-format
//!
//! # Example
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mesh_core::identity::TrustDomain;
//! use mesh_tls::trust_bundle::{TrustBundle, TrustBundles};
//!
//! let mut root = rcgen::CertificateParams::default();
//! root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
//! let root = root.self_signed(&rcgen::KeyPair::generate()?)?.pem();
//! let domain: TrustDomain = "cluster.local".parse()?;
//! let bundle = TrustBundle::from_pem(domain.clone(), root.as_bytes())?;
//! let json = bundle.to_spiffe_json();
//! assert_eq!(TrustBundle::from_spiffe_json(domain.clone(), json.as_bytes())?, bundle);
//!
//! let bundles = TrustBundles::from_iter([bundle]);
//! assert_eq!(bundles.get(&domain).unwrap().authorities().len(), 1);
//! # Ok(())
//! # }
//! ```

mod extra;
mod jwk;
mod jwt;
mod spiffe;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::identity::TrustDomain;
use serde::de::DeserializeOwned;

use crate::certificate::Certificate;
use crate::pem::{self, PemError};
use crate::verify::{Anchors, Revocations};

pub(crate) use extra::Believed;
pub use extra::ExtraAuthorities;
pub use jwt::JwtAuthorities;

/// How many authorities a bundle may have. Each may be tried in each handshake.
pub const MAX_AUTHORITIES: usize = 1_000;

/// How many keys that sign JWT-SVIDs a bundle may have.
pub const MAX_JWT_KEYS: usize = 1_000;

/// How many bytes a text of JSON may have. That of [`MAX_AUTHORITIES`] has about half as many.
pub const MAX_JSON_LEN: usize = 4 << 20;

/// The authorities of a trust domain.
#[derive(Clone, Debug)]
pub struct TrustBundle {
    trust_domain: TrustDomain,
    anchors: Anchors,
    jwt_authorities: JwtAuthorities,
    revocations: Revocations,
    sequence: Option<u64>,
    refresh_hint: Option<Duration>,
}

impl TrustBundle {
    /// The authorities of `trust_domain`, each once. None at all is a bundle that trusts nobody.
    ///
    /// # Errors
    ///
    /// When a certificate [cannot be](Certificate::can_be_ca) an authority's (X509-SVID section 6 has no
    /// others in bundles), or there are more than [`MAX_AUTHORITIES`].
    pub fn new(
        trust_domain: TrustDomain,
        authorities: impl IntoIterator<Item = Certificate>,
    ) -> Result<Self, TrustBundleError> {
        let mut bundle = Self {
            trust_domain,
            anchors: Anchors::default(),
            jwt_authorities: JwtAuthorities::default(),
            revocations: Revocations::default(),
            sequence: None,
            refresh_hint: None,
        };
        for authority in authorities {
            bundle.add(authority)?;
        }
        Ok(bundle)
    }

    /// Parses the certificates of a PEM text.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), when the text is not PEM, and when it is not empty and yet has
    /// no certificate.
    pub fn from_pem(trust_domain: TrustDomain, text: &[u8]) -> Result<Self, TrustBundleError> {
        let authorities = pem::certificates(text)?;
        if authorities.is_empty() && !text.trim_ascii().is_empty() {
            return Err(TrustBundleError::NoCertificate);
        }
        Self::new(trust_domain, authorities)
    }

    /// Parses SPIFFE's bundle format. Keys whose `use` is unknown are ignored, as section 4.2.2
    /// demands.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), and when the text is longer than [`MAX_JSON_LEN`], is no such JSON, has
    /// no `keys` or more than [`MAX_JWT_KEYS`] for JWT, an X.509 key has not exactly one certificate, or
    /// a JWT key has no `kid`.
    pub fn from_spiffe_json(
        trust_domain: TrustDomain,
        text: &[u8],
    ) -> Result<Self, TrustBundleError> {
        spiffe::parse(trust_domain, text)
    }

    /// Writes SPIFFE's bundle format.
    pub fn to_spiffe_json(&self) -> String {
        spiffe::write(self)
    }

    /// Writes the authorities as PEM.
    pub fn to_pem(&self) -> String {
        pem::encode_certificates(self.authorities())
    }

    /// Whose authorities they are.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The authorities that may sign X509-SVIDs, in their order.
    pub fn authorities(&self) -> &[Certificate] {
        self.anchors.certificates()
    }

    /// The same as webpki takes them.
    pub(crate) fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    /// The keys that may sign JWT-SVIDs.
    pub fn jwt_authorities(&self) -> &JwtAuthorities {
        &self.jwt_authorities
    }

    /// What the authorities have revoked.
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Sets what the authorities have revoked: `ca-crl.pem` of one that is plugged in, which istiod
    /// hands on in the ConfigMap `istio-ca-crl`. Default: nothing.
    ///
    /// As soon as there is one list, each authority of a chain has to have one that is in date. SPIFFE's
    /// bundle format has no place for them.
    #[must_use]
    pub fn with_revocations(mut self, revocations: Revocations) -> Self {
        self.revocations = revocations;
        self
    }

    /// Version of the bundle (`spiffe_sequence`).
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// Sets the version of the bundle.
    #[must_use]
    pub fn with_sequence(mut self, sequence: u64) -> Self {
        self.sequence = Some(sequence);
        self
    }

    /// How often the bundle should be fetched again (`spiffe_refresh_hint`).
    pub fn refresh_hint(&self) -> Option<Duration> {
        self.refresh_hint
    }

    /// Sets how often the bundle should be fetched again.
    #[must_use]
    pub fn with_refresh_hint(mut self, interval: Duration) -> Self {
        self.refresh_hint = Some(interval);
        self
    }

    /// Trusts the authorities of `other` as well, and does not what either has revoked. Its trust domain
    /// does not matter: it may be an alias of this one.
    ///
    /// # Errors
    ///
    /// When there are more than [`MAX_AUTHORITIES`] or [`MAX_JWT_KEYS`] together.
    pub fn merge(mut self, other: &Self) -> Result<Self, TrustBundleError> {
        for authority in other.authorities() {
            self.add(authority.clone())?;
        }
        self.jwt_authorities.merge(&other.jwt_authorities)?;
        self.revocations = self.revocations.merge(&other.revocations);
        Ok(self)
    }

    fn add(&mut self, authority: Certificate) -> Result<(), TrustBundleError> {
        if self.authorities().contains(&authority) {
            return Ok(());
        }
        if self.authorities().len() == MAX_AUTHORITIES {
            return Err(TrustBundleError::TooMany);
        }
        let subject = authority.subject().to_owned();
        let added = match authority.can_be_ca() {
            true => Arc::make_mut(&mut self.anchors).push(authority),
            false => Err(webpki::Error::EndEntityUsedAsCa),
        };
        added.map_err(|source| TrustBundleError::Authority { subject, source })
    }
}

impl PartialEq for TrustBundle {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            trust_domain,
            anchors,
            jwt_authorities,
            revocations,
            sequence,
            refresh_hint,
        } = self;
        *trust_domain == other.trust_domain
            && *anchors == other.anchors
            && *jwt_authorities == other.jwt_authorities
            && *revocations == other.revocations
            && *sequence == other.sequence
            && *refresh_hint == other.refresh_hint
    }
}

impl Eq for TrustBundle {}

/// The bundles of several trust domains.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TrustBundles {
    bundles: BTreeMap<TrustDomain, Arc<TrustBundle>>,
}

impl TrustBundles {
    /// The bundle of a trust domain.
    pub fn get(&self, trust_domain: &TrustDomain) -> Option<&Arc<TrustBundle>> {
        self.bundles.get(trust_domain)
    }

    /// Puts a bundle in the place of the one of its trust domain.
    pub fn insert(&mut self, bundle: TrustBundle) {
        let domain = bundle.trust_domain.clone();
        self.bundles.insert(domain, Arc::new(bundle));
    }

    /// Uses the bundle of `domain` for `alias` as well, unless that has one of its own. Nothing
    /// happens if `domain` has none.
    pub fn alias(&mut self, domain: &TrustDomain, alias: TrustDomain) {
        if let Some(bundle) = self.bundles.get(domain) {
            let bundle = Arc::clone(bundle);
            self.bundles.entry(alias).or_insert(bundle);
        }
    }

    /// All bundles, with the trust domain that each is used for.
    pub fn iter(&self) -> impl Iterator<Item = (&TrustDomain, &Arc<TrustBundle>)> {
        self.bundles.iter()
    }
}

impl FromIterator<TrustBundle> for TrustBundles {
    /// Collects bundles. Of several for a trust domain the last one counts.
    fn from_iter<I: IntoIterator<Item = TrustBundle>>(bundles: I) -> Self {
        let mut collected = Self::default();
        for bundle in bundles {
            collected.insert(bundle);
        }
        collected
    }
}

/// Why something is not a trust bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustBundleError {
    /// A certificate cannot be an authority's.
    #[error("the certificate of `{subject}` cannot be that of an authority")]
    Authority {
        /// Whose certificate.
        subject: String,
        /// Why.
        #[source]
        source: webpki::Error,
    },
    /// A certificate in JSON is none.
    #[error("key {index} has no valid certificate")]
    Certificate {
        /// Which key, counted from 0.
        index: usize,
    },
    /// An X.509 key has not exactly one certificate.
    #[error("key {index} has {count} certificates instead of one")]
    CertificateCount {
        /// Which key, counted from 0.
        index: usize,
        /// How many it has.
        count: usize,
    },
    /// The text is not the expected JSON.
    #[error("not a bundle in SPIFFE's format")]
    Json(#[source] serde_json::Error),
    /// A JWT key is malformed or of an unknown kind.
    #[error("key {index} is not a public key")]
    JwtKey {
        /// Which key, counted from 0.
        index: usize,
    },
    /// A text that is not empty has no certificate.
    #[error("there is no certificate")]
    NoCertificate,
    /// A JWT key cannot be referred to.
    #[error("key {index} has no `kid`")]
    NoKeyId {
        /// Which key, counted from 0.
        index: usize,
    },
    /// The JSON has no `keys`.
    #[error("there are no `keys`")]
    NoKeys,
    /// The text is not PEM of certificates.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The text is longer than [`MAX_JSON_LEN`].
    #[error("a bundle of {len} bytes is longer than {MAX_JSON_LEN} bytes")]
    TooLong {
        /// How long it is.
        len: usize,
    },
    /// There are too many authorities.
    #[error("there are more than {MAX_AUTHORITIES} authorities")]
    TooMany,
    /// There are too many keys that sign JWT-SVIDs.
    #[error("there are more than {MAX_JWT_KEYS} keys for JWT")]
    TooManyJwtKeys,
}

/// Parses JSON of a length that is accepted.
fn parse_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, TrustBundleError> {
    if text.len() > MAX_JSON_LEN {
        return Err(TrustBundleError::TooLong { len: text.len() });
    }
    serde_json::from_slice(text).map_err(TrustBundleError::Json)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::Authority;

    fn domain(name: &str) -> TrustDomain {
        name.parse().unwrap()
    }

    #[test]
    fn an_authority_is_held_once() {
        let root = Authority::new("td").certificate();
        let bundle = TrustBundle::new(domain("td"), [root.clone(), root]).unwrap();
        assert_eq!(bundle.authorities().len(), 1);
        assert_eq!(bundle.clone().merge(&bundle).unwrap(), bundle);
    }

    #[test]
    fn a_workload_is_no_authority() {
        let leaf = Authority::new("td").svid("/w").leaf().clone();
        let error = TrustBundle::new(domain("td"), [leaf]).unwrap_err();
        assert!(matches!(error, TrustBundleError::Authority { .. }));
    }

    #[test]
    fn what_is_no_authority_is_refused_beside_a_bundle_too() {
        let leaf = Authority::new("td").svid("/w").leaf().clone();
        let own = rcgen::generate_simple_self_signed(["host.example".into()]).unwrap();
        for leaf in [pem::encode_certificates([&leaf]), own.cert.pem()] {
            let mut extra = ExtraAuthorities::default();
            let error = extra.add_pem(leaf.as_bytes(), &[]).unwrap_err();
            let text = "cannot be that of an authority";
            assert!(error.to_string().contains(text), "{error}");
            assert!(extra.is_empty());
        }
    }

    #[test]
    fn an_empty_text_trusts_nobody_and_any_other_has_a_certificate() {
        let bundle = TrustBundle::from_pem(domain("td"), b"\n").unwrap();
        assert!(bundle.authorities().is_empty());
        let error = TrustBundle::from_pem(domain("td"), b"root").unwrap_err();
        assert!(matches!(error, TrustBundleError::NoCertificate));
    }

    #[test]
    fn a_text_of_json_is_as_long_as_is_accepted_and_no_longer() {
        let padded = |len: usize| {
            let mut text = br#"{"keys": []}"#.to_vec();
            text.resize(len, b' ');
            text
        };
        let bundle = TrustBundle::from_spiffe_json(domain("td"), &padded(MAX_JSON_LEN));
        assert!(bundle.is_ok());
        assert!(JwtAuthorities::from_jwks(&padded(MAX_JSON_LEN)).is_ok());
        let long = padded(MAX_JSON_LEN + 1);
        let errors = [
            TrustBundle::from_spiffe_json(domain("td"), &long).err(),
            JwtAuthorities::from_jwks(&long).err(),
        ];
        for error in errors {
            let text = "a bundle of 4194305 bytes is longer than 4194304 bytes";
            assert_eq!(error.unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_keys_for_jwt_are_counted() {
        let set = |prefix: &str, count: usize| {
            let key = |n| {
                json!({
                    "use": "jwt-svid", "kid": format!("{prefix}{n}"),
                    "kty": "OKP", "crv": "Ed25519", "x": "AAAA",
                })
            };
            json!({"keys": (0..count).map(key).collect::<Vec<_>>()}).to_string()
        };
        let parse = |text: &str| TrustBundle::from_spiffe_json(domain("td"), text.as_bytes());
        let is_too_many = |error| matches!(error, TrustBundleError::TooManyJwtKeys);
        let full = parse(&set("a", MAX_JWT_KEYS)).unwrap();
        let more = set("a", MAX_JWT_KEYS + 1);
        assert!(is_too_many(parse(&more).unwrap_err()));
        assert!(is_too_many(
            JwtAuthorities::from_jwks(more.as_bytes()).unwrap_err()
        ));
        assert!(full.clone().merge(&full).is_ok(), "they are the same");
        let other = parse(&set("b", 1)).unwrap();
        assert!(is_too_many(full.merge(&other).unwrap_err()));
    }

    #[test]
    fn while_an_authority_is_replaced_both_are_trusted() {
        let [old, new] = [Authority::new("td"), Authority::new("td")];
        let both = old.bundle().merge(&new.bundle()).unwrap();
        assert_eq!(both.authorities(), [old.certificate(), new.certificate()]);
        assert_eq!(
            TrustBundle::from_pem(domain("td"), both.to_pem().as_bytes()).unwrap(),
            both
        );
    }

    #[test]
    fn an_alias_has_the_bundle_of_its_domain_unless_it_has_one() {
        let [ours, theirs] = [Authority::new("a"), Authority::new("b")];
        let mut bundles = TrustBundles::from_iter([ours.bundle(), theirs.bundle()]);
        for alias in ["b", "c"] {
            bundles.alias(&domain("a"), domain(alias));
        }
        bundles.alias(&domain("x"), domain("y"));
        let authorities = |name: &str| {
            bundles
                .get(&domain(name))
                .map(|b| b.authorities()[0].clone())
        };
        assert_eq!(authorities("b"), Some(theirs.certificate()));
        assert_eq!(authorities("c"), Some(ours.certificate()));
        assert_eq!(authorities("y"), None);
    }
}
