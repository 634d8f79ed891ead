//! What of a route has not the effect that it seems to have.

use crate::config::gateway_api::reason::Refusal;
use crate::model::Notice;
use crate::origin::Origin;
use crate::resolve::place::Place;

/// A refusal, and where what is refused was written.
///
/// The model has it as a [`Notice`], and the status of the route as a condition.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// Where.
    pub(crate) origin: Origin,
    /// What and why.
    pub(crate) refusal: Refusal,
}

impl From<Finding> for Notice {
    fn from(Finding { origin, refusal }: Finding) -> Self {
        Self {
            origin,
            message: refusal.to_string(),
        }
    }
}

impl Refusal {
    /// Says of the value at `place` that it is refused.
    pub(in crate::resolve) fn at(self, place: &Place<'_>) -> Finding {
        Finding {
            origin: place.origin(),
            refusal: self,
        }
    }
}
