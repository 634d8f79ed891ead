//! The `namespace/host` entries of a Sidecar's egress listener.

use std::collections::HashMap;

use crate::host::HostPattern;

/// The hosts that an egress listener imports and excludes, by namespace.
#[derive(Debug, Default)]
pub(super) struct Imports {
    by_namespace: HashMap<String, Hosts>,
    everywhere: Hosts,
}

#[derive(Debug, Default)]
struct Hosts {
    imported: Vec<HostPattern>,
    excluded: Vec<HostPattern>,
}

impl Imports {
    /// Reads the entries of a listener of `namespace`. An entry without `/` says nothing.
    pub(super) fn parse(entries: &[String], namespace: &str) -> Self {
        let mut imports = Self::default();
        for entry in entries {
            let Some((scope, host)) = entry.split_once('/') else {
                continue;
            };
            let host = HostPattern::new(host);
            let (excluded, scope) = match scope.strip_prefix('~') {
                Some("") => (true, "*"),
                Some(scope) => (true, scope),
                None => (false, scope),
            };
            let hosts = match scope {
                "*" => &mut imports.everywhere,
                "." => imports
                    .by_namespace
                    .entry(namespace.to_owned())
                    .or_default(),
                other => imports.by_namespace.entry(other.to_owned()).or_default(),
            };
            if excluded {
                hosts.excluded.push(host);
            } else {
                hosts.imported.push(host);
            }
        }
        imports
    }

    /// Whether the host of a service in `namespace` is imported: it has to be covered whole.
    pub(super) fn service(&self, namespace: &str, host: &HostPattern) -> bool {
        self.any(namespace, host, HostPattern::is_subset_of)
    }

    /// Whether a host of a VirtualService in `namespace` is imported. It also is when it covers
    /// more than the import does.
    pub(super) fn virtual_service(&self, namespace: &str, host: &HostPattern) -> bool {
        self.any(namespace, host, HostPattern::matches)
    }

    fn any(
        &self,
        namespace: &str,
        host: &HostPattern,
        test: fn(&HostPattern, &HostPattern) -> bool,
    ) -> bool {
        let scopes = [self.by_namespace.get(namespace), Some(&self.everywhere)];
        let mut excluded = scopes
            .into_iter()
            .flatten()
            .flat_map(|hosts| &hosts.excluded);
        let mut imported = scopes
            .into_iter()
            .flatten()
            .flat_map(|hosts| &hosts.imported);
        imported.any(|import| test(host, import))
            && !excluded.any(|exclusion| host.is_subset_of(exclusion))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(entries: &[&str]) -> Imports {
        let entries: Vec<_> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        Imports::parse(&entries, "own")
    }

    #[test]
    fn a_service_is_seen_where_an_entry_imports_and_none_excludes() {
        for (entries, namespace, host, seen) in [
            (&["*/*"][..], "any", "a.example", true),
            (&["./*"], "own", "a.example", true),
            (&["./*"], "other", "a.example", false),
            (&["other/a.example"], "other", "a.example", true),
            (&["other/a.example"], "other", "b.example", false),
            (&["*/*.example"], "any", "a.b.example", true),
            (&["*/a.example"], "any", "*.example", false),
            (&["*/*", "~other/*"], "other", "a.example", false),
            (&["*/*", "~other/*"], "own", "a.example", true),
            (&["*/*", "~/*.internal"], "any", "a.internal", false),
            (&["~/*"], "own", "a.example", false),
            (&["~/*", "other/*"], "other", "a.example", false),
            (&["a.example"], "own", "a.example", false),
        ] {
            let found = imports(entries).service(namespace, &HostPattern::new(host));
            assert_eq!(found, seen, "{entries:?} {namespace}/{host}");
        }
    }

    #[test]
    fn a_virtual_service_is_also_seen_where_it_is_the_broader() {
        let broad = HostPattern::new("*.example");
        assert!(imports(&["*/a.example"]).virtual_service("any", &broad));
        assert!(!imports(&["*/a.test"]).virtual_service("any", &broad));
        assert!(!imports(&["*/a.example", "~/*.example"]).virtual_service("any", &broad));
    }
}
