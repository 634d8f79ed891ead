//! The `namespace/host` form of Gateway servers and Sidecar egress.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::HostPattern;

/// The namespaces that a [`ScopedHost`] looks for its host in.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum NamespaceScope {
    /// `*`: every namespace.
    Any,
    /// `.`: the namespace of the object that has the host.
    Own,
    /// `~`: no namespace.
    Nowhere,
    /// The namespace of this name.
    Named(String),
}

impl NamespaceScope {
    /// Whether a namespace is in the scope of an object that lives in `own`.
    #[must_use]
    pub fn includes(&self, namespace: &str, own: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Own => namespace == own,
            Self::Nowhere => false,
            Self::Named(name) => namespace == name,
        }
    }
}

impl fmt::Display for NamespaceScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "*",
            Self::Own => ".",
            Self::Nowhere => "~",
            Self::Named(name) => name,
        })
    }
}

/// A host pattern and where it applies, such as `prod/*.example.com`.
///
/// ```
/// use mesh_core::host::ScopedHost;
///
/// # fn main() -> Result<(), mesh_core::host::ParseScopedHostError> {
/// let egress: ScopedHost = "./*".parse()?;
/// assert!(egress.namespace().includes("prod", "prod"));
/// assert!(!egress.namespace().includes("test", "prod"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScopedHost {
    namespace: NamespaceScope,
    host: HostPattern,
}

impl ScopedHost {
    /// The namespaces; all of them when the host was written without a namespace.
    #[must_use]
    pub const fn namespace(&self) -> &NamespaceScope {
        &self.namespace
    }

    /// The host.
    #[must_use]
    pub const fn host(&self) -> &HostPattern {
        &self.host
    }
}

impl fmt::Display for ScopedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.host)
    }
}

impl FromStr for ScopedHost {
    type Err = ParseScopedHostError;

    /// Parses `host` or `namespace/host`.
    ///
    /// # Errors
    ///
    /// When there is a `/` with nothing before or after it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, host) = text.split_once('/').unwrap_or(("*", text));
        if namespace.is_empty() || host.is_empty() {
            let text = text.to_owned();
            return Err(ParseScopedHostError { text });
        }
        let namespace = match namespace {
            "*" => NamespaceScope::Any,
            "." => NamespaceScope::Own,
            "~" => NamespaceScope::Nowhere,
            name => NamespaceScope::Named(name.to_owned()),
        };
        let host = HostPattern::new(host);
        Ok(Self { namespace, host })
    }
}

/// The host, for every namespace.
impl From<HostPattern> for ScopedHost {
    fn from(host: HostPattern) -> Self {
        let namespace = NamespaceScope::Any;
        Self { namespace, host }
    }
}

impl TryFrom<String> for ScopedHost {
    type Error = ParseScopedHostError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ScopedHost> for String {
    fn from(host: ScopedHost) -> Self {
        host.to_string()
    }
}

/// The namespace or the host is empty.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is not of the form namespace/host")]
#[non_exhaustive]
pub struct ParseScopedHostError {
    /// The text as given.
    pub text: String,
}
