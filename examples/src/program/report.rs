//! What whoever runs a program is told, on standard error.

use std::collections::BTreeSet;
use std::error::Error;
use std::net::SocketAddr;

use mesh_core::model::{Model, Notice};
use mesh_core::workload::WorkloadKind;

use crate::gateway::Gateway;

/// Tells whoever runs a gateway what has changed.
#[derive(Debug, Default)]
pub struct Report {
    /// What the last generation was warned about, which is not said again.
    warnings: BTreeSet<String>,
    /// The ports that are served, and where.
    served: Option<BTreeSet<(u16, SocketAddr)>>,
}

impl Report {
    /// Tells what of `model` refers to nothing, and what of it is not served, unless it was told of
    /// the generation before. What `gateway` cannot bind is an error.
    pub fn warn(&mut self, gateway: &Gateway, model: &Model, unserved: Vec<String>) {
        let notices = model.notices.iter().map(Notice::to_string);
        let warnings: BTreeSet<String> = notices.chain(unserved).collect();
        let errors = gateway.unbound().iter().map(Notice::to_string);
        let errors: BTreeSet<String> = errors.collect();
        for told in warnings.difference(&self.warnings) {
            let kind = match errors.contains(told) {
                true => "error",
                false => "warning",
            };
            eprintln!("{kind}: {told}");
        }
        self.warnings = warnings;
    }

    /// Tells which ports are served now and were not, and the reverse.
    pub fn served(&mut self, gateway: &Gateway, model: &Model) {
        let served: BTreeSet<(u16, SocketAddr)> = gateway.addresses().collect();
        let before = self.served.take();
        let workload = &model.workload;
        let is_gateway = workload.kind == WorkloadKind::Gateway;
        let is_news = before.as_ref().is_none_or(|before| !before.is_empty());
        if served.is_empty() && is_gateway && is_news {
            let (namespace, labels) = (&workload.namespace, &workload.labels);
            eprintln!("no port is served: no Gateway selects {labels} in {namespace}");
        }
        let before = before.unwrap_or_default();
        for (declared, address) in served.difference(&before) {
            eprintln!("port {declared} is served at {address}");
        }
        for (declared, address) in before.difference(&served) {
            eprintln!("port {declared} is served no more at {address}");
        }
        self.served = Some(served);
    }
}

/// What `error` says, and what its sources say.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        source = error.source();
    }
    text
}
