//! Fields of a ProxyConfig resource.

use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::analyze::fidelity::treatment::Support;
use crate::resource::istio::proxy_config::ProxyConfig;

const PROCESS: Support = Support::NotApplicable("a setting of the process of an Envoy");

const INJECTION: Support = Support::never("sidecars are injected by the mesh's settings alone");

impl Classify for ProxyConfig {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            selector,
            concurrency,
            environment_variables,
            image,
        } = self;
        fields.leaf("selector", selector, PROCESS);
        fields.leaf("concurrency", concurrency, PROCESS);
        fields.leaf("environmentVariables", environment_variables, INJECTION);
        fields.leaf("image", image, INJECTION);
    }
}
