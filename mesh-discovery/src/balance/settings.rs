use mesh_core::model::Notice;
use mesh_core::model::cluster::{Cluster, Discovery};

use crate::balance::policy::Policy;
use crate::balance::slow_start::SlowStart;
use crate::health::outlier::OutlierSettings;
use crate::locality::{Client, LocalityRules};

/// What balancing does in a cluster, compiled from its traffic policy.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How an endpoint is picked.
    pub policy: Policy,
    /// How new endpoints are warmed up.
    pub warmup: Option<SlowStart>,
    /// The percentage of healthy endpoints below which health does not count. 0 is never.
    pub panic_threshold: u32,
    /// How the place of endpoints counts.
    pub rules: LocalityRules,
    /// When an endpoint is ejected.
    pub outlier: Option<OutlierSettings>,
    /// Whether the endpoint is found in the request, not in a list.
    pub target: Target,
    /// What is not followed as it was written.
    pub notices: Vec<Notice>,
}

/// Where endpoints are found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Target {
    /// In the request's authority, as a name to resolve, with this port where it has none.
    Authority(u16),
    /// In the list of the cluster's endpoints.
    Listed,
    /// Where the client's connection went, with this port instead of its own.
    OriginalDestination(Option<u16>),
}

impl Settings {
    /// The settings of `cluster` for `client`.
    pub fn compile(cluster: &Cluster, client: &Client) -> Self {
        let (policy, notice) = match Policy::compile(cluster.policy.load_balancer.as_deref()) {
            Ok(policy) => (policy, None),
            Err(error) => {
                let policy = Policy::default();
                let origin = cluster.policy_origin.as_ref().unwrap_or(&cluster.origin);
                let notice = Notice {
                    origin: origin.clone(),
                    message: format!("{error}; endpoints are picked by `{policy}` instead"),
                };
                (policy, Some(notice))
            }
        };
        Self {
            notices: notice.into_iter().collect(),
            ..Self::with_policy(cluster, client, policy)
        }
    }

    /// The settings of `cluster` for `client` but for its policy, which is `policy`.
    pub fn with_policy(cluster: &Cluster, client: &Client, policy: Policy) -> Self {
        let outlier = cluster.policy.outlier_detection.as_deref();
        Self {
            warmup: cluster
                .policy
                .load_balancer
                .as_deref()
                .filter(|_| policy.warms_up())
                .and_then(SlowStart::compile),
            policy,
            panic_threshold: cluster.panic_threshold(),
            rules: LocalityRules::compile(cluster, client),
            outlier: outlier.map(OutlierSettings::compile),
            target: target(cluster, policy),
            notices: Vec::new(),
        }
    }
}

/// Whether the endpoints of a cluster are picked from a list, and not made for each request.
#[cfg(feature = "connect")]
pub(crate) fn lists_endpoints(cluster: &Cluster) -> bool {
    let policy = Policy::compile(cluster.policy.load_balancer.as_deref()).unwrap_or_default();
    matches!(target(cluster, policy), Target::Listed)
}

/// Whether the endpoints of a cluster are what its names resolve to, and come without a
/// configuration.
pub(crate) fn is_resolved(cluster: &Cluster) -> bool {
    matches!(
        cluster.discovery,
        Discovery::LogicalDns | Discovery::StrictDns
    )
}

fn target(cluster: &Cluster, policy: Policy) -> Target {
    match cluster.discovery {
        Discovery::DynamicDns => Target::Authority(cluster.name.port().unwrap_or(80)),
        Discovery::OriginalDestination => Target::OriginalDestination(cluster.port_override),
        _ if policy == Policy::Passthrough => Target::OriginalDestination(cluster.port_override),
        Discovery::LogicalDns | Discovery::Static | Discovery::StrictDns => Target::Listed,
    }
}
