//! The rules of HTTPRoutes and GRPCRoutes, seen as one.

use crate::model::route::RouteMatch;
use crate::origin::Origin;
use crate::resolve::gateway_api::attach::RouteSpec;
use crate::resolve::gateway_api::finding::Finding;
use crate::resolve::gateway_api::matches::Precedence;
use crate::resolve::place::Place;
use crate::resource::gateway_api::backend_reference::{BackendObjectReference, BackendRef};
use crate::resource::gateway_api::cors_filter::HttpCorsFilter;
use crate::resource::gateway_api::grpc_route::GrpcBackendRef;
use crate::resource::gateway_api::http_filter::{
    HttpHeaderFilter, HttpRequestMirrorFilter, HttpRequestRedirectFilter, HttpUrlRewriteFilter,
};
use crate::resource::gateway_api::http_route::{HttpBackendRef, HttpRouteRetry, HttpRouteTimeouts};

/// A route of requests.
pub(super) trait RequestRoute: RouteSpec {
    /// Its rules, with those that are there by default.
    fn rules(&self) -> Vec<Rule<'_>>;

    /// The conditions of the rule `index`, which is at `place`. One that cannot be met is left out,
    /// with a finding.
    fn conditions(
        &self,
        index: usize,
        place: &Place<'_>,
        findings: &mut Vec<Finding>,
    ) -> Vec<Condition>;
}

/// What happens to the requests that match.
#[derive(Clone, Debug, Default)]
pub(super) struct Rule<'a> {
    /// Its name.
    pub(super) name: Option<&'a str>,
    /// On the way to any backend.
    pub(super) filters: Vec<Filter<'a>>,
    /// Where the requests go.
    pub(super) backends: Vec<Backend<'a>>,
    /// How long they may take.
    pub(super) timeouts: Option<&'a HttpRouteTimeouts>,
    /// When they are sent again.
    pub(super) retry: Option<&'a HttpRouteRetry>,
    /// Whether clients are to be kept on one backend.
    pub(super) has_session_persistence: bool,
}

/// Which requests a rule takes.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    /// Its place among the conditions of all routes.
    pub(super) precedence: Precedence,
    /// The condition.
    pub(super) matches: RouteMatch,
    /// Where it was written.
    pub(super) origin: Origin,
}

/// A step on the way to a backend.
#[derive(Clone, Copy, Debug)]
pub(super) enum Filter<'a> {
    /// Cross-origin rules.
    Cors(&'a HttpCorsFilter),
    /// A copy of the request.
    Mirror(&'a HttpRequestMirrorFilter),
    /// An answer instead of the backend's.
    Redirect(&'a HttpRequestRedirectFilter),
    /// Changes to the request's headers.
    RequestHeaders(&'a HttpHeaderFilter),
    /// Changes to the response's headers.
    ResponseHeaders(&'a HttpHeaderFilter),
    /// Changes to the request's URL.
    Rewrite(&'a HttpUrlRewriteFilter),
    /// One that is not supported, by its name.
    Unsupported(&'static str),
}

/// A backend and its share.
#[derive(Clone, Debug)]
pub(super) struct Backend<'a> {
    /// The backend.
    pub(super) reference: Reference<'a>,
    /// Its share of the requests.
    pub(super) weight: u32,
    /// On the way to it.
    pub(super) filters: Vec<Filter<'a>>,
}

/// A reference to a backend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference<'a> {
    /// Its API group; empty is the core group.
    pub(super) group: &'a str,
    /// Its kind.
    pub(super) kind: &'a str,
    /// Group and kind as they are written, empty where they are not.
    pub(super) written: (&'a str, &'a str),
    /// Its namespace, if it is written.
    pub(super) namespace: Option<&'a str>,
    /// Its name.
    pub(super) name: &'a str,
    /// Its port, if it is written.
    pub(super) port: Option<u16>,
}

macro_rules! reference_from {
    ($($written:ident)*) => {$(
        impl<'a> From<&'a $written> for Reference<'a> {
            fn from(written: &'a $written) -> Self {
                let (group, kind) = written.group_kind();
                let text = |text: &'a Option<String>| text.as_deref().unwrap_or_default();
                Self {
                    group,
                    kind,
                    written: (text(&written.group), text(&written.kind)),
                    namespace: written.namespace.as_deref(),
                    name: &written.name,
                    port: written.port.filter(|port| *port != 0),
                }
            }
        }
    )*};
}

reference_from!(HttpBackendRef GrpcBackendRef BackendRef BackendObjectReference);
