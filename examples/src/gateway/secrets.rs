use std::fs;
use std::sync::Arc;

use mesh_core::model::Model;
use mesh_tls::config::TlsCompiler;
use mesh_tls::credential::Credential;
use mesh_tls::secret::TlsSecret;
use mesh_tls::secret_store::{SecretName, SecretStore};
use mesh_tls::verify::{Revocations, Roots};
use rustls::crypto::{CryptoProvider, aws_lc_rs};

use super::mesh_wide::MeshWide;

/// What TLS is made of. Secrets are replaced under the connections to come.
#[derive(Debug)]
pub(super) struct Tls {
    compiler: TlsCompiler,
}

impl Tls {
    /// No secrets yet.
    pub(super) fn new() -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        Self {
            compiler: TlsCompiler::new(provider, SecretStore::default()),
        }
    }

    /// Who compiles TLS settings.
    pub(super) fn compiler(&self) -> &TlsCompiler {
        &self.compiler
    }

    /// Publishes the secrets that what was compiled names, and says which cannot be had. What needs
    /// one of these is not served: its handshakes fail.
    pub(super) fn publish_secrets(&self, model: &Model, wide: &MeshWide) -> Vec<String> {
        let secrets = self.compiler.secrets();
        let mut warnings = Vec::new();
        for name in secrets.wanted() {
            match self.load(&name, model, wide) {
                Ok(Some(secret)) => secrets.publish(&name, secret),
                Ok(None) => secrets.withdraw(&name),
                Err(problem) => {
                    secrets.withdraw(&name);
                    warnings.push(format!("secret `{name}`: {problem}"));
                }
            }
        }
        warnings
    }

    /// A secret; `None` if it need not exist.
    fn load(
        &self,
        name: &SecretName,
        model: &Model,
        wide: &MeshWide,
    ) -> Result<Option<TlsSecret>, String> {
        let provider: &CryptoProvider = self.compiler.provider();
        let read = |path: &String| fs::read(path).map_err(|error| error.to_string());
        let secret = TlsSecret::default();
        match name {
            SecretName::Kubernetes { namespace, name } => {
                let namespace = namespace.as_ref().unwrap_or(&model.workload.namespace);
                let found = wide.secrets.iter().find(|secret| {
                    secret.metadata.name == *name && secret.metadata.namespace == *namespace
                });
                match found {
                    Some(found) => TlsSecret::from_kubernetes(&found.spec, provider)
                        .map(Some)
                        .map_err(|error| error.to_string()),
                    // Authorities may be in the Secret of the certificate.
                    None if name.ends_with("-cacert") => Ok(None),
                    None => Err(format!("there is none in namespace `{namespace}`")),
                }
            }
            SecretName::CredentialFiles { certificate, key } => {
                let credential = Credential::from_pem(&read(certificate)?, &read(key)?, provider);
                let credential = credential.map_err(|error| error.to_string())?;
                Ok(Some(secret.with_credential(credential)))
            }
            SecretName::AuthoritiesFile(path) => {
                let roots = Roots::from_pem(&read(path)?).map_err(|error| error.to_string())?;
                Ok(Some(secret.with_roots(roots)))
            }
            SecretName::RevocationsFile(path) => {
                let lists = Revocations::from_pem(&read(path)?);
                let lists = lists.map_err(|error| error.to_string())?;
                Ok(Some(secret.with_revocations(lists)))
            }
            SecretName::ConfigMap { .. } => Err("ConfigMaps are not read".to_owned()),
        }
    }
}
