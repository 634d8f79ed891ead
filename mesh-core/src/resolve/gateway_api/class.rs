//! Which controller has a class of Gateways (`gatewaycommon/gatewayclass_collection.go`).

use crate::config::MeshConfig;

/// The controller whose Gateways are run here.
pub(crate) const CONTROLLER: &str = "istio.io/gateway-controller";
/// The controller of Gateways that are run elsewhere, which are only declared.
pub(crate) const REMOTE_CONTROLLER: &str = "istio.io/unmanaged-gateway";
/// Classes that have a controller without being declared.
const BUILT_IN: [(&str, &str); 2] = [("istio", CONTROLLER), ("istio-remote", REMOTE_CONTROLLER)];

/// The controller of the class `name`. `None` if it is not known.
pub(crate) fn controller<'a>(config: &'a MeshConfig, name: &str) -> Option<&'a str> {
    let classes = &config.resources().gateway_api.gateway_classes;
    let declared = classes.iter().find(|found| found.metadata.name == name);
    if let Some(declared) = declared {
        return Some(&declared.spec.controller_name);
    }
    let mut built_in = BUILT_IN.iter();
    built_in.find_map(|(class, controller)| (*class == name).then_some(*controller))
}
