//! Rules of ProxyConfig (`ValidateProxyConfig`).
//!
//! ```
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::ProxyConfig;
//! use mesh_core::validate::{Report, proxy_config};
//!
//! let mut resource = Resource::<ProxyConfig>::default();
//! resource.spec.concurrency = Some(-1);
//! let report = Report::default();
//! proxy_config::validate(&resource, report.root());
//! assert_eq!(report.into_violations()[0].message, "`-1` is negative");
//! ```

use super::{At, selector};
use crate::resource::Resource;
use crate::resource::istio::ProxyConfig;

/// The longest value of an environment variable.
const MAX_VALUE_LEN: usize = 2048;

/// Checks a ProxyConfig.
pub fn validate(resource: &Resource<ProxyConfig>, at: At<'_>) {
    let ProxyConfig {
        selector,
        concurrency,
        environment_variables,
        image: _,
    } = &resource.spec;
    let at = at.field("spec");
    if let Some(selector) = selector {
        selector::validate_workload(selector, at.field("selector"));
    }
    if let Some(concurrency) = concurrency.filter(|concurrency| *concurrency < 0) {
        at.field("concurrency")
            .error(format_args!("`{concurrency}` is negative"));
    }
    at.field("environmentVariables")
        .each_entry(environment_variables, |_, value, at| {
            if value.len() > MAX_VALUE_LEN {
                at.error(format_args!("a value has at most {MAX_VALUE_LEN} bytes"));
            }
        });
}
