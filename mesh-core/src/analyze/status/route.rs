use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::Serialize;

use crate::analyze::status::condition::{Condition, ConditionType, Verdict};
use crate::analyze::status::entries::Entries;
use crate::analyze::status::scene::Scene;
use crate::analyze::status::{existing, mesh};
use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::origin::{FieldPath, Origin};
use crate::resolve::gateway_api::attach::{self, RouteSpec};
use crate::resolve::gateway_api::finding::Finding;
use crate::resolve::gateway_api::review::{self, ReviewedRoute, Site};
use crate::resource::Resource;
use crate::resource::gateway_api::parent_reference::ParentReference;

/// The `status` of a route, of any kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouteStatus {
    /// What becomes of the route at the Gateways, ListenerSets and Services that it refers to.
    /// References to what does not exist, or is another controller's, are not here.
    pub parents: Entries<RouteParentStatus>,
}

/// What becomes of a route at what it is attached to.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteParentStatus {
    /// The reference, as written.
    pub parent_ref: ParentReference,
    /// Who writes this.
    pub controller_name: String,
    /// Whether the route is attached, and all of it has effect.
    pub conditions: Vec<Condition>,
}

/// Listeners, by the index of their Gateway and their own.
pub(super) type Attached = BTreeSet<(usize, usize)>;

/// The status of a route, and the listeners that it is attached to (`createRouteStatus`).
pub(super) fn status<S: ReviewedRoute>(
    scene: &Scene<'_>,
    route: &Resource<S>,
) -> (RouteStatus, Attached) {
    let mut attached = Attached::new();
    let mut reviews: Vec<(Site<'_>, Vec<Finding>)> = Vec::new();
    let mut own = Vec::new();
    let references = route.spec.parent_refs();
    for (index, reference) in references.iter().enumerate() {
        if references[..index].contains(reference) {
            continue;
        }
        let answer = at_gateway(scene, route, reference, &mut attached);
        let answer = answer.or_else(|| mesh::parent(scene, route, reference));
        let Some((site, accepted)) = answer else {
            continue;
        };
        if !reviews.iter().any(|(found, _)| *found == site) {
            reviews.push((site, review::review(scene.config, route, site)));
        }
        let mut findings = reviews.iter().filter(|(found, _)| *found == site);
        let findings = findings
            .next()
            .map_or(&[][..], |(_, findings)| findings.as_slice());
        own.push(parent_status(
            scene,
            route,
            (index, reference),
            (accepted, findings),
        ));
    }
    sort(&mut own, route);
    let existing = existing::list(route.status.as_ref(), "parents");
    let others = existing::of_others(existing, &[scene.options.controller.as_str()]);
    let parents = Entries { own, others };
    (RouteStatus { parents }, attached)
}

/// What the listeners that a reference leads to say. `None` if there are none.
fn at_gateway<'a, S: RouteSpec>(
    scene: &Scene<'a>,
    route: &Resource<S>,
    reference: &ParentReference,
    attached: &mut Attached,
) -> Option<(Site<'a>, Verdict)> {
    let index = scene.gateway_of(reference, &route.metadata.namespace)?;
    let gateway = scene.gateways.get(index)?;
    let listeners = &gateway.listeners.all;
    let (found, refusals) = attach::attach_to(scene.config, route, reference, listeners);
    let accepted = match found.len() {
        0 => Verdict::refused(&attach::gravest(refusals)?),
        1 => valid(),
        count => {
            let message = format!("Route was valid, bound to {count} parents");
            Verdict::yes(Reason::Accepted, message)
        }
    };
    attached.extend(found.into_iter().map(|(listener, _)| (index, listener)));
    let namespace = &gateway.resource.metadata.namespace;
    Some((Site::Gateways(namespace), accepted))
}

/// That a route is attached.
pub(super) fn valid() -> Verdict {
    Verdict::yes(Reason::Accepted, "Route was valid")
}

fn parent_status<S: RouteSpec>(
    scene: &Scene<'_>,
    route: &Resource<S>,
    (index, reference): (usize, &ParentReference),
    (accepted, findings): (Verdict, &[Finding]),
) -> RouteParentStatus {
    let controller = &scene.options.controller;
    let existing = existing::list(route.status.as_ref(), "parents");
    let existing = existing::about(existing, ("parentRef", reference), controller);
    let origin = parent_origin(route, index);
    let default = attach::default_gateways_finding(route);
    let partial: Vec<&Finding> = findings.iter().chain(&default).collect();
    let partial = partially_invalid(&partial).filter(|_| accepted.holds());
    let (resolved, culprit) = resolved(findings, &origin);
    let mut verdicts = vec![
        (ConditionType::Accepted, accepted, origin),
        (ConditionType::ResolvedRefs, resolved, culprit),
    ];
    let kind = ConditionType::PartiallyInvalid;
    verdicts.extend(partial.map(|(verdict, origin)| (kind, verdict, origin)));
    RouteParentStatus {
        parent_ref: reference.clone(),
        controller_name: controller.clone(),
        conditions: scene.about(route, existing).conditions(verdicts),
    }
}

fn parent_origin<S: RouteSpec>(route: &Resource<S>, index: usize) -> Origin {
    let root = FieldPath::root();
    let spec = root.field("spec");
    let list = spec.field("parentRefs");
    route.origin().at(&list.index(index), &route.source)
}

/// Whether the rules refer to nothing that is missing. As in istiod, a rule that is wrong in itself
/// counts as well, and before the rest; of the rest the last counts.
fn resolved(findings: &[Finding], origin: &Origin) -> (Verdict, Origin) {
    let is_wrong = |finding: &&Finding| {
        let reason = finding.refusal.reason;
        matches!(reason, Reason::InvalidDestination | Reason::InvalidFilter)
    };
    if let Some(Finding { origin, refusal }) = findings.iter().find(is_wrong) {
        return (Verdict::refused(refusal), origin.clone());
    }
    match findings.iter().rev().find(|found| is_unresolved(found)) {
        Some(found) => {
            let refusal = with_mirror(found, findings);
            (Verdict::refused(&refusal), found.origin.clone())
        }
        None => {
            let message = "All references resolved";
            (Verdict::yes(Reason::ResolvedRefs, message), origin.clone())
        }
    }
}

fn is_unresolved(finding: &Finding) -> bool {
    matches!(
        finding.refusal.reason,
        Reason::BackendNotFound | Reason::InvalidKind | Reason::RefNotPermitted
    )
}

/// What is said of a backend, and of the last mirror of the same rule (`joinErrors`).
fn with_mirror(backend: &Finding, findings: &[Finding]) -> Refusal {
    let mut refusal = backend.refusal.clone();
    let path = backend.origin.path();
    let Some((rule, _)) = path.split_once("].backendRefs[") else {
        return refusal;
    };
    let is_mirror = |found: &&Finding| {
        let rest = found.origin.path().strip_prefix(rule);
        is_unresolved(found) && rest.is_some_and(|rest| rest.starts_with("].filters["))
    };
    if let Some(mirror) = findings.iter().rev().find(is_mirror) {
        refusal.message += &format!("; {}", mirror.refusal.message);
    }
    refusal
}

/// That values of an accepted route are not supported, so that a part of it has no effect.
fn partially_invalid(findings: &[&Finding]) -> Option<(Verdict, Origin)> {
    let of_values = findings
        .iter()
        .filter(|finding| finding.refusal.reason == Reason::UnsupportedValue);
    let of_values: Vec<_> = of_values.collect();
    let first = of_values.first()?;
    let messages: Vec<&str> = of_values
        .iter()
        .map(|finding| &*finding.refusal.message)
        .collect();
    let verdict = Verdict::yes(Reason::UnsupportedValue, messages.join("; "));
    Some((verdict, first.origin.clone()))
}

/// Parents that were there before keep their places; new ones follow, backwards.
fn sort<S: RouteSpec>(own: &mut [RouteParentStatus], route: &Resource<S>) {
    let existing = existing::list(route.status.as_ref(), "parents");
    own.sort_by_cached_key(|parent| {
        let reference = &parent.parent_ref;
        let about = ("parentRef", reference);
        let before = existing::about(existing, about, &parent.controller_name);
        let place = before.and_then(|before| {
            let mut all = existing.iter();
            all.position(|found| std::ptr::eq(found, before))
        });
        let (group, kind) = reference.group_kind();
        let section = reference.section_name.as_deref().unwrap_or_default();
        let port = reference.port.unwrap_or_default();
        let name = &reference.name;
        let namespace = reference.namespace.as_ref();
        let namespace = namespace.unwrap_or(&route.metadata.namespace);
        let text = format!("{group}/{kind}/{name}/{section}/{port}.{namespace}");
        (place.unwrap_or(usize::MAX), Reverse(text))
    });
}
