use serde_json::Value;

use super::scene::{Program, answering, body, get, routed};

#[test]
fn it_says_what_it_serves_and_why() {
    let program = Program::start(&answering("open"));
    let file = program.config.file().display().to_string();
    program.serve(move |address, admin| {
        assert_eq!(body(&get(address, "/")), "open");
        assert_eq!(body(&get(admin, "/healthz/ready")), "ready\n");

        let config = json(&get(admin, "/config"));
        assert_eq!(config["version"], 1);
        assert_eq!(config["workload"]["namespace"], "istio-system");
        assert_eq!(config["listeners"][0]["declared_port"], 80, "{config}");

        let fidelity = json(&get(admin, "/fidelity"));
        let is_enforced = |field: &Value| {
            field["path"] == "spec.http[0].directResponse.status"
                && field["kind"] == "VirtualService"
                && field["treatment"] == "enforced"
        };
        assert!(fidelity.as_array().unwrap().iter().any(is_enforced));

        let explained = get(admin, "/explain?host=shop.example&path=/cart");
        let steps = json(&explained)["steps"].clone();
        let is_decisive =
            |step: &Value| step["verdict"] == "matched" && step["origin"]["file"] == *file;
        assert!(steps.as_array().unwrap().iter().any(is_decisive), "{steps}");

        let counts = get(admin, "/stats/prometheus");
        let kind = "content-type: text/plain; version=0.0.4";
        assert!(counts.contains(kind), "Prometheus takes no other: {counts}");
        let is_counted = |line: &str| {
            line.starts_with("istio_requests_total{") && line.contains("response_code=\"200\"")
        };
        assert!(body(&counts).lines().any(is_counted), "{counts}");
    });
}

#[test]
fn a_question_that_is_none_is_told_so() {
    Program::start(&answering("open")).serve(|_, admin| {
        let unknown = get(admin, "/metrics");
        assert!(unknown.starts_with("HTTP/1.1 404 "), "{unknown}");
        assert!(unknown.contains("there are /healthz/ready, "), "{unknown}");
        let fields = "there are scheme=https&port=443&host=HOST&path=/PATH&method=GET&\
                      header=NAME:VALUE&peer=SPIFFE-ID&certificate=true&claims=JSON";
        for (query, expected) in [
            ("port=http", "`http` is no port\n"),
            ("user=jason", &format!("there is no `user`: {fields}\n")),
            ("host", &format!("`host` has no value: {fields}\n")),
            ("certificate=1", "`1` is neither true nor false\n"),
            ("scheme=ftp", "`ftp` is neither http nor https\n"),
            (
                "claims=[]",
                "`[]` is no JSON of claims: claims are an object\n",
            ),
            ("header=x", "header `x` is not of the form NAME:VALUE\n"),
        ] {
            let refused = get(admin, &format!("/explain?{query}"));
            assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
            assert!(refused.ends_with(expected), "{refused}");
        }
    });
}

/// A server of HTTPS, whose requests are answered by scheme, under a policy about their callers.
fn secured() -> String {
    let own = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
    let (chain, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: shop, namespace: shop }}
spec:
  selector: {{ istio: ingressgateway }}
  servers:
  - port: {{ number: 80, name: http, protocol: HTTP }}
    hosts: [shop.example]
  - port: {{ number: 443, name: https, protocol: HTTPS }}
    hosts: [shop.example]
    tls: {{ mode: MUTUAL, credentialName: shop }}
---
apiVersion: v1
kind: Secret
metadata: {{ name: shop, namespace: istio-system }}
stringData: {{ tls.crt: {chain:?}, tls.key: {key:?}, ca.crt: {chain:?} }}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: shop, namespace: shop }}
spec:
  hosts: [shop.example]
  gateways: [shop]
  http:
  - {{ name: secret, match: [{{ scheme: {{ exact: https }} }}], directResponse: {{ status: 200 }} }}
  - {{ name: open, directResponse: {{ status: 200 }} }}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: known, namespace: istio-system }}
spec:
  rules:
  - from: [{{ source: {{ principals: [cluster.local/ns/shop/sa/cart] }} }}]
  - from: [{{ source: {{ requestPrincipals: [login/jason] }} }}]
"
    )
}

#[test]
fn a_question_can_be_about_tls_and_about_who_asks() {
    let denied = "denied with 403, `RBAC: access denied`";
    let cart = "&peer=spiffe://cluster.local/ns/shop/sa/cart";
    let guest = "&peer=spiffe://cluster.local/ns/shop/sa/guest";
    let jason = "&claims=%7B%22iss%22:%22login%22,%22sub%22:%22jason%22%7D";
    Program::start(&secured()).serve(move |_, admin| {
        for (scheme, route) in [("http", "route `open`"), ("https", "route `secret`")] {
            for (caller, expected) in [("", denied), (guest, denied), (cart, route), (jason, route)]
            {
                let query = format!("/explain?scheme={scheme}&host=shop.example{caller}");
                let explained = json(&get(admin, &query));
                assert_eq!(explained["outcome"], expected, "{query}: {explained}");
            }
        }
        // As in a handshake, the name chooses the server.
        let other = json(&get(admin, "/explain?scheme=https&host=other.example"));
        let closed = "closed: no filter chain of `0.0.0.0_443` takes the connection";
        assert_eq!(other["outcome"], closed);
        let lost = other["steps"][0]["verdict"]["failed"].as_str().unwrap();
        assert!(lost.contains("shop.example"), "{other}");
    });
}

#[test]
fn a_question_has_method_headers_and_port() {
    let rules = "
  - name: posted
    match: [{ method: { exact: POST } }]
    directResponse: { status: 200 }
  - name: blank
    match: [{ headers: { end-user: { exact: jason b }, x-tier: { exact: front } } }]
    directResponse: { status: 200 }
  - name: other
    directResponse: { status: 200 }";
    Program::start(&routed(rules)).serve(|_, admin| {
        for (query, outcome) in [
            ("", "route `other`"),
            ("&method=POST", "route `posted`"),
            ("&port=80&method=GET", "route `other`"),
            ("&header=end-user:jason+b", "route `other`"),
            (
                "&header=end-user:jason+b&header=x-tier:front",
                "route `blank`",
            ),
            (
                "&header=end-user:jason%20b&header=x-tier:+front",
                "route `blank`",
            ),
            (
                "&header=end-user:jason%2Bb&header=x-tier:front",
                "route `other`",
            ),
        ] {
            let query = format!("/explain?host=shop.example{query}");
            let explained = json(&get(admin, &query));
            assert_eq!(explained["outcome"], outcome, "{query}: {explained}");
        }
        let nobody = get(admin, "/explain?host=shop.example&port=81");
        assert!(nobody.starts_with("HTTP/1.1 400 "), "{nobody}");
        assert!(
            nobody.ends_with("no Gateway serves port 81; served: 80\n"),
            "{nobody}"
        );
    });
}

fn json(answer: &str) -> Value {
    serde_json::from_str(body(answer)).unwrap()
}
