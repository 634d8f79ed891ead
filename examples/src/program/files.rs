use std::error::Error;
use std::path::PathBuf;

use mesh_core::analyze::fidelity::{Fidelity, fidelity};
use mesh_core::config::MeshConfig;
use mesh_core::config::features::Features;
use mesh_core::model::Model;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;

use super::changes::{self, Changes};
use crate::config::{self, Diagnostics};
use crate::gateway::{self, MeshWide};

/// Files of configuration, and who reads them.
#[derive(Clone, Debug)]
pub struct Files {
    /// Files, or directories of them.
    pub paths: Vec<PathBuf>,
    /// Whom they are resolved for.
    pub workload: Workload,
    /// What istiod's environment would say.
    pub features: Features,
}

/// What is served, and what becomes of each field of the configuration.
#[derive(Debug)]
pub struct Generation {
    /// What the workload has to do.
    pub model: Model,
    /// What else the gateway needs of the configuration.
    pub wide: MeshWide,
    /// What becomes of each field.
    pub fidelity: Fidelity,
}

impl Generation {
    /// What `config` asks of a gateway that is `workload`.
    pub fn new(config: &MeshConfig, workload: &Workload) -> Self {
        Self {
            model: resolve(config, workload),
            wide: MeshWide::of(config),
            fidelity: fidelity(config, Some(workload), &gateway::capabilities()),
        }
    }
}

impl Files {
    /// Reads the files. What is not enforced is a warning, or refused if it guards something.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn load(&self, version: u64) -> Result<(Generation, Diagnostics), Diagnostics> {
        let loaded = config::load(&self.paths);
        let builder = MeshConfig::builder().features(self.features);
        let (config, mut diagnostics) = loaded.build(builder, version)?;
        let generation = Generation::new(&config, &self.workload);
        diagnostics.extend(generation.fidelity.unsupported());
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        Ok((generation, diagnostics))
    }

    /// Reads the files for the first time, and tells the warnings. They are watched from before they
    /// are read, so that no change is missed.
    ///
    /// # Errors
    ///
    /// What is wrong with them, drawn for a person; or they cannot be watched.
    pub fn load_first(&self) -> Result<(Generation, Changes), Box<dyn Error>> {
        let changes = changes::watch(&self.paths)?;
        let loaded = self.load(1);
        let (generation, diagnostics) = loaded.map_err(|found| found.to_string())?;
        eprint!("{diagnostics}");
        Ok((generation, changes))
    }
}
