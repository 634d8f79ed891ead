//! What the tests of this module share.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{At, Report, Violation};

/// Runs `check` on a value that is part of no resource.
pub(super) fn run(check: impl FnOnce(At<'_>)) -> Vec<Violation> {
    let report = Report::default();
    check(report.root());
    report.into_violations()
}

/// Asserts how many errors `check` reports about `case`.
#[track_caller]
pub(super) fn assert_errors(case: &str, errors: usize, check: impl FnOnce(At<'_>)) {
    let violations = run(check);
    let found = violations.iter().filter(|violation| violation.is_error());
    assert_eq!(found.count(), errors, "{case}: {violations:#?}");
}

/// Asserts how many warnings `check` reports about `case`, and that it reports no error.
#[track_caller]
pub(super) fn assert_warnings(case: &str, warnings: usize, check: impl FnOnce(At<'_>)) {
    let violations = run(check);
    let errors = violations.iter().filter(|violation| violation.is_error());
    assert_eq!(errors.count(), 0, "{case}: {violations:#?}");
    assert_eq!(violations.len(), warnings, "{case}: {violations:#?}");
}

/// Reads a value that is written in JSON.
#[track_caller]
pub(super) fn read<T: DeserializeOwned>(json: Value) -> T {
    let text = json.to_string();
    serde_json::from_value(json).unwrap_or_else(|error| panic!("{text}: {error}"))
}
