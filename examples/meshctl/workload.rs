use std::str::FromStr;

use mesh_core::config::MeshConfig;
use mesh_core::labels::Labels;
use mesh_core::workload::Workload;

/// A workload as the command line names it: `namespace/name[:key=value,…]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct WorkloadName {
    namespace: String,
    name: String,
    labels: Labels,
}

impl WorkloadName {
    /// Whether a Gateway of `config` selects the workload by its labels.
    pub(crate) fn is_gateway(&self, config: &MeshConfig) -> bool {
        let by_name = self.labels.value("gateway.networking.k8s.io/gateway-name");
        let selected = config.resources().gateways.iter().any(|gateway| {
            let selector = &gateway.spec.selector;
            !selector.is_empty()
                && selector
                    .iter()
                    .all(|(key, value)| self.labels.value(key) == Some(value))
        });
        by_name.is_some() || selected
    }

    /// The workload.
    pub(crate) fn to_workload(&self, is_gateway: bool) -> Workload {
        let mut workload = match is_gateway {
            true => Workload::gateway(&self.namespace),
            false => Workload::sidecar(&self.namespace),
        };
        workload.name.clone_from(&self.name);
        workload.labels.clone_from(&self.labels);
        workload
    }
}

impl FromStr for WorkloadName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, labels) = text.split_once(':').unwrap_or((text, ""));
        let (namespace, name) = name
            .split_once('/')
            .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty())
            .ok_or("expected namespace/name, and labels after a colon if it has any")?;
        let mut parsed = Labels::default();
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (key, value) = label
                .split_once('=')
                .ok_or_else(|| format!("label `{label}` is not of the form key=value"))?;
            parsed.insert(key, value);
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            labels: parsed,
        })
    }
}
