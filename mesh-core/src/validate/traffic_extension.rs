//! Rules of TrafficExtension (`ValidateTrafficExtension`).
//!
//! ```
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::TrafficExtension;
//! use mesh_core::validate::{Report, traffic_extension};
//!
//! let resource = Resource::<TrafficExtension>::default();
//! let report = Report::default();
//! traffic_extension::validate(&resource, report.root());
//! assert_eq!(report.into_violations()[0].message, "one of `wasm` and `lua` is required");
//! ```

use super::At;
use super::selector::Attachment;
use super::wasm::{self, Module};
use crate::resource::Resource;
use crate::resource::istio::TrafficExtension;

/// The longest code in Lua.
const MAX_CODE_LEN: usize = 65_536;

/// Checks a TrafficExtension.
pub fn validate(resource: &Resource<TrafficExtension>, at: At<'_>) {
    let TrafficExtension {
        selector,
        target_refs,
        phase: _,
        priority: _,
        r#match,
        wasm,
        lua,
    } = &resource.spec;
    let at = at.field("spec");
    at.exactly_one(&[("wasm", wasm.is_some()), ("lua", lua.is_some())]);
    let attachment = Attachment {
        selector: selector.as_ref(),
        target_ref: None,
        target_refs,
    };
    attachment.validate(at);
    if let Some(lua) = lua {
        let (code, lua_at) = (&lua.inline_code, at.field("lua"));
        let at = lua_at.field("inlineCode");
        at.require(!code.is_empty(), "code is required");
        at.require(
            code.len() <= MAX_CODE_LEN,
            "the code has at most 65536 bytes",
        );
    }
    if let Some(wasm) = wasm {
        let module = Module {
            url: &wasm.url,
            sha256: &wasm.sha256,
            image_pull_secret: wasm.image_pull_secret.as_deref(),
            plugin_name: wasm.plugin_name.as_deref(),
            vm_config: wasm.vm_config.as_ref(),
        };
        module.validate(at.field("wasm"));
    }
    wasm::validate_matches(r#match, at.field("match"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::testing::{assert_errors, read};

    #[test]
    fn an_extension_is_a_module_or_a_script() {
        let (wasm, lua) = (json!({"url": "oci://a"}), json!({"inlineCode": "return"}));
        let cases = [
            (json!({"wasm": wasm}), 0),
            (
                json!({"lua": lua, "match": [{"ports": [{"number": 80}]}]}),
                0,
            ),
            (json!({}), 1),
            (json!({"wasm": wasm, "lua": lua}), 1),
            (json!({"wasm": {}}), 1),
            (json!({"lua": {}}), 1),
            (json!({"lua": {"inlineCode": "a".repeat(65_537)}}), 1),
            (
                json!({"lua": lua, "match": [{"ports": [{"number": 0}]}]}),
                1,
            ),
        ];
        for (spec, errors) in cases {
            let extension = Resource::<TrafficExtension> {
                spec: read(spec.clone()),
                ..Resource::default()
            };
            assert_errors(&spec.to_string(), errors, |at| validate(&extension, at));
        }
    }
}
