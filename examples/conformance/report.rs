//! Counts of one corpus, for people and as JSON.

use std::io::{self, Write};

use serde::Serialize;

use crate::case::{Case, Outcome};

/// What became of the cases of a corpus.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    cases: usize,
    passed: usize,
    failed: usize,
    unsupported: usize,
    not_passed: Vec<String>,
    /// Those of them that are unsupported.
    not_supported: Vec<String>,
    #[serde(skip)]
    reasons: Vec<Case>,
}

impl Report {
    /// Counts `cases`.
    pub(crate) fn new(cases: Vec<Case>) -> Self {
        let mut report = Self {
            cases: cases.len(),
            passed: 0,
            failed: 0,
            unsupported: 0,
            not_passed: Vec::new(),
            not_supported: Vec::new(),
            reasons: Vec::new(),
        };
        for case in cases {
            report.count(case);
        }
        report
    }

    fn count(&mut self, case: Case) {
        match case.outcome {
            Outcome::Passed => {
                self.passed += 1;
                return;
            }
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Unsupported(_) => {
                self.unsupported += 1;
                self.not_supported.push(case.id.clone());
            }
        }
        self.not_passed.push(case.id.clone());
        self.reasons.push(case);
    }

    /// Writes the counts as a line below [`write_heading`]'s.
    pub(crate) fn write_row(&self, out: &mut impl Write, name: &str) -> io::Result<()> {
        let Self {
            cases,
            passed,
            failed,
            unsupported,
            ..
        } = self;
        writeln!(
            out,
            "{name:<38} {cases:>7} {passed:>7} {failed:>7} {unsupported:>12}"
        )
    }

    /// Writes the ids that did not pass, each with its reason.
    pub(crate) fn write_not_passed(&self, out: &mut impl Write) -> io::Result<()> {
        for Case { id, outcome } in &self.reasons {
            match outcome {
                Outcome::Passed => {}
                Outcome::Failed(why) => writeln!(out, "  failed       {id}: {}", one_line(why))?,
                Outcome::Unsupported(why) => {
                    writeln!(out, "  unsupported  {id}: {}", one_line(why))?;
                }
            }
        }
        Ok(())
    }
}

/// Writes the names of the columns.
pub(crate) fn write_heading(out: &mut impl Write) -> io::Result<()> {
    let (corpus, cases, passed, failed) = ("corpus", "cases", "passed", "failed");
    writeln!(
        out,
        "{corpus:<38} {cases:>7} {passed:>7} {failed:>7} {:>12}",
        "unsupported"
    )
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
