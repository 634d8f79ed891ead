//! What programs share that serve the configuration of files until they are told to end.
//!
//! [`Files`] are read into a [`Generation`]; a [`Proxy`] serves it, and those that follow as the files
//! [change](changes): a good change takes effect at once, a bad one is refused with its diagnostics
//! while the last good one serves. What a person should know is told on standard error
//! ([`report`]), and answered at an [address for questions](admin).
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use examples::gateway::Settings;
//! use examples::program::{Files, Proxy};
//! use mesh_core::config::features::Features;
//! use mesh_core::workload::Workload;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! std::fs::write(directory.path().join("gateway.yaml"), "
//! apiVersion: networking.istio.io/v1
//! kind: Gateway
//! metadata: { name: shop, namespace: shop }
//! spec:
//!   selector: { app: gateway }
//!   servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }]
//! ")?;
//! let files = Files {
//!     paths: vec![directory.path().into()],
//!     workload: Workload::gateway("shop").with_label("app", "gateway"),
//!     features: Features::default(),
//! };
//! let mut settings = Settings::default();
//! settings.bind = [127, 0, 0, 1].into();
//! settings.ports.insert(80, 0);
//! let generation = files.load_first()?;
//! let proxy = Proxy::start(files, generation, settings)?;
//! assert!(proxy.gateway().address(80).is_some());
//! assert!(proxy.drain(Duration::from_secs(1)));
//! # Ok(())
//! # }
//! ```

pub mod admin;
pub mod arguments;
pub mod changes;
mod explain_query;
mod files;
pub mod identity;
pub mod log;
mod proxy;
pub mod questions;
pub mod report;

pub use self::files::{Files, Generation};
pub use self::proxy::{Proxy, Refused, terminated};
