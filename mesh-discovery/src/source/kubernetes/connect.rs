//! Clients of clusters.

use std::path::PathBuf;

use kube::config::{
    InClusterError, InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError,
};
use kube::{Client, Config};

/// How a cluster is reached.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Cluster {
    /// As the service account of the pod that the program runs in.
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
}

/// A client of `cluster`, by TLS of rustls.
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
    };
    Client::try_from(config).map_err(|error| ConnectError::Client(Box::new(error)))
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
}
