//! Host names, short names and names of clusters.

use mesh_core::host::{
    HostPattern, ScopedHost, intersection, most_specific_match, resolve_short_name,
};
use mesh_core::service::ClusterName;
use serde_json::Value;

use super::{Row, Run};
use crate::case::Outcome;

pub(super) fn mapped(file: &str, test: &str) -> Option<Run> {
    match (file, test) {
        ("name_test.go", "TestNameMatches") => Some(matches),
        ("name_test.go", "TestNameSubsetOf") => Some(subset),
        ("names_test.go", "TestNamesIntersection") => Some(intersect),
        ("names_test.go", "TestNamesForNamespace") => Some(of_namespace),
        ("names_test.go", "TestNamesSortOrder") => Some(sort),
        ("config_test.go", "TestResolveShortnameToFQDN") => Some(short_name),
        ("config_test.go", "TestMostSpecificHostMatch") => Some(most_specific),
        ("hosts_test.go", "TestScopedFqdn_InScopeOf") => Some(in_scope),
        ("service_test.go", "TestParseSubsetKey") => Some(cluster_name),
        ("service_test.go", "TestIsValidSubsetKey") => Some(valid_cluster_name),
        _ => None,
    }
}

fn patterns(row: &Row<'_>, field: &str) -> Option<Vec<HostPattern>> {
    let texts = row.texts(field)?;
    Some(texts.into_iter().map(HostPattern::new).collect())
}

fn matches(row: &Row<'_>) -> Option<Outcome> {
    let (a, b) = (
        HostPattern::new(row.text("a")?),
        HostPattern::new(row.text("b")?),
    );
    Some(Outcome::equal(&row.flag("out")?, &a.matches(&b)))
}

fn subset(row: &Row<'_>) -> Option<Outcome> {
    let (a, b) = (
        HostPattern::new(row.text("a")?),
        HostPattern::new(row.text("b")?),
    );
    Some(Outcome::equal(&row.flag("out")?, &a.is_subset_of(&b)))
}

fn intersect(row: &Row<'_>) -> Option<Outcome> {
    let (a, b) = (patterns(row, "a")?, patterns(row, "b")?);
    Some(Outcome::equal(
        &patterns(row, "intersection")?,
        &intersection(&a, &b),
    ))
}

fn sort(row: &Row<'_>) -> Option<Outcome> {
    let mut patterns_in = patterns(row, "in")?;
    patterns_in.sort_by(HostPattern::cmp_specificity);
    Some(Outcome::equal(&patterns(row, "want")?, &patterns_in))
}

/// The hosts that are meant for a namespace.
fn of_namespace(row: &Row<'_>) -> Option<Outcome> {
    let namespace = row.text("namespace")?;
    let mut found = Vec::new();
    for host in row.texts("hosts")? {
        let host: ScopedHost = host.parse().ok()?;
        if host.namespace().includes(namespace, namespace) {
            found.push(host.host().to_string());
        }
    }
    let expected = row.texts("want")?;
    Some(Outcome::equal(
        &expected,
        &found.iter().map(String::as_str).collect(),
    ))
}

fn short_name(row: &Row<'_>) -> Option<Outcome> {
    let meta = Row(row.field("meta").unwrap_or(&Value::Null));
    let name = resolve_short_name(
        row.text("name")?,
        meta.text("Namespace")?,
        meta.text("Domain")?,
    );
    Some(Outcome::equal(&row.text("out")?.to_owned(), &name))
}

fn most_specific(row: &Row<'_>) -> Option<Outcome> {
    let candidates = patterns(row, "in")?;
    let needle = HostPattern::new(row.text("needle")?);
    let found = most_specific_match(&needle, &candidates).map_or("", HostPattern::as_str);
    Some(Outcome::equal(&row.text("want")?, &found))
}

fn in_scope(row: &Row<'_>) -> Option<Outcome> {
    let namespace = row.text("Namespace")?;
    let host: ScopedHost = row.text("ScFqdn")?.parse().ok()?;
    // The tables name the scope's own namespace by the host's: `name.namespace.svc.…`.
    let own = host.host().as_str().split('.').nth(1).unwrap_or_default();
    Some(Outcome::equal(
        &row.flag("Want")?,
        &host.namespace().includes(namespace, own),
    ))
}

fn cluster_name(row: &Row<'_>) -> Option<Outcome> {
    let name = row.text("input")?;
    let name = ClusterName::from_sni(name).unwrap_or_else(|| ClusterName::from(name));
    let direction = name.direction().map_or("", |direction| direction.as_str());
    let port = u64::from(name.port().unwrap_or_default());
    let (subset, host) = (
        name.subset().unwrap_or_default(),
        name.host().unwrap_or_default(),
    );
    let expected = (
        row.text("direction")?,
        row.text("subsetName")?,
        row.text("hostname")?,
    );
    let same = Outcome::equal(&expected, &(direction, subset, host));
    Some(if same == Outcome::Passed {
        Outcome::equal(&row.number("port")?, &port)
    } else {
        same
    })
}

fn valid_cluster_name(row: &Row<'_>) -> Option<Outcome> {
    let name = ClusterName::from(row.text("subsetkey")?);
    Some(Outcome::equal(
        &row.flag("expectErr")?,
        &name.direction().is_none(),
    ))
}
