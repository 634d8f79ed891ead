use super::*;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
const GATEWAY: &str = "bookstore/gateway:istio=ingressgateway";

#[test]
fn the_bookstore_is_valid() {
    let answer = meshctl(&["validate", CONFIG]).unwrap();
    assert!(answer.is_good, "{}", answer.text);
    assert!(
        answer.text.ends_with("0 errors, 0 warnings\n"),
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
fn what_cannot_be_asked_is_an_error_that_says_why() {
    let cases = [
        ("GET", "a method and a URL"),
        ("GET ftp://shop.example/", "not a URL of http or https"),
        (
            "GET http://shop.example:81/",
            "no Gateway serves port 81; served: 80",
        ),
    ];
    for (request, expected) in cases {
        let arguments = [
            "explain",
            "--request",
            request,
            "--workload",
            GATEWAY,
            CONFIG,
        ];
        let error = meshctl(&arguments).unwrap_err().to_string();
        assert!(error.contains(expected), "{request}: {error}");
    }
}

#[test]
fn a_wrong_command_line_is_refused() {
    for arguments in [
        &["validate"][..],
        &["routes", "--workload", "shop", CONFIG],
        &["routes", "--workload", "shop/cart:app", CONFIG],
    ] {
        let line = ["meshctl"].iter().chain(arguments);
        assert!(Arguments::try_parse_from(line).is_err(), "{arguments:?}");
    }
}

fn meshctl(arguments: &[&str]) -> Result<Answer, Failure> {
    let line = ["meshctl"].iter().chain(arguments);
    run(Arguments::try_parse_from(line).unwrap())
}
