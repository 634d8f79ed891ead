use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

#[test]
fn each_corpus_has_a_row_of_counts_in_columns() {
    let corpora = Corpora::new();
    let rows = [
        "corpus cases passed failed unsupported",
        "validation/cases 4 2 1 1",
        "validation/crd_cases 1 1 0 0",
    ];
    assert_eq!(words(&corpora.run(&[]).unwrap()), rows);
}

#[test]
fn the_cases_that_did_not_pass_are_listed_on_demand_each_with_its_reason() {
    let text = Corpora::new().run(&["-v"]).unwrap();
    let listed = [
        "failed TestPort/refused/ValidatePort/3: accepted, expected a refusal",
        "unsupported TestPort/strange/ValidateNothing/4: not mapped: ValidateNothing",
    ];
    assert_eq!(words(&text)[2..4], listed, "{text}");
    assert_eq!(text.lines().count(), 5, "those that passed are not: {text}");
    assert_eq!(Corpora::new().run(&["--verbose"]).unwrap(), text);
}

#[test]
fn counts_and_ids_are_written_to_a_file_for_programs() {
    let corpora = Corpora::new();
    let file = corpora.directory.path().join("report.json");
    corpora.run(&["--json", file.to_str().unwrap()]).unwrap();
    let report: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let expected = json!({
        "validation/cases": {
            "cases": 4,
            "passed": 2,
            "failed": 1,
            "unsupported": 1,
            "not_passed": [
                "TestPort/refused/ValidatePort/3",
                "TestPort/strange/ValidateNothing/4",
            ],
            "not_supported": ["TestPort/strange/ValidateNothing/4"],
        },
        "validation/crd_cases": {
            "cases": 1,
            "passed": 1,
            "failed": 0,
            "unsupported": 0,
            "not_passed": [],
            "not_supported": [],
        },
    });
    assert_eq!(report, expected);
}

#[test]
fn one_corpus_can_be_run_or_all_below_a_name() {
    let corpora = Corpora::new();
    for (only, expected) in [
        (
            "validation/crd_cases",
            &["validation/crd_cases 1 1 0 0"][..],
        ),
        ("validation/cases", &["validation/cases 4 2 1 1"]),
        (
            "validation",
            &["validation/cases 4 2 1 1", "validation/crd_cases 1 1 0 0"],
        ),
        (
            "validation/",
            &["validation/cases 4 2 1 1", "validation/crd_cases 1 1 0 0"],
        ),
    ] {
        let text = corpora.run(&["--only", only]).unwrap();
        assert_eq!(words(&text)[1..], *expected, "{only}");
    }
}

#[test]
fn a_corpus_that_is_unknown_is_refused_and_the_known_ones_are_told() {
    let refused = Corpora::new().run(&["--only", "valid"]).unwrap_err();
    let text = refused.to_string();
    assert!(text.starts_with("no corpus is called `valid`;"), "{text}");
    for corpus in &CORPORA {
        assert!(text.contains(corpus.name), "no {} in {text}", corpus.name);
    }
}

#[test]
fn the_status_is_0_whatever_the_counts_and_2_if_nothing_could_be_run() {
    let corpora = Corpora::new();
    for (arguments, expected) in [
        (&[][..], 0),
        (&["--help"], 0),
        (&["--only", "validation"], 0),
        (&["--only", "nothing"], 2),
        // It is known, but not in the directory.
        (&["--only", "spiffe/ids"], 2),
        (&["--json", "/nowhere/report.json"], 2),
        (&["--nonsense"], 2),
    ] {
        assert_eq!(corpora.status(arguments), expected, "{arguments:?}");
    }
    corpora.write("validation/cases", "{");
    assert_eq!(corpora.status(&[]), 2, "it is no JSON");
}

/// The lines of a text, each with a space between its words.
fn words(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split_whitespace());
    lines
        .map(|line| line.collect::<Vec<_>>().join(" "))
        .collect()
}

/// A directory of two corpora, of cases that pass, fail and are not supported.
struct Corpora {
    directory: TempDir,
}

impl Corpora {
    fn new() -> Self {
        let port = |line: u32, name: &str, validator: &str, error: bool| {
            json!({
                "test": "TestPort",
                "name": name,
                "line": line,
                "validator": validator,
                "kind": "scalar",
                "args": [if name == "zero" { 0 } else { 80 }],
                "expect": {"error": error},
            })
        };
        let ports = json!({"cases": [
            port(1, "http", "ValidatePort", false),
            port(2, "zero", "ValidatePort", true),
            port(3, "refused", "ValidatePort", true),
            port(4, "strange", "ValidateNothing", false),
        ]});
        let resource = json!({
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {"name": "nothing"},
            "spec": {},
        });
        let case = json!({"source": "a.yaml", "resource": resource, "expect": {"error": false}});
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("validation")).unwrap();
        let corpora = Self { directory };
        corpora.write("validation/cases", &ports.to_string());
        let resources = json!({"cases": [case]});
        corpora.write("validation/crd_cases", &resources.to_string());
        corpora
    }

    fn write(&self, corpus: &str, text: &str) {
        let path = self.directory.path().join(corpus);
        fs::write(path.with_extension("json"), text).unwrap();
    }

    /// The command line with these further arguments.
    fn arguments(&self, further: &[&str]) -> Result<Arguments, clap::Error> {
        let directory = self.directory.path().to_str().unwrap();
        let line = ["conformance", directory].into_iter();
        Arguments::try_parse_from(line.chain(further.iter().copied()))
    }

    /// What the program prints.
    fn run(&self, further: &[&str]) -> Result<String, Failure> {
        let mut out = Vec::new();
        run(&self.arguments(further).unwrap(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    /// What the program exits with.
    fn status(&self, further: &[&str]) -> i32 {
        match self.arguments(further) {
            Ok(arguments) => status(&run(&arguments, &mut io::sink())).into(),
            Err(error) => error.exit_code(),
        }
    }
}
