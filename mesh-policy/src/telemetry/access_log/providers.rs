use std::collections::BTreeMap;
use std::fmt;
use std::ptr;
use std::sync::Arc;

use mesh_core::model::Notice;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::telemetry::{AccessLogging, Telemetry, WorkloadMode};

use super::filter::LogFilter;

/// What a provider logs.
#[derive(Clone, Debug, PartialEq)]
pub enum LogScope {
    /// Every exchange and connection.
    Everything,
    /// Those that a filter includes.
    Filtered(LogFilter),
    /// None.
    Nothing,
}

/// What each provider logs, and what of the resources is not done.
///
/// `telemetry` are the resources of a workload, the more general first; `defaults` are the mesh's
/// default providers; `client` says whose traffic it is: what the workload sends, or receives. What
/// is about the other direction counts for nothing.
///
/// All providers that the last resource with any names are logged to, and no others; an entry that
/// names none is about those of the entry before it. The last entry that names a provider decides
/// what is logged to it, and none is logged to a provider that an entry disables, unless one after
/// it does not. A filter that is not understood keeps its provider silent, and is reported.
///
/// Where no provider is in the answer, the rest of the mesh's settings decide (`accessLogFile`). That
/// is so, too, of a direction that none of the entries is about, whatever the defaults are.
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
/// use mesh_policy::telemetry::access_log::{LogScope, log_providers};
///
/// let spec: Telemetry = serde_json::from_str(
///     r#"{"accessLogging": [
///         {"providers": [{"name": "envoy"}], "filter": {"expression": "response.code >= 400"}},
///         {"providers": [{"name": "audit"}], "match": {"mode": "SERVER"}}]}"#,
/// )?;
/// let (metadata, source) = (Metadata::default(), Source::unknown());
/// let telemetry = [Arc::new(Resource { metadata, spec, status: None, source })];
/// let (sent, notices) = log_providers(&telemetry, &[], true);
/// assert!(matches!(sent["envoy"], LogScope::Filtered(_)) && sent.len() == 1);
/// let (received, _) = log_providers(&telemetry, &[], false);
/// assert_eq!(received["audit"], LogScope::Everything);
/// assert!(notices.is_empty());
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn log_providers(
    telemetry: &[Arc<Resource<Telemetry>>],
    defaults: &[String],
    client: bool,
) -> (BTreeMap<String, LogScope>, Vec<Notice>) {
    let entries = entries(telemetry);
    if entries.is_empty() {
        let all = defaults.iter().cloned();
        let all = all.map(|name| (name, LogScope::Everything));
        return (all.collect(), Vec::new());
    }
    let mut parents: Vec<_> = defaults.iter().map(String::as_str).collect();
    let in_scope = in_scope(&entries, client).unwrap_or_else(|| parents.clone());
    let (scopes, mut notices) = scopes(&entries, client);
    let mut providers = BTreeMap::new();
    for entry in &entries {
        let names = entry.names();
        let names_none = names.is_empty();
        if !names_none {
            parents = names;
        }
        if !entry.is_about(client) {
            continue;
        }
        notices.extend(entry.problem(names_none, &parents));
        for name in parents.iter().filter(|name| in_scope.contains(name)) {
            let scope = match entry.logging.disabled {
                Some(true) => LogScope::Nothing,
                _ => scopes.get(name).cloned().unwrap_or(LogScope::Everything),
            };
            providers.insert((*name).to_owned(), scope);
        }
    }
    (providers, notices)
}

/// What a resource asks to be logged, and where it does.
#[derive(Clone, Copy)]
struct Entry<'a> {
    resource: &'a Resource<Telemetry>,
    index: usize,
    logging: &'a AccessLogging,
}

fn entries(telemetry: &[Arc<Resource<Telemetry>>]) -> Vec<Entry<'_>> {
    let entries = telemetry.iter().flat_map(|resource| {
        let logging = resource.spec.access_logging.iter().enumerate();
        logging.map(|(index, logging)| Entry {
            resource,
            index,
            logging,
        })
    });
    entries.collect()
}

impl<'a> Entry<'a> {
    /// The providers that it names itself.
    fn names(&self) -> Vec<&'a str> {
        let providers = self.logging.providers.iter();
        providers.map(|provider| provider.name.as_str()).collect()
    }

    fn is_about(&self, client: bool) -> bool {
        let mode = self.logging.r#match.as_ref();
        match mode.map_or(WorkloadMode::ClientAndServer, |own| own.mode) {
            WorkloadMode::ClientAndServer => true,
            WorkloadMode::Client => client,
            WorkloadMode::Server => !client,
        }
    }

    fn is_of_the_resource_of(&self, other: &Self) -> bool {
        ptr::eq(self.resource, other.resource)
    }

    /// What of an entry that may name no provider, and is about `providers`, is in vain.
    fn problem(&self, names_none: bool, providers: &[&str]) -> Option<Notice> {
        if providers.is_empty() {
            return Some(self.notice("neither it nor the mesh names a provider"));
        }
        let filter_in_vain = names_none && self.logging.filter.is_some();
        filter_in_vain
            .then(|| self.notice("its filter is that of no provider, since it names none"))
    }

    fn notice(&self, what: impl fmt::Display) -> Notice {
        Notice {
            origin: self.resource.origin(),
            message: format!("accessLogging[{}]: {what}", self.index),
        }
    }
}

/// The providers that the last resource with any names.
fn in_scope<'a>(entries: &[Entry<'a>], client: bool) -> Option<Vec<&'a str>> {
    let named = |entry: &&Entry<'a>| entry.is_about(client) && !entry.logging.providers.is_empty();
    let last = entries.iter().rfind(named)?;
    let beside = entries.iter().filter(named);
    let beside = beside.filter(|entry| entry.is_of_the_resource_of(last));
    Some(beside.flat_map(Entry::names).collect())
}

/// What is logged to each provider that is named: what the last entry says.
fn scopes<'a>(entries: &[Entry<'a>], client: bool) -> (BTreeMap<&'a str, LogScope>, Vec<Notice>) {
    let mut deciding: BTreeMap<&str, Entry<'a>> = BTreeMap::new();
    let mut notices = Vec::new();
    for entry in entries.iter().filter(|entry| entry.is_about(client)) {
        for name in entry.names() {
            let before = deciding.insert(name, *entry);
            notices.extend(before.and_then(|before| replaced(&before, entry, name)));
        }
    }
    let scopes = deciding.into_iter().map(|(name, entry)| {
        let scope = match entry.logging.filter.as_ref() {
            None => LogScope::Everything,
            Some(filter) => match filter.expression.parse() {
                Ok(filter) => LogScope::Filtered(filter),
                Err(error) => {
                    let what = format!("nothing is logged to `{name}`: {error}");
                    notices.push(entry.notice(what));
                    LogScope::Nothing
                }
            },
        };
        (name, scope)
    });
    (scopes.collect(), notices)
}

/// That a filter counts for nothing, where one resource says two things of a provider. That a more
/// special resource decides is as it should be.
fn replaced(before: &Entry<'_>, entry: &Entry<'_>, name: &str) -> Option<Notice> {
    let is_other = before.index != entry.index && before.logging.filter != entry.logging.filter;
    let is_lost = is_other && before.logging.filter.is_some();
    (is_lost && before.is_of_the_resource_of(entry)).then(|| {
        let index = entry.index;
        before.notice(format!(
            "its filter is not that of `{name}`, which accessLogging[{index}] names, too"
        ))
    })
}

#[cfg(test)]
mod tests {
    use mesh_core::parse::{Limits, parse_as};

    use super::*;

    /// What is logged of what a workload sends and receives, as text, under resources with these
    /// `accessLogging`; and what of them is in vain.
    fn merged(resources: &[&str], defaults: &[&str]) -> ([String; 2], Vec<String>) {
        let telemetry = resources.iter().map(|logging| {
            let text = format!("accessLogging: {logging}");
            let (spec, source) = parse_as("telemetry.yaml", &text, &Limits::default()).unwrap();
            Arc::new(Resource {
                metadata: mesh_core::resource::Metadata::default(),
                spec,
                status: None,
                source,
            })
        });
        let telemetry: Vec<_> = telemetry.collect();
        let defaults: Vec<_> = defaults.iter().map(|name| (*name).to_owned()).collect();
        let mut told = Vec::new();
        let both = [true, false].map(|client| {
            let (providers, notices) = log_providers(&telemetry, &defaults, client);
            for Notice { message, .. } in notices {
                if !told.contains(&message) {
                    told.push(message);
                }
            }
            let providers = providers.iter().map(|(name, scope)| match scope {
                LogScope::Everything => name.clone(),
                LogScope::Filtered(filter) => {
                    let errors = "response.code >= 500".parse().unwrap();
                    let which = if *filter == errors { "errors" } else { "other" };
                    format!("{name} {which}")
                }
                LogScope::Nothing => format!("{name} off"),
            });
            providers.collect::<Vec<_>>().join(", ")
        });
        (both, told)
    }

    /// Asserts what is logged of what is sent, and of what is received; nothing of it is in vain.
    fn assert_merged(name: &str, resources: &[&str], defaults: &[&str], expected: [&str; 2]) {
        let (both, told) = merged(resources, defaults);
        assert_eq!(both, expected, "{name}");
        assert_eq!(told, [""; 0], "{name}");
    }

    const ENVOY: &str = "[{ providers: [{ name: envoy }] }]";
    const ERRORS: &str = "[{ providers: [{ name: envoy }], \
        filter: { expression: response.code >= 500 } }]";

    #[test]
    fn without_an_entry_the_mesh_decides() {
        assert_merged("nothing", &[], &[], ["", ""]);
        assert_merged("the defaults", &[], &["envoy"], ["envoy", "envoy"]);
        assert_merged("empty", &["[]"], &["envoy"], ["envoy", "envoy"]);
    }

    #[test]
    fn providers_of_one_resource_log_beside_each_other() {
        let two = "
- { providers: [{ name: envoy }], filter: { expression: response.code >= 500 } }
- { providers: [{ name: audit }] }";
        let expected = ["audit, envoy errors"; 2];
        assert_merged("two entries", &[two], &["mesh"], expected);
        assert_merged("below another", &[ENVOY, two], &[], expected);
        let listed = "[{ providers: [{ name: envoy }, { name: audit }] }]";
        assert_merged("one entry", &[listed], &[], ["audit, envoy"; 2]);
    }

    #[test]
    fn each_direction_has_its_own_providers() {
        let both = "
- { match: { mode: SERVER }, providers: [{ name: envoy }] }
- { match: { mode: CLIENT }, providers: [{ name: audit }], disabled: true }
- { match: { mode: CLIENT }, providers: [{ name: json }] }";
        assert_merged("apart", &[both], &[], ["audit off, json", "envoy"]);
        let below = "[{ match: { mode: CLIENT }, providers: [{ name: json }] }]";
        assert_merged("below", &[ENVOY, below], &[], ["json", "envoy"]);
        let off = "[{ match: { mode: SERVER }, disabled: true }]";
        assert_merged("one off", &[ENVOY, off], &[], ["envoy", "envoy off"]);
        assert_merged("a default", &[off], &["envoy"], ["", "envoy off"]);
    }

    #[test]
    fn the_more_special_resource_decides() {
        let audit = "[{ providers: [{ name: audit }] }]";
        let (off, on) = ("[{ disabled: true }]", "[{ disabled: false }]");
        assert_merged("others", &[ENVOY, audit], &[], ["audit"; 2]);
        assert_merged("off", &[ENVOY, off], &[], ["envoy off"; 2]);
        assert_merged("on again", &[ENVOY, off, on], &[], ["envoy"; 2]);
        assert_merged("filtered", &[ENVOY, ERRORS], &[], ["envoy errors"; 2]);
        assert_merged("unfiltered", &[ERRORS, ENVOY], &[], ["envoy"; 2]);
        assert_merged("still filtered", &[ERRORS, on], &[], ["envoy errors"; 2]);
    }

    #[test]
    fn what_is_in_vain_is_told() {
        let no_name = "[{ filter: { expression: response.code >= 500 } }]";
        let twice = "
- { providers: [{ name: envoy }], filter: { expression: response.code >= 500 } }
- { providers: [{ name: envoy }] }";
        let odd = "[{ providers: [{ name: envoy }], filter: { expression: size(x) > 1 } }]";
        let off = "[{ disabled: true }]";
        for (resource, defaults, expected, told) in [
            (no_name, &["envoy"][..], "envoy", "since it names none"),
            (twice, &[], "envoy", "which accessLogging[1] names, too"),
            (odd, &[], "envoy off", "nothing is logged to `envoy`"),
            (off, &[], "", "neither it nor the mesh names a provider"),
        ] {
            let ([sent, _], messages) = merged(&[resource], defaults);
            assert_eq!(sent, expected, "{resource}");
            assert_eq!(messages.len(), 1, "{messages:?}");
            assert!(messages[0].contains(told), "{messages:?}");
            assert!(
                messages[0].starts_with("accessLogging[0]: "),
                "{messages:?}"
            );
        }
    }
}
