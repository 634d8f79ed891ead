//! Configuration: parsed, validated, and resolved if it is valid.

use examples::config::Loaded;
use mesh_core::config::MeshConfig;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;

use super::{Target, text};

pub(crate) const TARGET: Target = Target {
    name: "yaml",
    seeds: &[
        include_str!("../../config/gateway.yaml"),
        include_str!("../../config/ratings.yaml"),
        include_str!("../../config/reviews.yaml"),
        include_str!("../../config/services.yaml"),
        "a: &a [*a, {<<: *a}]\n--- !!binary |\n  aGk=\n...\n? {x: [y]}\n: >-\n  folded\n",
        "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{\"kind\": \"Service\"}]}",
    ],
    dictionary: &[
        "&a",
        "*a",
        "<<:",
        "!!str",
        "---\n",
        "- ",
        "? ",
        "|\n",
        "{",
        "[",
        "kind: ",
        "http:",
        "'*'",
        "match:",
        "regex:",
        "hosts: []",
        "weight: -1",
        "~",
        "yes",
        "0x1F",
        "1e400",
    ],
    start: || {
        text(|text| {
            let mut loaded = Loaded::default();
            loaded.add("fuzz.yaml", text.to_owned());
            match loaded.build(MeshConfig::builder(), 1) {
                Ok((config, diagnostics)) => {
                    let gateway = Workload::gateway("bookstore");
                    let gateway = gateway.with_label("istio", "ingressgateway");
                    for workload in [gateway, Workload::sidecar("bookstore")] {
                        resolve(&config, &workload);
                    }
                    let _ = diagnostics.to_string();
                }
                Err(diagnostics) => drop(diagnostics.to_string()),
            }
        })
    },
};
