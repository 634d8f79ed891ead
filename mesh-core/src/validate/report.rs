use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use super::{Violation, ViolationKind};
use crate::diagnostic::Severity;
use crate::origin::{FieldPath, Origin, Source};

/// What validation has found so far in one resource.
///
/// ```
/// use mesh_core::dns;
/// use mesh_core::origin::{Origin, Source};
/// use mesh_core::validate::Report;
///
/// let source = Source::unknown();
/// let report = Report::new(Origin::new("Gateway", "prod", "public", &source), source);
/// let hosts = ["shop.example.com", "shop..example.com"];
/// let root = report.root();
/// root.field("hosts").each(&hosts, |host, at| at.check(dns::validate_fqdn(host)));
///
/// let violations = report.into_violations();
/// assert_eq!(violations.len(), 1);
/// assert_eq!(violations[0].origin.path(), "hosts[1]");
/// ```
#[derive(Debug)]
pub struct Report {
    origin: Origin,
    source: Source,
    violations: RefCell<Vec<Violation>>,
}

impl Report {
    /// Nothing found yet in the resource `origin`, whose positions are in `source`.
    pub fn new(origin: Origin, source: Source) -> Self {
        Self {
            origin,
            source,
            violations: RefCell::default(),
        }
    }

    /// The whole resource.
    pub fn root(&self) -> At<'_> {
        At {
            report: self,
            path: FieldPath::root(),
        }
    }

    /// All that was found, in the order in which the resource was written.
    pub fn into_violations(self) -> Vec<Violation> {
        let mut violations = self.violations.into_inner();
        violations.sort_by_key(|violation| violation.origin.position());
        violations
    }
}

impl Default for Report {
    /// Nothing found yet in a value that is part of no resource.
    fn default() -> Self {
        Self::new(Origin::synthetic("value"), Source::unknown())
    }
}

/// A value of a resource, about which violations are reported.
///
/// It is a path on the stack: walking a resource allocates nothing until something is wrong.
#[derive(Clone, Copy)]
pub struct At<'a> {
    report: &'a Report,
    path: FieldPath<'a>,
}

impl<'a> At<'a> {
    /// The field `name` of this object.
    pub const fn field<'b>(&'b self, name: &'b str) -> At<'b> {
        At {
            report: self.report,
            path: self.path.field(name),
        }
    }

    /// The value under `key` of this map.
    pub const fn key<'b>(&'b self, key: &'b str) -> At<'b> {
        At {
            report: self.report,
            path: self.path.key(key),
        }
    }

    /// The element `index`, from 0, of this list.
    pub const fn index(&self, index: usize) -> At<'_> {
        At {
            report: self.report,
            path: self.path.index(index),
        }
    }

    /// Calls `check` with each element of this list.
    pub fn each<'t, T>(&self, items: &'t [T], mut check: impl FnMut(&'t T, At<'_>)) {
        for (index, item) in items.iter().enumerate() {
            check(item, self.index(index));
        }
    }

    /// Calls `check` with each key and value of this map.
    pub fn each_entry<'t, T>(
        &self,
        entries: &'t BTreeMap<String, T>,
        mut check: impl FnMut(&'t str, &'t T, At<'_>),
    ) {
        for (key, value) in entries {
            check(key, value, self.key(key));
        }
    }

    /// Whether the resource was read from a text in which this value was written.
    ///
    /// Some rules forbid to write what is the default.
    pub fn is_written(&self) -> bool {
        self.report.source.contains(&self.path)
    }

    /// Version of the API that the resource was written in. Empty when unknown.
    pub fn version(&self) -> &'static str {
        self.report.source.version()
    }

    /// Reports that this value makes the resource invalid.
    pub fn error(&self, message: impl fmt::Display) -> Reported<'a> {
        self.report(Severity::Error, ViolationKind::Schema, &message)
    }

    /// Reports that this value is probably not what was meant.
    pub fn warning(&self, message: impl fmt::Display) -> Reported<'a> {
        self.report(Severity::Warning, ViolationKind::Schema, &message)
    }

    /// Reports an error unless the check succeeded.
    pub fn check<E: fmt::Display>(&self, result: Result<(), E>) {
        if let Err(error) = result {
            self.error(error);
        }
    }

    /// Reports an error unless `condition` holds.
    pub fn require(&self, condition: bool, message: &str) {
        if !condition {
            self.error(message);
        }
    }

    /// Reports an error if the field `name` of this object was left out, which has a meaning when
    /// it is empty but has to be written.
    ///
    /// An object that was not read from a text is taken to have all such fields.
    pub fn require_written(&self, name: &str) {
        if self.is_written() && !self.field(name).is_written() {
            self.error(format_args!("`{name}` is required"));
        }
    }

    /// Reports an error if more than one of these fields of this object is set.
    pub fn at_most_one(&self, fields: &[(&str, bool)]) {
        if fields.iter().filter(|(_, is_set)| *is_set).count() > 1 {
            self.error(format_args!("only one of {} can be set", names(fields)));
        }
    }

    /// Reports an error unless one of these fields of this object, and no other, is set.
    pub fn exactly_one(&self, fields: &[(&str, bool)]) {
        self.at_most_one(fields);
        if fields.iter().all(|(_, is_set)| !is_set) {
            self.error(format_args!("one of {} is required", names(fields)));
        }
    }

    pub(super) fn report(
        &self,
        severity: Severity,
        kind: ViolationKind,
        message: &dyn fmt::Display,
    ) -> Reported<'a> {
        let report = self.report;
        let mut violations = report.violations.borrow_mut();
        violations.push(Violation {
            severity,
            kind,
            origin: report.origin.at(&self.path, &report.source),
            message: message.to_string(),
            help: String::new(),
        });
        Reported {
            report,
            index: violations.len() - 1,
        }
    }
}

impl fmt::Debug for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("At").field(&self.path.to_string()).finish()
    }
}

/// The names of fields: `a`, `b` and `c`.
fn names(fields: &[(&str, bool)]) -> String {
    let names: Vec<_> = fields.iter().map(|(name, _)| format!("`{name}`")).collect();
    match names.as_slice() {
        [names @ .., last] if !names.is_empty() => format!("{} and {last}", names.join(", ")),
        names => names.join(", "),
    }
}

/// A violation that was just reported, to which [`help`](Self::help) can be added.
#[derive(Debug)]
pub struct Reported<'a> {
    report: &'a Report,
    index: usize,
}

impl Reported<'_> {
    /// Says what to do about the violation.
    pub fn help(self, help: impl Into<String>) {
        let mut violations = self.report.violations.borrow_mut();
        if let Some(violation) = violations.get_mut(self.index) {
            violation.help = help.into();
        }
    }
}
