use serde::Serialize;

use crate::analyze::status::condition::{Condition, ConditionType, Verdict};
use crate::analyze::status::scene::Scene;
use crate::config::gateway_api::reason::Reason;
use crate::resolve::gateway_api::class::REMOTE_CONTROLLER;
use crate::resource::Resource;
use crate::resource::gateway_api::gateway_class::GatewayClass;

/// The `status` of a GatewayClass.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct GatewayClassStatus {
    /// That the controller has it.
    pub conditions: Vec<Condition>,
}

/// The status of a class. `None` if it has another controller.
pub(super) fn status(
    scene: &Scene<'_>,
    class: &Resource<GatewayClass>,
) -> Option<GatewayClassStatus> {
    let controller = class.spec.controller_name.as_str();
    let own = [scene.options.controller.as_str(), REMOTE_CONTROLLER];
    if !own.contains(&controller) {
        return None;
    }
    let accepted = Verdict::yes(Reason::Accepted, "Handled by Istio controller");
    let about = scene.about(class, class.status.as_ref());
    Some(GatewayClassStatus {
        conditions: about.conditions([(ConditionType::Accepted, accepted, class.origin())]),
    })
}
