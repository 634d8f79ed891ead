//! What becomes of each field of a configuration.
//!
//! Nothing of a configuration is silently ignored: every field of every resource is classified. It
//! is enforced, or enforced differently, or it says nothing to this kind of data plane, or it is
//! unsupported. Which of these holds depends on what the embedder has composed, its
//! [`Capabilities`]: a gateway without mesh-policy's authorization has a field `rules` that is
//! unsupported, and one with it has the same field enforced.
//!
//! [`fidelity`] classifies the fields that a configuration sets, those that concern one workload
//! or all of them. [`Fidelity::refusals`] are the fields for which the configuration must not be
//! served: without them somebody could do what it forbids. [`catalogue()`] classifies all fields
//! there are.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "yaml")] {
//! use mesh_core::analyze::fidelity::{Capabilities, Capability, fidelity};
//! use mesh_core::config::MeshConfig;
//! use mesh_core::parse::{Limits, parse};
//!
//! let yaml = "
//! apiVersion: security.istio.io/v1
//! kind: AuthorizationPolicy
//! metadata: { name: nobody, namespace: shop }
//! spec: {}
//! ";
//! let parsed = parse("policy.yaml", yaml, &Limits::default());
//! let config = MeshConfig::builder().extend(parsed.objects).build(1).unwrap();
//!
//! let routes_only = Capabilities::none().with(Capability::Routing);
//! let found = fidelity(&config, None, &routes_only);
//! let refusal = found.refusals().next().unwrap();
//! assert_eq!(refusal.to_string(), "AuthorizationPolicy shop/nobody spec.action \
//!     (policy.yaml:5:7): unsupported: nothing here does authorization");
//!
//! let both = routes_only.with(Capability::Authorization);
//! assert_eq!(fidelity(&config, None, &both).refusals().count(), 0);
//! # }
//! ```

mod capability;
mod catalogue;
mod fields;
#[cfg(feature = "gateway-api")]
mod gateway_api;
mod istio;
mod mesh;
mod scope;
mod treatment;

use std::fmt;

use serde::Serialize;

use self::fields::{Classify, Fields, Reach};
use self::treatment::Support;
use crate::config::MeshConfig;
use crate::diagnostic::{Diagnostic, Severity};
use crate::model::policy::Policies;
use crate::origin::{FieldPath, Origin, Source};
use crate::resource::{Resource, Spec};
use crate::workload::Workload;

pub use self::capability::{Capabilities, Capability};
pub use self::catalogue::{CatalogueField, catalogue};
pub use self::treatment::{Lack, Treatment};

/// What becomes of the fields that `config` sets, given what is composed.
///
/// With a `workload`, only resources that concern it are looked at: policies that are attached to
/// it, Gateways that select it, what is exported to its namespace, and the mesh-wide settings. A
/// resource of which that cannot be told, such as a route of the Gateway API, is looked at.
pub fn fidelity(
    config: &MeshConfig,
    workload: Option<&Workload>,
    capabilities: &Capabilities,
) -> Fidelity {
    let mut collector = Collector::new(capabilities);
    scope::walk(config, workload, &mut collector);
    collector.fidelity
}

/// What becomes of the fields that a configuration sets.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Fidelity {
    fields: Vec<FieldFidelity>,
}

impl Fidelity {
    /// What becomes of `policies`, for a caller that has the resolved model of its workload alone.
    ///
    /// Peer authentication is not among them: the model holds what follows from it, and no
    /// resources.
    pub fn of_policies(policies: &Policies, capabilities: &Capabilities) -> Self {
        let Policies {
            peer: _,
            request_authentication,
            authorization,
            telemetry,
        } = policies;
        let mut collector = Collector::new(capabilities);
        collector.resources(request_authentication.iter().map(AsRef::as_ref));
        collector.resources(authorization.iter().map(AsRef::as_ref));
        collector.resources(telemetry.iter().map(AsRef::as_ref));
        collector.fidelity
    }

    /// All fields, by resource, in the order of their schemas.
    pub fn fields(&self) -> &[FieldFidelity] {
        &self.fields
    }

    /// The fields that should be acted on, and are not.
    pub fn unsupported(&self) -> impl Iterator<Item = &FieldFidelity> {
        let fields = self.fields.iter();
        fields.filter(|field| field.treatment.is_unsupported())
    }

    /// The fields because of which the configuration must not be served: ignoring them would let
    /// somebody do what it forbids. Capabilities that are withheld are no reason to refuse.
    pub fn refusals(&self) -> impl Iterator<Item = &FieldFidelity> {
        self.fields.iter().filter(|field| field.is_refused())
    }
}

/// What becomes of one field that is set.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FieldFidelity {
    /// The field.
    #[serde(flatten)]
    pub origin: Origin,
    /// What becomes of it.
    #[serde(flatten)]
    pub treatment: Treatment,
    /// Whether, being ignored, it would open what the configuration closes.
    pub is_guard: bool,
}

impl FieldFidelity {
    /// Whether the configuration must not be served because of it.
    pub fn is_refused(&self) -> bool {
        self.is_guard
            && matches!(
                self.treatment,
                Treatment::Unsupported(Lack::NotComposed(_) | Lack::NotBuilt(_))
            )
    }
}

impl fmt::Display for FieldFidelity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.treatment)
    }
}

/// A warning at the field; an error if the configuration must not be served because of it.
impl From<&FieldFidelity> for Diagnostic {
    fn from(field: &FieldFidelity) -> Self {
        let severity = match (field.is_refused(), field.treatment) {
            (true, _) => Severity::Error,
            (false, Treatment::Unsupported(_)) => Severity::Warning,
            (false, _) => Severity::Info,
        };
        let origin = &field.origin;
        Self {
            position: origin.position(),
            label: origin.path().to_owned(),
            ..Self::new(severity, origin.file(), field.treatment.to_string())
        }
    }
}

/// Collects fields of resources.
struct Collector<'a> {
    capabilities: &'a Capabilities,
    fidelity: Fidelity,
}

impl<'a> Collector<'a> {
    fn new(capabilities: &'a Capabilities) -> Self {
        Self {
            capabilities,
            fidelity: Fidelity::default(),
        }
    }

    fn resources<'r, S>(&mut self, resources: impl IntoIterator<Item = &'r Resource<S>>)
    where
        S: Classify + Spec + 'r,
    {
        let root = FieldPath::root();
        for resource in resources {
            let spec = root.field("spec");
            self.value(&resource.spec, spec, &resource.origin(), &resource.source);
        }
    }

    fn value<T: Classify>(
        &mut self,
        value: &T,
        path: FieldPath<'_>,
        origin: &Origin,
        source: &Source,
    ) {
        let (capabilities, fields) = (self.capabilities, &mut self.fidelity.fields);
        let mut found = |path: &FieldPath<'_>, support: Support| {
            fields.push(FieldFidelity {
                origin: origin.at(path, source),
                treatment: support.treatment(capabilities),
                is_guard: support.is_guard(),
            });
        };
        Fields::walk(value, path, Reach::Set, &mut found);
    }
}

#[cfg(all(test, feature = "yaml"))]
mod tests;
