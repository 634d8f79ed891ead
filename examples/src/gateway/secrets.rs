use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mesh_core::model::Model;
use mesh_core::resource::Resource;
use mesh_core::resource::kubernetes::secret::Secret;
use mesh_tls::config::TlsCompiler;
use mesh_tls::credential::Credential;
use mesh_tls::secret::TlsSecret;
use mesh_tls::secret_store::SecretName;
use mesh_tls::verify::{Revocations, Roots};
use rustls::crypto::CryptoProvider;

use super::mesh_wide::MeshWide;

/// Where operating systems keep the authorities that they believe, as istiod looks for them.
const SYSTEM_ROOTS: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The end of Istio's names for authorities, which are in what has the name without it.
const AUTHORITIES: &str = "-cacert";

/// The authorities of the system, if it has any.
pub(super) fn system_roots() -> Option<Roots> {
    first_roots(SYSTEM_ROOTS)
}

/// The authorities of the first of these files that has any.
fn first_roots(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Option<Roots> {
    let texts = paths.into_iter().filter_map(|path| fs::read(path).ok());
    texts.filter_map(|text| Roots::from_pem(&text).ok()).next()
}

/// The files that a secret is read from.
pub(super) fn files(name: &SecretName) -> Vec<PathBuf> {
    match name {
        SecretName::AuthoritiesFile(path) | SecretName::RevocationsFile(path) => {
            vec![path.into()]
        }
        SecretName::CredentialFiles { certificate, key } => vec![certificate.into(), key.into()],
        SecretName::ConfigMap { .. }
        | SecretName::Kubernetes { .. }
        | SecretName::KubernetesGateway { .. } => Vec::new(),
    }
}

/// Publishes the secrets of these names, and says which cannot be had. One that could be had before, such
/// as a certificate whose key is not written yet, stays what it was, as in Envoy. What needs another is
/// not served: its handshakes fail.
pub(super) fn publish(
    compiler: &TlsCompiler,
    names: &BTreeSet<SecretName>,
    configuration: (&Model, &MeshWide),
) -> Vec<String> {
    let secrets = compiler.secrets();
    let mut warnings = Vec::new();
    for name in names {
        match load(name, compiler.provider(), configuration) {
            Ok(Some(secret)) => secrets.publish(name, secret),
            Ok(None) => secrets.withdraw(name),
            Err(problem) => {
                let stays = !problem.is_refusal() && secrets.watch(name).load().is_some();
                if !stays {
                    secrets.withdraw(name);
                }
                let stays = if stays { "; it stays what it was" } else { "" };
                warnings.push(format!("secret `{name}`: {problem}{stays}"));
            }
        }
    }
    warnings
}

/// A secret; `None` if it need not exist.
fn load(
    name: &SecretName,
    provider: &CryptoProvider,
    (model, wide): (&Model, &MeshWide),
) -> Result<Option<TlsSecret>, Unavailable> {
    let read = |path: &String| fs::read(path).map_err(|error| error.to_string());
    let own = &model.workload.namespace;
    let secret = TlsSecret::default();
    match name {
        SecretName::Kubernetes {
            namespace: Some(other),
            ..
        } if other != own => Err(Unavailable::Refused(own.clone())),
        SecretName::Kubernetes { name, .. } => Ok(of_kubernetes((own, name), provider, wide)?),
        SecretName::KubernetesGateway { namespace, name } => {
            Ok(of_kubernetes((namespace, name), provider, wide)?)
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
        SecretName::ConfigMap { namespace, name } => {
            let namespace = namespace.as_ref().unwrap_or(own);
            let without_end = || {
                find(
                    &wide.config_maps,
                    namespace,
                    name.strip_suffix(AUTHORITIES)?,
                )
            };
            let found = find(&wide.config_maps, namespace, name).or_else(without_end);
            let found = found.ok_or_else(|| none_in(namespace))?;
            let data = found.spec.data.iter();
            let data = data.map(|(key, value)| (key.as_str(), value.as_str()));
            TlsSecret::from_config_map(data)
                .map(Some)
                .map_err(|error| error.to_string().into())
        }
    }
}

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
enum Unavailable {
    #[error("a workload of namespace `{0}` is given none of others")]
    Refused(String),
    #[error("{0}")]
    Unreadable(String),
}

impl Unavailable {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

impl From<String> for Unavailable {
    fn from(why: String) -> Self {
        Self::Unreadable(why)
    }
}

/// A Secret of this namespace and name.
fn of_kubernetes(
    (namespace, name): (&str, &str),
    provider: &CryptoProvider,
    wide: &MeshWide,
) -> Result<Option<TlsSecret>, String> {
    let read = |secret: &Secret| TlsSecret::from_kubernetes(secret, provider);
    if let Some(found) = find(&wide.secrets, namespace, name) {
        let secret = read(&found.spec).map_err(|error| error.to_string())?;
        return Ok(Some(secret));
    }
    let certificate = name
        .strip_suffix(AUTHORITIES)
        .ok_or_else(|| none_in(namespace))?;
    // Authorities may be in the Secret of the certificate, whose own problems are told of where it is
    // named.
    let found = find(&wide.secrets, namespace, certificate);
    Ok(found.and_then(|found| read(&found.spec).ok()))
}

fn none_in(namespace: &str) -> String {
    format!("there is none in namespace `{namespace}`")
}

fn find<'r, T>(
    resources: &'r [Arc<Resource<T>>],
    namespace: &str,
    name: &str,
) -> Option<&'r Arc<Resource<T>>> {
    resources.iter().find(|one| {
        let metadata = &one.metadata;
        metadata.name == name && metadata.namespace == namespace
    })
}

#[cfg(test)]
mod tests {
    use mesh_core::config::MeshConfig;
    use mesh_core::load::Loaded;
    use mesh_core::parse::{Limits, parse};
    use mesh_core::resolve::resolve;
    use mesh_core::workload::Workload;
    use mesh_tls::secret_store::SecretStore;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use rustls::crypto::aws_lc_rs;

    use super::*;

    #[test]
    fn authorities_are_found_by_istios_names_of_them() {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let pem = authority.pem().replace('\n', "\n    ");
        let text = format!(
            "
apiVersion: v1
kind: ConfigMap
metadata: {{ name: map, namespace: shop }}
data:
  ca.crt: |
    {pem}
---
apiVersion: v1
kind: Secret
metadata: {{ name: secret, namespace: shop }}
stringData:
  ca.crt: |
    {pem}
"
        );
        let objects = parse("mesh.yaml", &text, &Limits::default()).objects;
        let config = MeshConfig::builder().extend(objects).build(1).unwrap();
        let wide = MeshWide::of(&config);
        let provider = aws_lc_rs::default_provider();
        let load_in = |namespace: &str, name: &str| {
            let model = resolve(&config, &Workload::gateway(namespace));
            load(&name.parse().unwrap(), &provider, (&model, &wide))
        };
        for (namespace, name) in [
            ("istio-system", "configmap://shop/map"),
            ("istio-system", "configmap://shop/map-cacert"),
            ("shop", "secret-cacert"),
            ("shop", "kubernetes://shop/secret-cacert"),
            ("istio-system", "kubernetes-gateway://shop/secret-cacert"),
        ] {
            let found = load_in(namespace, name).unwrap();
            assert!(found.unwrap().roots().is_some(), "{name} in {namespace}");
        }
        for name in ["kubernetes://shop/secret", "shop/secret-cacert"] {
            let error = load_in("istio-system", name).unwrap_err();
            let given = "a workload of namespace `istio-system` is given none of others";
            assert_eq!(error.to_string(), given, "{name}");
        }
        assert!(load_in("shop", "configmap://shop/none-cacert").is_err());
    }

    #[test]
    fn the_authorities_of_the_system_are_those_of_the_first_file_that_has_any() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let paths = ["missing", "empty", "first", "second"].map(file);
        assert!(first_roots(&paths).is_none());
        fs::write(file("empty"), "# none yet").unwrap();
        let [first, second] = [(); 2].map(|()| {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.self_signed(&KeyPair::generate().unwrap()).unwrap()
        });
        fs::write(file("second"), second.pem()).unwrap();
        let found = |authority: &rcgen::Certificate| {
            let roots = first_roots(&paths).unwrap();
            let found: Vec<_> = roots.certificates().iter().map(|one| one.der()).collect();
            assert_eq!(found, [authority.der()]);
        };
        found(&second);
        fs::write(file("first"), first.pem()).unwrap();
        found(&first);
    }

    #[test]
    fn a_certificate_whose_key_is_not_there_yet_leaves_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let issue = || {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::default().self_signed(&key).unwrap();
            (certificate.pem(), key.serialize_pem())
        };
        let name = SecretName::CredentialFiles {
            certificate: file("tls.crt").display().to_string(),
            key: file("tls.key").display().to_string(),
        };
        let (config, _) = Loaded::default().build(MeshConfig::builder(), 1).unwrap();
        let model = resolve(&config, &Workload::gateway("shop"));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let compiler = TlsCompiler::new(provider, SecretStore::default());
        let names = BTreeSet::from([name.clone()]);
        let publish = || publish(&compiler, &names, (&model, &MeshWide::default()));

        let (first, second) = (issue(), issue());
        assert_eq!(publish().len(), 1, "there is no file");
        assert!(compiler.secrets().watch(&name).load().is_none());
        fs::write(file("tls.crt"), first.0).unwrap();
        fs::write(file("tls.key"), first.1).unwrap();
        assert_eq!(publish(), [""; 0]);
        fs::write(file("tls.crt"), second.0).unwrap();
        let warnings = publish();
        assert!(
            warnings[0].ends_with("; it stays what it was"),
            "{warnings:?}"
        );
        assert!(compiler.secrets().watch(&name).load().is_some());
        fs::write(file("tls.key"), second.1).unwrap();
        assert_eq!(publish(), [""; 0]);
    }
}
