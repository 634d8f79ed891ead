use crate::origin::Position;
use crate::parse::{Limits, parse};
use crate::validate::validate;

/// Positions and paths of what is wrong in the only resource of `text`.
fn found(text: &str) -> Vec<(Position, String)> {
    let parsed = parse("mesh.yaml", text, &Limits::default());
    assert_eq!(parsed.problems, []);
    let violations = validate(&parsed.objects[0]);
    let place = |violation: &crate::validate::Violation| {
        let origin = &violation.origin;
        (origin.position(), origin.path().to_owned())
    };
    violations.iter().map(place).collect()
}

#[test]
fn violations_are_found_at_once_in_the_order_of_the_text() {
    let text = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: Prod}
spec:
  hosts: [reviews]
  http:
  - timeout: 10us
    route:
    - destination: {host: '*'}
  tcp:
  - match: [{}]
";
    assert_eq!(
        found(text),
        [
            (Position::new(3, 38), "metadata.namespace".to_owned()),
            (Position::new(7, 14), "spec.http[0].timeout".to_owned()),
            (
                Position::new(9, 27),
                "spec.http[0].route[0].destination.host".to_owned()
            ),
            (Position::new(11, 5), "spec.tcp[0]".to_owned()),
        ]
    );
}

#[test]
fn what_is_absent_is_reported_where_it_should_have_been() {
    let text = "\
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: filter}
spec: {phase: AUTHN}
";
    assert_eq!(found(text), [(Position::new(4, 7), "spec.url".to_owned())]);
}

#[test]
fn an_empty_list_is_not_an_absent_one() {
    let text = "\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: external}
spec:
  hosts: [example.com]
";
    assert_eq!(found(text), []);
    let written = format!("{text}  endpoints: []\n");
    assert_eq!(
        found(&written),
        [(Position::new(6, 14), "spec.endpoints".to_owned())]
    );
}
