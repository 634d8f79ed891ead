//! The index of the examples against the directory that they are in.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn the_index_lists_each_example_once() {
    let index = fs::read_to_string(root().join("README.md")).unwrap();
    let listed: Vec<_> = index.lines().filter_map(listed).collect();
    let distinct: BTreeSet<_> = listed.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(listed.len(), distinct.len(), "{listed:?}");
    assert_eq!(distinct, programs());
}

#[test]
fn each_example_can_be_run_by_its_name() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, examples) = manifest.split_once("[[example]]").unwrap();
    let names = examples
        .lines()
        .filter_map(|line| line.strip_prefix("name = "));
    let named: BTreeSet<_> = names
        .map(|name| name.trim_matches('"').to_owned())
        .collect();
    assert_eq!(named, programs());
}

#[test]
fn the_index_says_how_each_example_is_run() {
    let index = fs::read_to_string(root().join("README.md")).unwrap();
    let commands = index.lines().filter(|line| line.starts_with("cargo run "));
    let run: BTreeSet<_> = commands.map(|line| run(line).to_owned()).collect();
    assert_eq!(run, programs());
}

/// The name in a command such as `cargo run --example demo -- --check`.
fn run(command: &str) -> &str {
    let (_, name) = command.split_once(" --example ").unwrap();
    name.split_whitespace().next().unwrap()
}

/// The name in a line of the index such as ``- `demo` opens a bookstore``.
fn listed(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("- `")?.split_once('`')?;
    Some(name)
}

/// The programs in the directory: files, and directories with a `main.rs`.
fn programs() -> BTreeSet<String> {
    let entries = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let programs = entries.filter(|path| {
        path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").exists()
    });
    let names = programs.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    names.collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
