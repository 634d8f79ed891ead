//! Messages of `istioctl analyze`, by code and resource.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use mesh_core::analyze::{ANALYZERS, Inputs, Options, analyze};
use mesh_core::parse::{Limits, parse, parse_as};
use mesh_core::resource::Object;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::case::{Case, Cases, Outcome, id, list, text};
use crate::configuration::joined;

/// Cases of Istio's analyzers: files, the analyzer that looks at them, and what it says.
pub(crate) fn run(document: &Value, directory: &Path) -> Vec<Case> {
    let files = directory.join("analyzers/testdata");
    let mut cases = Cases::default();
    for case in list(document, "cases") {
        let name = id(&[text(case, "analyzer_name"), text(case, "name")]);
        let outcome = outcome(case, &files).unwrap_or_else(Outcome::Failed);
        cases.push(name, outcome);
    }
    cases.into_vec()
}

fn outcome(case: &Value, files: &Path) -> Result<Outcome, String> {
    let analyzer = text(case, "analyzer_name");
    if !ANALYZERS.iter().any(|known| known.name() == analyzer) {
        return Ok(Outcome::unsupported(format!(
            "there is no analyzer `{analyzer}`"
        )));
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "certificates have to be valid when they are looked at"
    )]
    let now = SystemTime::now();
    let options = Options::default().only([analyzer]).at(now);
    let messages = analyze(&inputs(case, files)?, &options);
    let mut found: Vec<(String, String)> = messages
        .iter()
        .map(|message| (message.code.to_string(), message.resource()))
        .collect();
    let mut expected: Vec<(String, String)> = list(case, "expected")
        .iter()
        .map(|message| {
            (
                text(message, "code").to_owned(),
                text(message, "origin").to_owned(),
            )
        })
        .collect();
    found.sort();
    expected.sort();
    Ok(Outcome::equal(&expected, &found))
}

fn inputs(case: &Value, files: &Path) -> Result<Inputs, String> {
    let mut inputs = Inputs::new(objects(list(case, "input_files"), files)?);
    if let Some(Value::Object(clusters)) = case.get("clusters") {
        for (name, paths) in clusters {
            let paths = paths.as_array().map(Vec::as_slice).unwrap_or_default();
            inputs = inputs.with_cluster(name, objects(paths, files)?);
        }
    }
    let mesh = text(case, "mesh_config_file");
    if !mesh.is_empty() {
        inputs = inputs.with_mesh(settings(files, mesh)?);
    }
    let networks = text(case, "mesh_networks_file");
    if !networks.is_empty() {
        inputs = inputs.with_networks(settings(files, networks)?);
    }
    Ok(inputs)
}

fn settings<T: DeserializeOwned>(files: &Path, name: &str) -> Result<T, String> {
    let parsed = parse_as(name, &read(files, name)?, &Limits::default());
    let (settings, _) = parsed.map_err(|problems| joined(&problems))?;
    Ok(settings)
}

fn objects(names: &[Value], files: &Path) -> Result<Vec<Object>, String> {
    let mut objects = Vec::new();
    for name in names.iter().filter_map(Value::as_str) {
        // As in istioctl, what cannot be read is not analyzed, and the rest is.
        let parsed = parse(name, &read(files, name)?, &Limits::default());
        objects.extend(parsed.objects);
    }
    Ok(objects)
}

fn read(files: &Path, name: &str) -> Result<String, String> {
    let path = files.join(name);
    fs::read_to_string(&path).map_err(|error| format!("`{}`: {error}", path.display()))
}
