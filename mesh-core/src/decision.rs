//! Decisions, explained.
//!
//! Every decision of the mesh (which route, which endpoint, allowed or not) has an `explain` twin
//! that returns a [`Decision`]: the outcome, and the rules that were considered in order, each with
//! what it said and where it was written. It is a value: a test can assert on it, and a person can
//! read it.
//!
//! # Example
//!
//! ```
//! use mesh_core::decision::{Decision, Step, Verdict};
//! use mesh_core::origin::Origin;
//!
//! let steps = vec![
//!     Step::failed("route jason", Origin::synthetic("example"), "header end-user is absent"),
//!     Step::matched("route default", Origin::synthetic("example")),
//! ];
//! let decision = Decision { outcome: "reviews v1", steps };
//!
//! assert_eq!(decision.decided_by().unwrap().subject, "route default");
//! assert!(matches!(&decision.steps[0].verdict, Verdict::Failed(why) if why.contains("end-user")));
//! ```

use std::fmt;

use serde::Serialize;

use crate::origin::Origin;

/// An outcome and how it came about.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Decision<T> {
    /// What was decided.
    pub outcome: T,
    /// What was considered, in order.
    pub steps: Vec<Step>,
}

impl<T> Decision<T> {
    /// The last rule that matched.
    pub fn decided_by(&self) -> Option<&Step> {
        let mut steps = self.steps.iter().rev();
        steps.find(|step| step.verdict == Verdict::Matched)
    }

    /// The same steps with another outcome.
    pub fn map<U>(self, outcome: impl FnOnce(T) -> U) -> Decision<U> {
        Decision {
            outcome: outcome(self.outcome),
            steps: self.steps,
        }
    }
}

impl<T: fmt::Display> fmt::Display for Decision<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        write!(f, "=> {}", self.outcome)
    }
}

/// One rule that was considered.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Step {
    /// What was considered: `virtual host reviews:9080`, `route v2`.
    pub subject: String,
    /// Where it was written.
    pub origin: Origin,
    /// What it said.
    pub verdict: Verdict,
}

impl Step {
    /// A rule that took the request.
    pub fn matched(subject: impl Into<String>, origin: Origin) -> Self {
        Self::new(subject, origin, Verdict::Matched)
    }

    /// A rule that did not take the request, with the first condition that failed.
    pub fn failed(subject: impl Into<String>, origin: Origin, why: impl Into<String>) -> Self {
        Self::new(subject, origin, Verdict::Failed(why.into()))
    }

    /// An effect on the request, with what it did.
    pub fn applied(subject: impl Into<String>, origin: Origin, what: impl Into<String>) -> Self {
        Self::new(subject, origin, Verdict::Applied(what.into()))
    }

    fn new(subject: impl Into<String>, origin: Origin, verdict: Verdict) -> Self {
        let subject = subject.into();
        Self {
            subject,
            origin,
            verdict,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            subject,
            origin,
            verdict,
        } = self;
        match verdict {
            Verdict::Applied(what) => write!(f, "{subject}: {what}  [{origin}]"),
            Verdict::Failed(why) => write!(f, "{subject}: no, {why}  [{origin}]"),
            Verdict::Matched => write!(f, "{subject}: matched  [{origin}]"),
        }
    }
}

/// What a rule said.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It changed the request or the response, in this way.
    Applied(String),
    /// It did not take the request: the first condition that failed.
    Failed(String),
    /// It took the request.
    Matched,
}
