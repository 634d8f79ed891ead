use serde_json::json;

use super::*;
use crate::duration::Duration;
use crate::resource::istio::percent::Percent;
use crate::resource::istio::round_trip;
use crate::resource::istio::string_match::StringMatch;

#[test]
fn a_canary_with_headers_and_weights_is_read_whole() {
    let spec: VirtualService = round_trip(&json!({
        "hosts": ["shop.example.com", "shop"],
        "gateways": ["public", "mesh"],
        "exportTo": ["."],
        "http": [{
            "name": "canary",
            "match": [{
                "name": "beta",
                "uri": {"prefix": "/cart"},
                "ignoreUriCase": true,
                "withoutHeaders": {"x-robot": {}},
                "queryParams": {"beta": {"exact": "1"}},
                "sourceLabels": {"app": "web"},
            }],
            "route": [
                {
                    "destination": {"host": "cart", "subset": "v1", "port": {"number": 8080}},
                    "weight": 90,
                },
                {
                    "destination": {"host": "cart", "subset": "v2"},
                    "weight": 10,
                    "headers": {"request": {"set": {"x-canary": "yes"}, "remove": ["x-debug"]}},
                },
            ],
            "timeout": "5s",
            "retries": {"attempts": 3, "perTryTimeout": "2s", "retryOn": "5xx,reset"},
            "mirrors": [{"destination": {"host": "audit"}, "percentage": {"value": 0.5}}],
        }],
    }));

    let rule = &spec.http[0];
    let condition = &rule.r#match[0];
    assert_eq!(condition.uri, Some(StringMatch::prefix("/cart")));
    assert!(condition.ignore_uri_case);
    assert!(condition.without_headers["x-robot"].is_empty());
    assert_eq!(
        rule.route[0].destination.as_ref().unwrap().port,
        Some(PortSelector { number: 8080 })
    );
    assert_eq!(rule.route[1].weight, 10);
    assert_eq!(rule.timeout, Some(Duration::from_secs(5)));
    assert_eq!(rule.retries.as_ref().unwrap().attempts, 3);
    assert_eq!(rule.mirrors[0].percentage, Some(Percent { value: 0.5 }));
}

#[test]
fn answers_without_a_destination_are_read() {
    let spec: VirtualService = round_trip(&json!({
        "hosts": ["*"],
        "http": [
            {
                "redirect": {
                    "scheme": "https",
                    "derivePort": "FROM_REQUEST_PORT",
                    "redirectCode": 308,
                },
            },
            {"directResponse": {"status": 503, "body": {"string": "closed"}}},
            {"delegate": {"name": "cart", "namespace": "shop"}},
        ],
    }));

    let redirect = spec.http[0].redirect.as_ref().unwrap();
    assert_eq!(
        redirect.derive_port,
        Some(RedirectPortSelection::FromRequestPort)
    );
    assert_eq!(redirect.port, None);
    let body = spec.http[1].direct_response.as_ref().unwrap().body.as_ref();
    assert_eq!(body.unwrap().string.as_deref(), Some("closed"));
    assert_eq!(spec.http[2].delegate.as_ref().unwrap().namespace, "shop");
}

#[test]
fn faults_and_cors_are_read() {
    let spec: HttpRoute = round_trip(&json!({
        "fault": {
            "delay": {"fixedDelay": "7s", "percentage": {"value": 100.0}},
            "abort": {"grpcStatus": "UNAVAILABLE"},
        },
        "corsPolicy": {
            "allowOrigins": [{"regex": ".*"}],
            "allowCredentials": false,
            "unmatchedPreflights": "IGNORE",
        },
    }));

    let fault = spec.fault.unwrap();
    assert_eq!(
        fault.delay.unwrap().fixed_delay,
        Some(Duration::from_secs(7))
    );
    assert_eq!(fault.abort.unwrap().percentage, None);
    let cors = spec.cors_policy.unwrap();
    assert_eq!(cors.allow_credentials, Some(false));
    assert_eq!(cors.unmatched_preflights, UnmatchedPreflights::Ignore);
}

#[test]
fn tls_and_tcp_rules_are_read() {
    let spec: VirtualService = round_trip(&json!({
        "hosts": ["*.example.com"],
        "tls": [{
            "match": [{"sniHosts": ["login.example.com"], "port": 443}],
            "route": [{"destination": {"host": "login"}}],
        }],
        "tcp": [{
            "match": [{"destinationSubnets": ["10.0.0.0/8"], "sourceNamespace": "web"}],
            "route": [{"destination": {"host": "db"}, "weight": 100}],
        }],
    }));

    assert_eq!(spec.tls[0].r#match[0].sni_hosts, ["login.example.com"]);
    assert_eq!(spec.tcp[0].r#match[0].source_namespace, "web");
}

#[test]
fn the_older_spelling_of_mirror_percent_is_read() {
    for field in ["mirrorPercent", "mirror_percent"] {
        let rule: HttpRoute = serde_json::from_value(json!({field: 50})).unwrap();
        assert_eq!(rule.mirror_percent, Some(50), "{field}");
    }
}

#[test]
fn a_mirror_percentage_of_zero_is_not_an_absent_one() {
    let rule: HttpRoute = serde_json::from_value(json!({"mirrorPercentage": {}})).unwrap();
    assert_eq!(rule.mirror_percentage, Some(Percent { value: 0.0 }));
    assert_eq!(HttpRoute::default().mirror_percentage, None);
}

#[test]
fn a_value_of_another_type_or_an_unknown_name_is_refused() {
    for rule in [
        json!({"timeout": "soon"}),
        json!({"route": {}}),
        json!({"match": [{"port": -1}]}),
        json!({"redirect": {"derivePort": 1}}),
        json!({"corsPolicy": {"unmatchedPreflights": "Ignore"}}),
    ] {
        assert!(
            serde_json::from_value::<HttpRoute>(rule.clone()).is_err(),
            "{rule}"
        );
    }
}
