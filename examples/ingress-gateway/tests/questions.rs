use serde_json::Value;

use super::scene::{Program, answering, body, get};

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
        for (query, expected) in [
            ("port=http", "`http` is no port\n"),
            ("user=jason", "`user` is not asked for\n"),
            ("header=x", "header `x` is not of the form NAME:VALUE\n"),
        ] {
            let refused = get(admin, &format!("/explain?{query}"));
            assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
            assert!(refused.ends_with(expected), "{refused}");
        }
    });
}

fn json(answer: &str) -> Value {
    serde_json::from_str(body(answer)).unwrap()
}
