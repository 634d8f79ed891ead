//! Pods within the objects that make them, as `istioctl kube-inject` finds them.

use serde_json::Value;

use super::decision::{Candidate, INJECT, InjectionPolicy, Verdict};
use super::error::InjectError;
use super::injector::{Injector, Placement};
use super::owner::Owner;
use super::pod::Pod;

/// Injects the pods of an object: a Pod, a workload with a pod template, or a `List` of such.
///
/// `object` is changed in place; objects of other kinds are left as they are. Returns the verdict
/// for each pod, in their order.
///
/// # Errors
///
/// As [`Injector::inject`], or a workload has no pod template. `object` may have been changed in
/// part.
///
/// # Example
///
/// ```
/// use mesh_policy::admission::decision::InjectionPolicy;
/// use mesh_policy::admission::{Injector, inject_object};
/// use serde_json::json;
///
/// let mut deployment = json!({
///     "apiVersion": "apps/v1",
///     "kind": "Deployment",
///     "metadata": {"name": "cart"},
///     "spec": {"template": {"spec": {"containers": [{"name": "cart", "image": "cart:1"}]}}},
/// });
/// let injector = Injector::new(Default::default(), Default::default());
/// let verdicts = inject_object(&injector, &InjectionPolicy::default(), &mut deployment)?;
/// assert!(verdicts[0].inject);
/// let init = &deployment["spec"]["template"]["spec"]["initContainers"];
/// assert_eq!(init[1]["name"], "istio-proxy");
/// # Ok::<(), mesh_policy::admission::InjectError>(())
/// ```
pub fn inject_object(
    injector: &Injector,
    policy: &InjectionPolicy,
    object: &mut Value,
) -> Result<Vec<Verdict>, InjectError> {
    let text = |value: &Value, field: &str| {
        let text = value.get(field).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let kind = text(object, "kind");
    if kind == "List" {
        let items = object.get_mut("items").and_then(Value::as_array_mut);
        let verdicts = items.into_iter().flatten();
        let verdicts = verdicts.map(|item| inject_object(injector, policy, item));
        return Ok(verdicts.collect::<Result<Vec<_>, _>>()?.concat());
    }
    let Some((metadata, pod_spec)) = pod_template(&kind) else {
        return Ok(Vec::new());
    };
    let missing = || InjectError::NoPodTemplate {
        kind: kind.clone(),
        path: pod_spec,
    };
    let spec = object.pointer(pod_spec).cloned().ok_or_else(missing)?;
    let meta = object.pointer(metadata).cloned().unwrap_or_default();
    let pod = Pod::new(serde_json::json!({"metadata": meta, "spec": spec}));
    let owner = match kind.as_str() {
        "Pod" => Owner::of(&pod),
        _ => Owner {
            api_version: text(object, "apiVersion"),
            name: object
                .get("metadata")
                .map(|meta| text(meta, "name"))
                .unwrap_or_default(),
            namespace: object
                .get("metadata")
                .map(|meta| text(meta, "namespace"))
                .unwrap_or_default(),
            kind,
        },
    };
    let verdict = decide(policy, &pod, &owner.namespace);
    if verdict.inject {
        let injected = injector
            .inject(&pod, &owner, Placement::default())?
            .into_value();
        replace(object, metadata, injected.get("metadata"));
        replace(object, pod_spec, injected.get("spec"));
    }
    Ok(vec![verdict])
}

/// Whether `pod`, which is in `namespace` unless it says otherwise, gets a sidecar.
pub(super) fn decide(policy: &InjectionPolicy, pod: &Pod, namespace: &str) -> Verdict {
    let labels = pod.labels();
    let host_network = pod.spec("hostNetwork").and_then(Value::as_bool);
    policy.decide(&Candidate {
        namespace: pod.metadata("namespace").unwrap_or(namespace),
        labels: &labels,
        annotation: pod.annotation(INJECT),
        host_network: host_network.unwrap_or(false),
    })
}

/// Where objects of a kind have the metadata and the specification of their pods.
fn pod_template(kind: &str) -> Option<(&'static str, &'static str)> {
    match kind {
        "CronJob" => Some((
            "/spec/jobTemplate/metadata",
            "/spec/jobTemplate/spec/template/spec",
        )),
        "DaemonSet"
        | "Deployment"
        | "DeploymentConfig"
        | "Job"
        | "ReplicaSet"
        | "ReplicationController"
        | "StatefulSet" => Some(("/spec/template/metadata", "/spec/template/spec")),
        "Pod" => Some(("/metadata", "/spec")),
        _ => None,
    }
}

/// Replaces the value at `path`, of which all but the last step is there.
fn replace(object: &mut Value, path: &str, value: Option<&Value>) {
    let Some((parent, field)) = path.rsplit_once('/') else {
        return;
    };
    if let (Some(Value::Object(parent)), Some(value)) = (object.pointer_mut(parent), value) {
        parent.insert(field.into(), value.clone());
    }
}
