//! What policies say of a request or connection.

use std::sync::Arc;

use super::rule::RuleName;

/// What the policies of a workload say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verdict<'s> {
    pub(super) reason: Reason<'s>,
    pub(super) audited: Option<&'s Arc<RuleName>>,
    pub(super) dry_run: DryRun<'s>,
}

impl<'s> Verdict<'s> {
    /// Whether the request or connection may pass.
    pub fn is_allowed(&self) -> bool {
        match self.reason {
            Reason::Allowed(_) | Reason::NoAllowPolicy => true,
            Reason::Denied(_) | Reason::NotAllowed => false,
        }
    }

    /// Why.
    pub fn reason(&self) -> Reason<'s> {
        self.reason
    }

    /// The rule of an AUDIT policy that marks the request, if any.
    pub fn audited(&self) -> Option<&'s Arc<RuleName>> {
        self.audited
    }

    /// What policies that are only tried out would have said.
    pub fn dry_run(&self) -> DryRun<'s> {
        self.dry_run
    }
}

/// Why a request or connection is allowed or denied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason<'s> {
    /// This rule allows it.
    Allowed(&'s Arc<RuleName>),
    /// This rule denies it.
    Denied(&'s Arc<RuleName>),
    /// No policy allows anything, so that everything is allowed that is not denied.
    NoAllowPolicy,
    /// There are policies that allow, and none of their rules matches.
    NotAllowed,
}

/// What policies with the annotation `istio.io/dry-run` would have said, each action by itself.
///
/// The outer option tells whether there is such a policy, the inner one which of their rules
/// matches.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DryRun<'s> {
    /// The rule that would have denied.
    pub deny: Option<Option<&'s Arc<RuleName>>>,
    /// The rule that would have allowed; if there is none, the request would have been denied.
    pub allow: Option<Option<&'s Arc<RuleName>>>,
}
