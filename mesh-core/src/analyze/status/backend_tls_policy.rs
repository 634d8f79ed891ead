use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use crate::analyze::status::condition::{Condition, ConditionType, Verdict};
use crate::analyze::status::entries::Entries;
use crate::analyze::status::existing;
use crate::analyze::status::scene::Scene;
use crate::config::gateway_api::backend_tls;
use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::resolve::gateway_api::review::ReviewedRoute;
use crate::resolve::gateway_api::waypoint::MESH_CONTROLLER;
use crate::resource::Resource;
use crate::resource::gateway_api::GROUP;
use crate::resource::gateway_api::backend_tls_policy::BackendTlsPolicy;
use crate::resource::gateway_api::object_reference::LocalPolicyTargetReference;
use crate::resource::gateway_api::parent_reference::ParentReference;

/// The most ancestors that a policy can have.
const MAX_ANCESTORS: usize = 16;
const VALID: &str = "Configuration is valid";

/// The `status` of a policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyStatus {
    /// What becomes of the policy at its targets, and at the Gateways that lead to them. Of more
    /// than 16 the first count.
    pub ancestors: Entries<PolicyAncestorStatus>,
}

/// What becomes of a policy at a target, or at a Gateway that leads to one.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyAncestorStatus {
    /// The target, or the Gateway.
    pub ancestor_ref: ParentReference,
    /// Who writes this: of targets it is Istio's `istio.io/mesh-controller`.
    pub controller_name: String,
    /// Whether the policy is valid there.
    pub conditions: Vec<Condition>,
}

/// Group, kind, namespace and name of a backend.
type Backend<'a> = (&'a str, &'a str, &'a str, &'a str);

/// The Gateways of the controller by the backends that their routes lead to.
#[derive(Default)]
pub(super) struct Ancestors<'a> {
    by_backend: HashMap<Backend<'a>, BTreeSet<(&'a str, &'a str)>>,
}

impl<'a> Ancestors<'a> {
    /// Adds what a route leads to, whether it is attached or not.
    pub(super) fn add<S: ReviewedRoute>(&mut self, scene: &Scene<'a>, route: &'a Resource<S>) {
        let namespace = route.metadata.namespace.as_str();
        let parents = route.spec.parent_refs().iter();
        let parents = parents.filter(|parent| parent.group_kind() == (GROUP, "Gateway"));
        let gateways: Vec<(&str, &str)> = parents
            .filter_map(|parent| {
                let gateway = scene.gateways.get(scene.gateway_of(parent, namespace)?)?;
                let metadata = &gateway.resource.metadata;
                Some((&*metadata.namespace, &*metadata.name))
            })
            .collect();
        for backend in route.spec.backends() {
            let of = backend.namespace.unwrap_or(namespace);
            let key = (backend.group, backend.kind, of, backend.name);
            let known = self.by_backend.entry(key).or_default();
            known.extend(gateways.iter().copied());
        }
    }

    fn gateways<'s>(&'s self, backend: Backend<'s>) -> impl Iterator<Item = (&'a str, &'a str)> {
        let found = self.by_backend.get(&backend);
        found.into_iter().flatten().copied()
    }
}

/// The status of a policy.
pub(super) fn status(
    scene: &Scene<'_>,
    policy: &Resource<BackendTlsPolicy>,
    ancestors: &Ancestors<'_>,
) -> PolicyStatus {
    let controller = scene.options.controller.as_str();
    let targets = &policy.spec.target_refs;
    let mut own = Vec::new();
    let mut refused: Option<Refusal> = None;
    for target in targets {
        let refusal = target_refusal(scene, policy, target);
        own.push(ancestor(
            scene,
            policy,
            (reference(target), MESH_CONTROLLER),
            refusal.as_ref(),
        ));
        refused = refused.or(refusal);
    }
    if !backend_tls::is_ignored(policy) {
        let namespace = &policy.metadata.namespace;
        let found = targets
            .iter()
            .filter(|target| backend_tls::target(scene.config, policy, target).is_ok());
        let gateways = found.flat_map(|target| {
            let LocalPolicyTargetReference {
                group, kind, name, ..
            } = target;
            ancestors.gateways((&**group, &**kind, &**namespace, &**name))
        });
        for (_, name) in gateways.collect::<BTreeSet<_>>() {
            let gateway = ParentReference {
                group: Some(GROUP.to_owned()),
                kind: Some("Gateway".to_owned()),
                name: name.to_owned(),
                ..ParentReference::default()
            };
            let of = (gateway, controller);
            own.push(ancestor(scene, policy, of, refused.as_ref()));
        }
    }
    let existing = existing::list(policy.status.as_ref(), "ancestors");
    let others = existing::of_others(existing, &[controller, MESH_CONTROLLER]);
    own.truncate(MAX_ANCESTORS.saturating_sub(others.len()));
    PolicyStatus {
        ancestors: Entries { own, others },
    }
}

fn reference(target: &LocalPolicyTargetReference) -> ParentReference {
    ParentReference {
        group: Some(target.group.clone()),
        kind: Some(target.kind.clone()),
        name: target.name.clone(),
        section_name: target.section_name.clone(),
        ..ParentReference::default()
    }
}

/// Why a policy has no effect on a target.
fn target_refusal(
    scene: &Scene<'_>,
    policy: &Resource<BackendTlsPolicy>,
    target: &LocalPolicyTargetReference,
) -> Option<Refusal> {
    if backend_tls::is_ignored(policy) {
        let message = "Ignored by Istio due to annotation istio.io/ignore-policy-attachment=true";
        return Some(Refusal::new(Reason::IgnoredByIstio, message));
    }
    let found = backend_tls::target(scene.config, policy, target);
    let refusal = found.err();
    refusal.or_else(|| backend_tls::conflict(scene.config, policy, target))
}

fn ancestor(
    scene: &Scene<'_>,
    policy: &Resource<BackendTlsPolicy>,
    (ancestor_ref, controller): (ParentReference, &str),
    refusal: Option<&Refusal>,
) -> PolicyAncestorStatus {
    let existing = existing::list(policy.status.as_ref(), "ancestors");
    let existing = existing::about(existing, ("ancestorRef", &ancestor_ref), controller);
    let credential = backend_tls::credential(scene.config, policy).err();
    let accepted = match (refusal, &credential) {
        (Some(refusal), _) => Verdict::refused(refusal),
        (None, Some(refusal)) => unaccepted(refusal),
        (None, None) => Verdict::yes(Reason::Accepted, valid(policy)),
    };
    let mut verdicts = vec![(ConditionType::Accepted, accepted, policy.origin())];
    if !backend_tls::is_ignored(policy) {
        let resolved = resolved(scene, policy, credential.as_ref());
        verdicts.push((ConditionType::ResolvedRefs, resolved, policy.origin()));
    }
    PolicyAncestorStatus {
        ancestor_ref,
        controller_name: controller.to_owned(),
        conditions: scene.about(policy, existing).conditions(verdicts),
    }
}

fn valid(policy: &Resource<BackendTlsPolicy>) -> String {
    match policy.spec.validation.ca_certificate_refs.len() {
        0 | 1 => VALID.to_owned(),
        _ => format!("{VALID}; warning: only the first caCertificateRefs will be used"),
    }
}

/// That a policy without authorities is not valid.
fn unaccepted(refusal: &Refusal) -> Verdict {
    match refusal.reason {
        Reason::Invalid => Verdict::refused(refusal),
        _ => {
            let message = format!("Certificate reference invalid: {}", refusal.message);
            Verdict::no(Reason::NoValidCaCertificate, message)
        }
    }
}

fn resolved(
    scene: &Scene<'_>,
    policy: &Resource<BackendTlsPolicy>,
    refusal: Option<&Refusal>,
) -> Verdict {
    let refusal = refusal.filter(|refusal| {
        let reason = refusal.reason;
        matches!(
            reason,
            Reason::InvalidCaCertificateRef | Reason::InvalidKind
        )
    });
    let Some(refusal) = refusal else {
        return Verdict::yes(Reason::ResolvedRefs, VALID);
    };
    let what = match refusal.reason {
        Reason::InvalidKind => "Certificate reference not supported",
        _ if has_map(scene, policy) => "Certificate invalid",
        _ => "Certificate reference not found",
    };
    let message = format!("{what}: {}", refusal.message);
    Verdict::no(refusal.reason, message)
}

/// Whether the ConfigMap exists that the authorities are looked for in.
fn has_map(scene: &Scene<'_>, policy: &Resource<BackendTlsPolicy>) -> bool {
    let reference = policy.spec.validation.ca_certificate_refs.first();
    let namespace = &policy.metadata.namespace;
    reference.is_some_and(|reference| {
        let resources = scene.config.resources();
        resources.config_map(namespace, &reference.name).is_some()
    })
}
