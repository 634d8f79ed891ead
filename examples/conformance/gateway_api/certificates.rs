//! The certificates that the suite makes before its tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::ServerConfig;
use serde_json::Value;

use crate::stage::certificates::{Authority, Issued, config_map, self_signed};

const INFRA: &str = "gateway-conformance-infra";
const APP_BACKEND: &str = "gateway-conformance-app-backend";
const WEB_BACKEND: &str = "gateway-conformance-web-backend";

/// The names of the services of the suite that speak TLS.
const BACKEND: [&str; 3] = [
    "abc.example.com",
    "spiffe://abc.example.com/test-identity",
    "other.example.com",
];

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Certificates, in Secrets and ConfigMaps.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    resources: Vec<Value>,
    issued: BTreeMap<(String, String), Arc<Issued>>,
}

impl Certificates {
    /// Makes all of them.
    pub(super) fn new() -> Result<Self, Error> {
        let mut all = Self::default();
        all.add(WEB_BACKEND, "certificate", self_signed(&["*"])?);
        let validity = self_signed(&["*", "*.org", "*.wildcard.org"])?;
        all.add(INFRA, "tls-validity-checks-certificate", validity);
        all.authority(WEB_BACKEND, "web-backend-cm")?;
        for checks in ["tls-validity-checks", "tls-validity-checks-per-port"] {
            let authority = all.authority(INFRA, &format!("{checks}-ca-certificate"))?;
            let client = authority.issue(&[])?;
            all.add(INFRA, &format!("{checks}-client-certificate"), client);
        }
        let checks = all.authority(INFRA, "tls-checks-ca-certificate")?;
        all.add(INFRA, "tls-checks-certificate", checks.issue(&BACKEND)?);
        all.add(INFRA, "tls-checks-client-certificate", checks.issue(&[])?);
        for namespace in [INFRA, APP_BACKEND] {
            let issued = checks.issue(&["abc.example.com"])?;
            all.add(namespace, "tls-passthrough-checks-certificate", issued);
        }
        let terminated = checks.issue(&["tls.example.com"])?;
        all.add(INFRA, "tls-terminate-checks-certificate", terminated);
        all.authority(INFRA, "mismatch-ca-certificate")?;
        Ok(all)
    }

    /// The Secrets and ConfigMaps.
    pub(super) fn resources(&self) -> &[Value] {
        &self.resources
    }

    /// The certificate of a Secret.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Issued>> {
        self.issued.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// The TLS of the suite's services. One certificate has the names of all of them.
    pub(super) fn backend(&self) -> Result<Arc<ServerConfig>, Error> {
        let issued = self.get(INFRA, "tls-checks-certificate");
        let issued = issued.ok_or("the services have no certificate")?;
        issued.server(&["h2", "http/1.1"])
    }

    fn authority(&mut self, namespace: &str, name: &str) -> Result<Authority, Error> {
        let authority = Authority::new(name)?;
        let map = config_map(&authority, namespace, name);
        self.resources.push(map);
        Ok(authority)
    }

    fn add(&mut self, namespace: &str, name: &str, issued: Issued) {
        self.resources.push(issued.secret(namespace, name));
        let key = (namespace.to_owned(), name.to_owned());
        self.issued.insert(key, Arc::new(issued));
    }
}
