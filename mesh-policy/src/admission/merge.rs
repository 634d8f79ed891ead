//! Strategic merge: a partial pod laid over another.
//!
//! Kubernetes' [rules] for the types of a pod, without directives (`$patch`, `$retainKeys`): null
//! deletes, objects merge, lists whose elements have a key merge by it, and all other values are
//! replaced. Merged lists have the patch's elements first, in its order, except that what stood
//! before one of them stays before it.
//!
//! [rules]: https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md

use serde_json::{Map, Value};

/// Lays `patch` over `target`.
pub(super) fn merge(target: &mut Value, patch: Value) {
    match patch {
        Value::Object(fields) => {
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            if let Value::Object(own) = target {
                merge_fields(own, fields);
            }
        }
        other => *target = other,
    }
}

fn merge_fields(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (name, value) in patch {
        match (value, merge_key(&name), target.get_mut(&name)) {
            (Value::Null, _, _) => {
                target.remove(&name);
            }
            (Value::Array(items), Some(key), Some(Value::Array(own))) => {
                *own = merge_lists(std::mem::take(own), items, key);
            }
            (value @ Value::Object(_), _, Some(own)) => merge(own, value),
            (value, _, _) => {
                target.insert(name, without_nulls(value));
            }
        }
    }
}

/// What tells the elements of a list of a pod apart, if they merge.
fn merge_key(field: &str) -> Option<&'static str> {
    match field {
        "containers"
        | "ephemeralContainers"
        | "env"
        | "imagePullSecrets"
        | "initContainers"
        | "resourceClaims"
        | "secrets"
        | "volumes" => Some("name"),
        "hostAliases" => Some("ip"),
        "ownerReferences" => Some("uid"),
        "ports" => Some("containerPort"),
        "topologySpreadConstraints" => Some("topologyKey"),
        "volumeDevices" => Some("devicePath"),
        "volumeMounts" => Some("mountPath"),
        _ => None,
    }
}

fn merge_lists(own: Vec<Value>, patch: Vec<Value>, key: &str) -> Vec<Value> {
    let mut own: Vec<Option<Value>> = own.into_iter().map(Some).collect();
    let mut merged = Vec::with_capacity(own.len() + patch.len());
    let mut passed = 0;
    for item in patch {
        let same = |found: &Option<Value>| {
            let id = found.as_ref().and_then(|found| found.get(key));
            id.is_some() && id == item.get(key)
        };
        let Some(index) = own.iter().position(same) else {
            merged.push(without_nulls(item));
            continue;
        };
        if passed < index {
            merged.extend(own[passed..index].iter_mut().filter_map(Option::take));
        }
        passed = passed.max(index + 1);
        if let Some(mut target) = own[index].take() {
            merge(&mut target, item);
            merged.push(target);
        }
    }
    merged.extend(own.into_iter().flatten());
    merged
}

/// A null of a patch deletes; where there is nothing to delete it is nothing.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                kept.map(|(name, value)| (name, without_nulls(value)))
                    .collect(),
            )
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(mut target: Value, patch: Value) -> Value {
        merge(&mut target, patch);
        target
    }

    #[test]
    fn containers_merge_by_name_and_their_fields_one_by_one() {
        let target = json!({"containers": [
            {"name": "app", "image": "app:1"},
            {"name": "istio-proxy", "image": "auto", "tty": true,
             "env": [{"name": "A", "value": "1"}], "args": ["x"]},
        ]});
        let patch = json!({"containers": [
            {"name": "istio-proxy", "image": "proxy:2", "args": ["y", "z"],
             "env": [{"name": "B", "value": "2"}]},
        ]});
        let expected = json!({"containers": [
            {"name": "app", "image": "app:1"},
            {"name": "istio-proxy", "image": "proxy:2", "tty": true, "args": ["y", "z"],
             "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]},
        ]});
        assert_eq!(merged(target, patch), expected);
    }

    #[test]
    fn a_null_deletes() {
        let target = json!({"dnsPolicy": "None", "nodeName": "n"});
        let patch = json!({"dnsPolicy": null, "hostname": null, "securityContext": {"a": null}});
        assert_eq!(
            merged(target, patch),
            json!({"nodeName": "n", "securityContext": {}})
        );
    }

    #[test]
    fn what_the_patch_brings_comes_first() {
        let volumes = |names: &[&str]| {
            let all = names.iter().map(|name| json!({"name": name}));
            json!({"volumes": all.collect::<Vec<_>>()})
        };
        let result = merged(volumes(&["a", "b", "c"]), volumes(&["x", "b", "y"]));
        assert_eq!(result, volumes(&["x", "a", "b", "y", "c"]));
    }

    #[test]
    fn lists_without_a_key_are_replaced() {
        let result = merged(json!({"tolerations": [1, 2]}), json!({"tolerations": [3]}));
        assert_eq!(result, json!({"tolerations": [3]}));
    }
}
