//! Copies of requests, whose responses are discarded.
//!
//! This module decides which copies a request gets and what their heads are; sending them and
//! sharing the body is the work of `layer::mirror` (feature `tower`). A copy has the head of the
//! request as it is forwarded, after all other filters. It carries a [`MatchedRoute`] of its own,
//! so that whatever forwards the request can forward the copy: to the mirror's cluster, within the
//! timeout of the route, never tried again.
//!
//! # Example
//!
//! ```
//! use mesh_core::model::filter::Mirror;
//! use mesh_core::origin::Origin;
//! use mesh_core::percent::Percent;
//! use mesh_core::service::ClusterName;
//! use mesh_routing::filter::mirror;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let half = Mirror {
//!     cluster: ClusterName::outbound(80, "v2", "cart.example"),
//!     percent: Percent::new(50.0)?,
//!     origin: Origin::synthetic("example"),
//! };
//! assert_eq!(mirror::draw(&[half.clone()], || 499_999).count(), 1);
//! assert_eq!(mirror::draw(&[half], || 500_000).count(), 0);
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;

use http::header::HOST;
use http::request::Parts;
use http::uri::{Authority, Uri};
use http::{HeaderValue, Method, Request};
use mesh_core::attributes::{ConnectionInfo, MatchedRoute, Timeouts};
use mesh_core::model::filter::Mirror;
use mesh_core::model::route::{Forward, Route, RouteAction, WeightedDestination};

use crate::request::RequestHead;

const SHADOW_SUFFIX: &str = "-shadow";

/// The mirrors that get a copy: one random number is drawn for each.
pub fn draw(mirrors: &[Mirror], mut random: impl FnMut() -> u64) -> impl Iterator<Item = &Mirror> {
    mirrors
        .iter()
        .filter(move |mirror| mirror.percent.includes(random()))
}

/// Whether a request can be copied. One that changes the protocol of its connection cannot.
pub fn is_copyable(request: &RequestHead<'_>) -> bool {
    request.method() != Method::CONNECT.as_str()
        && !request.headers().contains_key(http::header::UPGRADE)
}

/// The head of the copy of `request` for `mirror`.
///
/// Of the request's extensions, the copy gets [`ConnectionInfo`] and [`Timeouts`].
pub fn copy(mirror: &Mirror, matched: &MatchedRoute, request: &Parts) -> Parts {
    let (mut copy, ()) = Request::new(()).into_parts();
    copy.method = request.method.clone();
    copy.uri = request.uri.clone();
    copy.version = request.version;
    copy.headers = request.headers.clone();
    if let Some(connection) = request.extensions.get::<ConnectionInfo>() {
        copy.extensions.insert(connection.clone());
    }
    if let Some(timeouts) = request.extensions.get::<Timeouts>() {
        copy.extensions.insert(*timeouts);
    }
    copy.extensions.insert(route_of_copy(mirror, matched));
    copy
}

fn route_of_copy(mirror: &Mirror, matched: &MatchedRoute) -> MatchedRoute {
    let mut forward = Forward::to([WeightedDestination {
        origin: mirror.origin.clone(),
        ..WeightedDestination::new(mirror.cluster.clone())
    }]);
    forward.timeout = matched.timeout();
    let route = Route {
        origin: mirror.origin.clone(),
        ..Route::new(
            matched.name(),
            matched.route().matches.clone(),
            RouteAction::Forward(Box::new(forward)),
        )
    };
    MatchedRoute::new(Arc::new(route), 0)
}

/// Appends `-shadow` to the host of a copy, before its port, as Envoy does and Istio did up to
/// 1.27. Istio leaves it away since (`DISABLE_SHADOW_HOST_SUFFIX`).
pub fn add_shadow_suffix(copy: &mut Parts) {
    let shadow = shadow_authority(RequestHead::from(&*copy).authority());
    if let Ok(host) = HeaderValue::from_str(&shadow)
        && (copy.uri.authority().is_none() || copy.headers.contains_key(HOST))
    {
        copy.headers.insert(HOST, host);
    }
    if copy.uri.authority().is_some()
        && let Ok(authority) = Authority::try_from(shadow)
    {
        let mut uri = copy.uri.clone().into_parts();
        uri.authority = Some(authority);
        copy.uri = Uri::from_parts(uri).unwrap_or_else(|_| copy.uri.clone());
    }
}

fn shadow_authority(authority: &str) -> String {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => format!("{host}{SHADOW_SUFFIX}:{port}"),
        _ => format!("{authority}{SHADOW_SUFFIX}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mesh_core::model::route::RouteMatch;
    use mesh_core::origin::Origin;
    use mesh_core::percent::Percent;
    use mesh_core::service::ClusterName;

    use super::*;

    fn mirror(percent: f64) -> Mirror {
        Mirror {
            cluster: ClusterName::outbound(80, "v2", "cart.example"),
            percent: Percent::new(percent).unwrap(),
            origin: Origin::synthetic("mirror"),
        }
    }

    #[test]
    fn mirrors_are_drawn_independently() {
        let mirrors = [mirror(0.0), mirror(30.0), mirror(100.0)];
        let mut numbers = [0, 299_999, 7].into_iter();
        let drawn: Vec<_> = draw(&mirrors, || numbers.next().unwrap()).collect();
        assert_eq!(drawn, [&mirrors[1], &mirrors[2]]);
    }

    #[test]
    fn a_copy_is_the_request_on_its_way_to_another_cluster() {
        let cluster = ClusterName::outbound(80, "v1", "cart.example");
        let mut route = Route::forward("cart", RouteMatch::prefix("/"), cluster);
        if let RouteAction::Forward(forward) = &mut route.action {
            forward.timeout = Some(Duration::from_secs(3));
            forward.retry = Some(Arc::default());
        }
        let matched = MatchedRoute::new(Arc::new(route), 0);
        let request = Request::post("/cart?item=7")
            .header("x-user", "jason")
            .body(())
            .unwrap();
        let request = request.into_parts().0;

        let copy = copy(&mirror(100.0), &matched, &request);
        assert_eq!((&copy.method, &copy.uri), (&request.method, &request.uri));
        assert_eq!(copy.headers, request.headers);
        let route: &MatchedRoute = copy.extensions.get().unwrap();
        assert_eq!(route.cluster(), Some(&mirror(100.0).cluster));
        assert_eq!(route.timeout(), Some(Duration::from_secs(3)));
        assert_eq!(route.retry(), None);
    }

    #[test]
    fn the_suffix_goes_before_the_port() {
        let cases = [
            ("a.example", "a.example-shadow"),
            ("a.example:80", "a.example-shadow:80"),
            ("[::1]", "[::1]-shadow"),
            ("[::1]:80", "[::1]-shadow:80"),
        ];
        for (authority, expected) in cases {
            assert_eq!(shadow_authority(authority), expected);
        }
        let request = Request::get("http://a.example:80/x").header("host", "a.example:80");
        let mut copy = request.body(()).unwrap().into_parts().0;
        add_shadow_suffix(&mut copy);
        assert_eq!(copy.uri, "http://a.example-shadow:80/x");
        assert_eq!(copy.headers["host"], "a.example-shadow:80");
    }

    #[test]
    fn a_request_that_changes_the_protocol_is_not_copied() {
        let upgrade = Request::get("/")
            .header("upgrade", "websocket")
            .body(())
            .unwrap();
        let connect = Request::connect("a.example:443").body(()).unwrap();
        for request in [upgrade, connect] {
            assert!(!is_copyable(&RequestHead::from(&request)), "{request:?}");
        }
        assert!(is_copyable(&RequestHead::from(&Request::new(()))));
    }
}
