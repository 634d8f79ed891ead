use serde::Serialize;

use super::fields::{Classify, Fields, Reach};
use super::treatment::Support;
use super::{Capabilities, Treatment};
use crate::origin::FieldPath;
use crate::resource::Spec;
use crate::resource::istio::{
    AuthorizationPolicy, DestinationRule, EnvoyFilter, Gateway, MeshConfig, MeshNetworks,
    PeerAuthentication, ProxyConfig, RequestAuthentication, ServiceEntry, Sidecar, Telemetry,
    TrafficExtension, VirtualService, WasmPlugin, WorkloadEntry, WorkloadGroup,
};

/// A field that a resource can have, and what becomes of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CatalogueField {
    /// API group of the resource; empty for settings that are no resource.
    pub group: &'static str,
    /// Kind of the resource, or `MeshConfig` or `MeshNetworks`.
    pub kind: &'static str,
    /// Path of the field, such as `spec.http[].timeout`; `[*]` stands for a key of a map.
    pub path: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub treatment: Treatment,
}

/// All fields of all kinds, given what is composed.
///
/// Values are looked at as their defaults: of a plugin it says what becomes of one in no phase.
///
/// ```
/// use mesh_core::analyze::fidelity::{Capabilities, catalogue};
///
/// let all = catalogue(&Capabilities::all());
/// let timeout = all.iter().find(|field| field.path == "spec.http[].timeout").unwrap();
/// assert_eq!(timeout.kind, "VirtualService");
/// assert_eq!(timeout.treatment.to_string(), "enforced by timeouts");
/// ```
pub fn catalogue(capabilities: &Capabilities) -> Vec<CatalogueField> {
    let mut catalogue = Catalogue::new(capabilities);
    catalogue.kind::<VirtualService>();
    catalogue.kind::<DestinationRule>();
    catalogue.kind::<Gateway>();
    catalogue.kind::<ServiceEntry>();
    catalogue.kind::<WorkloadEntry>();
    catalogue.kind::<WorkloadGroup>();
    catalogue.kind::<Sidecar>();
    catalogue.kind::<PeerAuthentication>();
    catalogue.kind::<RequestAuthentication>();
    catalogue.kind::<AuthorizationPolicy>();
    catalogue.kind::<Telemetry>();
    catalogue.kind::<EnvoyFilter>();
    catalogue.kind::<WasmPlugin>();
    catalogue.kind::<TrafficExtension>();
    catalogue.kind::<ProxyConfig>();
    #[cfg(feature = "gateway-api")]
    super::gateway_api::list(&mut catalogue);
    catalogue.settings::<MeshConfig>("MeshConfig");
    catalogue.settings::<MeshNetworks>("MeshNetworks");
    catalogue.fields
}

/// Collects the fields of kinds.
pub(super) struct Catalogue<'a> {
    capabilities: &'a Capabilities,
    fields: Vec<CatalogueField>,
}

impl<'a> Catalogue<'a> {
    fn new(capabilities: &'a Capabilities) -> Self {
        let fields = Vec::new();
        Self {
            capabilities,
            fields,
        }
    }

    /// The fields of a kind of resource.
    pub(super) fn kind<S: Classify + Default + Spec>(&mut self) {
        let root = FieldPath::root();
        let names = (S::KIND.group(), S::KIND.name());
        self.fields_of::<S>(names, root.field("spec"));
    }

    /// The fields of settings that are no resource.
    fn settings<T: Classify + Default>(&mut self, kind: &'static str) {
        self.fields_of::<T>(("", kind), FieldPath::root());
    }

    fn fields_of<T>(&mut self, (group, kind): (&'static str, &'static str), path: FieldPath<'_>)
    where
        T: Classify + Default,
    {
        let (capabilities, fields) = (self.capabilities, &mut self.fields);
        let mut found = |path: &FieldPath<'_>, support: Support| {
            fields.push(CatalogueField {
                group,
                kind,
                path: path.to_string().replace("[0]", "[]"),
                treatment: support.treatment(capabilities),
            });
        };
        Fields::walk(&T::default(), path, Reach::All, &mut found);
    }
}
