//! What templates are rendered from.

use mesh_core::resource::istio::mesh_config::{InboundInterceptionMode, MeshConfig, ProxyConfig};
use serde_json::{Map, Value, json};

use crate::admission::annotation::{INTERCEPTION_MODE, RESOURCES, STATUS_PORT};
use crate::admission::owner::Owner;
use crate::admission::pod::{List, PROXY, Pod, named};
use crate::admission::values::Values;

/// The user and group of the proxy, whose traffic is not captured.
pub(super) const PROXY_ID: u32 = 1337;

/// The image where the values have none.
const IMAGE: &str = "proxyv2";

/// Images whose kind is a suffix of their tag.
const IMAGE_TYPES: [&str; 2] = ["-distroless", "-debug"];

/// What templates are rendered from.
pub(in crate::admission) struct Render<'a> {
    /// The pod, without what an earlier injection added.
    pub(in crate::admission) pod: &'a Pod,
    pub(in crate::admission) owner: &'a Owner,
    pub(in crate::admission) proxy: &'a ProxyConfig,
    pub(in crate::admission) mesh: &'a MeshConfig,
    pub(in crate::admission) values: &'a Values,
    /// The revision of the control plane; empty is the default one.
    pub(in crate::admission) revision: &'a str,
    /// Whether the proxy is an init container that keeps running.
    pub(in crate::admission) native: bool,
    /// What cryptography is restricted to, such as `fips-140-3`.
    pub(in crate::admission) compliance: Option<&'a str>,
}

impl Render<'_> {
    /// The pod's annotation, else `default`.
    pub(super) fn annotation_or(&self, name: &str, default: &str) -> String {
        self.pod.annotation(name).unwrap_or(default).to_owned()
    }

    /// How inbound traffic reaches the proxy.
    pub(super) fn interception_mode(&self) -> String {
        self.annotation_or(INTERCEPTION_MODE, self.mesh_interception_mode())
    }

    /// How inbound traffic reaches the proxy, whatever the pod says.
    pub(super) fn mesh_interception_mode(&self) -> &'static str {
        match self.proxy.interception_mode {
            Some(InboundInterceptionMode::Tproxy) => "TPROXY",
            Some(InboundInterceptionMode::None) => "NONE",
            Some(InboundInterceptionMode::Redirect) | None => "REDIRECT",
        }
    }

    pub(super) fn is_tproxy(&self) -> bool {
        self.interception_mode() == "TPROXY"
    }

    /// Names of the application's containers.
    pub(super) fn applications(&self) -> Vec<&str> {
        let all = self.pod.containers(List::Containers).iter();
        all.filter(|container| !named(container, PROXY))
            .filter_map(|container| container.get("name")?.as_str())
            .collect()
    }

    pub(super) fn status_port(&self) -> String {
        let default = self.values.global.proxy.status_port.to_string();
        self.annotation_or(STATUS_PORT, &default)
    }

    /// The image of the proxy.
    pub(super) fn proxy_image(&self) -> String {
        let kind = self.proxy.image.as_ref();
        let kind = kind.map(|image| image.image_type.as_str());
        self.image(&self.values.global.proxy.image, kind.unwrap_or_default())
    }

    /// The image of the init container.
    pub(super) fn init_image(&self) -> String {
        self.image(&self.values.global.proxy_init.image, "")
    }

    fn image(&self, name: &str, kind: &str) -> String {
        let written = self.annotation_or("sidecar.istio.io/proxyImage", name);
        if written.contains('/') {
            return written;
        }
        let global = &self.values.global;
        let kind = if kind.is_empty() {
            &global.variant
        } else {
            kind
        };
        let kind = self.annotation_or("sidecar.istio.io/proxyImageType", kind);
        let name = if name.is_empty() { IMAGE } else { name };
        format!("{}/{name}:{}", global.hub, tagged(&global.tag, &kind))
    }

    /// The resources of the proxy's containers.
    pub(super) fn resources(&self) -> Value {
        let mut resources = Map::new();
        for (annotation, kind, resource) in RESOURCES {
            if let Some(quantity) = self.pod.annotation(annotation) {
                let kind = resources.entry(kind).or_insert_with(|| json!({}));
                kind[resource] = quantity.into();
            }
        }
        if !resources.is_empty() {
            return Value::Object(resources);
        }
        without_nulls(&self.values.global.proxy.resources).unwrap_or_else(|| json!({}))
    }

    pub(super) fn trust_domain(&self) -> &str {
        let own = self.mesh.trust_domain.as_deref().unwrap_or("cluster.local");
        if own.is_empty() {
            &self.values.global.trust_domain
        } else {
            own
        }
    }

    /// Labels by which telemetry names the workload.
    pub(super) fn canonical_labels(&self) -> [(&'static str, String); 2] {
        let first = |names: [&str; 3], default: &str| {
            let values = names.iter().filter_map(|name| self.pod.label(name));
            let mut values = values.filter(|value| !value.is_empty());
            values.next().unwrap_or(default).to_owned()
        };
        let (name, revision) = (
            "service.istio.io/canonical-name",
            "service.istio.io/canonical-revision",
        );
        let names = [name, "app.kubernetes.io/name", "app"];
        let revisions = [revision, "app.kubernetes.io/version", "version"];
        [
            (name, first(names, &self.owner.name)),
            (revision, first(revisions, "latest")),
        ]
    }

    /// Annotations that every template with a proxy adds.
    pub(super) fn common_annotations(&self) -> Map<String, Value> {
        let revision = if self.revision.is_empty() {
            "default"
        } else {
            self.revision
        };
        let mut annotations = Map::from_iter([("istio.io/rev".into(), revision.into())]);
        let names = [
            "kubectl.kubernetes.io/default-logs-container",
            "kubectl.kubernetes.io/default-container",
        ];
        for name in names {
            if let Some(first) = self.applications().first()
                && self.pod.annotation(name).is_none()
            {
                annotations.insert(name.into(), (*first).into());
            }
        }
        annotations
    }
}

/// A tag of the kind, in place of the one that it names.
fn tagged(tag: &str, kind: &str) -> String {
    if kind.is_empty() {
        return tag.to_owned();
    }
    let plain = IMAGE_TYPES
        .iter()
        .find_map(|suffix| tag.strip_suffix(suffix));
    let plain = plain.unwrap_or(tag);
    match kind {
        "default" => plain.to_owned(),
        kind => format!("{plain}-{kind}"),
    }
}

/// A value without its nulls, and without what is empty for want of them.
fn without_nulls(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(fields) => {
            let kept = fields
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), without_nulls(value)?)));
            let kept: Map<_, _> = kept.collect();
            (!kept.is_empty() || fields.is_empty()).then_some(Value::Object(kept))
        }
        other => Some(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_an_image_is_a_suffix_of_its_tag() {
        let cases = [
            ("1.30", "", "1.30"),
            ("1.30", "distroless", "1.30-distroless"),
            ("1.30-distroless", "debug", "1.30-debug"),
            ("1.30-debug", "default", "1.30"),
            ("1.30-own", "default", "1.30-own"),
        ];
        for (tag, kind, expected) in cases {
            assert_eq!(tagged(tag, kind), expected, "{tag} {kind}");
        }
    }
}
