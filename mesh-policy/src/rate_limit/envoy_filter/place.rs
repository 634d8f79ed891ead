use mesh_core::resource::istio::envoy_filter::{EnvoyConfigObjectMatch, PatchOperation};

/// What a filter can be inserted before to stand first: nothing in particular, or one that decides
/// who may pass.
const GUARDS: [&str; 4] = [
    "",
    "envoy.filters.http.ext_authz",
    "envoy.filters.http.jwt_authn",
    "envoy.filters.http.rbac",
];

/// Where a rate limit stands among Envoy's HTTP filters.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Place {
    /// Before all of them: what policies deny is counted, too.
    First,
    /// Before the router, after authorization and faults.
    #[default]
    Last,
}

impl Place {
    /// Where `operation` inserts beside `object`. As in Istio, who names no filter to stand before
    /// stands before all. Filters that decide who may pass are stood before together.
    pub(super) fn of(operation: PatchOperation, object: &EnvoyConfigObjectMatch) -> Self {
        let listener = object.listener.as_ref();
        let chain = listener.and_then(|listener| listener.filter_chain.as_ref());
        let filter = chain.and_then(|chain| chain.filter.as_ref());
        let named = filter.and_then(|filter| filter.sub_filter.as_ref());
        let named = named.map_or("", |named| named.name.as_str());
        match operation {
            PatchOperation::InsertFirst => Self::First,
            PatchOperation::InsertBefore if GUARDS.contains(&named) => Self::First,
            _ => Self::Last,
        }
    }
}
