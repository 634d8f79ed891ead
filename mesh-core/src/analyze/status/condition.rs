use std::fmt;

use serde::{Serialize, Serializer};

use crate::analyze::status::existing;
use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::origin::Origin;
use crate::resource::Value;
use crate::resource::timestamp::Timestamp;

/// One aspect of the state of a resource, as Kubernetes has it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which aspect.
    pub r#type: ConditionType,
    /// Whether it holds. Written as `True` or `False`.
    #[serde(serialize_with = "as_text")]
    pub status: bool,
    /// Why, as a word.
    pub reason: Reason,
    /// Why, for people: in istiod's words where it has some.
    pub message: String,
    /// Generation of the resource that was looked at. `None` if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When `status` changed. `None` if no time was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Timestamp>,
    /// What was written that makes it so. Not part of what Kubernetes has.
    #[serde(skip)]
    pub origin: Origin,
}

/// Which aspect of a resource a [`Condition`] is about.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum ConditionType {
    /// Whether it is valid, and somebody acts on it.
    Accepted,
    /// Whether another listener has the place.
    Conflicted,
    /// Whether clients without a valid certificate are let in.
    InsecureFrontendValidationMode,
    /// Whether a part of it has no effect.
    PartiallyInvalid,
    /// Whether it is served.
    Programmed,
    /// Whether all that it refers to is there, and may be referred to.
    ResolvedRefs,
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The names are those of the variants.
        fmt::Debug::fmt(self, f)
    }
}

fn as_text<S: Serializer>(status: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text(*status))
}

fn text(status: bool) -> &'static str {
    match status {
        true => "True",
        false => "False",
    }
}

/// A condition without that which all conditions of one list share.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    status: bool,
    reason: Reason,
    message: String,
}

impl Verdict {
    /// That it holds.
    pub(super) fn yes(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status: true,
            reason,
            message: message.into(),
        }
    }

    /// That it does not.
    pub(super) fn no(reason: Reason, message: impl Into<String>) -> Self {
        let status = false;
        Self {
            status,
            ..Self::yes(reason, message)
        }
    }

    /// That it does not, as something is refused.
    pub(super) fn refused(refusal: &Refusal) -> Self {
        Self::no(refusal.reason, &*refusal.message)
    }

    /// Whether it holds.
    pub(super) fn holds(&self) -> bool {
        self.status
    }

    /// That it does not if something is refused, else that it holds.
    pub(super) fn unless(refusal: Option<&Refusal>, reason: Reason, message: &str) -> Self {
        refusal.map_or_else(|| Self::yes(reason, message), Self::refused)
    }
}

/// What the conditions of one list share.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    /// Generation of the resource.
    pub(super) generation: Option<i64>,
    /// What had conditions before, if it was there.
    pub(super) existing: Option<&'a Value>,
    /// The time.
    pub(super) now: Option<Timestamp>,
}

impl About<'_> {
    /// The conditions, in the order of their types.
    pub(super) fn conditions(
        &self,
        verdicts: impl IntoIterator<Item = (ConditionType, Verdict, Origin)>,
    ) -> Vec<Condition> {
        let conditions = verdicts.into_iter().map(|(kind, verdict, origin)| {
            let Verdict {
                status,
                reason,
                message,
            } = verdict;
            let same = existing::conditions(self.existing).find(|found| {
                existing::text(found, "type") == kind.to_string()
                    && existing::text(found, "status") == text(status)
            });
            let since =
                same.and_then(|found| existing::text(found, "lastTransitionTime").parse().ok());
            Condition {
                r#type: kind,
                status,
                reason,
                message,
                observed_generation: self.generation,
                last_transition_time: since.or(self.now),
                origin,
            }
        });
        let mut conditions: Vec<Condition> = conditions.collect();
        conditions.sort_by_key(|condition| condition.r#type);
        conditions
    }
}
