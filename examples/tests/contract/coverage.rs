//! Whether every layer is held to the contract.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn no_layer_of_the_crates_is_left_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let crates = ["mesh-routing", "mesh-tls", "mesh-discovery", "mesh-policy"];
    let sources = crates.map(|name| sources(&root.join(name).join("src")));
    let layers: BTreeSet<_> = sources
        .iter()
        .flatten()
        .flat_map(|text| layers(text))
        .collect();
    assert!(layers.contains("RoutingLayer"), "{layers:?}");

    for lists in [
        &["routing.rs", "tls.rs", "policy.rs"][..],
        &["hosts/layers.rs"],
    ] {
        let listed = lists.iter().map(|name| {
            let path = root.join("examples/tests/contract").join(name);
            fs::read_to_string(path).unwrap()
        });
        let listed = listed.collect::<String>();
        let is_left_out = |layer: &&String| {
            !listed.contains(&format!("{layer}::new("))
                && !listed.contains(&format!("{layer}::any("))
                && !listed.contains(&format!(": {layer} = "))
        };
        let left_out: Vec<_> = layers.iter().filter(is_left_out).collect();
        assert!(left_out.is_empty(), "{lists:?}: {left_out:?}");
    }
}

/// The layers that a file has for others.
fn layers(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().filter(|line| line.starts_with("impl<"));
    let names = lines.filter_map(|line| line.split_once(" Layer<S> for "));
    let names = names.map(|(_, name)| {
        let end = name.find(|letter: char| !letter.is_alphanumeric());
        name[..end.unwrap_or(name.len())].to_owned()
    });
    names.filter(|name| text.contains(&format!("pub struct {name}")))
}

/// The text of every source file in a directory and those below it.
fn sources(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let texts = paths.flat_map(|path| match path.is_dir() {
        true => sources(&path),
        false => vec![fs::read_to_string(path).unwrap()],
    });
    texts.collect()
}
