//! Clients of clusters.

use std::fs;
use std::path::{Path, PathBuf};

use kube::client::ClientBuilder;
use kube::config::{
    InClusterError, InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError,
};
use kube::{Client, Config};

use super::service_account::{ServiceAccount, ServiceAccountError, TokenLayer, read};

/// How a cluster is reached.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Cluster {
    /// As the service account of the pod that the program runs in, with the server that the environment
    /// names (`KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`).
    InCluster,
    /// As the environment says: by `KUBECONFIG` or `~/.kube/config` if there is one, else as
    /// [`InCluster`](Self::InCluster).
    #[default]
    Inferred,
    /// By a file of `kubectl`.
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The context in it; `None` for its current one.
        context: Option<String>,
    },
    /// As a service account, by its files. Nothing is read of the environment.
    ServiceAccount(ServiceAccount),
}

/// A client of `cluster`, by TLS of rustls. Nothing is asked of the server yet.
///
/// # Errors
///
/// What says how to reach the cluster is missing or malformed, or names what cannot be used.
///
/// # Panics
///
/// If no `CryptoProvider` of rustls is installed and it cannot tell which one to use.
pub async fn connect(cluster: &Cluster) -> Result<Client, ConnectError> {
    let config = match cluster {
        Cluster::InCluster => Config::incluster()?,
        Cluster::Inferred => Config::infer().await?,
        Cluster::Kubeconfig { path, context } => {
            let options = KubeConfigOptions {
                context: context.clone(),
                ..KubeConfigOptions::default()
            };
            Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?
        }
        Cluster::ServiceAccount(account) => return by_files(account),
    };
    Client::try_from(config).map_err(|error| ConnectError::Client(Box::new(error)))
}

fn by_files(account: &ServiceAccount) -> Result<Client, ConnectError> {
    let server = account.server.parse();
    let mut config = Config::new(server.map_err(|source| ConnectError::Server {
        server: account.server.clone(),
        source,
    })?);
    config.default_namespace = read(&account.namespace)?.trim().to_owned();
    require_certificate(&account.ca)?;
    config.root_cert_file = Some(account.ca.clone());
    let token = TokenLayer::new(&account.token)?;
    let builder = ClientBuilder::try_from(config);
    let builder = builder.map_err(|error| ConnectError::Client(Box::new(error)))?;
    Ok(builder.with_layer(&token).build())
}

/// Tells which file is at fault, before something else does that does not say.
fn require_certificate(path: &Path) -> Result<(), ServiceAccountError> {
    let pem = fs::read(path).map_err(|source| ServiceAccountError::Read {
        path: path.to_owned(),
        source,
    })?;
    let begin = b"-----BEGIN CERTIFICATE-----";
    match pem.windows(begin.len()).any(|window| window == begin) {
        true => Ok(()),
        false => Err(ServiceAccountError::Malformed {
            path: path.to_owned(),
            what: "certificate",
        }),
    }
}

/// There is no client of a cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The configuration cannot be used.
    #[error("the cluster's configuration cannot be used")]
    Client(#[source] Box<kube::Error>),
    /// The program does not run in a pod of a cluster, or its service account is not mounted.
    #[error("the program does not run in a cluster")]
    InCluster(#[from] InClusterError),
    /// Nothing says how to reach a cluster.
    #[error("nothing says how to reach a cluster")]
    Inferred(#[from] InferConfigError),
    /// The file of `kubectl` is missing or malformed.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[from] KubeconfigError),
    /// The address of the server is none.
    #[error("`{server}` is no address of an API server")]
    Server {
        /// The address as given.
        server: String,
        /// Why.
        source: http::uri::InvalidUri,
    },
    /// A file of the service account is missing or malformed.
    #[error("the service account cannot be used")]
    ServiceAccount(#[from] ServiceAccountError),
}
