//! WebAssembly modules, which WasmPlugin and TrafficExtension describe alike.

use std::collections::BTreeSet;

use super::At;
use super::port;
use super::url::Url;
use crate::resource::istio::wasm_plugin::{EnvValueSource, EnvVar, TrafficSelector, VmConfig};

/// The longest name of a plugin, and of a variable.
const MAX_NAME_LEN: usize = 256;

/// The longest name of a secret.
const MAX_SECRET_LEN: usize = 253;

/// The longest value of a variable.
const MAX_VALUE_LEN: usize = 2048;

/// The most variables.
const MAX_VARIABLES: usize = 256;

/// The fields that say which module is loaded, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Module<'s> {
    pub(super) url: &'s str,
    pub(super) sha256: &'s str,
    pub(super) image_pull_secret: Option<&'s str>,
    pub(super) plugin_name: Option<&'s str>,
    pub(super) vm_config: Option<&'s VmConfig>,
}

impl Module<'_> {
    /// Checks the fields of the value at `at`.
    pub(super) fn validate(&self, at: At<'_>) {
        validate_url(self.url, at.field("url"));
        validate_sha256(self.sha256, at.field("sha256"));
        for (field, name, max) in [
            ("imagePullSecret", self.image_pull_secret, MAX_SECRET_LEN),
            ("pluginName", self.plugin_name, MAX_NAME_LEN),
        ] {
            if let Some(name) = name.filter(|name| name.is_empty() || name.len() > max) {
                at.field(field)
                    .error(format_args!("`{name}` has not from 1 to {max} bytes"));
            }
        }
        if let Some(vm) = self.vm_config {
            validate_environment(&vm.env, at.field("vmConfig").field("env"));
        }
    }
}

/// Checks where a module is loaded from (`validateWasmPluginURL`); without scheme, it is an image.
fn validate_url(text: &str, at: At<'_>) {
    if text.is_empty() {
        at.error("a URL is required");
        return;
    }
    let url = Url::parse_request(text)
        .and_then(|_| Url::parse(text))
        .or_else(|error| {
            let image = format!("http://{text}");
            Url::parse_request(&image)
                .and_then(|_| Url::parse(&image))
                .map_err(|_| error)
        });
    match url {
        Ok(url) if matches!(url.scheme(), "" | "file" | "http" | "https" | "oci") => {}
        Ok(url) => {
            at.error(format_args!("scheme `{}` is not supported", url.scheme()))
                .help("use `oci`, `https`, `http` or `file`");
        }
        Err(error) => {
            at.error(error);
        }
    }
}

fn validate_sha256(digest: &str, at: At<'_>) {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_digest = digest.len() == 64 && digest.bytes().all(is_digit);
    if !digest.is_empty() && !is_digest {
        at.error(format_args!(
            "`{digest}` does not consist of 64 hexadecimal digits"
        ));
    }
}

fn validate_environment(variables: &[EnvVar], at: At<'_>) {
    if variables.len() > MAX_VARIABLES {
        at.error(format_args!("more than {MAX_VARIABLES} variables"));
    }
    let mut names = BTreeSet::new();
    at.each(variables, |variable, at| {
        let EnvVar {
            name,
            value_from,
            value,
        } = variable;
        if name.is_empty() || name.len() > MAX_NAME_LEN {
            at.field("name")
                .error(format_args!("a name has from 1 to {MAX_NAME_LEN} bytes"));
        }
        if !names.insert(name.as_str()) {
            at.field("name")
                .error(format_args!("variable `{name}` is there twice"));
        }
        if *value_from == EnvValueSource::Host && value.is_some() {
            at.field("value")
                .error("a variable of the host has no value here");
        }
        if value
            .as_ref()
            .is_some_and(|value| value.len() > MAX_VALUE_LEN)
        {
            at.field("value")
                .error(format_args!("a value has at most {MAX_VALUE_LEN} bytes"));
        }
    });
}

/// Checks which traffic an extension sees (`validateWasmPluginMatch`).
pub(super) fn validate_matches(matches: &[TrafficSelector], at: At<'_>) {
    at.each(matches, |selector, at| {
        let mut numbers = BTreeSet::new();
        at.field("ports").each(&selector.ports, |port, at| {
            let at = at.field("number");
            port::validate_number(port.number, at);
            if !numbers.insert(port.number) {
                at.error(format_args!("port `{}` is there twice", port.number));
            }
        });
    });
}
