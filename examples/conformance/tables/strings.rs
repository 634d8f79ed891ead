//! Labels, claims, addresses, conditions and extensions.

use mesh_core::header::RoutingClaim;
use mesh_core::labels::Labels;
use mesh_core::matcher::Cidr;
use serde_json::{Value, json};

use super::{Row, Run};
use crate::case::Outcome;
use crate::validation::judge;

pub(super) fn mapped(file: &str, test: &str) -> Option<Run> {
    match (file, test) {
        ("instance_test.go", "TestInstanceValidate") => Some(labels),
        ("routing_test.go", "TestToRoutingClaim") => Some(claim),
        ("util_test.go", "TestConvertAddressToCidr") => Some(|row| cidr(row, "addr")),
        ("cidr_test.go", "TestCidrRange") => Some(|row| cidr(row, "v")),
        ("security_test.go", "TestValidateCondition") => Some(condition),
        ("extensions_test.go", "TestConvertToTrafficExtensionWrapper") => Some(extension),
        _ => None,
    }
}

fn labels(row: &Row<'_>) -> Option<Outcome> {
    let mut labels = Labels::default();
    if let Some(tags) = row.field("tags") {
        for (key, value) in tags.as_object()? {
            labels.insert(key, value.as_str()?);
        }
    }
    Some(Outcome::equal(
        &row.flag("valid")?,
        &labels.validate().is_ok(),
    ))
}

fn claim(row: &Row<'_>) -> Option<Outcome> {
    let want = Row(row.field("want").unwrap_or(&Value::Null));
    let found = RoutingClaim::parse(row.text("name")?);
    let found = found.as_ref().map_or(&[][..], RoutingClaim::path);
    Some(Outcome::equal(
        &want.texts("Claims")?,
        &found.iter().map(String::as_str).collect(),
    ))
}

fn cidr(row: &Row<'_>, field: &str) -> Option<Outcome> {
    let found: Option<Cidr> = row.field(field)?.as_str()?.parse().ok();
    let found = found.map(|cidr| (cidr.address().to_string(), u64::from(cidr.prefix_len())));
    let expected = match row.field("want") {
        None => None,
        Some(want) => {
            let length = Row(want.get("PrefixLen")?).number("Value")?;
            Some((Row(want).text("AddressPrefix")?.to_owned(), length))
        }
    };
    Some(Outcome::equal(&expected, &found))
}

/// An extension that is not valid is left out.
fn extension(row: &Row<'_>) -> Option<Outcome> {
    let config = Row(row.field("config")?);
    let meta = Row(config.field("Meta")?);
    let extension = json!({
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": "TrafficExtension",
        "metadata": {"name": meta.text("Name")?, "namespace": meta.text("Namespace")?},
        "spec": config.field("Spec")?,
    });
    Some(judge(row.flag("wantNil")?, &extension))
}

/// A condition is checked as that of a policy.
fn condition(row: &Row<'_>) -> Option<Outcome> {
    let condition = json!({"key": row.text("key")?, "values": row.texts("values")?});
    let policy = json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "policy", "namespace": "default"},
        "spec": {"rules": [{"when": [condition]}]},
    });
    Some(judge(row.flag("wantError")?, &policy))
}
