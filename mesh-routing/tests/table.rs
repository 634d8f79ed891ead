//! A route table agrees with its definition: try the domains by precedence, then the routes in
//! order, each condition by what Envoy says of it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashSet;
use std::sync::Arc;

use http::{HeaderMap, Request};
use mesh_core::attributes::RequestPrincipal;
use mesh_core::matcher::{StringMatch, UriTemplate};
use mesh_core::model::route::{
    ClaimMatch, Forward, HeaderMatch, PathMatch, QueryParamMatch, Route, RouteAction,
    RouteConfiguration, RouteMatch, VirtualHost, WeightedDestination,
};
use mesh_core::resource::Value;
use mesh_core::service::ClusterName;
use mesh_routing::request::RequestHead;
use mesh_routing::table::{Lookup, RouteTable};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_lookup_finds_what_a_scan_finds(
        configuration in configurations(),
        requests in vec(requests(), 1..8),
        random in 0_u64..8,
    ) {
        let table = RouteTable::compile(&configuration).unwrap();
        for request in &requests {
            let expected = scan(&configuration, request, random);
            let found = table.lookup(&RequestHead::from(request), random);
            prop_assert_eq!(&found, &expected, "{:?}", request);
        }
    }

    #[test]
    fn an_explanation_decides_as_the_lookup_does(
        configuration in configurations(),
        request in requests(),
        random in 0_u64..8,
    ) {
        let table = RouteTable::compile(&configuration).unwrap();
        let head = RequestHead::from(&request);
        let decision = table.explain(&head, random);
        prop_assert_eq!(&decision.outcome, &table.lookup(&head, random));
        if let Lookup::Matched(route) = &decision.outcome {
            let subject = format!("route `{}`", route.name());
            prop_assert_eq!(&decision.decided_by().unwrap().subject, &subject);
        }
    }
}

fn scan(configuration: &RouteConfiguration, request: &Request<()>, random: u64) -> Lookup {
    let authority = request.uri().authority().unwrap().as_str();
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if configuration.ignore_port && !port.ends_with(']') => name,
        _ => authority,
    };
    let Some(host) = serving(configuration, &name.to_lowercase()) else {
        return Lookup::NoVirtualHost;
    };
    if host.require_tls && request.uri().scheme_str() != Some("https") {
        return Lookup::TlsRedirect;
    }
    match host
        .routes
        .iter()
        .find(|route| takes(&route.matches, request))
    {
        Some(route) => {
            let drawn = draw(&route.forward_to().unwrap().destinations, random);
            Lookup::Matched(mesh_core::attributes::MatchedRoute::new(
                Arc::clone(route),
                drawn,
            ))
        }
        None => Lookup::NoRoute,
    }
}

fn serving<'a>(configuration: &'a RouteConfiguration, name: &str) -> Option<&'a VirtualHost> {
    let rank = |domain: &str| match (domain.strip_prefix('*'), domain.strip_suffix('*')) {
        (Some(""), _) => Some((0, 0)),
        (Some(suffix), _) => {
            (name.ends_with(suffix) && name != suffix).then_some((2, suffix.len()))
        }
        (_, Some(prefix)) => {
            (name.starts_with(prefix) && name != prefix).then_some((1, prefix.len()))
        }
        (None, None) => (domain == name).then_some((3, 0)),
    };
    let best = |host: &VirtualHost| host.domains.iter().filter_map(|domain| rank(domain)).max();
    let serving = configuration
        .virtual_hosts
        .iter()
        .filter(|host| best(host).is_some());
    serving.max_by_key(|host| best(host))
}

fn takes(rule: &RouteMatch, request: &Request<()>) -> bool {
    let text = |rule: &Option<StringMatch>, text: &str| {
        rule.as_ref().is_none_or(|rule| rule.is_match(text))
    };
    let uri = request.uri();
    path_takes(rule, uri.path())
        && text(&rule.method, request.method().as_str())
        && text(&rule.scheme, uri.scheme_str().unwrap())
        && text(&rule.authority, uri.authority().unwrap().as_str())
        && rule.headers.iter().all(|rule| header_takes(rule, request))
        && rule
            .query_params
            .iter()
            .all(|rule| query_takes(rule, uri.query()))
        && rule.claims.iter().all(|rule| claim_takes(rule, request))
        && (!rule.grpc || request.headers().get("content-type").unwrap() == "application/grpc")
}

fn path_takes(rule: &RouteMatch, path: &str) -> bool {
    let fold = |text: &str| match rule.ignore_path_case {
        true => text.to_lowercase(),
        false => text.to_owned(),
    };
    match &rule.path {
        PathMatch::Exact(exact) => fold(path) == fold(exact),
        PathMatch::PathSeparatedPrefix(prefix) => {
            fold(path) == fold(prefix) || fold(path).starts_with(&format!("{}/", fold(prefix)))
        }
        PathMatch::Prefix(prefix) => fold(path).starts_with(&fold(prefix)),
        PathMatch::Regex(regex) => regex.is_match(path),
        PathMatch::Template(template) => template.is_match(path),
    }
}

fn header_takes(rule: &HeaderMatch, request: &Request<()>) -> bool {
    let values = match rule.name.as_str() {
        ":method" => vec![request.method().as_str()],
        ":path" => vec![request.uri().path_and_query().unwrap().as_str()],
        name => texts(request.headers(), name),
    };
    if values.is_empty() && rule.missing_as_empty {
        return rule.value.is_match("") != rule.invert;
    }
    if values.is_empty() {
        return rule.value == StringMatch::Present && rule.invert;
    }
    values.iter().any(|value| rule.value.is_match(value)) != rule.invert
}

fn texts<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect()
}

fn query_takes(rule: &QueryParamMatch, query: Option<&str>) -> bool {
    let query = query.unwrap_or_default();
    let named = query
        .split('&')
        .find(|part| part.split('=').next() == Some(&rule.name));
    named.is_some_and(|part| {
        rule.value
            .is_match(part.split_once('=').map_or("", |pair| pair.1))
    })
}

fn claim_takes(rule: &ClaimMatch, request: &Request<()>) -> bool {
    let principal = request.extensions().get::<RequestPrincipal>();
    let claim = principal.and_then(|principal| match &rule.path[..] {
        [name] => principal.claims.field(name),
        [outer, inner] => principal.claims.field(outer)?.field(inner),
        _ => unreachable!("no such path is generated"),
    });
    let takes = match claim {
        Some(Value::String(text)) => rule.value.is_match(text),
        Some(Value::List(elements)) => elements
            .iter()
            .filter_map(Value::as_str)
            .any(|text| rule.value.is_match(text)),
        _ => false,
    };
    takes != rule.invert
}

fn draw(destinations: &[WeightedDestination], random: u64) -> usize {
    let laid_out = destinations
        .iter()
        .enumerate()
        .flat_map(|(index, destination)| {
            std::iter::repeat_n(index, destination.weight.try_into().unwrap())
        });
    let laid_out: Vec<_> = laid_out.collect();
    if destinations.len() == 1 {
        0
    } else {
        laid_out[random as usize % laid_out.len()]
    }
}

fn configurations() -> impl Strategy<Value = RouteConfiguration> {
    let host = (
        vec("\\*|\\*?[ab.]{1,3}|[ab.]{1,3}\\*|a:8", 1..3),
        vec(routes(), 0..8),
        any_rarely(),
    );
    (vec(host, 0..6), any::<bool>()).prop_map(|(hosts, ignore_port)| {
        let mut known = HashSet::new();
        let hosts = hosts
            .into_iter()
            .filter_map(|(mut domains, routes, require_tls)| {
                domains.retain(|domain| known.insert(domain.clone()));
                let host = VirtualHost::new(domains.first()?.clone(), domains, routes);
                Some(VirtualHost {
                    require_tls,
                    ..host
                })
            });
        RouteConfiguration {
            virtual_hosts: hosts.collect(),
            ignore_port,
            ..RouteConfiguration::default()
        }
    })
}

fn routes() -> impl Strategy<Value = Route> {
    let weights = vec(1_u32..4, 1..4);
    ("[a-z]{3}", matches(), weights).prop_map(|(name, matches, weights)| {
        let destinations = weights.into_iter().map(|weight| WeightedDestination {
            weight,
            ..WeightedDestination::new(ClusterName::from("cluster"))
        });
        let forward = Forward::to(destinations);
        Route::new(name, matches, RouteAction::Forward(Box::new(forward)))
    })
}

fn matches() -> impl Strategy<Value = RouteMatch> {
    let methods = option::weighted(
        0.1,
        select(vec![StringMatch::exact("GET"), StringMatch::prefix("P")]),
    );
    let schemes = option::weighted(0.1, Just(StringMatch::exact("https")));
    let authorities = option::weighted(0.1, values());
    (
        (paths(), any_rarely()),
        (methods, schemes, authorities, any_rarely()),
        vec(header_matches(), 0..3),
        vec(query_matches(), 0..3),
        vec(claim_matches(), 0..2),
    )
        .prop_map(|(path, line, headers, query_params, claims)| RouteMatch {
            path: path.0,
            ignore_path_case: path.1,
            method: line.0,
            scheme: line.1,
            authority: line.2,
            grpc: line.3,
            headers,
            query_params,
            claims,
        })
}

fn paths() -> impl Strategy<Value = PathMatch> {
    let regexes = select(vec![
        "/a.*",
        "/a/b?",
        "/a+",
        "/(a|b)/.*",
        "/a|/b",
        ".*",
        "(?i)/A/b",
        "/ab*/?",
    ]);
    let templates = select(vec!["/a/{x}", "/a/**", "/{x}/{y=**}", "/*/b", "/ab"]);
    prop_oneof![
        "(/[abA]{1,2}){1,3}|/".prop_map(PathMatch::Exact),
        "(/[abA]{1,2}){1,3}|/|".prop_map(PathMatch::Prefix),
        "(/[abA]{1,2}){1,3}".prop_map(PathMatch::PathSeparatedPrefix),
        regexes.prop_map(|regex| PathMatch::Regex(regex.parse().unwrap())),
        templates.prop_map(|template| PathMatch::Template(UriTemplate::parse(template).unwrap())),
    ]
}

fn values() -> impl Strategy<Value = StringMatch> {
    let regexes = select(vec!["a.*", "a|b", ""]);
    prop_oneof![
        "[ab]{0,2}".prop_map(StringMatch::exact),
        "[ab]{1,2}".prop_map(StringMatch::prefix),
        "[abAB]{1,2}".prop_map(|value| StringMatch::suffix(value).ignoring_case()),
        "[ab]{1,2}".prop_map(StringMatch::contains),
        Just(StringMatch::Present),
        (-1_i64..2).prop_map(|start| StringMatch::IntegerRange { start, end: 2 }),
        regexes.prop_map(|regex| StringMatch::Regex(regex.parse().unwrap())),
    ]
}

fn header_matches() -> impl Strategy<Value = HeaderMatch> {
    let names = select(vec!["x", "y", "X-Other", ":method", ":path"]);
    (names, values(), any::<bool>(), any::<bool>()).prop_map(
        |(name, value, invert, missing_as_empty)| HeaderMatch {
            name: name.into(),
            value,
            invert,
            missing_as_empty,
        },
    )
}

fn query_matches() -> impl Strategy<Value = QueryParamMatch> {
    ("[kl]", values()).prop_map(|(name, value)| QueryParamMatch { name, value })
}

fn claim_matches() -> impl Strategy<Value = ClaimMatch> {
    let paths = select(vec![vec!["group"], vec!["org", "unit"]]);
    (paths, values(), any::<bool>()).prop_map(|(path, value, invert)| ClaimMatch {
        path: path.into_iter().map(String::from).collect(),
        value,
        invert,
    })
}

fn any_rarely() -> impl Strategy<Value = bool> {
    proptest::bool::weighted(0.15)
}

fn requests() -> impl Strategy<Value = Request<()>> {
    let uri = "https?://[abA.]{1,4}(:8)?(/[abA]{1,2}){0,3}/?(\\?[kl]=?[ab]?(&[kl]=[ab%]{0,2})?)?";
    let uri = uri.prop_filter("a percent sign needs digits", |uri| {
        uri.parse::<http::Uri>().is_ok()
    });
    let headers = vec((select(vec!["x", "y", "x-other"]), "[ab]{0,2}"), 0..4);
    let content_type = select(vec!["application/grpc", "text/plain"]);
    let methods = select(vec!["GET", "POST"]);
    (uri, methods, headers, content_type, option::of(claims())).prop_map(
        |(uri, method, headers, content_type, claims)| {
            let request = Request::builder().method(method).uri(uri);
            let request = request.header("content-type", content_type);
            let request = headers.iter().fold(request, |request, (name, value)| {
                request.header(*name, value)
            });
            let mut request = request.body(()).unwrap();
            if let Some(claims) = claims {
                let (principal, claims) = ("issuer/subject".into(), Arc::new(claims));
                request
                    .extensions_mut()
                    .insert(RequestPrincipal { principal, claims });
            }
            request
        },
    )
}

fn claims() -> impl Strategy<Value = Value> {
    let claim = prop_oneof![
        "[ab]{0,2}".prop_map(Value::String),
        vec("[ab]{1,2}".prop_map(Value::String), 0..3).prop_map(Value::List),
        Just(Value::Bool(true)),
    ];
    (claim.clone(), claim).prop_map(|(group, unit)| {
        let org = Value::Map([("unit".to_owned(), unit)].into());
        Value::Map([("group".to_owned(), group), ("org".to_owned(), org)].into())
    })
}
