//! A pod as JSON, of which everything is kept that injection does not look at.

use mesh_core::labels::Labels;
use serde_json::{Map, Value};

/// The container of the proxy.
pub(super) const PROXY: &str = "istio-proxy";

/// The lists of containers that injection touches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum List {
    Containers,
    InitContainers,
}

impl List {
    pub(super) const ALL: [Self; 2] = [Self::Containers, Self::InitContainers];

    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Containers => "containers",
            Self::InitContainers => "initContainers",
        }
    }
}

/// A pod, or the template of one: an object with `metadata` and `spec`.
///
/// # Example
///
/// ```
/// use mesh_policy::admission::Pod;
/// use serde_json::json;
///
/// let pod = Pod::new(json!({"metadata": {"labels": {"app": "cart"}}, "spec": {}}));
/// assert_eq!(pod.label("app"), Some("cart"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Pod(Value);

impl Pod {
    /// The pod that `value` describes. What is no object is an empty pod.
    pub fn new(value: Value) -> Self {
        Self(if value.is_object() {
            value
        } else {
            Value::Object(Map::new())
        })
    }

    /// The pod as it is now.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The pod as it is now.
    pub fn into_value(self) -> Value {
        self.0
    }

    pub(super) fn value_mut(&mut self) -> &mut Value {
        &mut self.0
    }

    /// The text at `field` of its metadata.
    pub fn metadata(&self, field: &str) -> Option<&str> {
        self.0.get("metadata")?.get(field)?.as_str()
    }

    /// A label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.0.get("metadata")?.get("labels")?.get(name)?.as_str()
    }

    /// An annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations()
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    /// All labels.
    pub fn labels(&self) -> Labels {
        let labels = self.0.get("metadata").and_then(|meta| meta.get("labels"));
        let pairs = labels.and_then(Value::as_object).into_iter().flatten();
        pairs
            .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
            .collect()
    }

    /// All annotations.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self
            .0
            .get("metadata")
            .and_then(|meta| meta.get("annotations"));
        let pairs = all.and_then(Value::as_object).into_iter().flatten();
        pairs.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }

    /// The field `name` of its specification.
    pub fn spec(&self, name: &str) -> Option<&Value> {
        self.0.get("spec")?.get(name)
    }

    pub(super) fn set_annotation(&mut self, name: &str, value: impl Into<String>) {
        let annotations = object(object(&mut self.0, "metadata"), "annotations");
        annotations[name] = Value::String(value.into());
    }

    pub(super) fn set_label(&mut self, name: &str, value: impl Into<String>) {
        let labels = object(object(&mut self.0, "metadata"), "labels");
        labels[name] = Value::String(value.into());
    }

    pub(super) fn remove_annotations(&mut self, mut which: impl FnMut(&str) -> bool) {
        let annotations = self.0.pointer_mut("/metadata/annotations");
        if let Some(all) = annotations.and_then(Value::as_object_mut) {
            all.retain(|name, _| !which(name));
        }
    }

    pub(super) fn containers(&self, list: List) -> &[Value] {
        let items = self.spec(list.key()).and_then(Value::as_array);
        items.map_or(&[], Vec::as_slice)
    }

    pub(super) fn containers_mut(&mut self, list: List) -> &mut [Value] {
        let items = self
            .0
            .get_mut("spec")
            .and_then(|spec| spec.get_mut(list.key()));
        items
            .and_then(Value::as_array_mut)
            .map_or(&mut [], Vec::as_mut_slice)
    }

    pub(super) fn set_containers(&mut self, list: List, containers: Vec<Value>) {
        let spec = object(&mut self.0, "spec");
        if spec.get(list.key()).is_some() || !containers.is_empty() {
            spec[list.key()] = Value::Array(containers);
        }
    }

    /// The container of this name in `list`.
    pub(super) fn container(&self, list: List, name: &str) -> Option<&Value> {
        self.containers(list)
            .iter()
            .find(|found| named(found, name))
    }

    /// The container of this name, wherever it is.
    pub(super) fn find(&self, name: &str) -> Option<&Value> {
        List::ALL
            .iter()
            .find_map(|list| self.container(*list, name))
    }

    /// The container of this name, wherever it is.
    pub(super) fn find_mut(&mut self, name: &str) -> Option<&mut Value> {
        let list = *List::ALL
            .iter()
            .find(|list| self.container(**list, name).is_some())?;
        self.containers_mut(list)
            .iter_mut()
            .find(|found| named(found, name))
    }

    pub(super) fn remove_container(&mut self, list: List, name: &str) -> Option<Value> {
        let mut all = self.containers(list).to_vec();
        let index = all.iter().position(|found| named(found, name))?;
        let removed = all.remove(index);
        self.set_containers(list, all);
        Some(removed)
    }

    /// The names of the objects in a list of the specification.
    pub(super) fn names(&self, list: &str) -> Vec<&str> {
        let items = self
            .spec(list)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        items
            .filter_map(|item| item.get("name")?.as_str())
            .collect()
    }
}

/// Whether an object has this name.
pub(super) fn named(value: &Value, name: &str) -> bool {
    value.get("name").and_then(Value::as_str) == Some(name)
}

/// The object at `field`, made if it is not there.
pub(super) fn object<'a>(value: &'a mut Value, field: &str) -> &'a mut Value {
    let child = &mut value[field];
    if !child.is_object() {
        *child = Value::Object(Map::new());
    }
    child
}

/// Appends an environment variable to a container.
pub(super) fn push_env(container: &mut Value, name: &str, value: impl Into<String>) {
    let variable = serde_json::json!({"name": name, "value": value.into()});
    match container.get_mut("env").and_then(Value::as_array_mut) {
        Some(variables) => variables.push(variable),
        None => container["env"] = Value::Array(vec![variable]),
    }
}
