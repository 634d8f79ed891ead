use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_core::model::cluster::Cluster;
use mesh_core::model::{Model, Notice};
use mesh_core::resource::Resource;
use mesh_core::resource::istio::RequestAuthentication;
use mesh_core::service::ClusterName;
use mesh_core::watch::Watch;
use mesh_policy::authn::{Algorithms, Authenticator, KeyLocation, KeyStore};
use mesh_policy::authz::PolicySet;
use mesh_policy::retry::budget::RetryBudgets;
use rustls::crypto::aws_lc_rs;

use super::PublishError;
use super::mesh_wide::MeshWide;

/// The policies of all listeners, compiled.
#[derive(Clone, Debug)]
pub(super) struct Policies {
    /// Whose tokens are accepted.
    pub(super) authenticator: Watch<Authenticator>,
    /// Who may do what.
    pub(super) authorization: Watch<PolicySet>,
    /// How many retries each cluster bears.
    pub(super) budgets: Watch<RetryBudgets>,
}

impl Policies {
    /// No policies.
    pub(super) fn none() -> Self {
        Self {
            authenticator: authenticator(&[], &KeyStore::default()).into(),
            authorization: PolicySet::default().into(),
            budgets: RetryBudgets::default().into(),
        }
    }

    /// What holds for calls to `clusters`.
    pub(super) fn of_clusters(clusters: &BTreeMap<ClusterName, Arc<Cluster>>) -> Self {
        Self {
            budgets: RetryBudgets::compile(clusters).into(),
            ..Self::none()
        }
    }

    /// Compiles the policies of a model, and says what of them is enforced in another way than it is
    /// written.
    pub(super) fn compile(
        model: &Model,
        wide: &MeshWide,
        keys: &KeyStore,
    ) -> Result<(Self, Vec<String>), PublishError> {
        let domains = wide.options.trust_domains()?;
        let authorization = PolicySet::compile(&model.policies.authorization, &domains);
        let authenticator = authenticator(&model.policies.request_authentication, keys);
        let notices = authorization.notices().iter();
        let mut warnings: Vec<String> = notices
            .chain(authenticator.notices())
            .map(warning)
            .collect();
        warnings.extend(authenticator.remote_keys().filter_map(|keys| {
            let (KeyLocation::Discovery(location) | KeyLocation::Uri(location)) = keys.location();
            let is_fetched = location.starts_with("http://");
            (!is_fetched).then(|| {
                format!(
                    "keys of `{location}` are not fetched, but over http: no token that needs them \
                     is accepted"
                )
            })
        }));
        let policies = Self {
            authenticator: authenticator.into(),
            authorization: authorization.into(),
            ..Self::of_clusters(&model.clusters)
        };
        Ok((policies, warnings))
    }
}

fn authenticator(
    policies: &[Arc<Resource<RequestAuthentication>>],
    keys: &KeyStore,
) -> Authenticator {
    let provider = aws_lc_rs::default_provider();
    let algorithms = Algorithms::new(provider.signature_verification_algorithms.all);
    Authenticator::compile(policies, keys, algorithms)
}

/// A notice as a line.
pub(super) fn warning(notice: &Notice) -> String {
    format!("{} [{}]", notice.message, notice.origin)
}
