//! The cluster of one port of a service, or of a subset of its endpoints.

use crate::config::destination_rules::MergedRule;
use crate::config::services::{Service, ServicePort, TargetPort, TrafficDistribution};
use crate::labels::Labels;
use crate::model::Notice;
use crate::model::cluster::{Cluster, Discovery, EndpointTls, NODE_LABEL, TrafficPolicy};
use crate::origin::Origin;
use crate::resolve::cluster::{connections, locality, tls};
use crate::resolve::context::Context;
use crate::resolve::traffic_policy;
use crate::resource::istio::destination_rule::{
    H2UpgradePolicy, HttpSettings, LoadBalancerSettings, SimpleLb, Subset,
};
use crate::service::{ClusterName, Protocol};
use crate::workload::WorkloadKind;

/// A port of a service, and the rule that applies to it.
pub(super) struct Destination<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) service: &'a Service,
    pub(super) port: &'a ServicePort,
    pub(super) rule: Option<&'a MergedRule>,
}

impl Destination<'_> {
    /// The cluster of the port, or of a subset of its endpoints.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(super) fn cluster(
        &self,
        subset: Option<&Subset>,
        notices: &mut Vec<Notice>,
    ) -> Result<Cluster, String> {
        self.validate(subset)?;
        let options = self.context.config.options();
        let policy = traffic_policy::effective(self.rule, subset, self.port.number, options);
        let discovery = self.discovery(&policy);
        let subset_labels: Labels = match subset {
            Some(subset) => subset.labels.iter().collect(),
            None => Labels::new(),
        };
        let subset_name = subset.map_or("", |subset| &subset.name);
        let name = ClusterName::outbound(self.port.number, subset_name, &self.service.hostname);
        let load_balancer = policy.load_balancer.as_deref();
        let mut cluster = Cluster {
            discovery,
            protocol: self.protocol(&policy),
            endpoints: Vec::new(),
            subset_labels,
            endpoint_tls: EndpointTls::Any,
            node: self.node(discovery, notices),
            by_readiness: self.service.traffic_distribution != TrafficDistribution::Any,
            port_override: self.port_override(discovery),
            locality: locality::effective(load_balancer, self.service, options),
            policy,
            external: self.service.external,
            origin: self.service.origin.clone(),
            policy_origin: self.policy_origin(subset),
            ..Cluster::new(name)
        };
        connections::settle(&mut cluster, options);
        self.add_endpoints(&mut cluster)?;
        cluster.tls = tls::upstream(self, subset, &cluster.policy, &cluster.name, notices);
        Ok(cluster)
    }

    /// The node whose endpoints the workload may be sent to; `None` for all.
    fn node(&self, discovery: Discovery, notices: &mut Vec<Notice>) -> Option<String> {
        if !self.service.node_local || discovery != Discovery::Static {
            return None;
        }
        let node = self.context.node();
        if node.is_empty() {
            notices.push(Notice {
                origin: self.service.origin.clone(),
                message: format!(
                    "the node of the workload is not known (label `{NODE_LABEL}`), and \
                     `internalTrafficPolicy: Local` leaves no endpoint of another node"
                ),
            });
        }
        Some(node.to_owned())
    }

    fn add_endpoints(&self, cluster: &mut Cluster) -> Result<(), String> {
        let by_dns = match cluster.discovery {
            Discovery::OriginalDestination | Discovery::DynamicDns => return Ok(()),
            Discovery::Static => false,
            Discovery::StrictDns | Discovery::LogicalDns => true,
        };
        let all = self.service.endpoints(self.port).iter();
        let taken = all.filter(|endpoint| cluster.takes(endpoint));
        cluster.endpoints = taken.cloned().collect();
        match cluster.endpoints.is_empty() && by_dns {
            true => Err("there is no name to resolve".into()),
            false => Ok(()),
        }
    }

    /// Whether there can be a cluster at all.
    fn validate(&self, subset: Option<&Subset>) -> Result<(), String> {
        let (host, number) = (&self.service.hostname, self.port.number);
        if self.port.protocol == Protocol::Udp {
            return Err(format!("port {number} of the service `{host}` is UDP"));
        }
        if self.service.discovery == Discovery::DynamicDns {
            if subset.is_some() {
                return Err("a service that is resolved by request has no subsets".into());
            }
            let carried = [
                Protocol::Http,
                Protocol::Http2,
                Protocol::Grpc,
                Protocol::Tls,
            ];
            if !carried.contains(&self.port.protocol) {
                return Err("a service that is resolved by request speaks HTTP or TLS".into());
            }
        }
        Ok(())
    }

    /// How endpoints are found. A gateway has no original destination to pass through to.
    pub(super) fn discovery(&self, policy: &TrafficPolicy) -> Discovery {
        let declared = self.service.discovery;
        if declared == Discovery::DynamicDns {
            return declared;
        }
        if is_passthrough(policy.load_balancer.as_deref()) {
            return Discovery::OriginalDestination;
        }
        let is_gateway = self.context.workload.kind == WorkloadKind::Gateway;
        match declared {
            Discovery::OriginalDestination if is_gateway => Discovery::Static,
            declared => declared,
        }
    }

    /// What is spoken: HTTP/2 where the rule, or the mesh for ports declared as HTTP, upgrades.
    fn protocol(&self, policy: &TrafficPolicy) -> Protocol {
        let declared = self.port.protocol;
        let pool = policy.connection_pool.as_ref();
        let http = pool.and_then(|pool| pool.http.as_ref());
        if upgrades(http, declared, self.context.config.options().h2_upgrade()) {
            match declared {
                Protocol::Grpc | Protocol::GrpcWeb => declared,
                _ => Protocol::Http2,
            }
        } else {
            declared
        }
    }

    /// The target port of an entry that is not resolved.
    fn port_override(&self, discovery: Discovery) -> Option<u16> {
        let is_entry = self.service.discovery == Discovery::OriginalDestination
            && discovery == Discovery::OriginalDestination
            && !self.service.headless;
        match self.port.target {
            TargetPort::Number(target) if is_entry && target != self.port.number => Some(target),
            _ => None,
        }
    }

    /// Where the policy was written: in the subset, if it has one, else in the rule.
    fn policy_origin(&self, subset: Option<&Subset>) -> Option<Origin> {
        let rule = self.rule?;
        match subset {
            Some(subset) => rule.subset(&subset.name).map(|(_, origin)| origin),
            None => Some(
                rule.traffic_policy()
                    .map_or_else(|| rule.origin(), |(_, origin)| origin),
            ),
        }
    }
}

/// Whether connections go where the client wanted them to go.
pub(super) fn is_passthrough(settings: Option<&LoadBalancerSettings>) -> bool {
    settings.is_some_and(|settings| settings.simple == Some(SimpleLb::Passthrough))
}

/// Whether HTTP/1.1 is upgraded (`shouldH2Upgrade`).
fn upgrades(http: Option<&HttpSettings>, declared: Protocol, by_mesh: bool) -> bool {
    if let Some(http) = http {
        match http.h2_upgrade_policy {
            _ if http.use_client_protocol => return false,
            H2UpgradePolicy::Upgrade => return true,
            H2UpgradePolicy::DoNotUpgrade => return false,
            H2UpgradePolicy::Default => {}
        }
    }
    by_mesh && declared.is_http()
}
