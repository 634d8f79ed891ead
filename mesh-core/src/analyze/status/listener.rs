use serde::Serialize;

use crate::analyze::status::condition::{About, Condition, ConditionType, Verdict};
use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::resolve::gateway_api::listener::GatewayListener;
use crate::resource::gateway_api::GROUP;
use crate::resource::gateway_api::listener::RouteGroupKind;
use crate::resource::kind::Kind;

/// What is said of everything that is in order.
const NO_ERRORS: &str = "No errors found";

/// The state of a listener of a Gateway or of a ListenerSet.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// Its name.
    pub name: String,
    /// Kinds of the routes that can be attached to it.
    pub supported_kinds: Vec<RouteGroupKind>,
    /// How many routes are attached to it.
    pub attached_routes: u32,
    /// Whether it is valid, and served.
    pub conditions: Vec<Condition>,
}

/// Whether it counts as a valid one of its resource.
pub(super) fn is_valid(listener: &GatewayListener<'_>) -> bool {
    let is_whole = listener.owner_kind != Kind::ListenerSet || !listener.is_without_tls();
    let is_alone = listener.conflict.is_none();
    is_alone && is_whole && listener.protocol.is_none() && listener.tls.is_ok()
}

/// The status of a listener to which so many routes are attached (`buildListener`).
pub(super) fn status(
    about: &About<'_>,
    listener: &GatewayListener<'_>,
    attached_routes: u32,
) -> ListenerStatus {
    let (kinds, are_known) = listener.supported_kinds();
    let mut verdicts = match &listener.conflict {
        Some(refusal) => in_conflict(refusal),
        None => alone(listener),
    };
    if !are_known {
        let verdict = Verdict::no(Reason::InvalidRouteKinds, "Invalid route kinds");
        set(&mut verdicts, ConditionType::ResolvedRefs, verdict);
    }
    let supported = kinds.iter().map(|kind| RouteGroupKind {
        group: Some(GROUP.to_owned()),
        kind: kind.name().to_owned(),
    });
    let verdicts = verdicts.into_iter();
    let verdicts = verdicts.map(|(kind, verdict)| (kind, verdict, listener.origin.clone()));
    ListenerStatus {
        name: listener.written.name.clone(),
        supported_kinds: supported.collect(),
        attached_routes,
        conditions: about.conditions(verdicts),
    }
}

type Verdicts = Vec<(ConditionType, Verdict)>;

fn set(verdicts: &mut Verdicts, kind: ConditionType, verdict: Verdict) {
    verdicts.retain(|(found, _)| *found != kind);
    verdicts.push((kind, verdict));
}

fn in_conflict(refusal: &Refusal) -> Verdicts {
    vec![
        (ConditionType::Accepted, Verdict::refused(refusal)),
        (
            ConditionType::Conflicted,
            Verdict::yes(refusal.reason, &*refusal.message),
        ),
        (ConditionType::Programmed, Verdict::refused(refusal)),
    ]
}

fn alone(listener: &GatewayListener<'_>) -> Verdicts {
    let mut verdicts = vec![
        (
            ConditionType::Accepted,
            Verdict::yes(Reason::Accepted, NO_ERRORS),
        ),
        (
            ConditionType::Conflicted,
            Verdict::no(Reason::NoConflicts, NO_ERRORS),
        ),
        (
            ConditionType::Programmed,
            Verdict::yes(Reason::Programmed, NO_ERRORS),
        ),
        (
            ConditionType::ResolvedRefs,
            Verdict::yes(Reason::ResolvedRefs, NO_ERRORS),
        ),
    ];
    let bad_tls = || Verdict::no(Reason::Invalid, "Bad TLS configuration");
    if let Err(refusal) = &listener.tls {
        let resolved = Verdict::refused(refusal);
        set(&mut verdicts, ConditionType::ResolvedRefs, resolved);
        set(&mut verdicts, ConditionType::Programmed, bad_tls());
        // As istiod does, of a certificate that may not be referred to as well.
        let is_of_authorities = matches!(
            refusal.reason,
            Reason::InvalidCaCertificateKind
                | Reason::InvalidCaCertificateRef
                | Reason::RefNotPermitted
        );
        if is_of_authorities {
            let accepted = Verdict::no(Reason::NoValidCaCertificate, &*refusal.message);
            set(&mut verdicts, ConditionType::Accepted, accepted);
        }
    }
    if let Some(refusal) = &listener.protocol {
        let accepted = Verdict::refused(refusal);
        set(&mut verdicts, ConditionType::Accepted, accepted);
    }
    if listener.is_without_tls() && listener.owner_kind == Kind::ListenerSet {
        let accepted = Verdict::refused(&listener.without_tls());
        set(&mut verdicts, ConditionType::Accepted, accepted);
        set(&mut verdicts, ConditionType::Programmed, bad_tls());
    }
    verdicts
}
