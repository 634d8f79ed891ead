//! Why a configuration cannot be compiled.
//!
//! # Example
//!
//! ```
//! use mesh_core::model::route::{RouteConfiguration, VirtualHost};
//! use mesh_routing::table::RouteTable;
//!
//! let configuration = RouteConfiguration {
//!     virtual_hosts: vec![
//!         VirtualHost::new("a", ["shop.example"], []),
//!         VirtualHost::new("b", ["Shop.example"], []),
//!     ],
//!     ..RouteConfiguration::default()
//! };
//! let errors = RouteTable::compile(&configuration).unwrap_err();
//! assert_eq!(
//!     errors.as_slice()[0].to_string(),
//!     "domain `Shop.example` belongs to virtual host `a` already",
//! );
//! ```

use std::fmt;

use mesh_core::origin::Origin;

use crate::filter::InvalidFilter;

/// All that is wrong with a configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CompileErrors(Vec<CompileError>);

impl CompileErrors {
    /// `Ok` if there are none.
    pub(crate) fn check(errors: Vec<CompileError>) -> Result<(), Self> {
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Self(errors))
        }
    }

    /// The errors, in the order of the configuration. At least one.
    pub fn as_slice(&self) -> &[CompileError] {
        &self.0
    }
}

impl IntoIterator for CompileErrors {
    type Item = CompileError;
    type IntoIter = std::vec::IntoIter<CompileError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for CompileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}  [{}]", error.origin)?;
        }
        Ok(())
    }
}

impl std::error::Error for CompileErrors {}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{kind}")]
pub struct CompileError {
    origin: Origin,
    kind: CompileErrorKind,
}

impl CompileError {
    pub(crate) fn new(origin: &Origin, kind: CompileErrorKind) -> Self {
        let origin = origin.clone();
        Self { origin, kind }
    }

    /// Where the rule was written.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What is wrong.
    pub fn kind(&self) -> &CompileErrorKind {
        &self.kind
    }
}

/// What is wrong with a rule.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileErrorKind {
    /// Two filter chains take the same connections.
    #[error("filter chain `{chain}` takes the same connections as `{first}`: {criteria}")]
    DuplicateChain {
        /// The later chain.
        chain: String,
        /// The earlier chain.
        first: String,
        /// The connections.
        criteria: String,
    },
    /// A domain occurs twice.
    #[error("domain `{domain}` belongs to virtual host `{first}` already")]
    DuplicateDomain {
        /// The domain.
        domain: String,
        /// The virtual host that has it.
        first: String,
    },
    /// A filter of a route could not be applied.
    #[error(transparent)]
    Filter(#[from] InvalidFilter),
    /// A name cannot be that of a header field.
    #[error("`{name}` is not the name of a header field")]
    HeaderName {
        /// The name.
        name: String,
    },
    /// A virtual host has no domain, so that no request reaches it.
    #[error("virtual host `{virtual_host}` has no domain")]
    NoDomain {
        /// The virtual host.
        virtual_host: String,
    },
    /// A route forwards to nothing.
    #[error("route `{route}` has no destination")]
    NoDestination {
        /// The route.
        route: String,
    },
    /// A path-separated prefix is empty, ends in `/` or has a query or fragment.
    #[error("`{prefix}` is not a path prefix of whole segments")]
    SeparatedPrefix {
        /// The prefix.
        prefix: String,
    },
    /// A server name has a `*` elsewhere than as its first label, or nothing else.
    #[error("server name `{name}` has a wildcard that is not its whole first label")]
    ServerName {
        /// The server name.
        name: String,
    },
    /// A status that the action cannot have.
    #[error("route `{route}` cannot answer with status `{status}`")]
    Status {
        /// The route.
        route: String,
        /// The status.
        status: u16,
    },
    /// The weights of several destinations sum to 0, or to more than `u32::MAX`.
    #[error("the weights of the destinations of `{name}` sum to `{total}`")]
    TotalWeight {
        /// The route or filter chain.
        name: String,
        /// The sum.
        total: u64,
    },
}
