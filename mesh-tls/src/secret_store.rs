//! Secrets by the names that the configuration has for them, live.
//!
//! A Gateway says `credentialName: shop`, a DestinationRule `caCertificates: /etc/certs/ca.pem`.
//! Whoever reads files or watches Kubernetes publishes what it finds under the [`SecretName`], and
//! handshakes use what is current. [`SecretStore::wanted`] lists the names that the configuration
//! asked for.
//!
//! # Example
//!
//! ```
//! use mesh_tls::secret::TlsSecret;
//! use mesh_tls::secret_store::{SecretName, SecretStore};
//!
//! let store = SecretStore::default();
//! let shop: SecretName = "kubernetes://shop".parse()?;
//! let watch = store.watch(&shop);
//! assert_eq!(store.wanted(), [shop.clone()]);
//! assert!(watch.load().is_none());
//!
//! store.publish(&shop, TlsSecret::default());
//! assert!(watch.load().is_some());
//! # Ok::<(), mesh_tls::secret_store::ParseSecretNameError>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mesh_core::watch::{self, Publisher, Watch};

use crate::secret::TlsSecret;

/// What Istio appends to the name of a credential that has only authorities.
const AUTHORITIES_SUFFIX: &str = "-cacert";

/// How the configuration names a secret.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum SecretName {
    /// The path of authorities.
    AuthoritiesFile(String),
    /// A ConfigMap with authorities.
    ConfigMap {
        /// Its namespace; `None` is that of the workload.
        namespace: Option<String>,
        /// Its name.
        name: String,
    },
    /// The paths of a certificate chain and of its key.
    CredentialFiles {
        /// Of the chain.
        certificate: String,
        /// Of the key.
        key: String,
    },
    /// A Kubernetes Secret of the workload's own namespace.
    Kubernetes {
        /// Its namespace; `None` is that of the workload. Nothing of another one may be published:
        /// whoever writes a Gateway could have any Secret of the cluster otherwise.
        namespace: Option<String>,
        /// Its name.
        name: String,
    },
    /// A Kubernetes Secret, perhaps of another namespace, that the workload may use: the model has such
    /// names only where a ReferenceGrant allows it.
    KubernetesGateway {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The path of revocation lists.
    RevocationsFile(String),
}

impl SecretName {
    /// The name under which the authorities of this credential are looked for first, `NAME-cacert`.
    pub(crate) fn of_authorities(&self) -> Option<Self> {
        let mut of_authorities = self.clone();
        match &mut of_authorities {
            Self::Kubernetes { name, .. } | Self::KubernetesGateway { name, .. }
                if !name.ends_with(AUTHORITIES_SUFFIX) =>
            {
                name.push_str(AUTHORITIES_SUFFIX);
                Some(of_authorities)
            }
            _ => None,
        }
    }
}

impl FromStr for SecretName {
    type Err = ParseSecretNameError;

    /// Parses a `credentialName`: a name, or `kubernetes://[namespace/]name`,
    /// `kubernetes-gateway://namespace/name`, `configmap://[namespace/]name`.
    ///
    /// # Errors
    ///
    /// When the name is empty, or the scheme is another one: Istio's `sds://`, `builtin://` and
    /// `file://` name sources that are not known here.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("kubernetes", text));
        let (namespace, name) = match rest.split_once('/') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name),
            None => (None, rest),
        };
        let is_empty = name.is_empty() || namespace.as_ref().is_some_and(String::is_empty);
        if is_empty || name.contains('/') {
            return Err(ParseSecretNameError::Name { text: text.into() });
        }
        let name = name.to_owned();
        match scheme {
            "kubernetes" => Ok(Self::Kubernetes { namespace, name }),
            "kubernetes-gateway" => match namespace {
                Some(namespace) => Ok(Self::KubernetesGateway { namespace, name }),
                None => Err(ParseSecretNameError::Name { text: text.into() }),
            },
            "configmap" => Ok(Self::ConfigMap { namespace, name }),
            _ => Err(ParseSecretNameError::Scheme {
                scheme: scheme.into(),
            }),
        }
    }
}

impl fmt::Display for SecretName {
    /// Istio's names of secrets, as in SDS.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AuthoritiesFile(path) => write!(f, "file-root:{path}"),
            Self::ConfigMap { namespace, name } => {
                let namespace = Namespace(namespace.as_deref());
                write!(f, "configmap://{namespace}{name}")
            }
            Self::CredentialFiles { certificate, key } => {
                write!(f, "file-cert:{certificate}~{key}")
            }
            Self::Kubernetes { namespace, name } => {
                let namespace = Namespace(namespace.as_deref());
                write!(f, "kubernetes://{namespace}{name}")
            }
            Self::KubernetesGateway { namespace, name } => {
                write!(f, "kubernetes-gateway://{namespace}/{name}")
            }
            Self::RevocationsFile(path) => write!(f, "file-crl:{path}"),
        }
    }
}

struct Namespace<'a>(Option<&'a str>);

impl fmt::Display for Namespace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |namespace| write!(f, "{namespace}/"))
    }
}

/// Why a `credentialName` is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSecretNameError {
    /// The name or its namespace is missing, or there is more than that.
    #[error("`{text}` is not the name of a secret")]
    Name {
        /// The text.
        text: String,
    },
    /// The scheme is not known.
    #[error("credentials of `{scheme}://` are not supported")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
}

/// The current secrets. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct SecretStore {
    secrets: Arc<Mutex<BTreeMap<SecretName, Publisher<Option<TlsSecret>>>>>,
    wanted: Arc<Mutex<BTreeSet<SecretName>>>,
}

impl SecretStore {
    /// Replaces a secret, for all handshakes from now on.
    pub fn publish(&self, name: &SecretName, secret: TlsSecret) {
        self.replace(name, Some(secret));
    }

    /// Takes a secret away. Handshakes that need it fail from now on.
    pub fn withdraw(&self, name: &SecretName) {
        self.replace(name, None);
    }

    /// A store of the same secrets, which was asked for none yet: what is [wanted](Self::wanted) of
    /// it is what one configuration of several wants.
    #[must_use]
    pub fn scoped(&self) -> Self {
        Self {
            secrets: Arc::clone(&self.secrets),
            wanted: Arc::default(),
        }
    }

    /// Forgets all secrets but these. Who watches a forgotten one keeps what it was.
    pub fn retain(&self, names: &BTreeSet<SecretName>) {
        lock(&self.secrets).retain(|name, _| names.contains(name));
        lock(&self.wanted).retain(|name| names.contains(name));
    }

    /// The secret of now and of later; `None` while there is none.
    pub fn watch(&self, name: &SecretName) -> Watch<Option<TlsSecret>> {
        lock(&self.wanted).insert(name.clone());
        let mut secrets = lock(&self.secrets);
        let publisher = secrets.entry(name.clone());
        publisher.or_insert_with(|| watch::channel(None).0).watch()
    }

    /// All names that this store or a clone of it was asked for, or that were published to it, in
    /// their order.
    pub fn wanted(&self) -> Vec<SecretName> {
        lock(&self.wanted).iter().cloned().collect()
    }

    fn replace(&self, name: &SecretName, secret: Option<TlsSecret>) {
        lock(&self.wanted).insert(name.clone());
        let mut secrets = lock(&self.secrets);
        let publisher = secrets.entry(name.clone());
        publisher
            .or_insert_with(|| watch::channel(None).0)
            .publish(secret);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_a_credential_name_are_read() {
        let kubernetes = |namespace: Option<&str>, name: &str| SecretName::Kubernetes {
            namespace: namespace.map(Into::into),
            name: name.into(),
        };
        let cases = [
            ("shop", Ok(kubernetes(None, "shop"))),
            ("kubernetes://shop", Ok(kubernetes(None, "shop"))),
            ("kubernetes://ns/shop", Ok(kubernetes(Some("ns"), "shop"))),
            (
                "kubernetes-gateway://ns/shop",
                Ok(SecretName::KubernetesGateway {
                    namespace: "ns".into(),
                    name: "shop".into(),
                }),
            ),
            (
                "kubernetes-gateway://shop",
                Err(ParseSecretNameError::Name {
                    text: "kubernetes-gateway://shop".into(),
                }),
            ),
            (
                "configmap://ns/ca",
                Ok(SecretName::ConfigMap {
                    namespace: Some("ns".into()),
                    name: "ca".into(),
                }),
            ),
            (
                "sds://x",
                Err(ParseSecretNameError::Scheme {
                    scheme: "sds".into(),
                }),
            ),
            (
                "invalid://x",
                Err(ParseSecretNameError::Scheme {
                    scheme: "invalid".into(),
                }),
            ),
            ("", Err(ParseSecretNameError::Name { text: "".into() })),
            ("/a", Err(ParseSecretNameError::Name { text: "/a".into() })),
            (
                "a/b/c",
                Err(ParseSecretNameError::Name {
                    text: "a/b/c".into(),
                }),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<SecretName>(), expected, "{text}");
            if let Ok(name) = expected {
                assert_eq!(name.to_string().parse(), Ok(name), "{text}");
            }
        }
    }

    #[test]
    fn authorities_are_looked_for_under_a_name_of_their_own() {
        let name: SecretName = "ns/shop".parse().unwrap();
        let of_authorities = name.of_authorities().unwrap();
        assert_eq!(of_authorities.to_string(), "kubernetes://ns/shop-cacert");
        assert_eq!(of_authorities.of_authorities(), None);
    }

    #[test]
    fn a_scope_shares_secrets_and_lists_its_own_names() {
        let store = SecretStore::default();
        let [first, second] = ["first", "second"].map(|name| name.parse::<SecretName>().unwrap());
        let _ = store.watch(&first);
        let scope = store.scoped();
        let watch = scope.watch(&second);
        assert_eq!(scope.wanted(), std::slice::from_ref(&second));
        assert_eq!(store.wanted(), [first]);
        store.publish(&second, TlsSecret::default());
        assert!(watch.load().is_some());

        scope.retain(&BTreeSet::new());
        store.publish(&second, TlsSecret::default());
        store.withdraw(&second);
        assert!(
            watch.load().is_some(),
            "a forgotten secret stays what it was"
        );
    }

    #[test]
    fn a_secret_is_replaced_and_withdrawn_under_its_watchers() {
        let (store, name) = (SecretStore::default(), "shop".parse().unwrap());
        store.publish(&name, TlsSecret::default());
        let watch = store.watch(&name);
        assert!(watch.load().is_some());
        store.withdraw(&name);
        assert!(watch.load().is_none());
    }
}
