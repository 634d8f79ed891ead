//! What a pod belongs to: the name of its workload.

use std::fmt;

use serde_json::Value;

use super::pod::Pod;

/// The object that made a pod: its Deployment, CronJob, and so on.
///
/// # Example
///
/// ```
/// use mesh_policy::admission::{Owner, Pod};
/// use serde_json::json;
///
/// let pod = Pod::new(json!({"metadata": {
///     "generateName": "cart-5d8f-",
///     "namespace": "shop",
///     "labels": {"pod-template-hash": "5d8f"},
///     "ownerReferences": [
///         {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "cart-5d8f", "controller": true},
///     ],
/// }}));
/// let owner = Owner::of(&pod);
/// assert_eq!(owner.to_string(), "kubernetes://apis/apps/v1/namespaces/shop/deployments/cart");
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Owner {
    /// Its API group and version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its namespace; empty is `default`.
    pub namespace: String,
}

impl Owner {
    /// What `pod` says of its controller, as far as can be told without asking for it: the
    /// ReplicaSet of a Deployment is told by the hash in its name, the Job of a CronJob by the time.
    pub fn of(pod: &Pod) -> Self {
        let text = |field| pod.metadata(field).unwrap_or_default();
        let mut owner = Self {
            api_version: "v1".into(),
            kind: "Pod".into(),
            name: text("name").into(),
            namespace: text("namespace").into(),
        };
        if text("generateName").is_empty() {
            return owner;
        }
        let references = pod.value().pointer("/metadata/ownerReferences");
        let mut references = references.and_then(Value::as_array).into_iter().flatten();
        let controller =
            references.find(|found| found.get("controller") == Some(&Value::Bool(true)));
        if let Some(controller) = controller {
            let text = |field| {
                controller
                    .get(field)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            owner.api_version = text("apiVersion").into();
            owner.kind = text("kind").into();
            owner.name = text("name").into();
            owner.look_through(pod);
        }
        owner
    }

    /// From the controller of a pod to what controls that.
    fn look_through(&mut self, pod: &Pod) {
        let without_hash = |label: &str| {
            let hash = pod.label(label).filter(|hash| !hash.is_empty())?;
            self.name
                .strip_suffix(hash)?
                .strip_suffix('-')
                .map(String::from)
        };
        match self.kind.as_str() {
            "ReplicaSet" => {
                if let Some(name) = without_hash("pod-template-hash") {
                    (self.kind, self.name) = ("Deployment".into(), name);
                } else if let Some(name) = without_hash("rollouts-pod-template-hash") {
                    (self.kind, self.name) = ("Rollout".into(), name);
                    self.api_version = "v1alpha1".into();
                }
            }
            "ReplicationController" => {
                if let Some(name) = pod
                    .label("deploymentconfig")
                    .filter(|name| !name.is_empty())
                {
                    (self.kind, self.name) = ("DeploymentConfig".into(), name.into());
                }
            }
            "Job" => {
                if let Some(name) = without_time(&self.name) {
                    (self.kind, self.name) = ("CronJob".into(), name.into());
                    self.api_version = "batch/v1".into();
                }
            }
            _ => {}
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = match self.namespace.as_str() {
            "" => "default",
            namespace => namespace,
        };
        let (api, kind, name) = (&self.api_version, self.kind.to_lowercase(), &self.name);
        write!(
            f,
            "kubernetes://apis/{api}/namespaces/{namespace}/{kind}s/{name}"
        )
    }
}

/// The name of a CronJob whose Job is named by the time, in seconds or minutes.
fn without_time(name: &str) -> Option<&str> {
    let (name, time) = name.rsplit_once('-')?;
    let is_time = (8..=10).contains(&time.len()) && time.bytes().all(|byte| byte.is_ascii_digit());
    (is_time && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owned(kind: &str, name: &str, labels: &Value) -> Owner {
        let reference =
            json!({"apiVersion": "a/v1", "kind": kind, "name": name, "controller": true});
        Owner::of(&Pod::new(json!({"metadata": {
            "generateName": "x-",
            "labels": labels,
            "ownerReferences": [{"kind": "Node", "name": "n"}, reference],
        }})))
    }

    #[test]
    fn what_controls_the_controller_is_told_by_names() {
        let hash = json!({"pod-template-hash": "7f", "rollouts-pod-template-hash": "8e"});
        let cases = [
            ("ReplicaSet", "cart-7f", "Deployment", "cart"),
            ("ReplicaSet", "cart-8e", "Rollout", "cart"),
            ("ReplicaSet", "cart-9d", "ReplicaSet", "cart-9d"),
            ("Job", "report-27845612", "CronJob", "report"),
            ("Job", "report-1", "Job", "report-1"),
            ("StatefulSet", "db", "StatefulSet", "db"),
        ];
        for (kind, name, owner, owner_name) in cases {
            let found = owned(kind, name, &hash);
            assert_eq!(
                (&*found.kind, &*found.name),
                (owner, owner_name),
                "{kind} {name}"
            );
        }
        let config = owned(
            "ReplicationController",
            "cart-1",
            &json!({"deploymentconfig": "cart"}),
        );
        assert_eq!((&*config.kind, &*config.name), ("DeploymentConfig", "cart"));
    }

    #[test]
    fn a_pod_of_its_own_is_its_own_workload() {
        let owner = Owner::of(&Pod::new(json!({"metadata": {"name": "debug"}})));
        assert_eq!(
            owner.to_string(),
            "kubernetes://apis/v1/namespaces/default/pods/debug"
        );
    }
}
