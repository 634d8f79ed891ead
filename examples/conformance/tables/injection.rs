//! Injection: what annotations may say, and what becomes of probes, metrics, owners and networks.

use std::path::Path;

use mesh_core::duration::Duration;
use mesh_core::resource::istio::mesh_config::MeshConfig;
use mesh_policy::admission::values::Values;
use mesh_policy::admission::{Injector, Owner, Placement, Pod};
use serde_json::{Map, Value, json};

use super::{Row, Run, go};
use crate::case::Outcome;
use crate::injector;

const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
const PROXY_CONFIG: &str = "proxy.istio.io/config";

/// The port of Istio's agent.
const AGENT: u64 = 15020;

pub(super) fn mapped(file: &str, test: &str) -> Option<Run> {
    match (file, test) {
        ("validate_test.go", "TestValidateResourceQuantity") => Some(quantity),
        ("validate_test.go", "TestValidateAnnotations") => Some(annotations),
        ("app_probe_test.go", "TestShouldRewriteAppHTTPProbers") => Some(rewrites_probes),
        ("app_probe_test.go", "TestDumpAppGRPCProbers") => Some(probers),
        ("app_probe_test.go", "TestDumpAppProbers") => Some(probers),
        ("app_probe_test.go", "TestPatchRewriteProbe") => Some(probes),
        ("inject_test.go", "TestNativeSidecarAnnotationOverride") => Some(native),
        ("inject_test.go", "TestAppendMultusNetwork") => Some(networks),
        ("webhook_test.go", "TestEnablePrometheusAggregation") => Some(merges_metrics),
        ("proxy_config_test.go", "TestMergeWithPrecedence") => Some(proxy_config),
        ("util_test.go", "TestDeployMeta") => Some(owner),
        _ => None,
    }
}

/// What is changed of an installation by default.
#[derive(Default)]
struct Installation {
    values: Value,
    mesh: MeshConfig,
    is_old: bool,
}

impl Installation {
    /// A pod after injection, or why it is refused.
    fn inject(self, pod: &Value) -> Option<Result<Pod, String>> {
        let mut values = json!({"global": {"hub": "registry.example", "tag": "latest"}});
        if let (Some(own), Some(values)) = (self.values.as_object(), values.as_object_mut()) {
            values.extend(own.clone());
        }
        let values: Values = serde_json::from_value(values).ok()?;
        let injector = Injector::new(values, self.mesh).with_native_sidecars(!self.is_old);
        let pod = Pod::new(pod.clone());
        let injected = injector.inject(&pod, &Owner::of(&pod), Placement::default());
        Some(injected.map_err(|error| error.to_string()))
    }
}

/// A pod with annotations and one container.
fn pod(annotations: &Value, container: &Value) -> Value {
    json!({
        "metadata": {"name": "app", "annotations": annotations},
        "spec": {"containers": [container]},
    })
}

fn app() -> Value {
    json!({"name": "app"})
}

fn compared(
    injected: Result<Pod, String>,
    compare: impl FnOnce(&Pod) -> Option<Outcome>,
) -> Option<Outcome> {
    match injected {
        Ok(pod) => compare(&pod),
        Err(why) => Some(Outcome::Failed(why)),
    }
}

/// A pair of files, which are a case of the injector.
pub(super) fn older(row: &Row<'_>, corpora: &Path) -> Option<Outcome> {
    let files = [row.text("in")?, row.text("want")?];
    if files[0].is_empty() {
        return Some(Outcome::unsupported("the nodes of a cluster are not read"));
    }
    let pair = injector::pair("TestInjectionOlderVersion", files, corpora);
    Some(pair.unwrap_or_else(|| Outcome::unsupported("the files are not in the corpus")))
}

fn quantity(row: &Row<'_>) -> Option<Outcome> {
    let annotations = json!({"sidecar.istio.io/proxyCPU": row.text("value")?});
    refused(row, &annotations)
}

fn annotations(row: &Row<'_>) -> Option<Outcome> {
    refused(row, row.field("annotations")?)
}

fn refused(row: &Row<'_>, annotations: &Value) -> Option<Outcome> {
    let injected = Installation::default().inject(&pod(annotations, &app()))?;
    Some(Outcome::refusal(row.flag("wantErr")?, &injected))
}

/// Annotations that Go names by a symbol.
fn named(annotations: Option<&Value>) -> Option<Value> {
    let symbols = [
        (
            "Sym(annotation.SidecarRewriteAppHTTPProbers.Name)",
            "sidecar.istio.io/rewriteAppHTTPProbers",
        ),
        (
            "Sym(annotation.PrometheusMergeMetrics.Name)",
            "prometheus.istio.io/merge-metrics",
        ),
    ];
    let Some(annotations) = annotations else {
        return Some(json!({}));
    };
    let mut named = Map::new();
    for (name, value) in annotations.as_object()? {
        let symbol = symbols.iter().find(|(symbol, _)| symbol == name);
        let name = symbol.map_or(name.as_str(), |(_, name)| name);
        if name.starts_with("Sym(") {
            return None;
        }
        named.insert(name.to_owned(), value.clone());
    }
    Some(Value::Object(named))
}

fn rewrites_probes(row: &Row<'_>) -> Option<Outcome> {
    let values = json!({
        "sidecarInjectorWebhook": {"rewriteAppHTTPProbe": row.flag("specSetting")?},
    });
    let container = json!({
        "name": "app",
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
    });
    let installation = Installation {
        values,
        ..Installation::default()
    };
    let injected = installation.inject(&pod(&named(row.field("annotations"))?, &container))?;
    compared(injected, |pod| {
        let port = container_of(pod, "app")?.pointer("/readinessProbe/httpGet/port")?;
        let is_rewritten = port.as_u64() == Some(AGENT);
        Some(Outcome::equal(&row.flag("expected")?, &is_rewritten))
    })
}

fn container_of<'a>(pod: &'a Pod, name: &str) -> Option<&'a Value> {
    let lists = ["containers", "initContainers"];
    let containers = lists.iter().filter_map(|list| pod.spec(list)?.as_array());
    let mut containers = containers.flatten();
    containers.find(|container| container.get("name").and_then(Value::as_str) == Some(name))
}

fn variable(pod: &Pod, name: &str) -> Option<Value> {
    let proxy = container_of(pod, "istio-proxy")?;
    let mut variables = proxy.get("env")?.as_array()?.iter();
    let found = variables.find(|variable| variable.get("name").is_some_and(|own| own == name))?;
    serde_json::from_str(found.get("value")?.as_str()?).ok()
}

/// A pod as Kubernetes writes it: Go embeds the kind of a probe, and a port is a number or a name.
fn kubernetes(written: &Value) -> Value {
    let mut pod = go::json(written);
    unembed(&mut pod);
    pod
}

fn unembed(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(unembed),
        Value::Object(fields) => {
            if let Some(Value::Object(handler)) = fields.remove("probeHandler") {
                fields.extend(handler);
            }
            for (go, kubernetes) in [("gRPC", "grpc"), ("hTTPGet", "httpGet")] {
                if let Some(value) = fields.remove(go) {
                    fields.insert(kubernetes.into(), value);
                }
            }
            if let Some(value) = fields.remove("tCPSocket") {
                fields.insert("tcpSocket".into(), value);
            }
            if let Some(port) = fields.get_mut("port") {
                let exact = ["intVal", "strVal"];
                let exact = exact.iter().find_map(|name| port.get(name).cloned());
                if let Some(exact) = exact {
                    *port = exact;
                }
            }
            fields.values_mut().for_each(unembed);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What the agent is told to ask. Members that are null are not there.
fn probers(row: &Row<'_>) -> Option<Outcome> {
    let mut expected: Value = serde_json::from_str(row.text("expected")?).ok()?;
    drop_nulls(&mut expected);
    let injected = Installation::default().inject(&kubernetes(row.field("pod")?))?;
    compared(injected, |pod| {
        let mut found = variable(pod, "ISTIO_KUBE_APP_PROBERS").unwrap_or_else(|| json!({}));
        drop_nulls(&mut found);
        Some(Outcome::equal(&expected, &found))
    })
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The containers of the application, whose probes ask the agent.
fn probes(row: &Row<'_>) -> Option<Outcome> {
    let expected = kubernetes(row.field("expected")?);
    let injected = Installation::default().inject(&kubernetes(row.field("pod")?))?;
    compared(injected, |pod| {
        for container in expected.pointer("/spec/containers")?.as_array()? {
            let found = container_of(pod, container.get("name")?.as_str()?);
            let outcome = Outcome::equal(&Some(container), &found);
            if outcome != Outcome::Passed {
                return Some(outcome);
            }
        }
        Some(Outcome::Passed)
    })
}

fn native(row: &Row<'_>) -> Option<Outcome> {
    let none = json!({});
    let written = json!({
        "metadata": {"annotations": row.field("annotations").unwrap_or(&none)},
        "spec": {"containers": [{"name": "app"}, {"name": "istio-proxy"}]},
    });
    let installation = Installation {
        is_old: !row.flag("nativeSidecar")?,
        ..Installation::default()
    };
    compared(installation.inject(&written)?, |pod| {
        let lists = ["containers", "initContainers"];
        let found: Vec<&str> = lists
            .into_iter()
            .filter(|list| {
                let containers = pod.spec(list).and_then(Value::as_array);
                let mut names = containers
                    .into_iter()
                    .flatten()
                    .filter_map(|container| container.get("name"));
                names.any(|name| name == "istio-proxy")
            })
            .collect();
        Some(Outcome::equal(&vec![row.text("expectContainer")?], &found))
    })
}

/// Here the network of Istio's plugin has a namespace, which is added to what the row has.
fn networks(row: &Row<'_>) -> Option<Outcome> {
    let (before, expected) = (
        with_namespace(row.text("in")?),
        with_namespace(row.text("want")?),
    );
    let once = annotated(&before)?;
    compared(once, |pod| {
        let once = pod.annotation(NETWORKS)?.to_owned();
        let outcome = Outcome::equal(&parsed(&expected), &parsed(&once));
        if outcome != Outcome::Passed {
            return Some(outcome);
        }
        compared(annotated(&once)?, |pod| {
            let twice = pod.annotation(NETWORKS)?;
            Some(Outcome::equal(&parsed(&once), &parsed(twice)))
        })
    })
}

fn annotated(networks: &str) -> Option<Result<Pod, String>> {
    let installation = Installation {
        values: json!({"pilot": {"cni": {"enabled": true, "provider": "multus"}}}),
        ..Installation::default()
    };
    let annotations = match networks {
        "" => json!({}),
        networks => json!({ NETWORKS: networks }),
    };
    installation.inject(&pod(&annotations, &app()))
}

fn with_namespace(networks: &str) -> String {
    match parsed(networks) {
        Value::Array(mut list) => {
            for network in &mut list {
                if network.get("name").is_some_and(|name| name == "istio-cni") {
                    network["namespace"] = "default".into();
                }
            }
            Value::Array(list).to_string()
        }
        _ => networks.replace("istio-cni", "default/istio-cni"),
    }
}

/// Lists in JSON are the same whatever their blanks.
fn parsed(networks: &str) -> Value {
    match serde_json::from_str(networks) {
        Ok(list @ Value::Array(_)) => list,
        _ => networks.into(),
    }
}

fn merges_metrics(row: &Row<'_>) -> Option<Outcome> {
    let mut annotations = named(row.field("anno"))?;
    annotations["prometheus.io/port"] = "8080".into();
    let installation = Installation {
        mesh: go::read_optional(row.field("mesh"))?.unwrap_or_default(),
        ..Installation::default()
    };
    compared(installation.inject(&pod(&annotations, &app()))?, |pod| {
        let port = pod.annotation("prometheus.io/port")?;
        let is_merged = port == AGENT.to_string();
        Some(Outcome::equal(&row.flag("want")?, &is_merged))
    })
}

/// What a pod says of its proxy comes before what the mesh says. The result is told to the agent.
fn proxy_config(row: &Row<'_>) -> Option<Outcome> {
    let config = |name| go::read_optional(row.field(name));
    let mesh = MeshConfig {
        default_config: config("second")?,
        ..MeshConfig::default()
    };
    let annotations = match row.field("first") {
        None => json!({}),
        Some(own) => json!({ PROXY_CONFIG: own.to_string() }),
    };
    let installation = Installation {
        mesh,
        ..Installation::default()
    };
    let expected = go::json(row.field("expected")?);
    compared(installation.inject(&pod(&annotations, &app()))?, |pod| {
        let told = variable(pod, "PROXY_CONFIG").unwrap_or_else(|| json!({}));
        for (name, value) in expected.as_object()? {
            let found = told.get(name).map(normal);
            let outcome = Outcome::equal(&(name, Some(normal(value))), &(name, found));
            if outcome != Outcome::Passed {
                return Some(outcome);
            }
        }
        Some(Outcome::Passed)
    })
}

/// Durations are the same however they are written.
fn normal(value: &Value) -> Value {
    let duration = value
        .as_str()
        .and_then(|text| text.parse::<Duration>().ok());
    duration.map_or_else(|| value.clone(), |duration| duration.to_string().into())
}

/// What controls a pod.
fn owner(row: &Row<'_>) -> Option<Outcome> {
    let written = row.field("pod")?;
    let mut metadata = go::json(written.get("ObjectMeta")?);
    for owner in metadata
        .get_mut("ownerReferences")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let version = owner.as_object_mut()?.remove("aPIVersion");
        owner["apiVersion"] = version.unwrap_or_default();
    }
    let kind = Row(row.field("wantTypeMetadata")?);
    let name = Row(row.field("wantName")?).text("Name")?;
    let expected = [kind.text("Kind")?, kind.text("APIVersion")?, name];
    let owner = Owner::of(&Pod::new(json!({"metadata": metadata})));
    let found = [&*owner.kind, &*owner.api_version, &*owner.name];
    Some(Outcome::equal(&expected, &found))
}
