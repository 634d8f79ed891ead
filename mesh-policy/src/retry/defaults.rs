use std::sync::Arc;

use http::Method;
use mesh_core::attributes::UpstreamReset;
use mesh_core::model::retry::RetryPolicy;

/// What holds for requests whose route says nothing, and what holds for all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RetryDefaults {
    pub(super) policy: Option<Arc<RetryPolicy>>,
    pub(super) only_safe: bool,
}

impl RetryDefaults {
    /// Istio's behaviour: requests that were matched to a route are tried again as that says, others
    /// are not. (A route that says nothing has been resolved with
    /// [`RetryPolicy::default`], Istio's own.)
    pub fn istio() -> Self {
        Self {
            policy: None,
            only_safe: false,
        }
    }

    /// Tries a request again only if it cannot have reached the application, or if its method is
    /// idempotent (RFC 9110 §9.2.2). This holds for the policies of routes, too.
    ///
    /// Requests without a route are tried again as [`RetryPolicy::default`] says, and when the stream
    /// is reset.
    pub fn idempotent() -> Self {
        let mut policy = RetryPolicy::default();
        policy.retry_on.push("reset".to_owned());
        Self {
            policy: Some(Arc::new(policy)),
            only_safe: true,
        }
    }

    /// Sets the policy of requests without a route.
    #[must_use]
    pub fn with_policy(mut self, policy: RetryPolicy) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// Whether a request with `method` may be tried again after it ended in `reset`, or after a
    /// response if that is `None`.
    pub(super) fn allow(&self, method: &Method, reset: Option<UpstreamReset>) -> bool {
        let never_sent = reset.is_some_and(UpstreamReset::is_unprocessed);
        !self.only_safe || never_sent || method.is_idempotent()
    }
}

impl Default for RetryDefaults {
    fn default() -> Self {
        Self::istio()
    }
}
