use serde_json::json;

use super::*;
use crate::validate::testing::{assert_errors, assert_warnings, read};

fn sidecar(spec: &serde_json::Value) -> Resource<Sidecar> {
    let mut resource = Resource::<Sidecar>::default();
    resource.metadata.namespace = "prod".into();
    resource.spec = read(spec.clone());
    resource
}

#[track_caller]
fn assert_all(cases: &[(serde_json::Value, usize)]) {
    for (spec, errors) in cases {
        assert_errors(&spec.to_string(), *errors, |at| {
            validate(&sidecar(spec), at)
        });
    }
}

#[test]
fn a_sidecar_says_something() {
    assert_all(&[
        (json!({}), 1),
        (json!({"egress": [{"hosts": ["*/*"]}]}), 0),
        (json!({"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}}), 0),
        (
            json!({"inboundConnectionPool": {"tcp": {"maxConnections": 1}}}),
            0,
        ),
        (json!({"inboundConnectionPool": {}}), 1),
    ]);
}

#[test]
fn egress_listeners_have_distinct_ports() {
    let port = |number: u32| json!({"number": number, "protocol": "HTTP", "name": "a"});
    assert_all(&[
        (
            json!({"egress": [{"port": port(80), "hosts": ["*/*"]}, {"hosts": ["*/*"]}]}),
            0,
        ),
        (
            json!({"egress": [{"hosts": ["*/*"]}, {"port": port(80), "hosts": ["*/*"]}]}),
            1,
        ),
        (
            json!({"egress": [{"hosts": ["*/*"]}, {"hosts": ["*/*"]}]}),
            1,
        ),
        (
            json!({"egress": [
                {"port": port(80), "hosts": ["*/*"]},
                {"port": port(80), "hosts": ["*/*"]},
            ]}),
            1,
        ),
        (json!({"egress": [{"hosts": []}]}), 1),
        (json!({"egress": [{"hosts": ["*"]}]}), 1),
        (
            json!({"egress": [{"port": port(0), "bind": "unix:///a", "hosts": ["*/*"]}]}),
            0,
        ),
        (
            json!({"egress": [{"port": port(0), "bind": "127.0.0.1", "hosts": ["*/*"]}]}),
            1,
        ),
        (
            json!({"egress": [{
                "port": port(0), "bind": "unix:///a", "captureMode": "IPTABLES", "hosts": ["*/*"],
            }]}),
            1,
        ),
        (
            json!({"egress": [{"port": port(80), "bind": "unix:///a", "hosts": ["*/*"]}]}),
            1,
        ),
        (
            json!({"egress": [{
                "port": {"number": 1, "targetPort": 2, "name": "a b"}, "hosts": ["*/*"],
            }]}),
            2,
        ),
    ]);
}

#[test]
fn hosts_that_overlap_are_a_warning() {
    let cases: [(&[&str], usize); 7] = [
        (&["prod/a.b", "test/a.b"], 0),
        (&["prod/a.b", "prod/a.b"], 1),
        (&["./a.b", "prod/a.b"], 1),
        (&["prod/*", "prod/a.b"], 1),
        (&["prod/a.b", "prod/*"], 1),
        (&["*/*", "prod/a.b"], 1),
        (&["*/*", "~prod/a.b"], 0),
    ];
    for (hosts, warnings) in cases {
        let spec = json!({"egress": [{"hosts": hosts}]});
        assert_warnings(&spec.to_string(), warnings, |at| {
            validate(&sidecar(&spec), at)
        });
    }
}

#[test]
fn ingress_listeners_lead_to_the_workload() {
    let listener = |endpoint: &str| {
        let port = json!({"number": 80, "protocol": "HTTP"});
        json!({"ingress": [{"port": port, "defaultEndpoint": endpoint}]})
    };
    assert_all(&[
        (listener("127.0.0.1:80"), 0),
        (listener("[::1]:80"), 0),
        (listener(":80"), 0),
        (listener("unix:///a"), 0),
        (listener("unix://a"), 1),
        (listener("10.0.0.1:80"), 1),
        (listener("127.0.0.1"), 1),
        (listener("127.0.0.1:0"), 1),
        (json!({"ingress": [{}]}), 1),
        (
            json!({"ingress": [{"port": {"number": 0, "protocol": "A"}}]}),
            2,
        ),
        (
            json!({"ingress": [{"port": {"number": 1}}, {"port": {"number": 1}}]}),
            1,
        ),
        (
            json!({"ingress": [{"port": {"number": 1}, "bind": "a"}]}),
            1,
        ),
    ]);
}

#[test]
fn ingress_ends_simple_and_mutual_tls() {
    let listener = |protocol: &str, tls| {
        let port = json!({"number": 443, "protocol": protocol});
        json!({"ingress": [{"port": port, "tls": tls}]})
    };
    let simple = json!({"mode": "SIMPLE", "serverCertificate": "c", "privateKey": "k"});
    let mut redirect = simple.clone();
    redirect["httpsRedirect"] = json!(true);
    redirect["subjectAltNames"] = json!(["a"]);
    assert_all(&[
        (listener("HTTPS", simple.clone()), 0),
        (listener("HTTP", simple), 1),
        (listener("HTTPS", redirect), 2),
        (listener("HTTPS", json!({"mode": "ISTIO_MUTUAL"})), 1),
        (
            listener("HTTPS", json!({"mode": "SIMPLE", "credentialName": "a"})),
            1,
        ),
    ]);
    let pool = json!({"ingress": [{
        "port": {"number": 80, "protocol": "TCP"},
        "connectionPool": {"http": {"maxRetries": 1}},
    }]});
    assert_warnings("HTTP limits on TCP", 1, |at| validate(&sidecar(&pool), at));
}

#[test]
fn a_proxy_takes_what_is_let_through() {
    let policy =
        |mode: &str, proxy| json!({"outboundTrafficPolicy": {"mode": mode, "egressProxy": proxy}});
    let proxy = json!({"host": "proxy.example.com", "port": {"number": 80}});
    assert_all(&[
        (policy("ALLOW_ANY", proxy.clone()), 0),
        (policy("REGISTRY_ONLY", proxy), 1),
        (policy("ALLOW_ANY", json!({"host": "proxy.example.com"})), 1),
        (
            policy("ALLOW_ANY", json!({"host": "*.a", "port": {"number": 80}})),
            1,
        ),
    ]);
}
