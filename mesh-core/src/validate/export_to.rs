//! Visibility: the namespaces that a resource is exported to.
//!
//! ```
//! use mesh_core::validate::export_to::{Exporter, validate};
//! use mesh_core::validate::Report;
//!
//! let report = Report::default();
//! validate(&[".".to_owned(), "prod".to_owned()], Exporter::Routes, "prod", report.root());
//! assert_eq!(report.into_violations().len(), 1);
//! ```

use std::collections::BTreeSet;

use super::At;
use crate::dns;

/// What is exported, on which the rules depend.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exporter {
    /// A VirtualService, or a DestinationRule without a selector of workloads.
    Routes,
    /// A DestinationRule with a selector of workloads, which stays in its namespace.
    SelectedRule,
    /// A ServiceEntry, which may be exported to nobody.
    ServiceEntry,
}

/// Checks the `exportTo` of a resource of `namespace` (`validateExportTo`): namespaces, `.` for its
/// own, `*` for all or `~` for none, each once, and the last two alone.
pub fn validate(export_to: &[String], exporter: Exporter, namespace: &str, at: At<'_>) {
    let mut accepted = BTreeSet::new();
    at.each(export_to, |entry, at| {
        let name = if entry == "." { namespace } else { entry };
        if accepted.contains(name) {
            at.error(format_args!("`{entry}` is there twice"));
        } else if validate_entry(entry, exporter, at) {
            accepted.insert(name);
        }
    });
    if exporter == Exporter::SelectedRule && !accepted.is_empty() {
        at.require(
            accepted.iter().all(|name| *name == namespace),
            "a destination rule with a workload selector is exported to its namespace only",
        );
    }
    let alone = [("*", "everybody (`*`)"), ("~", "nobody (`~`)")];
    for (token, who) in alone {
        if accepted.contains(token) && export_to.len() > 1 {
            at.error(format_args!("exported to {who} and to a namespace"));
        }
    }
}

/// Whether the entry is allowed; reports it otherwise.
fn validate_entry(entry: &str, exporter: Exporter, at: At<'_>) -> bool {
    match entry {
        "." | "*" => true,
        "~" if exporter == Exporter::ServiceEntry => true,
        "~" => {
            at.error("only a ServiceEntry can be exported to nobody (`~`)");
            false
        }
        name if dns::validate_label(name).is_ok() => true,
        name => {
            at.error(format_args!("`{name}` is neither `.`, `*` nor a namespace"));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::testing::assert_errors;

    #[test]
    fn entries_are_distinct_and_wildcards_alone() {
        let cases: [(Exporter, &[&str], usize); 14] = [
            (Exporter::Routes, &[], 0),
            (Exporter::Routes, &["."], 0),
            (Exporter::Routes, &["*"], 0),
            (Exporter::Routes, &["a", "b", "."], 0),
            (Exporter::Routes, &["a", "a"], 1),
            (Exporter::Routes, &[".", "own"], 1),
            (Exporter::Routes, &["*", "a"], 1),
            (Exporter::Routes, &["~"], 1),
            (Exporter::Routes, &["a/b"], 1),
            (Exporter::ServiceEntry, &["~"], 0),
            (Exporter::ServiceEntry, &["~", "a"], 1),
            (Exporter::SelectedRule, &["."], 0),
            (Exporter::SelectedRule, &["*"], 1),
            (Exporter::SelectedRule, &["own", "a"], 1),
        ];
        for (exporter, entries, errors) in cases {
            let export_to: Vec<_> = entries.iter().map(|entry| (*entry).to_owned()).collect();
            assert_errors(&format!("{exporter:?} {entries:?}"), errors, |at| {
                validate(&export_to, exporter, "own", at);
            });
        }
    }
}
