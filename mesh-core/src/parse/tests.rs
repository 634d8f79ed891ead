use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Limits, Problem, parse_as};
use crate::origin::{FieldPath, Position};

fn read(text: &str) -> Value {
    match parse_as("a.yaml", text, &Limits::default()) {
        Ok((value, _)) => value,
        Err(problems) => panic!("{text:?}: {}", problems[0]),
    }
}

fn refuse(text: &str, limits: &Limits) -> Vec<String> {
    let problems: Vec<Problem> = parse_as::<Value>("a.yaml", text, limits).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn reads_yaml_as_kubernetes_does() {
    for (text, expected) in [
        ("\u{feff}a: 1\r\nb: x\r\n", json!({"a": 1, "b": "x"})),
        (
            "{\"a\": [1, 2.5, true, null, \"\\ud83d\\ude00\\/\"]}",
            json!({"a": [1, 2.5, true, null, "😀/"]}),
        ),
        (
            "{\n\t\"a\":\t1,\n\t\"b\": [\n\t\t2\n\t]\n}\n",
            json!({"a": 1, "b": [2]}),
        ),
        (
            "a: yes\nb: 'yes'\nc: !!str 1\nd: ! 2\n",
            json!({"a": true, "b": "yes", "c": "1", "d": "2"}),
        ),
        (
            "a: |\n  x\n  y\nb: >-\n  x\n  y\n",
            json!({"a": "x\ny\n", "b": "x y"}),
        ),
        (
            "a: 2020-01-01\n1: b\n",
            json!({"a": "2020-01-01", "1": "b"}),
        ),
        (
            "a: &x {p: 1, q: [2]}\nb: *x\n",
            json!({"a": {"p": 1, "q": [2]}, "b": {"p": 1, "q": [2]}}),
        ),
    ] {
        assert_eq!(read(text), expected, "{text:?}");
    }
}

#[test]
fn merge_keys_give_way_to_written_keys_and_to_earlier_ones() {
    let text = "p: &p {a: 1, b: 1}\nq: &q {b: 2, c: 2, d: 2}\nz:\n  c: 3\n  <<: [*p, *q]\n";
    assert_eq!(read(text)["z"], json!({"a": 1, "b": 1, "c": 3, "d": 2}));
    let quoted = read("'<<': {a: 1}");
    assert_eq!(quoted, json!({"<<": {"a": 1}}));
}

#[test]
fn refuses_what_is_not_configuration() {
    for (text, expected) in [
        (
            "a: 1\nb: 2\na: 3\n",
            "a.yaml:3:1: duplicate key `a`, first written at 1:1",
        ),
        ("a: !secret x\n", "a.yaml:1:4: unsupported tag `!secret`"),
        (
            "a: !!binary eA==\n",
            "a.yaml:1:4: unsupported tag `!!binary`",
        ),
        (
            "yes: 1\n",
            "a.yaml:1:1: `yes` is a boolean and cannot be a key",
        ),
        (
            "? [a]\n: 1\n",
            "a.yaml:1:3: `` is a list and cannot be a key",
        ),
        (
            "<<: 1\n",
            "a.yaml:1:5: a merge key takes an object or a list of objects",
        ),
        (
            "a: &x [*x]\n",
            "a.yaml:1:8: an alias cannot refer to a value that contains it",
        ),
        (
            "a: 1\n---\nb: 1\n",
            "a.yaml: more than 1 document in this kind of file",
        ),
    ] {
        assert_eq!(refuse(text, &Limits::default())[0], expected, "{text:?}");
    }
}

#[test]
fn syntax_errors_have_a_place() {
    for (text, place) in [
        ("a: b\n\tc: d\n", "a.yaml:1:4"),
        ("a: *nowhere\n", "a.yaml:1:4"),
        ("a: [1, 2\nb: 3\n", "a.yaml:2:"),
        ("a: \"x\n", "a.yaml:"),
        ("a: {b: 1]\n", "a.yaml:1:4"),
    ] {
        let problem = &refuse(text, &Limits::default())[0];
        assert!(problem.starts_with(place), "{text:?}: {problem}");
    }
}

#[test]
fn every_value_has_a_position() {
    let text = "a:\n  b: x\n  c:\n  - y\n  - d: z\n    e:\nf: {g: [1, 2]}\nh: |\n  text\n";
    let (_, source) = parse_as::<Value>("a.yaml", text, &Limits::default()).unwrap();
    let root = FieldPath::root();
    let a = root.field("a");
    let c = a.field("c");
    let item = c.index(1);
    let f = root.field("f");
    for (path, line, column) in [
        (root, 1, 1),
        (a, 2, 3),
        (a.field("b"), 2, 6),
        (c.index(0), 4, 5),
        (item, 5, 5),
        (item.field("d"), 5, 8),
        (f, 7, 4),
        (f.field("g").index(1), 7, 12),
    ] {
        assert_eq!(
            source.position(&path),
            Position::new(line, column),
            "{path}"
        );
    }
    assert_eq!(source.position(&item.field("e")).line, 6);
    assert_eq!(source.position(&root.field("h")).line, 9);
}

#[test]
fn hostile_text_is_refused_within_the_limits() {
    let bomb: String = (1..30)
        .map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1))
        .fold("a0: &a0 [x, x]\n".to_owned(), |text, line| text + &line);
    let long = format!(
        "a: &a '{}'\nb: [{}]\n",
        "\\x".repeat(50_000),
        "*a,".repeat(500)
    );
    for (text, what) in [
        ("[".repeat(200_000), "nested collections"),
        ("- ".repeat(200_000), "nested collections"),
        ("{a: ".repeat(200_000), "nested collections"),
        ("? ".repeat(200_000), "nested collections"),
        (bomb, "more than 2000000 keys and values"),
        (long, "more than 16777216 bytes repeated by aliases"),
        ("x".repeat((16 << 20) + 1), "more than 16777216 bytes"),
    ] {
        let problems = refuse(&text, &Limits::default());
        assert!(problems[0].contains(what), "{what}: {}", problems[0]);
    }
}

#[test]
fn nesting_of_aliases_counts_towards_the_depth() {
    let text = "a: &a [[1]]\nb: [[[*a]]]\n";
    let limits = Limits {
        max_depth: 5,
        ..Limits::default()
    };
    assert_eq!(
        refuse(text, &limits),
        ["a.yaml:2:7: more than 5 nested collections"]
    );
    let limits = Limits {
        max_depth: 6,
        ..Limits::default()
    };
    assert!(parse_as::<Value>("a.yaml", text, &limits).is_ok());
}

#[test]
fn many_keys_cost_no_more_than_few() {
    let text: String = (0..20_000).map(|n| format!("k{n}: {n}\n")).collect();
    let limits = Limits::default();
    let (map, _) = parse_as::<BTreeMap<String, u32>>("a.yaml", &text, &limits).unwrap();
    assert_eq!(map.len(), 20_000);
    let doubled = format!("{text}{text}");
    assert_eq!(refuse(&doubled, &limits).len(), limits.max_problems);
}
