//! Conditions that controllers report as false.

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report};
use crate::resource::{Resource, Spec, Value};

const WAYPOINT: &[&str] = &["istio.io/WaypointBound"];
const POLICY: &[&str] = &["ZtunnelAccepted", "WaypointAccepted"];
#[cfg(feature = "gateway-api")]
const ROUTING: &[&str] = &["Accepted", "Programmed", "ResolvedRefs"];

/// Conditions of services, policies, gateways and routes that are false.
pub(super) fn negative(context: &Context<'_>, report: &mut Report) {
    let resources = &context.resources;
    for service in &resources.services {
        for condition in &service.spec.status.conditions {
            let found = Condition {
                kind: &condition.r#type,
                status: &condition.status,
                reason: &condition.reason,
                message: &condition.message,
            };
            found.report_if_negative(service, WAYPOINT, report);
        }
    }
    resources
        .service_entries
        .iter()
        .for_each(|entry| own(entry, WAYPOINT, report));
    resources
        .workload_entries
        .iter()
        .for_each(|entry| own(entry, WAYPOINT, report));
    for policy in &resources.authorization_policies {
        own(policy, POLICY, report);
        let conditions = conditions(policy.status.as_ref());
        let partial = |found: &Condition<'_>| {
            found.kind == "WaypointAccepted" && found.reason == "PartiallyInvalid"
        };
        conditions
            .filter(partial)
            .for_each(|found| found.report(policy, report));
    }
    #[cfg(feature = "gateway-api")]
    gateway_api(context, report);
}

#[cfg(feature = "gateway-api")]
fn gateway_api(context: &Context<'_>, report: &mut Report) {
    let resources = &context.resources.gateway_api;
    resources
        .gateways
        .iter()
        .for_each(|gateway| own(gateway, ROUTING, report));
    resources
        .http_routes
        .iter()
        .for_each(|route| of_parents(route, report));
    resources
        .grpc_routes
        .iter()
        .for_each(|route| of_parents(route, report));
}

/// The conditions of a resource itself.
fn own<S: Spec>(resource: &Resource<S>, kinds: &[&str], report: &mut Report) {
    for condition in conditions(resource.status.as_ref()) {
        condition.report_if_negative(resource, kinds, report);
    }
}

/// The conditions of a route at each of its gateways.
#[cfg(feature = "gateway-api")]
fn of_parents<S: Spec>(route: &Resource<S>, report: &mut Report) {
    let parents = list(route.status.as_ref(), "parents");
    for condition in parents.flat_map(|parent| conditions(Some(parent))) {
        condition.report_if_negative(route, ROUTING, report);
    }
}

/// A condition in a status.
struct Condition<'a> {
    kind: &'a str,
    status: &'a str,
    reason: &'a str,
    message: &'a str,
}

impl Condition<'_> {
    fn report_if_negative<S: Spec>(
        &self,
        resource: &Resource<S>,
        kinds: &[&str],
        report: &mut Report,
    ) {
        if self.status == "False" && kinds.contains(&self.kind) {
            self.report(resource, report);
        }
    }

    fn report<S: Spec>(&self, resource: &Resource<S>, report: &mut Report) {
        let arguments: [&dyn std::fmt::Display; 3] = [&self.kind, &self.reason, &self.message];
        report.about(resource, Code::NegativeConditionStatus, &arguments);
    }
}

fn conditions(status: Option<&Value>) -> impl Iterator<Item = Condition<'_>> {
    list(status, "conditions").map(|condition| {
        let text = |name| {
            condition
                .field(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        Condition {
            kind: text("type"),
            status: text("status"),
            reason: text("reason"),
            message: text("message"),
        }
    })
}

fn list<'a>(value: Option<&'a Value>, name: &str) -> impl Iterator<Item = &'a Value> {
    let items: &[Value] = match value.and_then(|value| value.field(name)) {
        Some(Value::List(items)) => items,
        _ => &[],
    };
    items.iter()
}
