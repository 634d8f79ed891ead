//! What the status of a resource said before.

use crate::resource::Value;
use crate::resource::gateway_api::parent_reference::ParentReference;

/// The elements of a list that `value` has under `name`.
pub(super) fn list<'a>(value: Option<&'a Value>, name: &str) -> &'a [Value] {
    match value.and_then(|value| value.field(name)) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

/// The text that `value` has under `name`, empty if there is none.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    let text = value.field(name).and_then(Value::as_str);
    text.unwrap_or_default()
}

/// The conditions of `value`.
pub(super) fn conditions(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    list(value, "conditions").iter()
}

/// The element of a list that has `name` for its name.
pub(super) fn named<'a>(value: Option<&'a Value>, field: &str, name: &str) -> Option<&'a Value> {
    let mut items = list(value, field).iter();
    items.find(|item| text(item, "name") == name)
}

/// The element of a list that is about `reference`, which it has under `name`, and of `controller`.
pub(super) fn about<'a>(
    items: &'a [Value],
    (name, reference): (&str, &ParentReference),
    controller: &str,
) -> Option<&'a Value> {
    let mut own = items
        .iter()
        .filter(|item| text(item, "controllerName") == controller);
    own.find(|item| item.field(name).is_some_and(|found| is(found, reference)))
}

fn is(found: &Value, reference: &ParentReference) -> bool {
    let ParentReference {
        group,
        kind,
        namespace,
        name,
        section_name,
        port,
    } = reference;
    let texts = [
        ("group", group),
        ("kind", kind),
        ("namespace", namespace),
        ("sectionName", section_name),
    ];
    let has_texts = texts
        .iter()
        .all(|(name, text)| found.field(name).and_then(Value::as_str) == text.as_deref());
    let port = port.map(|port| Value::Integer(port.into()));
    has_texts && text(found, "name") == name && found.field("port") == port.as_ref()
}

/// The elements of a list that other controllers wrote.
pub(super) fn of_others(items: &[Value], controllers: &[&str]) -> Vec<Value> {
    let others = items
        .iter()
        .filter(|item| !controllers.contains(&text(item, "controllerName")));
    others.cloned().collect()
}
