use std::time::SystemTime;

use http::HeaderMap;
use http::request::Parts;
use mesh_core::attributes::MatchedRoute;
use mesh_core::decision::{Decision, Step};
use mesh_core::model::route::{ClusterSpecifier, DirectResponse, Redirect, RouteAction};

use crate::filter::cors::{self, Verdict};
use crate::filter::{headers, redirect, rewrite};
use crate::request::RequestHead;
use crate::table::{Lookup, RouteTable};

/// What the filters of a route do to a request that is received at `start`, in the order in which
/// they do it.
///
/// The steps are those that follow the choice of the route in an explained decision. Mirrors are
/// named with their share: whether this request is copied is a matter of luck.
pub fn explain(matched: &MatchedRoute, request: &Parts, start: SystemTime) -> Vec<Step> {
    let mut steps = Vec::new();
    let head = RequestHead::from(request);
    match &matched.route().action {
        RouteAction::DirectResponse(direct) => steps.push(explain_direct(matched, direct)),
        RouteAction::Redirect(to) => steps.push(explain_redirect(matched, to, &head)),
        RouteAction::Forward(_) => {
            if explain_cors(matched, &head, &mut steps) {
                return steps;
            }
            explain_forward(matched, request, start, &mut steps);
        }
    }
    explain_response_headers(matched, &mut steps);
    steps
}

impl RouteTable {
    /// The whole decision about a request that is received at `start`: the choice of its route, as
    /// by [`explain`](Self::explain), and what the filters of the route do.
    ///
    /// ```
    /// use std::time::SystemTime;
    ///
    /// use http::Request;
    /// use mesh_core::model::route::{DirectResponse, Route, RouteAction, RouteMatch};
    /// use mesh_routing::table::RouteTable;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let closed = DirectResponse { status: 503, body: None };
    /// let action = RouteAction::DirectResponse(Box::new(closed));
    /// let route = Route::new("closed", RouteMatch::prefix("/"), action);
    /// let table = RouteTable::builder().route("shop.example", route).compile()?;
    ///
    /// let (request, ()) = Request::get("http://shop.example/cart").body(())?.into_parts();
    /// let decision = table.explain_with_filters(&request, 0, SystemTime::UNIX_EPOCH);
    /// let last = decision.steps.last().expect("there are steps");
    /// assert_eq!(last.to_string(), "direct response: answered with `503`  [route]");
    /// # Ok(())
    /// # }
    /// ```
    pub fn explain_with_filters(
        &self,
        request: &Parts,
        random: u64,
        start: SystemTime,
    ) -> Decision<Lookup> {
        let mut decision = self.explain(&RequestHead::from(request), random);
        if let Lookup::Matched(matched) = &decision.outcome {
            decision.steps.extend(explain(matched, request, start));
        }
        decision
    }
}

/// Returns whether the request is answered.
fn explain_cors(matched: &MatchedRoute, head: &RequestHead<'_>, steps: &mut Vec<Step>) -> bool {
    let Some(policy) = &matched.route().cors else {
        return false;
    };
    let (what, answered) = match cors::evaluate(policy, head) {
        Verdict::Answer(fields) if fields.contains_key("access-control-allow-origin") => {
            ("preflight answered, its origin is allowed".to_owned(), true)
        }
        Verdict::Answer(_) => (
            "preflight answered, its origin is not allowed".to_owned(),
            true,
        ),
        Verdict::Forward(Some(origin)) => {
            let origin = String::from_utf8_lossy(origin.as_header().as_bytes());
            (format!("response allows origin `{origin}`"), false)
        }
        Verdict::Forward(None) => return false,
    };
    steps.push(Step::applied("cors", policy.origin.clone(), what));
    answered
}

fn explain_direct(matched: &MatchedRoute, direct: &DirectResponse) -> Step {
    let what = format!("answered with `{}`", direct.status);
    Step::applied("direct response", matched.origin().clone(), what)
}

fn explain_redirect(matched: &MatchedRoute, to: &Redirect, head: &RequestHead<'_>) -> Step {
    let location = redirect::location(to, &matched.route().matches, head);
    let what = format!("`{}` to `{location}`", to.status);
    Step::applied("redirect", matched.origin().clone(), what)
}

fn explain_forward(
    matched: &MatchedRoute,
    request: &Parts,
    start: SystemTime,
    steps: &mut Vec<Step>,
) {
    let destination = matched.destination();
    let refused = destination.and_then(|destination| match destination.cluster {
        ClusterSpecifier::Refused(status) => Some((destination, status)),
        ClusterSpecifier::Header(_) | ClusterSpecifier::Name(_) => None,
    });
    if let Some((destination, status)) = refused {
        let what = format!("cannot be resolved, answered with `{status}`");
        steps.push(Step::applied(
            "destination",
            destination.origin.clone(),
            what,
        ));
        return;
    }
    let mut after = request.clone();
    headers::apply_to_request(matched, &mut after, start);
    explain_request_headers(matched, &request.headers, &after.headers, steps);
    let before = after.clone();
    let outcome = rewrite::apply(matched, &mut after);
    explain_rewrite(matched, &before, &after, steps);
    if let Err(error) = outcome {
        let status = error.status().as_u16();
        let what = format!("answered with `{status}`: {error}");
        steps.push(Step::applied("rewrite", matched.origin().clone(), what));
        return;
    }
    explain_mirrors(matched, steps);
}

fn explain_request_headers(
    matched: &MatchedRoute,
    before: &HeaderMap,
    after: &HeaderMap,
    steps: &mut Vec<Step>,
) {
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        let subject = format!("request header {name}");
        steps.push(Step::applied(subject, matched.origin().clone(), "removed"));
    }
    for name in after.keys() {
        let (old, new) = (values(before, name.as_str()), values(after, name.as_str()));
        if old != new {
            let subject = format!("request header {name}");
            steps.push(Step::applied(
                subject,
                matched.origin().clone(),
                format!("set to `{new}`"),
            ));
        }
    }
}

fn values(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter();
    let values: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    values.join(", ")
}

fn explain_rewrite(matched: &MatchedRoute, before: &Parts, after: &Parts, steps: &mut Vec<Step>) {
    let (before, after) = (RequestHead::from(before), RequestHead::from(after));
    let changes = [
        ("authority", before.authority(), after.authority()),
        ("path", before.path_and_query(), after.path_and_query()),
    ];
    for (subject, old, new) in changes {
        if old != new {
            let what = format!("rewritten from `{old}` to `{new}`");
            steps.push(Step::applied(subject, matched.origin().clone(), what));
        }
    }
}

fn explain_mirrors(matched: &MatchedRoute, steps: &mut Vec<Step>) {
    for mirror in matched
        .forward()
        .map_or(&[][..], |forward| &forward.mirrors)
    {
        let what = format!(
            "{} % of the requests copied to {}",
            mirror.percent, mirror.cluster
        );
        steps.push(Step::applied("mirror", mirror.origin.clone(), what));
    }
}

/// The operations themselves: there is no response to apply them to.
fn explain_response_headers(matched: &MatchedRoute, steps: &mut Vec<Step>) {
    let origin = matched.origin();
    for level in headers::levels(matched) {
        for name in &level.response.remove {
            let subject = format!("response header {name}");
            steps.push(Step::applied(subject, origin.clone(), "removed"));
        }
        for option in &level.response.options {
            let subject = format!("response header {}", option.name);
            let what = format!("set to `{}`", option.value);
            steps.push(Step::applied(subject, origin.clone(), what));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderName, Request};
    use mesh_core::matcher::StringMatch;
    use mesh_core::model::filter::{CorsPolicy, HeaderOption, Mirror};
    use mesh_core::model::route::{PathRewrite, Rewrite, Route, RouteMatch};
    use mesh_core::origin::Origin;
    use mesh_core::percent::Percent;
    use mesh_core::service::ClusterName;

    use super::*;

    fn explained(route: Route, request: http::request::Builder) -> Vec<String> {
        let request = request.body(()).unwrap().into_parts().0;
        let matched = MatchedRoute::new(Arc::new(route), 0);
        let steps = explain(&matched, &request, SystemTime::UNIX_EPOCH);
        steps
            .iter()
            .map(|step| step.to_string().replace("  [route]", ""))
            .collect()
    }

    fn cart() -> Route {
        let cluster = ClusterName::outbound(80, "", "cart.example");
        Route::forward("cart", RouteMatch::prefix("/v1"), cluster)
    }

    #[test]
    fn every_filter_says_what_it_did_in_order() {
        let mut route = cart();
        route.cors = Some(Box::new(CorsPolicy {
            allow_origins: vec![StringMatch::exact("https://a.example")],
            ..CorsPolicy::new(Origin::synthetic("route"))
        }));
        route.headers.request.remove = vec![HeaderName::from_static("x-debug")];
        let name = HeaderName::from_static("x-path");
        let option = HeaderOption::overwrite(name, "%REQ(:path)%".parse().unwrap());
        route.headers.request.options = vec![option.clone()];
        route.headers.response.options = vec![option];
        if let RouteAction::Forward(forward) = &mut route.action {
            forward.rewrite.path = Some(PathRewrite::Prefix("/api".into()));
            forward.rewrite.authority = Some("new.example".into());
            forward.mirrors = vec![Mirror {
                cluster: ClusterName::outbound(80, "v2", "cart.example"),
                percent: Percent::new(12.5).unwrap(),
                origin: Origin::synthetic("route"),
            }];
        }
        let request = Request::get("/v1/cart")
            .header("host", "a.example")
            .header("origin", "https://a.example")
            .header("x-debug", "1");
        let expected = [
            "cors: response allows origin `https://a.example`",
            "request header x-debug: removed",
            "request header x-path: set to `/v1/cart`",
            "authority: rewritten from `a.example` to `new.example`",
            "path: rewritten from `/v1/cart` to `/api/cart`",
            "mirror: 12.5 % of the requests copied to outbound|80|v2|cart.example",
            "response header x-path: set to `%REQ(:path)%`",
        ];
        assert_eq!(explained(route, request), expected);
    }

    #[test]
    fn an_answered_preflight_meets_no_other_filter() {
        let mut route = cart();
        let mut cors = CorsPolicy::new(Origin::synthetic("route"));
        cors.forward_unmatched_preflights = false;
        route.cors = Some(Box::new(cors));
        let preflight = Request::options("/v1")
            .header("origin", "https://a.example")
            .header("access-control-request-method", "PUT");
        let expected = ["cors: preflight answered, its origin is not allowed"];
        assert_eq!(explained(route, preflight), expected);
    }

    #[test]
    fn answers_of_the_configuration_are_explained() {
        let direct = DirectResponse {
            status: 403,
            body: None,
        };
        let direct = RouteAction::DirectResponse(Box::new(direct));
        let redirect = RouteAction::Redirect(Box::new(Redirect {
            status: 301,
            scheme: Some("https".into()),
            host: None,
            port: None,
            path: None,
            strip_query: false,
        }));
        let cases = [
            (direct, "direct response: answered with `403`"),
            (redirect, "redirect: `301` to `https://a.example/x`"),
        ];
        for (action, expected) in cases {
            let route = Route::new("route", RouteMatch::prefix("/"), action);
            let request = Request::get("/x").header("host", "a.example");
            assert_eq!(explained(route, request), [expected]);
        }
    }

    #[test]
    fn a_rewrite_that_fails_is_explained_with_its_answer() {
        let cases = [
            (
                Rewrite {
                    authority: Some("a b".into()),
                    ..Rewrite::default()
                },
                "rewrite: answered with `500`: `a b` is no authority",
            ),
            (
                Rewrite {
                    path: Some(PathRewrite::Full(format!("/{}", "x".repeat(70_000)))),
                    ..Rewrite::default()
                },
                "rewrite: answered with `414`: the path would be `70001` bytes long",
            ),
        ];
        for (rewrite, expected) in cases {
            let mut route = cart();
            if let RouteAction::Forward(forward) = &mut route.action {
                forward.rewrite = rewrite;
            }
            let request = Request::get("http://a.example/v1");
            assert_eq!(explained(route, request), [expected]);
        }
    }

    #[test]
    fn a_refused_destination_is_explained() {
        let mut route = cart();
        if let RouteAction::Forward(forward) = &mut route.action {
            forward.destinations[0].cluster = ClusterSpecifier::Refused(500);
            forward.destinations[0].origin = Origin::synthetic("route");
        }
        let expected = ["destination: cannot be resolved, answered with `500`"];
        assert_eq!(explained(route, Request::get("/v1")), expected);
    }
}
