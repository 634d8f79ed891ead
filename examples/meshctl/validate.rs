use std::fmt::Write;

use examples::config::{Diagnostics, Loaded};
use mesh_core::analyze::fidelity::{Capabilities, fidelity};
use mesh_core::config::MeshConfig;
use mesh_core::diagnostic::{Diagnostic, Severity};

use crate::{Answer, Output, json, style};

/// All that is wrong with the files, and the fields that nothing in the libraries acts on.
pub(crate) fn report(loaded: Loaded, output: Output) -> Answer {
    let resources = loaded.objects.len();
    let diagnostics = match loaded.build(MeshConfig::builder(), 1) {
        Ok((config, mut diagnostics)) => {
            let found = fidelity(&config, None, &Capabilities::all());
            diagnostics.extend(found.unsupported());
            diagnostics
        }
        Err(diagnostics) => diagnostics,
    };
    let text = match output {
        Output::Json => json(&diagnostics.iter().collect::<Vec<&Diagnostic>>()),
        Output::Text => diagnostics.draw(style()) + &summary(resources, &diagnostics),
    };
    let is_good = !diagnostics.has_errors();
    Answer { text, is_good }
}

fn summary(resources: usize, diagnostics: &Diagnostics) -> String {
    let mut summary = format!("{resources} resources");
    for (severity, noun) in [(Severity::Error, "errors"), (Severity::Warning, "warnings")] {
        // Writing to a string does not fail.
        let _ = write!(summary, ", {} {noun}", diagnostics.count(severity));
    }
    summary + "\n"
}
