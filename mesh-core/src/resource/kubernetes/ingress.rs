//! Ingress: HTTP routes as Kubernetes had them before the Gateway API.
//!
//! `Ingress` of `networking/v1`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::kubernetes::ingress::{Ingress, PathType};
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let ingress: Ingress = serde_json::from_str(
//!     r#"{"spec": {
//!         "ingressClassName": "istio",
//!         "rules": [{"host": "shop.example", "http": {"paths": [{
//!             "path": "/cart", "pathType": "Prefix",
//!             "backend": {"service": {"name": "cart", "port": {"name": "http"}}}
//!         }]}}]
//!     }}"#,
//! )?;
//! let path = &ingress.spec.rules[0].http.paths[0];
//! assert_eq!(path.path_type, Some(PathType::Prefix));
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

/// An Ingress without its metadata and its status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ingress {
    /// What is asked for.
    pub spec: IngressSpec,
}

/// What an Ingress asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressSpec {
    /// Class, which chooses the controller. Default: the cluster's default class, or the
    /// annotation `kubernetes.io/ingress.class`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_class_name: Option<String>,
    /// Backend of requests that no rule takes. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_backend: Option<IngressBackend>,
    /// Hosts served over TLS, and their certificates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tls: Vec<IngressTls>,
    /// The rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<IngressRule>,
}

/// Hosts served over TLS, and their certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressTls {
    /// The hosts. Default: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Secret with the certificate and its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
}

/// Paths of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressRule {
    /// The host, or `*.` and a host, for which `*` is one label. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The paths. Default: none, and all requests go to the default backend.
    pub http: IngressPaths,
}

/// A list of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressPaths {
    /// The paths, of which the longest that matches decides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<IngressPath>,
}

/// A path and its backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressPath {
    /// The path. Required for the types `Exact` and `Prefix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How the path is compared. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_type: Option<PathType>,
    /// Where the requests go. Required.
    pub backend: IngressBackend,
}

/// How a path of an Ingress is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathType {
    /// The whole path, byte for byte.
    Exact,
    /// As the controller likes: Istio reads a `*` at the end as a prefix, and else an exact path.
    ImplementationSpecific,
    /// A prefix of whole segments.
    Prefix,
}

/// Where the requests of an Ingress go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressBackend {
    /// The Service. Default: none, where the backend is a resource of another kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<IngressServiceBackend>,
}

/// A Service that requests go to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressServiceBackend {
    /// Name of the Service, in the Ingress's namespace. Required.
    pub name: String,
    /// Port of the Service. Required.
    pub port: ServiceBackendPort,
}

/// A port of a Service, by one of name and number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceBackendPort {
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u16>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_ingress_keeps_all_that_is_read() {
        let written = json!({"spec": {
            "ingressClassName": "istio",
            "defaultBackend": {"service": {"name": "front", "port": {"number": 80}}},
            "tls": [{"hosts": ["shop.example"], "secretName": "shop-cert"}],
            "rules": [{"host": "*.shop.example", "http": {"paths": [{
                "path": "/.*", "pathType": "ImplementationSpecific",
                "backend": {"service": {"name": "cart", "port": {"name": "http"}}},
            }]}}],
        }});
        let ingress: Ingress = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(
            ingress.spec.tls[0].secret_name.as_deref(),
            Some("shop-cert")
        );
        assert_eq!(serde_json::to_value(&ingress).unwrap(), written);
    }
}
