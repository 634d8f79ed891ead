//! Hosts that requests name, looked up when they do (`resolution: DYNAMIC_DNS`).

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{Response, StatusCode};
use mesh_core::attributes::ResponseFlag;
use mesh_core::reply::{self, Caller, Reason};
use mesh_discovery::source::dns::{Answer, DynamicDns, DynamicDnsError, Resolve, Resolver};

use super::names::{Nobody, system};
use crate::body::Body;

/// The hosts that were named, for all threads and generations. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Dynamic(Arc<DynamicDns<System>>);

impl Dynamic {
    /// No host was named yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(DynamicDns::new(System::default())))
    }

    /// The addresses of a host, at least one.
    pub(super) async fn resolve(self, host: String) -> Result<Arc<[IpAddr]>, DynamicDnsError> {
        self.0.resolve(&host).await
    }
}

/// Whom the system says to ask, from the first name on; `None` if it does not say.
#[derive(Default)]
struct System(OnceLock<Option<Resolver>>);

impl Resolve for System {
    fn resolve(&self, host: &str) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        match self.0.get_or_init(|| system().ok()) {
            Some(resolver) => resolver.resolve(host),
            None => Nobody.resolve(host),
        }
    }
}

/// Envoy's answer where a host cannot be looked up.
pub(super) fn refusal(caller: Caller, error: DynamicDnsError) -> Response<Body> {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    match error {
        DynamicDnsError::TooManyNames => {
            let text = Bytes::from_static(b"DNS cache overflow");
            reply::text(caller, status, text, TooManyNames)
        }
        _ => {
            let text = Bytes::from_static(b"DNS resolution failure");
            reply::text(caller, status, text, Unresolved)
        }
    }
}

/// Marks a `503` as sent because the host cannot be looked up.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the host cannot be looked up")]
struct Unresolved;

impl Reason for Unresolved {
    const FLAG: ResponseFlag = ResponseFlag::DnsResolutionFailed;
}

/// Marks a `503` as sent because too many hosts are known.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("too many hosts are known")]
struct TooManyNames;

impl Reason for TooManyNames {
    const FLAG: ResponseFlag = ResponseFlag::UpstreamOverflow;
}
