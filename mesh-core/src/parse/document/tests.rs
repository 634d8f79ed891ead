use proptest::prelude::*;
use serde_json::json;

use super::{Parsed, parse, parse_value};
use crate::origin::{FieldPath, Position};
use crate::parse::{Limits, render};
use crate::resource::kind::Kind;
use crate::resource::{Object, Value};

fn read(text: &str) -> Parsed {
    parse("a.yaml", text, &Limits::default())
}

fn names(parsed: &Parsed) -> Vec<String> {
    let origins = parsed.objects.iter().map(Object::origin);
    origins.map(|origin| origin.to_string()).collect()
}

fn problems(text: &str) -> Vec<String> {
    read(text)
        .problems
        .iter()
        .map(ToString::to_string)
        .collect()
}

const REVIEWS: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
  namespace: prod
spec:
  hosts: [reviews]
  http:
  - route:
    - destination:
        host: reviews
        subset: v1
";

#[test]
fn a_text_of_more_bytes_than_the_limit_is_not_read() {
    let limits = |max_bytes| Limits {
        max_bytes,
        ..Limits::default()
    };
    let whole = parse("a.yaml", REVIEWS, &limits(REVIEWS.len()));
    assert_eq!((whole.objects.len(), whole.problems.len()), (1, 0));
    // What is beyond the limit need not be reached to be refused.
    let text = format!("{REVIEWS}# a comment\n");
    let refused = parse("a.yaml", &text, &limits(REVIEWS.len()));
    assert_eq!(refused.objects, []);
    let problems = refused.problems.iter();
    let problems: Vec<_> = problems.map(ToString::to_string).collect();
    let length = REVIEWS.len();
    assert_eq!(problems, [format!("a.yaml: more than {length} bytes")]);
}

#[test]
fn a_resource_keeps_what_was_written_and_where() {
    let parsed = read(REVIEWS);
    assert_eq!(parsed.problems, []);
    let Object::VirtualService(reviews) = &parsed.objects[0] else {
        panic!("{:?}", parsed.objects);
    };
    assert_eq!(reviews.spec.hosts, ["reviews"]);
    let root = FieldPath::root();
    let spec = root.field("spec");
    let http = spec.field("http");
    let rule = http.index(0);
    let origin = reviews.origin().at(&rule, &reviews.source);
    assert_eq!(
        origin.to_string(),
        "VirtualService prod/reviews spec.http[0] (a.yaml:9:5)"
    );
    let route = rule.field("route");
    let place = reviews.source.position(&route.index(0));
    assert_eq!(place, Position::new(10, 7));
}

#[test]
fn documents_are_read_one_by_one() {
    let text = format!("# nothing\n---\n{REVIEWS}---\n---\n[1\n---\n{REVIEWS}...\n");
    let parsed = read(&text);
    assert_eq!(
        names(&parsed),
        [
            "VirtualService prod/reviews (a.yaml:3:1)",
            "VirtualService prod/reviews (a.yaml:19:1)"
        ]
    );
    assert_eq!(parsed.problems.len(), 1);
    assert_eq!(parsed.problems[0].position.line, 17);
}

#[test]
fn all_versions_of_a_kind_are_read() {
    for version in Kind::VirtualService.versions() {
        let text = REVIEWS.replace("io/v1", &format!("io/{version}"));
        assert_eq!(read(&text).objects.len(), 1, "{version}");
    }
    assert_eq!(
        problems(&REVIEWS.replace("io/v1", "io/v2")),
        ["a.yaml:1:13: unsupported apiVersion `networking.istio.io/v2` of VirtualService"]
    );
}

#[test]
fn a_group_of_ours_that_is_mistyped_or_has_no_version_is_an_error() {
    let of = |group: &str| problems(&REVIEWS.replace("networking.istio.io/v1", group));
    assert_eq!(
        of("networking.istio.io"),
        ["a.yaml:1:13: unsupported apiVersion `networking.istio.io` of VirtualService"]
    );
    assert_eq!(
        of("networking.istoi.io/v1"),
        [
            "a.yaml:1:13: unknown API group of VirtualService in `networking.istoi.io/v1` \
             (did you mean `networking.istio.io`?)"
        ]
    );
    // Others have kinds of the same name.
    assert_eq!(of("gateway.solo.io/v1"), [""; 0]);
    let other = REVIEWS.replace("networking.istio.io/v1", "gateway.solo.io/v1");
    assert_eq!(read(&other).unknown.len(), 1);
}

#[test]
fn all_problems_of_a_resource_are_found() {
    let text = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  namespace: prod
  label: {}
specs: {}
spec:
  host: reviews
  htttp: []
  http:
  - timeout: 5
    match: {}
";
    assert_eq!(
        problems(text),
        [
            "a.yaml:4:3: missing field `metadata.name` of VirtualService",
            "a.yaml:5:3: unknown field `label` in VirtualService metadata (did you mean `labels`?)",
            "a.yaml:6:1: unknown field `specs` in VirtualService (did you mean `spec`?)",
            "a.yaml:8:3: unknown field `host` in VirtualService spec (did you mean `hosts`?)",
            "a.yaml:9:3: unknown field `htttp` in VirtualService spec (did you mean `http`?)",
            "a.yaml:11:14: expected a string, found an integer `5` at `spec.http[0].timeout`",
            "a.yaml:12:12: expected a list, found an object at `spec.http[0].match`",
        ]
    );
}

#[test]
fn a_document_that_names_no_kind_is_refused() {
    assert_eq!(
        problems("a: 1\n---\nkind: Service\n---\n- x\n---\ntext\n"),
        [
            "a.yaml:1:1: missing field `apiVersion`",
            "a.yaml:1:1: missing field `kind`",
            "a.yaml:3:1: missing field `apiVersion`",
            "a.yaml:5:1: expected a resource, found a list",
            "a.yaml:7:1: expected a resource, found a string `text`",
        ]
    );
}

#[test]
fn lists_yield_their_items() {
    let item = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod"},
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [item, item]});
    assert_eq!(names(&read(&list.to_string())).len(), 2);
    let list = json!({
        "apiVersion": "v1", "kind": "NamespaceList", "metadata": {"resourceVersion": "1"},
        "items": [{"metadata": {"name": "prod"}}, {"metadata": {}}],
    });
    let parsed = read(&list.to_string());
    assert_eq!(names(&parsed).len(), 1);
    assert_eq!(parsed.problems.len(), 1);
}

#[test]
fn fields_that_are_not_read_are_accepted_of_kubernetes_kinds_only() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {dnsPolicy: Default}\n";
    assert_eq!(read(text).objects.len(), 1);
    assert_eq!(
        problems(&text.replace("metadata: {", "metadata: {nme: y, ")),
        ["a.yaml:3:12: unknown field `nme` in Pod metadata (did you mean `name`?)"]
    );
}

#[test]
fn foreign_kinds_are_listed() {
    let text = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a, namespace: b}\n";
    let parsed = read(text);
    assert_eq!(parsed.problems, []);
    assert_eq!(parsed.unknown[0].api_version, "v1");
    assert_eq!(
        parsed.unknown[0].origin.to_string(),
        "ServiceAccount b/a (a.yaml:1:1)"
    );
}

#[test]
fn gateway_api_kinds_are_read_only_with_their_feature() {
    let text = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a}\n";
    let parsed = read(text);
    assert_eq!(parsed.problems, []);
    let read = cfg!(feature = "gateway-api");
    assert_eq!(parsed.objects.len(), usize::from(read));
    assert_eq!(parsed.unknown.len(), usize::from(!read));
}

#[test]
fn an_absent_spec_is_an_empty_one() {
    for spec in ["", "spec:\n", "spec: {}\n"] {
        let text = format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
             metadata: {{name: allow-nothing}}\n{spec}"
        );
        assert_eq!(read(&text).objects.len(), 1, "{spec:?}");
    }
}

#[test]
fn problems_of_a_file_are_bounded() {
    let limits = Limits {
        max_problems: 10,
        ..Limits::default()
    };
    let parsed = parse("a.yaml", &"x: 1\n---\n".repeat(1_000), &limits);
    assert_eq!(parsed.problems.len(), 11);
    assert_eq!(
        parsed.problems[10].to_string(),
        "a.yaml: more than 10 problems; the rest was not read"
    );
}

#[test]
fn documents_of_a_file_are_bounded() {
    let limits = Limits {
        max_documents: 2,
        ..Limits::default()
    };
    let parsed = parse("a.yaml", &format!("---\n{REVIEWS}").repeat(3), &limits);
    assert_eq!(parsed.objects.len(), 2);
    assert_eq!(
        parsed.problems[0].to_string(),
        "a.yaml:27:1: more than 2 documents"
    );
}

#[test]
fn a_value_from_elsewhere_is_read_as_text_is() {
    let value: Value = serde_json::from_value(json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "a"},
        "spec": {"hosts": ["1"], "http": [{"fault": {"abort": {"percentage": {"value": 0.5}}}}]},
    }))
    .unwrap();
    let parsed = parse_value("cluster", &value);
    assert_eq!(parsed.problems, []);
    let Object::VirtualService(service) = &parsed.objects[0] else {
        panic!("{:?}", parsed.objects);
    };
    assert_eq!(service.spec.hosts, ["1"]);
}

#[test]
fn what_is_read_can_be_written_and_read_again() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {nodeName: a}\n";
    for text in [REVIEWS, pod] {
        let object = &read(text).objects[0];
        let again = read(&serde_json::to_string(object).unwrap());
        assert_eq!(again.problems, []);
        let written = [object, &again.objects[0]].map(|o| serde_json::to_value(o).unwrap());
        assert_eq!(written[0], written[1], "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_text_of_yaml_indicators_is_read_or_refused(
        text in "([-:?,{}\\[\\]&*!|>'\"%@`<# \t\n\r~é\u{feff}]|a|---\n|<<: |\\.\\.\\.\n){0,80}"
    ) {
        check(&text);
    }

    /// A resource with some of its bytes replaced, removed or repeated.
    #[test]
    fn a_damaged_resource_is_read_or_refused(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3, any::<u8>()), 1..8)
    ) {
        let mut bytes = format!("{REVIEWS}---\n{REVIEWS}").into_bytes();
        for (index, edit, byte) in edits {
            let at = index.index(bytes.len());
            match edit {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                _ => bytes.extend_from_within(at..),
            }
        }
        check(&String::from_utf8_lossy(&bytes));
    }
}

/// Reads `text`, and draws what is wrong with it.
fn check(text: &str) {
    for problem in read(text).problems {
        render::render(&(&problem).into(), text, render::Style::Plain);
    }
}
