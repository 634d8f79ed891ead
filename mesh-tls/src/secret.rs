//! Credentials as Kubernetes and files hold them.
//!
//! A [`TlsSecret`] has what a `credentialName` or a set of paths can give: a certificate chain with
//! its key, authorities, revocation lists, a stapled OCSP response. Each is optional; what a mode
//! of TLS needs and does not find makes its handshakes fail, never pass.
//!
//! Of a Kubernetes Secret these keys are read, the first that has a value (istiod's
//! `credentials/kube`):
//!
//! | what | keys |
//! |---|---|
//! | chain and key | `cert` and `key`, `tls.crt` and `tls.key` |
//! | authorities | `cacert`, `ca.crt` |
//! | revocation lists | `crl`, `ca.crl` |
//! | stapled response | `tls.ocsp-staple` |
//!
//! # Example
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mesh_core::resource::kubernetes::secret::Secret;
//! use mesh_tls::secret::TlsSecret;
//!
//! let shop = rcgen::generate_simple_self_signed(["shop.example".to_owned()])?;
//! let mut secret = Secret::default();
//! secret.string_data.insert("tls.crt".into(), shop.cert.pem());
//! secret.string_data.insert("tls.key".into(), shop.signing_key.serialize_pem());
//!
//! let provider = rustls::crypto::aws_lc_rs::default_provider();
//! let tls = TlsSecret::from_kubernetes(&secret, &provider)?;
//! assert!(tls.credential().is_some() && tls.roots().is_none());
//! # Ok(())
//! # }
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mesh_core::resource::kubernetes::secret::Secret;
use rustls::crypto::CryptoProvider;

use crate::credential::{Credential, CredentialError};
use crate::verify::{Revocations, Roots, RootsError};

/// What is proven, and who is believed. Cheap to clone.
///
/// Its [`Debug`](std::fmt::Debug) form does not show keys.
#[derive(Clone, Debug, Default)]
pub struct TlsSecret {
    credential: Option<Credential>,
    roots: Option<Roots>,
    revocations: Option<Revocations>,
}

impl TlsSecret {
    /// Takes a chain and its key.
    #[must_use]
    pub fn with_credential(mut self, credential: Credential) -> Self {
        self.credential = Some(credential);
        self
    }

    /// Takes authorities.
    #[must_use]
    pub fn with_roots(mut self, roots: Roots) -> Self {
        self.roots = Some(roots);
        self
    }

    /// Takes revocation lists.
    #[must_use]
    pub fn with_revocations(mut self, revocations: Revocations) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// Reads a Secret. See the [module docs](self) for the keys.
    ///
    /// # Errors
    ///
    /// When none of the keys has a value, a value is not base64, or not what its key says.
    pub fn from_kubernetes(
        secret: &Secret,
        provider: &CryptoProvider,
    ) -> Result<Self, SecretError> {
        let Secret {
            r#type: _,
            data,
            string_data,
        } = secret;
        Self::from_values(provider, |key| {
            if let Some(text) = string_data.get(key) {
                return Ok(Some(text.as_bytes().to_vec()));
            }
            let value = data.get(key).map(|value| STANDARD.decode(value));
            value.transpose().map_err(|_| SecretError::Base64 { key })
        })
    }

    /// Reads the authorities, and the revocation lists, of a ConfigMap.
    ///
    /// # Errors
    ///
    /// When there are none, or a value is not what its key says.
    pub fn from_config_map<'a>(
        data: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, SecretError> {
        let data: Vec<(&str, &str)> = data.into_iter().collect();
        let value = |key: &'static str| {
            let found = data.iter().find(|(name, _)| *name == key);
            Ok(found.map(|(_, value)| value.as_bytes().to_vec()))
        };
        let secret = Self {
            credential: None,
            roots: roots(&value)?,
            revocations: revocations(&value)?,
        };
        match secret.roots {
            Some(_) => Ok(secret),
            None => Err(SecretError::Empty),
        }
    }

    fn from_values(
        provider: &CryptoProvider,
        value: impl Fn(&'static str) -> Result<Option<Vec<u8>>, SecretError>,
    ) -> Result<Self, SecretError> {
        let secret = Self {
            credential: credential(provider, &value)?,
            roots: roots(&value)?,
            revocations: revocations(&value)?,
        };
        if secret.credential.is_none() && secret.roots.is_none() {
            return Err(SecretError::Empty);
        }
        Ok(secret)
    }

    /// The chain and its key.
    pub fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    /// The authorities.
    pub fn roots(&self) -> Option<&Roots> {
        self.roots.as_ref()
    }

    /// The revocation lists.
    pub fn revocations(&self) -> Option<&Revocations> {
        self.revocations.as_ref()
    }
}

fn credential(
    provider: &CryptoProvider,
    value: &impl Fn(&'static str) -> Result<Option<Vec<u8>>, SecretError>,
) -> Result<Option<Credential>, SecretError> {
    for (chain, key) in [("cert", "key"), ("tls.crt", "tls.key")] {
        let (Some(chain), Some(key)) = (non_empty(value, chain)?, non_empty(value, key)?) else {
            continue;
        };
        let credential = Credential::from_pem(&chain, &key, provider)?;
        let staple = non_empty(value, "tls.ocsp-staple")?;
        return Ok(Some(match staple {
            Some(staple) => credential.with_ocsp_response(staple),
            None => credential,
        }));
    }
    Ok(None)
}

fn roots(
    value: &impl Fn(&'static str) -> Result<Option<Vec<u8>>, SecretError>,
) -> Result<Option<Roots>, SecretError> {
    let text = match non_empty(value, "cacert")? {
        Some(text) => Some(text),
        None => non_empty(value, "ca.crt")?,
    };
    let roots = text.map(|text| Roots::from_pem(&text));
    roots.transpose().map_err(SecretError::Authorities)
}

fn revocations(
    value: &impl Fn(&'static str) -> Result<Option<Vec<u8>>, SecretError>,
) -> Result<Option<Revocations>, SecretError> {
    let text = match non_empty(value, "crl")? {
        Some(text) => Some(text),
        None => non_empty(value, "ca.crl")?,
    };
    let lists = text.map(|text| Revocations::from_pem(&text));
    lists.transpose().map_err(SecretError::Revocations)
}

fn non_empty(
    value: &impl Fn(&'static str) -> Result<Option<Vec<u8>>, SecretError>,
    key: &'static str,
) -> Result<Option<Vec<u8>>, SecretError> {
    Ok(value(key)?.filter(|value| !value.trim_ascii().is_empty()))
}

/// Why a Secret gives no credentials.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The authorities are none.
    #[error("the authorities cannot be used")]
    Authorities(#[source] RootsError),
    /// A value is not base64.
    #[error("the value of `{key}` is not base64")]
    Base64 {
        /// Its key.
        key: &'static str,
    },
    /// Chain and key are no credential.
    #[error("certificate and key cannot be used")]
    Credential(#[from] CredentialError),
    /// No key that is read has a value.
    #[error(
        "there is neither a certificate with its key (`cert` and `key`, or `tls.crt` and \
         `tls.key`) nor an authority (`cacert` or `ca.crt`)"
    )]
    Empty,
    /// The revocation lists are none.
    #[error("the revocation lists cannot be used")]
    Revocations(#[source] RootsError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pem;
    use crate::testing::{Authority, provider};

    fn secret(values: &[(&str, &str)]) -> Secret {
        let values = values.iter();
        Secret {
            data: values
                .map(|(key, value)| ((*key).to_owned(), STANDARD.encode(value)))
                .collect(),
            ..Secret::default()
        }
    }

    #[test]
    fn every_layout_is_read_and_the_generic_one_comes_first() {
        let authority = Authority::new("root");
        let [a, b] = [authority.host("a.example"), authority.host("b.example")];
        let texts = |credential: &Credential| {
            let key = pem::encode("PRIVATE KEY", credential.private_key().secret_der());
            (pem::encode_certificates(credential.chain()), key)
        };
        let ((a_chain, a_key), (b_chain, b_key)) = (texts(&a), texts(&b));
        let root = pem::encode_certificates([&authority.certificate()]);
        let generic = [("cert", &*a_chain), ("key", &*a_key)];
        let tls = [("tls.crt", &*b_chain), ("tls.key", &*b_key)];
        let half = [("cert", &*a_chain), ("key", " \n")];
        type Values<'a> = Vec<(&'a str, &'a str)>;
        let cases: [(&str, Values<'_>, Option<&str>, bool); 7] = [
            ("generic", generic.to_vec(), Some("a.example"), false),
            ("tls", tls.to_vec(), Some("b.example"), false),
            ("both", [generic, tls].concat(), Some("a.example"), false),
            ("half", [half, tls].concat(), Some("b.example"), false),
            ("cacert", vec![("cacert", &root)], None, true),
            ("ca.crt", vec![("ca.crt", &root)], None, true),
            (
                "all",
                [&tls[..], &[("ca.crt", &root)]].concat(),
                Some("b.example"),
                true,
            ),
        ];
        for (name, values, host, has_roots) in cases {
            let read = TlsSecret::from_kubernetes(&secret(&values), &provider()).unwrap();
            let found = read
                .credential()
                .and_then(|found| found.leaf().dns_names().next());
            assert_eq!(found, host, "{name}");
            assert_eq!(read.roots().is_some(), has_roots, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let read = |values: &[(&str, &str)]| {
            TlsSecret::from_kubernetes(&secret(values), &provider()).unwrap_err()
        };
        assert!(matches!(read(&[]), SecretError::Empty));
        assert!(matches!(read(&[("tls.crt", "x")]), SecretError::Empty));
        let no_pem = read(&[("tls.crt", "x"), ("tls.key", "y")]);
        assert!(matches!(no_pem, SecretError::Credential(_)));
        assert!(matches!(
            read(&[("ca.crt", "x")]),
            SecretError::Authorities(_)
        ));
        let root = pem::encode_certificates([&Authority::new("root").certificate()]);
        let no_list = read(&[("ca.crt", &root), ("crl", "x")]);
        assert!(matches!(no_list, SecretError::Revocations(_)));
        let mut secret = Secret::default();
        secret.data.insert("cacert".into(), "?".into());
        let error = TlsSecret::from_kubernetes(&secret, &provider()).unwrap_err();
        assert!(matches!(error, SecretError::Base64 { key: "cacert" }));
    }

    #[test]
    fn a_config_map_has_authorities() {
        let root = pem::encode_certificates([&Authority::new("root").certificate()]);
        let read = TlsSecret::from_config_map([("ca.crt", &*root)]).unwrap();
        assert_eq!(read.roots().unwrap().certificates().len(), 1);
        assert!(TlsSecret::from_config_map([("tls.crt", "x")]).is_err());
    }
}
