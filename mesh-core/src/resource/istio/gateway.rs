//! Gateway: the ports at which a gateway workload takes traffic in.
//!
//! Source: messages of `networking/v1alpha3/gateway.proto`; `networking.istio.io/v1`, `v1beta1`
//! and `v1alpha3`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::gateway::{Gateway, ServerTlsMode};
//!
//! let spec: Gateway = serde_json::from_str(
//!     r#"{
//!         "selector": {"istio": "ingressgateway"},
//!         "servers": [{
//!             "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
//!             "hosts": ["shop.example.com"],
//!             "tls": {"mode": "SIMPLE", "credentialName": "shop-certificate"}
//!         }]
//!     }"#,
//! )?;
//!
//! let tls = spec.servers[0].tls.as_ref();
//! assert_eq!(tls.map(|tls| tls.mode), Some(ServerTlsMode::Simple));
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::istio::is_default;
use crate::service::Protocol;

/// Ports at which a gateway workload takes traffic in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// The ports.
    #[serde(skip_serializing_if = "is_default")]
    pub servers: Vec<Server>,
    /// Labels that a workload has to have, all of them. Empty: every workload.
    #[serde(skip_serializing_if = "is_default")]
    pub selector: BTreeMap<String, String>,
}

/// A port and the hosts that are served there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Server {
    /// The port. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub port: Option<Port>,
    /// Address or Unix domain socket to listen at. Default: every address.
    #[serde(skip_serializing_if = "is_default")]
    pub bind: String,
    /// Hosts that are served, as `[namespace/]host`; `*.example.com` and `*` are wildcards. The
    /// namespace is the one whose virtual services may bind: a name, `.` or `*`, the default.
    /// Required.
    #[serde(skip_serializing_if = "is_default")]
    pub hosts: Vec<String>,
    /// How TLS is terminated.
    #[serde(skip_serializing_if = "is_default")]
    pub tls: Option<ServerTlsSettings>,
    /// Address that traffic goes to by default. Istio hides it and does nothing with it.
    #[serde(skip_serializing_if = "is_default")]
    pub default_endpoint: String,
    /// Name, for statistics.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
}

impl Server {
    /// Whether its requests are routed one by one: it is plaintext HTTP, or HTTPS that ends here
    /// (`IsHTTPServer`).
    ///
    /// ```
    /// use mesh_core::resource::istio::gateway::Server;
    ///
    /// let server: Server = serde_json::from_str(
    ///     r#"{"port": {"number": 443, "protocol": "HTTPS"}, "tls": {"mode": "SIMPLE"}}"#,
    /// )?;
    /// assert!(server.is_http() && server.is_tls() && !server.is_passthrough());
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn is_http(&self) -> bool {
        let protocol = self.protocol();
        let ends_tls = self.tls.as_ref().is_some_and(|tls| !tls.is_passthrough());
        protocol.is_http() || (protocol == Protocol::Https && ends_tls)
    }

    /// Whether its connections are TLS, which ends here or is passed on (`IsTLSServer`). The `tls` of
    /// plaintext HTTP can only redirect.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some() && !self.protocol().is_http()
    }

    /// Whether TLS is passed on (`IsPassThroughServer`).
    pub fn is_passthrough(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(ServerTlsSettings::is_passthrough)
    }

    fn protocol(&self) -> Protocol {
        let port = self.port.as_ref();
        port.map_or(Protocol::Unsupported, |port| {
            Protocol::parse(&port.protocol)
        })
    }
}

/// A port of a gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Port {
    /// Number of the port, that of the gateway's service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub number: u32,
    /// What the port carries: `HTTP`, `HTTPS`, `GRPC`, `GRPC-WEB`, `HTTP2`, `MONGO`, `TCP` or
    /// `TLS`. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub protocol: String,
    /// Name of the port. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Has no meaning here. Deprecated.
    #[serde(skip_serializing_if = "is_default")]
    pub target_port: u32,
}

/// How a server terminates TLS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerTlsSettings {
    /// Redirects plain HTTP to HTTPS with status 301. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub https_redirect: bool,
    /// Whether TLS is terminated, and what the client presents.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: ServerTlsMode,
    /// Path of the server's certificate.
    #[serde(skip_serializing_if = "is_default")]
    pub server_certificate: String,
    /// Path of the server's private key.
    #[serde(skip_serializing_if = "is_default")]
    pub private_key: String,
    /// Path of the authorities that may have signed the client's certificate.
    #[serde(skip_serializing_if = "is_default")]
    pub ca_certificates: String,
    /// Path of the certificates that the authorities revoked. Default: none are.
    #[serde(skip_serializing_if = "is_default")]
    pub ca_crl: String,
    /// Name of the secret with key and certificates, in place of the paths.
    #[serde(skip_serializing_if = "is_default")]
    pub credential_name: String,
    /// Names of several such secrets, for RSA and ECDSA.
    #[serde(skip_serializing_if = "is_default")]
    pub credential_names: Vec<String>,
    /// Name of the secret or config map with the authorities; precedes those in
    /// `credential_name`.
    #[serde(skip_serializing_if = "is_default")]
    pub ca_cert_credential_name: String,
    /// Several certificates by their paths, for RSA and ECDSA.
    #[serde(skip_serializing_if = "is_default")]
    pub tls_certificates: Vec<TlsCertificate>,
    /// Names of which the client's certificate has to have one.
    #[serde(skip_serializing_if = "is_default")]
    pub subject_alt_names: Vec<String>,
    /// Base64 SHA-256 hashes of public keys of which the client has to have one.
    #[serde(skip_serializing_if = "is_default")]
    pub verify_certificate_spki: Vec<String>,
    /// Hexadecimal SHA-256 hashes of certificates of which the client has to present one. With
    /// `verify_certificate_spki`, either is enough.
    #[serde(skip_serializing_if = "is_default")]
    pub verify_certificate_hash: Vec<String>,
    /// Lowest version of TLS. Default: 1.2.
    #[serde(skip_serializing_if = "is_default")]
    pub min_protocol_version: TlsProtocol,
    /// Highest version of TLS.
    #[serde(skip_serializing_if = "is_default")]
    pub max_protocol_version: TlsProtocol,
    /// Cipher suites by OpenSSL's names. Default: Envoy's.
    #[serde(skip_serializing_if = "is_default")]
    pub cipher_suites: Vec<String>,
    /// Curves of the key exchange. Default: Envoy's.
    #[serde(skip_serializing_if = "is_default")]
    pub ecdh_curves: Vec<String>,
    /// Takes clients whose certificate is not trusted. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub insecure_skip_verify: Option<bool>,
}

impl ServerTlsSettings {
    /// Whether TLS is passed on.
    pub fn is_passthrough(&self) -> bool {
        use ServerTlsMode::{AutoPassthrough, Passthrough};
        matches!(self.mode, AutoPassthrough | Passthrough)
    }
}

/// Whether TLS is terminated, and what the client presents.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServerTlsMode {
    /// TLS is passed on; virtual services route by the server name.
    #[default]
    Passthrough,
    /// TLS ends here; the client presents nothing.
    Simple,
    /// TLS ends here; the client has to present a certificate.
    Mutual,
    /// TLS is passed on to the service that the server name spells out.
    AutoPassthrough,
    /// TLS ends here, with identities of the mesh on both sides.
    IstioMutual,
    /// TLS ends here; the client may present a certificate, which has to be valid then.
    OptionalMutual,
}

/// A certificate and its key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsCertificate {
    /// Path of the certificate.
    #[serde(skip_serializing_if = "is_default")]
    pub server_certificate: String,
    /// Path of the private key.
    #[serde(skip_serializing_if = "is_default")]
    pub private_key: String,
    /// Path of the authorities for client certificates. Istio hides it.
    #[serde(skip_serializing_if = "is_default")]
    pub ca_certificates: String,
}

/// Version of TLS.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TlsProtocol {
    /// Not said.
    #[default]
    TlsAuto,
    /// TLS 1.0.
    Tlsv1_0,
    /// TLS 1.1.
    Tlsv1_1,
    /// TLS 1.2.
    Tlsv1_2,
    /// TLS 1.3.
    Tlsv1_3,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::istio::round_trip;

    #[test]
    fn port_and_mode_say_what_a_server_takes() {
        let (http, tls, passthrough) = (true, true, true);
        let cases = [
            ("HTTP", None, (http, !tls, !passthrough)),
            ("HTTP", Some("PASSTHROUGH"), (http, !tls, passthrough)),
            ("HTTPS", None, (!http, !tls, !passthrough)),
            ("HTTPS", Some("SIMPLE"), (http, tls, !passthrough)),
            ("HTTPS", Some("AUTO_PASSTHROUGH"), (!http, tls, passthrough)),
            ("TLS", Some("ISTIO_MUTUAL"), (!http, tls, !passthrough)),
            ("TCP", None, (!http, !tls, !passthrough)),
        ];
        for (protocol, mode, expected) in cases {
            let mut server = json!({"port": {"protocol": protocol}});
            if let Some(mode) = mode {
                server["tls"] = json!({"mode": mode});
            }
            let server: Server = serde_json::from_value(server).unwrap();
            let found = (server.is_http(), server.is_tls(), server.is_passthrough());
            assert_eq!(found, expected, "{protocol} {mode:?}");
        }
    }

    #[test]
    fn several_servers_are_read_whole() {
        let spec: Gateway = round_trip(&json!({
            "selector": {"istio": "ingressgateway"},
            "servers": [
                {
                    "port": {"number": 80, "name": "http", "protocol": "HTTP"},
                    "hosts": ["shop/*.example.com", "./admin.example.com"],
                    "tls": {"httpsRedirect": true},
                },
                {
                    "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
                    "bind": "10.0.0.1",
                    "hosts": ["*"],
                    "tls": {
                        "mode": "OPTIONAL_MUTUAL",
                        "credentialNames": ["rsa", "ecdsa"],
                        "verifyCertificateSpki": ["AAAA"],
                        "ecdhCurves": ["X25519"],
                        "minProtocolVersion": "TLSV1_2",
                        "maxProtocolVersion": "TLSV1_3",
                        "insecureSkipVerify": true,
                    },
                },
            ],
        }));

        assert_eq!(spec.servers[0].hosts.len(), 2);
        let plain = spec.servers[0].tls.as_ref().unwrap();
        assert!(plain.https_redirect);
        assert_eq!(plain.mode, ServerTlsMode::Passthrough);
        let tls = spec.servers[1].tls.as_ref().unwrap();
        assert_eq!(tls.mode, ServerTlsMode::OptionalMutual);
        assert_eq!(tls.max_protocol_version, TlsProtocol::Tlsv1_3);
        assert_eq!(tls.insecure_skip_verify, Some(true));
    }
}
