use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_core::model::Notice;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::telemetry::{AccessLogging, Telemetry, WorkloadMode};

use super::filter::{LogFilter, ParseFilterError};

/// Which providers log, each with its filter; and what of the resources is not done.
///
/// `telemetry` are the resources of a workload, the more general first; `defaults` are the mesh's
/// default providers; `client` says whose traffic it is: what the workload sends, or receives.
///
/// A later resource that names providers takes the place of the earlier ones' providers; one that
/// names none is about those of the one before. A provider that is disabled does not log. A filter
/// that is not understood keeps its provider silent, and is reported.
///
/// Source: `mergeLogs` in Istio's `pilot/pkg/model/telemetry.go`.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
///
/// use mesh_core::origin::Source;
/// use mesh_core::resource::istio::telemetry::Telemetry;
/// use mesh_core::resource::{Metadata, Resource};
/// use mesh_policy::telemetry::access_log::log_providers;
///
/// let spec: Telemetry = serde_json::from_str(
///     r#"{"accessLogging": [{"providers": [{"name": "envoy"}],
///         "filter": {"expression": "response.code >= 400"}}]}"#,
/// )?;
/// let (metadata, source) = (Metadata::default(), Source::unknown());
/// let telemetry = Resource { metadata, spec, status: None, source };
/// let (providers, notices) = log_providers(&[Arc::new(telemetry)], &[], true);
/// assert!(providers["envoy"].is_some() && notices.is_empty());
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn log_providers(
    telemetry: &[Arc<Resource<Telemetry>>],
    defaults: &[String],
    client: bool,
) -> (BTreeMap<String, Option<LogFilter>>, Vec<Notice>) {
    let entries = || {
        telemetry
            .iter()
            .flat_map(|resource| &resource.spec.access_logging)
    };
    let last = entries().map(named).rfind(|names| !names.is_empty());
    let mut merging = Merging {
        in_scope: last.unwrap_or_else(|| defaults.to_vec()),
        current: defaults.to_vec(),
        logging: BTreeMap::new(),
    };
    if entries().next().is_none() {
        let all = merging.in_scope.into_iter().map(|name| (name, None));
        return (all.collect(), Vec::new());
    }
    let mut notices = Vec::new();
    for resource in telemetry {
        for (index, entry) in resource.spec.access_logging.iter().enumerate() {
            if let Err(error) = merging.apply(entry, client) {
                notices.push(Notice {
                    origin: resource.origin(),
                    message: format!("accessLogging[{index}] does not log: {error}"),
                });
            }
        }
    }
    (merging.logging, notices)
}

fn named(logging: &AccessLogging) -> Vec<String> {
    let providers = logging.providers.iter();
    providers.map(|provider| provider.name.clone()).collect()
}

struct Merging {
    /// The providers that are left at the end.
    in_scope: Vec<String>,
    /// The providers that an entry without any is about.
    current: Vec<String>,
    logging: BTreeMap<String, Option<LogFilter>>,
}

impl Merging {
    fn apply(&mut self, entry: &AccessLogging, client: bool) -> Result<(), ParseFilterError> {
        let AccessLogging {
            r#match,
            providers: _,
            disabled,
            filter,
        } = entry;
        let names = named(entry);
        if !names.is_empty() {
            self.current = names;
        }
        let mode = r#match
            .as_ref()
            .map_or(WorkloadMode::ClientAndServer, |own| own.mode);
        if !is_about(mode, client) {
            return Ok(());
        }
        let filter = filter
            .as_ref()
            .map(|filter| filter.expression.parse::<LogFilter>());
        let in_scope = self
            .current
            .iter()
            .filter(|name| self.in_scope.contains(*name));
        for name in in_scope {
            match (&filter, disabled) {
                (_, Some(true)) | (Some(Err(_)), _) => drop(self.logging.remove(name)),
                (Some(Ok(filter)), _) => {
                    self.logging.insert(name.clone(), Some(filter.clone()));
                }
                (None, _) => {
                    self.logging.entry(name.clone()).or_insert(None);
                }
            }
        }
        filter.transpose().map(|_| ())
    }
}

fn is_about(mode: WorkloadMode, client: bool) -> bool {
    match mode {
        WorkloadMode::ClientAndServer => true,
        WorkloadMode::Client => client,
        WorkloadMode::Server => !client,
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::origin::Source;
    use mesh_core::resource::Metadata;
    use serde_json::{Value, json};

    use super::*;

    fn providers(resources: &[Value], defaults: &[&str], client: bool) -> (Vec<String>, usize) {
        let telemetry: Vec<_> = resources
            .iter()
            .map(|logging| {
                Arc::new(Resource {
                    metadata: Metadata::default(),
                    spec: serde_json::from_value(json!({"accessLogging": logging})).unwrap(),
                    status: None,
                    source: Source::unknown(),
                })
            })
            .collect();
        let defaults: Vec<_> = defaults.iter().map(|name| (*name).to_owned()).collect();
        let (providers, notices) = log_providers(&telemetry, &defaults, client);
        let names = providers.into_iter().map(|(name, filter)| match filter {
            Some(_) => format!("{name}, filtered"),
            None => name,
        });
        (names.collect(), notices.len())
    }

    #[test]
    fn the_later_resource_decides() {
        let envoy = json!([{"providers": [{"name": "envoy"}]}]);
        let other = json!([{"providers": [{"name": "other"}]}]);
        let off = json!([{"disabled": true}]);
        let on = json!([{"disabled": false}]);
        let errors = json!([{"filter": {"expression": "response.code >= 500"}}]);
        let odd = json!([{"filter": {"expression": "size(x) > 1"}}]);
        for (name, resources, defaults, expected) in [
            ("nothing", vec![], &[][..], &[][..]),
            ("the defaults", vec![], &["envoy"], &["envoy"]),
            ("a provider", vec![envoy.clone()], &[], &["envoy"]),
            (
                "another one later",
                vec![envoy.clone(), other],
                &[],
                &["other"],
            ),
            (
                "the defaults, filtered",
                vec![errors.clone()],
                &["envoy"],
                &["envoy, filtered"],
            ),
            (
                "switched off below",
                vec![envoy.clone(), off.clone()],
                &[],
                &[],
            ),
            (
                "and on again",
                vec![envoy.clone(), off, on],
                &[],
                &["envoy"],
            ),
            (
                "filtered below",
                vec![envoy, errors],
                &[],
                &["envoy, filtered"],
            ),
            ("an odd filter", vec![odd], &["envoy"], &[]),
        ] {
            let (providers, notices) = providers(&resources, defaults, true);
            assert_eq!(providers, expected, "{name}");
            assert_eq!(notices == 1, name == "an odd filter", "{name}");
        }
    }

    #[test]
    fn a_direction_is_logged_where_it_is_asked_for() {
        let server = [json!([{"match": {"mode": "SERVER"}, "providers": [{"name": "envoy"}]}])];
        assert_eq!(providers(&server, &[], false).0, ["envoy"]);
        assert!(providers(&server, &[], true).0.is_empty());
    }
}
