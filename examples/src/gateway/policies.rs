use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderName, Request};
use mesh_core::identity::SpiffeId;
use mesh_core::model::Model;
use mesh_core::model::cluster::Cluster;
use mesh_core::path::Normalization;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::RequestAuthentication;
use mesh_core::service::ClusterName;
use mesh_core::watch::Watch;
use mesh_policy::authn::layer::AuthenticationLayer;
use mesh_policy::authn::{Algorithms, Authenticator, KeyStore};
use mesh_policy::authz::layer::{AuthorizationLayer, Denied};
use mesh_policy::authz::{self, PolicySet, Recorded, Records};
use mesh_policy::ext_authz::layer::ExtAuthzLayer;
use mesh_policy::ext_authz::{ConnectionCheck, ConnectionDenied, PrefixedBody, Providers};
use mesh_policy::retry::budget::RetryBudgets;
use mesh_tls::resolve::LiveIdentity;
use rustls::crypto::aws_lc_rs;
use tower::ServiceBuilder;
use tower::layer::util::Stack;

use super::calls::Calls;
use super::mesh_wide::MeshWide;
use super::optional::{Layered, optional};
use super::telemetry::Http;
use super::upstream::Upstreams;
use super::{PublishError, authorizers};
use crate::body::Body;

/// The policies of all listeners, compiled.
#[derive(Clone, Debug)]
pub(super) struct Policies {
    /// Whose tokens are accepted.
    pub(super) authenticator: Watch<Authenticator>,
    /// Who may do what.
    pub(super) authorization: Watch<PolicySet>,
    /// Whether there are any that refuse requests.
    pub(super) are_any: bool,
    /// The header that names the rule that denies.
    pub(super) rule_header: Option<HeaderName>,
    /// Counts what policies that do not decide say.
    pub(super) records: Records,
    /// Who the gateway is, to those who are asked.
    pub(super) identity: Option<SpiffeId>,
    /// Who is asked about requests, if somebody is.
    pub(super) custom: Option<ExtAuthzLayer>,
    /// Who is asked about connections.
    pub(super) providers: Providers,
    /// How many retries each cluster bears.
    pub(super) budgets: Watch<RetryBudgets>,
}

impl Policies {
    /// No policies.
    pub(super) fn none() -> Self {
        Self {
            authenticator: authenticator(&[], &KeyStore::default()).into(),
            authorization: PolicySet::default().into(),
            are_any: false,
            rule_header: None,
            records: Records::default(),
            identity: None,
            custom: None,
            providers: Providers::default(),
            budgets: RetryBudgets::default().into(),
        }
    }

    /// What holds for calls to `clusters`. What `last` has counted of their retries counts on.
    pub(super) fn of_clusters(clusters: &BTreeMap<ClusterName, Arc<Cluster>>, last: &Self) -> Self {
        Self {
            budgets: last.budgets.load().updated(clusters).into(),
            ..Self::none()
        }
    }

    /// What of these holds where nobody is guarded against.
    pub(super) fn unguarded(&self) -> Self {
        Self {
            budgets: self.budgets.clone(),
            ..Self::none()
        }
    }

    /// Compiles the policies of a model, and says what of them is enforced in another way than it is
    /// written. Retries are counted on from those of `last`.
    pub(super) fn compile(
        model: &Model,
        wide: &MeshWide,
        keys: &KeyStore,
        last: &Self,
    ) -> Result<(Self, Vec<String>), PublishError> {
        let domains = wide.options.trust_domains()?;
        let authorization = PolicySet::compile(&model.policies.authorization, &domains);
        let authenticator = authenticator(&model.policies.request_authentication, keys);
        let notices = authorization.notices().iter();
        let notices = notices.chain(authenticator.notices());
        let warnings: Vec<String> = notices.map(ToString::to_string).collect();
        let policies = Self {
            authenticator: authenticator.into(),
            authorization: authorization.into(),
            are_any: !model.policies.authorization.is_empty()
                || !model.policies.request_authentication.is_empty(),
            ..Self::of_clusters(&model.clusters, last)
        };
        Ok((policies, warnings))
    }

    /// Who verifies tokens, and decides who may do what; if there are any policies.
    pub(super) fn judge(&self) -> Option<Stack<AuthorizationLayer, AuthenticationLayer>> {
        // Paths have been brought into their form when the request came.
        let mut authorization = AuthorizationLayer::new(self.authorization.clone())
            .with_records(self.records.clone())
            .with_path_normalization(Normalization::None);
        if let Some(name) = &self.rule_header {
            authorization = authorization.with_rule_header(name.clone());
        }
        let authentication = AuthenticationLayer::new(self.authenticator.clone());
        self.are_any
            .then(|| Stack::new(authorization, authentication))
    }

    /// Puts requests to who is asked about them, before `service` gets them.
    pub(super) fn ask<S: Http>(&self, service: Layered<S>) -> Layered<S> {
        let asked = self.custom.clone().map(|layer| {
            ServiceBuilder::new()
                .layer(layer)
                .map_request(|request: Request<PrefixedBody<Body>>| request.map(Body::wrapped))
        });
        optional(asked, service)
    }

    /// Lets a connection that carries no HTTP pass, or says why it may not; who CUSTOM policies name
    /// is asked.
    pub(super) async fn allow(&self, check: ConnectionCheck) -> Result<(), ConnectionDenied> {
        let policies = self.authorization.load_full();
        let facts = authz::Connection {
            server_name: check.server_name.as_deref(),
            ..authz::Connection::of(&check.connection, check.peer.as_ref())
        };
        let custom = policies.custom().evaluate_connection(&facts);
        self.providers
            .allow_connection(custom, check.clone())
            .await?;
        let verdict = policies.evaluate_connection(&facts);
        if let Some(recorded) = Recorded::of(&verdict) {
            self.records.count(&recorded);
        }
        match Denied::of(&verdict) {
            None => Ok(()),
            Some(denied) => Err(ConnectionDenied::Policy(denied)),
        }
    }

    /// Asks the authorizers that CUSTOM policies name, by `calls` to `clusters`; and says which cannot
    /// be asked.
    pub(super) fn connect(
        &mut self,
        wide: &MeshWide,
        calls: &mut Calls,
        clusters: &Upstreams,
    ) -> Vec<String> {
        let policies = self.authorization.load();
        if policies.custom().is_empty() {
            return Vec::new();
        }
        let identity = self.identity.as_ref();
        let compiled = authorizers::compile((&policies, identity), wide, calls, clusters);
        let (providers, warnings) = compiled;
        self.providers = providers.clone();
        let layer = ExtAuthzLayer::new(self.authorization.clone(), providers);
        // Paths have been brought into their form when the request came.
        self.custom = Some(layer.with_path_normalization(Normalization::None));
        warnings
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

/// Who `identity` is, if that is known by now.
pub(super) fn principal(identity: &LiveIdentity) -> Option<SpiffeId> {
    Some(identity.svid()?.id().clone())
}

#[cfg(test)]
mod tests {
    use mesh_core::config::MeshConfig;
    use mesh_core::resolve::resolve;
    use mesh_core::resource::istio::destination_rule::RetryBudget;
    use mesh_core::workload::Workload;

    use super::*;

    #[test]
    fn retries_under_way_count_for_the_next_configuration() {
        let name = ClusterName::from("cart");
        let mut cluster = Cluster::new(name.clone());
        cluster.policy.retry_budget = Some(RetryBudget {
            min_retry_concurrency: 1,
            ..RetryBudget::default()
        });
        let mut model = resolve(&MeshConfig::default(), &Workload::sidecar("shop"));
        model.clusters.insert(name.clone(), Arc::new(cluster));
        let compile = |last: &Policies| {
            let (wide, keys) = (MeshWide::default(), KeyStore::default());
            Policies::compile(&model, &wide, &keys, last).unwrap().0
        };
        let retry = |policies: &Policies| policies.budgets.load().of(&name)?.retry();
        let first = compile(&Policies::none());
        let under_way = retry(&first);
        let second = compile(&first);
        assert!(under_way.is_some() && retry(&second).is_none());
        drop(under_way);
        assert!(retry(&second).is_some());
    }
}
