//! Webhooks of Kubernetes: who changes or refuses objects before they are stored.
//!
//! `MutatingWebhookConfiguration` and `ValidatingWebhookConfiguration` of
//! `admissionregistration.k8s.io/v1`. Istio injects sidecars by the former and validates its
//! resources by the latter.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::kubernetes::webhook_configuration::MutatingWebhookConfiguration;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let configuration: MutatingWebhookConfiguration = serde_json::from_str(
//!     r#"{"webhooks": [{
//!         "name": "sidecar-injector.istio.io",
//!         "clientConfig": {"service": {"namespace": "istio-system", "name": "istiod"}}
//!     }]}"#,
//! )?;
//! let service = configuration.webhooks[0].client_config.service.as_ref();
//! assert_eq!(service.map(|service| service.name.as_str()), Some("istiod"));
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

use super::label_selector::LabelSelector;

/// A MutatingWebhookConfiguration without its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MutatingWebhookConfiguration {
    /// The webhooks, in the order in which they are called.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<Webhook>,
}

/// A ValidatingWebhookConfiguration without its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ValidatingWebhookConfiguration {
    /// The webhooks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<Webhook>,
}

/// A webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Webhook {
    /// Name, with a domain. Required.
    pub name: String,
    /// Where it is.
    pub client_config: WebhookClientConfig,
    /// Namespaces whose objects it sees. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Objects that it sees. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_selector: Option<LabelSelector>,
}

/// Where a webhook is: at a URL, or behind a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WebhookClientConfig {
    /// The URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceReference>,
}

/// A Service that a webhook is behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceReference {
    /// Its namespace. Required.
    pub namespace: String,
    /// Its name. Required.
    pub name: String,
    /// Path of the URL. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its port. Default: 443.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_configuration_keeps_all_that_is_read() {
        let written = json!({"webhooks": [{
            "name": "rev.namespace.sidecar-injector.istio.io",
            "clientConfig": {
                "url": "https://192.0.2.1:15017/inject",
                "service": {"namespace": "a", "name": "b", "path": "/inject", "port": 443},
            },
            "namespaceSelector": {"matchLabels": {"istio-injection": "enabled"}},
            "objectSelector": {"matchLabels": {"sidecar.istio.io/inject": "true"}},
        }]});
        let read: MutatingWebhookConfiguration = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), written);
    }
}
