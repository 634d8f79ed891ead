mod programs;

use super::*;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
const GATEWAY: &str = "bookstore/gateway:istio=ingressgateway";

#[test]
fn the_bookstore_is_valid() {
    let answer = meshctl(&["validate", CONFIG]).unwrap();
    assert!(answer.is_good, "{}", answer.text);
    // What is Envoy's own, and a denial that TCP would not be spared, are worth a warning.
    assert!(
        answer.text.ends_with(" 0 errors, 3 warnings\n"),
        "{}",
        answer.text
    );
}

#[test]
fn a_misspelt_field_is_drawn_in_its_file_with_a_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("reviews.yaml");
    let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
                metadata: { name: reviews }\nspec:\n  hots: [reviews]\n";
    std::fs::write(&file, text).unwrap();
    let answer = meshctl(&["validate", file.to_str().unwrap()]).unwrap();
    assert!(!answer.is_good);
    assert!(answer.text.contains("reviews.yaml:5:3"), "{}", answer.text);
    assert!(answer.text.contains("`hosts`"), "{}", answer.text);
}

#[test]
fn what_nothing_acts_on_is_a_warning_in_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("plugin.yaml");
    let text = "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\n\
                metadata: { name: plugin }\nspec:\n  url: oci://registry.example/plugin\n";
    std::fs::write(&file, text).unwrap();
    let answer = meshctl(&["validate", file.to_str().unwrap()]).unwrap();
    assert!(answer.is_good, "{}", answer.text);
    assert!(answer.text.contains("plugin.yaml:5:8"), "{}", answer.text);
    assert!(
        answer.text.ends_with("0 errors, 1 warnings\n"),
        "{}",
        answer.text
    );
}

#[test]
fn fidelity_can_be_about_problems_alone() {
    let text = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: cart, namespace: shop }
spec:
  host: cart
  trafficPolicy: { loadBalancer: { simple: LEAST_REQUEST }, outlierDetection: { consecutiveErrors: 5 } }
";
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cart.yaml");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let all = meshctl(&["fidelity", "--all", file]).unwrap().text;
    assert!(
        all.contains("loadBalancer.simple") && all.contains("consecutiveErrors"),
        "{all}"
    );
    let problems = meshctl(&["fidelity", "--all", "--problems", file])
        .unwrap()
        .text;
    assert_eq!(problems.lines().count(), 1, "{problems}");
}

#[test]
fn fidelity_is_told_by_field_and_for_a_workload() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.yaml");
    let text = "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\n\
                metadata: { name: tokens, namespace: shop }\n\
                spec: { jwtRules: [{ issuer: shop, jwksUri: 'https://shop.example/keys' }] }\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let all = meshctl(&["fidelity", "--all", file]).unwrap();
    assert!(all.is_good, "{}", all.text);
    let elsewhere = meshctl(&["fidelity", "--workload", "bank/gateway", file]).unwrap();
    assert!(elsewhere.is_good, "{}", elsewhere.text);
    let json = meshctl(&["fidelity", "--all", "-o", "json", file])
        .unwrap()
        .text;
    let fields: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(fields[0]["path"], "spec.jwtRules[0].issuer");
    assert_eq!(fields[0]["treatment"], "enforced");
    assert_eq!(fields[0]["by"], "request authentication");
}

#[test]
fn the_table_of_the_readme_is_that_of_the_libraries() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme
        .split_once("<!-- meshctl fidelity --table -->\n")
        .unwrap();
    let (table, _) = rest.split_once("<!-- end -->").unwrap();
    let written = meshctl(&["fidelity", "--table"]).unwrap().text;
    assert_eq!(
        table, written,
        "put the output of `meshctl fidelity --table` there"
    );
}

#[test]
fn analysis_finds_a_destination_that_does_not_exist() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cart.yaml");
    let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
                metadata: { name: cart, namespace: shop }\nspec:\n  hosts: [cart]\n  \
                http: [{ route: [{ destination: { host: cart } }] }]\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let answer = meshctl(&["analyze", file]).unwrap();
    assert!(!answer.is_good);
    assert!(
        answer
            .text
            .starts_with("Error [IST0101] (VirtualService shop/cart "),
        "{}",
        answer.text
    );
    let suppressed = ["analyze", "-S", "IST0101=VirtualService shop/*", file];
    let answer = meshctl(&suppressed).unwrap();
    assert_eq!(answer.text, "0 errors, 0 warnings, 0 hints\n");
    assert!(Arguments::try_parse_from(["meshctl", "analyze", "--only", "nothing", file]).is_err());
}

#[test]
fn the_gateway_lists_its_routes_in_order() {
    let text = meshctl(&["routes", "--workload", GATEWAY, CONFIG])
        .unwrap()
        .text;
    let (api, page) = (text.find("    api:"), text.find("    productpage:"));
    assert!(api.is_some() && api < page, "{text}");
    assert!(text.contains("gateway.yaml:"), "{text}");
}

#[test]
fn a_request_is_explained_with_the_rule_that_took_it() {
    let request = ["explain", "--request", "GET http://reviews:9080/reviews/0"];
    let jason = [
        "-H",
        "end-user: jason",
        "--workload",
        "bookstore/productpage",
        CONFIG,
    ];
    let answer = meshctl(&[&request[..], &jason[..]].concat()).unwrap();
    assert!(answer.is_good);
    let last = answer.text.lines().last().unwrap();
    let expected = "=> route `jason` to `outbound|9080|v2|reviews.bookstore.svc.cluster.local`";
    assert_eq!(last, expected, "{}", answer.text);
}

#[test]
fn an_explanation_for_programs_is_json() {
    let request = [
        "explain",
        "--request",
        "GET http://shop.example/",
        "-o",
        "json",
    ];
    let answer = meshctl(&[&request[..], &["--workload", GATEWAY, CONFIG]].concat()).unwrap();
    let decision: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!(decision["outcome"], "route `home`");
    assert!(
        decision["steps"]
            .as_array()
            .is_some_and(|steps| !steps.is_empty())
    );
}

#[test]
fn a_request_without_a_route_is_not_good() {
    let request = ["explain", "--request", "GET http://shop.example/nothing"];
    let answer = meshctl(&[&request[..], &["--workload", GATEWAY, CONFIG]].concat()).unwrap();
    assert!(!answer.is_good);
    assert!(answer.text.ends_with("=> no route\n"), "{}", answer.text);
}

#[test]
fn an_explanation_names_the_policy_that_denies() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.yaml");
    let text = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
                metadata: { name: known, namespace: bookstore }\nspec:\n  rules:\n  \
                - from: [{ source: { principals: ['cluster.local/ns/bookstore/sa/guest'] } }]\n  \
                - from: [{ source: { requestPrincipals: ['login/jason'] } }]\n";
    std::fs::write(&file, text).unwrap();
    let explain = |caller: &[&str]| {
        let request = ["explain", "--request", "GET http://shop.example/"];
        let files = ["--workload", GATEWAY, CONFIG, file.to_str().unwrap()];
        meshctl(&[&request[..], caller, &files].concat()).unwrap()
    };
    let stranger = explain(&[]);
    assert!(!stranger.is_good);
    let text = stranger.text;
    assert!(
        text.contains("ALLOW ns[bookstore]-policy[known]-rule[0]"),
        "{text}"
    );
    assert!(
        text.ends_with("=> denied with 403, `RBAC: access denied`\n"),
        "{text}"
    );
    for caller in [
        ["--peer", "spiffe://cluster.local/ns/bookstore/sa/guest"],
        ["--claims", r#"{"iss": "login", "sub": "jason"}"#],
    ] {
        let answer = explain(&caller);
        assert!(
            answer.text.ends_with("=> route `home`\n"),
            "{}",
            answer.text
        );
        assert!(answer.is_good);
    }
}

#[test]
fn a_certificate_without_an_identity_is_any_principal_here_as_in_the_gateway() {
    let any = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
               metadata: { name: any, namespace: bookstore }\nspec:\n  rules:\n  \
               - from: [{ source: { principals: [cluster.local/ns/shop/sa/cart] } }]\n  \
               - from: [{ source: { principals: ['*'] } }]\n";
    for (certificate, outcome) in [
        (&[][..], "=> denied with 403, `RBAC: access denied`\n"),
        (&["--certificate"], "=> route `home`\n"),
    ] {
        let request = [&["GET http://shop.example/"], certificate].concat();
        let answer = explained(any, &request, &[GATEWAY, CONFIG]);
        assert!(answer.text.ends_with(outcome), "{}", answer.text);
        let seen = answer.text.contains("a certificate without an identity");
        assert_eq!(seen, !certificate.is_empty(), "{}", answer.text);
    }
}

/// What becomes of a request by policies in a file of its own beside `files`.
fn explained(policies: &str, request: &[&str], files: &[&str]) -> Answer {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policies.yaml");
    std::fs::write(&file, policies).unwrap();
    let files = [files, &[file.to_str().unwrap()]].concat();
    meshctl(&[&["explain", "--request"], request, &["--workload"], &files].concat()).unwrap()
}

#[test]
fn an_authorizer_is_part_of_an_explanation() {
    let mesh = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: istio, namespace: istio-system }\n\
                data: { mesh: '{\"extensionProviders\": [{\"name\": \"opa\", \"envoyExtAuthzGrpc\": \
                {\"service\": \"opa.shop\", \"port\": 9000}}]}' }\n";
    let custom = |provider: &str| {
        format!(
            "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
             metadata: {{ name: {provider}, namespace: bookstore }}\n\
             spec: {{ action: CUSTOM, provider: {{ name: {provider} }}, rules: [{{}}] }}\n"
        )
    };
    let several = format!("{}{}", custom("opa"), custom("other"));
    for (policies, expected, is_good) in [
        (custom("opa"), "=> if `opa` allows it: route `home`\n", true),
        (
            custom("nobody"),
            "=> denied with 403, `RBAC: access denied`\n",
            false,
        ),
        (
            several,
            "=> denied with 403, `RBAC: access denied`\n",
            false,
        ),
    ] {
        let policies = format!("{mesh}{policies}");
        let request = ["GET http://shop.example/"];
        let answer = explained(&policies, &request, &[GATEWAY, CONFIG]);
        assert!(answer.text.ends_with(expected), "{}", answer.text);
        assert_eq!(answer.is_good, is_good, "{}", answer.text);
    }
}

#[test]
fn a_connection_that_carries_no_http_is_judged_too() {
    let yaml = "apiVersion: networking.istio.io/v1\nkind: Gateway\n\
                metadata: { name: db, namespace: shop }\nspec:\n  selector: { istio: ingressgateway }\n  \
                servers: [{ port: { number: 5432, name: tcp, protocol: TCP }, hosts: ['*'] }]\n---\n\
                apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
                metadata: { name: db, namespace: shop }\nspec:\n  hosts: ['*']\n  gateways: [db]\n  \
                tcp: [{ route: [{ destination: { host: db.example } }] }]\n---\n\
                apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
                metadata: { name: nobody, namespace: shop }\nspec:\n  action: DENY\n  \
                rules: [{ from: [{ source: { ipBlocks: [10.0.0.0/8] } }] }]\n";
    let workload = ["shop/gateway:istio=ingressgateway"];
    for (source, is_good, outcome) in [
        ("10.0.0.1", false, "=> denied: the connection is closed\n"),
        ("192.0.2.1", true, "=> passed through to `"),
    ] {
        let request = ["GET http://shop.example:5432/", "--source", source];
        let answer = explained(yaml, &request, &workload);
        assert!(answer.text.contains(outcome), "{}", answer.text);
        assert_eq!(answer.is_good, is_good, "{}", answer.text);
    }
}

#[test]
fn policies_of_a_service_are_judged_where_it_is_called() {
    let yaml = "apiVersion: v1\nkind: Service\nmetadata: { name: cart, namespace: shop }\nspec:\n  \
                clusterIP: 10.0.0.9\n  selector: { app: cart }\n  \
                ports: [{ name: http, port: 80, targetPort: 8080 }]\n---\n\
                apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
                metadata: { name: guests, namespace: shop }\nspec:\n  rules:\n  \
                - from: [{ source: { principals: ['cluster.local/ns/shop/sa/guest'] } }]\n";
    let workload = ["shop/cart:app=cart"];
    let outbound = explained(yaml, &["GET http://cart/"], &workload);
    assert!(outbound.is_good, "{}", outbound.text);
    assert!(
        outbound
            .text
            .starts_with("policies: hold where a request arrives"),
        "{}",
        outbound.text
    );
    let inbound = ["GET http://cart:8080/", "--inbound"];
    let stranger = explained(yaml, &inbound, &workload);
    assert!(!stranger.is_good, "{}", stranger.text);
    assert!(
        stranger
            .text
            .ends_with("=> denied with 403, `RBAC: access denied`\n"),
        "{}",
        stranger.text
    );
    let guest = ["--peer", "spiffe://cluster.local/ns/shop/sa/guest"];
    let guest = explained(yaml, &[&inbound[..], &guest].concat(), &workload);
    assert!(guest.is_good, "{}", guest.text);
    assert!(guest.text.contains("matched"), "{}", guest.text);
}

#[test]
fn a_port_that_nobody_serves_is_an_error_that_says_which_are() {
    let request = ["explain", "--request", "GET http://shop.example:81/"];
    let arguments = [&request[..], &["--workload", GATEWAY, CONFIG]].concat();
    let error = meshctl(&arguments).unwrap_err().to_string();
    let expected = "no Gateway serves port 81; served: 80";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn what_is_no_request_is_refused_with_what_is_one() {
    for (request, expected) in [
        ("GET", "a method and a URL"),
        ("G,T http://shop.example/", "`G,T` is no method"),
        ("GET ftp://shop.example/", "not a URL of http or https"),
    ] {
        let asked = ["meshctl", "explain", "--request", request];
        let line = asked.iter().chain(&["--workload", GATEWAY, CONFIG]);
        let error = Arguments::try_parse_from(line).unwrap_err().to_string();
        assert!(error.contains(expected), "{request}: {error}");
    }
}

#[test]
fn the_status_of_a_route_says_what_was_written_in_vain() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("edge.yaml");
    let text = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
                metadata: { name: edge, namespace: shop }\nspec:\n  gatewayClassName: istio\n  \
                listeners: [{ name: http, port: 80, protocol: HTTP }]\n---\n\
                apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
                metadata: { name: cart, namespace: shop }\nspec:\n  parentRefs: [{ name: edge }]\n  \
                rules: [{ backendRefs: [{ name: cart, port: 80 }] }]\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let served = "shop/edge=192.0.2.1";
    let answer = meshctl(&["status", "--served", served, file]).unwrap();
    assert!(!answer.is_good, "{}", answer.text);
    for line in [
        "Gateway shop/edge\n  address 192.0.2.1\n  Accepted True Accepted: Resource accepted\n",
        "  listener http: 1 routes of HTTPRoute, GRPCRoute\n",
        "HTTPRoute shop/cart\n  at Gateway edge\n    Accepted True Accepted: Route was valid\n",
        "    ResolvedRefs False BackendNotFound: backend(cart.shop.svc.cluster.local) not found  \
         [HTTPRoute shop/cart spec.rules[0].backendRefs[0]",
    ] {
        assert!(answer.text.contains(line), "no {line} in {}", answer.text);
    }
    let json = meshctl(&["status", "-o", "json", file]).unwrap().text;
    let documents: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(documents[1]["kind"], "HTTPRoute");
    let conditions = &documents[1]["status"]["parents"][0]["conditions"];
    assert_eq!(conditions[1]["reason"], "BackendNotFound");
    // Nobody but the controller of its class has a say about a Gateway.
    let other = ["status", "--controller", "example.net/other", file];
    let answer = meshctl(&other).unwrap();
    assert!(answer.is_good);
    assert!(
        answer.text.contains("at nothing of this controller\n"),
        "{}",
        answer.text
    );
}

#[test]
fn a_wrong_command_line_is_refused() {
    for arguments in [
        &["validate"][..],
        &["routes", "--workload", "shop", CONFIG],
        &["routes", "--workload", "shop/cart:app", CONFIG],
        &["status", "--served", "edge=192.0.2.1", CONFIG],
    ] {
        let line = ["meshctl"].iter().chain(arguments);
        assert!(Arguments::try_parse_from(line).is_err(), "{arguments:?}");
    }
}

fn meshctl(arguments: &[&str]) -> Result<Answer, Failure> {
    let line = ["meshctl"].iter().chain(arguments);
    run(Arguments::try_parse_from(line).unwrap())
}
