//! What policies that do not decide say: AUDIT, and those that are tried out.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::rule::RuleName;
use super::verdict::Verdict;

/// What policies that do not decide say of a request, whether it passed or not; in the extensions of
/// its response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recorded {
    /// The rule of an AUDIT policy that marks the request.
    pub audited: Option<Arc<RuleName>>,
    /// As in [`DryRun::deny`](super::DryRun::deny).
    pub dry_run_deny: Option<Option<Arc<RuleName>>>,
    /// As in [`DryRun::allow`](super::DryRun::allow).
    pub dry_run_allow: Option<Option<Arc<RuleName>>>,
}

impl Recorded {
    /// What is to be recorded of a request or connection with this verdict, if anything.
    pub fn of(verdict: &Verdict<'_>) -> Option<Self> {
        let dry_run = verdict.dry_run();
        let audited = verdict.audited().cloned();
        let is_some = audited.is_some() || dry_run.deny.is_some() || dry_run.allow.is_some();
        is_some.then(|| Self {
            audited,
            dry_run_deny: dry_run.deny.map(|rule| rule.cloned()),
            dry_run_allow: dry_run.allow.map(|rule| rule.cloned()),
        })
    }
}

/// Counts what policies that do not decide say, with the labels that Istio documents for policies
/// that are tried out. Cheap to clone; clones count together.
///
/// # Example
///
/// ```
/// use mesh_policy::authz::{Recorded, Records};
///
/// let records = Records::default();
/// let recorded = Recorded { audited: None, dry_run_deny: Some(None), dry_run_allow: None };
/// records.count(&recorded);
/// assert!(records.encode().contains(
///     "mesh_authorization_dry_run_total{authz_dry_run_action=\"deny\",authz_dry_run_result=\"allowed\"} 1\n",
/// ));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Records {
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    audited: AtomicU64,
    deny: Results,
    allow: Results,
}

/// What the policies of one action would have said.
#[derive(Debug, Default)]
struct Results {
    allowed: AtomicU64,
    denied: AtomicU64,
}

impl Results {
    fn count(&self, is_allowed: bool) {
        let counter = match is_allowed {
            true => &self.allowed,
            false => &self.denied,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Records {
    /// Counts one request or connection.
    pub fn count(&self, recorded: &Recorded) {
        let Recorded {
            audited,
            dry_run_deny,
            dry_run_allow,
        } = recorded;
        let counts = &self.counts;
        if audited.is_some() {
            counts.audited.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(rule) = dry_run_deny {
            counts.deny.count(rule.is_none());
        }
        if let Some(rule) = dry_run_allow {
            counts.allow.count(rule.is_some());
        }
    }

    /// The counts in the text format of Prometheus; nothing of what has never been counted.
    pub fn encode(&self) -> String {
        let Counts {
            audited,
            deny,
            allow,
        } = &*self.counts;
        let mut text = String::new();
        let trials = [
            ("deny", "allowed", &deny.allowed),
            ("deny", "denied", &deny.denied),
            ("allow", "allowed", &allow.allowed),
            ("allow", "denied", &allow.denied),
        ];
        let trials = trials.map(|(action, result, count)| {
            let labels =
                format!("{{authz_dry_run_action=\"{action}\",authz_dry_run_result=\"{result}\"}}");
            (labels, count)
        });
        series(&mut text, "mesh_authorization_dry_run", &trials);
        let audits = [(String::new(), audited)];
        series(&mut text, "mesh_authorization_audited", &audits);
        text
    }
}

fn series(text: &mut String, name: &str, counts: &[(String, &AtomicU64)]) {
    let counts = counts.iter();
    let counts = counts.map(|(labels, count)| (labels, count.load(Ordering::Relaxed)));
    let mut counted = counts.filter(|(_, count)| *count > 0).peekable();
    if counted.peek().is_some() {
        // A string takes all that is written.
        let _ = writeln!(text, "# TYPE {name} counter");
    }
    for (labels, count) in counted {
        let _ = writeln!(text, "{name}_total{labels} {count}");
    }
}
