//! Rules of PeerAuthentication (`ValidatePeerAuthentication`).
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::PeerAuthentication;
//! use mesh_core::validate::{Report, peer_authentication};
//!
//! let mut resource = Resource::<PeerAuthentication>::default();
//! resource.spec.port_level_mtls = Some(BTreeMap::new());
//! let report = Report::default();
//! peer_authentication::validate(&resource, report.root());
//! assert_eq!(report.into_violations()[0].origin.path(), "spec.portLevelMtls");
//! ```

use super::{At, selector};
use crate::resource::Resource;
use crate::resource::istio::PeerAuthentication;

/// Checks a PeerAuthentication.
pub fn validate(resource: &Resource<PeerAuthentication>, at: At<'_>) {
    let PeerAuthentication {
        selector,
        mtls: _,
        port_level_mtls,
    } = &resource.spec;
    let at = at.field("spec");
    if let Some(selector) = selector {
        selector::validate_workload(selector, at.field("selector"));
    }
    let Some(ports) = port_level_mtls else {
        return;
    };
    let at = at.field("portLevelMtls");
    let selects = selector
        .as_ref()
        .is_some_and(|selector| !selector.match_labels.is_empty());
    if ports.is_empty() {
        at.error("at least one port is required");
    } else if !selects {
        at.error("a policy of the mesh or a namespace has no ports")
            .help("select workloads by their labels");
    }
    at.each_entry(ports, |port, _, at| {
        if !matches!(port.parse(), Ok(1..=u16::MAX)) {
            at.error(format_args!("`{port}` is not a port from 1 to 65535"));
        }
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::testing::{assert_errors, assert_warnings, read};

    #[test]
    fn ports_belong_to_selected_workloads() {
        let policy = |spec| Resource::<PeerAuthentication> {
            spec: read(spec),
            ..Resource::default()
        };
        let strict = json!({"mode": "STRICT"});
        let selector = json!({"matchLabels": {"app": "a"}});
        let cases = [
            (json!({}), 0),
            (json!({"mtls": strict}), 0),
            (
                json!({"selector": selector, "portLevelMtls": {"80": strict}}),
                0,
            ),
            (json!({"portLevelMtls": {"80": strict}}), 1),
            (json!({"selector": selector, "portLevelMtls": {}}), 1),
            (
                json!({"selector": selector, "portLevelMtls": {"0": strict, "65536": strict}}),
                2,
            ),
        ];
        for (spec, errors) in cases {
            assert_errors(&spec.to_string(), errors, |at| {
                validate(&policy(spec.clone()), at)
            });
        }
        assert_warnings("no labels", 1, |at| {
            validate(&policy(json!({"selector": {}})), at)
        });
    }
}
