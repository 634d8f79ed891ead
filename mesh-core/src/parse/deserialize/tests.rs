use std::collections::BTreeMap;

use serde::Deserialize;

use crate::parse::{Limits, Problem, ProblemKind, parse_as};

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    hosts: Vec<String>,
    weight: Option<u32>,
    ratio: Option<f64>,
    mode: Mode,
    labels: BTreeMap<String, String>,
    rules: Vec<Rule>,
    enabled: bool,
    #[serde(deserialize_with = "even")]
    even: i64,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
enum Mode {
    #[default]
    #[serde(rename = "ISTIO_MUTUAL")]
    IstioMutual,
    #[serde(rename = "DISABLE")]
    Disable,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Rule {
    name: String,
    #[serde(default)]
    port: u16,
}

fn even<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let number = i64::deserialize(deserializer)?;
    if number % 2 == 0 {
        Ok(number)
    } else {
        Err(serde::de::Error::custom("expected an even number"))
    }
}

fn read(text: &str) -> Spec {
    parse_as(FILE, text, &Limits::default()).unwrap().0
}

fn refuse(text: &str) -> Vec<Problem> {
    parse_as::<Spec>(FILE, text, &Limits::default()).unwrap_err()
}

fn lines(text: &str) -> Vec<String> {
    refuse(text).iter().map(ToString::to_string).collect()
}

const FILE: &str = "a.yaml";

#[test]
fn reads_values_of_all_types() {
    let spec = read(
        "hosts: [a, 'b', \"c\"]\nweight: 0x10\nratio: 3\nmode: DISABLE\nenabled: on\neven: -4\n\
         labels: {version: 'yes', 80: v1}\nrules:\n- {name: x, port: 80}\n",
    );
    let labels = [("version", "yes"), ("80", "v1")];
    let expected = Spec {
        hosts: ["a", "b", "c"].map(str::to_owned).to_vec(),
        weight: Some(16),
        ratio: Some(3.0),
        mode: Mode::Disable,
        labels: labels
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        rules: vec![Rule {
            name: "x".to_owned(),
            port: 80,
        }],
        enabled: true,
        even: -4,
    };
    assert_eq!(spec, expected);
}

#[test]
fn a_field_that_is_null_is_absent() {
    assert_eq!(
        read("hosts:\nweight: ~\nmode: null\nrules: Null\n"),
        Spec::default()
    );
}

#[test]
fn an_empty_file_has_no_fields() {
    for text in ["", "---\n", "# nothing\n", "---\n...\n---\n"] {
        assert_eq!(read(text), Spec::default(), "{text:?}");
    }
}

#[test]
fn reports_all_problems_at_once() {
    let text = "\
host: a
weight: -1
ratio: a lot
mode: DISABEL
labels: {a: 1.0}
rules:
- name: x
  port: 70000
- port: 1
- name: yes
  prot: 1
even: 3
";
    assert_eq!(
        lines(text),
        [
            "a.yaml:1:1: unknown field `host` in the document (did you mean `hosts`?)",
            "a.yaml:2:9: `-1` is out of range, expected 0 to 4294967295 at `weight`",
            "a.yaml:3:8: expected a finite number, found a string `a lot` at `ratio`",
            "a.yaml:4:7: unknown value `DISABEL` (did you mean `DISABLE`?) at `mode`",
            "a.yaml:5:13: expected a string, found a number `1.0` at `labels[a]`",
            "a.yaml:8:9: `70000` is out of range, expected 0 to 65535 at `rules[0].port`",
            "a.yaml:9:3: missing field `name` at `rules[1]`",
            "a.yaml:10:9: expected a string, found a boolean `yes` at `rules[2].name`",
            "a.yaml:11:3: unknown field `prot` in the document rules[2] (did you mean `port`?)",
            "a.yaml:12:7: expected an even number at `even`",
        ]
    );
}

#[test]
fn names_the_remedy() {
    for (text, remedy) in [
        ("labels: {v: 1.0}", "quote it: \"1.0\""),
        ("labels: {v: on}", "quote it: \"on\""),
        (
            "labels: {v: 5}",
            "quote it: \"5\"; a duration has a unit, too: \"5s\"",
        ),
        ("weight: '80'", "remove the quotes: 80"),
        ("labels: {on: v}", "quote it: \"on\""),
        ("mode: NONE", "known values: `ISTIO_MUTUAL`, `DISABLE`"),
    ] {
        let problems = refuse(text);
        assert_eq!(problems[0].kind.help().as_deref(), Some(remedy), "{text}");
    }
}

#[test]
fn numbers_that_yaml_versions_read_differently_are_refused() {
    for text in ["weight: 012", "weight: 1_000", "even: -010"] {
        let kind = &refuse(text)[0].kind;
        assert!(
            matches!(kind, ProblemKind::AmbiguousNumber { .. }),
            "{text}: {kind}"
        );
    }
}

#[test]
fn a_float_is_not_an_integer() {
    assert_eq!(
        lines("weight: 1.0"),
        ["a.yaml:1:9: expected an integer, found a number `1.0` at `weight`"]
    );
}

#[test]
fn the_number_of_problems_of_a_document_is_bounded() {
    let text = "- x\n".repeat(1_000);
    let problems = refuse(&format!("rules:\n{text}"));
    assert_eq!(problems.len(), 65);
    assert_eq!(problems[64].kind, ProblemKind::Incomplete);
}
