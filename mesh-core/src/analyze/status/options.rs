use std::collections::BTreeMap;

use crate::resolve::gateway_api::class::CONTROLLER;
use crate::resource::timestamp::Timestamp;

/// Who writes a status, when, and what is known besides the configuration.
///
/// ```
/// use mesh_core::analyze::status::StatusOptions;
///
/// let options = StatusOptions::default().served_at("infra", "edge", ["192.0.2.1"]);
/// assert_eq!(options.controller, "istio.io/gateway-controller");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StatusOptions {
    /// Name of the controller. Classes, Gateways and routes of others are left to them. Waypoints are
    /// Istio's only if their class has a controller of Istio, whatever this one is, as for sidecars.
    pub controller: String,
    /// When the status is written. `None` leaves the time out of conditions, which Kubernetes
    /// needs.
    pub now: Option<Timestamp>,
    /// Addresses of Gateways that are served, by namespace and name. One that is not here is served
    /// if the Services say so that its addresses name, or that is deployed for it.
    pub addresses: BTreeMap<(String, String), Vec<String>>,
}

impl StatusOptions {
    /// Writes in the name of `controller`. Default Istio's.
    #[must_use]
    pub fn controller(mut self, controller: impl Into<String>) -> Self {
        self.controller = controller.into();
        self
    }

    /// Writes at that time. Default no time.
    #[must_use]
    pub fn now(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }

    /// Says that the Gateway `namespace`/`name` is served at `addresses`: IP addresses, or names.
    #[must_use]
    pub fn served_at<A: Into<String>>(
        mut self,
        namespace: impl Into<String>,
        name: impl Into<String>,
        addresses: impl IntoIterator<Item = A>,
    ) -> Self {
        let key = (namespace.into(), name.into());
        let addresses = addresses.into_iter().map(Into::into);
        self.addresses.entry(key).or_default().extend(addresses);
        self
    }
}

impl Default for StatusOptions {
    fn default() -> Self {
        Self {
            controller: CONTROLLER.to_owned(),
            now: None,
            addresses: BTreeMap::new(),
        }
    }
}
