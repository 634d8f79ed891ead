use http::Request;
use http::header::{COOKIE, HOST};
use mesh_core::decision::Verdict;
use mesh_core::matcher::StringMatch;
use mesh_core::model::filter::HeaderMutations;
use mesh_core::model::route::{
    ClaimMatch, ClusterSpecifier, DirectResponse, Forward, HeaderMatch, PathMatch, QueryParamMatch,
    Redirect, RouteAction, RouteMatch, VirtualHost, WeightedDestination,
};
use mesh_core::service::ClusterName;

use super::*;

#[test]
fn the_first_route_that_takes_the_request_wins() {
    let table = RouteTable::builder()
        .prefix("specific", "*", "/cart/7")
        .prefix("general", "*", "/cart")
        .exact("never", "*", "/cart/8")
        .compile()
        .unwrap();
    let cases = [
        ("/cart/7", Some("specific")),
        ("/cart/8", Some("general")),
        ("/", None),
    ];
    for (path, expected) in cases {
        assert_eq!(name(&table, path).as_deref(), expected, "{path}");
    }
}

#[test]
fn a_builders_prefix_is_of_whole_segments() {
    let table = RouteTable::builder()
        .prefix("cart", "*", "/cart/")
        .compile()
        .unwrap();
    for path in ["/cart", "/cart/", "/cart/7"] {
        assert_eq!(name(&table, path).as_deref(), Some("cart"), "{path}");
    }
    for path in ["/", "/cartoon", "/Cart"] {
        assert_eq!(name(&table, path), None, "{path}");
    }
    let table = RouteTable::builder()
        .prefix("all", "*", "/")
        .compile()
        .unwrap();
    assert_eq!(name(&table, "/anything").as_deref(), Some("all"));
}

#[test]
fn a_request_without_a_path_has_no_route() {
    let route = Route::forward("all", RouteMatch::prefix(""), ClusterName::from("all"));
    let table = RouteTable::builder().route("*", route).compile().unwrap();
    let request = Request::connect("shop.example:443").body(()).unwrap();
    let head = RequestHead::from(&request);
    assert_eq!(table.lookup(&head, 0), Lookup::NoRoute);
    assert_eq!(table.explain(&head, 0).outcome, Lookup::NoRoute);
}

#[test]
fn a_host_that_requires_tls_redirects_plaintext_before_it_routes() {
    let route = Route::forward("all", RouteMatch::prefix("/"), ClusterName::from("all"));
    let host = VirtualHost {
        require_tls: true,
        ..VirtualHost::new("shop", ["*"], [route])
    };
    let table = RouteTable::compile(&configuration([host])).unwrap();
    let plaintext = Request::get("http://shop.example/").body(()).unwrap();
    assert_eq!(
        table.lookup(&RequestHead::from(&plaintext), 0),
        Lookup::TlsRedirect
    );
    let tls = Request::get("https://shop.example/").body(()).unwrap();
    assert!(matches!(
        table.lookup(&RequestHead::from(&tls), 0),
        Lookup::Matched(_)
    ));
}

#[test]
fn a_matched_route_carries_the_header_operations_around_it() {
    let mut headers = HeaderMutations::default();
    headers.request.remove.push(COOKIE);
    let route = Route::forward("all", RouteMatch::prefix("/"), ClusterName::from("all"));
    let mut host = VirtualHost::new("shop", ["*"], [route]);
    let request = Request::get("http://shop.example/").body(()).unwrap();

    let table = RouteTable::compile(&configuration([host.clone()])).unwrap();
    let matched = table
        .lookup(&RequestHead::from(&request), 0)
        .matched()
        .unwrap();
    assert_eq!(matched.enclosing(), None);

    host.headers = headers.clone();
    let table = RouteTable::compile(&configuration([host])).unwrap();
    let matched = table
        .lookup(&RequestHead::from(&request), 0)
        .matched()
        .unwrap();
    assert_eq!(matched.enclosing().unwrap().virtual_host, headers);
}

#[test]
fn an_explanation_names_what_was_considered() {
    let header = HeaderMatch {
        name: "end-user".into(),
        value: StringMatch::exact("jason"),
        invert: false,
        missing_as_empty: false,
    };
    let jason = RouteMatch {
        headers: vec![header],
        ..RouteMatch::prefix("/")
    };
    let destinations = [1, 3].map(|weight| WeightedDestination {
        weight,
        ..WeightedDestination::new(ClusterName::from("reviews"))
    });
    let split = RouteAction::Forward(Box::new(Forward::to(destinations)));
    let routes = [
        Route::forward("jason", jason, ClusterName::from("v2")),
        Route::new("split", RouteMatch::prefix("/"), split),
        Route::forward("never", RouteMatch::prefix("/"), ClusterName::from("v3")),
    ];
    let hosts = [
        VirtualHost::new("any", ["*"], []),
        VirtualHost::new("reviews", ["reviews.example", "*.example"], routes),
    ];
    let table = RouteTable::compile(&configuration(hosts)).unwrap();
    let request = Request::get("http://reviews.example/").body(()).unwrap();
    let decision = table.explain(&RequestHead::from(&request), 6);
    assert_eq!(
        decision.to_string(),
        "virtual host `reviews` by domain `reviews.example`: matched  [virtual host]\n\
         virtual host `reviews` by domain `*.example`: no, domain `reviews.example` is more \
         specific  [virtual host]\n\
         virtual host `any` by domain `*`: no, domain `reviews.example` is more specific  \
         [virtual host]\n\
         route `jason`: no, header `end-user` is absent  [route]\n\
         route `split`: matched  [route]\n\
         destination `reviews`: drawn by weight 3 of 4  [destination]\n\
         => route `split` to `reviews`",
    );
}

#[test]
fn a_path_that_is_not_taken_is_put_in_words() {
    let separated = PathMatch::PathSeparatedPrefix("/a".into());
    let regex = PathMatch::Regex("/a+".parse().unwrap());
    let cases = [
        (RouteMatch::exact("/a"), "path `/b` is not `/a`"),
        (
            RouteMatch::prefix("/a"),
            "path `/b` does not begin with `/a`",
        ),
        (
            RouteMatch::path(separated),
            "path `/b` is not `/a` or below it",
        ),
        (RouteMatch::path(regex), "path `/b` does not match `/a+`"),
    ];
    for (matches, why) in cases {
        assert_eq!(first_failure(matches), why);
    }
}

#[test]
fn each_other_condition_that_fails_is_put_in_words() {
    let mut cases = Vec::new();
    let mut case = |why, edit: &dyn Fn(&mut RouteMatch)| {
        let mut matches = RouteMatch::prefix("/");
        edit(&mut matches);
        cases.push((matches, why));
    };
    let a = || StringMatch::exact("a");
    let header = |name: &str, invert| HeaderMatch {
        name: name.into(),
        value: a(),
        invert,
        missing_as_empty: false,
    };
    let query_param = |name: &str| QueryParamMatch {
        name: name.into(),
        value: a(),
    };
    let claim = ClaimMatch {
        path: vec!["org".into(), "unit".into()],
        value: a(),
        invert: false,
    };
    case("method `GET` is not `a`", &|rule| rule.method = Some(a()));
    case("scheme `http` is not `a`", &|rule| rule.scheme = Some(a()));
    case("authority `h` is not `a`", &|rule| {
        rule.authority = Some(a())
    });
    case("the request is not gRPC", &|rule| rule.grpc = true);
    case("header `x: b` is not `a`", &|rule| {
        rule.headers.push(header("x", false))
    });
    case("header `y: a` is `a`", &|rule| {
        rule.headers.push(header("y", true))
    });
    case("header `z` is absent", &|rule| {
        rule.headers.push(header("z", false))
    });
    case("header `:method: GET` is not `a`", &|rule| {
        rule.headers.push(header(":method", false))
    });
    case("query parameter `k=b` is not `a`", &|rule| {
        rule.query_params.push(query_param("k"))
    });
    case("query parameter `l` is absent", &|rule| {
        rule.query_params.push(query_param("l"))
    });
    case("claim `org.unit` is not `a`", &|rule| {
        rule.claims.push(claim.clone())
    });
    for (matches, why) in cases {
        assert_eq!(first_failure(matches), why);
    }
}

/// Why a route of `matches` does not take a certain request.
fn first_failure(matches: RouteMatch) -> String {
    let request = Request::get("http://h/b?k=b")
        .header("x", "b")
        .header("y", "a");
    let request = request.body(()).unwrap();
    let route = Route::forward("r", matches, ClusterName::from("r"));
    let table = RouteTable::builder().route("*", route).compile().unwrap();
    let mut decision = table.explain(&RequestHead::from(&request), 0);
    match decision.steps.remove(1).verdict {
        Verdict::Failed(why) => why,
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn an_authority_that_nobody_serves_is_explained() {
    let table = RouteTable::builder()
        .prefix("a", "a.example", "/")
        .compile()
        .unwrap();
    let request = Request::get("http://b.example:8080/").body(()).unwrap();
    let decision = table.explain(&RequestHead::from(&request), 0);
    assert_eq!(decision.outcome, Lookup::NoVirtualHost);
    let why = "no domain of its virtual hosts takes `b.example`";
    assert!(decision.steps[0].to_string().contains(why), "{decision}");
}

#[test]
fn all_that_is_wrong_with_a_configuration_is_reported() {
    let mut hosts = [
        VirtualHost::new("a", ["a.example", "A.example"], wrong_routes()),
        VirtualHost::new("b", Vec::<String>::new(), []),
    ];
    hosts[1].headers.response.remove = vec![HOST];
    let errors = RouteTable::compile(&configuration(hosts)).unwrap_err();
    let messages: Vec<_> = errors.into_iter().map(|error| error.to_string()).collect();
    assert_eq!(
        messages,
        [
            "domain `A.example` belongs to virtual host `a` already",
            "virtual host `b` has no domain",
            "route `nothing` has no destination",
            "the weights of the destinations of `weightless` sum to `0`",
            "`a b` is not the name of a header field",
            "`:protocol` is not the name of a header field",
            "route `direct` cannot answer with status `600`",
            "route `redirect` cannot answer with status `304`",
            "`/a/` is not a path prefix of whole segments",
            "`host` is no header to change: rewrite the authority",
        ],
    );
}

#[test]
fn a_cluster_may_be_named_by_the_pseudo_headers_that_are_looked_up() {
    for (header, is_compiled) in [
        ("x-cluster", true),
        (":authority", true),
        (":method", true),
        (":path", true),
        (":scheme", false),
        (":status", false),
        (":x-cluster", false),
    ] {
        let named_by = WeightedDestination::new(ClusterSpecifier::Header(header.into()));
        let forward = RouteAction::Forward(Box::new(Forward::to([named_by])));
        let route = Route::new("route", RouteMatch::prefix("/"), forward);
        let hosts = [VirtualHost::new("a", ["a.example"], [route])];
        let compiled = RouteTable::compile(&configuration(hosts));
        assert_eq!(compiled.is_ok(), is_compiled, "{header}");
    }
}

fn wrong_routes() -> [Route; 7] {
    let forward = |destinations: Vec<WeightedDestination>| {
        RouteAction::Forward(Box::new(Forward::to(destinations)))
    };
    let any = || RouteMatch::prefix("/");
    let weightless = WeightedDestination {
        weight: 0,
        ..WeightedDestination::new(ClusterName::from("a"))
    };
    let named_by = WeightedDestination::new(ClusterSpecifier::Header("a b".into()));
    let header = HeaderMatch {
        name: ":protocol".into(),
        value: StringMatch::exact("a"),
        invert: false,
        missing_as_empty: false,
    };
    let direct = DirectResponse {
        status: 600,
        body: None,
    };
    let redirect = Redirect {
        status: 304,
        scheme: None,
        host: None,
        port: None,
        path: None,
        strip_query: false,
    };
    let separated = RouteMatch::path(PathMatch::PathSeparatedPrefix("/a/".into()));
    [
        Route::new("nothing", any(), forward(Vec::new())),
        Route::new(
            "weightless",
            any(),
            forward(vec![weightless.clone(), weightless]),
        ),
        Route::new("named", any(), forward(vec![named_by])),
        Route::forward(
            "header",
            RouteMatch {
                headers: vec![header],
                ..any()
            },
            "a".into(),
        ),
        Route::new(
            "direct",
            any(),
            RouteAction::DirectResponse(Box::new(direct)),
        ),
        Route::new("redirect", any(), RouteAction::Redirect(Box::new(redirect))),
        Route::forward("separated", separated, "a".into()),
    ]
}

fn name(table: &RouteTable, path: &str) -> Option<String> {
    let request = Request::get(path)
        .header("host", "shop.example:8080")
        .body(())
        .unwrap();
    let route = table.lookup(&RequestHead::from(&request), 0).matched()?;
    Some(route.name().to_owned())
}

fn configuration(hosts: impl IntoIterator<Item = VirtualHost>) -> RouteConfiguration {
    RouteConfiguration {
        virtual_hosts: hosts.into_iter().collect(),
        ..RouteConfiguration::default()
    }
}
