//! Destinations of routes.
//!
//! ```
//! use mesh_core::resource::istio::virtual_service::Destination;
//! use mesh_core::validate::{Report, destination};
//!
//! let destination = Destination { host: "*".into(), ..Destination::default() };
//! let report = Report::default();
//! destination::validate(&destination, report.root());
//! assert_eq!(report.into_violations()[0].origin.path(), "host");
//! ```

use super::{At, port};
use crate::dns;
use crate::resource::istio::virtual_service::{Destination, RouteDestination};

/// Checks where traffic goes: a host that may be a wildcard but not `*`, the name of a subset and
/// the number of a port (`validateDestination`).
pub fn validate(destination: &Destination, at: At<'_>) {
    let Destination { host, subset, port } = destination;
    if host == "*" {
        at.field("host")
            .error("a destination cannot be every host (`*`)");
    } else {
        at.field("host").check(dns::validate_wildcard_domain(host));
    }
    if !subset.is_empty() {
        validate_subset_name(subset, at.field("subset"));
    }
    if let Some(port) = port {
        port::validate_number(port.number, at.field("port").field("number"));
    }
}

/// Checks the name of a subset: an RFC 1123 label (`validateSubsetName`).
pub fn validate_subset_name(name: &str, at: At<'_>) {
    if dns::validate_label(name).is_err() {
        at.error(format_args!("`{name}` is not the name of a subset"));
    }
}

/// Checks the weighted destinations of a TLS or TCP route (`validateRouteDestinations`).
///
/// The hosts of routes that were made from the Gateway API (`is_gateway_api`) are not checked.
pub fn validate_route(routes: &[RouteDestination], is_gateway_api: bool, at: At<'_>) {
    at.each(routes, |route, at| {
        validate_weighted(route.destination.as_ref(), route.weight, is_gateway_api, at);
    });
    validate_total_weight(routes.iter().map(|route| route.weight), at);
}

/// Checks a destination and its weight, which are fields of the value at `at`.
pub(super) fn validate_weighted(
    destination: Option<&Destination>,
    weight: i32,
    is_gateway_api: bool,
    at: At<'_>,
) {
    match destination {
        None => {
            at.error("a destination is required");
        }
        Some(_) if is_gateway_api => {}
        Some(destination) => validate(destination, at.field("destination")),
    }
    if weight < 0 {
        at.field("weight")
            .error(format_args!("weight `{weight}` is negative"));
    }
}

/// Checks that several destinations do not all have the weight 0.
pub(super) fn validate_total_weight(weights: impl ExactSizeIterator<Item = i32>, at: At<'_>) {
    if weights.len() > 1 && weights.map(i64::from).sum::<i64>() == 0 {
        at.error("the weights of all destinations are 0");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::testing::{assert_errors, read};

    #[test]
    fn a_destination_is_a_host_perhaps_with_subset_and_port() {
        let cases = [
            (json!({"host": "reviews"}), 0),
            (
                json!({"host": "*.example.com", "subset": "v1", "port": {"number": 80}}),
                0,
            ),
            (json!({}), 1),
            (json!({"host": "*"}), 1),
            (json!({"host": "a", "subset": "v 1"}), 1),
            (json!({"host": "a", "port": {}}), 1),
        ];
        for (destination, errors) in cases {
            assert_errors(&destination.to_string(), errors, |at| {
                validate(&read(destination.clone()), at);
            });
        }
    }

    #[test]
    fn weights_of_several_destinations_add_up_to_something() {
        let route = |weights: &[i32]| -> Vec<RouteDestination> {
            let routes = weights
                .iter()
                .map(|weight| json!({"destination": {"host": "a"}, "weight": weight}));
            read(routes.collect())
        };
        for (weights, errors) in [
            (&[][..], 0),
            (&[0], 0),
            (&[0, 0], 1),
            (&[0, 1], 0),
            (&[7, 1], 0),
            (&[-1], 1),
            (&[-1, 1], 2),
        ] {
            assert_errors(&format!("{weights:?}"), errors, |at| {
                validate_route(&route(weights), false, at);
            });
        }
        assert_errors("no destination", 1, |at| {
            validate_route(&[RouteDestination::default()], true, at);
        });
    }
}
