//! What a registry tells about its sources.

use std::time::Instant;

use mesh_core::diagnostic::Diagnostic;

/// One source of a registry.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// Its name.
    pub name: String,
    /// Whether its resources are known, and of now.
    pub freshness: Freshness,
    /// How many objects it has.
    pub objects: usize,
    /// What is wrong: with the source, if it could not be read, and with single objects.
    pub diagnostics: Vec<Diagnostic>,
}

/// Whether the resources of a source are known, and of now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Freshness {
    /// As of now.
    Live,
    /// Those that it had before it failed.
    Stale {
        /// When it failed.
        since: Instant,
    },
    /// Not known yet.
    Unknown,
}

impl SourceStatus {
    /// Whether the resources are those of now.
    pub fn is_live(&self) -> bool {
        self.freshness == Freshness::Live
    }
}
