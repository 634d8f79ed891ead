//! Objects as the API server sends them.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope};
use mesh_core::diagnostic::Diagnostic;
use mesh_core::parse::parse_value;
use mesh_core::resource::kind::Kind;
use mesh_core::resource::{Object, Value};
use serde::{Deserialize, Deserializer};

use super::closed::closed;
use crate::source::ObjectName;

/// What problems name as the place that an object was read from.
pub(super) const FILE: &str = "kubernetes";

/// What `kubectl apply` leaves behind: the whole object once more.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object, not yet read.
#[derive(Clone, Debug)]
pub(super) struct Received {
    // Only what a watch needs to know.
    metadata: ObjectMeta,
    value: Value,
}

impl<'de> Deserialize<'de> for Received {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        let metadata = match &mut value {
            Value::Map(fields) => match fields.get_mut("metadata") {
                Some(Value::Map(metadata)) => {
                    metadata.remove("managedFields");
                    if let Some(Value::Map(annotations)) = metadata.get_mut("annotations") {
                        annotations.remove(LAST_APPLIED);
                    }
                    let text = |name| {
                        let text = metadata.get(name).and_then(Value::as_str);
                        text.map(str::to_owned)
                    };
                    ObjectMeta {
                        name: text("name"),
                        namespace: text("namespace"),
                        resource_version: text("resourceVersion"),
                        ..ObjectMeta::default()
                    }
                }
                _ => ObjectMeta::default(),
            },
            _ => ObjectMeta::default(),
        };
        Ok(Self { metadata, value })
    }
}

impl Resource for Received {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.kind)
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.group)
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.version)
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.plural)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// What became of an object that was received.
#[derive(Debug)]
pub(super) enum Read {
    Object(Object),
    Unreadable(Unreadable),
}

/// An object that could not be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) name: ObjectName,
    pub(super) why: Vec<Diagnostic>,
    /// What takes its place, so that nothing is let through that it might forbid.
    pub(super) replacement: Option<Object>,
}

impl Read {
    pub(super) fn name(&self, kind: Kind) -> ObjectName {
        match self {
            Self::Object(object) => ObjectName {
                kind,
                ..ObjectName::of(object)
            },
            Self::Unreadable(unreadable) => unreadable.name.clone(),
        }
    }
}

impl Received {
    pub(super) fn name(&self, kind: Kind) -> ObjectName {
        ObjectName {
            kind,
            namespace: self.metadata.namespace.clone().unwrap_or_default(),
            name: self.metadata.name.clone().unwrap_or_default(),
        }
    }

    /// Reads the object, which is of `kind` and in the version that `resource` says.
    pub(super) fn read(mut self, kind: Kind, resource: &ApiResource) -> Read {
        let name = self.name(kind);
        if let Value::Map(fields) = &mut self.value {
            // Items of lists do not say what they are.
            let api_version = Value::String(resource.api_version.clone());
            fields.insert("apiVersion".to_owned(), api_version);
            fields.insert("kind".to_owned(), Value::String(resource.kind.clone()));
        }
        let mut parsed = parse_value(FILE, &self.value);
        match (parsed.objects.pop(), parsed.problems.is_empty()) {
            (Some(object), true) => Read::Object(object),
            _ => {
                let about = format!("`{name}` cannot be read: ");
                let problems = parsed.problems.iter().map(Diagnostic::from);
                let why = problems.map(|problem| Diagnostic {
                    message: about.clone() + &problem.message,
                    ..problem
                });
                Read::Unreadable(Unreadable {
                    why: why.collect(),
                    replacement: closed(kind, &self.value),
                    name,
                })
            }
        }
    }
}
