//! Who may refer to objects of another namespace (`gatewaycommon/references.go`).

use crate::config::MeshConfig;
use crate::resolve::context::Context;
use crate::resource::gateway_api::reference_grant::{
    ReferenceGrant, ReferenceGrantFrom, ReferenceGrantTo,
};
use crate::resource::gateway_api::{GROUP, object_reference};
use crate::resource::kind::Kind;

/// An object that is referred to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Referent<'a> {
    /// Its API group; empty is the core group.
    pub(super) group: &'a str,
    /// Its kind.
    pub(super) kind: &'a str,
    /// Its namespace.
    pub(super) namespace: &'a str,
    /// Its name.
    pub(super) name: &'a str,
}

impl<'a> Referent<'a> {
    /// The Secret that a resource of `namespace` refers to.
    pub(super) fn secret(
        reference: &'a object_reference::SecretObjectReference,
        namespace: &'a str,
    ) -> Self {
        let (group, kind) = reference.group_kind();
        Self {
            group,
            kind,
            namespace: reference.namespace.as_deref().unwrap_or(namespace),
            name: &reference.name,
        }
    }
}

/// Whether an object of `kind` in `namespace`, of the Gateway API, may refer to `referent`.
pub(super) fn allows(
    config: &MeshConfig,
    kind: Kind,
    namespace: &str,
    referent: &Referent<'_>,
) -> bool {
    if namespace == referent.namespace {
        return true;
    }
    let grants = config.resources().gateway_api.reference_grants.iter();
    let mut grants = grants.filter(|grant| grant.metadata.namespace == referent.namespace);
    grants.any(|grant| {
        let ReferenceGrant { from, to } = &grant.spec;
        from.iter().any(|from| is_from(from, kind, namespace))
            && to.iter().any(|to| is_to(to, referent))
    })
}

/// Whether the Gateways of the workload's namespace may refer to a Secret of another one.
pub(in crate::resolve) fn is_secret_granted(
    context: &Context<'_>,
    namespace: &str,
    name: &str,
) -> bool {
    let referent = Referent {
        group: "",
        kind: "Secret",
        namespace,
        name,
    };
    let own = &context.workload.namespace;
    allows(context.config, Kind::KubernetesGateway, own, &referent)
}

fn is_from(from: &ReferenceGrantFrom, kind: Kind, namespace: &str) -> bool {
    from.group == GROUP && from.kind == kind.name() && from.namespace == namespace
}

fn is_to(to: &ReferenceGrantTo, referent: &Referent<'_>) -> bool {
    let name = to.name.as_deref();
    to.group == referent.group
        && to.kind == referent.kind
        && name.is_none_or(|name| name == referent.name)
}
