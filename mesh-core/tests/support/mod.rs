//! What the tests of configurations share.

use mesh_core::config::{MeshConfig, MeshConfigBuilder};
use mesh_core::parse::{Limits, parse};

/// The configuration of `text`, which has no problems.
pub(crate) fn config(text: &str) -> MeshConfig {
    config_of(MeshConfig::builder(), text)
}

/// The configuration of `text`, added to what `builder` has.
pub(crate) fn config_of(builder: MeshConfigBuilder, text: &str) -> MeshConfig {
    let parsed = parse("mesh.yaml", text, &Limits::default());
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    builder
        .extend(parsed.objects)
        .build(1)
        .expect("the resources have names of their own")
}
