//! Whose metrics are kept: of all providers, Prometheus.

use std::fmt;
use std::ptr;
use std::sync::Arc;

use mesh_core::config::options::MeshOptions;
use mesh_core::model::Notice;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::telemetry::{Metrics, Telemetry};

/// Istio's built-in provider.
const PROMETHEUS: &str = "prometheus";

/// What a resource says of metrics, where it does, and of which providers.
pub(super) struct Entry<'a> {
    resource: &'a Resource<Telemetry>,
    index: usize,
    pub(super) metrics: &'a Metrics,
    /// Its own, or those of the entry before it.
    providers: Vec<&'a str>,
}

impl Entry<'_> {
    pub(super) fn notice(&self, what: impl fmt::Display) -> Notice {
        Notice {
            origin: self.resource.origin(),
            message: format!("metrics[{}]: {what}", self.index),
        }
    }

    fn names_any(&self) -> bool {
        !self.metrics.providers.is_empty()
    }
}

/// What the resources say of the metrics that are kept, the more general first; `None` if none are.
/// And what of it is not done.
///
/// The providers of the last entry that names any count, and no others; an entry that names none is
/// about those of the entry before it, and the first about those of the mesh.
pub(super) fn entries<'a>(
    telemetry: &'a [Arc<Resource<Telemetry>>],
    mesh: &'a MeshOptions,
) -> (Option<Vec<Entry<'a>>>, Vec<Notice>) {
    let defaults = mesh.as_written().default_providers.as_ref();
    let defaults = defaults.map_or(&[][..], |defaults| &defaults.metrics);
    let defaults: Vec<_> = defaults.iter().map(String::as_str).collect();
    let mut entries = all(telemetry, &defaults);
    let last = entries.last();
    let in_scope = last.map_or_else(|| defaults.clone(), |last| last.providers.clone());
    let keeper = in_scope.iter().find(|name| is_prometheus(name, mesh));
    let notices = problems(&entries, &in_scope, keeper.copied());
    let kept = keeper.map(|keeper| {
        entries.retain(|entry| entry.providers.contains(keeper));
        entries
    });
    (kept, notices)
}

fn all<'a>(telemetry: &'a [Arc<Resource<Telemetry>>], defaults: &[&'a str]) -> Vec<Entry<'a>> {
    let mut entries = Vec::new();
    let mut parents = defaults.to_vec();
    for resource in telemetry {
        for (index, metrics) in resource.spec.metrics.iter().enumerate() {
            if !metrics.providers.is_empty() {
                let named = metrics.providers.iter();
                parents = named.map(|provider| provider.name.as_str()).collect();
            }
            entries.push(Entry {
                resource,
                index,
                metrics,
                providers: parents.clone(),
            });
        }
    }
    entries
}

fn is_prometheus(name: &str, mesh: &MeshOptions) -> bool {
    let mut known = mesh.extension_providers();
    match known.find(|provider| provider.name.eq_ignore_ascii_case(name)) {
        Some(provider) => provider.prometheus.is_some(),
        None => name.eq_ignore_ascii_case(PROMETHEUS),
    }
}

/// What of the entries is in vain: for whom nothing is kept, and who loses to another entry of the
/// same resource. That a more special resource decides is as it should be.
fn problems(entries: &[Entry<'_>], in_scope: &[&str], keeper: Option<&str>) -> Vec<Notice> {
    let Some(last) = entries.last() else {
        return Vec::new();
    };
    if in_scope.is_empty() {
        return vec![last.notice("no metrics are kept: neither it nor the mesh names a provider")];
    }
    let deciding = entries.iter().rfind(|entry| entry.names_any());
    let deciding = deciding.unwrap_or(last);
    let mut notices = Vec::new();
    for entry in entries {
        let is_beside = ptr::eq(entry.resource, deciding.resource);
        let lost = entry.providers.iter();
        for name in lost.filter(|name| is_beside && !in_scope.contains(name)) {
            let index = deciding.index;
            notices.push(entry.notice(format!(
                "nothing is kept for `{name}`, which metrics[{index}] does not name"
            )));
        }
    }
    for name in in_scope.iter().filter(|name| Some(**name) != keeper) {
        notices.push(deciding.notice(match keeper {
            Some(keeper) => format!("metrics are kept for `{keeper}`, and not for `{name}`"),
            None => format!("no metrics are kept for `{name}`, which is not Prometheus"),
        }));
    }
    notices
}

#[cfg(test)]
mod tests {
    use mesh_core::parse::{Limits, parse_as};
    use mesh_core::resource::Metadata;

    use super::*;

    const MESH: &str = "
defaultProviders: { metrics: [prometheus] }
extensionProviders: [{ name: Mine, prometheus: {} }, { name: sd, stackdriver: {} }]";

    /// By how many entries metrics are changed, if they are kept; and what is in vain.
    fn compiled(resources: &[&str], mesh: &str) -> (Option<usize>, Vec<String>) {
        let telemetry = resources.iter().map(|metrics| {
            let text = format!("metrics: {metrics}");
            let (spec, source) = parse_as("telemetry.yaml", &text, &Limits::default()).unwrap();
            Arc::new(Resource {
                metadata: Metadata::default(),
                spec,
                status: None,
                source,
            })
        });
        let telemetry: Vec<_> = telemetry.collect();
        let (mesh, _) = parse_as("mesh", mesh, &Limits::default()).unwrap();
        let mesh = MeshOptions::new(mesh);
        let (entries, notices) = entries(&telemetry, &mesh);
        let notices = notices.into_iter().map(|notice| notice.message);
        (entries.map(|entries| entries.len()), notices.collect())
    }

    #[test]
    fn the_last_entry_that_names_providers_decides() {
        let prometheus = "[{ providers: [{ name: prometheus }] }]";
        let mine = "[{ providers: [{ name: mine }] }]";
        let sd = "[{ providers: [{ name: sd }] }]";
        for (name, resources, mesh, expected) in [
            ("nothing", &[][..], "", None),
            ("the mesh", &[], MESH, Some(0)),
            ("one without a name", &["[{}]"], MESH, Some(1)),
            ("one with a name", &[prometheus], "", Some(1)),
            ("a name of the mesh's own", &[mine], MESH, Some(1)),
            ("one above", &[prometheus, "[{}]"], "", Some(2)),
            (
                "another one below",
                &[sd, prometheus, "[{}]"],
                MESH,
                Some(2),
            ),
        ] {
            let (kept, notices) = compiled(resources, mesh);
            assert_eq!(kept, expected, "{name}");
            assert_eq!(notices, [""; 0], "{name}");
        }
    }

    #[test]
    fn providers_that_nothing_is_kept_for_are_told() {
        for (metrics, mesh, kept, told) in [
            (
                "[{}]",
                "",
                None,
                "metrics[0]: no metrics are kept: neither it nor the mesh names a provider",
            ),
            (
                "[{ providers: [{ name: sd }] }]",
                MESH,
                None,
                "metrics[0]: no metrics are kept for `sd`, which is not Prometheus",
            ),
            (
                "[{ providers: [{ name: sd }, { name: prometheus }] }]",
                MESH,
                Some(1),
                "metrics[0]: metrics are kept for `prometheus`, and not for `sd`",
            ),
            (
                "[{ providers: [{ name: mine }] }, { providers: [{ name: prometheus }] }]",
                MESH,
                Some(1),
                "metrics[0]: nothing is kept for `mine`, which metrics[1] does not name",
            ),
        ] {
            assert_eq!(
                compiled(&[metrics], mesh),
                (kept, vec![told.to_owned()]),
                "{metrics}"
            );
        }
    }
}
