//! What parts of a status have to have: conditions, listeners, parents.

use serde_json::{Value, json};

use crate::case::{list, text};

/// The controller that the suite tests.
const CONTROLLER: &str = "istio.io/gateway-controller";
/// The group of the Gateway API.
pub(super) const GROUP: &str = "gateway.networking.k8s.io";
/// Why a step is not run whose arguments the corpus does not have.
pub(super) const NOT_UNDERSTOOD: &str = "a step whose arguments are not understood";

/// Why a step did not pass.
pub(super) enum Miss {
    Failed(String),
    Unsupported(&'static str),
}

impl From<String> for Miss {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// What a check comes to.
pub(super) type Checked = Result<(), Miss>;

/// Whether `part` has all conditions, whose status and reason are any where they are not given.
pub(super) fn has_all(part: &Value, expected: &[Value]) -> Checked {
    let conditions = list(part, "conditions");
    for expected in expected {
        let is_it = |found: &&Value| {
            let same = |upper, lower| {
                let expected = text(expected, upper);
                expected.is_empty() || expected == text(found, lower)
            };
            text(expected, "Type") == text(found, "type")
                && same("Status", "status")
                && same("Reason", "reason")
        };
        if !conditions.iter().any(|found| is_it(&found)) {
            let conditions = json!(conditions);
            return Err(format!("expected {expected}, got {conditions}").into());
        }
    }
    Ok(())
}

/// Whether listeners of a status, all of them if none is named, have all conditions.
pub(super) fn listeners(status: &Value, conditions: &Value, names: &[&Value]) -> Checked {
    let conditions = conditions.as_array();
    let conditions = conditions.ok_or(Miss::Unsupported(NOT_UNDERSTOOD))?;
    let listeners = list(status, "listeners");
    for &name in names {
        let mut found = listeners.iter();
        if !found.any(|listener| listener.get("name") == Some(name)) {
            return Err(format!("there is no listener {name}").into());
        }
    }
    let is_named = |listener: &&Value| {
        names.is_empty() || names.iter().any(|name| listener.get("name") == Some(*name))
    };
    let mut named = listeners.iter().filter(is_named);
    named.try_for_each(|listener| has_all(listener, conditions))
}

/// Whether a listener supports the kinds, has the routes and the conditions that are expected.
pub(super) fn listener(expected: &Value, listener: &Value) -> Checked {
    let kinds = list(listener, "supportedKinds");
    let wanted = list(expected, "SupportedKinds");
    let has = |kind: &Value| {
        let group = match text(kind, "Group") {
            "" => GROUP,
            group => group,
        };
        let is_it = |found: &Value| {
            text(found, "group") == group && text(found, "kind") == text(kind, "Kind")
        };
        kinds.iter().any(is_it)
    };
    if !wanted.iter().all(has) || wanted.is_empty() && !kinds.is_empty() {
        let kinds = json!(kinds);
        return Err(format!("it supports {kinds}").into());
    }
    let attached = expected.get("AttachedRoutes").and_then(Value::as_u64);
    let found = listener.get("attachedRoutes").and_then(Value::as_u64);
    if found != Some(attached.unwrap_or_default()) {
        return Err(format!("attached: expected {attached:?}, got {found:?}").into());
    }
    has_all(listener, list(expected, "Conditions"))
}

/// Whether each expected parent is there with its conditions.
pub(super) fn parents(status: &Value, expected: &[Value], namespaced: bool) -> Checked {
    let all = list(status, "parents");
    for expected in expected {
        let wanted = expected.get("ParentRef").unwrap_or(&Value::Null);
        let is_it = |found: &Value| {
            let reference = found.get("parentRef").unwrap_or(&Value::Null);
            let namespace = text(reference, "namespace");
            // The server fills in what the reference leaves out.
            let or = |field, default| match reference.get(field) {
                Some(_) => text(reference, field),
                None => default,
            };
            let is_in_namespace =
                namespace == text(wanted, "Namespace") || !namespaced && namespace.is_empty();
            text(found, "controllerName") == CONTROLLER
                && or("group", GROUP) == text(wanted, "Group")
                && or("kind", "Gateway") == text(wanted, "Kind")
                && text(reference, "name") == text(wanted, "Name")
                && is_in_namespace
                && has_all(found, list(expected, "Conditions")).is_ok()
        };
        if !all.iter().any(is_it) {
            return Err(format!("expected {expected}, got {}", json!(all)).into());
        }
    }
    Ok(())
}

/// What every listener has that is in order.
pub(super) fn all_true() -> Value {
    let condition = |kind| json!({"Type": kind, "Status": "True", "Reason": ""});
    Value::Array(
        ["ResolvedRefs", "Accepted", "Programmed"]
            .map(condition)
            .into(),
    )
}

/// A namespace and a name, in either case of the fields.
pub(super) fn name(value: &Value) -> Option<(&str, &str)> {
    let either = |lower, upper| match text(value, lower) {
        "" => text(value, upper),
        found => found,
    };
    let name = either("name", "Name");
    (!name.is_empty()).then(|| (either("namespace", "Namespace"), name))
}
