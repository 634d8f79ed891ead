use std::iter;
use std::sync::{Arc, OnceLock};

use http::Extensions;

use super::{MatchedRoute, SelectedEndpoint};

/// How far a request has come, for those above who get no response that says it: because a layer
/// between answers in its place (a timeout, a refusal), or because the client has gone away.
///
/// Telemetry puts it into the extensions of the request; those below say what they know. Cheap to
/// clone, all clones are the same. Nothing waits for anything here.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
///
/// use http::Extensions;
/// use mesh_core::attributes::{Progress, SelectedEndpoint};
/// use mesh_core::model::cluster::{Endpoint, EndpointAddress};
///
/// let mut extensions = Extensions::new();
/// let progress = Progress::of(&mut extensions);
/// assert_eq!((progress.endpoint(), progress.attempts()), (None, 0));
///
/// let address = EndpointAddress::Ip("10.0.0.7:80".parse()?);
/// let endpoint = SelectedEndpoint(Arc::new(Endpoint::new(address)));
/// Progress::of(&mut extensions).sent_to(endpoint.clone());
/// assert_eq!((progress.endpoint(), progress.attempts()), (Some(&endpoint), 1));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Steps>);

#[derive(Debug, Default)]
struct Steps {
    expected: OnceLock<MatchedRoute>,
    route: OnceLock<MatchedRoute>,
    first: OnceLock<Attempt>,
}

#[derive(Debug)]
struct Attempt {
    endpoint: SelectedEndpoint,
    next: OnceLock<Box<Self>>,
}

impl Progress {
    /// That of the request with these extensions, which has one from now on.
    pub fn of(extensions: &mut Extensions) -> Self {
        extensions.get_or_insert_default::<Self>().clone()
    }

    /// The route of a request with these extensions: that which they have themselves, else that which
    /// was found below.
    pub fn route_in(extensions: &Extensions) -> Option<&MatchedRoute> {
        let below = || extensions.get::<Self>()?.route();
        extensions.get().or_else(below)
    }

    /// The endpoint of a request with these extensions: that which they have themselves, else the last
    /// that it was sent to below.
    pub fn endpoint_in(extensions: &Extensions) -> Option<&SelectedEndpoint> {
        let below = || extensions.get::<Self>()?.endpoint();
        extensions.get().or_else(below)
    }

    /// Says which route the request will have if nothing changes it before it is routed. The first
    /// counts.
    pub fn expect_route(&self, matched: &MatchedRoute) {
        self.0.expected.get_or_init(|| matched.clone());
    }

    /// Says which route the request has. The first counts.
    pub fn routed_by(&self, matched: &MatchedRoute) {
        self.0.route.get_or_init(|| matched.clone());
    }

    /// Says that the request is sent to `endpoint`, which may be the last of several attempts.
    pub fn sent_to(&self, endpoint: SelectedEndpoint) {
        let next = OnceLock::new();
        let Err(again) = self.0.first.set(Attempt { endpoint, next }) else {
            return;
        };
        let mut again = Box::new(again);
        while let Some(last) = self.all().last() {
            match last.next.set(again) {
                Ok(()) => return,
                // Another attempt came in between.
                Err(back) => again = back,
            }
        }
    }

    /// The route that the request has, or else the one that was expected.
    pub fn route(&self) -> Option<&MatchedRoute> {
        self.0.route.get().or_else(|| self.0.expected.get())
    }

    /// The endpoint of the last attempt.
    pub fn endpoint(&self) -> Option<&SelectedEndpoint> {
        self.all().last().map(|attempt| &attempt.endpoint)
    }

    /// How often the request was sent.
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.all().count()).unwrap_or(u32::MAX)
    }

    fn all(&self) -> impl Iterator<Item = &Attempt> {
        iter::successors(self.0.first.get(), |attempt| {
            attempt.next.get().map(|next| &**next)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cluster::{Endpoint, EndpointAddress};
    use crate::model::route::{Route, RouteMatch};
    use crate::service::ClusterName;

    fn endpoint(port: u16) -> SelectedEndpoint {
        let address = EndpointAddress::Ip(([192, 0, 2, 7], port).into());
        SelectedEndpoint(Arc::new(Endpoint::new(address)))
    }

    fn route(name: &str) -> MatchedRoute {
        let cluster = ClusterName::from(name);
        let route = Route::forward(name, RouteMatch::prefix("/"), cluster);
        MatchedRoute::new(Arc::new(route), 0)
    }

    #[test]
    fn the_last_attempt_counts() {
        let progress = Progress::default();
        for (count, port) in [(1, 81), (2, 82), (3, 83)] {
            progress.clone().sent_to(endpoint(port));
            let known = (progress.endpoint(), progress.attempts());
            assert_eq!(known, (Some(&endpoint(port)), count));
        }
    }

    #[test]
    fn a_route_that_is_settled_counts_more_than_one_that_is_expected() {
        let mut extensions = Extensions::new();
        let progress = Progress::of(&mut extensions);
        let name = |extensions| Progress::route_in(extensions).map(MatchedRoute::name);
        assert_eq!(name(&extensions), None);
        progress.expect_route(&route("early"));
        assert_eq!(name(&extensions), Some("early"));
        progress.routed_by(&route("settled"));
        assert_eq!(name(&extensions), Some("settled"));
        extensions.insert(route("own"));
        assert_eq!(
            Progress::route_in(&extensions).map(MatchedRoute::name),
            Some("own")
        );
    }

    #[test]
    fn what_is_known_of_the_request_itself_counts_more() {
        let mut extensions = Extensions::new();
        Progress::of(&mut extensions).sent_to(endpoint(81));
        assert_eq!(Progress::endpoint_in(&extensions), Some(&endpoint(81)));
        extensions.insert(endpoint(82));
        assert_eq!(Progress::endpoint_in(&extensions), Some(&endpoint(82)));
    }
}
