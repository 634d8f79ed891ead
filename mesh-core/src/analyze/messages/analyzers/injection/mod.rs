//! Sidecars that namespaces and pods ask for, and get or do not.

mod image;
mod image_auto;
mod namespace;

pub(super) use self::image::images;
pub(super) use self::image_auto::{automatic_images, selects};
pub(super) use self::namespace::namespaces;

use crate::parse::{Limits, parse_as};
use crate::resource::Resource;
use crate::resource::kubernetes::config_map::ConfigMap;
use crate::resource::value::Value;

/// The ConfigMap of the sidecar injector of a revision.
fn injector(revision: &str) -> String {
    match revision {
        "" | "default" => "istio-sidecar-injector".to_owned(),
        revision => format!("istio-sidecar-injector-{revision}"),
    }
}

/// The Helm values of an injector. Text that is none has no values.
fn values(map: &Resource<ConfigMap>) -> Value {
    let text = map
        .spec
        .data
        .get("values")
        .map(String::as_str)
        .unwrap_or_default();
    let file = format!("{}#values", map.source.file());
    parse_as(&file, text, &Limits::default()).map_or(Value::Null, |(value, _)| value)
}
