//! Kinds and fields that are on their way out.

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report};
use crate::origin::FieldPath;

/// Kinds of `rbac.istio.io` that are gone.
const REMOVED: [&str; 4] = [
    "ClusterRbacConfig",
    "RbacConfig",
    "ServiceRole",
    "ServiceRoleBinding",
];

/// Fields that others replace, that are ignored, and definitions of kinds that are gone.
pub(super) fn deprecated(context: &Context<'_>, report: &mut Report) {
    let root = FieldPath::root();
    let spec = root.field("spec");
    for rule in &context.resources.virtual_services {
        let http = spec.field("http");
        for (index, route) in rule.spec.http.iter().enumerate() {
            let delay = route.fault.as_ref().and_then(|fault| fault.delay.as_ref());
            if delay.is_some_and(|delay| delay.percent > 0) {
                let at = http.index(index);
                let at = at.field("fault");
                let at = at.field("delay");
                let why = "HTTPRoute.fault.delay.percent is deprecated; use \
                           HTTPRoute.fault.delay.percentage";
                report.at(rule, &at.field("percent"), Code::Deprecated, &[&why]);
            }
        }
    }
    for sidecar in &context.resources.sidecars {
        let policy = sidecar.spec.outbound_traffic_policy.as_ref();
        if policy.is_some_and(|policy| policy.egress_proxy.is_some()) {
            let at = spec.field("outboundTrafficPolicy");
            let at = at.field("egressProxy");
            let why = "OutboundTrafficPolicy.EgressProxy ignored";
            report.at(sidecar, &at, Code::Deprecated, &[&why]);
        }
    }
    for definition in &context.resources.custom_resource_definitions {
        let (group, kind) = (
            &definition.spec.spec.group,
            &definition.spec.spec.names.kind,
        );
        if group == "rbac.istio.io" && REMOVED.contains(&kind.as_str()) {
            let why = format!("Custom resource type {group} {kind} is removed");
            report.about(definition, Code::Deprecated, &[&why]);
        }
    }
}
