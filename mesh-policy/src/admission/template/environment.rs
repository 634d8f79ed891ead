//! Environment of the proxy's agent.

use mesh_core::resource::istio::mesh_config::{
    InboundTrafficPolicyMode, ServiceAttributeEnrichment,
};
use serde_json::{Map, Value, json};

use super::Render;
use crate::admission::annotation::BOOTSTRAP_OVERRIDE;
use crate::admission::pod::List;

/// Variables that every agent gets, whatever it runs. `workload` is what the workload is called.
pub(super) fn common(render: &Render<'_>, workload: &str) -> Vec<Value> {
    let global = &render.values.global;
    let mut env = vec![
        variable("PILOT_CERT_PROVIDER", &global.pilot_cert_provider),
        variable("CA_ADDR", ca_address(render)),
        of_pod("POD_NAME", "metadata.name"),
        of_pod("POD_NAMESPACE", "metadata.namespace"),
        of_pod("INSTANCE_IP", "status.podIP"),
        of_pod("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        of_pod("HOST_IP", "status.hostIP"),
        variable("PROXY_CONFIG", proxy_config(render)),
        variable("ISTIO_META_POD_PORTS", ports(render)),
        variable("ISTIO_META_APP_CONTAINERS", render.applications().join(",")),
    ];
    let cluster = &global.multi_cluster.cluster_name;
    let cluster = if cluster.is_empty() {
        "Kubernetes"
    } else {
        cluster
    };
    env.push(variable("ISTIO_META_CLUSTER_ID", cluster));
    env.push(of_pod("ISTIO_META_NODE_NAME", "spec.nodeName"));
    if !global.network.is_empty() {
        env.push(variable("ISTIO_META_NETWORK", &global.network));
    }
    env.extend(owner(render, workload));
    env.extend(mesh(render));
    env
}

/// Variables of agents that run Envoy, which inbound traffic reaches by `mode`.
pub(super) fn envoy(render: &Render<'_>, mode: &str) -> Vec<Value> {
    let mut env = vec![
        of_container("ISTIO_CPU_LIMIT", "limits.cpu"),
        of_container("GOMEMLIMIT", "limits.memory"),
        variable("ISTIO_META_INTERCEPTION_MODE", mode),
    ];
    if let Some(policy) = render.compliance {
        env.push(variable("COMPLIANCE_POLICY", policy));
        if policy == "fips-140-3" {
            env.push(variable("GODEBUG", "fips140=only"));
        }
    }
    if render.pod.annotation(BOOTSTRAP_OVERRIDE).is_some() {
        let path = "/etc/istio/custom-bootstrap/custom_bootstrap.json";
        env.push(variable("ISTIO_BOOTSTRAP_OVERRIDE", path));
    }
    env
}

/// Where the agent reaches the application, if inbound traffic goes to the loopback address.
pub(super) fn probe_destination(render: &Render<'_>) -> Vec<Value> {
    let policy = render.mesh.inbound_traffic_policy.as_ref();
    let mode = policy.map(|policy| policy.mode);
    let is_local = mode == Some(InboundTrafficPolicyMode::Localhost);
    let name = "REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION";
    is_local
        .then(|| variable(name, "true"))
        .into_iter()
        .collect()
}

/// Variables that the configuration of the proxy names itself. They come last, so that they win.
pub(super) fn own(render: &Render<'_>) -> impl Iterator<Item = Value> {
    let metadata = &render.proxy.proxy_metadata;
    metadata.iter().map(|(name, value)| variable(name, value))
}

/// The attributes of the workload in OpenTelemetry's terms, if a provider asks for them.
pub(super) fn resource_attributes(render: &Render<'_>) -> Option<Value> {
    let mut providers = render.mesh.extension_providers.iter();
    let wanted = ServiceAttributeEnrichment::OtelSemanticConventions;
    providers.find(|provider| {
        let tracing = provider.opentelemetry.as_ref();
        tracing.is_some_and(|tracing| tracing.service_attribute_enrichment == wanted)
    })?;
    let annotation = |name: &str| {
        let value = render
            .pod
            .annotation(&format!("resource.opentelemetry.io/{name}"));
        value.filter(|value| !value.is_empty())
    };
    let namespace = render.owner.namespace.as_str();
    let containers = render.pod.containers(List::Containers);
    let first = containers.first();
    let first = first.and_then(|container| container.get("name")?.as_str());
    let version = || {
        let label = render.pod.label("app.kubernetes.io/version");
        label.filter(|version| !version.is_empty())
    };
    let image = || match containers {
        [only] => only.get("image")?.as_str().and_then(version_of_image),
        _ => None,
    };
    let pairs = [
        (
            "service.namespace",
            annotation("service.namespace")
                .or(Some(namespace))
                .map(String::from),
        ),
        (
            "service.version",
            annotation("service.version")
                .or_else(version)
                .map(String::from)
                .or_else(image),
        ),
        (
            "service.instance.id",
            annotation("service.instance.id")
                .map(String::from)
                .or_else(|| Some(format!("{namespace}.$(POD_NAME).{}", first?))),
        ),
    ];
    let pairs = pairs.into_iter().filter_map(|(name, value)| {
        let value = value.filter(|value| !value.is_empty())?;
        Some(format!("{name}={value}"))
    });
    let joined = pairs.collect::<Vec<_>>().join(",");
    (!joined.is_empty()).then(|| variable("OTEL_RESOURCE_ATTRIBUTES", joined))
}

/// Tag and digest of `[registry[:port]/]name[:tag][@digest]`.
fn version_of_image(image: &str) -> Option<String> {
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
    let tag = last.rsplit_once(':').map(|(_, tag)| tag);
    let parts: Vec<_> = tag.into_iter().chain(digest).collect();
    (!parts.is_empty()).then(|| parts.join("@"))
}

/// A variable with a value.
pub(super) fn variable(name: &str, value: impl Into<String>) -> Value {
    json!({"name": name, "value": value.into()})
}

/// A variable with the value of a field of the pod.
pub(super) fn of_pod(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}

fn of_container(name: &str, resource: &str) -> Value {
    let reference = json!({"resource": resource, "divisor": "1"});
    json!({"name": name, "valueFrom": {"resourceFieldRef": reference}})
}

fn ca_address(render: &Render<'_>) -> String {
    let global = &render.values.global;
    if !global.ca_address.is_empty() {
        return global.ca_address.clone();
    }
    let own = Some(render.values.revision.as_str()).filter(|revision| !revision.is_empty());
    // The Service of the default revision is called without it.
    let default = Some(render.revision).filter(|revision| *revision != "default");
    let revision = own.or(default).unwrap_or_default();
    let dash = if revision.is_empty() { "" } else { "-" };
    format!(
        "istiod{dash}{revision}.{}.svc:15012",
        global.istio_namespace
    )
}

/// The configuration of the proxy, without what is Istio's default.
fn proxy_config(render: &Render<'_>) -> String {
    // A value of ours is always JSON.
    serde_json::to_string(render.proxy).unwrap_or_else(|_| "{}".into())
}

fn ports(render: &Render<'_>) -> String {
    let containers = render.pod.containers(List::Containers).iter();
    let ports = containers.filter_map(|container| container.get("ports")?.as_array());
    let ports = ports.flatten().filter(|port| is_port(port));
    Value::Array(ports.cloned().collect()).to_string()
}

/// Whether Kubernetes takes it for a port, whose fields are texts and integers. Fractions are not
/// told, for they are not the same when they are read again.
fn is_port(port: &Value) -> bool {
    let is_field =
        |field: &Value| field.is_string() || field.is_i64() || field.is_u64() || field.is_null();
    let fields = port.as_object();
    fields.is_some_and(|fields| fields.values().all(is_field))
}

/// What a sidecar calls its workload: as a label of the pod says, else as its owner is called.
pub(super) fn workload<'a>(render: &Render<'a>) -> &'a str {
    let named = render.pod.label("service.istio.io/workload-name");
    let named = named.filter(|name| !name.is_empty());
    named.unwrap_or(&render.owner.name)
}

/// Variables that an annotation of the pod lists for Datadog's tracer, as a JSON object.
pub(super) fn datadog(render: &Render<'_>) -> Vec<Value> {
    let text = render.pod.annotation("apm.datadoghq.com/env");
    let is_used = render.values.global.proxy.tracer == "datadog";
    let text = text.filter(|_| is_used).unwrap_or_default();
    let all = serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let named = all.into_iter();
    named
        .map(|(name, value)| variable(&name, text(value)))
        .collect()
}

fn owner(render: &Render<'_>, workload: &str) -> Vec<Value> {
    let owner = render.owner;
    let mut env = Vec::new();
    if !workload.is_empty() {
        env.push(variable("ISTIO_META_WORKLOAD_NAME", workload));
    }
    if !owner.api_version.is_empty() && !owner.name.is_empty() {
        env.push(variable("ISTIO_META_OWNER", owner.to_string()));
    }
    env
}

fn mesh(render: &Render<'_>) -> Vec<Value> {
    let trust_domain = render.trust_domain();
    let id = &render.values.global.mesh_id;
    let id = if id.is_empty() { trust_domain } else { id };
    [("ISTIO_META_MESH_ID", id), ("TRUST_DOMAIN", trust_domain)]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| variable(name, value))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_are_made_of_texts_and_integers() {
        for (port, expected) in [
            (json!({"name": "http", "containerPort": 8080}), true),
            (json!({"containerPort": 8080, "hostPort": null}), true),
            (json!({"containerPort": 8.08e216}), false),
            (json!({"containerPort": [8080]}), false),
            (json!(8080), false),
        ] {
            assert_eq!(is_port(&port), expected, "{port}");
        }
    }

    #[test]
    fn the_version_of_an_image_is_its_tag_and_digest() {
        let cases = [
            ("nginx", None),
            ("nginx:1.21", Some("1.21")),
            ("registry:5000/nginx", None),
            ("registry:5000/nginx:1.21", Some("1.21")),
            ("nginx@sha256:ab", Some("sha256:ab")),
            ("nginx:1.21@sha256:ab", Some("1.21@sha256:ab")),
        ];
        for (image, version) in cases {
            assert_eq!(version_of_image(image).as_deref(), version, "{image}");
        }
    }
}
