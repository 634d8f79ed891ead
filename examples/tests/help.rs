//! The help of each example, and what becomes of arguments that it does not have.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

#[test]
#[ignore = "builds every example"]
fn each_example_tells_what_it_shows_and_how_it_is_run() {
    for example in examples() {
        let output = example.run("--help");
        let (name, text) = (&example.name, text(&output.stdout));
        assert_eq!(output.status.code(), Some(0), "{name}: {output:?}");
        let usage = format!("Usage: {name}");
        assert!(text.contains(&usage), "no `{usage}` in {text}");
        let (shows, _) = text.split_once("\n\nUsage: ").unwrap();
        assert!(!shows.trim().is_empty(), "{name} shows nothing: {text}");
    }
}

#[test]
#[ignore = "builds every example"]
fn an_argument_that_an_example_does_not_have_is_refused() {
    for example in examples() {
        let output = example.run("--nonsense");
        let (name, text) = (&example.name, text(&output.stderr));
        assert_eq!(output.status.code(), Some(2), "{name}: {output:?}");
        assert!(text.contains("'--nonsense'"), "{name}: {text}");
        assert!(output.stdout.is_empty(), "{name} has begun: {output:?}");
    }
}

fn text(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

/// An example, and the features without which there is none.
struct Example {
    name: String,
    features: String,
}

impl Example {
    fn run(&self, argument: &str) -> Output {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["run", "--quiet", "-p", "examples"]);
        cargo.args(["--features", &self.features]);
        cargo.args(["--example", &self.name, "--", argument]);
        cargo.output().unwrap()
    }
}

/// The examples of the manifest.
fn examples() -> Vec<Example> {
    let manifest = fs::read_to_string(directory().join("Cargo.toml")).unwrap();
    let tables = manifest.split("[[example]]").skip(1);
    let examples = tables.map(|table| Example {
        name: value(table, "name").unwrap(),
        features: value(table, "required-features").unwrap_or_default(),
    });
    let examples: Vec<_> = examples.collect();
    assert!(!examples.is_empty());
    examples
}

/// The text of a key, or of the only element of its list.
fn value(table: &str, key: &str) -> Option<String> {
    let lines = table.lines().map(|line| line.split_once(" = "));
    let (_, value) = lines.flatten().find(|(found, _)| *found == key)?;
    Some(value.trim_matches(['[', ']', '"']).to_owned())
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
