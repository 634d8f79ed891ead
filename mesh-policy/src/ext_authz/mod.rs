//! Ask a server who may do what: AuthorizationPolicy with the action CUSTOM, and the extension
//! providers `envoyExtAuthzHttp` and `envoyExtAuthzGrpc` of the mesh.
//!
//! | module | holds |
//! |---|---|
//! | [`layer`] | the layer that asks, with an example |
//! | [`http`] | authorizers that are asked by HTTP |
//! | [`grpc`] | authorizers that are asked by gRPC |
//!
//! Sources: Istio's `pilot/pkg/security/authz/builder/extauthz.go`, Envoy's [ext_authz filter].
//!
//! [ext_authz filter]: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/ext_authz_filter
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use mesh_core::resource::istio::mesh_config::EnvoyExternalAuthorizationGrpcProvider;
//! use mesh_policy::ext_authz::Settings;
//!
//! let provider: EnvoyExternalAuthorizationGrpcProvider =
//!     serde_json::from_str(r#"{"service": "authz.shop", "port": 9000, "statusOnError": "503"}"#)?;
//! let settings = Settings::of_grpc(&provider)?;
//! assert!(!settings.fail_open);
//! assert_eq!(settings.timeout, Duration::from_secs(600));
//! assert_eq!(settings.status_on_error, 503);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod body;
mod changes;
mod check;
mod connection;
mod decide;
mod denied;
pub mod grpc;
pub mod http;
pub mod layer;
mod query;
mod settings;
#[cfg(test)]
mod tests;

pub use body::PrefixedBody;
pub use changes::HeaderChange;
pub use check::{
    Answer, Authorize, AuthorizeError, Changes, Check, CheckBody, CheckFuture, ConnectionCheck,
    Denial, FailureAnswer,
};
pub use connection::ConnectionDenied;
pub use settings::{BodySettings, InvalidStatusError, Provider, Providers, Settings};
