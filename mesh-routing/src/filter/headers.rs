//! Header operations of a route, on the request and on the response.
//!
//! The levels apply in Envoy's order: destination, route, virtual host, route configuration. Within
//! a level, fields are removed first; then the values of all options are evaluated; then those
//! that overwrite are written, and last those that append. A value that turns out empty is not
//! written.
//!
//! In a response that the proxy gives itself `%RESPONSE_CODE%` is `0`, since Envoy settles the status
//! after the operations ([`Exchange::answered_locally`]), and so it does what the answer says of its
//! text: its length, and `text/plain` if no operation has written another type. An answer without text has
//! no type, and one that has another type keeps it: a page of an authorizer, a status for a gRPC caller.
//!
//! Envoy joins values that are appended to a few well-known fields (`user-agent`, for one) with a
//! comma; here they always become a further field, which means the same (RFC 9110 §5.3).
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use std::time::SystemTime;
//!
//! use http::{HeaderName, Request};
//! use mesh_core::attributes::MatchedRoute;
//! use mesh_core::model::filter::HeaderOption;
//! use mesh_core::model::route::{Route, RouteMatch};
//! use mesh_core::service::ClusterName;
//! use mesh_routing::filter::headers;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = ClusterName::outbound(80, "", "cart.example");
//! let mut route = Route::forward("cart", RouteMatch::prefix("/"), cluster);
//! let path = HeaderName::from_static("x-path");
//! route.headers.request.options = vec![HeaderOption::overwrite(path, "%REQ(:path)%".parse()?)];
//!
//! let matched = MatchedRoute::new(Arc::new(route), 0);
//! let (mut request, ()) = Request::get("/cart").body(())?.into_parts();
//! headers::apply_to_request(&matched, &mut request, SystemTime::UNIX_EPOCH);
//! assert_eq!(request.headers["x-path"], "/cart");
//! # Ok(())
//! # }
//! ```

use std::time::SystemTime;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use http::{HeaderValue, request, response};
use mesh_core::attributes::MatchedRoute;
use mesh_core::format_string::Exchange;
use mesh_core::model::filter::{HeaderMutation, HeaderMutations, HeaderOption};

/// The operations that apply to a request of the route, in order.
pub fn levels(matched: &MatchedRoute) -> impl Iterator<Item = &HeaderMutations> {
    let destination = matched
        .destination()
        .map(|destination| &destination.headers);
    let enclosing = matched.enclosing();
    let enclosing = enclosing.map(|levels| [&levels.virtual_host, &levels.route_configuration]);
    let own = destination.into_iter().chain([&matched.route().headers]);
    own.chain(enclosing.into_iter().flatten())
}

/// Whether a response of the route is changed.
pub fn changes_response(matched: &MatchedRoute) -> bool {
    levels(matched).any(|level| !level.response.is_empty())
}

/// Whether the operations on the response have to know the request.
pub fn response_needs_request(matched: &MatchedRoute) -> bool {
    let mut options = levels(matched).flat_map(|level| &level.response.options);
    options.any(|option| option.value.needs_request())
}

/// Whether any value depends on the request, so that it matters when the request began.
pub fn is_varying(matched: &MatchedRoute) -> bool {
    let mut options = levels(matched)
        .flat_map(|level| [&level.request, &level.response])
        .flat_map(|mutation| &mutation.options);
    options.any(|option| option.value.needs_request())
}

/// Applies the operations on the request, which was received at `start`.
pub fn apply_to_request(matched: &MatchedRoute, request: &mut request::Parts, start: SystemTime) {
    let mutations = levels(matched).map(|level| &level.request);
    for mutation in mutations.filter(|mutation| !mutation.is_empty()) {
        remove(mutation, &mut request.headers);
        let exchange = Exchange::of_request(request, start).with_route(matched);
        match values(mutation, &exchange, &request.headers) {
            Some(values) => write(&mutation.options, &values, &mut request.headers),
            None => write_fixed(&mutation.options, &mut request.headers),
        }
    }
}

/// Applies the operations on the response to `exchange`, whose own response is not looked at.
pub fn apply_to_response(
    matched: &MatchedRoute,
    exchange: &Exchange<'_>,
    response: &mut response::Parts,
) {
    let is_own = exchange.is_answered_locally();
    let own =
        is_own.then(|| [CONTENT_LENGTH, CONTENT_TYPE].map(|name| response.headers.remove(name)));
    let mutations = levels(matched).map(|level| &level.response);
    for mutation in mutations.filter(|mutation| !mutation.is_empty()) {
        remove(mutation, &mut response.headers);
        let exchange = exchange.with_route(matched).with_response(response);
        match values(mutation, &exchange, &response.headers) {
            Some(values) => write(&mutation.options, &values, &mut response.headers),
            None => write_fixed(&mutation.options, &mut response.headers),
        }
    }
    if let Some([length, content_type]) = own {
        settle(length, content_type, &mut response.headers);
    }
}

/// Lets an answer of the proxy say of its text what it said before the operations; `text/plain` only if
/// they have written no type.
fn settle(length: Option<HeaderValue>, own: Option<HeaderValue>, headers: &mut HeaderMap) {
    match length {
        Some(length) => headers.insert(CONTENT_LENGTH, length),
        None => headers.remove(CONTENT_LENGTH),
    };
    match own {
        None => {
            headers.remove(CONTENT_TYPE);
        }
        // Envoy's own, if nobody says another.
        Some(own) if own == "text/plain" => {
            headers.entry(CONTENT_TYPE).or_insert(own);
        }
        Some(own) => {
            headers.insert(CONTENT_TYPE, own);
        }
    }
}

fn remove(mutation: &HeaderMutation, headers: &mut HeaderMap) {
    for name in &mutation.remove {
        headers.remove(name);
    }
}

/// The value that each option writes. `None` if it is enough to [`write_fixed`].
fn values(
    mutation: &HeaderMutation,
    exchange: &Exchange<'_>,
    headers: &HeaderMap,
) -> Option<Vec<Option<HeaderValue>>> {
    if mutation.options.iter().all(is_unconditional) {
        return None;
    }
    let value = |option: &HeaderOption| {
        let exists = || headers.contains_key(&option.name);
        let applies = !option.action.is_conditional() || option.action.applies(exists());
        applies.then(|| option.value.evaluate(exchange)).flatten()
    };
    Some(mutation.options.iter().map(value).collect())
}

/// Whether what the option writes depends neither on a request nor on its fields.
fn is_unconditional(option: &HeaderOption) -> bool {
    !option.action.is_conditional() && option.value.fixed().is_some()
}

fn write(options: &[HeaderOption], values: &[Option<HeaderValue>], headers: &mut HeaderMap) {
    let values = values.iter().map(Option::as_ref);
    write_pairs(options.iter().zip(values), headers);
}

fn write_fixed(options: &[HeaderOption], headers: &mut HeaderMap) {
    let pairs = options.iter().map(|option| (option, option.value.fixed()));
    write_pairs(pairs, headers);
}

fn write_pairs<'a>(
    pairs: impl Iterator<Item = (&'a HeaderOption, Option<&'a HeaderValue>)> + Clone,
    headers: &mut HeaderMap,
) {
    let pairs = pairs
        .filter_map(|(option, value)| Some((option, value?.clone())))
        .filter(|(_, value)| !value.is_empty());
    for (option, value) in pairs
        .clone()
        .filter(|(option, _)| option.action.overwrites())
    {
        headers.insert(option.name.clone(), value);
    }
    for (option, value) in pairs.filter(|(option, _)| !option.action.overwrites()) {
        headers.append(option.name.clone(), value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderName, Request, Response};
    use mesh_core::attributes::EnclosingHeaders;
    use mesh_core::model::filter::AppendAction;
    use mesh_core::model::route::{Route, RouteAction, RouteMatch};
    use mesh_core::service::ClusterName;

    use super::*;

    fn option(name: &'static str, value: &str, action: AppendAction) -> HeaderOption {
        let (name, value) = (HeaderName::from_static(name), value.parse().unwrap());
        HeaderOption {
            name,
            value,
            action,
        }
    }

    fn mutation(remove: &[&'static str], options: Vec<HeaderOption>) -> HeaderMutation {
        let remove = remove
            .iter()
            .copied()
            .map(HeaderName::from_static)
            .collect();
        HeaderMutation { remove, options }
    }

    fn overwrite(name: &'static str, value: &str) -> HeaderMutation {
        mutation(
            &[],
            vec![option(name, value, AppendAction::OverwriteIfExistsOrAdd)],
        )
    }

    fn route() -> Route {
        let cluster = ClusterName::outbound(80, "", "cart.example");
        Route::forward("cart", RouteMatch::prefix("/"), cluster)
    }

    fn request(fields: &[(&str, &str)]) -> request::Parts {
        let mut request = Request::get("/cart?item=7");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn all<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
        headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }

    /// The values of `name` after `request` operations on a request with `x: old`.
    fn after(request_operations: HeaderMutation, name: &str) -> Vec<String> {
        let mut route = route();
        route.headers.request = request_operations;
        let mut request = request(&[("x", "old")]);
        let matched = MatchedRoute::new(Arc::new(route), 0);
        apply_to_request(&matched, &mut request, SystemTime::UNIX_EPOCH);
        all(&request.headers, name)
            .into_iter()
            .map(String::from)
            .collect()
    }

    #[test]
    fn each_action_does_what_it_says() {
        let cases: [(AppendAction, &[&str], &[&str]); 4] = [
            (AppendAction::AddIfAbsent, &["old"], &["new"]),
            (AppendAction::AppendIfExistsOrAdd, &["old", "new"], &["new"]),
            (AppendAction::OverwriteIfExists, &["new"], &[]),
            (AppendAction::OverwriteIfExistsOrAdd, &["new"], &["new"]),
        ];
        for (action, present, absent) in cases {
            for (name, expected) in [("x", present), ("y", absent)] {
                let options = mutation(&[], vec![option(name, "new", action)]);
                assert_eq!(after(options, name), expected, "{action:?} {name}");
            }
        }
    }

    #[test]
    fn a_level_removes_then_overwrites_then_appends() {
        let append = |value| option("x", value, AppendAction::AppendIfExistsOrAdd);
        let set = |value| option("x", value, AppendAction::OverwriteIfExistsOrAdd);
        let varying = |value| option("y", value, AppendAction::AppendIfExistsOrAdd);
        for last in [append("last"), varying("%REQ(x)%")] {
            let options = vec![append("one"), set("two"), append("three"), last.clone()];
            let values = after(mutation(&["x"], options), "x");
            assert_eq!(values[..3], ["two", "one", "three"], "{last:?}");
        }
    }

    #[test]
    fn values_are_evaluated_before_any_is_written() {
        let options = vec![
            option("x", "new", AppendAction::OverwriteIfExistsOrAdd),
            option("y", "%REQ(x)%", AppendAction::OverwriteIfExistsOrAdd),
            option("z", "1", AppendAction::AddIfAbsent),
            option("z", "2", AppendAction::AddIfAbsent),
        ];
        assert_eq!(after(mutation(&[], options.clone()), "y"), ["old"]);
        assert_eq!(
            after(mutation(&[], options), "z"),
            ["1", "2"],
            "both found it absent"
        );
    }

    #[test]
    fn a_removed_field_has_no_value() {
        let operations = mutation(&["x"], overwrite("y", "%REQ(x)%").options);
        assert!(after(operations, "y").is_empty());
    }

    #[test]
    fn an_empty_value_is_not_written() {
        for value in ["", "%REQ(absent)%"] {
            assert_eq!(after(overwrite("x", value), "x"), ["old"], "{value:?}");
        }
    }

    #[test]
    fn what_an_answer_of_the_proxy_says_of_its_text_is_settled_after_the_operations() {
        let text: &[_] = &[("content-type", "text/plain"), ("content-length", "2")];
        let page: &[_] = &[("content-type", "text/html"), ("content-length", "2")];
        let grpc: &[_] = &[("content-type", "application/grpc")];
        let add = |name, value| option(name, value, AppendAction::AppendIfExistsOrAdd);
        let json = mutation(&[], vec![add("content-type", "application/json")]);
        let removed = mutation(&["content-type", "content-length"], vec![]);
        let length = overwrite("content-length", "9");
        let (none, plain): (&[&str], &[&str]) = (&[], &["text/plain"]);
        for (own, operations, types, lengths) in [
            (text, &json, &["application/json"][..], &["2"][..]),
            (text, &removed, plain, &["2"]),
            (text, &length, plain, &["2"]),
            (&[], &json, none, none),
            (page, &json, &["text/html"], &["2"]),
            (page, &removed, &["text/html"], &["2"]),
            (grpc, &json, &["application/grpc"], none),
        ] {
            let mut route = route();
            route.headers.response = operations.clone();
            let mut response = Response::builder();
            for (name, value) in own {
                response = response.header(*name, *value);
            }
            let mut response = response.body(()).unwrap().into_parts().0;
            let request = request(&[]);
            let exchange = Exchange::of_request(&request, SystemTime::UNIX_EPOCH);
            let matched = MatchedRoute::new(Arc::new(route), 0);
            apply_to_response(&matched, &exchange.answered_locally(), &mut response);
            let found = ["content-type", "content-length"].map(|name| all(&response.headers, name));
            assert_eq!(found, [types, lengths], "{own:?} {operations:?}");
        }
    }

    #[test]
    fn levels_apply_from_the_destination_outwards() {
        let mut route = route();
        route.headers.request = overwrite("x", "%REQ(x)% route");
        let RouteAction::Forward(forward) = &mut route.action else {
            panic!("the route forwards");
        };
        forward.destinations[0].headers.request = overwrite("x", "%REQ(x)% destination");
        let mut enclosing = EnclosingHeaders::default();
        enclosing.virtual_host.request = overwrite("x", "%REQ(x)% host");
        enclosing.route_configuration.request = overwrite("x", "%REQ(x)% all");
        let matched =
            MatchedRoute::new(Arc::new(route), 0).with_enclosing(Some(Arc::new(enclosing)));

        let mut request = request(&[("x", "old")]);
        apply_to_request(&matched, &mut request, SystemTime::UNIX_EPOCH);
        assert_eq!(request.headers["x"], "old destination route host all");
    }

    #[test]
    fn response_values_may_come_from_request_and_response() {
        let mut route = route();
        route.headers.response = overwrite("x", "%REQ(x)% %RESP(x)% %RESPONSE_CODE% %ROUTE_NAME%");
        let matched = MatchedRoute::new(Arc::new(route), 0);
        assert!(changes_response(&matched) && response_needs_request(&matched));

        let request = request(&[("x", "asked")]);
        let response = Response::builder().status(404).header("x", "answered");
        let mut response = response.body(()).unwrap().into_parts().0;
        let exchange = Exchange::of_request(&request, SystemTime::UNIX_EPOCH);
        apply_to_response(&matched, &exchange, &mut response);
        assert_eq!(response.headers["x"], "asked answered 404 cart");
    }
}
