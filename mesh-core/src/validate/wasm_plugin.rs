//! Rules of WasmPlugin (`ValidateWasmPlugin`).
//!
//! ```
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::WasmPlugin;
//! use mesh_core::validate::{Report, wasm_plugin};
//!
//! let mut resource = Resource::<WasmPlugin>::default();
//! resource.spec.url = "ftp://example.com/plugin.wasm".into();
//! let report = Report::default();
//! wasm_plugin::validate(&resource, report.root());
//! assert_eq!(report.into_violations()[0].message, "scheme `ftp` is not supported");
//! ```

use super::At;
use super::selector::Attachment;
use super::wasm::{self, Module};
use crate::resource::Resource;
use crate::resource::istio::WasmPlugin;

/// Checks a WasmPlugin.
pub fn validate(resource: &Resource<WasmPlugin>, at: At<'_>) {
    let plugin = &resource.spec;
    let at = at.field("spec");
    let attachment = Attachment {
        selector: plugin.selector.as_ref(),
        target_ref: plugin.target_ref.as_ref(),
        target_refs: &plugin.target_refs,
    };
    attachment.validate(at);
    let module = Module {
        url: &plugin.url,
        sha256: &plugin.sha256,
        image_pull_secret: plugin.image_pull_secret.as_deref(),
        plugin_name: plugin.plugin_name.as_deref(),
        vm_config: plugin.vm_config.as_ref(),
    };
    module.validate(at);
    wasm::validate_matches(&plugin.r#match, at.field("match"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::testing::{assert_errors, read};

    #[test]
    fn a_plugin_has_a_url_and_valid_settings() {
        let with = |field: &str, value| json!({"url": "oci://a/b", field: value});
        let env = |env| with("vmConfig", json!({"env": env}));
        let cases = [
            (json!({"url": "test"}), 0),
            (
                json!({"url": "https://a/b.wasm", "sha256": "0a".repeat(32)}),
                0,
            ),
            (json!({}), 1),
            (json!({"url": "#%blah$#@"}), 1),
            (with("sha256", json!("0A".repeat(32))), 1),
            (with("sha256", json!("0a")), 1),
            (with("imagePullSecret", json!("")), 1),
            (with("imagePullSecret", json!("a".repeat(254))), 1),
            (with("pluginName", json!("a".repeat(257))), 1),
            (
                env(json!([{"name": "A", "value": "b"}, {"name": "B", "valueFrom": "HOST"}])),
                0,
            ),
            (env(json!([{"name": "A"}, {"name": "A"}])), 1),
            (env(json!([{}])), 1),
            (
                env(json!([{"name": "A", "valueFrom": "HOST", "value": "b"}])),
                1,
            ),
            (with("match", json!([{"ports": [{"number": 80}]}])), 0),
            (
                with("match", json!([{"ports": [{}, {"number": 65536}]}])),
                2,
            ),
        ];
        for (spec, errors) in cases {
            let plugin = Resource::<WasmPlugin> {
                spec: read(spec.clone()),
                ..Resource::default()
            };
            assert_errors(&spec.to_string(), errors, |at| validate(&plugin, at));
        }
    }
}
