//! Where identities come from, and the task that keeps one fresh.
//!
//! | source | feature |
//! |---|---|
//! | a directory of files, as a Kubernetes secret or SPIFFE helper writes it | `file` |
//! | an authority that speaks Istio's certificate service | `grpc` |
//!
//! [`Keeper`] runs [`Rotation`](crate::rotation::Rotation): it sleeps, fetches and publishes.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//!
//! use mesh_tls::resolve::{self, Identity};
//! use mesh_tls::source::{Keeper, SvidSource};
//! use mesh_tls::trust_bundle::TrustBundles;
//! use rustls::time_provider::DefaultTimeProvider;
//! # use mesh_tls::svid::X509Svid;
//! # use rcgen::{CertificateParams, KeyPair, KeyUsagePurpose, SanType};
//!
//! struct Fixed(Identity);
//!
//! impl SvidSource for Fixed {
//!     type Error = Infallible;
//!
//!     async fn fetch(&mut self) -> Result<Identity, Infallible> {
//!         Ok(self.0.clone())
//!     }
//! }
//!
//! # fn svid() -> Result<X509Svid, Box<dyn std::error::Error>> {
//! #     let mut params = CertificateParams::default();
//! #     params.subject_alt_names.push(SanType::URI("spiffe://mesh/ns/shop/sa/cart".try_into()?));
//! #     params.key_usages.push(KeyUsagePurpose::DigitalSignature);
//! #     let key = KeyPair::generate()?;
//! #     let chain = params.self_signed(&key)?.pem();
//! #     let provider = rustls::crypto::aws_lc_rs::default_provider();
//! #     Ok(X509Svid::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes(), &provider)?)
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let source = Fixed(Identity { svid: svid()?, bundles: TrustBundles::default() });
//! let (publisher, live) = resolve::channel();
//! let keeper = Keeper::new(source, Arc::new(DefaultTimeProvider), || 0.5);
//! let task = tokio::spawn(keeper.run(publisher));
//!
//! assert_eq!(live.ready().await.id().path(), "/ns/shop/sa/cart");
//! task.abort();
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "grpc")]
mod ca;
#[cfg(feature = "file")]
mod file;
mod keeper;

use std::future::{Future, pending};

#[cfg(feature = "grpc")]
pub use ca::{CaSource, CaSourceError, TokenSource};
#[cfg(feature = "file")]
pub use file::{FileNames, FileSource, FileSourceError};
pub use keeper::{Keeper, Notice};

use crate::resolve::Identity;

/// Where an identity comes from.
pub trait SvidSource: Send {
    /// Why a fetch failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Fetches SVID and trust bundles, in the state of now.
    ///
    /// # Errors
    ///
    /// When there is none, or what came is none.
    fn fetch(&mut self) -> impl Future<Output = Result<Identity, Self::Error>> + Send;

    /// Why a part of what was fetched last is not that of now, but older. Default: all is of now.
    fn problem(&self) -> Option<&Self::Error> {
        None
    }

    /// Waits until there is something new to fetch. Sources that do not know never return, and are
    /// fetched from when the SVID is due.
    ///
    /// # Cancel safety
    ///
    /// Has to report a change by the next call if this one is dropped before it returns.
    fn changed(&mut self) -> impl Future<Output = ()> + Send {
        pending()
    }
}
